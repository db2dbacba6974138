//! Pause: clients wait for a time, or until they are let go on; their requests are kept.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::{Clock, lock};

/// Whether clients are to wait. Reading it costs next to nothing while they are not.
#[derive(Debug, Default)]
pub struct Pause {
    /// Until when, in milliseconds of the server's own time, times two, and 1 for all requests; 0: nobody waits.
    word: AtomicU64,
    /// Held while the word is changed.
    changing: Mutex<()>,
}

/// A pause that is in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paused {
    /// All requests wait, not only those that write.
    pub all: bool,
    /// How long still.
    pub rest: Duration,
}

impl Paused {
    /// Whether a request that writes, or does not, has to wait.
    pub fn stops(self, writes: bool) -> bool {
        self.all || writes
    }
}

impl Pause {
    /// Lets requests wait: all, or those that write. Of two pauses the later end and the greater extent hold.
    pub fn begin(&self, clock: &Clock, timeout_ms: u64, all: bool) {
        let _changing = lock(&self.changing);
        let now_ms = clock.monotonic_ns() / 1_000_000;
        let mut until_ms = now_ms.saturating_add(timeout_ms).min(u64::MAX / 4);
        let mut all = all;
        let word = self.word.load(Ordering::Acquire);
        if word / 2 > now_ms {
            until_ms = until_ms.max(word / 2);
            all |= word % 2 == 1;
        }
        self.word.store(until_ms * 2 + u64::from(all), Ordering::Release);
    }

    /// Lets them go on.
    pub fn end(&self) {
        let _changing = lock(&self.changing);
        self.word.store(0, Ordering::Release);
    }

    /// The pause in force.
    pub fn get(&self, clock: &Clock) -> Option<Paused> {
        let word = self.word.load(Ordering::Acquire);
        if word == 0 {
            return None;
        }
        let now_ns = clock.monotonic_ns();
        let rest = Duration::from_nanos((word / 2).saturating_mul(1_000_000).saturating_sub(now_ns));
        (!rest.is_zero()).then_some(Paused { all: word % 2 == 1, rest })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Clock, Pause};

    #[test]
    fn the_later_end_and_the_greater_extent_hold() {
        let (pause, clock) = (Pause::default(), Clock::default());
        assert_eq!(pause.get(&clock), None);
        pause.begin(&clock, 100_000, false);
        pause.begin(&clock, 1, false);
        let paused = pause.get(&clock).unwrap();
        assert!(!paused.all && paused.stops(true) && !paused.stops(false));
        assert!(paused.rest > Duration::from_secs(90), "{paused:?}");
        pause.begin(&clock, 1, true);
        let paused = pause.get(&clock).unwrap();
        assert!(paused.all && paused.stops(false) && paused.rest > Duration::from_secs(90));
        pause.begin(&clock, u64::MAX, false);
        assert!(pause.get(&clock).is_some());
        pause.end();
        assert_eq!(pause.get(&clock), None);
        pause.begin(&clock, 0, true);
        assert_eq!(pause.get(&clock), None, "its end is now");
    }
}
