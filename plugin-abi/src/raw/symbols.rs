//! The functions of an engine. Each is a symbol of its library; `nm -D` shows what an engine can do.
//!
//! The declarations below are never linked: they are here for the generated header and its readers, and the `Kv…Fn`
//! types beside them are what the host resolves at run time. A test holds the two together.

use super::{
    KvBatch, KvCursor, KvEntryFn, KvError, KvIdentity, KvOp, KvOpenArgs, KvStatFn, KvState, kv_status,
};

/// One open instance of an engine: whatever the engine makes of it.
#[repr(C)]
#[derive(Debug)]
pub struct KvEngine {
    _opaque: [u8; 0],
}

unsafe extern "C" {
    /// What this library is. Required.
    pub static kv_abi: KvIdentity;

    /// Opens an instance. Required.
    ///
    /// Called by: the host, on a thread made for it. Instances of two builds can be open at once, and several of one build: nothing of an instance is in
    /// statics. With `args->state` every request waits for this call.
    /// Keeps: `args->host`, until kv_close has returned; copies what else it needs.
    /// Returns: OK with `*engine` set; else, such as INVALID (an option, a flag, a state), LOCKED (also between two instances of one process), TIMEOUT, PANIC:
    /// there is no instance, and everything taken is given back.
    pub fn kv_open(args: *const KvOpenArgs, engine: *mut *mut KvEngine, error: *mut KvError) -> kv_status;

    /// Closes an instance and frees all that it holds; no thread of it runs and no memory of it is left when it returns, but the state that it has given
    /// away or not yet taken over. What it acknowledged and keeps outside of memory is safe there. Required.
    ///
    /// Called by: the host, once, on a thread made for it; no other call is under way or will follow, and every kv_release that was due has come. Operations
    /// that are still not completed are completed first, not pinned, with CANCELLED where they have not begun.
    /// Keeps: nothing, whatever it returns.
    /// Returns: OK; else the last of the data could not be made safe.
    pub fn kv_close(engine: *mut KvEngine, error: *mut KvError) -> kv_status;

    /// Reads `op->key` and lends the entry to `sink`, once, before it returns OK. Required.
    ///
    /// Called by: a worker of the host; with KV_CAP_BLOCKING a thread of its pool. At the same time as other calls only with
    /// KV_CAP_THREAD_SAFE.
    /// Keeps: nothing. `op->kind` is KV_OP_GET.
    /// Returns: OK, NOT_FOUND, CONFLICT.
    pub fn kv_get(
        engine: *mut KvEngine,
        op: *const KvOp,
        sink: KvEntryFn,
        sink_ctx: *mut core::ffi::c_void,
        error: *mut KvError,
    ) -> kv_status;

    /// Stores `op->key` with value, expiry, type and flags of the operation. `*version` becomes the entry's version (0
    /// without KV_CAP_VERSIONS); `version` may be NULL. Required.
    ///
    /// Called by: as kv_get. Keeps: nothing: key and value are copied. `op->kind` is KV_OP_SET.
    /// Returns: OK, CONFLICT, UNSUPPORTED (expiry, type, flags or space that it cannot store), TOO_LARGE, FULL, READ_ONLY.
    pub fn kv_set(
        engine: *mut KvEngine,
        op: *const KvOp,
        version: *mut u64,
        error: *mut KvError,
    ) -> kv_status;

    /// Removes `op->key`. Required.
    ///
    /// Called by: as kv_get. Keeps: nothing. `op->kind` is KV_OP_DELETE.
    /// Returns: OK, NOT_FOUND, CONFLICT, READ_ONLY.
    pub fn kv_delete(engine: *mut KvEngine, op: *const KvOp, error: *mut KvError) -> kv_status;

    /// Lets `op->update` decide on `op->key` and carries the decision out, with no other change to the entry in between.
    /// `*version` as in kv_set; 0 when no entry is left. All decisions but KEEP, and REMOVE of nothing, give a new version. Optional; an engine that exports it and
    /// kv_submit takes KV_OP_UPDATE in batches too.
    ///
    /// Called by: as kv_get. Keeps: nothing. `op->kind` is KV_OP_UPDATE.
    /// Returns: OK whatever was decided; else as kv_set.
    pub fn kv_update(
        engine: *mut KvEngine,
        op: *const KvOp,
        version: *mut u64,
        error: *mut KvError,
    ) -> kv_status;

    /// Takes a batch of operations and completes each, now or later, through `host->complete`. It never waits for a disk, another machine
    /// or another batch. Optional.
    ///
    /// Called by: a worker of the host, from its event loop; at the same time as other calls only with KV_CAP_THREAD_SAFE.
    /// Keeps: the batch, until its last operation is completed.
    /// Returns: OK: each operation has been or will be completed exactly once. Anything else (INVALID, UNSUPPORTED, TOO_LARGE; RETRY and
    /// UNAVAILABLE when too much is waiting): no operation was or will be completed, and none has an effect.
    /// An engine that panics on a batch which it has taken completes the rest of it with PANIC.
    pub fn kv_submit(engine: *mut KvEngine, batch: *mut KvBatch, error: *mut KvError) -> kv_status;

    /// Asks that what has not begun of a batch be given up. Every operation is still completed, CANCELLED or as it came.
    /// Optional; without it the host waits.
    ///
    /// Called by: any thread, at any time between kv_submit and kv_close, whatever the capabilities say, also for a batch that has ended or was never taken: then it does
    /// nothing. It does not wait, and may complete operations before it returns. The engine looks for the number among the batches that it still has.
    /// Keeps: nothing. Returns: nothing.
    pub fn kv_cancel(engine: *mut KvEngine, batch_id: u64);

    /// Ends the pins of a batch. Required if the engine ever sets KV_RESULT_PINNED.
    ///
    /// Called by: the worker that submitted the batch, once, in the same round of its event loop in which it saw the last completion,
    /// if a result was pinned. Keeps: nothing. Returns: nothing.
    pub fn kv_release(engine: *mut KvEngine, batch: *mut KvBatch);

    /// Goes on with a scan: lends some entries to `sink` and moves the cursor: about `count` (at least 1) of them, fewer once about 1 MiB of values is lent,
    /// or none before the end. A key that has an entry from the first call to the last, however often overwritten, comes at least once; one whose entry came or went
    /// meanwhile may or may not; expired ones never come. Writes, imports and kv_clear in between spoil no cursor.
    /// `flags`: KV_OP_NO_VALUE. Optional; without it the data cannot leave the engine again.
    ///
    /// Called by: a worker or, with KV_CAP_BLOCKING, a thread of the pool; and by the host's copier. Other calls may come between the steps of a
    /// scan. An engine may be called with a cursor of a scan that was given up, any time later: cursors hold no resources.
    /// Keeps: nothing.
    /// Returns: OK; else, such as INVALID (a cursor that is none), the cursor counts as not moved, and what was lent may come again.
    pub fn kv_scan(
        engine: *mut KvEngine,
        space: u32,
        flags: u32,
        count: u32,
        cursor: *mut KvCursor,
        sink: KvEntryFn,
        sink_ctx: *mut core::ffi::c_void,
        error: *mut KvError,
    ) -> kv_status;

    /// Lends one entry to `sink`, once, before it returns OK: any of the space, each about as likely as the others, and never one that expired. Cheap, whatever
    /// the number of entries. Optional; without it the host chooses among what a scan brings.
    /// `flags`: KV_OP_NO_VALUE.
    ///
    /// Called by: as kv_scan. Keeps: nothing.
    /// Returns: OK, NOT_FOUND (there is no entry).
    pub fn kv_random(
        engine: *mut KvEngine,
        space: u32,
        flags: u32,
        sink: KvEntryFn,
        sink_ctx: *mut core::ffi::c_void,
        error: *mut KvError,
    ) -> kv_status;

    /// Counts the entries. Those that expired and are not yet removed may be among them. Optional; without it the host scans.
    ///
    /// Called by: as kv_scan. Keeps: nothing.
    /// Returns: OK with `*count` set.
    pub fn kv_count(engine: *mut KvEngine, space: u32, count: *mut u64, error: *mut KvError) -> kv_status;

    /// Tells the engine's own figures, each lent to `sink`. Cheap enough to be asked every second. Optional.
    ///
    /// Called by: as kv_scan. Keeps: nothing. Returns: OK.
    pub fn kv_stats(
        engine: *mut KvEngine,
        sink: KvStatFn,
        sink_ctx: *mut core::ffi::c_void,
        error: *mut KvError,
    ) -> kv_status;

    /// Removes all entries of a space, at one moment for every other client. Versions go on from where they were. Optional; without it
    /// the host scans and deletes.
    ///
    /// Called by: as kv_scan. Keeps: nothing.
    /// Returns: OK, READ_ONLY.
    pub fn kv_clear(engine: *mut KvEngine, space: u32, error: *mut KvError) -> kv_status;

    /// Makes durable all that was acknowledged before the call, and returns when it is. What was answered UNKNOWN before the call has then taken effect, or never will.
    /// May block whatever the capabilities say. Optional; required with KV_CAP_DURABLE, and of engines that ever answer UNKNOWN.
    ///
    /// Called by: a thread of the pool; an engine without KV_CAP_THREAD_SAFE is locked meanwhile, so one that is DURABLE is better THREAD_SAFE.
    /// Keeps: nothing. Returns: OK.
    pub fn kv_sync(engine: *mut KvEngine, error: *mut KvError) -> kv_status;

    /// Tells and raises the store's sequence of versions: it becomes at least `*last`, and `*last` becomes the highest number that was ever given or
    /// imported, deleted entries included. So a store that is filled from another one continues its sequence. Required with KV_CAP_VERSIONS.
    ///
    /// Called by: as kv_scan. Keeps: nothing. Returns: OK, INVALID (2^56 or more).
    pub fn kv_sequence(engine: *mut KvEngine, last: *mut u64, error: *mut KvError) -> kv_status;

    /// Prepares to hand over, in the way `kind` (KV_HANDOFF_*).
    ///
    /// ADOPT, REOPEN: the engine's threads halt and touch nothing more (they are joined in kv_close); background work such as a snapshot is broken off
    /// or paused, not waited for. From here until commit or abort come only kv_handoff_* calls. REOPEN also makes all durable and lets go of locks, and of
    /// every descriptor that it does not give; that comes last, after all that can fail.
    /// FREEZE: when it returns OK, no write from outside is under way, and none takes effect until commit or abort. All calls of the host still come, writes
    /// too.
    ///
    /// Optional, together with the other three. One handoff at a time; its calls may come from different threads.
    ///
    /// Called by: the host, on a thread made for it; for ADOPT and REOPEN no other call is under way, and no batch is uncompleted or unreleased.
    /// Keeps: nothing. Returns: OK; UNSUPPORTED (the kind), INVALID (already prepared), else: the engine works as before, also after IO. A poisoned engine
    /// still takes ADOPT, and marks its state KV_STATE_SUSPECT.
    pub fn kv_handoff_prepare(engine: *mut KvEngine, kind: u32, error: *mut KvError) -> kv_status;

    /// Describes the state, after a prepare for ADOPT or REOPEN. The engine still owns it, and whatever `state` points to stays valid until
    /// commit or abort.
    ///
    /// Called by: as kv_handoff_prepare. Keeps: nothing. Returns: OK, INVALID (not prepared).
    pub fn kv_handoff_give(engine: *mut KvEngine, state: *mut KvState, error: *mut KvError) -> kv_status;

    /// The handoff has happened. Called for both engines, the giver first, nothing in between. Cannot fail: all that can (threads, memory) is done before.
    ///
    /// For the giver: it writes, unlinks, unmaps and closes nothing of the state any more, and kv_close, the only call that still comes, frees only what is private
    /// to it. For the taker (opened with a state): regions and descriptors are its own from here on. After FREEZE: the outside writers find the store moved.
    ///
    /// Called by: as kv_handoff_prepare. Keeps: nothing. Returns: nothing.
    pub fn kv_handoff_commit(engine: *mut KvEngine);

    /// The handoff is called off: the engine works as before the prepare. A taker that was opened is closed first. Cannot fail after ADOPT and FREEZE; after
    /// REOPEN it takes its locks and files back, which can.
    ///
    /// Called by: as kv_handoff_prepare. Keeps: nothing.
    /// Returns: OK; after REOPEN also others, such as LOCKED: then the host refuses requests and says so, and asks again.
    pub fn kv_handoff_abort(engine: *mut KvEngine, error: *mut KvError) -> kv_status;
}

/// Defines the type of a symbol's function, as the host resolves it.
macro_rules! function_types {
    ($($(#[$doc:meta])* $name:ident = fn($($arg:ty),* $(,)?) $(-> $ret:ty)?;)*) => {
        $($(#[$doc])* pub type $name = unsafe extern "C" fn($($arg),*) $(-> $ret)?;)*
    };
}

type Sink = *mut core::ffi::c_void;

function_types! {
    /// Type of kv_open.
    KvOpenFn = fn(*const KvOpenArgs, *mut *mut KvEngine, *mut KvError) -> kv_status;
    /// Type of kv_close.
    KvCloseFn = fn(*mut KvEngine, *mut KvError) -> kv_status;
    /// Type of kv_get.
    KvGetFn = fn(*mut KvEngine, *const KvOp, KvEntryFn, Sink, *mut KvError) -> kv_status;
    /// Type of kv_set.
    KvSetFn = fn(*mut KvEngine, *const KvOp, *mut u64, *mut KvError) -> kv_status;
    /// Type of kv_delete.
    KvDeleteFn = fn(*mut KvEngine, *const KvOp, *mut KvError) -> kv_status;
    /// Type of kv_update's symbol.
    KvUpdateCallFn = fn(*mut KvEngine, *const KvOp, *mut u64, *mut KvError) -> kv_status;
    /// Type of kv_submit.
    KvSubmitFn = fn(*mut KvEngine, *mut KvBatch, *mut KvError) -> kv_status;
    /// Type of kv_cancel.
    KvCancelFn = fn(*mut KvEngine, u64);
    /// Type of kv_release.
    KvReleaseFn = fn(*mut KvEngine, *mut KvBatch);
    /// Type of kv_scan.
    KvScanFn = fn(*mut KvEngine, u32, u32, u32, *mut KvCursor, KvEntryFn, Sink, *mut KvError) -> kv_status;
    /// Type of kv_random.
    KvRandomFn = fn(*mut KvEngine, u32, u32, KvEntryFn, Sink, *mut KvError) -> kv_status;
    /// Type of kv_count.
    KvCountFn = fn(*mut KvEngine, u32, *mut u64, *mut KvError) -> kv_status;
    /// Type of kv_stats.
    KvStatsFn = fn(*mut KvEngine, KvStatFn, Sink, *mut KvError) -> kv_status;
    /// Type of kv_clear.
    KvClearFn = fn(*mut KvEngine, u32, *mut KvError) -> kv_status;
    /// Type of kv_sync.
    KvSyncFn = fn(*mut KvEngine, *mut KvError) -> kv_status;
    /// Type of kv_sequence.
    KvSequenceFn = fn(*mut KvEngine, *mut u64, *mut KvError) -> kv_status;
    /// Type of kv_handoff_prepare.
    KvHandoffPrepareFn = fn(*mut KvEngine, u32, *mut KvError) -> kv_status;
    /// Type of kv_handoff_give.
    KvHandoffGiveFn = fn(*mut KvEngine, *mut KvState, *mut KvError) -> kv_status;
    /// Type of kv_handoff_commit.
    KvHandoffCommitFn = fn(*mut KvEngine);
    /// Type of kv_handoff_abort.
    KvHandoffAbortFn = fn(*mut KvEngine, *mut KvError) -> kv_status;
}

/// The symbols without which a library is no engine.
pub const REQUIRED_SYMBOLS: [&str; 6] = ["kv_abi", "kv_open", "kv_close", "kv_get", "kv_set", "kv_delete"];

/// The symbols that an engine may have beside them.
pub const OPTIONAL_SYMBOLS: [&str; 15] = [
    "kv_update",
    "kv_submit",
    "kv_cancel",
    "kv_release",
    "kv_scan",
    "kv_random",
    "kv_count",
    "kv_stats",
    "kv_clear",
    "kv_sync",
    "kv_sequence",
    "kv_handoff_prepare",
    "kv_handoff_give",
    "kv_handoff_commit",
    "kv_handoff_abort",
];
