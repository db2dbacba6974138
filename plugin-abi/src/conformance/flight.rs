//! Flight: a batch with all the memory that it needs, at addresses that do not change.

use core::ptr;
use core::sync::atomic::{AtomicU64, Ordering};

use super::request::{Answer, GARBAGE, Request};
use crate::raw::*;

/// A batch and what it points to.
pub(super) struct Flight {
    batch: KvBatch,
    // Bytes of the operations and results, in words so that they are aligned.
    _ops: Vec<u64>,
    _results: Vec<u64>,
    requests: Vec<Request>,
}

/// How a batch is to be submitted.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Plan {
    /// `KV_BATCH_*`.
    pub(super) flags: u32,
    /// The batch's deadline; 0 is never.
    pub(super) deadline_ns: u64,
    /// Words between the end of an operation or result and the next one, as a later version of the contract would have.
    pub(super) gap: usize,
}

/// The number of the newest batch of this process, so that none comes twice in an instance.
static LAST_ID: AtomicU64 = AtomicU64::new(0);

impl Flight {
    /// Lays a batch out. Whoever takes the box must not free it before the last operation is completed.
    pub(super) fn new(requests: Vec<Request>, plan: Plan, now_ms: i64) -> Box<Self> {
        let count = requests.len();
        let (op_words, result_words) =
            (size_of::<KvOp>() / 8 + plan.gap, size_of::<KvResult>() / 8 + plan.gap);
        let mut ops = vec![GARBAGE; op_words * count];
        for (place, request) in ops.chunks_exact_mut(op_words).zip(&requests) {
            // SAFETY: the chunk is aligned and has room for an operation.
            unsafe { place.as_mut_ptr().cast::<KvOp>().write(request.raw()) };
        }
        // The engine fills a result in; what it leaves out is seen to be garbage.
        let mut results = vec![GARBAGE; result_words * count];
        let batch = KvBatch {
            struct_size: size_of::<KvBatch>() as u32,
            flags: plan.flags,
            ops: ops.as_ptr().cast(),
            results: results.as_mut_ptr().cast(),
            count: count as u32,
            op_stride: (op_words * 8) as u32,
            result_stride: (result_words * 8) as u32,
            reserved: 0,
            id: LAST_ID.fetch_add(1, Ordering::Relaxed) + 1,
            now_ms,
            deadline_ns: plan.deadline_ns,
            engine_data: [0; 2],
            host_data: ptr::null_mut(),
        };
        Box::new(Self { batch, _ops: ops, _results: results, requests })
    }
}

/// A batch in the engine's hands, by its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct FlightPtr(*mut Flight);

// SAFETY: the flight is looked at under the lock of the host's table of flights only.
unsafe impl Send for FlightPtr {}

impl FlightPtr {
    pub(super) fn new(flight: Box<Flight>) -> Self {
        Self(Box::into_raw(flight))
    }

    /// What the engine is given.
    pub(super) fn batch(self) -> *mut KvBatch {
        // SAFETY: a flight that is alive; only an address is computed.
        unsafe { &raw mut (*self.0).batch }
    }

    /// The batch's number.
    pub(super) fn id(self) -> u64 {
        // SAFETY: a flight that is alive; the number does not change.
        unsafe { (*self.0).batch.id }
    }

    pub(super) fn requests<'a>(self) -> &'a [Request] {
        // SAFETY: alive until `free`, and the requests do not change.
        unsafe { &(*self.0).requests }
    }

    fn result(self, index: u32) -> *const KvResult {
        // SAFETY: alive until `free`, and the callers stay in bounds.
        unsafe { (*self.batch()).result(index) }
    }

    /// Whether a completed result is pinned.
    ///
    /// # Safety
    /// `index` is in bounds, and the operation is completed.
    pub(super) unsafe fn is_pinned(self, index: u32) -> bool {
        // SAFETY: completed, so the engine does not write it any more.
        unsafe { (*self.result(index)).flags & KV_RESULT_PINNED != 0 }
    }

    /// A copy of a completed result.
    ///
    /// # Safety
    /// `index` is in bounds, the operation is completed, and what the result lends is still valid.
    pub(super) unsafe fn answer(self, index: u32) -> Answer {
        let request = &self.requests()[index as usize];
        // SAFETY: completed, so the engine does not write it any more; valid, says the caller.
        unsafe { Answer::of_result(&*self.result(index), request) }
    }

    /// Frees the flight.
    ///
    /// # Safety
    /// All is completed, or the engine is closed, and the pointer is not used again.
    pub(super) unsafe fn free(self) {
        // SAFETY: made by Box::into_raw; freed once, says the caller.
        drop(unsafe { Box::from_raw(self.0) });
    }
}
