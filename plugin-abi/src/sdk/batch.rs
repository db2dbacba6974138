//! Batch: the operations of one `kv_submit`, each completed exactly once whatever the engine does.

use core::ops::Range;

use super::{Entry, Error, Host, Op};
use crate::Status;
use crate::raw::*;

/// Names a batch for [`Engine::cancel`](super::Engine::cancel).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BatchId(pub(super) u64);

/// What came of one operation.
#[derive(Clone, Copy, Debug)]
pub enum Outcome<'a> {
    /// GET: the entry.
    Entry(Entry<'a>),
    /// SET, UPDATE: what is stored now has this version and expiry (0 and 0: nothing is).
    Stored {
        /// The entry's version.
        version: u64,
        /// The entry's expiry in milliseconds since 1970 UTC.
        expiry_ms: i64,
    },
    /// DELETE: done.
    Deleted,
    /// GET, DELETE: there was no entry.
    NotFound,
    /// It failed.
    Failed(&'a Error),
}

/// A batch, which may travel to another thread. What is not completed when it is dropped is completed then, with UNKNOWN, or
/// PANIC while unwinding.
#[derive(Debug)]
pub struct Batch {
    raw: *mut KvBatch,
    id: BatchId,
    host: Host,
    count: u32,
    left: u32,
    // Operations that may be looked at: all of them, until the last one is completed.
    open: u32,
    // All operations before this one are completed.
    done_below: u32,
    // One bit for each operation that was completed since one was out of order.
    done: Vec<u64>,
}

// SAFETY: the batch is the engine's alone until it is completed, on whichever thread.
unsafe impl Send for Batch {}

impl Batch {
    /// Takes a batch over.
    ///
    /// # Safety
    /// The batch is as kv_submit promises, and is taken over once.
    pub(super) unsafe fn new(raw: *mut KvBatch, host: Host) -> Self {
        // SAFETY: valid, says the caller.
        let (count, id) = unsafe { ((*raw).count, BatchId((*raw).id)) };
        Self { raw, id, host, count, left: count, open: count, done_below: 0, done: Vec::new() }
    }

    #[inline]
    fn raw(&self) -> &KvBatch {
        debug_assert!(self.left > 0, "a completed batch is the host's again");
        // SAFETY: valid until the last operation is completed, and `left` says that it is not.
        unsafe { &*self.raw }
    }

    /// The batch's name.
    pub fn id(&self) -> BatchId {
        self.id
    }

    /// How many operations it has.
    #[inline]
    pub fn len(&self) -> usize {
        self.count as usize
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Whether all take effect or none.
    pub fn atomic(&self) -> bool {
        self.left > 0 && self.raw().flags & KV_BATCH_ATOMIC != 0
    }

    /// The time for expiry, in milliseconds since 1970 UTC.
    pub fn now_ms(&self) -> i64 {
        if self.left > 0 { self.raw().now_ms } else { 0 }
    }

    /// When nobody waits any more, on [`Host::monotonic_ns`]; 0 is never.
    pub fn deadline_ns(&self) -> u64 {
        if self.left > 0 { self.raw().deadline_ns } else { 0 }
    }

    /// The `index`-th operation, while not all are completed.
    ///
    /// # Panics
    /// Beyond the end, or when all are completed.
    #[inline]
    pub fn op(&self, index: usize) -> Op<'_> {
        assert!(index < self.open as usize, "operation {index} of {}, {} left", self.count, self.left);
        // SAFETY: in bounds, and not all completed, so the host keeps the operations in place.
        unsafe { Op::new(&*self.raw().op(index as u32)) }
    }

    #[inline]
    fn is_done(&self, index: usize) -> bool {
        // In order, as nearly all are.
        let next = index == self.done_below as usize && self.done.is_empty();
        !next && self.is_done_out_of_order(index)
    }

    #[cold]
    fn is_done_out_of_order(&self, index: usize) -> bool {
        index < self.done_below as usize
            || self.done.get(index / 64).is_some_and(|word| word >> (index % 64) & 1 == 1)
    }

    /// Marks operations as completed.
    #[inline]
    fn mark(&mut self, ops: Range<usize>) {
        self.left -= ops.len() as u32;
        if self.left == 0 {
            self.open = 0;
        }
        if ops.start == self.done_below as usize && self.done.is_empty() {
            self.done_below = ops.end as u32;
        } else {
            self.mark_out_of_order(ops);
        }
    }

    #[cold]
    fn mark_out_of_order(&mut self, ops: Range<usize>) {
        self.done.resize(self.len().div_ceil(64), 0);
        ops.for_each(|index| self.done[index / 64] |= 1 << (index % 64));
    }

    /// Completes the `index`-th operation. What the outcome lends is read before this returns.
    ///
    /// # Panics
    /// Beyond the end, or when it is completed already.
    #[inline]
    pub fn complete(&mut self, index: usize, outcome: Outcome<'_>) {
        self.fill(index, outcome);
        self.end(index..index + 1);
    }

    /// Fills in a result.
    #[inline]
    fn fill(&mut self, index: usize, outcome: Outcome<'_>) {
        assert!(
            index < self.len() && !self.is_done(index),
            "operation {index} is completed twice or is none"
        );
        // SAFETY: in bounds, and this operation is not completed, so its result is the engine's to write.
        let result = unsafe { &mut *self.raw().result(index as u32) };
        fill(result, outcome);
    }

    /// Gives operations back whose results are filled in.
    #[inline]
    fn end(&mut self, ops: Range<usize>) {
        self.mark(ops.clone());
        // SAFETY: just filled in, and marked so that none is completed again.
        unsafe { self.host.complete(self.raw, ops.start as u32, ops.len() as u32) }
    }

    /// Completes the operations from `first` on, one for each outcome, in one call to the host. What the outcomes lend is
    /// read before this returns.
    ///
    /// # Panics
    /// Beyond the end, or when one of them is completed already.
    #[inline]
    pub fn complete_range(&mut self, first: usize, outcomes: &[Outcome<'_>]) {
        if outcomes.is_empty() {
            return;
        }
        for (index, outcome) in (first..).zip(outcomes) {
            self.fill(index, *outcome);
        }
        self.end(first..first + outcomes.len());
    }

    /// Completes all that is left with one error.
    pub fn fail_all(mut self, error: &Error) {
        self.fail_rest(error);
    }

    fn fail_rest(&mut self, error: &Error) {
        for index in 0..self.len() {
            if self.left == 0 {
                return;
            }
            if !self.is_done(index) {
                self.complete(index, Outcome::Failed(error));
            }
        }
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        let status = if std::thread::panicking() { Status::PANIC } else { Status::UNKNOWN };
        self.fail_rest(&Error::from(status));
    }
}

#[inline]
fn fill(result: &mut KvResult, outcome: Outcome<'_>) {
    let entry = Entry::default();
    let (status, entry, message) = match outcome {
        Outcome::Entry(entry) => (Status::OK, entry, KvBytes::EMPTY),
        Outcome::Stored { version, expiry_ms } => {
            (Status::OK, Entry { version, expiry_ms, ..entry }, KvBytes::EMPTY)
        }
        Outcome::Deleted => (Status::OK, entry, KvBytes::EMPTY),
        Outcome::NotFound => (Status::NOT_FOUND, entry, KvBytes::EMPTY),
        Outcome::Failed(error) => (error.status, entry, KvBytes::new(error.text.as_bytes())),
    };
    result.status = status.0;
    result.flags = 0;
    result.value = KvBytes::new(entry.value);
    (result.expiry_ms, result.version) = (entry.expiry_ms, entry.version);
    (result.type_, result.entry_flags) = (entry.type_, entry.flags);
    result.message = message;
}

/// The options of `args` as texts.
///
/// # Safety
/// `args` is as kv_open promises.
///
/// # Errors
/// INVALID for an option that is no UTF-8.
pub(super) unsafe fn options<'a>(args: &'a KvOpenArgs) -> Result<Vec<(&'a str, &'a str)>, Error> {
    if args.option_count == 0 {
        return Ok(Vec::new());
    }
    let stride = args.option_stride as usize;
    // SAFETY: an array of this many options at this stride, lent for the call.
    let option = |index: u32| unsafe { &*args.options.byte_add(index as usize * stride) };
    let invalid = |_| Error::new(Status::INVALID, "an option is no UTF-8 text");
    (0..args.option_count)
        .map(|index| {
            let option = option(index);
            // SAFETY: lent for the call.
            let (key, value): (&'a [u8], &'a [u8]) =
                unsafe { (option.key.as_slice(), option.value.as_slice()) };
            Ok((str::from_utf8(key).map_err(invalid)?, str::from_utf8(value).map_err(invalid)?))
        })
        .collect()
}
