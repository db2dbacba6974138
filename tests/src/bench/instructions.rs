//! Instructions: how many the host executes per operation, counted by callgrind, which makes small steps visible that no clock shows.
//!
//! The host is the one of [`kvstore_host::embedded`]: one worker, driven turn by turn, so that a count can be repeated
//! exactly. Only what it does in a turn is counted, neither start-up nor loading nor the clients.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use kvstore_host::embedded::{Embedded, load};
use kvstore_host::server::Server;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use super::protocol::{KEY_LEN, Kind, Protocol, Shape, write_key};
use crate::binaries;

const CONNECTIONS: usize = 50;
const PIPELINE: usize = 64;
const VALUE_LEN: usize = 32;
const KEYS: u64 = 64_000;
/// Turns that are counted; in each, every connection sends a whole pipeline.
const TURNS: usize = 20;
/// Turns before, for what is done only once.
const TURNS_BEFORE: usize = 3;

/// Instructions in user mode per operation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Instructions {
    /// Per GET of 32 bytes.
    pub get: f64,
    /// Per SET of 32 bytes.
    pub set: f64,
}

/// Where what was last accepted is kept.
pub fn accepted_file() -> PathBuf {
    crate::binaries::root().join("docs/performance/instructions.txt")
}

impl Instructions {
    /// Counts them: starts this very program under valgrind, with arguments that have it call [`serve_counted`].
    ///
    /// # Errors
    /// valgrind is missing, or what it runs fails.
    pub fn count(args: impl Fn(Kind, &Path) -> Vec<String>) -> Result<Self, String> {
        let engine = binaries::memory_engine();
        let per_operation = |kind| {
            let total = callgrind(&args(kind, &engine))?;
            Ok::<_, String>(total as f64 / (TURNS * CONNECTIONS * PIPELINE) as f64)
        };
        Ok(Self { get: per_operation(Kind::Get)?, set: per_operation(Kind::Set)? })
    }

    /// Reads what was last accepted.
    ///
    /// # Errors
    /// There is no such file, or something is missing in it.
    pub fn read(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let number = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            let number = line.and_then(|number| number.trim().parse().ok());
            number.ok_or_else(|| format!("{}: there is no number of {name}", path.display()))
        };
        Ok(Self { get: number("GET ")?, set: number("SET ")? })
    }

    /// Writes them as accepted.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, path: &Path) -> std::io::Result<()> {
        let text = format!(
            "# User instructions per operation, pipeline {PIPELINE}, 32 B values, one worker: `scripts/bench-instructions --accept` writes this.\n\
             GET {:.0}\nSET {:.0}\n",
            self.get, self.set
        );
        std::fs::create_dir_all(path.parent().unwrap_or(path))?;
        std::fs::write(path, text)
    }

    /// A table of what is and what was.
    pub fn compared_to(&self, accepted: Self) -> String {
        let row = |name, is: f64, was: f64| format!("| {name} | {was:.0} | {is:.0} | {:.3} |\n", is / was);
        format!(
            "| instructions per | was | is | ratio |\n|---|---|---|---|\n{}{}",
            row("GET", self.get, accepted.get),
            row("SET", self.set, accepted.set)
        )
    }

    /// The larger of the two ratios to what was accepted.
    pub fn worst_ratio(&self, accepted: Self) -> f64 {
        (self.get / accepted.get).max(self.set / accepted.set)
    }
}

/// What callgrind counts in the turns of this program when it is started with these arguments.
fn callgrind(args: &[String]) -> Result<u64, String> {
    let failed = |error: std::io::Error| format!("valgrind (scripts/setup --bench installs it): {error}");
    let dir = tempfile::tempdir().map_err(failed)?;
    let (counts, random) = (dir.path().join("counts"), dir.path().join("librandom.so"));
    binaries::c_library(&binaries::root().join("tests/preload/random.c"), &random, &[]);
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--toggle-collect=*counted_turn*"])
        .arg(format!("--callgrind-out-file={}", counts.display()))
        .arg(std::env::current_exe().map_err(failed)?)
        .args(args)
        .env("LD_PRELOAD", random)
        .output()
        .map_err(failed)?;
    let text = std::fs::read_to_string(counts).map_err(failed)?;
    let total = text.lines().find_map(|line| line.strip_prefix("summary: ")?.trim().parse().ok());
    total.filter(|total| output.status.success() && *total > 0).ok_or_else(|| {
        format!("nothing was counted, {}: {}", output.status, String::from_utf8_lossy(&output.stderr))
    })
}

/// What runs under callgrind: a host that loads the keys and then carries out some turns of this kind of operation.
///
/// # Errors
/// The engine does not load, or a reply is not what it has to be.
pub fn serve_counted(kind: Kind, engine: &Path) -> Result<(), String> {
    // SAFETY: an engine of this workspace.
    let engine = unsafe { load(engine) }?;
    let mut host = Embedded::start(engine, Server::default())?;
    let failed = |error: std::io::Error| format!("the host within this program: {error}");
    let mut clients = Vec::new();
    for _ in 0..CONNECTIONS {
        clients.push(host.connect().map_err(failed)?);
    }
    host.settle();
    let mut numbers = SmallRng::seed_from_u64(1);
    let shape = |kind| Protocol::Resp.shape(kind, VALUE_LEN);
    let each_key = (0..KEYS).collect::<Vec<_>>();
    for numbers in each_key.chunks(CONNECTIONS * PIPELINE) {
        let mut numbers = numbers.iter().copied();
        turn(&mut host, &mut clients, &shape(Kind::Set), || numbers.next().unwrap_or(0), Embedded::settle)
            .map_err(failed)?;
    }
    for number in 0..TURNS_BEFORE + TURNS {
        let serve = if number < TURNS_BEFORE { Embedded::settle } else { counted_turn };
        let draw = || numbers.random_range(0..KEYS);
        turn(&mut host, &mut clients, &shape(kind), draw, serve).map_err(failed)?;
    }
    host.stop().map(|_| ())
}

/// Has a name by which callgrind knows when to count.
#[inline(never)]
fn counted_turn(host: &mut Embedded) {
    host.settle();
}

/// Each client sends a pipeline, the host serves, and each client takes its replies.
fn turn(
    host: &mut Embedded,
    clients: &mut [UnixStream],
    shape: &Shape,
    mut number: impl FnMut() -> u64,
    serve: fn(&mut Embedded),
) -> std::io::Result<()> {
    let mut requests = shape.request.repeat(PIPELINE);
    for client in clients.iter_mut() {
        for request in requests.chunks_exact_mut(shape.request.len()) {
            write_key(number(), &mut request[shape.key_at..][..KEY_LEN]);
        }
        client.write_all(&requests)?;
    }
    serve(host);
    let mut replies = vec![0; shape.reply_len * PIPELINE];
    for client in clients {
        client.read_exact(&mut replies)?;
        if !replies.chunks_exact(shape.reply_len).all(|reply| reply.starts_with(&shape.reply_head)) {
            return Err(std::io::Error::other(String::from_utf8_lossy(&replies).into_owned()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new/instructions.txt");
        assert!(Instructions::read(&path).is_err());
        let accepted = Instructions { get: 1000.0, set: 2000.0 };
        accepted.write(&path).unwrap();
        assert_eq!(Instructions::read(&path), Ok(accepted));
        let worse = Instructions { get: 1100.0, set: 1000.0 };
        assert!((worse.worst_ratio(accepted) - 1.1).abs() < 1e-9);
    }
}
