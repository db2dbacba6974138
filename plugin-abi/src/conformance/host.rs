//! Host: the services that the suite offers. It counts completions, and distrusts each.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::flight::FlightPtr;
use super::request::Answer;
use super::{Check, Stop, ensure};
use crate::calls::{Event, HostServices};
use crate::raw::*;

/// The clock of a new host, in milliseconds since 1970 UTC: far from the real time, so that an engine which looks at another
/// clock than the host's is found out.
const START_MS: i64 = 5_000_000_000_000;

/// What the suite knows of one instance's batches and faults.
pub(super) struct Host {
    now_ms: AtomicI64,
    start: Instant,
    state: Mutex<State>,
    completed: Condvar,
}

#[derive(Default)]
struct State {
    // By the batch's address; kept until the instance is closed, so that no address is used twice.
    flights: BTreeMap<usize, Record>,
    faults: Vec<String>,
}

struct Record {
    flight: FlightPtr,
    answers: Vec<Option<Answer>>,
    left: usize,
    pinned: bool,
    refused: bool,
}

/// What the engine gets.
pub(super) struct Services(pub(super) Arc<Host>);

impl Host {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            now_ms: AtomicI64::new(START_MS),
            start: Instant::now(),
            state: Mutex::default(),
            completed: Condvar::new(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn now_ms(&self) -> i64 {
        self.now_ms.load(Ordering::SeqCst)
    }

    /// Lets time pass, in milliseconds.
    pub(super) fn advance(&self, ms: i64) {
        self.now_ms.fetch_add(ms, Ordering::SeqCst);
    }

    /// Notes something that must not happen, at a time when no test can be told.
    pub(super) fn fault(&self, text: String) {
        self.state().faults.push(text);
    }

    /// The first fault that was noted.
    pub(super) fn check_faults(&self) -> Check {
        self.state().faults.first().map_or(Ok(()), |fault| Err(Stop::Failed(fault.clone())))
    }

    /// Expects completions of this batch. To be called before it is submitted.
    pub(super) fn expect(&self, flight: FlightPtr) {
        let count = flight.requests().len();
        let record =
            Record { flight, answers: vec![None; count], left: count, pinned: false, refused: false };
        self.state().flights.insert(flight.batch().addr(), record);
    }

    /// Expects no completion of a batch that was refused; an error if one came.
    pub(super) fn refused(&self, flight: FlightPtr) -> Check {
        let mut state = self.state();
        let Some(record) = state.flights.get_mut(&flight.batch().addr()) else { return Ok(()) };
        let done = record.answers.len() - record.left;
        (record.left, record.refused) = (0, true);
        ensure!(done == 0, "{done} operations of a batch that kv_submit refused were completed");
        Ok(())
    }

    /// Waits until all operations of a batch are completed, for at most so long. The answers, and whether one is pinned.
    pub(super) fn wait(&self, flight: FlightPtr, patience_ms: u64) -> Result<(Vec<Answer>, bool), Stop> {
        let deadline = Instant::now() + Duration::from_millis(patience_ms);
        let mut state = self.state();
        loop {
            let Some(record) = state.flights.get(&flight.batch().addr()) else {
                return Err(Stop::Failed("the batch is not under way".to_owned()));
            };
            if record.left == 0 {
                return Ok((record.answers.iter().flatten().cloned().collect(), record.pinned));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let open = record.answers.iter().enumerate().filter(|(_, answer)| answer.is_none());
                let open: Vec<_> = open.map(|(index, _)| index.to_string()).take(10).collect();
                return Err(Stop::Failed(format!(
                    "not completed within {patience_ms} ms: {} of {} operations ({})",
                    record.left,
                    record.answers.len(),
                    open.join(", ")
                )));
            }
            state = self.completed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// After kv_close: each operation was completed. Frees what the engine has let go of, and leaks the rest, which it may
    /// still write to.
    pub(super) fn check_closed(&self) -> Check {
        let flights = std::mem::take(&mut self.state().flights);
        let mut left = 0;
        for record in flights.into_values() {
            left += record.left;
            if record.left == 0 {
                // SAFETY: all is completed, and the record was the last that knew the pointer.
                unsafe { record.flight.free() };
            }
        }
        ensure!(left == 0, "kv_close returned while {left} operations were not completed");
        Ok(())
    }

    fn completed(&self, batch: *mut KvBatch, first: u32, count: u32) {
        let mut state = self.state();
        let State { flights, faults } = &mut *state;
        let Some(record) = flights.get_mut(&batch.addr()) else {
            faults.push("kv_host.complete was called with a batch that is not under way".to_owned());
            return;
        };
        if record.refused {
            faults.push("a batch that kv_submit refused was completed".to_owned());
            return;
        }
        let end = u64::from(first) + u64::from(count);
        if count == 0 || end > record.answers.len() as u64 {
            let len = record.answers.len();
            faults.push(format!("operations {first} to {end} of a batch of {len} were completed"));
            return;
        }
        for index in first..end as u32 {
            let place = &mut record.answers[index as usize];
            if place.is_some() {
                faults.push(format!("operation {index} of a batch was completed more than once"));
                continue;
            }
            // SAFETY: in bounds, and the engine says that the result is complete and lends it for this call.
            let (answer, pinned) = unsafe { (record.flight.answer(index), record.flight.is_pinned(index)) };
            *place = Some(answer);
            record.pinned |= pinned;
            record.left -= 1;
        }
        self.completed.notify_all();
    }
}

impl HostServices for Services {
    fn log(&self, level: u32, text: &str) {
        if !(KV_LOG_ERROR..=KV_LOG_DEBUG).contains(&level) {
            self.0.fault(format!("kv_host.log was called with the level {level}: {text}"));
        }
    }

    fn now_ms(&self) -> i64 {
        self.0.now_ms()
    }

    fn monotonic_ns(&self) -> u64 {
        // From one second on, so that there are deadlines which have passed.
        1_000_000_000 + self.0.start.elapsed().as_nanos() as u64
    }

    fn complete(&self, batch: *mut KvBatch, first: u32, count: u32) {
        self.0.completed(batch, first, count);
    }

    fn event(&self, event: Event<'_>) {
        if !(KV_EVENT_EXPIRED..=KV_EVENT_LOST).contains(&event.kind) {
            self.0.fault(format!("kv_host.event was called with the kind {}", event.kind));
        }
    }

    fn metric(&self, name: &str, kind: u32, _number: i64) {
        if !(KV_STAT_COUNTER..=KV_STAT_GAUGE).contains(&kind) {
            self.0.fault(format!("kv_host.metric was called with the kind {kind} for {name}"));
        }
    }
}
