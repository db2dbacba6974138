//! Table: all shards of a store, which of them holds a key, and the store's sequence of versions.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use plugin_abi::Status;
use plugin_abi::sdk::{Entry, Error, Host, VERSION_END};

use crate::shard::{Live, Shard};

/// Most shards that a table can have: a cursor has two bytes for the shard.
pub(crate) const SHARDS_MAX: usize = 4096;

/// After each batch this many shards are looked at for expired entries, in turn,
const SWEEP_SHARDS: usize = 2;
/// and at most this many entries are removed from each of them.
const SWEEP_ENTRIES: usize = 16;

/// One shard's lock, on cache lines of its own.
#[repr(align(128))]
#[derive(Debug)]
struct Cell(RwLock<Shard>);

/// All shards of a store.
#[derive(Debug)]
pub(crate) struct Table {
    // SipHash with keys drawn for this table: nobody outside can choose keys that collide.
    hasher: RandomState,
    cells: Box<[Cell]>,
    last_version: AtomicU64,
    sweep_next: AtomicUsize,
}

/// Where a key belongs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) hash: u64,
    pub(crate) shard: usize,
}

/// An entry and the lock under which it stays what it is.
#[derive(Debug)]
pub(crate) struct Held<'a> {
    shard: RwLockReadGuard<'a, Shard>,
    index: usize,
}

impl Held<'_> {
    /// The entry, lent.
    pub(crate) fn entry(&self) -> Entry<'_> {
        self.shard.entry(self.index)
    }
}

impl Table {
    /// A table of this many shards, a power of two up to [`SHARDS_MAX`].
    pub(crate) fn new(shards: usize) -> Self {
        let hasher = RandomState::new();
        let cell = |_| Cell(RwLock::new(Shard::new(hasher.clone())));
        let cells = (0..shards).map(cell).collect();
        Self { hasher, cells, last_version: AtomicU64::new(0), sweep_next: AtomicUsize::new(0) }
    }

    /// How many shards there are.
    pub(crate) fn shards(&self) -> usize {
        self.cells.len()
    }

    /// Where a key belongs.
    pub(crate) fn place(&self, key: &[u8]) -> Place {
        let hash = self.hasher.hash_one(key);
        // Not the lowest and not the highest bits: the map within the shard uses those.
        Place { hash, shard: (hash >> 40) as usize & (self.cells.len() - 1) }
    }

    /// A number that nobody outside can tell from a random one.
    pub(crate) fn scramble(&self, number: u64) -> u64 {
        self.hasher.hash_one(number)
    }

    /// Locks a shard for reading. A panic under a lock poisons the whole instance at the boundary, so the lock's own mark says nothing new.
    pub(crate) fn read(&self, shard: usize) -> RwLockReadGuard<'_, Shard> {
        self.cells[shard].0.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Locks a shard for writing.
    pub(crate) fn write(&self, shard: usize) -> RwLockWriteGuard<'_, Shard> {
        self.cells[shard].0.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// A version above all earlier ones. Taken under the lock of the shard, so that a key's versions grow.
    pub(crate) fn next_version(&self) -> u64 {
        self.last_version.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// The highest version given or imported so far.
    pub(crate) fn last_version(&self) -> u64 {
        self.last_version.load(Ordering::Relaxed)
    }

    /// Raises the sequence to an imported version.
    ///
    /// # Errors
    /// INVALID for a version that would use the sequence up.
    pub(crate) fn import_version(&self, version: u64) -> Result<u64, Error> {
        if version >= VERSION_END {
            return Err(Error::new(Status::INVALID, "the version is not below 2^56"));
        }
        self.last_version.fetch_max(version, Ordering::Relaxed);
        Ok(version)
    }

    /// The entry of a key, locked for reading. One that expired is removed.
    pub(crate) fn hold(&self, place: Place, key: &[u8], now_ms: i64, host: &Host) -> Option<Held<'_>> {
        let shard = self.read(place.shard);
        match shard.find_live(place.hash, key, now_ms) {
            Live::At(index) => Some(Held { shard, index }),
            Live::No => None,
            Live::Expired => {
                drop(shard);
                let mut shard = self.write(place.shard);
                let index = shard.find_or_expire(place.hash, key, now_ms, host);
                // Between the two locks somebody may have stored a new entry: that is what is there now.
                index.map(|index| Held { shard: RwLockWriteGuard::downgrade(shard), index })
            }
        }
    }

    /// Removes some entries that expired, from the shards whose turn it is. Waits for no lock.
    pub(crate) fn sweep_some(&self, now_ms: i64, host: &Host) {
        let first = self.sweep_next.fetch_add(SWEEP_SHARDS, Ordering::Relaxed);
        for turn in first..first + SWEEP_SHARDS {
            let cell = &self.cells[turn & (self.cells.len() - 1)].0;
            if !cell.try_read().is_ok_and(|shard| shard.due(now_ms)) {
                continue;
            }
            if let Ok(mut shard) = cell.try_write() {
                shard.sweep(now_ms, SWEEP_ENTRIES, host);
                shard.shrink_if_sparse();
            }
        }
    }

    /// Removes everything, at one moment for everybody else.
    pub(crate) fn clear(&self) {
        // In ascending order, as atomic batches take them.
        let mut locked: Vec<_> = (0..self.cells.len()).map(|shard| self.write(shard)).collect();
        let old: Vec<Shard> = locked.iter_mut().map(|shard| shard.take()).collect();
        drop(locked);
        // Freeing millions of entries takes a while; nobody waits for it but the caller.
        drop(old);
    }
}
