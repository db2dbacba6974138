//! Slowlog: the requests that took long, the newest ones.

use std::collections::VecDeque;
use std::sync::Mutex;

use super::lock;

/// A request that took long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlowRequest {
    /// Its number: 0, 1, 2 … since the start.
    pub id: u64,
    /// When it was carried out, in seconds since 1970 UTC.
    pub at_s: i64,
    /// How long it took, in microseconds.
    pub took_us: u64,
    /// Its arguments, the command's name first; long ones and many of them cut.
    pub args: Vec<Vec<u8>>,
    /// Whose it was.
    pub addr: String,
    /// The name that the client gave itself.
    pub name: String,
}

#[derive(Debug, Default)]
struct Entries {
    next_id: u64,
    newest_first: VecDeque<SlowRequest>,
}

/// The newest requests that took long.
#[derive(Debug, Default)]
pub struct Slowlog(Mutex<Entries>);

impl Slowlog {
    /// Takes a request in, with a number of its own, and forgets the oldest ones beyond `len_max`.
    pub fn push(&self, request: SlowRequest, len_max: usize) {
        let mut entries = lock(&self.0);
        let id = entries.next_id;
        entries.next_id += 1;
        entries.newest_first.push_front(SlowRequest { id, ..request });
        entries.newest_first.truncate(len_max);
    }

    /// The newest `count` of them, the newest first.
    pub fn newest(&self, count: usize) -> Vec<SlowRequest> {
        lock(&self.0).newest_first.iter().take(count).cloned().collect()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        lock(&self.0).newest_first.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets all of them. Their numbers are not used again.
    pub fn clear(&self) {
        lock(&self.0).newest_first.clear();
    }
}
