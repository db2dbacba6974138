//! Run queue: for how long a thread has waited for a processor.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::Duration;

/// That of one thread, as `/proc/TID/schedstat` has it: nanoseconds on a processor, and in a queue for one.
#[derive(Debug)]
pub(super) struct RunQueue(Option<File>);

impl RunQueue {
    /// That of the thread that asks.
    pub(super) fn of_this_thread() -> Self {
        Self(File::open("/proc/thread-self/schedstat").ok())
    }

    /// For how long it has waited in all. Zero where the system does not tell.
    pub(super) fn waited(&self) -> Duration {
        let mut text = [0; 64];
        let read = self.0.as_ref().and_then(|file| file.read_at(&mut text, 0).ok());
        let read = text.get(..read.unwrap_or(0)).and_then(|text| str::from_utf8(text).ok());
        let waited = read.and_then(|text| text.split_whitespace().nth(1)?.parse().ok());
        waited.map_or(Duration::ZERO, Duration::from_nanos)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;

    #[test]
    fn who_shares_the_processors_with_too_many_waits() {
        let (queue, done) = (RunQueue::of_this_thread(), AtomicBool::new(false));
        let before = queue.waited();
        thread::scope(|scope| {
            for _ in 0..4 * thread::available_parallelism().unwrap().get() {
                scope.spawn(|| {
                    while !done.load(Ordering::Relaxed) {
                        std::hint::spin_loop();
                    }
                });
            }
            // The system adds up what has passed when it changes from one thread to another.
            while queue.waited() == before {
                std::hint::black_box(&queue);
            }
            done.store(true, Ordering::Relaxed);
        });
        assert_eq!(RunQueue(None).waited(), Duration::ZERO);
    }
}
