//! Server: what all workers share: settings that can change live, counters, the clock, and the list of clients.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

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
        }
    }
}

/// Counters since the start. All only grow.
#[derive(Debug, Default)]
pub struct Stats {
    /// Connections taken.
    pub connections: AtomicU64,
    /// Connections refused because there were too many.
    pub connections_rejected: AtomicU64,
    /// Commands carried out.
    pub commands: AtomicU64,
    /// Commands that a command error answered.
    pub errors: AtomicU64,
    /// Reads that found an entry.
    pub hits: AtomicU64,
    /// Reads that found none.
    pub misses: AtomicU64,
    /// Entries that expired, as engines tell.
    pub expired: AtomicU64,
    /// Entries that were evicted, as engines tell.
    pub evicted: AtomicU64,
    /// Batches handed to an engine: each is one crossing of the plugin boundary.
    pub batches: AtomicU64,
    /// Operations in those batches.
    pub operations: AtomicU64,
    /// Bytes read from clients.
    pub input_bytes: AtomicU64,
    /// Bytes written to clients.
    pub output_bytes: AtomicU64,
    /// Reloads that succeeded.
    pub reloads: AtomicU64,
    /// Reloads that were refused.
    pub reloads_refused: AtomicU64,
}

/// Adds to a counter. Counters guard nothing, so no order is needed.
pub fn add(counter: &AtomicU64, count: u64) {
    counter.fetch_add(count, Ordering::Relaxed);
}

/// The wall clock, which a test can shift.
#[derive(Debug)]
pub struct Clock {
    start: Instant,
    shift_ms: AtomicI64,
}

impl Default for Clock {
    fn default() -> Self {
        Self { start: Instant::now(), shift_ms: AtomicI64::new(0) }
    }
}

impl Clock {
    /// Milliseconds since 1970 UTC.
    pub fn now_ms(&self) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_millis())
            .unwrap_or(i64::MAX)
            .saturating_add(self.shift_ms.load(Ordering::Relaxed))
    }

    /// Nanoseconds since the server started; never goes backwards.
    pub fn monotonic_ns(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// Sets the wall clock forward, or back.
    pub fn shift_ms(&self, by: i64) {
        self.shift_ms.fetch_add(by, Ordering::Relaxed);
    }
}

/// What `CLIENT LIST` tells of one client.
#[derive(Clone, Debug, Default)]
pub struct ClientInfo {
    /// The client's number.
    pub id: u64,
    /// Its address, or the path of the Unix socket.
    pub addr: String,
    /// The address that it connected to.
    pub laddr: String,
    /// The name it gave itself.
    pub name: String,
    /// The name of its library.
    pub lib_name: String,
    /// The version of its library.
    pub lib_ver: String,
    /// Its last command.
    pub cmd: String,
    /// 2 or 3.
    pub resp: i64,
    /// Requests queued since MULTI; -1 outside of a transaction.
    pub multi: i64,
    /// Watched keys.
    pub watch: usize,
    /// When it came, in milliseconds since 1970 UTC.
    pub since_ms: i64,
    /// When it last sent a command, in milliseconds since 1970 UTC.
    pub active_ms: i64,
}

/// All clients by their number.
#[derive(Debug, Default)]
pub struct Clients {
    all: Mutex<BTreeMap<u64, ClientInfo>>,
    last_id: AtomicU64,
}

impl Clients {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, ClientInfo>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a new client in and answers its number.
    pub fn add(&self, info: ClientInfo) -> u64 {
        let id = self.last_id.fetch_add(1, Ordering::Relaxed) + 1;
        self.lock().insert(id, ClientInfo { id, ..info });
        id
    }

    /// Notes what changed about a client.
    pub fn update(&self, id: u64, change: impl FnOnce(&mut ClientInfo)) {
        if let Some(info) = self.lock().get_mut(&id) {
            change(info);
        }
    }

    /// Forgets a client.
    pub fn remove(&self, id: u64) {
        self.lock().remove(&id);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All of them, by number.
    pub fn list(&self) -> Vec<ClientInfo> {
        self.lock().values().cloned().collect()
    }

    /// One of them.
    pub fn get(&self, id: u64) -> Option<ClientInfo> {
        self.lock().get(&id).cloned()
    }
}

/// What does not change after the start.
#[derive(Debug, Default)]
pub struct Facts {
    /// 40 hexadecimal digits, new with each start.
    pub run_id: String,
    /// The TCP port of the first listener; 0 where there is none.
    pub tcp_port: u16,
    /// Path of the Unix socket.
    pub unix_socket: Option<String>,
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
    /// The time.
    pub clock: Clock,
    /// The clients.
    pub clients: Clients,
    /// What does not change.
    pub facts: Facts,
}
