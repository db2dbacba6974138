//! Mailbox: what one client is to be sent without having asked, between those who publish and the worker that writes it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use super::{OutputLimits, Overdue};
use crate::protocol::Reply;
use crate::server::lock;

/// A message: its channel and its payload, shared by all who get it.
#[derive(Debug, PartialEq, Eq)]
pub struct Message {
    bytes: Box<[u8]>,
    channel_len: usize,
}

impl Message {
    /// A message to the channel that these parts name together.
    pub fn new(channel: &[&[u8]], payload: &[u8]) -> Arc<Self> {
        let channel_len = channel.iter().map(|part| part.len()).sum();
        let mut bytes = Vec::with_capacity(payload.len().saturating_add(channel_len));
        channel.iter().for_each(|part| bytes.extend_from_slice(part));
        bytes.extend_from_slice(payload);
        Arc::new(Self { bytes: bytes.into(), channel_len })
    }

    /// Its channel.
    pub fn channel(&self) -> &[u8] {
        self.bytes.get(..self.channel_len).unwrap_or_default()
    }

    /// What it says.
    pub fn payload(&self) -> &[u8] {
        self.bytes.get(self.channel_len..).unwrap_or_default()
    }
}

/// One thing that a client is sent.
#[derive(Clone, Debug)]
pub enum Delivery {
    /// A message of a channel.
    Message(Arc<Message>),
    /// A message whose channel matches this pattern.
    PatternMessage(Arc<[u8]>, Arc<Message>),
    /// A message of a channel of SSUBSCRIBE.
    ShardMessage(Arc<Message>),
    /// A command that somebody has sent, as MONITOR shows it.
    Command(Arc<str>),
}

/// What a delivery counts for beside its texts, in bytes: its frame, and its place in the queue.
const DELIVERY_LEN: usize = 64;

impl Delivery {
    /// For how many bytes of a client's output it counts.
    fn len(&self) -> usize {
        DELIVERY_LEN
            + match self {
                Self::Message(message) | Self::ShardMessage(message) => message.bytes.len(),
                Self::PatternMessage(pattern, message) => pattern.len() + message.bytes.len(),
                Self::Command(line) => line.len(),
            }
    }

    /// Writes it.
    pub fn write(&self, reply: &mut dyn Reply) {
        let texts = |reply: &mut dyn Reply, texts: &[&[u8]]| {
            reply.push(texts.len());
            texts.iter().for_each(|text| reply.bulk(text));
        };
        match self {
            Self::Message(message) => texts(reply, &[b"message", message.channel(), message.payload()]),
            Self::PatternMessage(pattern, message) => {
                texts(reply, &[b"pmessage", pattern, message.channel(), message.payload()]);
            }
            Self::ShardMessage(message) => texts(reply, &[b"smessage", message.channel(), message.payload()]),
            Self::Command(line) => reply.simple(line),
        }
    }
}

/// Wakes whoever writes what is in a mailbox.
pub trait Bell: Send + Sync + std::fmt::Debug {
    /// There is something in it, or it is overfull. Called under the locks of channels: hands it on, no more.
    fn ring(&self);
}

/// The mailbox of one client.
#[derive(Debug, Default)]
pub struct Mailbox {
    client: u64,
    bell: Option<Box<dyn Bell>>,
    limits: Arc<OutputLimits>,
    // Whether there is something in the queue, or it is overfull: to be seen without its lock.
    waiting: AtomicBool,
    queue: Mutex<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    deliveries: VecDeque<Delivery>,
    /// For how many bytes they count.
    len: usize,
    /// Bytes that were taken out or replied, and that the client has not taken yet.
    unwritten: usize,
    overdue: Overdue,
    /// Why it is overfull, once it is: nothing goes in any more.
    overfull: Option<String>,
}

impl Mailbox {
    /// The mailbox of the client with that number. It holds as much as the limit of those who subscribe allows.
    pub fn new(client: u64, bell: Box<dyn Bell>, limits: Arc<OutputLimits>) -> Self {
        Self { client, bell: Some(bell), limits, ..Self::default() }
    }

    /// The client's number.
    pub(super) fn client(&self) -> u64 {
        self.client
    }

    /// Puts a delivery in. When it becomes too much for a client that does not read, all is thrown away, and the client is to be closed.
    pub(super) fn put(&self, delivery: Delivery) {
        let mut queue = lock(&self.queue);
        if queue.overfull.is_some() {
            return;
        }
        queue.len = queue.len.saturating_add(delivery.len());
        queue.deliveries.push_back(delivery);
        self.limit(&mut queue, Instant::now);
        let known = self.waiting.swap(true, Ordering::AcqRel) && queue.overfull.is_none();
        drop(queue);
        if !known && let Some(bell) = &self.bell {
            bell.ring();
        }
    }

    fn limit(&self, queue: &mut Queue, now: impl FnOnce() -> Instant) {
        let len = queue.len.saturating_add(queue.unwritten);
        if let Some(why) = self.limits.pubsub.exceeded(len, &mut queue.overdue, now) {
            queue.overfull = Some(why);
            (queue.deliveries, queue.len) = (VecDeque::new(), 0);
        }
    }

    /// Whether there is something to be taken out, or it is overfull.
    pub fn is_waiting(&self) -> bool {
        self.waiting.load(Ordering::Acquire)
    }

    /// Takes deliveries out, oldest first, until they count for `len_max` bytes or more.
    pub(super) fn take(&self, len_max: usize) -> VecDeque<Delivery> {
        let mut queue = lock(&self.queue);
        let mut len = 0;
        let mut count = 0;
        while len < len_max
            && let Some(delivery) = queue.deliveries.get(count)
        {
            len += delivery.len();
            count += 1;
        }
        queue.len -= len;
        queue.unwritten = queue.unwritten.saturating_add(len);
        let taken = if count == queue.deliveries.len() {
            self.waiting.store(queue.overfull.is_some(), Ordering::Release);
            std::mem::take(&mut queue.deliveries)
        } else {
            queue.deliveries.drain(..count).collect()
        };
        drop(queue);
        taken
    }

    /// Notes how many bytes the client has not taken of what was written to it. Answers why it is to be closed, if it is.
    pub fn note_unwritten(&self, bytes: usize, now: Instant) -> Option<String> {
        let mut queue = lock(&self.queue);
        queue.unwritten = bytes;
        if queue.overfull.is_none() {
            self.limit(&mut queue, || now);
        }
        queue.overfull.clone()
    }

    /// Throws away what is in it.
    pub(super) fn clear(&self) {
        let mut queue = lock(&self.queue);
        (queue.deliveries, queue.len) = (VecDeque::new(), 0);
        self.waiting.store(queue.overfull.is_some(), Ordering::Release);
    }
}
