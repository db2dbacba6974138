//! Back-off: how often and after what pauses a connection is tried again.

use rand::RngExt;
use std::time::Duration;

/// How often something is tried again, and the pauses in between.
///
/// The pause before retry `n` (from 0) lies at random in the upper half of `first_ms * 2^n`, which never exceeds `max_ms`. The
/// randomness keeps many clients that lost the same host from coming back in the same instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// Retries after the first attempt; 0 means that nothing is tried again.
    pub retries: u32,
    /// Longest pause before the first retry, in milliseconds.
    pub first_ms: u64,
    /// Longest pause before any retry, in milliseconds.
    pub max_ms: u64,
}

impl Default for Backoff {
    /// Five retries within about three seconds.
    fn default() -> Self {
        Self { retries: 5, first_ms: 50, max_ms: 2_000 }
    }
}

impl Backoff {
    /// Tries once and never again.
    pub const NONE: Self = Self { retries: 0, first_ms: 0, max_ms: 0 };

    /// The pause before retry `retry` (from 0).
    pub fn pause(&self, retry: u32) -> Duration {
        let longest_us = self.longest_ms(retry).saturating_mul(1_000);
        Duration::from_micros(rand::rng().random_range(longest_us / 2..=longest_us))
    }

    fn longest_ms(&self, retry: u32) -> u64 {
        let factor = 1u64.checked_shl(retry).unwrap_or(u64::MAX);
        self.first_ms.saturating_mul(factor).min(self.max_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_maximum_and_lie_in_the_upper_half() {
        let backoff = Backoff { retries: 9, first_ms: 10, max_ms: 100 };
        for (retry, longest_ms) in
            [(0, 10), (1, 20), (2, 40), (3, 80), (4, 100), (63, 100), (64, 100), (u32::MAX, 100)]
        {
            for _ in 0..50 {
                let pause = backoff.pause(retry);
                assert!(pause <= Duration::from_millis(longest_ms), "{retry}: {pause:?}");
                assert!(pause * 2 >= Duration::from_millis(longest_ms), "{retry}: {pause:?}");
            }
        }
    }

    #[test]
    fn pauses_differ_between_clients() {
        let backoff = Backoff { retries: 1, first_ms: 1_000, max_ms: 1_000 };
        let first = backoff.pause(0);
        assert!((0..100).any(|_| backoff.pause(0) != first));
    }
}
