//! Growth: how long the longest single operation takes while a table grows from nothing, by the CPU time of its thread.

use super::engine::Engine;
use super::process::thread_cpu_ns;
use super::protocol::{KEY_LEN, write_key};
use super::spread::Times;

/// Sets so many keys of 16 bytes to values of 32, each with one call of `kv_set`, in an engine that is empty at first.
pub fn grow(engine: &Engine, keys: u64) -> Times {
    let value = [b'v'; 32];
    time_each(keys, |key| engine.set(key, &value))
}

/// The same loop around nothing: what the clock and the system's interrupts take of such figures.
pub fn floor(keys: u64) -> Times {
    time_each(keys, |key| {
        std::hint::black_box(key);
    })
}

fn time_each(keys: u64, mut step: impl FnMut(&[u8])) -> Times {
    // Written once before, so that no page of it is touched for the first time while the clock runs.
    let mut times = vec![u32::MAX; keys as usize];
    let mut key = [0; KEY_LEN];
    for (number, time) in (0..).zip(&mut times) {
        write_key(number, &mut key);
        let before_ns = thread_cpu_ns();
        step(&key);
        *time = u32::try_from(thread_cpu_ns() - before_ns).unwrap_or(u32::MAX);
    }
    Times::of(times)
}
