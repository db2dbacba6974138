//! Holding: what is held back at the moment, and what each worker tells of what it has under way.
//!
//! Whoever holds back says so, and then looks who holds it back already: who has noted that, and who is asleep. A worker tells that it has woken, and then looks what is
//! held back, before it begins anything. So either it sees the hold, or it is seen to be awake, and is waited for (store and load of both are sequentially consistent).

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, Thread};

use crossbeam::utils::CachePadded;

/// No batch is under way.
pub const NONE: u64 = u64::MAX;

/// What is held back at the moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Hold {
    /// Nothing.
    #[default]
    No,
    /// Writes, by the hold of this number.
    Writes(u64),
    /// Whatever touches the engine, by the hold of this number.
    All(u64),
}

impl Hold {
    /// Whether a request has to wait that writes, or only reads.
    pub fn stops(self, writes: bool) -> bool {
        match self {
            Self::No => false,
            Self::Writes(_) => writes,
            Self::All(_) => true,
        }
    }

    /// Its number; 0 where nothing is held back.
    pub fn number(self) -> u64 {
        match self {
            Self::No => 0,
            Self::Writes(number) | Self::All(number) => number,
        }
    }

    // In one word, so that it is read and changed at once: the number, and which of the two in the lowest bit.
    fn word(self) -> u64 {
        match self {
            Self::No => 0,
            Self::Writes(number) => number << 1,
            Self::All(number) => number << 1 | 1,
        }
    }

    fn of(word: u64) -> Self {
        match (word >> 1, word & 1) {
            (0, _) => Self::No,
            (number, 0) => Self::Writes(number),
            (number, _) => Self::All(number),
        }
    }
}

/// A worker is awake, or has writes under way.
const AWAKE: u8 = 0;
/// It is asleep, and nothing is under way that writes.
const READS: u8 = 1;
/// It is asleep, and nothing is under way.
const RESTS: u8 = 2;

/// What a worker tells those who hold back and publish.
#[derive(Debug)]
pub struct WorkerMarks {
    /// The newest generation that it has seen at a point between two batches.
    pub seen: AtomicU64,
    /// The oldest generation on which it has a batch under way, or [`NONE`]. Written before `seen`.
    pub oldest: AtomicU64,
    /// Number of the newest hold that it has seen with nothing under way that is held back.
    pub held: AtomicU64,
    /// Number of the newest hold that it has noted so and whose end it has seen.
    pub released: AtomicU64,
    /// When it has seen that, on the server's clock, in nanoseconds. Written before `released`.
    pub released_ns: AtomicU64,
    /// Whether it is asleep, and what is under way meanwhile.
    asleep: AtomicU8,
}

/// Sets one of a worker's own marks, which nobody else sets while it runs. Answers whether it has changed.
pub fn note(mark: &AtomicU64, value: u64) -> bool {
    let news = mark.load(Ordering::Relaxed) != value;
    if news {
        mark.store(value, Ordering::Release);
    }
    news
}

impl WorkerMarks {
    /// Of a worker that begins with this generation.
    fn of(generation: u64) -> Self {
        Self {
            seen: AtomicU64::new(generation),
            oldest: AtomicU64::new(NONE),
            held: AtomicU64::new(0),
            released: AtomicU64::new(0),
            released_ns: AtomicU64::new(0),
            asleep: AtomicU8::new(AWAKE),
        }
    }

    /// Of one that is not there: nobody waits for it.
    fn of_none() -> Self {
        let none = Self::of(u64::MAX);
        none.leave();
        none
    }

    /// From here on this worker holds nobody up.
    pub fn leave(&self) {
        self.seen.store(u64::MAX, Ordering::Release);
        // Before it reads for the last time what is held back.
        self.held.store(u64::MAX, Ordering::SeqCst);
        self.released.store(u64::MAX, Ordering::Release);
    }

    /// Notes that it falls asleep, and whether anything is under way, and anything that writes. Whoever holds back next, and sees that, need not wake it.
    pub fn fall_asleep(&self, any: bool, writes: bool) {
        let asleep = match (any, writes) {
            (false, _) => RESTS,
            (true, false) => READS,
            (true, true) => AWAKE,
        };
        self.asleep.store(asleep, Ordering::SeqCst);
    }

    /// It is awake. It reads what is held back after this, and before it begins anything: so either it sees a hold, or who holds back sees that it is awake.
    pub fn wake_up(&self) {
        self.asleep.store(AWAKE, Ordering::SeqCst);
    }

    /// Whether it holds back what this says, and nothing of it is under way.
    fn holds(&self, hold: Hold) -> bool {
        let asleep = self.asleep.load(Ordering::SeqCst);
        let rests = match hold {
            Hold::No => true,
            Hold::Writes(_) => asleep != AWAKE,
            Hold::All(_) => asleep == RESTS,
        };
        rests || self.held.load(Ordering::SeqCst) >= hold.number()
    }

    /// Notes which hold there is now; `now_ns` is asked when one has ended that this worker had noted.
    pub fn note_end(&self, hold: Hold, now_ns: impl FnOnce() -> u64) -> bool {
        let held = self.held.load(Ordering::Relaxed);
        if held == hold.number() || held == self.released.load(Ordering::Relaxed) {
            return false;
        }
        self.released_ns.store(now_ns(), Ordering::Relaxed);
        self.released.store(held, Ordering::Release);
        true
    }
}

/// What is held back, and the workers' marks.
#[derive(Debug)]
pub struct Holding {
    hold: AtomicU64,
    // When the last one has ended, on the server's clock, in nanoseconds.
    ended_ns: AtomicU64,
    // The thread that holds back where it is not the control thread, and what.
    waiting: Mutex<Option<(Hold, Thread)>>,
    workers: Vec<CachePadded<WorkerMarks>>,
}

impl Holding {
    /// Nothing is held back by so many workers, and this generation is live. One more can [come](Self::admit_standby) later.
    pub fn new(generation: u64, workers: usize) -> Self {
        let workers = (0..workers).map(|_| WorkerMarks::of(generation)).chain([WorkerMarks::of_none()]);
        Self {
            hold: AtomicU64::new(0),
            ended_ns: AtomicU64::new(0),
            waiting: Mutex::new(None),
            workers: workers.map(CachePadded::new).collect(),
        }
    }

    /// The marks of a worker.
    pub fn marks(&self, worker: usize) -> Option<&WorkerMarks> {
        self.workers.get(worker).map(|marks| &**marks)
    }

    /// The number of the worker that is not there from the start.
    pub fn standby(&self) -> usize {
        self.workers.len() - 1
    }

    /// From here on that worker is waited for, too, and this generation is live. For the control thread, before the worker begins.
    pub fn admit_standby(&self, generation: u64) {
        if let Some(marks) = self.workers.last() {
            marks.released.store(0, Ordering::Release);
            // Before it reads what is held back: whoever holds back does so before it reads this.
            marks.held.store(0, Ordering::SeqCst);
            marks.seen.store(generation, Ordering::Release);
        }
    }

    /// Holds back what it says; its number is higher than those before, and not 0.
    pub fn hold_back(&self, hold: Hold) {
        self.hold.store(hold.word(), Ordering::SeqCst);
    }

    /// Lets all go on, at this time of the server's clock.
    pub fn release(&self, now_ns: u64) {
        self.ended_ns.store(now_ns, Ordering::Relaxed);
        self.hold.store(Hold::No.word(), Ordering::SeqCst);
    }

    /// The same for a thread other than the control thread, if it `may`: nobody [calls it off](Self::call_off) meanwhile. The last worker wakes that thread when
    /// all is held back.
    pub fn hold_back_and_wait(&self, hold: Hold, may: impl FnOnce() -> bool) -> bool {
        let mut waiting = self.waiting();
        let may = may();
        if may {
            *waiting = Some((hold, thread::current()));
            self.hold_back(hold);
        }
        may
    }

    /// Calls off what another thread holds back, or is about to: `off` does, unless it is too late. That thread is woken.
    pub fn call_off(&self, off: impl FnOnce() -> bool) -> bool {
        let mut waiting = self.waiting();
        let off = off();
        if off && let Some((_, thread)) = waiting.take() {
            thread.unpark();
        }
        off
    }

    /// The thread that held back has let go.
    pub fn wait_no_more(&self) {
        *self.waiting() = None;
    }

    fn waiting(&self) -> MutexGuard<'_, Option<(Hold, Thread)>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is held back.
    pub fn hold(&self) -> Hold {
        Hold::of(self.hold.load(Ordering::SeqCst))
    }

    /// Whether every worker holds that back, with nothing of it under way: it has seen the hold, or is asleep and will see it before it begins anything.
    pub fn all_held(&self, hold: Hold) -> bool {
        self.workers.iter().all(|marks| marks.holds(hold))
    }

    /// Whether this worker does.
    pub fn is_held(&self, worker: usize, hold: Hold) -> bool {
        self.marks(worker).is_none_or(|marks| marks.holds(hold))
    }

    /// A worker has noted this hold: the last one wakes the thread that waits for it. False: that is the control thread.
    pub fn tell_held(&self, hold: Hold) -> bool {
        let waiting = self.waiting();
        let Some((_, thread)) = waiting.as_ref().filter(|(waited, _)| *waited == hold) else { return false };
        // Of two that note it at the same time, the second one to lock sees that both have.
        if self.all_held(hold) {
            thread.unpark();
        }
        true
    }

    /// Whether every worker that has noted the hold of this number has seen its end. One that had something under way until the hold was given up has not noted it.
    pub fn all_released(&self, number: u64) -> bool {
        self.workers.iter().all(|marks| {
            let released = marks.released.load(Ordering::Acquire) >= number;
            released || marks.held.load(Ordering::Acquire) < number
        })
    }

    /// When the last hold has ended and the last worker has seen that, of those that had noted it; on the server's clock, in nanoseconds.
    pub fn released_ns(&self) -> u64 {
        let workers = self.workers.iter().map(|marks| marks.released_ns.load(Ordering::Acquire));
        workers.chain([self.ended_ns.load(Ordering::Acquire)]).max().unwrap_or(0)
    }

    /// Whether no worker has, or can get, anything to do with generations before this one.
    pub fn all_passed(&self, generation: u64) -> bool {
        self.workers.iter().all(|marks| {
            marks.seen.load(Ordering::Acquire) >= generation
                && marks.oldest.load(Ordering::Acquire) >= generation
        })
    }
}

#[cfg(test)]
mod tests {
    use std::hint;
    use std::sync::atomic::{AtomicBool, AtomicUsize};
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn who_is_asleep_holds_back_what_is_not_under_way() {
        let holding = Holding::new(1, 1);
        let marks = holding.marks(0).into_iter().next();
        let held = |any, writes| {
            marks.iter().for_each(|marks| marks.fall_asleep(any, writes));
            [Hold::Writes(1), Hold::All(1)].map(|hold| holding.all_held(hold))
        };
        assert_eq!(held(false, false), [true, true]);
        assert_eq!(held(true, false), [true, false]);
        assert_eq!(held(true, true), [false, false]);
        assert_eq!(held(false, false), [true, true]);
        marks.iter().for_each(|marks| marks.wake_up());
        assert_eq!([Hold::Writes(1), Hold::All(1)].map(|hold| holding.is_held(0, hold)), [false, false]);
        marks.iter().for_each(|marks| _ = note(&marks.held, 1));
        assert_eq!(
            [Hold::Writes(1), Hold::All(1), Hold::All(2)].map(|hold| holding.all_held(hold)),
            [true, true, false]
        );
    }

    #[test]
    fn what_was_called_off_is_not_held_back() {
        let holding = Holding::new(1, 1);
        assert!(!holding.hold_back_and_wait(Hold::All(1), || false));
        assert_eq!(holding.hold(), Hold::No);
        assert!(holding.hold_back_and_wait(Hold::All(2), || true));
        assert!(!holding.call_off(|| false) && holding.tell_held(Hold::All(2)));
        assert!(holding.call_off(|| true) && !holding.tell_held(Hold::All(2)));
    }

    /// After which a wake-up is lost.
    const PATIENCE: Duration = Duration::from_secs(30);

    /// Has the workers end, also where the test fails.
    struct Ends<'a>(&'a AtomicBool);

    impl Drop for Ends<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    /// Workers that sleep most of the time, wake, do something and sleep again.
    #[test]
    fn nobody_does_anything_while_all_is_held() {
        let (holding, over, busy) = (Holding::new(1, 2), AtomicBool::new(false), AtomicUsize::new(0));
        let work = |index: usize| {
            let Some(marks) = holding.marks(index) else { return 0 };
            let (mut seen, mut done) = (Hold::No, 0);
            let look = |seen: &mut Hold| {
                *seen = holding.hold();
                if *seen != Hold::No && note(&marks.held, seen.number()) {
                    holding.tell_held(*seen);
                }
            };
            while !over.load(Ordering::Relaxed) {
                marks.fall_asleep(false, false);
                if holding.hold() != seen {
                    marks.wake_up();
                    look(&mut seen);
                }
                thread::yield_now();
                marks.wake_up();
                look(&mut seen);
                if seen == Hold::No {
                    busy.fetch_add(1, Ordering::Relaxed);
                    (0..100).for_each(|_| hint::spin_loop());
                    done += 1;
                    busy.fetch_sub(1, Ordering::Relaxed);
                }
            }
            marks.leave();
            done
        };
        thread::scope(|scope| {
            let ends = Ends(&over);
            let workers = [0, 1].map(|index| scope.spawn(move || work(index)));
            for number in 1..=20_000 {
                let hold = Hold::All(number);
                assert!(holding.hold_back_and_wait(hold, || true));
                let since = Instant::now();
                while !holding.all_held(hold) {
                    thread::park_timeout(PATIENCE);
                    assert!(since.elapsed() < PATIENCE, "the last worker tells nobody");
                }
                for _ in 0..100 {
                    assert_eq!(busy.load(Ordering::Relaxed), 0, "in hold {number}");
                    hint::spin_loop();
                }
                holding.wait_no_more();
                holding.release(0);
            }
            drop(ends);
            assert!(workers.into_iter().all(|worker| worker.join().is_ok_and(|done| done > 0)));
        });
    }
}
