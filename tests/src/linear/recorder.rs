//! Recorder: each client thread notes its operations in a buffer of its own; the buffers become one history at the end.

use super::history::{Call, Entry, History, Key, Op, Outcome};
use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// Hands out clients and collects what they noted.
#[derive(Debug)]
pub struct Recorder {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    origin: Instant,
    clients: AtomicU32,
    collected: Mutex<Collected>,
}

#[derive(Debug, Default)]
struct Collected {
    entries: Vec<Entry>,
    clients_done: u32,
    foreign_tokens: usize,
}

/// One client's notes. Belongs to one thread at a time; delivers them to the recorder when it is dropped, also when its
/// thread panics.
#[derive(Debug)]
pub struct Client {
    shared: Arc<Shared>,
    number: u32,
    entries: Vec<Entry>,
    foreign_tokens: usize,
}

/// An operation that is under way. Dropped without [`Client::complete`] it stays open for ever.
#[must_use = "an operation without its reply counts as one that may take effect at any later time, or never"]
#[derive(Debug)]
pub struct Token {
    client: u32,
    index: usize,
}

/// Why a recorder has no history to give: a history with operations missing proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecorderError {
    /// So many clients have not been dropped, their notes are missing.
    ClientsAlive(u32),
    /// So many tokens were completed at a client that had not made them.
    ForeignTokens(usize),
}

impl fmt::Display for RecorderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RecorderError::ClientsAlive(count) => {
                write!(f, "{count} recording clients have not been dropped yet")
            }
            RecorderError::ForeignTokens(count) => {
                write!(f, "{count} tokens were completed at another client")
            }
        }
    }
}

impl std::error::Error for RecorderError {}

impl Default for Recorder {
    fn default() -> Recorder {
        Recorder::new()
    }
}

impl Recorder {
    /// A recorder whose clock starts now.
    pub fn new() -> Recorder {
        Recorder {
            shared: Arc::new(Shared {
                origin: Instant::now(),
                clients: AtomicU32::new(0),
                collected: Mutex::new(Collected::default()),
            }),
        }
    }

    /// A handle for one more client. Clients are numbered from 0.
    pub fn client(&self) -> Client {
        Client {
            shared: Arc::clone(&self.shared),
            number: self.shared.clients.fetch_add(1, Ordering::Relaxed),
            entries: Vec::with_capacity(1024),
            foreign_tokens: 0,
        }
    }

    /// Everything that the clients noted.
    ///
    /// # Errors
    ///
    /// [`RecorderError::ClientsAlive`] while a client has not been dropped, [`RecorderError::ForeignTokens`] when a token
    /// went to the wrong client.
    pub fn finish(self) -> Result<History, RecorderError> {
        let mut collected = self.shared.collected.lock().unwrap_or_else(PoisonError::into_inner);
        let alive = self.shared.clients.load(Ordering::Relaxed) - collected.clients_done;
        if alive > 0 {
            return Err(RecorderError::ClientsAlive(alive));
        }
        if collected.foreign_tokens > 0 {
            return Err(RecorderError::ForeignTokens(collected.foreign_tokens));
        }
        Ok(History::from_recorded(std::mem::take(&mut collected.entries)))
    }
}

impl Client {
    /// Notes that an operation begins. To be called before the request leaves.
    pub fn invoke(&mut self, key: impl Into<Key>, op: Op) -> Token {
        self.begin(Call::One((key.into(), op)))
    }

    /// Notes that a transaction begins: its operations are one atomic step.
    pub fn invoke_multi(&mut self, parts: Vec<(Key, Op)>) -> Token {
        self.begin(Call::Multi(parts))
    }

    /// Notes the reply. To be called after it has arrived; one client may have any number of operations open and complete
    /// them in any order.
    pub fn complete(&mut self, token: Token, outcome: Outcome) {
        let now_ns = self.now_ns();
        if token.client != self.number {
            self.foreign_tokens += 1;
            return;
        }
        if let (Some(entry), false) = (self.entries.get_mut(token.index), outcome == Outcome::Unknown) {
            entry.reply = Some((now_ns, outcome));
        }
    }

    fn begin(&mut self, call: Call) -> Token {
        let index = self.entries.len();
        self.entries.push(Entry { client: self.number, call, invoked_ns: 0, reply: None });
        // The clock is read last, so that the time to grow the buffer does not widen the interval.
        let now_ns = self.now_ns();
        if let Some(entry) = self.entries.last_mut() {
            entry.invoked_ns = now_ns;
        }
        Token { client: self.number, index }
    }

    fn now_ns(&self) -> u64 {
        // 2^64 ns are 584 years.
        u64::try_from(self.shared.origin.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let mut collected = self.shared.collected.lock().unwrap_or_else(PoisonError::into_inner);
        collected.entries.append(&mut self.entries);
        collected.clients_done += 1;
        collected.foreign_tokens += self.foreign_tokens;
    }
}
