//! Server: what all workers share: settings that can change live, counters, the clock, and the list of clients.

mod calls;
mod clients;
mod clock;
mod counter;
mod latency;
mod pause;
mod slowlog;
mod tally;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

pub use calls::{Call, Caller, Calls};
pub use clients::{ClientEntry, ClientInfo, ClientMemory, Clients, Order, Peer};
pub use clock::Clock;
pub use counter::Counter;
pub use latency::{Latency, Spike, Spikes};
pub use pause::{Pause, Paused};
pub use slowlog::{SlowRequest, Slowlog};
pub use tally::{Counted, Figures, Tallies, Tally, steps_of_twice};

use crate::command::Cursors;
use crate::pubsub::{OutputLimits, PubSub};

/// Limits that `CONFIG SET` can change while clients are served.
#[derive(Debug)]
pub struct Settings {
    /// Longest key in bytes.
    pub key_len_max: AtomicUsize,
    /// Longest value in bytes.
    pub value_len_max: AtomicUsize,
    /// Most clients at a time.
    pub clients_max: AtomicUsize,
    /// After how long a client that takes none of its replies is closed, in milliseconds; 0 is never.
    pub output_stall_timeout_ms: AtomicU64,
    /// After how long an idle client is closed, in seconds; 0 is never.
    pub idle_timeout_s: AtomicU64,
    /// How long a reload waits for what is under way, in milliseconds.
    pub drain_timeout_ms: AtomicU64,
    /// Replies at most that tell of a failure of an engine on probation.
    pub probation_errors_max: AtomicU64,
    /// How many percent of what it was the 99th percentile of the commands' times may be on probation; 0: any.
    pub probation_latency_percent: AtomicU64,
    /// Times that are never too long on probation, in microseconds.
    pub probation_latency_floor_us: AtomicU64,
    /// From which time on a batch is noted in the slowlog, in microseconds; negative: none is.
    pub slowlog_threshold_us: AtomicI64,
    /// Requests that the slowlog keeps.
    pub slowlog_len_max: AtomicUsize,
    /// From which time on something counts as a spike of latency, in milliseconds; 0: nothing does.
    pub latency_threshold_ms: AtomicU64,
    /// Whether the times of commands go to histograms.
    pub latency_tracking: AtomicBool,
    /// How much may wait for a client that does not read.
    pub output_limits: Arc<OutputLimits>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            key_len_max: AtomicUsize::new(64 * 1024),
            value_len_max: AtomicUsize::new(512 * 1024 * 1024),
            clients_max: AtomicUsize::new(10_000),
            output_stall_timeout_ms: AtomicU64::new(60_000),
            idle_timeout_s: AtomicU64::new(0),
            drain_timeout_ms: AtomicU64::new(5_000),
            probation_errors_max: AtomicU64::new(10),
            probation_latency_percent: AtomicU64::new(300),
            probation_latency_floor_us: AtomicU64::new(1_000),
            slowlog_threshold_us: AtomicI64::new(10_000),
            slowlog_len_max: AtomicUsize::new(128),
            latency_threshold_ms: AtomicU64::new(0),
            latency_tracking: AtomicBool::new(true),
            output_limits: Arc::default(),
        }
    }
}

/// Counters since the start, or for some since the last [reset](Stats::reset). Else they only grow.
#[derive(Debug, Default)]
pub struct Stats {
    /// Connections taken.
    pub connections: AtomicU64,
    /// Connections refused because there were too many.
    pub connections_rejected: AtomicU64,
    /// Error replies.
    pub errors: AtomicU64,
    /// Those of them that tell of a failure of the engine.
    pub engine_errors: AtomicU64,
    /// How often the engine was asked to make durable what was written, and did.
    pub saves: AtomicU64,
    /// When it last did, in milliseconds since 1970 UTC; 0: it never did.
    pub last_save_ms: AtomicI64,
    /// Entries that expired, as engines tell.
    pub expired: AtomicU64,
    /// Entries that were evicted, as engines tell.
    pub evicted: AtomicU64,
    /// Batches handed to an engine: each is one crossing of the plugin boundary. To an engine without `kv_submit` each operation is one.
    pub batches: Counter,
    /// Operations in those batches.
    pub operations: Counter,
    /// Bytes read from clients.
    pub input_bytes: Counter,
    /// Bytes written to clients.
    pub output_bytes: Counter,
    /// Reloads that succeeded.
    pub reloads: AtomicU64,
    /// Reloads that were refused.
    pub reloads_refused: AtomicU64,
}

impl Stats {
    /// Sets to 0 what `CONFIG RESETSTAT` sets to 0 in Redis. What is told of engines and reloads goes on.
    pub fn reset(&self) {
        let Self { connections, connections_rejected, errors, engine_errors, expired, evicted, .. } = self;
        for counter in [connections, connections_rejected, errors, engine_errors, expired, evicted] {
            counter.store(0, Ordering::Relaxed);
        }
        self.input_bytes.reset();
        self.output_bytes.reset();
    }
}

/// The options that the live engine was opened with.
#[derive(Debug, Default)]
pub struct EngineOptions(Mutex<Vec<(String, String)>>);

impl EngineOptions {
    /// These are the live engine's from now on.
    pub fn set(&self, options: &[(String, String)]) {
        options.clone_into(&mut lock(&self.0));
    }

    /// The value of one.
    pub fn get(&self, key: &str) -> Option<String> {
        lock(&self.0).iter().find(|(found, _)| found == key).map(|(_, value)| value.clone())
    }
}

/// How often each error code was told.
#[derive(Debug, Default)]
pub struct ErrorCodes(Mutex<BTreeMap<String, u64>>);

impl ErrorCodes {
    /// Most different codes that are kept: the words of an engine's errors are not known beforehand.
    const LEN_MAX: usize = 128;

    /// Counts an error: its code, or all of it.
    pub fn count(&self, error: &[u8]) {
        let code = error.split(|byte| byte.is_ascii_whitespace()).next().unwrap_or_default();
        let code = String::from_utf8_lossy(code);
        let mut all = lock(&self.0);
        if all.len() < Self::LEN_MAX || all.contains_key(&*code) {
            *all.entry(code.into_owned()).or_default() += 1;
        }
    }

    /// All of them, by code.
    pub fn list(&self) -> Vec<(String, u64)> {
        lock(&self.0).iter().map(|(code, count)| (code.clone(), *count)).collect()
    }

    /// Sets all to 0.
    pub fn reset(&self) {
        lock(&self.0).clear();
    }
}

/// How fast counters grow, each per second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rates {
    /// Commands carried out.
    pub commands: u64,
    /// Bytes read from clients.
    pub input_bytes: u64,
    /// Bytes written to clients.
    pub output_bytes: u64,
}

/// The counters when somebody last looked, and the rates that were found then.
#[derive(Debug, Default)]
struct LastLook {
    at_ns: u64,
    counters: [u64; 3],
    rates: Rates,
}

/// Adds to a counter. Counters guard nothing, so no order is needed.
pub fn add(counter: &AtomicU64, count: u64) {
    counter.fetch_add(count, Ordering::Relaxed);
}

/// Locks, also after a panic elsewhere: each of these locks guards plain facts.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Figures that engines push, by engine and name.
#[derive(Debug, Default)]
pub struct Metrics {
    all: Mutex<BTreeMap<(String, String), i64>>,
}

impl Metrics {
    /// Most different figures that are kept: an engine must not fill the memory with names.
    const LEN_MAX: usize = 1024;

    /// Adds to a counter, or sets a gauge.
    pub fn note(&self, engine: &str, name: &str, counter: bool, number: i64) {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (engine.to_owned(), name.to_owned());
        if all.len() < Self::LEN_MAX || all.contains_key(&key) {
            let value = all.entry(key).or_default();
            *value = if counter { value.saturating_add(number) } else { number };
        }
    }

    /// All figures: engine, name, number.
    pub fn list(&self) -> Vec<(String, String, i64)> {
        let all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().map(|((engine, name), number)| (engine.clone(), name.clone(), *number)).collect()
    }
}

/// What does not change after the start.
#[derive(Debug, Default)]
pub struct Facts {
    /// 40 hexadecimal digits, new with each start.
    pub run_id: String,
    /// The TCP port of the first listener; 0 where there is none.
    pub tcp_port: u16,
    /// The TCP addresses that are listened on, between spaces.
    pub bind: String,
    /// Path of the Unix socket.
    pub unix_socket: Option<String>,
    /// Permissions of the Unix socket.
    pub unix_mode: u32,
    /// Path of the configuration file.
    pub config_file: Option<String>,
    /// Number of workers.
    pub workers: usize,
    /// When the server started, in milliseconds since 1970 UTC.
    pub start_ms: i64,
}

/// What all workers share.
#[derive(Debug, Default)]
pub struct Server {
    /// Limits that can change live.
    pub settings: Settings,
    /// Counters.
    pub stats: Stats,
    /// What the workers count of their commands.
    pub tallies: Tallies,
    /// Error replies by their code.
    pub error_codes: ErrorCodes,
    /// Requests that took long.
    pub slowlog: Slowlog,
    /// What took long.
    pub latency: Latency,
    /// The time.
    pub clock: Clock,
    /// Which threads are in calls of the engine.
    pub calls: Calls,
    /// The clients.
    pub clients: Clients,
    /// Whether clients are to wait.
    pub pause: Pause,
    /// Figures that engines push.
    pub metrics: Metrics,
    /// What does not change.
    pub facts: Facts,
    /// What the live engine was opened with.
    pub engine_options: EngineOptions,
    /// Cursors of SCAN that clients go on from.
    pub cursors: Cursors,
    /// Who listens to what.
    pub pubsub: PubSub,
    last_look: Mutex<LastLook>,
    stop: StopHook,
}

/// What ends the server, once it can be ended.
#[derive(Default)]
struct StopHook(OnceLock<Box<dyn Fn(&'static str) + Send + Sync>>);

impl std::fmt::Debug for StopHook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StopHook")
    }
}

impl Server {
    /// Says how the server is ended: it is given who asks for it. Holds once.
    pub fn on_stop(&self, stop: impl Fn(&'static str) + Send + Sync + 'static) {
        // Only the first one counts; there is one control thread.
        let _ = self.stop.0.set(Box::new(stop));
    }

    /// Ends the server in order. False: nobody has said how.
    pub fn stop(&self, who: &'static str) -> bool {
        self.stop.0.get().map(|stop| stop(who)).is_some()
    }

    /// Looks closer together than this give the rates that the former found, in nanoseconds.
    const LOOK_NS: u64 = 100_000_000;

    /// How fast the counters have grown since somebody last asked.
    pub fn rates(&self) -> Rates {
        let mut last = self.last_look.lock().unwrap_or_else(PoisonError::into_inner);
        let now_ns = self.clock.monotonic_ns();
        let elapsed_ns = now_ns.saturating_sub(last.at_ns);
        if elapsed_ns >= Self::LOOK_NS {
            let Stats { input_bytes, output_bytes, .. } = &self.stats;
            let counters = [self.tallies.commands(), input_bytes.get(), output_bytes.get()];
            let per_second = |now: u64, then: u64| {
                let grown = u128::from(now.saturating_sub(then)) * 1_000_000_000;
                u64::try_from(grown / u128::from(elapsed_ns)).unwrap_or(u64::MAX)
            };
            let [commands, input_bytes, output_bytes] = counters;
            let [commands_then, input_then, output_then] = last.counters;
            let rates = Rates {
                commands: per_second(commands, commands_then),
                input_bytes: per_second(input_bytes, input_then),
                output_bytes: per_second(output_bytes, output_then),
            };
            *last = LastLook { at_ns: now_ns, counters, rates };
        }
        last.rates
    }
}
