//! Sync: the locks, atomics, thread and clock that meet where threads do: the standard library's, or with the feature `explore` those of shuttle,
//! which runs tests in many orders.

#[cfg(not(feature = "explore"))]
mod chosen {
    use std::sync::PoisonError;
    pub(crate) use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64};
    pub(crate) use std::sync::{Condvar, Mutex, MutexGuard};
    use std::time::Duration;
    pub(crate) use std::time::Instant;

    pub(crate) use kvstore_engine_thread::Thread;

    /// The time.
    pub(crate) fn now() -> Instant {
        Instant::now()
    }

    /// Waits until notified, but no longer than this; or for no reason.
    pub(crate) fn wait_timeout<'a, T>(
        changed: &Condvar,
        _: &'a Mutex<T>,
        guard: MutexGuard<'a, T>,
        time: Duration,
    ) -> MutexGuard<'a, T> {
        changed.wait_timeout(guard, time).unwrap_or_else(PoisonError::into_inner).0
    }
}

#[cfg(feature = "explore")]
mod chosen {
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::{Duration, Instant};

    use plugin_abi::sdk::Error;
    pub(crate) use shuttle::sync::atomic::{AtomicBool, AtomicI64, AtomicU64};
    pub(crate) use shuttle::sync::{Condvar, Mutex, MutexGuard};
    use shuttle::thread::{JoinHandle, spawn, yield_now};

    /// A thread of shuttle's.
    #[derive(Debug)]
    pub(crate) struct Thread(JoinHandle<()>);

    impl Thread {
        pub(crate) fn start(body: impl FnOnce() + Send + 'static) -> Result<Self, Error> {
            Ok(Self(spawn(body)))
        }

        pub(crate) fn join(self) {
            _ = self.0.join();
        }
    }

    /// A time that is a quarter of a second later with each look at it, so that no wait is long; meanwhile others have their turn.
    pub(crate) fn now() -> Instant {
        yield_now();
        static START: LazyLock<Instant> = LazyLock::new(Instant::now);
        static LOOKS: AtomicU32 = AtomicU32::new(0);
        *START + Duration::from_millis(250) * LOOKS.fetch_add(1, Ordering::Relaxed)
    }

    /// Shuttle knows no time: others can take the lock, and then the time may have passed.
    pub(crate) fn wait_timeout<'a, T>(
        _: &Condvar,
        mutex: &'a Mutex<T>,
        guard: MutexGuard<'a, T>,
        _: Duration,
    ) -> MutexGuard<'a, T> {
        drop(guard);
        mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

pub(crate) use chosen::*;
