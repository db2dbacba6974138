//! Growth: how long the longest single operation takes while a table grows from nothing, by the CPU time of its thread.
//!
//! What a hypervisor or an interrupt takes of a processor is in such a time, and hits another operation in each round. A step of the table's own hits the same
//! one: rounds run with the same hashes (random numbers of the system are the same in each), so the least time of each operation is what is its own.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::Path;
use std::process::Command;

use super::engine::Engine;
use super::instructions::same_random_numbers;
use super::process::thread_cpu_ns;
use super::protocol::{KEY_LEN, write_key};
use super::spread::Times;

/// What the rounds have shown.
pub struct Growth {
    /// Each round by itself.
    pub rounds: Vec<Times>,
    /// Of each operation the least time that it took in any of them.
    pub least: Times,
}

/// Has so many rounds run, each in a process of its own that is started with the arguments which `child` makes of its number of keys and its file.
///
/// # Errors
/// A round fails.
pub fn rounds(count: usize, keys: u64, child: impl Fn(u64, &Path) -> Vec<String>) -> Result<Growth, String> {
    let failed = |error: std::io::Error| format!("a round of growth: {error}");
    let dir = tempfile::tempdir().map_err(failed)?;
    let random = same_random_numbers(dir.path());
    let file = dir.path().join("times");
    let mut least = vec![u32::MAX; keys as usize];
    let mut rounds = Vec::new();
    for _ in 0..count {
        let program = std::env::current_exe().map_err(failed)?;
        let status = Command::new(program).args(child(keys, &file)).env("LD_PRELOAD", &random).status();
        if !status.map_err(failed)?.success() {
            return Err("a round of growth has failed".to_owned());
        }
        let mut read = BufReader::new(File::open(&file).map_err(failed)?);
        let mut times = vec![0; keys as usize];
        for (time, least) in times.iter_mut().zip(&mut least) {
            let mut bytes = [0; 4];
            read.read_exact(&mut bytes).map_err(failed)?;
            *time = u32::from_le_bytes(bytes);
            *least = (*least).min(*time);
        }
        rounds.push(Times::of(times));
    }
    Ok(Growth { rounds, least: Times::of(least) })
}

/// One round: sets so many keys of 16 bytes to values of 32, each with one call of `kv_set`, in an engine that is empty at first, and writes the times to a file.
///
/// # Errors
/// The file cannot be written.
pub fn grow(engine: &Engine, keys: u64, file: &Path) -> Result<(), String> {
    let value = [b'v'; 32];
    let times = time_each(keys, |key| engine.set(key, &value));
    let write = || {
        let mut out = BufWriter::new(File::create(file)?);
        times.iter().try_for_each(|time| out.write_all(&time.to_le_bytes()))?;
        out.flush()
    };
    write().map_err(|error: std::io::Error| format!("{}: {error}", file.display()))
}

/// The same loop around nothing: what the clock and the system's interrupts take of such figures.
pub fn floor(keys: u64) -> Times {
    Times::of(time_each(keys, |key| {
        std::hint::black_box(key);
    }))
}

fn time_each(keys: u64, mut step: impl FnMut(&[u8])) -> Vec<u32> {
    // Written once before, so that no page of it is touched for the first time while the clock runs.
    let mut times = vec![u32::MAX; keys as usize];
    let mut key = [0; KEY_LEN];
    for (number, time) in (0..).zip(&mut times) {
        write_key(number, &mut key);
        let before_ns = thread_cpu_ns();
        step(&key);
        *time = u32::try_from(thread_cpu_ns() - before_ns).unwrap_or(u32::MAX);
    }
    times
}
