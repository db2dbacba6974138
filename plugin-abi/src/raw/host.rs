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
/// An entry was written or removed by somebody other than this host.
pub const KV_EVENT_CHANGED: u32 = 3;
/// All entries of the space were removed by somebody other than this host.
pub const KV_EVENT_CLEARED: u32 = 4;

/// Something that happened to an entry without a call of the host asking for it.
#[repr(C)]
#[derive(Clone, Copy, Debug, StableAbi)]
pub struct KvEvent {
    /// Size of this struct as the engine knows it, in bytes.
    pub struct_size: u32,
    /// One of KV_EVENT_*.
    pub kind: u32,
    /// In which keyspace.
    pub space: u32,
    /// 0.
    pub reserved: u32,
    /// Which key; empty for KV_EVENT_CLEARED.
    pub key: KvBytes,
    /// The version that the entry had (expired, evicted) or has (changed; 0: removed, or no versions).
    pub version: u64,
}

/// What the host does for an engine. The table only grows: an engine uses an entry after a look at `struct_size`. It and
/// everything in it stays valid until kv_close has returned. All functions may be called from any thread, at any time
/// between the start of kv_open and the return of kv_close, also under the engine's locks: none of them calls the
/// engine. Every first argument is `ctx`.
#[repr(C)]
#[derive(Debug, StableAbi)]
pub struct KvHost {
    /// Size of this struct as the host knows it, in bytes.
    pub struct_size: u32,
    /// 0.
    pub reserved: u32,
    /// The first argument of every function here.
    pub ctx: *mut c_void,
    /// Writes a line to the host's log. `level` is one of KV_LOG_*; the text is UTF-8, one line.
    pub log: unsafe extern "C" fn(ctx: *mut c_void, level: u32, text: KvBytes),
    /// The time for expiry, in milliseconds since 1970 UTC. A test may set it, so it can jump, also backwards.
    pub now_ms: unsafe extern "C" fn(ctx: *mut c_void) -> i64,
    /// The time for deadlines, in nanoseconds from some start; it never goes backwards.
    pub monotonic_ns: unsafe extern "C" fn(ctx: *mut c_void) -> u64,
    /// Completes `count` operations of a batch, from `first` on: their results are filled in. What the results lend is
    /// read during this call only, or until kv_release where they are pinned. Each operation is completed exactly once; ranges come in any
    /// order, from any thread, inside kv_submit or later. With the last one the batch is the host's again.
    pub complete: unsafe extern "C" fn(ctx: *mut c_void, batch: *mut KvBatch, first: u32, count: u32),
    /// Tells that an entry expired, was evicted, or was changed from outside. The event is lent for the call.
    pub event: unsafe extern "C" fn(ctx: *mut c_void, event: *const KvEvent),
    /// Adds `number` to a counter or sets a gauge among the host's metrics, under the engine's name. For what happens
    /// between two calls of kv_stats and would be lost; lent for the call.
    pub metric: unsafe extern "C" fn(ctx: *mut c_void, stat: *const KvStat),
}

/// One option for an engine, as the operator wrote it.
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
    /// The options. A key may come once; an unknown one is INVALID, and the error text lists the known ones.
    pub options: *const KvOption,
    /// How many options there are.
    pub option_count: u32,
    /// 0.
    pub reserved: u32,
    /// With KV_OPEN_SCRATCH: path of an empty directory, which the host removes later. Else empty.
    pub scratch_dir: KvBytes,
    /// State to adopt, from kv_handoff_give of another build whose identity names the same state format and version; NULL
    /// to start without. If kv_open fails, the state is untouched.
    pub state: *const KvState,
}
