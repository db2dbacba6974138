//! Published: which engine is live.
//!
//! A worker pins the epoch, and reads the live engine for each batch. The epoch keeps the little cell alive in which the pointer lies; when an old engine may be
//! closed is decided by the workers' own counters alone (`holding.rs`), because an epoch has no deadline.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crossbeam::epoch::{self, Atomic, Owned};

use super::live::Live;

/// The live engine.
#[derive(Debug)]
pub struct Published {
    current: Atomic<Arc<Live>>,
    // The generation before, until it is retired: for batches of it that come back late.
    previous: Mutex<Option<Arc<Live>>>,
    generation: AtomicU64,
    // The newest generation whose calls are no longer waited for.
    given_up: AtomicU64,
}

impl Published {
    /// Publishes the first engine.
    pub fn new(live: Arc<Live>) -> Self {
        live.set_serves(true);
        Self {
            generation: AtomicU64::new(live.generation),
            current: Atomic::new(live),
            previous: Mutex::new(None),
            given_up: AtomicU64::new(0),
        }
    }

    /// Runs something with the live engine pinned.
    pub fn with<T>(&self, run: impl FnOnce(&Arc<Live>) -> T) -> T {
        let guard = epoch::pin();
        let current = self.current.load(Ordering::Acquire, &guard);
        // SAFETY: never null, and what was published is destroyed only after every pin that could have read it has ended.
        run(unsafe { current.deref() })
    }

    /// The live engine, for longer than a batch.
    pub fn get(&self) -> Arc<Live> {
        self.with(Arc::clone)
    }

    fn previous(&self) -> MutexGuard<'_, Option<Arc<Live>>> {
        self.previous.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The engine of a generation that is live, or was until just now.
    pub fn find(&self, generation: u64) -> Option<Arc<Live>> {
        let live = self.get();
        if live.generation == generation {
            return Some(live);
        }
        self.previous().clone().filter(|previous| previous.generation == generation)
    }

    /// Waits no longer for calls on this generation or an older one: they do not end.
    pub fn give_up(&self, generation: u64) {
        self.given_up.fetch_max(generation, Ordering::AcqRel);
    }

    /// The newest generation whose calls are no longer waited for, or 0.
    pub fn given_up(&self) -> u64 {
        self.given_up.load(Ordering::Acquire)
    }

    /// Forgets the generation before: it is retired.
    pub fn forget_previous(&self) {
        *self.previous() = None;
    }

    /// The live engine's generation.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Publishes another engine: the cutover.
    pub fn replace(&self, live: Arc<Live>) {
        let generation = live.generation;
        let previous = self.get();
        live.set_serves(true);
        previous.set_serves(false);
        *self.previous() = Some(previous);
        let guard = epoch::pin();
        let old = self.current.swap(Owned::new(live), Ordering::AcqRel, &guard);
        self.generation.store(generation, Ordering::Release);
        // SAFETY: unreachable for pins that begin from now on; the cell goes when the older ones have ended.
        unsafe { guard.defer_destroy(old) };
        guard.flush();
    }
}

impl Drop for Published {
    fn drop(&mut self) {
        // SAFETY: nobody else is left.
        drop(unsafe { std::mem::replace(&mut self.current, Atomic::null()).into_owned() });
    }
}
