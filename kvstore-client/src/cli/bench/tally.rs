//! Tally: what was measured.

use super::workload::Operation;
use hdrhistogram::{CreationError, Histogram};
use kvstore_client::{ReplyError, Value};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

const HOUR_NS: u64 = 3_600_000_000_000;
/// Different error texts that are kept apart, so that a host cannot fill the memory with them.
const ERRORS_MAX: usize = 20;

/// The counts and times of one thread, or of all. Times are in nanoseconds, to three significant digits, up to an hour.
pub(super) struct Tally {
    pub(super) reads: Histogram<u64>,
    pub(super) writes: Histogram<u64>,
    /// Reads and writes answered without an error.
    pub(super) read_replies: u64,
    pub(super) write_replies: u64,
    /// Reads that gave a value.
    pub(super) found: u64,
    /// Error replies by their text.
    pub(super) errors: BTreeMap<String, u64>,
    /// Requests whose connection was lost before the reply.
    pub(super) lost: u64,
    /// Requests that were due and not answered when the measurement was given up; their times so far are in the histograms.
    pub(super) unfinished: u64,
    pub(super) reconnects: u64,
    pub(super) last_reply: Option<Instant>,
}

impl Tally {
    /// An empty tally, with histograms like `empty`.
    pub(super) fn new(empty: &Histogram<u64>) -> Self {
        Self {
            reads: Histogram::new_from(empty),
            writes: Histogram::new_from(empty),
            read_replies: 0,
            write_replies: 0,
            found: 0,
            errors: BTreeMap::new(),
            lost: 0,
            unfinished: 0,
            reconnects: 0,
            last_reply: None,
        }
    }

    /// Counts a reply. The time of an error reply is not recorded: a quick refusal is no quick service.
    pub(super) fn reply(&mut self, operation: Operation, time: Duration, reply: &Value, now: Instant) {
        self.last_reply = Some(now);
        if let Value::Error(error) = reply {
            return self.error(error);
        }
        match operation {
            Operation::Read => {
                self.read_replies += 1;
                self.found += u64::from(!reply.is_nil());
            }
            Operation::Write => self.write_replies += 1,
        }
        self.time(operation, time);
    }

    pub(super) fn time(&mut self, operation: Operation, time: Duration) {
        let nanoseconds = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        match operation {
            Operation::Read => self.reads.saturating_record(nanoseconds),
            Operation::Write => self.writes.saturating_record(nanoseconds),
        }
    }

    fn error(&mut self, error: &ReplyError) {
        let text = error.to_string();
        let known = self.errors.len() < ERRORS_MAX || self.errors.contains_key(&text);
        *self.errors.entry(if known { text } else { "(others)".to_owned() }).or_default() += 1;
    }

    pub(super) fn error_count(&self) -> u64 {
        self.errors.values().sum()
    }

    /// Requests answered, errors among them.
    pub(super) fn replies(&self) -> u64 {
        self.read_replies + self.write_replies + self.error_count()
    }

    pub(super) fn all(&self) -> Histogram<u64> {
        let mut all = self.reads.clone();
        all += &self.writes;
        all
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.reads += &other.reads;
        self.writes += &other.writes;
        self.read_replies += other.read_replies;
        self.write_replies += other.write_replies;
        self.found += other.found;
        for (text, count) in &other.errors {
            *self.errors.entry(text.clone()).or_default() += count;
        }
        self.lost += other.lost;
        self.unfinished += other.unfinished;
        self.reconnects += other.reconnects;
        self.last_reply = self.last_reply.max(other.last_reply);
    }
}

/// An empty histogram from a nanosecond to an hour, to three significant digits.
pub(super) fn histogram() -> Result<Histogram<u64>, CreationError> {
    Histogram::new_with_bounds(1, HOUR_NS, 3)
}
