//! Subscriber: what one client listens to, and its mailbox.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Mailbox;
use crate::protocol::Reply;

/// What is subscribed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A channel: SUBSCRIBE.
    Channel,
    /// All channels that match a pattern: PSUBSCRIBE.
    Pattern,
    /// A channel of SSUBSCRIBE.
    Shard,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Channel, Self::Pattern, Self::Shard];
}

/// What one client listens to.
#[derive(Debug, Default)]
pub struct Subscriber {
    mailbox: Arc<Mailbox>,
    names: [BTreeSet<Arc<[u8]>>; 3],
    /// Whether it is shown all commands; see [`Monitors`](super::Monitors).
    pub(super) monitors: bool,
}

impl Subscriber {
    /// A client that listens to nothing yet.
    pub fn new(mailbox: Mailbox) -> Self {
        Self { mailbox: Arc::new(mailbox), ..Self::default() }
    }

    /// Its mailbox.
    pub fn mailbox(&self) -> &Arc<Mailbox> {
        &self.mailbox
    }

    fn set(&mut self, kind: Kind) -> &mut BTreeSet<Arc<[u8]>> {
        let [channels, patterns, shard_channels] = &mut self.names;
        match kind {
            Kind::Channel => channels,
            Kind::Pattern => patterns,
            Kind::Shard => shard_channels,
        }
    }

    /// How many channels, patterns or shard channels it subscribed to.
    pub fn len(&self, kind: Kind) -> usize {
        let [channels, patterns, shard_channels] = &self.names;
        match kind {
            Kind::Channel => channels.len(),
            Kind::Pattern => patterns.len(),
            Kind::Shard => shard_channels.len(),
        }
    }

    /// Whether it subscribed to anything.
    pub fn subscribes(&self) -> bool {
        self.names.iter().any(|names| !names.is_empty())
    }

    /// Whether it is shown all commands.
    pub fn monitors(&self) -> bool {
        self.monitors
    }

    /// Whether it may be sent something without asking.
    pub fn listens(&self) -> bool {
        self.subscribes() || self.monitors
    }

    /// Notes a name; `None`: it was there already.
    pub(super) fn insert(&mut self, kind: Kind, name: &[u8]) -> Option<(Arc<[u8]>, Arc<Mailbox>)> {
        let set = self.set(kind);
        if set.contains(name) {
            return None;
        }
        let name: Arc<[u8]> = name.into();
        set.insert(Arc::clone(&name));
        Some((name, Arc::clone(&self.mailbox)))
    }

    /// Forgets a name. False: it was not there.
    pub(super) fn remove(&mut self, kind: Kind, name: &[u8]) -> bool {
        self.set(kind).remove(name)
    }

    /// Forgets all names of a kind, and answers them.
    pub(super) fn take(&mut self, kind: Kind) -> BTreeSet<Arc<[u8]>> {
        std::mem::take(self.set(kind))
    }

    /// The names of a kind, in their order as bytes.
    pub fn names(&self, kind: Kind) -> Vec<Arc<[u8]>> {
        let [channels, patterns, shard_channels] = &self.names;
        match kind {
            Kind::Channel => channels,
            Kind::Pattern => patterns,
            Kind::Shard => shard_channels,
        }
        .iter()
        .cloned()
        .collect()
    }

    /// Writes what is in its mailbox, up to about `len_max` bytes.
    pub fn deliver(&self, len_max: usize, reply: &mut dyn Reply) {
        if self.mailbox.is_waiting() {
            self.mailbox.take(len_max).iter().for_each(|delivery| delivery.write(reply));
        }
    }
}
