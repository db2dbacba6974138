//! Entries and the pieces that they are made of.

use abi_stable::StableAbi;

use super::KvChar;

/// Bytes that belong to someone else. `data` may be NULL where `len` is 0. No NUL follows them, unless it is said where they are handed over.
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
    /// The value. After KV_OP_NO_VALUE `len` is its true length and `data` is not looked at; without that flag the value is there, also where `data` is
    /// NULL because it is empty.
    pub value: KvBytes,
    /// When the entry expires, in milliseconds since 1970 UTC; 0 is never. From that moment on it is no entry, for anybody and in every respect, whether
    /// it is removed yet or not; should the clock go back, one that is not removed may be seen again.
    pub expiry_ms: i64,
    /// From a sequence of the store that never gives a number twice, also across delete and clear. Of one key, higher is later; those of different keys
    /// cannot be compared. Whatever changes an entry gives it a new one, a change of the expiry too, and equal bytes too; reads and KEEP never do.
    /// 0: the engine keeps no versions (or, as an expected version, "no entry"). Below 2^56, so that a header can share the word.
    pub version: u64,
    /// What kind of value this is: 0 is a string; from 2^31 up is free for trials. Stored and given back, not interpreted, by the engine.
    pub type_: u32,
    /// For the host, stored and given back with the entry. An engine without KV_CAP_TYPES refuses a type or flags other than 0 with
    /// KV_STATUS_UNSUPPORTED.
    pub flags: u32,
}

/// Takes one entry, lent for the time of the call: what is to stay is copied.
/// `ctx` is what the caller gave beside the function. It never calls the engine, never blocks, never unwinds.
pub type KvEntryFn = unsafe extern "C" fn(ctx: *mut core::ffi::c_void, entry: *const KvEntry);

/// Room for an error text, the caller's. The engine writes at most `capacity` bytes of UTF-8, without a NUL, and sets
/// `len`. The caller sets `len` to 0 before the call. Pointers to this type may be NULL, and so may `text` where `capacity` is 0: nobody wants to know.
/// Every failure should have a text, INVALID and UNSUPPORTED must. It may be cut anywhere: the host mends UTF-8 and line breaks. No secrets: it
/// reaches clients and logs.
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
/// The buffer is the host's and has room for KV_CURSOR_LEN_MAX bytes. Cursors hold no resources, and may come from a client, so the engine checks each
/// before it uses it, and stores no address in it. One that holds a key needs a `key_len_max` of at most 65,536.
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

/// No keyspace, but all of them: in figures and events.
pub const KV_SPACE_ALL: u32 = u32::MAX;

/// kv_stats: a number that only grows, and is never below 0.
pub const KV_STAT_COUNTER: u32 = 1;
/// kv_stats: a number that goes up and down.
pub const KV_STAT_GAUGE: u32 = 2;
/// kv_stats: a text.
pub const KV_STAT_TEXT: u32 = 3;

/// One figure that an engine tells of itself. Names have 1 to 64 bytes of lower case, digits and underscores, the unit last: `memory_bytes`. At
/// most 256 of them.
#[repr(C)]
#[derive(Clone, Copy, Debug, StableAbi)]
pub struct KvStat {
    /// What it is called; unique in the engine.
    pub name: KvBytes,
    /// One of KV_STAT_COUNTER, KV_STAT_GAUGE, KV_STAT_TEXT.
    pub kind: u32,
    /// Which keyspace it is about; KV_SPACE_ALL: the whole engine.
    pub space: u32,
    /// The number, of a counter or gauge.
    pub number: i64,
    /// The text, of a text.
    pub text: KvBytes,
}

/// Takes one figure, lent for the time of the call. The rules of kv_entry_fn hold.
pub type KvStatFn = unsafe extern "C" fn(ctx: *mut core::ffi::c_void, stat: *const KvStat);

const _: () = assert!(size_of::<KvBytes>() == 16);
const _: () = assert!(size_of::<KvEntry>() == 56);
