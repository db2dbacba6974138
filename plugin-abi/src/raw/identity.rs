//! The constant by which a library says what it is, read from the file before any code of it runs.

use abi_stable::StableAbi;

/// A byte of a text; `char` in C, so that a string literal can fill an array of it.
pub type KvChar = u8;

/// First bytes of every identity.
pub const KV_ABI_MAGIC: [u8; 8] = *b"KVSTORE\0";
/// Must be equal on both sides. 0: the contract may still change with any version, so the minor must be equal too.
pub const KV_ABI_MAJOR: u32 = 0;
/// Grows with every addition. From major 1 on a host takes engines whose minor is at most its own, and uses towards each only the kinds, flags, actions and
/// fields of the engine's minor.
pub const KV_ABI_MINOR: u32 = 3;

/// Calls may come from several threads at once. Else the host holds one lock over every call, through the lent value too.
pub const KV_CAP_THREAD_SAFE: u64 = 1_u64 << 0;
/// Calls other than kv_submit, kv_cancel and kv_release, which never wait, may wait for a disk or another machine: they are made from a pool, never from
/// an event loop.
pub const KV_CAP_BLOCKING: u64 = 1_u64 << 1;
/// Entries can expire.
pub const KV_CAP_EXPIRY: u64 = 1_u64 << 2;
/// Entries have versions, and KV_OP_EXPECT and KV_OP_IMPORT work.
pub const KV_CAP_VERSIONS: u64 = 1_u64 << 3;
/// Others than this host can change the entries.
pub const KV_CAP_EXTERNAL_WRITERS: u64 = 1_u64 << 4;
/// What was acknowledged survives the end of the process.
pub const KV_CAP_DURABLE: u64 = 1_u64 << 5;
/// kv_submit takes KV_BATCH_ATOMIC.
pub const KV_CAP_ATOMIC: u64 = 1_u64 << 6;
/// kv_open takes KV_OPEN_SCRATCH.
pub const KV_CAP_SCRATCH: u64 = 1_u64 << 7;
/// Type and flags of an entry are stored.
pub const KV_CAP_TYPES: u64 = 1_u64 << 8;
/// The state can be given to another build and taken from one, by KV_HANDOFF_ADOPT. Requires the four kv_handoff_* functions.
pub const KV_CAP_ADOPT: u64 = 1_u64 << 9;
/// Files or segments can be let go of and opened by another build, by KV_HANDOFF_REOPEN. Requires the four kv_handoff_* functions.
pub const KV_CAP_REOPEN: u64 = 1_u64 << 10;
/// Writers outside of this host can be held off, by KV_HANDOFF_FREEZE. Requires the four kv_handoff_* functions.
pub const KV_CAP_FREEZE: u64 = 1_u64 << 11;
/// Every entry that is removed without the host asking, or changed from outside, is told by an event before any call can show it; what was changed
/// from outside, before kv_handoff_prepare for FREEZE returns. Without this bit events are a courtesy, and may be lost.
pub const KV_CAP_EVENTS: u64 = 1_u64 << 12;

/// The type of the data symbol `kv_abi`. Texts end with a NUL and are filled up with NULs. It holds no addresses, so its
/// bytes in the file are its value.
#[repr(C)]
#[derive(Clone, Copy, Debug, StableAbi)]
pub struct KvIdentity {
    /// KV_ABI_MAGIC.
    pub magic: [KvChar; 8],
    /// KV_ABI_MAJOR at the time of the build.
    pub abi_major: u32,
    /// KV_ABI_MINOR at the time of the build.
    pub abi_minor: u32,
    /// sizeof(kv_identity) at the time of the build.
    pub struct_size: u32,
    /// Version of the state format that this engine writes; 0: the state cannot be adopted or reopened by anybody. Any change that another build
    /// of the same version could misread (layout, hash, seed, the meaning of a field) is a new version.
    pub state_version: u32,
    /// KV_CAP_* together.
    pub capabilities: u64,
    /// Longest key in bytes; 0: no limit of its own.
    pub key_len_max: u64,
    /// Longest value in bytes; 0: no limit of its own.
    pub value_len_max: u64,
    /// Most operations in a batch; 0: no limit of its own.
    pub batch_len_max: u64,
    /// What the engine is called: `memory`.
    pub name: [KvChar; 32],
    /// Version of the engine: `1.2.3`.
    pub version: [KvChar; 32],
    /// What the layout of the state is called. One engine can take over from another of the same name whose state has a version from
    /// `state_version_min` to `state_version`.
    pub state_format: [KvChar; 32],
    /// Oldest version of the state format that kv_open takes.
    pub state_version_min: u32,
    /// 0.
    pub reserved: u32,
}

/// The least `struct_size` that a host takes: the size at ABI 0.2. What a shorter identity lacks of a longer one reads as 0.
pub const KV_IDENTITY_SIZE_MIN: u32 = 160;

const _: () = assert!(size_of::<KvIdentity>() == 160);
