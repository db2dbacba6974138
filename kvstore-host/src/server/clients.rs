//! Clients: what the server knows of each, and how a worker is told to do something about one of its own.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use super::lock;

/// What one client makes the host hold, in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct ClientMemory {
    /// Bytes of requests that are not complete, or wait for their turn.
    pub input: usize,
    /// Memory that is kept for more of them.
    pub input_free: usize,
    /// Bytes of the requests that are under way.
    pub args: usize,
    /// Memory of the requests queued since MULTI.
    pub multi: usize,
    /// Bytes of replies that it has not taken.
    pub output: usize,
    /// Memory that holds them, or is kept for more.
    pub output_memory: usize,
    /// All of it, and the connection itself.
    pub total: usize,
}

/// What a worker is to do about one of its clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Close it.
    Kill,
}

/// How a worker is reached by others.
pub trait Peer: Send + Sync {
    /// Has it do something about the client at that place, if that is still this one.
    fn order(&self, place: usize, client: u64, order: Order);
    /// Has it look whether clients that wait can go on.
    fn look(&self);
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
    pub cmd: &'static str,
    /// 2 or 3.
    pub resp: i64,
    /// Requests queued since MULTI; -1 outside of a transaction.
    pub multi: i64,
    /// Watched keys.
    pub watch: usize,
    /// Channels that it subscribed to.
    pub sub: usize,
    /// Patterns that it subscribed to.
    pub psub: usize,
    /// Channels that it subscribed to with SSUBSCRIBE.
    pub ssub: usize,
    /// Whether it is a monitor.
    pub monitor: bool,
    /// The number of its worker, and its place there.
    pub at: (usize, usize),
    /// The descriptor of its socket.
    pub fd: i32,
    /// It came over the Unix socket.
    pub unix: bool,
    /// It is never evicted, it said: CLIENT NO-EVICT.
    pub no_evict: bool,
    /// What it makes the host hold.
    pub memory: ClientMemory,
    /// When it came, in milliseconds since 1970 UTC.
    pub since_ms: i64,
    /// When it last sent a command, in milliseconds since 1970 UTC.
    pub active_ms: i64,
}

/// One client's entry, which its worker writes without hindering the others.
pub type ClientEntry = Arc<Mutex<ClientInfo>>;

/// All clients by their number, and the workers that they belong to.
#[derive(Default)]
pub struct Clients {
    all: Mutex<BTreeMap<u64, ClientEntry>>,
    last_id: AtomicU64,
    workers: Mutex<BTreeMap<usize, Arc<dyn Peer>>>,
}

impl std::fmt::Debug for Clients {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Clients({})", self.len())
    }
}

impl Clients {
    /// Takes a new client in and answers its number.
    pub fn add(&self, info: ClientInfo) -> u64 {
        let id = self.last_id.fetch_add(1, Ordering::Relaxed) + 1;
        lock(&self.all).insert(id, Arc::new(Mutex::new(ClientInfo { id, ..info })));
        id
    }

    /// A client's entry.
    pub fn entry(&self, id: u64) -> Option<ClientEntry> {
        lock(&self.all).get(&id).cloned()
    }

    /// Notes what changed about a client.
    pub fn update(&self, id: u64, change: impl FnOnce(&mut ClientInfo)) {
        if let Some(entry) = self.entry(id) {
            change(&mut lock(&entry));
        }
    }

    /// Takes a worker in.
    pub fn add_worker(&self, index: usize, worker: Arc<dyn Peer>) {
        lock(&self.workers).insert(index, worker);
    }

    /// Has a client's worker do something about it.
    pub fn order(&self, client: &ClientInfo, order: Order) {
        let (index, place) = client.at;
        if let Some(worker) = lock(&self.workers).get(&index) {
            worker.order(place, client.id, order);
        }
    }

    /// Has all workers look whether clients that wait can go on.
    pub fn look(&self) {
        lock(&self.workers).values().for_each(|worker| worker.look());
    }

    /// Forgets a client.
    pub fn remove(&self, id: u64) {
        lock(&self.all).remove(&id);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        lock(&self.all).len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All of them, by number.
    pub fn list(&self) -> Vec<ClientInfo> {
        lock(&self.all).values().map(|entry| lock(entry).clone()).collect()
    }

    /// How many each worker has, of which there are at least so many.
    pub fn by_worker(&self, workers: usize) -> Vec<usize> {
        let mut counts = vec![0; workers];
        for entry in lock(&self.all).values() {
            let worker = lock(entry).at.0;
            counts.resize(counts.len().max(worker + 1), 0);
            counts[worker] += 1;
        }
        counts
    }

    /// One of them.
    pub fn get(&self, id: u64) -> Option<ClientInfo> {
        self.entry(id).map(|entry| lock(&entry).clone())
    }
}
