//! State: what of a store lies in its regions, beside entries and indexes: the root, and a record for each shard.
//!
//! Any change to these, to a cell, a slot, a chunk, the heap or the hash is a new [`VERSION`].

use std::sync::atomic::AtomicU64;

use super::pages::Place;

/// What the layout is called.
pub(crate) const FORMAT: &str = "memory-regions";
/// Its version.
pub(crate) const VERSION: u32 = 1;

/// First bytes of the root.
pub(crate) const MAGIC: u64 = u64::from_le_bytes(*b"kvmemory");

/// The root: where everything else is found.
#[repr(C, align(128))]
#[derive(Debug)]
pub(crate) struct Root {
    pub(crate) magic: u64,
    /// How many shards there are, a power of two.
    pub(crate) shards: u64,
    /// Place of an array of as many [`ShardState`]s.
    pub(crate) shard_states: Place,
    /// The key of SipHash-1-3, by which keys of entries are hashed.
    pub(crate) hash_key: [u8; 16],
    pub(crate) last_version: Version,
}

/// The highest version given so far; on a cache line of its own, because every write changes it.
#[repr(C, align(128))]
#[derive(Debug)]
pub(crate) struct Version(pub(crate) AtomicU64);

/// One shard. Used under its lock only.
#[repr(C, align(128))]
#[derive(Debug, Default)]
pub(crate) struct ShardState {
    /// The array of slots.
    pub(crate) index: Place,
    pub(crate) index_pages: u32,
    /// Entries, those that expired and are not yet removed among them.
    pub(crate) len: u32,
    /// The chunk that new cells are written to; nowhere: the next one is still to be made.
    pub(crate) open: Place,
    /// The first chunk of the list of all.
    pub(crate) chunks: Place,
    /// Bytes of cells that are referred to.
    pub(crate) live_bytes: u64,
    /// Bytes of cells in chunks that are shared, dead ones among them.
    pub(crate) written_bytes: u64,
    /// Bytes of cells that are referred to, in such chunks.
    pub(crate) shared_live_bytes: u64,
    /// The chunk that is being emptied, and how far.
    pub(crate) victim: Place,
    pub(crate) victim_at: u32,
    /// Entries that expire.
    pub(crate) expiring: u32,
    /// The heap of expiries.
    pub(crate) heap: Place,
    pub(crate) heap_pages: u32,
    pub(crate) heap_len: u32,
    pub(crate) expired_total: u64,
    pub(crate) evicted_total: u64,
}

const _: () = assert!(size_of::<Root>() == 256);
const _: () = assert!(size_of::<ShardState>() == 128);
