//! Pubsub: what clients are sent without asking: messages of channels, keyspace notifications, and the lines of MONITOR.
//!
//! Knows no command, no protocol and no socket. A publisher puts deliveries into the [`Mailbox`] of each client that listens; the client's worker,
//! which a [`Bell`] wakes, takes them out and writes them.

mod channels;
mod event;
mod limit;
mod mailbox;
mod monitors;
mod subscriber;

use std::sync::Arc;

pub use channels::Channels;
pub use event::{Classes, Event};
pub use limit::{OutputLimit, OutputLimits, Overdue};
pub use mailbox::{Bell, Delivery, Mailbox, Message};
pub use monitors::Monitors;
pub use subscriber::{Kind, Subscriber};

use channels::Patterns;

/// Who listens to what.
#[derive(Debug, Default)]
pub struct PubSub {
    /// Channels with those who subscribed to them.
    pub channels: Channels,
    /// The same for channels of SSUBSCRIBE, which are apart.
    pub shard_channels: Channels,
    /// Which classes of events are told as messages.
    pub classes: Classes,
    /// Who is shown all commands.
    pub monitors: Monitors,
    patterns: Patterns,
}

impl PubSub {
    /// How many patterns are subscribed to; one that several clients subscribed to counts once.
    pub fn patterns_len(&self) -> usize {
        self.patterns.len()
    }

    /// Sends a message to all who subscribed to its channel, or to a pattern that it matches. Answers to how many; who did both counts twice.
    ///
    /// Messages of one publisher arrive in the order in which they were published, and all who listen to a channel get its messages in the same order.
    pub fn publish(&self, message: &Arc<Message>) -> usize {
        if self.channels.is_empty() && self.patterns.is_empty() {
            return 0;
        }
        self.channels.with(message.channel(), |listeners| {
            let mut receivers = 0;
            for mailbox in listeners.into_iter().flat_map(|listeners| listeners.values()) {
                mailbox.put(Delivery::Message(Arc::clone(message)));
                receivers += 1;
            }
            // Under the lock of the channel as well, for the sake of the order.
            receivers + self.patterns.put(message)
        })
    }

    /// Sends a message to all who subscribed to its channel with SSUBSCRIBE. Answers to how many.
    pub fn publish_to_shard(&self, message: &Arc<Message>) -> usize {
        self.shard_channels.with(message.channel(), |listeners| {
            let listeners = listeners.into_iter().flat_map(|listeners| listeners.values());
            listeners.map(|mailbox| mailbox.put(Delivery::ShardMessage(Arc::clone(message)))).count()
        })
    }

    /// Tells what has happened to a key, if this class of events is told and somebody may listen.
    pub fn tell(&self, event: Event, key: &[u8]) {
        let (by_key, by_event) = self.classes.tells(event);
        if !(by_key || by_event) || self.channels.is_empty() && self.patterns.is_empty() {
            return;
        }
        let name = event.name().as_bytes();
        if by_key {
            self.publish(&Message::new(&[b"__keyspace@0__:", key], name));
        }
        if by_event {
            self.publish(&Message::new(&[b"__keyevent@0__:", name], key));
        }
    }

    /// Subscribes. False: it was already.
    pub fn subscribe(&self, subscriber: &mut Subscriber, kind: Kind, name: &[u8]) -> bool {
        let Some((name, mailbox)) = subscriber.insert(kind, name) else { return false };
        match kind {
            Kind::Channel => self.channels.add(name, mailbox),
            Kind::Pattern => self.patterns.add(name, mailbox),
            Kind::Shard => self.shard_channels.add(name, mailbox),
        }
        true
    }

    /// Ends a subscription; what was published before waits in the mailbox, and nothing comes after it. False: there was none.
    pub fn unsubscribe(&self, subscriber: &mut Subscriber, kind: Kind, name: &[u8]) -> bool {
        let found = subscriber.remove(kind, name);
        if found {
            self.forget(subscriber.mailbox(), kind, name);
        }
        found
    }

    fn forget(&self, mailbox: &Mailbox, kind: Kind, name: &[u8]) {
        match kind {
            Kind::Channel => self.channels.remove(name, mailbox),
            Kind::Pattern => self.patterns.remove(name, mailbox),
            Kind::Shard => self.shard_channels.remove(name, mailbox),
        }
    }

    /// Ends all that a client listens to, and throws away what it was not sent yet.
    pub fn leave(&self, subscriber: &mut Subscriber) {
        for kind in Kind::ALL {
            for name in subscriber.take(kind) {
                self.forget(subscriber.mailbox(), kind, &name);
            }
        }
        self.monitors.remove(subscriber);
        subscriber.mailbox().clear();
    }
}

#[cfg(test)]
mod tests;
