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

/// What the wall clock and the monotonic clock said at one moment: for a while, one look at the monotonic clock then tells both times.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    wall_us: i64,
    monotonic_ns: u64,
    /// The wall clock stands still.
    stopped: bool,
}

impl Moment {
    /// This moment, in milliseconds since 1970 UTC.
    pub fn ms(self) -> i64 {
        self.wall_us / 1000
    }

    /// The time in milliseconds since 1970 UTC when [`Clock::monotonic_ns`] says this.
    pub fn ms_at(self, monotonic_ns: u64) -> i64 {
        let passed_ns = if self.stopped { 0 } else { monotonic_ns.saturating_sub(self.monotonic_ns) };
        self.wall_us.saturating_add_unsigned(passed_ns / 1000) / 1000
    }
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
        self.monotonic_ns_at(Instant::now())
    }

    fn monotonic_ns_at(&self, now: Instant) -> u64 {
        let since = now.duration_since(self.start);
        since.as_secs().saturating_mul(1_000_000_000) + u64::from(since.subsec_nanos())
    }

    /// What the clocks say at this moment, and the moment.
    pub fn moment(&self) -> (Moment, Instant) {
        let stopped = self.stopped_ms.load(Ordering::Relaxed) != 0;
        // In this order: who is interrupted in between is late, and not ahead of the time.
        let (wall_us, now) = (self.now_us(), Instant::now());
        (Moment { wall_us, monotonic_ns: self.monotonic_ns_at(now), stopped }, now)
    }

    /// Sets the wall clock forward, or back.
    pub fn shift_ms(&self, by: i64) {
        self.shift_ms.fetch_add(by, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_tells_the_wall_clock_by_the_other_one() {
        let clock = Clock::default();
        clock.shift_ms(5_000);
        let (before, (moment, _), after) = (clock.now_ms(), clock.moment(), clock.now_ms());
        assert!((before..=after).contains(&moment.ms()), "{before} {moment:?} {after}");
        let at_ns = moment.monotonic_ns;
        assert_eq!(moment.ms_at(at_ns + 7_000_000_000), moment.ms() + 7_000);
        // Nothing lies before it.
        assert_eq!(moment.ms_at(at_ns.saturating_sub(1_000_000_000)), moment.ms());
        clock.stop_at_ms(100);
        let (moment, _) = clock.moment();
        assert_eq!((moment.ms(), moment.ms_at(u64::MAX)), (5_100, 5_100));
    }
}
