//! Table: all shards of a store, their locks, which of them holds a key, and the store's sequence of versions.

use std::hash::{BuildHasher, RandomState};
use std::ops::{Deref, DerefMut};
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, TryLockError};

use plugin_abi::Status;
use plugin_abi::sdk::{Entry, Error, Host, Region, VERSION_END};

use crate::cell::Cell;
use crate::check;
use crate::hash::Hasher;
use crate::index::{Index, NEAR};
use crate::limit::Limit;
use crate::pages::{Kind, PAGE, Pages, Place};
use crate::shard::{Common, Emptied, Live, Peek, Shard, slot_hash};
use crate::state::{self, Root, ShardState};
use crate::sync::{Mutex, MutexGuard};

/// Most shards that a table can have: a cursor has two bytes for the shard.
pub(crate) const SHARDS_MAX: usize = 4096;

/// Versions that an imported one leaves at least: enough for ten million writes a second in 14 years.
const VERSIONS_LEFT: u64 = 1 << 52;

/// One shard with its lock, on a cache line of its own.
#[repr(align(64))]
#[derive(Debug)]
struct Locked(Mutex<Shard>);

/// All shards of a store.
#[derive(Debug)]
pub(crate) struct Table {
    common: Arc<Common>,
    root: Place,
    shards: Box<[Locked]>,
    drawn: AtomicU64,
    pub(crate) limit: Limit,
}

/// Where a key belongs.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Home {
    pub(crate) shard: usize,
    /// The bits of the key's hash that are in its slot.
    pub(crate) hash: u32,
}

/// Where the slots of a key begin, looked at without the lock.
pub(crate) type Near<'a> = &'a [AtomicU64; NEAR];

/// A shard, locked. What changes of its memory meanwhile is counted for the limit in the end.
#[derive(Debug)]
pub(crate) struct Guard<'a> {
    shard: MutexGuard<'a, Shard>,
    limit: Option<(&'a Limit, u64)>,
}

impl Deref for Guard<'_> {
    type Target = Shard;

    #[inline]
    fn deref(&self) -> &Shard {
        &self.shard
    }
}

impl DerefMut for Guard<'_> {
    #[inline]
    fn deref_mut(&mut self) -> &mut Shard {
        &mut self.shard
    }
}

impl Drop for Guard<'_> {
    #[inline]
    fn drop(&mut self) {
        if let Some((limit, before)) = self.limit {
            limit.count(before, self.shard.used_bytes());
        }
    }
}

/// An entry and the lock under which it stays what it is.
#[derive(Debug)]
pub(crate) struct Held<'a> {
    cell: Cell<'a>,
    _lock: MutexGuard<'a, Shard>,
}

impl Held<'_> {
    /// The entry, lent.
    #[inline]
    pub(crate) fn entry(&self) -> Entry<'_> {
        self.cell().entry()
    }

    /// Its cell.
    #[inline]
    pub(crate) fn cell(&self) -> Cell<'_> {
        self.cell
    }
}

#[inline]
fn prefetch(address: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch of any address does nothing that can be seen.
    unsafe {
        use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch(address.cast(), _MM_HINT_T0);
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

/// Ends a call that needs what somebody has left half changed. Not a panic of its own, which would hide the text of theirs.
#[cold]
pub(crate) fn half_changed() -> ! {
    resume_unwind(Box::new("another call has panicked under a lock that this one needs"))
}

/// The shard of a hash, by other bits than those that the slot has.
#[inline]
pub(crate) fn home_shard(hash: u64, shards: usize) -> usize {
    (hash >> 40) as usize & (shards - 1)
}

fn root_pages(shards: usize) -> usize {
    (size_of::<Root>() + shards * size_of::<ShardState>()).div_ceil(PAGE)
}

impl Table {
    /// An empty table of this many shards, a power of two up to [`SHARDS_MAX`].
    ///
    /// # Errors
    /// FULL.
    pub(crate) fn new(shards: usize, limit: Limit) -> Result<Self, Error> {
        let pages = Pages::new()?;
        let root = pages.alloc(Kind::Data, root_pages(shards), 1)?;
        let random = RandomState::new();
        let mut hash_key = [0; 16];
        hash_key[..8].copy_from_slice(&random.hash_one(0).to_le_bytes());
        hash_key[8..].copy_from_slice(&random.hash_one(1).to_le_bytes());
        let new = Root {
            magic: state::MAGIC,
            shards: shards as u64,
            shard_states: root.plus(size_of::<Root>()),
            hash_key,
            last_version: state::Version(AtomicU64::new(0)),
        };
        // SAFETY: a span that is long enough and zeroed, as the record of a shard without entries is, and nobody else knows it.
        unsafe { pages.at(root).cast::<Root>().write(new) };
        // SAFETY: nobody else knows the state.
        Ok(unsafe { Self::on(pages, root, limit) })
    }

    /// The table of a state that another build made, and for which it may not vouch. Reads it and no more, before [`Table::own`].
    ///
    /// # Safety
    /// As for [`Pages::adopt`].
    ///
    /// # Errors
    /// CORRUPT where it is no state of this format.
    pub(crate) unsafe fn adopt(
        regions: &[Region],
        root: &[u8],
        limit: Limit,
        suspect: bool,
    ) -> Result<Self, Error> {
        let corrupt = || Error::new(Status::CORRUPT, "the state to adopt is damaged: its root is none");
        // SAFETY: the caller's promise.
        let pages = unsafe { Pages::adopt(regions)? };
        let root = Place(u64::from_le_bytes(root.try_into().map_err(|_| corrupt())?));
        if !pages.holds(root, size_of::<Root>()) {
            return Err(corrupt());
        }
        // SAFETY: within a region, on a page, and written by the giver; only read.
        let found = unsafe { &*pages.at(root).cast::<Root>() };
        let shards = found.shards as usize;
        let whole = found.magic == state::MAGIC && shards.is_power_of_two() && shards <= SHARDS_MAX;
        let all_len = shards.saturating_mul(size_of::<ShardState>());
        if !whole
            || found.shard_states != root.plus(size_of::<Root>())
            || !pages.holds(found.shard_states, all_len)
        {
            return Err(corrupt());
        }
        if suspect {
            check::state(&pages, root, root_pages(shards))?;
        }
        // SAFETY: the caller's promise.
        Ok(unsafe { Self::on(pages, root, limit) })
    }

    /// # Safety
    /// The root and what it leads to are in the pages, and nobody else uses them.
    unsafe fn on(pages: Pages, root: Place, limit: Limit) -> Self {
        // SAFETY: in the pages, says the caller.
        let found = unsafe { &*pages.at(root).cast::<Root>() };
        let peek = (0..found.shards).map(|_| Peek::default()).collect();
        let (states, shards) = (found.shard_states, found.shards as usize);
        let hasher = Hasher::new(&found.hash_key);
        let common = Arc::new(Common { pages, peek, hasher });
        let shard = |number: usize| {
            let state = states.plus(number * size_of::<ShardState>());
            // SAFETY: the record of this shard, which only this lock leads to.
            unsafe { Shard::new(common.pages.at(state).cast(), number, Arc::clone(&common)) }
        };
        let shards: Box<[Locked]> = (0..shards).map(|number| Locked(Mutex::new(shard(number)))).collect();
        if limit.is_set() {
            let lock = |shard: &Locked| shard.0.lock().unwrap_or_else(PoisonError::into_inner).used_bytes();
            shards.iter().for_each(|shard| limit.count(0, lock(shard)));
        }
        Self { common, root, shards, drawn: AtomicU64::new(0), limit }
    }

    /// From here on the state belongs to this build, or to another one: it is given back at the end, or not touched any more.
    pub(crate) fn own(&self, owned: bool) {
        self.common.pages.own(owned);
    }

    /// The regions of the state, and its root bytes.
    pub(crate) fn regions(&self) -> (Vec<Region>, [u8; 8]) {
        (self.common.pages.regions(), self.root.0.to_le_bytes())
    }

    /// Bytes that the state has taken from the system.
    pub(crate) fn held_bytes(&self) -> usize {
        self.common.pages.used_bytes()
    }

    /// How many shards there are.
    pub(crate) fn shards(&self) -> usize {
        self.shards.len()
    }

    /// Where a key belongs.
    #[inline]
    pub(crate) fn home(&self, key: &[u8]) -> Home {
        let hash = self.common.hasher.hash(key);
        Home { shard: home_shard(hash, self.shards.len()), hash: slot_hash(hash) }
    }

    /// A number that nobody outside can tell from a random one.
    pub(crate) fn random(&self) -> u64 {
        self.common.hasher.hash(&self.drawn.fetch_add(1, Ordering::Relaxed).to_le_bytes())
    }

    /// Has the slots of a key brought into the cache, and answers where they are.
    #[inline]
    pub(crate) fn prefetch_slots(&self, home: Home) -> Near<'_> {
        let near = self.common.peek[home.shard].index(&self.common.pages).near(home.hash);
        prefetch(near.as_ptr().cast());
        near
    }

    /// Has the entry of a key brought into the cache, after its slots. A look without the lock: what it finds may be out of date, which costs no more
    /// than a prefetch for nothing.
    #[inline]
    pub(crate) fn prefetch_entry(&self, home: Home, near: Near<'_>) {
        if let Some(place) = Index::nearest(near, home.hash) {
            let address = self.common.pages.at(place);
            prefetch(address);
            prefetch(address.wrapping_add(64));
        }
    }

    fn guard<'a>(&'a self, shard: MutexGuard<'a, Shard>) -> Guard<'a> {
        let limit = if self.limit.is_set() { Some((&self.limit, shard.used_bytes())) } else { None };
        Guard { shard, limit }
    }

    /// Locks a shard. Where somebody has panicked under its lock, the caller fails as they did: the boundary makes PANIC of it.
    #[inline]
    pub(crate) fn lock(&self, shard: usize) -> Guard<'_> {
        self.guard(self.shards[shard].0.lock().unwrap_or_else(|_| half_changed()))
    }

    /// Locks a shard; `None`: somebody has panicked under its lock, so it may be half changed.
    pub(crate) fn lock_whole(&self, shard: usize) -> Option<Guard<'_>> {
        self.shards[shard].0.lock().ok().map(|shard| self.guard(shard))
    }

    /// Whether somebody has panicked under a lock: nobody can vouch for the state.
    pub(crate) fn is_suspect(&self) -> bool {
        self.common.pages.is_suspect()
            || self.shards.iter().any(|shard| matches!(shard.0.try_lock(), Err(TryLockError::Poisoned(_))))
    }

    fn sequence(&self) -> &AtomicU64 {
        // SAFETY: in the pages, which live as long as this; the field is atomic, and the rest of the root never changes.
        unsafe { &(*self.common.pages.at(self.root).cast::<Root>()).last_version.0 }
    }

    /// A version above all earlier ones. Taken under the lock of the shard, so that a key's versions grow.
    pub(crate) fn next_version(&self) -> u64 {
        self.sequence().fetch_add(1, Ordering::Relaxed) + 1
    }

    /// The highest version given or imported so far.
    pub(crate) fn last_version(&self) -> u64 {
        self.sequence().load(Ordering::Relaxed)
    }

    /// Raises the sequence to an imported version.
    ///
    /// # Errors
    /// INVALID for a version that would soon use the sequence up: what a write gets then nobody has to ask.
    pub(crate) fn import_version(&self, version: u64) -> Result<u64, Error> {
        if version >= VERSION_END - VERSIONS_LEFT {
            return Err(Error::new(Status::INVALID, "the version is not below 2^56 - 2^52"));
        }
        self.sequence().fetch_max(version, Ordering::Relaxed);
        Ok(version)
    }

    /// The entry of a key, with its shard locked. One that expired is removed.
    #[inline(always)]
    pub(crate) fn hold(&self, home: Home, key: &[u8], now_ms: i64, host: &Host) -> Option<Held<'_>> {
        let shard = self.shards[home.shard].0.lock().unwrap_or_else(|_| half_changed());
        match shard.find_live(home.hash, key, now_ms) {
            Live::At(_, cell) => Some(Held { cell, _lock: shard }),
            Live::No => None,
            Live::Expired(found) => {
                self.guard(shard).expire(home.hash, found, host);
                None
            }
        }
    }

    /// Notes that a client has used the entry of a cell, whose shard is locked, under a policy that looks at use.
    #[cold]
    pub(crate) fn touch(&self, cell: Cell<'_>, now_ms: i64) {
        cell.set_access(self.limit.used(cell.access(), now_ms, || self.random()));
    }

    /// Removes everything, at one moment for everybody else.
    pub(crate) fn clear(&self) {
        // In ascending order, as atomic batches take them.
        let mut locked: Vec<_> = (0..self.shards.len()).map(|shard| self.lock(shard)).collect();
        let emptied: Vec<Emptied> = locked.iter_mut().map(|shard| shard.empty()).collect();
        drop(locked);
        // Giving back what millions of entries had takes a while; nobody waits for it but the caller.
        emptied.into_iter().for_each(|emptied| emptied.free(&self.common.pages));
    }
}
