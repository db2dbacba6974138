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
const VALUE_LEN: usize = 32;
const KEYS: u64 = 64_000;
/// Keys that each connection writes at once before anything is counted.
const FILL: usize = 64;
/// Turns that are counted; in each, every connection sends a whole pipeline.
const TURNS: usize = 20;
/// Turns before, for what is done only once.
const TURNS_BEFORE: usize = 3;

/// What is counted: operations of one kind, so many in a pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted {
    /// GET or SET of 32 bytes.
    pub kind: Kind,
    /// Requests that a client sends at once.
    pub pipeline: usize,
}

/// All that is counted.
pub const COUNTED: [Counted; 4] = [
    Counted { kind: Kind::Get, pipeline: 64 },
    Counted { kind: Kind::Set, pipeline: 64 },
    Counted { kind: Kind::Get, pipeline: 1 },
    Counted { kind: Kind::Set, pipeline: 1 },
];

impl Counted {
    /// Its name: `get-64`.
    pub fn name(self) -> String {
        format!("{}-{}", self.kind.name().to_lowercase(), self.pipeline)
    }
}

/// Instructions in user mode per operation, in the order of [`COUNTED`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Instructions([f64; COUNTED.len()]);

/// Where what was last accepted is kept.
pub fn accepted_file() -> PathBuf {
    crate::binaries::root().join("docs/performance/instructions.txt")
}

impl Instructions {
    /// Counts them: starts this very program under valgrind, with arguments that have it call [`serve_counted`].
    ///
    /// # Errors
    /// valgrind is missing, or what it runs fails.
    pub fn count(args: impl Fn(Counted, &Path) -> Vec<String>) -> Result<Self, String> {
        let engine = binaries::memory_engine();
        let mut all = [0.0; COUNTED.len()];
        for (counted, number) in COUNTED.into_iter().zip(&mut all) {
            let total = callgrind(&args(counted, &engine))?;
            *number = total as f64 / (TURNS * CONNECTIONS * counted.pipeline) as f64;
        }
        Ok(Self(all))
    }

    /// Reads what was last accepted.
    ///
    /// # Errors
    /// There is no such file, or something is missing in it.
    pub fn read(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let mut all = [0.0; COUNTED.len()];
        for (counted, number) in COUNTED.into_iter().zip(&mut all) {
            let name = counted.name();
            let line = text.lines().find_map(|line| line.strip_prefix(&name)?.strip_prefix(' '));
            let found = line.and_then(|number| number.trim().parse().ok());
            *number = found.ok_or_else(|| format!("{}: there is no number of {name}", path.display()))?;
        }
        Ok(Self(all))
    }

    /// Writes them as accepted.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, path: &Path) -> std::io::Result<()> {
        let head = "# User instructions per operation, by kind and pipeline, 32 B values, one worker: `scripts/bench-instructions --accept` writes this.\n";
        let lines = COUNTED
            .into_iter()
            .zip(self.0)
            .map(|(counted, number)| format!("{} {number:.0}\n", counted.name()));
        std::fs::create_dir_all(path.parent().unwrap_or(path))?;
        std::fs::write(path, std::iter::once(head.to_owned()).chain(lines).collect::<String>())
    }

    /// A table of what is and what was accepted, if anything was.
    pub fn compared_to(&self, accepted: Option<Self>) -> String {
        let rows = COUNTED.into_iter().zip(self.0).enumerate().map(|(at, (counted, is))| {
            let was = accepted.map(|accepted| accepted.0[at]);
            let compared = was.map_or_else(
                || ("–".to_owned(), "–".to_owned()),
                |was| (format!("{was:.0}"), format!("{:.3}", is / was)),
            );
            format!("| {} | {} | {is:.0} | {} |\n", counted.name(), compared.0, compared.1)
        });
        let head = "| user instructions per operation | was | is | ratio |\n|---|---|---|---|\n";
        std::iter::once(head.to_owned()).chain(rows).collect()
    }

    /// The largest ratio to what was accepted.
    pub fn worst_ratio(&self, accepted: Self) -> f64 {
        self.0.into_iter().zip(accepted.0).map(|(is, was)| is / was).fold(0.0, f64::max)
    }
}

/// Builds a library in this folder that, loaded before others, makes random numbers of the system the same in each run.
pub(super) fn same_random_numbers(dir: &Path) -> PathBuf {
    let library = dir.join("librandom.so");
    binaries::c_library(&binaries::root().join("tests/preload/random.c"), &library, &[]);
    library
}

/// What callgrind counts in the turns of this program when it is started with these arguments.
fn callgrind(args: &[String]) -> Result<u64, String> {
    let failed = |error: std::io::Error| format!("valgrind (scripts/setup --bench installs it): {error}");
    let dir = tempfile::tempdir().map_err(failed)?;
    let (counts, random) = (dir.path().join("counts"), same_random_numbers(dir.path()));
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
pub fn serve_counted(Counted { kind, pipeline }: Counted, engine: &Path) -> Result<(), String> {
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
    for numbers in each_key.chunks(CONNECTIONS * FILL) {
        let mut numbers = numbers.iter().copied();
        let next = || numbers.next().unwrap_or(0);
        turn(&mut host, &mut clients, &shape(Kind::Set), FILL, next, Embedded::settle).map_err(failed)?;
    }
    for number in 0..TURNS_BEFORE + TURNS {
        let serve = if number < TURNS_BEFORE { Embedded::settle } else { counted_turn };
        let draw = || numbers.random_range(0..KEYS);
        turn(&mut host, &mut clients, &shape(kind), pipeline, draw, serve).map_err(failed)?;
    }
    host.stop().map(|_| ())
}

/// Has a name by which callgrind knows when to count.
#[inline(never)]
fn counted_turn(host: &mut Embedded) {
    host.settle();
    // Something behind the call, so that it stays one within this function.
    std::hint::black_box(host);
}

/// Each client sends a pipeline, the host serves, and each client takes its replies.
fn turn(
    host: &mut Embedded,
    clients: &mut [UnixStream],
    shape: &Shape,
    pipeline: usize,
    mut number: impl FnMut() -> u64,
    serve: fn(&mut Embedded),
) -> std::io::Result<()> {
    let mut requests = shape.request.repeat(pipeline);
    for client in clients.iter_mut() {
        for request in requests.chunks_exact_mut(shape.request.len()) {
            write_key(number(), &mut request[shape.key_at..][..KEY_LEN]);
        }
        client.write_all(&requests)?;
    }
    serve(host);
    let mut replies = vec![0; shape.reply_len * pipeline];
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
        let accepted = Instructions([1000.0, 2000.0, 3000.0, 4000.0]);
        accepted.write(&path).unwrap();
        assert_eq!(Instructions::read(&path), Ok(accepted));
        let worse = Instructions([1000.0, 1000.0, 3300.0, 4000.0]);
        assert!((worse.worst_ratio(accepted) - 1.1).abs() < 1e-9);
    }
}
