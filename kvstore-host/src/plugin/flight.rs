//! Flight: a batch that an engine has, from `kv_submit` to its last completion. The only place where an engine writes into the host's memory.

use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use plugin_abi::Status;
use plugin_abi::calls::{CallError, Session};
use plugin_abi::raw::*;

use super::outcome::Outcomes;
use super::versioned::Emulation;
use super::work::Work;

/// What a flight carries: the owner of its operations and of all that they point to.
pub(super) enum Cargo {
    /// The work's own operations.
    Direct(Work),
    /// A round of reads or writes on behalf of a work with updates.
    Emulated(Box<Emulation>),
}

impl Cargo {
    pub(super) fn len(&self) -> usize {
        self.ops().len()
    }

    fn outcomes(&self) -> Outcomes {
        match self {
            Self::Direct(work) => Outcomes::of_work(work),
            Self::Emulated(emulation) => Outcomes::unknown(emulation.ops().len()),
        }
    }

    fn ops(&self) -> &[KvOp] {
        match self {
            Self::Direct(work) => work.ops(),
            Self::Emulated(emulation) => emulation.ops(),
        }
    }
}

/// A flight that has ended: all operations are completed.
pub struct Landed {
    pub(super) cargo: Cargo,
    pub(super) outcomes: Outcomes,
    pub(super) pinned: Option<Arc<Flight>>,
}

impl Landed {
    /// Ends work whose engine is gone: what came back counts, and what was still to be done has an unknown outcome.
    pub fn abandon(self) -> (Work, Outcomes) {
        match self.cargo {
            Cargo::Direct(work) => finish(work, self.outcomes),
            Cargo::Emulated(emulation) => emulation.abandon(),
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

/// A batch under way.
pub(super) struct Flight {
    batch: UnsafeCell<KvBatch>,
    // The engine writes to these through the batch's pointer.
    _results: Box<[UnsafeCell<KvResult>]>,
    progress: Mutex<Progress>,
    home: Arc<dyn Home>,
    ticket: u64,
}

// SAFETY: batch and results are the engine's until an operation is completed, and are then read under the lock of `progress`.
unsafe impl Send for Flight {}
// SAFETY: as above.
unsafe impl Sync for Flight {}

struct Progress {
    cargo: Option<Cargo>,
    outcomes: Outcomes,
    completed: Vec<bool>,
    left: usize,
    pinned: bool,
    // `submit` has returned, so that whoever completes the last operation sends the flight home.
    away: bool,
}

/// Number of the newest batch: none comes twice.
static LAST_ID: AtomicU64 = AtomicU64::new(0);

/// Submits; answers the landed flight if the engine completed all of it at once.
pub(super) fn submit(
    session: &Session<'_>,
    cargo: Cargo,
    atomic: bool,
    now_ms: i64,
    home: Arc<dyn Home>,
    ticket: u64,
) -> Option<Landed> {
    let count = cargo.ops().len();
    let results: Box<[UnsafeCell<KvResult>]> = (0..count).map(|_| UnsafeCell::new(KvResult::EMPTY)).collect();
    let batch = KvBatch {
        struct_size: size_of::<KvBatch>() as u32,
        flags: if atomic { KV_BATCH_ATOMIC } else { 0 },
        ops: cargo.ops().as_ptr(),
        results: results.as_ptr().cast_mut().cast(),
        count: count as u32,
        op_stride: size_of::<KvOp>() as u32,
        result_stride: size_of::<KvResult>() as u32,
        reserved: 0,
        id: LAST_ID.fetch_add(1, Ordering::Relaxed) + 1,
        now_ms,
        deadline_ns: 0,
        engine_data: [0; 2],
        host_data: std::ptr::null_mut(),
    };
    let progress = Progress {
        outcomes: cargo.outcomes(),
        cargo: Some(cargo),
        completed: vec![false; count],
        left: count,
        pinned: false,
        away: false,
    };
    let progress = Mutex::new(progress);
    let flight =
        Arc::new(Flight { batch: UnsafeCell::new(batch), _results: results, progress, home, ticket });
    let raw = flight.batch.get();
    // The engine's own count of the flight, taken back with the last completion or when the batch is refused.
    let ticket = Arc::into_raw(Arc::clone(&flight));
    // SAFETY: nobody else knows the batch yet.
    unsafe { (*raw).host_data = ticket.cast_mut().cast() };
    // SAFETY: batch, operations, what they point to, and results live in the flight, which the count above keeps
    // alive and in place until the last completion.
    if let Err(error) = unsafe { session.submit(raw) } {
        // SAFETY: refused as a whole, so no completion will take this count back.
        drop(unsafe { Arc::from_raw(ticket) });
        flight.lock().refuse(&error);
    }
    let mut progress = flight.lock();
    progress.away = true;
    let landed = if progress.left == 0 { progress.land(&flight) } else { None };
    drop(progress);
    landed
}

/// Takes completions from an engine.
pub(super) fn complete(batch: *mut KvBatch, first: u32, count: u32) {
    // SAFETY: an engine completes batches that it was handed, and only while an operation of it is left: then the
    // flight is alive.
    let ticket = unsafe { (*batch).host_data }.cast::<Flight>().cast_const();
    // SAFETY: as above.
    let flight = unsafe { &*ticket };
    let mut progress = flight.lock();
    for op in first as usize..(first as usize).saturating_add(count as usize) {
        match progress.completed.get_mut(op) {
            Some(completed) if !*completed => *completed = true,
            _ => {
                log::error!("the engine completed operation {op} twice, or one that there is not; ignored");
                continue;
            }
        }
        // SAFETY: in bounds, and the engine has filled in this result and lends what it points to for this call.
        let (request, result) = unsafe { (&*(*batch).op(op as u32), &*(*batch).result(op as u32)) };
        // SAFETY: as above.
        unsafe { progress.outcomes.set_result(op, request, result) };
        progress.pinned |= result.flags & KV_RESULT_PINNED != 0;
        progress.left -= 1;
    }
    if progress.left > 0 {
        return;
    }
    // SAFETY: the last completion, seen once: it takes back the count that `submit` made for the engine.
    let own = unsafe { Arc::from_raw(ticket) };
    let landed = if progress.away { progress.land(&own) } else { None };
    drop(progress);
    if let Some(landed) = landed {
        own.home.landed(own.ticket, landed);
    }
}

impl Flight {
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
    fn refuse(&mut self, error: &CallError) {
        for op in 0..self.completed.len() {
            self.outcomes.set_status(op, error.status, &error.text);
        }
        self.left = 0;
    }

    fn land(&mut self, flight: &Arc<Flight>) -> Option<Landed> {
        let cargo = self.cargo.take()?;
        let outcomes = std::mem::take(&mut self.outcomes);
        Some(Landed { cargo, outcomes, pinned: self.pinned.then(|| Arc::clone(flight)) })
    }
}

/// The outcomes of work that no engine has seen.
pub(super) fn all_failed(work: &Work, status: Status, message: &str) -> Outcomes {
    let mut outcomes = Outcomes::unknown(work.ops().len());
    for op in 0..work.ops().len() {
        outcomes.set_status(op, status, message);
    }
    outcomes
}
