//! Counter: what all workers count with each batch, so that no two of them wait for one another's cache line.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crossbeam::utils::CachePadded;

/// Places of a counter. Threads beyond so many share theirs.
const PLACES: usize = 16;

thread_local! {
    static PLACE: usize = {
        static THREADS: AtomicUsize = AtomicUsize::new(0);
        THREADS.fetch_add(1, Ordering::Relaxed) % PLACES
    };
}

/// A number to which each thread adds in a place of its own.
#[derive(Debug, Default)]
pub struct Counter([CachePadded<AtomicU64>; PLACES]);

impl Counter {
    /// Adds to it.
    pub fn add(&self, count: u64) {
        PLACE.with(|place| self.0[*place].fetch_add(count, Ordering::Relaxed));
    }

    /// The sum of what was added.
    pub fn get(&self) -> u64 {
        self.0.iter().map(|place| place.load(Ordering::Relaxed)).fold(0, u64::wrapping_add)
    }

    /// Begins at 0 again. What is added meanwhile may get lost.
    pub fn reset(&self) {
        self.0.iter().for_each(|place| place.store(0, Ordering::Relaxed));
    }
}

#[cfg(test)]
mod tests {
    use super::{Counter, PLACES};

    #[test]
    fn what_many_threads_add_is_the_sum() {
        let counter = Counter::default();
        std::thread::scope(|scope| {
            for _ in 0..PLACES + 5 {
                scope.spawn(|| (0..1000).for_each(|_| counter.add(3)));
            }
        });
        assert_eq!(counter.get(), 3000 * (PLACES as u64 + 5));
        counter.reset();
        assert_eq!(counter.get(), 0);
    }
}
