//! Record: how long requests of an open loop took, by when they were due, and how many were answered when.

use std::ops::Range;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use super::open_loop::histogram;

/// Times are kept together for so long.
const SLICE: Duration = Duration::from_millis(10);

/// A piece of time.
pub type Span = Range<Instant>;

#[derive(Clone, Debug, Default)]
struct Slice {
    /// Of each request that was due in it, in microseconds.
    took_us: Vec<u32>,
    /// Requests that were answered in it.
    answered: u64,
}

/// What was seen of a load.
#[derive(Debug)]
pub struct Record {
    /// When it began.
    pub begun: Instant,
    /// Replies.
    pub operations: u64,
    /// Replies that say something else than they should.
    pub errors: u64,
    /// The first of them.
    pub first_error: Option<String>,
    /// All times together, in microseconds.
    pub all: Histogram<u64>,
    /// By how much the load itself was late, in microseconds, each time that something was due.
    pub late: Histogram<u64>,
    by_time: bool,
    slices: Vec<Slice>,
}

impl Record {
    /// Begins now.
    pub(super) fn begin(by_time: bool) -> Self {
        Self {
            begun: Instant::now(),
            operations: 0,
            errors: 0,
            first_error: None,
            all: histogram(),
            late: histogram(),
            by_time,
            slices: Vec::new(),
        }
    }

    /// A reply came.
    pub(super) fn answered(&mut self, due: Instant, now: Instant) {
        let took_us = now.saturating_duration_since(due).as_micros();
        self.operations += 1;
        self.all.saturating_record(took_us as u64);
        if self.by_time {
            let took_us = u32::try_from(took_us).unwrap_or(u32::MAX);
            self.slice(due).took_us.push(took_us);
            self.slice(now).answered += 1;
        }
    }

    /// A reply says something else than it should.
    pub(super) fn failed(&mut self, what: impl FnOnce() -> String) {
        self.errors += 1;
        self.first_error.get_or_insert_with(what);
    }

    pub(super) fn went_late(&mut self, late: Duration) {
        self.late.saturating_record(late.as_micros() as u64);
    }

    fn number(&self, at: Instant) -> usize {
        (at.saturating_duration_since(self.begun).as_nanos() / SLICE.as_nanos()) as usize
    }

    fn slice(&mut self, at: Instant) -> &mut Slice {
        let number = self.number(at);
        if self.slices.len() <= number {
            self.slices.resize_with(number + 1, Slice::default);
        }
        &mut self.slices[number]
    }

    fn of(&self, span: &Span) -> &[Slice] {
        let end = self.number(span.end).min(self.slices.len());
        &self.slices[self.number(span.start).min(end)..end]
    }

    /// Times of the requests that were due in any of these, in microseconds. A request counts once for each span that it was due in.
    pub fn due_in(&self, spans: &[Span]) -> Histogram<u64> {
        let mut times = histogram();
        for took_us in spans.iter().flat_map(|span| self.of(span)).flat_map(|slice| &slice.took_us) {
            times.saturating_record(u64::from(*took_us));
        }
        times
    }

    /// Requests that were answered in this time, as a share of those that were due in it.
    pub fn share_answered(&self, span: &Span) -> f64 {
        let (due, answered) = self.of(span).iter().fold((0, 0), |(due, answered), slice| {
            (due + slice.took_us.len() as u64, answered + slice.answered)
        });
        answered as f64 / due.max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_counts_where_it_was_due_and_its_reply_where_it_came() {
        let mut record = Record::begin(true);
        let at = |ms: u64| record.begun + Duration::from_millis(ms);
        let [a, b, c, d] = [0, 100, 200, 300].map(at);
        record.answered(a, a + Duration::from_micros(70));
        record.answered(a, b);
        record.answered(b, c);
        let (first, second, third) = (a..b, b..c, c..d);
        assert_eq!(record.due_in(std::slice::from_ref(&first)).len(), 2);
        assert_eq!(record.due_in(&[first.clone(), second.clone(), third]).len(), 3);
        assert!((99_000..=101_000).contains(&record.due_in(&[second]).max()));
        assert!((record.share_answered(&first) - 0.5).abs() < 1e-9);
        assert_eq!((record.operations, record.errors), (3, 0));
    }
}
