//! Entries and the pieces that they are made of.

use abi_stable::StableAbi;

use super::KvChar;

/// Bytes that belong to someone else. `data` may be NULL where `len` is 0.
#[repr(C)]
#[derive(Clone, Copy, Debug, StableAbi)]
pub struct KvBytes {
    /// First byte.
    pub data: *const u8,
    /// Number of bytes.
    pub len: usize,
}

/// A key with all that is stored under it. Frozen with the ABI's major version.
#[repr(C)]
#[derive(Clone, Copy, Debug, StableAbi)]
pub struct KvEntry {
    /// The key. In the answer to a get it may be left empty: the host knows what it asked for.
    pub key: KvBytes,
    /// The value. After KV_OP_NO_VALUE `data` may be NULL while `len` still is the value's true length.
    pub value: KvBytes,
    /// When the entry expires, in milliseconds since 1970 UTC; 0 is never. From that moment on nobody sees the entry.
    pub expiry_ms: i64,
    /// From one sequence of the store that never gives a number twice; higher is later. 0: the engine keeps no versions
    /// (or, as an expected version, "no entry").
    pub version: u64,
    /// What kind of value this is: 0 is a string. Stored and given back, not interpreted, by the engine.
    pub type_: u32,
    /// For the host, stored and given back with the entry. An engine that cannot store type and flags refuses anything
    /// but 0 and 0 with KV_STATUS_UNSUPPORTED.
    pub flags: u32,
}

/// Takes one entry, lent for the time of the call: what is to stay is copied.
/// `ctx` is what the caller gave beside the function. It never calls the engine, never blocks, never unwinds.
pub type KvEntryFn = unsafe extern "C" fn(ctx: *mut core::ffi::c_void, entry: *const KvEntry);

/// Room for an error text, the caller's. The engine writes at most `capacity` bytes of UTF-8, without a NUL, and sets
/// `len`. The caller sets `len` to 0 before the call. Pointers to this type may be NULL: nobody wants to know.
#[repr(C)]
#[derive(Debug, StableAbi)]
pub struct KvError {
    /// The caller's buffer.
    pub text: *mut KvChar,
    /// Its size in bytes.
    pub capacity: u32,
    /// Bytes written.
    pub len: u32,
}

/// Where a scan stands: bytes that only the engine understands. `len` 0 starts a scan and, after a call, ends it.
/// The buffer is the host's and has room for KV_CURSOR_LEN_MAX bytes.
#[repr(C)]
#[derive(Debug, StableAbi)]
pub struct KvCursor {
    /// The host's buffer.
    pub bytes: *mut u8,
    /// Bytes in use.
    pub len: u32,
    /// Size of the buffer.
    pub capacity: u32,
}

/// The largest cursor, in bytes: a key of 64 KiB and some more. An engine does well with 6 bytes or fewer: then a client's
/// numeric cursor carries them, and the host has nothing to remember.
pub const KV_CURSOR_LEN_MAX: u32 = 65_536 + 64;

/// kv_stats: a number that only grows.
pub const KV_STAT_COUNTER: u32 = 1;
/// kv_stats: a number that goes up and down.
pub const KV_STAT_GAUGE: u32 = 2;
/// kv_stats: a text.
pub const KV_STAT_TEXT: u32 = 3;

/// One figure that an engine tells of itself. Names are lower case with underscores, the unit last: `memory_bytes`.
#[repr(C)]
#[derive(Clone, Copy, Debug, StableAbi)]
pub struct KvStat {
    /// What it is called; unique in the engine.
    pub name: KvBytes,
    /// One of KV_STAT_COUNTER, KV_STAT_GAUGE, KV_STAT_TEXT.
    pub kind: u32,
    /// 0.
    pub reserved: u32,
    /// The number, of a counter or gauge.
    pub number: i64,
    /// The text, of a text.
    pub text: KvBytes,
}

/// Takes one figure, lent for the time of the call. The rules of kv_entry_fn hold.
pub type KvStatFn = unsafe extern "C" fn(ctx: *mut core::ffi::c_void, stat: *const KvStat);

const _: () = assert!(size_of::<KvBytes>() == 16);
const _: () = assert!(size_of::<KvEntry>() == 56);
