//! The constant by which a library says what it is, read from the file before any code of it runs.

use abi_stable::StableAbi;

/// A byte of a text; `char` in C, so that a string literal can fill an array of it.
pub type KvChar = u8;

/// First bytes of every identity.
pub const KV_ABI_MAGIC: [u8; 8] = *b"KVSTORE\0";
/// Must be equal on both sides. 0: the contract may still change with any version, so the minor must be equal too.
pub const KV_ABI_MAJOR: u32 = 0;
/// Grows with every addition.
pub const KV_ABI_MINOR: u32 = 1;

/// Calls may come from several threads at once. Else the host holds one lock over every call, through the lent value too.
pub const KV_CAP_THREAD_SAFE: u64 = 1_u64 << 0;
/// Calls other than kv_submit may wait for a disk or another machine: they are made from a pool, never from an event loop.
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
    /// Version of the state format; 0: the state cannot be adopted or reopened by anybody.
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
    /// What the layout of the state is called; same name and version: one can take over from the other.
    pub state_format: [KvChar; 32],
}

const _: () = assert!(size_of::<KvIdentity>() == 152);
