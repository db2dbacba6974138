//! Host: services with a clock that a test sets, and completions that a test waits for.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Instant;

use plugin_abi::calls::{self, HostServices};
use plugin_abi::raw::KvBatch;

use crate::Reply;

/// An event that an engine told of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// One of `KV_EVENT_*`.
    pub kind: u32,
    /// Which key.
    pub key: Vec<u8>,
    /// The version it had.
    pub version: u64,
}

/// The host's side, shared between the test and the engine.
#[derive(Debug)]
pub struct TestHost {
    now_ms: AtomicI64,
    started: Instant,
    events: Mutex<Vec<Event>>,
    log: Mutex<String>,
}

impl TestHost {
    pub(crate) fn new(now_ms: i64) -> Arc<Self> {
        Arc::new(Self {
            now_ms: AtomicI64::new(now_ms),
            started: Instant::now(),
            events: Mutex::default(),
            log: Mutex::default(),
        })
    }

    /// The time for expiry, in milliseconds since 1970 UTC.
    pub fn now_ms(&self) -> i64 {
        self.now_ms.load(Ordering::SeqCst)
    }

    /// Sets the time for expiry.
    pub fn set_now_ms(&self, now_ms: i64) {
        self.now_ms.store(now_ms, Ordering::SeqCst);
    }

    /// The time for deadlines, in nanoseconds.
    pub fn monotonic_ns(&self) -> u64 {
        self.started.elapsed().as_nanos() as u64 + 1
    }

    /// The events since the last call.
    pub fn take_events(&self) -> Vec<Event> {
        std::mem::take(&mut self.events.lock().unwrap())
    }

    /// What the engine has written to the log, a line each.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }
}

/// The services table's side of it.
pub(crate) struct Services(pub(crate) Arc<TestHost>);

impl HostServices for Services {
    fn log(&self, level: u32, text: &str) {
        println!("log {level}: {text}");
        *self.0.log.lock().unwrap() += &format!("{text}\n");
    }

    fn now_ms(&self) -> i64 {
        self.0.now_ms()
    }

    fn monotonic_ns(&self) -> u64 {
        self.0.monotonic_ns()
    }

    fn complete(&self, batch: *mut KvBatch, first: u32, count: u32) {
        // SAFETY: a batch of `Store::submit`, alive until all of it is completed.
        let raw = unsafe { &*batch };
        // SAFETY: `host_data` is the address of the ticket's completions, which outlive the batch.
        let completions = unsafe { &*raw.host_data.cast::<Completions>() };
        assert!(u64::from(first) + u64::from(count) <= u64::from(raw.count) && count > 0);
        let replies: Vec<Reply> = (first..first + count)
            // SAFETY: in bounds, and filled in by the engine, which lends the bytes for this call.
            .map(|index| unsafe { Reply::from_raw(&*raw.result(index)) })
            .collect();
        completions.add(first as usize, replies);
    }

    fn event(&self, event: calls::Event<'_>) {
        let calls::Event { kind, key, version, .. } = event;
        self.0.events.lock().unwrap().push(Event { kind, key: key.to_vec(), version });
    }

    fn metric(&self, _: &str, _: u32, _: i64) {}
}

#[derive(Default)]
struct Arrived {
    replies: Vec<Option<Reply>>,
    ranges: Vec<(usize, usize)>,
    twice: bool,
    left: usize,
}

/// What of a batch has been completed.
pub(crate) struct Completions {
    arrived: Mutex<Arrived>,
    all: Condvar,
}

impl Completions {
    pub(crate) fn new(count: usize) -> Self {
        let arrived = Arrived { replies: vec![None; count], left: count, ..Arrived::default() };
        Self { arrived: Mutex::new(arrived), all: Condvar::new() }
    }

    fn add(&self, first: usize, replies: Vec<Reply>) {
        let mut arrived = self.arrived.lock().unwrap();
        arrived.ranges.push((first, replies.len()));
        for (index, reply) in (first..).zip(replies) {
            match arrived.replies[index].replace(reply) {
                None => arrived.left -= 1,
                Some(_) => arrived.twice = true,
            }
        }
        // Under the lock: the waiter frees all this when it has seen the last reply.
        if arrived.left == 0 {
            self.all.notify_all();
        }
    }

    /// All replies and the ranges in which they came.
    pub(crate) fn wait(&self) -> (Vec<Reply>, Vec<(usize, usize)>) {
        let arrived = self.arrived.lock().unwrap();
        let arrived = self.all.wait_while(arrived, |arrived| arrived.left > 0).unwrap();
        assert!(!arrived.twice, "an operation was completed twice: {:?}", arrived.ranges);
        (arrived.replies.iter().flatten().cloned().collect(), arrived.ranges.clone())
    }
}
