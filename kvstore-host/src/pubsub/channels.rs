//! Channels: the names that are subscribed to, each with the mailboxes of its listeners.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use super::{Delivery, Mailbox, Message};
use crate::glob::{Case, matches};
use crate::server::lock;

/// Mailboxes by the number of their client.
pub(super) type Listeners = BTreeMap<u64, Arc<Mailbox>>;

/// The channels of one lock.
type Shard = Mutex<HashMap<Arc<[u8]>, Listeners>>;

/// Number of locks: publishers to channels that share one wait for each other.
const SHARDS: usize = 64;

/// Channels, each with its listeners; one without any is not there.
#[derive(Debug)]
pub struct Channels {
    shards: Box<[Shard]>,
    len: AtomicUsize,
    hasher: RandomState,
}

impl Default for Channels {
    fn default() -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        Self { shards, len: AtomicUsize::new(0), hasher: RandomState::new() }
    }
}

impl Channels {
    /// How many channels somebody listens to.
    pub fn len(&self) -> usize {
        self.len.load(Ordering::Acquire)
    }

    /// Whether nobody listens to any.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many listen to a channel.
    pub fn listeners_len(&self, channel: &[u8]) -> usize {
        self.with(channel, |listeners| listeners.map_or(0, |listeners| listeners.len()))
    }

    /// All channels, in no order.
    pub fn names(&self) -> Vec<Arc<[u8]>> {
        self.shards.iter().flat_map(|shard| lock(shard).keys().cloned().collect::<Vec<_>>()).collect()
    }

    fn shard(&self, channel: &[u8]) -> Option<&Shard> {
        self.shards.get(self.hasher.hash_one(channel) as usize % SHARDS)
    }

    /// Shows the listeners of a channel, under its lock.
    pub(super) fn with<T>(&self, channel: &[u8], show: impl FnOnce(Option<&Listeners>) -> T) -> T {
        match self.shard(channel) {
            Some(shard) => show(lock(shard).get(channel)),
            None => show(None),
        }
    }

    pub(super) fn add(&self, channel: Arc<[u8]>, mailbox: Arc<Mailbox>) {
        let Some(shard) = self.shard(&channel) else { return };
        let mut shard = lock(shard);
        let listeners = shard.entry(channel).or_default();
        if listeners.is_empty() {
            self.len.fetch_add(1, Ordering::AcqRel);
        }
        listeners.insert(mailbox.client(), mailbox);
    }

    pub(super) fn remove(&self, channel: &[u8], mailbox: &Mailbox) {
        let Some(shard) = self.shard(channel) else { return };
        let mut shard = lock(shard);
        let Some(listeners) = shard.get_mut(channel) else { return };
        listeners.remove(&mailbox.client());
        if listeners.is_empty() {
            shard.remove(channel);
            self.len.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

/// Patterns, each with its listeners; one without any is not there.
#[derive(Debug, Default)]
pub(super) struct Patterns {
    all: RwLock<BTreeMap<Arc<[u8]>, Listeners>>,
    len: AtomicUsize,
}

impl Patterns {
    pub(super) fn len(&self) -> usize {
        self.len.load(Ordering::Acquire)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn add(&self, pattern: Arc<[u8]>, mailbox: Arc<Mailbox>) {
        let mut all = self.all.write().unwrap_or_else(PoisonError::into_inner);
        all.entry(pattern).or_default().insert(mailbox.client(), mailbox);
        self.len.store(all.len(), Ordering::Release);
    }

    pub(super) fn remove(&self, pattern: &[u8], mailbox: &Mailbox) {
        let mut all = self.all.write().unwrap_or_else(PoisonError::into_inner);
        let Some(listeners) = all.get_mut(pattern) else { return };
        listeners.remove(&mailbox.client());
        if listeners.is_empty() {
            all.remove(pattern);
        }
        self.len.store(all.len(), Ordering::Release);
    }

    /// Puts a message into the mailboxes of those whose pattern its channel matches; answers how many. A pattern that takes too much work on this
    /// channel matches it not: the limit is far beyond what people write, and nobody's pattern may hold up the others.
    pub(super) fn put(&self, message: &Arc<Message>) -> usize {
        if self.is_empty() {
            return 0;
        }
        let mut receivers = 0;
        for (pattern, listeners) in self.all.read().unwrap_or_else(PoisonError::into_inner).iter() {
            if matches(pattern, message.channel(), Case::Sensitive) == Ok(true) {
                for mailbox in listeners.values() {
                    mailbox.put(Delivery::PatternMessage(Arc::clone(pattern), Arc::clone(message)));
                }
                receivers += listeners.len();
            }
        }
        receivers
    }
}
