//! What the host offers an engine: the table that `kv_open` gets, its arguments, and events.

use core::ffi::c_void;

use abi_stable::StableAbi;

use super::{KvBatch, KvBytes, KvStat, KvState};

/// Log level: something failed.
pub const KV_LOG_ERROR: u32 = 1;
/// Log level: something is odd, and the engine goes on.
pub const KV_LOG_WARN: u32 = 2;
/// Log level: for the operator.
pub const KV_LOG_INFO: u32 = 3;
/// Log level: for whoever looks for a fault.
pub const KV_LOG_DEBUG: u32 = 4;

/// An entry was removed because its time had passed.
pub const KV_EVENT_EXPIRED: u32 = 1;
/// An entry was removed to make room.
pub const KV_EVENT_EVICTED: u32 = 2;
/// An entry was written, other than through this instance.
pub const KV_EVENT_CHANGED: u32 = 3;
/// All entries of the space were removed, other than through this instance.
pub const KV_EVENT_CLEARED: u32 = 4;
/// An entry was removed, other than through this instance.
pub const KV_EVENT_REMOVED: u32 = 5;
/// Events may have been missed: the host takes every entry of the space as changed. Also what a host makes of a kind that it does not know.
pub const KV_EVENT_LOST: u32 = 6;

/// Something that happened to an entry without a call of the host asking for it: nothing is told of what the host's own calls did, and freeing memory is
/// no event.
///
/// An event comes after what it tells can be seen by every read. Those of one key come one at a time, in their order. EXPIRED and EVICTED come at most once per
/// entry, before a later write to its key is acknowledged (a write over an expired entry that is not removed yet removes it first); the others may come twice,
/// or be merged into the newest. All events of what came before are told, or LOST is, before kv_close and kv_handoff_prepare return.
///
/// The host copies the event and never waits; where it has no room it drops the event and acts as on LOST. An event is a reason to look again, never one to write.
#[repr(C)]
#[derive(Clone, Copy, Debug, StableAbi)]
pub struct KvEvent {
    /// Size of this struct as the engine knows it, in bytes.
    pub struct_size: u32,
    /// One of KV_EVENT_*.
    pub kind: u32,
    /// In which keyspace; KV_EVENT_LOST: or KV_SPACE_ALL.
    pub space: u32,
    /// 0.
    pub reserved: u32,
    /// Which key; empty for KV_EVENT_CLEARED and KV_EVENT_LOST.
    pub key: KvBytes,
    /// The version that the entry had (expired, evicted, removed) or has (changed); 0: no versions.
    pub version: u64,
}

/// What the host does for an engine. The table only grows: an engine uses an entry after a look at `struct_size`. It and
/// everything in it stays valid until kv_close has returned. All functions may be called from any thread, at any time
/// between the start of kv_open and the return of kv_close, also under the engine's locks: none of them calls the
/// engine, and none of them waits. Every first argument is `ctx`. A function within struct_size is never NULL.
#[repr(C)]
#[derive(Debug, StableAbi)]
pub struct KvHost {
    /// Size of this struct as the host knows it, in bytes.
    pub struct_size: u32,
    /// The host's KV_ABI_MINOR: structs that come without a size or stride, such as the operation of kv_get, have at least the fields of that minor.
    pub abi_minor: u32,
    /// The first argument of every function here, of this instance alone: the host takes from it which generation speaks.
    pub ctx: *mut c_void,
    /// Writes a line to the host's log, which only the operator reads; the host may cut, limit and drop lines. `level` is one of KV_LOG_*; the text is UTF-8, one
    /// line, without secrets.
    pub log: unsafe extern "C" fn(ctx: *mut c_void, level: u32, text: KvBytes),
    /// The time for expiry, in milliseconds since 1970 UTC. A test may set it, so it can jump, also backwards.
    pub now_ms: unsafe extern "C" fn(ctx: *mut c_void) -> i64,
    /// The time for deadlines, in nanoseconds from some start; it never goes backwards.
    pub monotonic_ns: unsafe extern "C" fn(ctx: *mut c_void) -> u64,
    /// Completes `count` operations of a batch, from `first` on: their results are filled in. What the results lend is
    /// read during this call only, or until kv_release where they are pinned. It may be called inside any call of the engine, and at the same time for different ranges;
    /// the host holds no lock over a call of the engine that this function would wait for. A thread that has called it touches the batch again only if it itself
    /// still holds back another operation of it. Each operation is completed exactly once; ranges come in any
    /// order, from any thread, inside kv_submit or later. With the last one the batch is the host's again.
    pub complete: unsafe extern "C" fn(ctx: *mut c_void, batch: *mut KvBatch, first: u32, count: u32),
    /// Tells of an event, which is lent for the call.
    pub event: unsafe extern "C" fn(ctx: *mut c_void, event: *const KvEvent),
    /// Adds `number` to a counter or sets a gauge among the host's metrics, under the engine's name. For what happens
    /// between two calls of kv_stats and would be lost; lent for the call.
    pub metric: unsafe extern "C" fn(ctx: *mut c_void, stat: *const KvStat),
}

/// One option for an engine, as the operator wrote it. A NUL follows the bytes of both. The value of a key that ends with `_secret` is one: the host shows it
/// nowhere, and no text of the engine holds it.
#[repr(C)]
#[derive(Clone, Copy, Debug, StableAbi)]
pub struct KvOption {
    /// What stood before the first `=`.
    pub key: KvBytes,
    /// What stood behind it.
    pub value: KvBytes,
}

/// This is a trial: use nothing but memory and the empty directory `scratch_dir`; touch no configured resource. Only for
/// engines with KV_CAP_SCRATCH. The options are not those of the live engine.
pub const KV_OPEN_SCRATCH: u32 = 1_u32 << 0;

/// What kv_open gets. Lent for the call, but `host`, which stays valid until kv_close has returned.
#[repr(C)]
#[derive(Debug, StableAbi)]
pub struct KvOpenArgs {
    /// Size of this struct as the host knows it, in bytes.
    pub struct_size: u32,
    /// KV_OPEN_SCRATCH. A flag that the engine does not know is INVALID.
    pub flags: u32,
    /// The host's services.
    pub host: *const KvHost,
    /// The options; NULL where there are none. No key comes twice; an unknown one is INVALID, and the error text lists the known ones.
    pub options: *const KvOption,
    /// How many options there are.
    pub option_count: u32,
    /// Bytes from one option to the next.
    pub option_stride: u32,
    /// With KV_OPEN_SCRATCH: path of a directory that the host removes later, with a NUL behind it; empty, or as the giver of `state` left it in the same
    /// trial. Else no bytes.
    pub scratch_dir: KvBytes,
    /// State to take over, from kv_handoff_give of another engine; NULL to start without. Other than NULL only for KV_CAP_ADOPT or KV_CAP_REOPEN, by its
    /// kind; any other engine answers INVALID. Until kv_handoff_commit is called for this instance it only reads the state: no removal of
    /// what has expired, no growth, no append, no seek, no conversion. If kv_open fails or panics, or kv_close comes before the commit, the state is
    /// untouched.
    pub state: *const KvState,
    /// When the host will have lost interest, on the clock `monotonic_ns`; 0 is never. After it: TIMEOUT, and nothing is kept.
    pub deadline_ns: u64,
}
