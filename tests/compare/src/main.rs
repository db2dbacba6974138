//! Compare: the memory engine beside maps of other projects: GET and SET of random keys, and bytes per key; `scripts/bench-maps` starts it.
//!
//! Each map runs in a process of its own, so that what one leaves behind is no other's memory. The engine does more than they
//! do: it sits behind its ABI, and keeps a version with each entry.

mod maps;

use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::Parser;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use tests::bench::process::resident_bytes;
use tests::bench::protocol::Kind;
use tests::bench::spread::Spread;

use maps::{MAPS, Map};

/// Measures maps: nanoseconds per operation on 16 B keys and 32 B values, drawn uniformly.
#[derive(Debug, Parser)]
struct Args {
    /// Which; without any, all.
    maps: Vec<String>,
    /// Numbers of keys, in millions.
    #[arg(long, value_delimiter = ',', default_value = "1,10")]
    millions: Vec<u64>,
    /// Numbers of threads.
    #[arg(long, value_delimiter = ',', default_value = "1,2")]
    threads: Vec<usize>,
    /// Rounds.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds per round.
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// The engine's library.
    #[arg(long)]
    engine: PathBuf,
    /// Measure here what the other arguments name, and print its row only.
    #[arg(long, hide = true)]
    row: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    if let Some(unknown) = args.maps.iter().find(|name| MAPS.iter().all(|(known, ..)| known != *name)) {
        eprintln!("there is no map {unknown}");
        return ExitCode::FAILURE;
    }
    if args.row {
        row(&args);
        return ExitCode::SUCCESS;
    }
    println!(
        "| map | million keys | threads | GET, ns | SET, ns | bytes per key |\n|---|---|---|---|---|---|"
    );
    for millions in &args.millions {
        for threads in &args.threads {
            for (name, ..) in MAPS.iter().filter(|(_, _, shared)| *shared || *threads == 1) {
                if !(args.maps.is_empty() || args.maps.iter().any(|asked| asked == name)) {
                    continue;
                }
                let own = std::env::current_exe().expect("this program");
                let mut command = Command::new(own);
                command
                    .args([name, "--row", "--millions", &millions.to_string(), "--threads"])
                    .arg(threads.to_string());
                command.args(["--rounds", &args.rounds.to_string(), "--seconds", &args.seconds.to_string()]);
                command.arg("--engine").arg(&args.engine);
                let status = command.status().expect("this program again");
                if !status.success() {
                    return ExitCode::FAILURE;
                }
            }
        }
    }
    ExitCode::SUCCESS
}

fn row(args: &Args) {
    let (millions, threads) = (args.millions[0], args.threads[0]);
    let keys = millions * 1_000_000;
    let (name, make, _) = MAPS.iter().find(|(name, ..)| *name == args.maps[0]).expect("a map of that name");
    let own = std::process::id();
    let empty = resident_bytes(own);
    let map = make(&args.engine);
    map.fill(keys);
    let per_key = resident_bytes(own).saturating_sub(empty) as f64 / keys as f64;
    let time = Duration::from_secs_f64(args.seconds);
    let spread = |kind| {
        let rounds = (0..args.rounds).map(|round| measure(&*map, kind, keys, threads, time, round as u64));
        Spread::of(rounds.collect::<Vec<_>>()).expect("a round")
    };
    let (get, set) = (spread(Kind::Get), spread(Kind::Set));
    println!("| {name} | {millions} | {threads} | {get:.0} | {set:.0} | {per_key:.0} |");
}

/// Nanoseconds that pass per operation of all threads together.
fn measure(map: &dyn Map, kind: Kind, keys: u64, threads: usize, time: Duration, seed: u64) -> f64 {
    let (stop, begin) = (AtomicBool::new(false), Barrier::new(threads + 1));
    let mut done = 0;
    let since = std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads as u64)
            .map(|thread| {
                let (stop, begin) = (&stop, &begin);
                scope.spawn(move || {
                    let mut rng = SmallRng::seed_from_u64(seed << 8 | thread);
                    begin.wait();
                    let mut done = 0;
                    while !stop.load(Ordering::Relaxed) {
                        done += map.some(kind, &mut || rng.random_range(0..keys));
                    }
                    done
                })
            })
            .collect();
        begin.wait();
        let since = Instant::now();
        while since.elapsed() < time {
            std::thread::park_timeout(time.saturating_sub(since.elapsed()));
        }
        stop.store(true, Ordering::Relaxed);
        for thread in running {
            done += thread.join().expect("a thread");
        }
        since
    });
    since.elapsed().as_nanos() as f64 / done as f64
}
