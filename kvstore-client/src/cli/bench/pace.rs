//! Pace: when requests fall due.

use super::Bench;
use std::time::{Duration, Instant};

/// When the requests of one thread fall due.
pub(super) enum Pace {
    /// The next as soon as the last is answered.
    Closed { requests: Option<u64>, end: Option<Instant> },
    /// At fixed times, whatever happens.
    Open(Schedule),
}

/// Request `n` (from 0) is due at `first` plus `n` intervals.
pub(super) struct Schedule {
    first: Instant,
    interval_ns: f64,
    pub(super) requests: u64,
}

impl Pace {
    /// The pace of thread `thread`. In an open loop the threads take the requests in turn.
    pub(super) fn new(bench: &Bench, thread: u32, threads: u32, start: Instant) -> Self {
        let (thread, threads) = (u64::from(thread), u64::from(threads));
        let part = |requests: u64| requests / threads + u64::from(requests % threads > thread);
        match (bench.rate, bench.duration) {
            (None, duration) => Self::Closed {
                requests: bench.requests.map(part),
                end: duration.map(|duration| start + duration),
            },
            (Some(rate), duration) => {
                let all = match (duration, bench.requests) {
                    (Some(duration), _) => (duration.as_secs_f64() * rate).ceil().max(1.0) as u64,
                    (None, requests) => requests.unwrap_or_default(),
                };
                Self::Open(Schedule {
                    first: start + Duration::from_secs_f64(thread as f64 / rate),
                    interval_ns: 1e9 * threads as f64 / rate,
                    requests: part(all),
                })
            }
        }
    }
}

impl Schedule {
    /// When request `number` (from 0) is due.
    pub(super) fn due(&self, number: u64) -> Instant {
        self.first + Duration::from_nanos((number as f64 * self.interval_ns) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Words {
        #[command(flatten)]
        bench: Bench,
    }

    fn bench(words: &[&str]) -> Bench {
        Words::parse_from(["bench"].iter().chain(words)).bench
    }

    #[test]
    fn threads_share_the_requests_out_and_take_turns() {
        let start = Instant::now();
        let bench = bench(&["--rate", "1000", "--requests", "5"]);
        let mut offsets = Vec::new();
        for thread in 0..2 {
            let Pace::Open(schedule) = Pace::new(&bench, thread, 2, start) else { panic!("closed") };
            offsets.extend((0..schedule.requests).map(|n| (schedule.due(n) - start).as_micros()));
        }
        assert_eq!(offsets, [0, 2_000, 4_000, 1_000, 3_000]);
    }

    #[test]
    fn a_duration_fixes_the_number_of_requests_that_fall_due() {
        let start = Instant::now();
        let bench = bench(&["--rate", "10", "--duration", "2.5"]);
        let Pace::Open(schedule) = Pace::new(&bench, 0, 1, start) else { panic!("closed") };
        assert_eq!(schedule.requests, 25);
        assert!(schedule.due(24) < start + Duration::from_millis(2_500));
    }

    #[test]
    fn a_closed_loop_shares_out_requests_or_ends_in_time() {
        let start = Instant::now();
        let parts = |words: &[&str], thread| match Pace::new(&bench(words), thread, 3, start) {
            Pace::Closed { requests, end } => (requests, end.map(|end| end - start)),
            Pace::Open(_) => panic!("open"),
        };
        let parts_of_ten: Vec<_> = (0..3).map(|thread| parts(&["--requests", "10"], thread)).collect();
        assert_eq!(parts_of_ten, [(Some(4), None), (Some(3), None), (Some(3), None)]);
        assert_eq!(parts(&["--duration", "2"], 0), (None, Some(Duration::from_secs(2))));
    }
}
