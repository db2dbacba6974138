//! Boundary: the generic bodies of the exported functions. No panic gets past them, and after one the instance is poisoned.

use core::ffi::c_void;
use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use super::batch::options;
use super::{Batch, BatchId, Cursor, Engine, Entry, Error, Found, Host, Op, OpenArgs};
use crate::Status;
use crate::raw::*;

/// What a `KvEngine` pointer of the host points to.
struct Instance<E> {
    engine: E,
    host: Host,
    poisoned: AtomicBool,
    // Which kind of handoff is prepared: what a given state is marked with.
    prepared: AtomicU32,
}

/// The newest panic, `file:line: message`. Not thread-local: a thread-local with a destructor would pin the library.
static LAST_PANIC: Mutex<String> = Mutex::new(String::new());

/// Notes a panic and prints nothing: the default hook would print a backtrace, which leaves a mapping of the library behind.
fn note_panic(info: &panic::PanicHookInfo<'_>) {
    let place = info.location().map_or_else(String::new, |at| format!("{}:{}: ", at.file(), at.line()));
    let text = place + info.payload_as_str().unwrap_or("a panic without a text");
    *LAST_PANIC.lock().unwrap_or_else(PoisonError::into_inner) = text;
}

fn take_panic() -> String {
    std::mem::take(&mut *LAST_PANIC.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Writes an error's text, cut to the room there is, and answers its status.
///
/// # Safety
/// `error` is NULL or as the contract describes.
unsafe fn report(error: *mut KvError, what: &Error) -> i32 {
    // SAFETY: NULL or valid, says the caller.
    if let Some(error) = unsafe { error.as_mut() } {
        let mut len = what.text.len().min(error.capacity as usize);
        while !what.text.is_char_boundary(len) {
            len -= 1;
        }
        // Where there is no room there may be no buffer either.
        if len > 0 {
            // SAFETY: the buffer has room for `capacity` bytes, and `len` is at most that.
            unsafe { core::ptr::copy_nonoverlapping(what.text.as_ptr(), error.text, len) };
        }
        error.len = len as u32;
    }
    what.status.0
}

/// Runs one call on an instance: poisoned instances refuse, a panic poisons.
///
/// # Safety
/// `engine` is an open instance of `E`, and `error` is NULL or as the contract describes.
unsafe fn call<E: Engine>(
    engine: *mut KvEngine,
    error: *mut KvError,
    run: impl FnOnce(&Instance<E>) -> Result<Status, Error>,
) -> i32 {
    let run = |it: &Instance<E>| match it.poisoned.load(Ordering::Acquire) {
        true => Err(Status::POISONED.into()),
        false => run(it),
    };
    // SAFETY: the caller's promise.
    unsafe { call_also_poisoned::<E>(engine, error, run) }
}

/// Runs one call on an instance, poisoned or not: what a poisoned one still does is to hand its state over.
///
/// # Safety
/// As for [`call`].
unsafe fn call_also_poisoned<E: Engine>(
    engine: *mut KvEngine,
    error: *mut KvError,
    run: impl FnOnce(&Instance<E>) -> Result<Status, Error>,
) -> i32 {
    // SAFETY: open, says the caller; shared references only, from any thread.
    let instance = unsafe { &*engine.cast::<Instance<E>>() };
    let result = catch_unwind(AssertUnwindSafe(|| run(instance))).unwrap_or_else(|panic| {
        instance.poisoned.store(true, Ordering::Release);
        let mut text = take_panic();
        if text.is_empty() {
            // Unwinding that was resumed comes past no hook.
            text.push_str(panic.downcast_ref::<&str>().unwrap_or(&""));
        }
        instance.host.log(KV_LOG_ERROR, &format!("{} panicked: {text}", E::NAME));
        Err(Error::new(Status::PANIC, text))
    });
    match result {
        Ok(status) => status.0,
        // SAFETY: the caller's promise.
        Err(what) => unsafe { report(error, &what) },
    }
}

fn found(found: Found) -> Status {
    match found {
        Found::Yes => Status::OK,
        Found::No => Status::NOT_FOUND,
    }
}

/// A sink of the host as a closure.
///
/// # Safety
/// Sink and context fit together.
unsafe fn lender(sink: KvEntryFn, ctx: *mut c_void) -> impl FnMut(&Entry<'_>) {
    move |entry| {
        let raw = entry.to_raw();
        // SAFETY: they fit together, says the caller; the entry lives through the call.
        unsafe { sink(ctx, &raw const raw) }
    }
}

/// # Safety
/// As kv_open in the contract, for all three pointers.
pub unsafe fn open<E: Engine>(
    args: *const KvOpenArgs,
    engine: *mut *mut KvEngine,
    error: *mut KvError,
) -> i32 {
    panic::set_hook(Box::new(note_panic));
    let opened = catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: valid for the call, by the contract.
        let args = unsafe { &*args };
        if args.flags & !KV_OPEN_SCRATCH != 0 {
            return Err(Error::new(Status::INVALID, format!("unknown open flags {:#x}", args.flags)));
        }
        // SAFETY: valid until the instance is closed, by the contract.
        let host = unsafe { Host::new(args.host) };
        // SAFETY: NULL or lent for the call, by the contract.
        if let Some(state) = unsafe { args.state.as_ref() } {
            let takes = match state.kind {
                KV_HANDOFF_ADOPT | KV_HANDOFF_REOPEN => E::CAPABILITIES & handoff_bit(state.kind) != 0,
                _ => false,
            };
            if !takes {
                let text = format!("this engine takes no state over of the kind {}", state.kind);
                return Err(Error::new(Status::INVALID, text));
            }
        }
        // SAFETY: lent for the call, by the contract.
        let (options, scratch, state) =
            unsafe { (options(args)?, args.scratch_dir.as_slice(), args.state.as_ref()) };
        let scratch_dir = if args.flags & KV_OPEN_SCRATCH == 0 {
            None
        } else {
            Some(
                str::from_utf8(scratch)
                    .map_err(|_| Error::new(Status::INVALID, "scratch_dir is no UTF-8 text"))?,
            )
        };
        let engine = E::open(OpenArgs { host, options, scratch_dir, state })?;
        Ok(Box::new(Instance { engine, host, poisoned: AtomicBool::new(false), prepared: AtomicU32::new(0) }))
    }));
    match opened.unwrap_or_else(|_| Err(Error::new(Status::PANIC, take_panic()))) {
        Ok(instance) => {
            // SAFETY: a place for the result, by the contract.
            unsafe { *engine = Box::into_raw(instance).cast() };
            KV_STATUS_OK
        }
        // SAFETY: by the contract.
        Err(what) => unsafe { report(error, &what) },
    }
}

/// # Safety
/// As kv_close in the contract.
pub unsafe fn close<E: Engine>(engine: *mut KvEngine, error: *mut KvError) -> i32 {
    // SAFETY: made by Box::into_raw in `open`; the host closes an instance once.
    let instance = unsafe { Box::from_raw(engine.cast::<Instance<E>>()) };
    let host = instance.host;
    let closed = catch_unwind(AssertUnwindSafe(|| instance.engine.close())).unwrap_or_else(|_| {
        let text = take_panic();
        host.log(KV_LOG_ERROR, &format!("{} panicked while it was closed: {text}", E::NAME));
        Err(Error::new(Status::PANIC, text))
    });
    match closed {
        Ok(()) => KV_STATUS_OK,
        // SAFETY: by the contract.
        Err(what) => unsafe { report(error, &what) },
    }
}

/// # Safety
/// As kv_get in the contract.
pub unsafe fn get<E: Engine>(
    engine: *mut KvEngine,
    op: *const KvOp,
    sink: KvEntryFn,
    ctx: *mut c_void,
    error: *mut KvError,
) -> i32 {
    // SAFETY: by the contract.
    unsafe { call::<E>(engine, error, |it| it.engine.get(&Op::new(&*op), &mut lender(sink, ctx)).map(found)) }
}

/// # Safety
/// As kv_set in the contract.
pub unsafe fn set<E: Engine>(
    engine: *mut KvEngine,
    op: *const KvOp,
    version: *mut u64,
    error: *mut KvError,
) -> i32 {
    // SAFETY: by the contract.
    unsafe { call::<E>(engine, error, |it| Ok(store(version, it.engine.set(&Op::new(&*op))?))) }
}

/// # Safety
/// As kv_delete in the contract.
pub unsafe fn delete<E: Engine>(engine: *mut KvEngine, op: *const KvOp, error: *mut KvError) -> i32 {
    // SAFETY: by the contract.
    unsafe { call::<E>(engine, error, |it| it.engine.delete(&Op::new(&*op)).map(found)) }
}

/// # Safety
/// As kv_update in the contract.
pub unsafe fn update<E: Engine>(
    engine: *mut KvEngine,
    op: *const KvOp,
    version: *mut u64,
    error: *mut KvError,
) -> i32 {
    // SAFETY: by the contract.
    unsafe { call::<E>(engine, error, |it| Ok(store(version, it.engine.update(&Op::new(&*op))?))) }
}

/// # Safety
/// `place` is NULL or valid.
unsafe fn store(place: *mut u64, version: u64) -> Status {
    // SAFETY: the caller's promise.
    if let Some(place) = unsafe { place.as_mut() } {
        *place = version;
    }
    Status::OK
}

/// # Safety
/// As kv_submit in the contract.
pub unsafe fn submit<E: Engine>(engine: *mut KvEngine, batch: *mut KvBatch, error: *mut KvError) -> i32 {
    let run = |it: &Instance<E>| {
        // SAFETY: by the contract.
        let raw = unsafe { &*batch };
        if raw.flags & !KV_BATCH_ATOMIC != 0 {
            return Err(Error::new(Status::INVALID, format!("unknown batch flags {:#x}", raw.flags)));
        }
        if raw.flags & KV_BATCH_ATOMIC != 0 && E::CAPABILITIES & KV_CAP_ATOMIC == 0 {
            return Err(Error::new(Status::UNSUPPORTED, "the engine has no atomic batches"));
        }
        if E::BATCH_LEN_MAX != 0 && u64::from(raw.count) > E::BATCH_LEN_MAX {
            return Err(Error::new(Status::TOO_LARGE, format!("a batch has at most {}", E::BATCH_LEN_MAX)));
        }
        // SAFETY: by the contract; taken over here and nowhere else.
        it.engine.submit(unsafe { Batch::new(batch, it.host) });
        Ok(Status::OK)
    };
    // SAFETY: by the contract.
    match unsafe { call::<E>(engine, error, run) } {
        // The batch was taken, and its Drop has completed the rest with PANIC.
        KV_STATUS_PANIC => KV_STATUS_OK,
        status => status,
    }
}

/// # Safety
/// As kv_cancel in the contract.
pub unsafe fn cancel<E: Engine>(engine: *mut KvEngine, batch_id: u64) {
    let run = |it: &Instance<E>| {
        it.engine.cancel(BatchId(batch_id));
        Ok(Status::OK)
    };
    // SAFETY: by the contract.
    unsafe { call::<E>(engine, core::ptr::null_mut(), run) };
}

/// # Safety
/// As kv_scan in the contract.
#[expect(clippy::too_many_arguments, reason = "the contract's own signature")]
pub unsafe fn scan<E: Engine>(
    engine: *mut KvEngine,
    space: u32,
    flags: u32,
    count: u32,
    cursor: *mut KvCursor,
    sink: KvEntryFn,
    ctx: *mut c_void,
    error: *mut KvError,
) -> i32 {
    let run = |it: &Instance<E>| {
        no_value_alone(flags)?;
        // SAFETY: by the contract: the cursor and its buffer are the engine's for this call.
        let raw = unsafe { &mut *cursor };
        // SAFETY: as above.
        let bytes = unsafe { core::slice::from_raw_parts_mut(raw.bytes, raw.capacity as usize) };
        let mut cursor = Cursor { bytes, len: &mut raw.len };
        // SAFETY: sink and context fit together, by the contract.
        let mut lend = unsafe { lender(sink, ctx) };
        it.engine.scan(space, flags & KV_OP_NO_VALUE != 0, count, &mut cursor, &mut lend)?;
        Ok(Status::OK)
    };
    // SAFETY: by the contract.
    unsafe { call::<E>(engine, error, run) }
}

/// # Safety
/// As kv_random in the contract.
pub unsafe fn random<E: Engine>(
    engine: *mut KvEngine,
    space: u32,
    flags: u32,
    sink: KvEntryFn,
    ctx: *mut c_void,
    error: *mut KvError,
) -> i32 {
    let run = |it: &Instance<E>| {
        no_value_alone(flags)?;
        // SAFETY: sink and context fit together, by the contract.
        let mut lend = unsafe { lender(sink, ctx) };
        it.engine.random(space, flags & KV_OP_NO_VALUE != 0, &mut lend).map(found)
    };
    // SAFETY: by the contract.
    unsafe { call::<E>(engine, error, run) }
}

/// Refuses flags of a scan or a random entry other than `KV_OP_NO_VALUE`.
fn no_value_alone(flags: u32) -> Result<(), Error> {
    if flags & !KV_OP_NO_VALUE == 0 {
        return Ok(());
    }
    Err(Error::new(Status::INVALID, format!("unknown flags {flags:#x}")))
}

/// # Safety
/// As kv_count in the contract.
pub unsafe fn count<E: Engine>(
    engine: *mut KvEngine,
    space: u32,
    count: *mut u64,
    error: *mut KvError,
) -> i32 {
    // SAFETY: by the contract.
    unsafe { call::<E>(engine, error, |it| Ok(store(count, it.engine.count(space)?))) }
}

/// # Safety
/// As kv_stats in the contract.
pub unsafe fn stats<E: Engine>(
    engine: *mut KvEngine,
    sink: KvStatFn,
    ctx: *mut c_void,
    error: *mut KvError,
) -> i32 {
    let mut tell = |name: &str, kind: u32, number: i64| {
        let name = KvBytes::new(name.as_bytes());
        let stat = KvStat { name, kind, space: KV_SPACE_ALL, number, text: KvBytes::EMPTY };
        // SAFETY: sink and context fit together, by the contract; the figure lives through the call.
        unsafe { sink(ctx, &raw const stat) }
    };
    // SAFETY: by the contract.
    unsafe { call::<E>(engine, error, |it| it.engine.stats(&mut tell).map(|()| Status::OK)) }
}

/// # Safety
/// As kv_clear in the contract.
pub unsafe fn clear<E: Engine>(engine: *mut KvEngine, space: u32, error: *mut KvError) -> i32 {
    // SAFETY: by the contract.
    unsafe { call::<E>(engine, error, |it| it.engine.clear(space).map(|()| Status::OK)) }
}

/// # Safety
/// As kv_sync in the contract.
pub unsafe fn sync<E: Engine>(engine: *mut KvEngine, error: *mut KvError) -> i32 {
    // SAFETY: by the contract.
    unsafe { call::<E>(engine, error, |it| it.engine.sync().map(|()| Status::OK)) }
}

/// # Safety
/// As kv_sequence in the contract.
pub unsafe fn sequence<E: Engine>(engine: *mut KvEngine, last: *mut u64, error: *mut KvError) -> i32 {
    // SAFETY: by the contract.
    unsafe { call::<E>(engine, error, |it| Ok(store(last, it.engine.sequence(*last)?))) }
}

/// The capability that a kind of handoff needs; 0 for an unknown kind.
fn handoff_bit(kind: u32) -> u64 {
    match kind {
        KV_HANDOFF_ADOPT => KV_CAP_ADOPT,
        KV_HANDOFF_REOPEN => KV_CAP_REOPEN,
        KV_HANDOFF_FREEZE => KV_CAP_FREEZE,
        _ => 0,
    }
}

/// # Safety
/// As kv_handoff_prepare in the contract.
pub unsafe fn handoff_prepare<E: Engine>(engine: *mut KvEngine, kind: u32, error: *mut KvError) -> i32 {
    let run = |it: &Instance<E>| {
        if E::CAPABILITIES & handoff_bit(kind) == 0 {
            return Err(Error::new(Status::UNSUPPORTED, format!("there is no handoff of the kind {kind}")));
        }
        if it.prepared.load(Ordering::Acquire) != 0 {
            return Err(Error::new(Status::INVALID, "a handoff is prepared already"));
        }
        if kind != KV_HANDOFF_ADOPT && it.poisoned.load(Ordering::Acquire) {
            return Err(Status::POISONED.into());
        }
        it.engine.handoff_prepare(kind)?;
        it.prepared.store(kind, Ordering::Release);
        Ok(Status::OK)
    };
    // SAFETY: by the contract.
    unsafe { call_also_poisoned::<E>(engine, error, run) }
}

/// # Safety
/// As kv_handoff_give in the contract.
pub unsafe fn handoff_give<E: Engine>(
    engine: *mut KvEngine,
    state: *mut KvState,
    error: *mut KvError,
) -> i32 {
    let run = |it: &Instance<E>| {
        let kind = it.prepared.load(Ordering::Acquire);
        if !matches!(kind, KV_HANDOFF_ADOPT | KV_HANDOFF_REOPEN) {
            return Err(Error::new(Status::INVALID, "no handoff of a state is prepared"));
        }
        let (regions, root) = it.engine.handoff_give()?;
        // SAFETY: a place for the answer, by the contract.
        let state = unsafe { &mut *state };
        state.kind = kind;
        state.format_version = E::STATE_VERSION;
        let suspect = it.poisoned.load(Ordering::Acquire) || it.engine.is_suspect();
        state.flags = if suspect { KV_STATE_SUSPECT } else { 0 };
        state.regions = regions.as_ptr();
        state.region_count = regions.len() as u32;
        state.region_stride = size_of::<KvRegion>() as u32;
        state.root = KvBytes::new(root);
        Ok(Status::OK)
    };
    // SAFETY: by the contract.
    unsafe { call_also_poisoned::<E>(engine, error, run) }
}

/// # Safety
/// As kv_handoff_commit in the contract.
pub unsafe fn handoff_commit<E: Engine>(engine: *mut KvEngine) {
    let run = |it: &Instance<E>| {
        it.engine.handoff_commit();
        it.prepared.store(0, Ordering::Release);
        Ok(Status::OK)
    };
    // SAFETY: by the contract.
    unsafe { call_also_poisoned::<E>(engine, core::ptr::null_mut(), run) };
}

/// # Safety
/// As kv_handoff_abort in the contract.
pub unsafe fn handoff_abort<E: Engine>(engine: *mut KvEngine, error: *mut KvError) -> i32 {
    let run = |it: &Instance<E>| {
        it.engine.handoff_abort()?;
        it.prepared.store(0, Ordering::Release);
        Ok(Status::OK)
    };
    // SAFETY: by the contract.
    unsafe { call_also_poisoned::<E>(engine, error, run) }
}
