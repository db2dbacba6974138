//! Clock: the wall clock, which a test can shift and stop, and the one that measures.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Both clocks.
#[derive(Debug)]
pub struct Clock {
    start: Instant,
    shift_ms: AtomicI64,
    /// Where it stands still, in milliseconds; 0: it goes.
    stopped_ms: AtomicI64,
}

impl Default for Clock {
    fn default() -> Self {
        Self { start: Instant::now(), shift_ms: AtomicI64::new(0), stopped_ms: AtomicI64::new(0) }
    }
}

impl Clock {
    /// Milliseconds since 1970 UTC.
    pub fn now_ms(&self) -> i64 {
        self.now_us() / 1000
    }

    /// Microseconds since 1970 UTC.
    pub fn now_us(&self) -> i64 {
        let since = match self.stopped_ms.load(Ordering::Relaxed) {
            0 => SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(),
            stopped => Duration::from_millis(stopped.unsigned_abs()),
        };
        let shift_us = self.shift_ms.load(Ordering::Relaxed).saturating_mul(1000);
        let since_us = since.as_secs().saturating_mul(1_000_000) + u64::from(since.subsec_micros());
        i64::try_from(since_us).unwrap_or(i64::MAX).saturating_add(shift_us)
    }

    /// Stops the wall clock at this time, in milliseconds since 1970 UTC, so that a run can be repeated.
    pub fn stop_at_ms(&self, at_ms: i64) {
        self.stopped_ms.store(at_ms, Ordering::Relaxed);
    }

    /// Nanoseconds since the server started; never goes backwards.
    pub fn monotonic_ns(&self) -> u64 {
        let elapsed = self.start.elapsed();
        elapsed.as_secs().saturating_mul(1_000_000_000) + u64::from(elapsed.subsec_nanos())
    }

    /// Sets the wall clock forward, or back.
    pub fn shift_ms(&self, by: i64) {
        self.shift_ms.fetch_add(by, Ordering::Relaxed);
    }
}
