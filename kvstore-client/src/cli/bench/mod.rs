//! `bench`: measures a host, in a closed loop or in an open one.

mod lane;
mod load;
mod pace;
mod report;
mod tally;
mod worker;
mod workload;

use super::{Exit, Failure, Options, Output, interrupt};
use clap::ValueEnum;
use lane::Lane;
use pace::Pace;
use rand::RngExt;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};
use tally::Tally;
use worker::Worker;
use workload::Workload;

/// Measure throughput and latency.
///
/// In a closed loop each connection sends --pipeline requests, waits for all their replies, and goes on. With --rate requests fall
/// due at fixed times whether earlier ones are answered or not (an open loop), --pipeline is how many may be under way on one
/// connection, and a request's time counts from when it was due, so that a host that stalls does not hide what its clients wait.
///
/// Keys are `bench:` and a number, padded with zeros to --key-len; they stay in the store.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Bench {
    /// Connections, shared out over the threads
    #[arg(short, long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    connections: u32,
    /// Threads [default: one per processor, at most one per connection]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1_024))]
    threads: Option<u32>,
    /// Requests that are sent together (closed loop) or may be under way (open loop) on one connection
    #[arg(short = 'P', long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pipeline: u32,
    /// Requests in all [default: 100000, unless --duration is given]
    #[arg(short = 'n', long, conflicts_with = "duration", value_parser = clap::value_parser!(u64).range(1..))]
    requests: Option<u64>,
    /// Seconds to send for
    #[arg(short, long, value_name = "SECONDS", value_parser = seconds)]
    duration: Option<Duration>,
    /// Requests that fall due per second, in all: measures in an open loop
    #[arg(short, long, value_name = "PER_SECOND", value_parser = rate)]
    rate: Option<f64>,
    /// Length of the keys in bytes
    #[arg(long, value_name = "BYTES", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    key_len: u32,
    /// Length of the values in bytes
    #[arg(long, value_name = "BYTES", default_value_t = 64, value_parser = clap::value_parser!(u32).range(0..=536_870_912))]
    value_len: u32,
    /// Number of different keys
    #[arg(short, long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..))]
    keys: u64,
    /// Share of the requests that read (GET), from 0 to 1; the others write (SET)
    #[arg(long, value_name = "SHARE", default_value_t = 0.5, value_parser = share)]
    read_share: f64,
    /// How the keys are chosen
    #[arg(long, value_enum, default_value_t = Distribution::Uniform)]
    distribution: Distribution,
    /// How uneven zipfian is: the key of rank n is chosen in proportion to 1 / n^EXPONENT
    #[arg(long, value_name = "EXPONENT", default_value_t = 0.99, value_parser = exponent)]
    zipf_exponent: f64,
    /// Number from which keys and operations are drawn; the same number gives the same ones [default: random]
    #[arg(long)]
    seed: Option<u64>,
    /// Set every key once before measuring
    #[arg(long)]
    load: bool,
}

/// How keys are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Distribution {
    /// Each key as often as any other
    Uniform,
    /// Few keys often, most of them seldom
    Zipfian,
}

const REQUESTS: u64 = 100_000;

impl Bench {
    pub(crate) fn run(mut self, options: &Options) -> Result<Exit, Failure> {
        let seed = *self.seed.get_or_insert_with(|| rand::rng().random());
        if self.requests.is_none() && self.duration.is_none() {
            self.requests = Some(REQUESTS);
        }
        let threads = *self.threads.insert(self.thread_count());
        // The whole of the set-up is checked and done before the clock starts.
        let mut workers = Vec::new();
        for at in 0..threads {
            workers.push((Workload::new(&self, seed, at)?, Vec::new()));
        }
        if self.load {
            load::load(&self, options)?;
        }
        for connection in 0..self.connections {
            if let Some((_, lanes)) = workers.get_mut((connection % threads) as usize) {
                lanes.push(Lane::open(options, self.pipeline as usize)?);
            }
        }
        let interrupted = interrupt::flag();
        let empty = tally::histogram().map_err(|error| Failure::Usage(error.to_string()))?;
        let start = Instant::now();
        let tally = thread::scope(|scope| {
            let mut running = Vec::new();
            for ((workload, lanes), at) in workers.into_iter().zip(0..) {
                let pace = Pace::new(&self, at, threads, start);
                let worker = Worker::new(
                    options.clone(),
                    workload,
                    lanes,
                    pace,
                    Arc::clone(&interrupted),
                    Tally::new(&empty),
                );
                let thread = thread::Builder::new().name(format!("bench-{at}"));
                running.push(thread.spawn_scoped(scope, move || worker.run()).map_err(Failure::Thread)?);
            }
            let mut tally = Tally::new(&empty);
            for thread in running {
                match thread.join() {
                    Ok(part) => tally.add(&part),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
            Ok::<_, Failure>(tally)
        })?;
        let mut output = Output::once(options);
        report::print(&self, options, start, &tally, &mut output)?;
        Ok(match (tally.lost, tally.error_count()) {
            (0, 0) => Exit::Done,
            (0, _) => Exit::ErrorReply,
            _ => Exit::NoConnection,
        })
    }

    fn thread_count(&self) -> u32 {
        let processors =
            thread::available_parallelism().map_or(1, |count| u32::try_from(count.get()).unwrap_or(1));
        self.threads.unwrap_or(processors).min(self.connections)
    }
}

fn number_in(text: &str, allowed: impl Fn(f64) -> bool, expected: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(number) if allowed(number) => Ok(number),
        _ => Err(format!("expected {expected}")),
    }
}

fn share(text: &str) -> Result<f64, String> {
    number_in(text, |number| (0.0..=1.0).contains(&number), "a number from 0 to 1")
}

fn rate(text: &str) -> Result<f64, String> {
    number_in(text, |number| number > 0.0 && number <= 1e9, "a number above 0, at most 1e9")
}

fn exponent(text: &str) -> Result<f64, String> {
    number_in(text, |number| (0.0..=10.0).contains(&number), "a number from 0 to 10")
}

fn seconds(text: &str) -> Result<Duration, String> {
    number_in(text, |number| number > 0.0 && number <= 1e6, "a number above 0, at most 1e6")
        .map(Duration::from_secs_f64)
}
