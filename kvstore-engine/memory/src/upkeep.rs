//! Upkeep: the engine's thread, which removes entries that expired and that nobody asks for.
//!
//! It sleeps as long as no entry expires. It is never busy for more than a quarter of the time, and holds a shard for a few entries at a time. It
//! ends where it meets a shard under whose lock somebody has panicked.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use plugin_abi::raw::KV_LOG_ERROR;
use plugin_abi::sdk::{Error, Host};

use crate::sync::{AtomicBool, Condvar, Mutex, MutexGuard, Thread, now, wait_timeout};
use crate::table::Table;

/// Hashes that are looked at with a shard locked.
const SWEEP: usize = 64;
/// How long it works at a time, and how long it rests then.
const WORK: Duration = Duration::from_millis(1);
const REST: Duration = Duration::from_millis(3);
/// How long it sleeps while there are entries that expire: at least, and at most, because the time may be set.
const SLEEP_MIN: Duration = Duration::from_millis(20);
const SLEEP_MAX: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
struct State {
    /// How many hold it up.
    paused: usize,
    closing: bool,
    woken: bool,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    /// Held while it works.
    working: Mutex<()>,
    /// It sleeps until it is woken: no entry expires.
    asleep: AtomicBool,
}

/// The thread.
#[derive(Debug)]
pub(crate) struct Upkeep {
    shared: Arc<Shared>,
    thread: Mutex<Option<Thread>>,
}

/// What comes after a look at all shards.
enum Next {
    /// Another one, so much later.
    Look(Duration),
    /// Sleep: no entry expires.
    Sleep,
    /// The end.
    End,
}

// What these locks guard is whole whoever panics under them: a panic under a shard's lock is noted there.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Upkeep {
    /// Starts the thread, paused or not.
    ///
    /// # Errors
    /// FULL.
    pub(crate) fn start(table: Arc<Table>, host: Host, paused: bool) -> Result<Self, Error> {
        let shared = Arc::new(Shared {
            state: Mutex::new(State { paused: usize::from(paused), ..State::default() }),
            changed: Condvar::new(),
            working: Mutex::new(()),
            asleep: AtomicBool::new(true),
        });
        let own = Arc::clone(&shared);
        let thread = Thread::start(move || {
            // The shard that it had locked stays poisoned, so whoever needs that one fails too.
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| own.run(&table, &host))) {
                let text = panic.downcast_ref::<&str>().copied().map(str::to_owned);
                let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
                host.log(KV_LOG_ERROR, &format!("the memory engine's own thread panicked: {text}"));
            }
        })?;
        Ok(Self { shared, thread: Mutex::new(Some(thread)) })
    }

    /// There is an entry that expires.
    #[inline]
    pub(crate) fn wake(&self) {
        if self.shared.asleep.load(Ordering::Relaxed) {
            self.shared.wake();
        }
    }

    /// From here on it touches nothing, until it is [resumed](Self::resume).
    pub(crate) fn pause(&self) {
        lock(&self.shared.state).paused += 1;
        drop(lock(&self.shared.working));
    }

    /// It goes on.
    pub(crate) fn resume(&self) {
        lock(&self.shared.state).paused -= 1;
        self.shared.wake();
    }
}

impl Drop for Upkeep {
    fn drop(&mut self) {
        lock(&self.shared.state).closing = true;
        self.shared.changed.notify_one();
        if let Some(thread) = lock(&self.thread).take() {
            thread.join();
        }
    }
}

impl Shared {
    fn wake(&self) {
        self.asleep.store(false, Ordering::Relaxed);
        lock(&self.state).woken = true;
        self.changed.notify_one();
    }

    fn run(&self, table: &Table, host: &Host) {
        let mut sleep = None;
        while self.wait(sleep) {
            // Before the look: whoever stores an entry that expires after it finds it asleep, and wakes it.
            self.asleep.store(true, Ordering::SeqCst);
            sleep = match self.pass(table, host) {
                Next::Look(later) => {
                    // Whoever has woken it meanwhile need not have: it looks again by itself.
                    self.asleep.store(false, Ordering::Relaxed);
                    lock(&self.state).woken = false;
                    Some(later)
                }
                Next::Sleep => None,
                Next::End => return,
            };
        }
    }

    /// Waits for so long, or until it is woken; and while it is paused. False: it is to end.
    fn wait(&self, sleep: Option<Duration>) -> bool {
        let end = sleep.map(|sleep| now() + sleep);
        let mut state = lock(&self.state);
        loop {
            if state.closing {
                return false;
            }
            let left = end.map(|end| end.saturating_duration_since(now()));
            if state.paused == 0 && (state.woken || left.is_some_and(|left| left.is_zero())) {
                state.woken = false;
                return true;
            }
            state = match left.filter(|left| !left.is_zero()) {
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(left) => wait_timeout(&self.changed, &self.state, state, left),
            };
        }
    }

    /// Looks at all shards.
    fn pass(&self, table: &Table, host: &Host) -> Next {
        let (mut next_ms, mut since) = (None, now());
        for number in 0..table.shards() {
            loop {
                if now() >= since + WORK {
                    if !self.rest() {
                        return Next::End;
                    }
                    since = now();
                }
                let working = lock(&self.working);
                if lock(&self.state).paused > 0 {
                    return Next::Look(SLEEP_MIN);
                }
                let now_ms = host.now_ms();
                let Some(mut shard) = table.lock_whole(number) else {
                    let text = "the memory engine's own thread ends: a call has panicked under a lock";
                    host.log(KV_LOG_ERROR, text);
                    return Next::End;
                };
                if shard.due(now_ms) {
                    shard.sweep(now_ms, SWEEP, host);
                    shard.shrink_if_sparse();
                }
                let due_ms = shard.next_due_ms();
                drop((shard, working));
                if due_ms.is_none_or(|due_ms| due_ms > now_ms) {
                    next_ms = [next_ms, due_ms].into_iter().flatten().min();
                    break;
                }
            }
        }
        let Some(next_ms) = next_ms else { return Next::Sleep };
        let left_ms = u64::try_from(next_ms.saturating_sub(host.now_ms())).unwrap_or(0);
        Next::Look(Duration::from_millis(left_ms).clamp(SLEEP_MIN, SLEEP_MAX))
    }

    /// Leaves the processor to others for a while. False: it is to end.
    fn rest(&self) -> bool {
        let end = now() + REST;
        let mut state = lock(&self.state);
        while !state.closing {
            let left = end.saturating_duration_since(now());
            if left.is_zero() {
                return true;
            }
            state = wait_timeout(&self.changed, &self.state, state, left);
        }
        false
    }
}
