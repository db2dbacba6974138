//! Flight: a batch that an engine has, from `kv_submit` to its last completion. The only place where an engine writes into the host's memory.

use std::cell::{Cell, UnsafeCell};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use plugin_abi::Status;
use plugin_abi::calls::{CallError, Session};
use plugin_abi::raw::*;

use super::joint::{Joined, Joint};
use super::live::Execution;
use super::outcome::{Lent, Outcomes, panicked};
use super::versioned::Emulation;
use super::work::{OPS_KEPT_MAX, Work};

/// What a flight carries: the owner of its operations and of all that they point to.
pub(super) enum Cargo {
    /// The work's own operations.
    Direct(Work),
    /// A round of reads or writes on behalf of a work with updates.
    Emulated(Box<Emulation>),
    /// Works of several connections.
    Joint(Joint),
}

impl Cargo {
    pub(super) fn len(&self) -> usize {
        self.ops().len()
    }

    fn outcomes(&self) -> Outcomes {
        match self {
            Self::Direct(work) => Outcomes::of_work(work),
            Self::Emulated(emulation) => Outcomes::unknown(emulation.ops().len()),
            Self::Joint(joint) => Outcomes::of_joint(joint.ops().len()),
        }
    }

    /// The time at which it was planned, if that was just now.
    pub(super) fn now_ms(&self) -> Option<i64> {
        match self {
            Self::Direct(work) => work.now_ms(),
            Self::Emulated(_) => None,
            Self::Joint(joint) => joint.now_ms(),
        }
    }

    fn ops(&self) -> &[KvOp] {
        match self {
            Self::Direct(work) => work.ops(),
            Self::Emulated(emulation) => emulation.ops(),
            Self::Joint(joint) => joint.ops(),
        }
    }
}

/// A flight that has ended: all operations are completed.
pub struct Landed {
    pub(super) cargo: Cargo,
    pub(super) outcomes: Outcomes,
    /// The engine has not taken it.
    pub(super) refused: bool,
    pub(super) pinned: Option<Arc<Flight>>,
}

impl Landed {
    /// Ends work whose engine is gone: what came back counts, and what was still to be done has an unknown outcome.
    pub fn abandon(self) -> Execution {
        match self.cargo {
            Cargo::Direct(work) => Execution::Done(work, self.outcomes),
            Cargo::Emulated(emulation) => {
                let (work, outcomes) = emulation.abandon();
                Execution::Done(work, outcomes)
            }
            Cargo::Joint(joint) => {
                Execution::Joined(Joined::new(joint.into_works(), self.outcomes, self.refused))
            }
        }
    }
}

/// Ends work: adds what its updates decided to the outcomes.
pub(super) fn finish(mut work: Work, mut outcomes: Outcomes) -> (Work, Outcomes) {
    let replies: Vec<_> = work.take_replies().collect();
    for (op, reply) in replies {
        outcomes.set_reply(op, reply);
    }
    (work, outcomes)
}

/// Whom a flight is for.
pub trait Home: Send + Sync {
    /// Takes a flight that ended after `submit` had returned. Called from any thread, also under the engine's locks: hands it on, no more.
    fn landed(&self, ticket: u64, landed: Landed);
}

/// Takes what comes of operations one by one, in their order, while the engine still lends it: on the thread that submits, under the engine's locks.
pub trait Taker {
    /// Takes what came of the next operation, number `op`.
    fn take(&mut self, op: usize, lent: Lent<'_>);
}

/// A batch under way.
pub(super) struct Flight {
    batch: UnsafeCell<KvBatch>,
    // The engine writes to these through the batch's pointer.
    results: Vec<UnsafeCell<KvResult>>,
    progress: Mutex<Progress>,
    home: Arc<dyn Home>,
    ticket: u64,
}

// SAFETY: batch and results are the engine's until an operation is completed, and are then read under the lock of `progress`, or by the thread that
// submits them.
unsafe impl Send for Flight {}
// SAFETY: as above.
unsafe impl Sync for Flight {}

/// What is noted of operations, but of those that a [`Taker`] takes.
#[derive(Default)]
struct Progress {
    cargo: Option<Cargo>,
    outcomes: Outcomes,
    /// By operation; empty until the first one is noted.
    completed: Vec<bool>,
    /// So many operations, the first ones, a taker has taken.
    taken: usize,
    left: usize,
    pinned: bool,
    refused: bool,
    // `submit` has returned, so that whoever completes the last operation sends the flight home.
    away: bool,
}

/// A batch that this thread is handing over right now, and who takes its outcomes.
struct Handing<'a> {
    batch: *mut KvBatch,
    taker: &'a mut dyn Taker,
    /// How many operations there are.
    count: u32,
    /// How many of them it has taken.
    taken: u32,
    pinned: bool,
    /// It is at it, or has panicked.
    taking: bool,
}

thread_local! {
    static HANDING: Cell<*mut Handing<'static>> = const { Cell::new(std::ptr::null_mut()) };
}

/// Numbers of batches that a thread takes at a time.
const IDS: u64 = 1 << 16;

/// A number for a batch: none comes twice. Threads have something in common for it once in a while only.
fn new_id() -> u64 {
    static TAKEN: AtomicU64 = AtomicU64::new(1);
    thread_local! {
        static NEXT: Cell<u64> = const { Cell::new(0) };
    }
    let next = match NEXT.get() {
        next if next.is_multiple_of(IDS) => TAKEN.fetch_add(1, Ordering::Relaxed) * IDS,
        next => next,
    };
    NEXT.set(next + 1);
    next
}

/// Submits; answers the landed flight if the engine completed all of it at once. What it completes in order before it returns goes to `taker`, if there is
/// one; the outcomes of the landed flight are of the rest.
pub(super) fn submit(
    session: &Session<'_>,
    cargo: Cargo,
    atomic: bool,
    now_ms: i64,
    (home, ticket): (&Arc<dyn Home>, u64),
    taker: Option<&mut dyn Taker>,
) -> Option<Landed> {
    // SAFETY: `fly` keeps all of the batch alive and in place until its last operation is completed.
    fly(cargo, atomic, now_ms, (home, ticket), taker, |batch| unsafe { session.submit(batch) })
}

/// The same with whatever takes the batch.
fn fly(
    cargo: Cargo,
    atomic: bool,
    now_ms: i64,
    (home, ticket): (&Arc<dyn Home>, u64),
    taker: Option<&mut dyn Taker>,
    submit: impl FnOnce(*mut KvBatch) -> Result<(), CallError>,
) -> Option<Landed> {
    let flight = Flight::prepare(cargo, atomic, now_ms, home, ticket);
    let raw = flight.batch.get();
    // The engine's own count of the flight, taken back when the last operation is completed or the batch is refused.
    let engines = Arc::into_raw(Arc::clone(&flight));
    // SAFETY: nobody else knows the batch yet.
    unsafe { (*raw).host_data = engines.cast_mut().cast() };
    // Batch, operations, what they point to, and results live in the flight, which the count above keeps alive and in
    // place until the last completion.
    let hand_over = || submit(raw);
    let (submitted, taken, pinned) = match taker {
        None => (hand_over(), 0, false),
        Some(taker) => {
            let count = flight.results.len() as u32;
            Handing { batch: raw, taker, count, taken: 0, pinned: false, taking: false }.run(hand_over)
        }
    };
    let mut progress = flight.lock();
    progress.note_taken(taken);
    progress.pinned |= pinned;
    if let Err(error) = submitted {
        progress.refuse(&error);
    }
    progress.away = true;
    if progress.left > 0 {
        return None;
    }
    let mut landed = progress.land(&flight);
    drop(progress);
    // SAFETY: all is completed or refused, so nobody else takes this count back.
    drop(unsafe { Arc::from_raw(engines) });
    if let Some(Landed { cargo: Cargo::Direct(work), .. }) = &mut landed {
        work.keep_flight(flight);
    }
    landed
}

impl Handing<'_> {
    /// Hands the batch over. Answers what came of that, how many operations were taken, and whether any of their results is pinned.
    fn run<T>(mut self, hand_over: impl FnOnce() -> T) -> (T, usize, bool) {
        /// Puts back what was there before, also when the call panics.
        struct Before(*mut Handing<'static>);
        impl Drop for Before {
            fn drop(&mut self) {
                HANDING.set(self.0);
            }
        }
        let before = Before(HANDING.replace((&raw mut self).cast()));
        let result = hand_over();
        drop(before);
        if self.taking {
            // It has been told already; it could not unwind through the engine.
            std::panic::resume_unwind(Box::new("what came of an operation could not be taken"));
        }
        (result, self.taken as usize, self.pinned)
    }

    /// Whether these operations are the next ones of the batch.
    #[inline]
    fn expects(&self, batch: *mut KvBatch, first: u32, count: u32) -> bool {
        self.batch == batch && self.taken == first && count <= self.count - first
    }

    /// Takes operations that the engine has completed, up to one in which it has panicked: who follows changes has to see which those are. Answers the rest.
    ///
    /// # Safety
    /// They are operations of the batch, and the engine lends what their results point to.
    #[inline]
    unsafe fn take(&mut self, ops: Range<u32>) -> Range<u32> {
        let end = ops.end;
        self.taken = end;
        if std::mem::replace(&mut self.taking, true) {
            return end..end;
        }
        for op in ops {
            // SAFETY: in bounds and lent, says the caller.
            let (request, result) = unsafe { (&*(*self.batch).op(op), &*(*self.batch).result(op)) };
            if result.status < 0 && panicked(Status(result.status)) {
                (self.taken, self.taking) = (op, false);
                return op..end;
            }
            if result.flags & KV_RESULT_PINNED != 0 {
                self.pinned = true;
            }
            // SAFETY: as above.
            self.taker.take(op as usize, unsafe { Lent::new(request, result) });
        }
        self.taking = false;
        end..end
    }
}

/// Takes completions from an engine.
#[inline]
pub(super) fn complete(batch: *mut KvBatch, first: u32, count: u32) {
    // SAFETY: set by this thread only for as long as it hands a batch over, and nothing else looks at it meanwhile.
    match unsafe { HANDING.get().as_mut() } {
        Some(handing) if handing.expects(batch, first, count) => {
            // SAFETY: in bounds, since the batch is as it was submitted; the engine has filled in these results and lends what they point to for this call.
            let rest = unsafe { handing.take(first..first + count) };
            if !rest.is_empty() {
                note(batch, rest.start, rest.end - rest.start);
            }
        }
        _ => note(batch, first, count),
    }
}

/// Notes completions that nobody takes.
#[inline(never)]
fn note(batch: *mut KvBatch, first: u32, count: u32) {
    // SAFETY: an engine completes batches that it was handed, and only while an operation of it is left: then the
    // flight is alive.
    let engines = unsafe { (*batch).host_data }.cast::<Flight>().cast_const();
    // SAFETY: as above.
    let flight = unsafe { &*engines };
    let mut progress = flight.lock();
    for op in first as usize..(first as usize).saturating_add(count as usize) {
        if !progress.note(op) {
            log::error!("the engine completed operation {op} twice, or one that there is not; ignored");
            continue;
        }
        // SAFETY: in bounds, and the engine has filled in this result and lends what it points to for this call.
        let (request, result) = unsafe { (&*(*batch).op(op as u32), &*(*batch).result(op as u32)) };
        // SAFETY: as above.
        progress.outcomes.set(op, unsafe { Lent::new(request, result) });
        progress.pinned |= result.flags & KV_RESULT_PINNED != 0;
    }
    if progress.left > 0 || !progress.away {
        return;
    }
    // SAFETY: the last completion, seen once: it takes back the count that `submit` made for the engine.
    let own = unsafe { Arc::from_raw(engines) };
    let landed = progress.land(&own);
    drop(progress);
    if let Some(landed) = landed {
        own.home.landed(own.ticket, landed);
    }
}

impl Flight {
    /// A flight to be submitted, in the memory of an earlier one where the cargo has one that nobody uses any more.
    fn prepare(mut cargo: Cargo, atomic: bool, now_ms: i64, home: &Arc<dyn Home>, ticket: u64) -> Arc<Self> {
        let kept = if let Cargo::Direct(work) = &mut cargo { work.take_flight() } else { None };
        // Who has another count of it has pinned its results.
        let free = |flight: &Arc<Self>| Arc::ptr_eq(&flight.home, home) && Arc::strong_count(flight) == 1;
        let mut flight = kept.filter(free).unwrap_or_else(|| {
            Arc::new(Self {
                batch: UnsafeCell::new(KvBatch::EMPTY),
                results: Vec::new(),
                progress: Mutex::default(),
                home: Arc::clone(home),
                ticket,
            })
        });
        if let Some(Self { batch, results, progress, ticket: own_ticket, .. }) = Arc::get_mut(&mut flight) {
            let count = cargo.ops().len();
            results.clear();
            results.shrink_to(OPS_KEPT_MAX);
            results.resize_with(count, || UnsafeCell::new(KvResult::EMPTY));
            *batch.get_mut() = KvBatch {
                flags: if atomic { KV_BATCH_ATOMIC } else { 0 },
                ops: cargo.ops().as_ptr(),
                results: results.as_ptr().cast_mut().cast(),
                count: count as u32,
                id: new_id(),
                now_ms,
                ..KvBatch::EMPTY
            };
            *own_ticket = ticket;
            let progress = progress.get_mut().unwrap_or_else(PoisonError::into_inner);
            *progress = Progress { cargo: Some(cargo), left: count, ..Progress::default() };
        }
        flight
    }

    fn lock(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the pins of this flight's results.
    pub(super) fn release(&self, session: &Session<'_>) {
        // SAFETY: completed, pinned, and called once: by whoever takes it out of the landed flight.
        unsafe { session.release(self.batch.get()) }
    }
}

impl Progress {
    /// Notes that an operation is completed. False: it was already, or there is no such one.
    fn note(&mut self, op: usize) -> bool {
        if self.completed.is_empty()
            && let Some(cargo) = &self.cargo
        {
            self.completed = vec![false; cargo.len()];
            self.completed.iter_mut().take(self.taken).for_each(|completed| *completed = true);
            self.outcomes = cargo.outcomes();
        }
        match self.completed.get_mut(op) {
            Some(completed) if !*completed => *completed = true,
            _ => return false,
        }
        self.left -= 1;
        true
    }

    /// Notes that the first operations are completed, and taken.
    fn note_taken(&mut self, taken: usize) {
        self.taken = taken;
        if self.completed.is_empty() {
            self.left -= taken;
        } else if (0..taken).filter(|op| !self.note(*op)).count() > 0 {
            log::error!("the engine completed operations twice; ignored");
        }
    }

    fn refuse(&mut self, error: &CallError) {
        let Some(cargo) = &self.cargo else { return };
        let count = cargo.len();
        self.outcomes = cargo.outcomes();
        for op in self.taken..count {
            self.outcomes.set_status(op, error.status, &error.text);
        }
        self.left = 0;
        // Whatever it says: where something of it was completed, it was taken.
        self.refused = self.taken == 0 && self.completed.is_empty();
    }

    fn land(&mut self, flight: &Arc<Flight>) -> Option<Landed> {
        let cargo = self.cargo.take()?;
        let outcomes = std::mem::take(&mut self.outcomes);
        let (refused, pinned) = (self.refused, self.pinned.then(|| Arc::clone(flight)));
        Some(Landed { cargo, outcomes, refused, pinned })
    }
}

/// The outcomes of work that no engine has seen.
pub(super) fn all_failed(ops: usize, status: Status, message: &str) -> Outcomes {
    let mut outcomes = Outcomes::unknown(ops);
    for op in 0..ops {
        outcomes.set_status(op, status, message);
    }
    outcomes
}

#[cfg(test)]
mod tests;
