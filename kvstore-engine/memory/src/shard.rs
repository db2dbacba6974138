//! Shard: one part of the table: entries by key, in an order that a scan can rely on. Locking is the caller's.

use std::hash::RandomState;

use indexmap::IndexMap;
use indexmap::map::RawEntryApiV1;
use indexmap::map::raw_entry_v1::RawEntryMut;
use plugin_abi::Status;
use plugin_abi::raw::KV_EVENT_EXPIRED;
use plugin_abi::sdk::{Entry, Error, Host};

use crate::expiry::ExpiryIndex;
use crate::slot::{self, Patch, Patched, Slot};

/// A cursor has four bytes for an index, and its highest value means "from the end".
const LEN_MAX: usize = u32::MAX as usize - 1;

/// What one entry takes in the map beside key and value, in bytes: hash, key pointer and length, slot, place in the index.
const ENTRY_BYTES: usize = 8 + 16 + size_of::<Slot>() + 9;

/// What a key's place holds at some time.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Live {
    /// The entry at this index.
    At(usize),
    /// Nothing.
    No,
    /// An entry that expired and is still to be removed.
    Expired,
}

/// One part of the table.
///
/// An index names an entry until the next removal. Removing moves the last entry into the gap and nothing else, so an entry
/// only ever moves to a lower index: a scan from the highest index down misses none.
#[derive(Debug)]
pub(crate) struct Shard {
    map: IndexMap<Box<[u8]>, Slot, RandomState>,
    expiries: ExpiryIndex,
    content_bytes: usize,
    expired_total: u64,
}

impl Shard {
    /// An empty shard for keys with hashes of this hasher.
    pub(crate) fn new(hasher: RandomState) -> Self {
        Self {
            map: IndexMap::with_hasher(hasher),
            expiries: ExpiryIndex::default(),
            content_bytes: 0,
            expired_total: 0,
        }
    }

    /// How many entries there are, those that expired and are not yet removed among them.
    pub(crate) fn len(&self) -> usize {
        self.map.len()
    }

    /// How many entries have an expiry.
    pub(crate) fn expiring(&self) -> usize {
        self.expiries.len()
    }

    /// How many entries have been removed because they expired.
    pub(crate) fn expired_total(&self) -> u64 {
        self.expired_total
    }

    /// Memory in bytes; an estimate.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.content_bytes + self.map.capacity() * ENTRY_BYTES + self.expiries.memory_bytes()
    }

    /// The index of a key, expired or not.
    pub(crate) fn find(&self, hash: u64, key: &[u8]) -> Option<usize> {
        self.map.raw_entry_v1().index_from_hash(hash, |found| **found == *key)
    }

    /// The index of a key, unless it expired.
    pub(crate) fn find_live(&self, hash: u64, key: &[u8], now_ms: i64) -> Live {
        match self.find(hash, key) {
            None => Live::No,
            Some(index) if self.map[index].expired(now_ms) => Live::Expired,
            Some(index) => Live::At(index),
        }
    }

    /// The index of a key; if it expired, it is removed first.
    pub(crate) fn find_or_expire(
        &mut self,
        hash: u64,
        key: &[u8],
        now_ms: i64,
        host: &Host,
    ) -> Option<usize> {
        let index = self.find(hash, key)?;
        if self.map[index].expired(now_ms) {
            self.expire(index, host);
            return None;
        }
        Some(index)
    }

    /// The entry at an index.
    pub(crate) fn entry(&self, index: usize) -> Entry<'_> {
        debug_assert!(index < self.map.len(), "an index names an entry");
        self.map.get_index(index).map_or_else(Entry::default, |(key, slot)| slot.entry(key))
    }

    /// Whether the entry at an index expired.
    pub(crate) fn expired(&self, index: usize, now_ms: i64) -> bool {
        self.map[index].expired(now_ms)
    }

    /// Adds an entry under a key that has none, behind all others.
    ///
    /// # Errors
    /// FULL; then nothing has changed.
    pub(crate) fn insert(&mut self, hash: u64, key: &[u8], slot: Slot) -> Result<(), Error> {
        if self.map.len() >= LEN_MAX {
            return Err(Error::new(Status::FULL, "no room for another entry in this shard"));
        }
        self.map.try_reserve(1).map_err(|_| Error::new(Status::FULL, "no memory for another entry"))?;
        let key = slot::copy(key)?.into_boxed_slice();
        self.put_back(hash, key, slot);
        Ok(())
    }

    fn put_back(&mut self, hash: u64, key: Box<[u8]>, slot: Slot) {
        self.content_bytes += key.len() + slot.value.capacity();
        self.expiries.change(self.map.len(), 0, slot.expiry_ms);
        match self.map.raw_entry_mut_v1().from_hash(hash, |found| **found == *key) {
            RawEntryMut::Vacant(place) => _ = place.insert_hashed_nocheck(hash, key, slot),
            RawEntryMut::Occupied(mut place) => _ = place.insert(slot),
        }
    }

    /// Puts another slot under the key at an index, and gives back the old one.
    pub(crate) fn replace(&mut self, index: usize, slot: Slot) -> Slot {
        let old = std::mem::replace(&mut self.map[index], slot);
        let new = &self.map[index];
        self.expiries.change(index, old.expiry_ms, new.expiry_ms);
        self.content_bytes = self.content_bytes.saturating_sub(old.value.capacity()) + new.value.capacity();
        old
    }

    /// Gives the entry at an index another expiry and version, and answers the old ones.
    pub(crate) fn set_expiry(&mut self, index: usize, expiry_ms: i64, version: u64) -> (i64, u64) {
        let slot = &mut self.map[index];
        let old = (slot.expiry_ms, slot.version);
        (slot.expiry_ms, slot.version) = (expiry_ms, version);
        self.expiries.change(index, old.0, expiry_ms);
        old
    }

    /// Changes the value at an index in place.
    ///
    /// # Errors
    /// FULL; then nothing has changed.
    pub(crate) fn patch(&mut self, index: usize, patch: &Patch<'_>, version: u64) -> Result<(), Error> {
        let slot = &mut self.map[index];
        let before = slot.value.capacity();
        slot.patch(patch)?;
        slot.version = version;
        self.content_bytes = self.content_bytes.saturating_sub(before) + slot.value.capacity();
        Ok(())
    }

    /// What [`Shard::unpatch`] will need.
    ///
    /// # Errors
    /// FULL.
    pub(crate) fn before_patch(&self, index: usize, patch: &Patch<'_>) -> Result<Patched, Error> {
        self.map[index].before_patch(patch)
    }

    /// Undoes the newest patch of the value at an index.
    pub(crate) fn unpatch(&mut self, index: usize, before: &Patched) {
        self.map[index].unpatch(before);
    }

    /// Removes the entry at an index; the last entry takes its place.
    pub(crate) fn remove(&mut self, index: usize) -> Option<(Box<[u8]>, Slot)> {
        let last = self.map.len().checked_sub(1)?;
        let last_expiry_ms = self.map[last].expiry_ms;
        let (key, slot) = self.map.swap_remove_index(index)?;
        self.expiries.change(index, slot.expiry_ms, 0);
        if index != last {
            self.expiries.moved(last_expiry_ms, last, index);
        }
        self.content_bytes = self.content_bytes.saturating_sub(key.len() + slot.value.capacity());
        Some((key, slot))
    }

    /// Undoes the newest removal: every entry stands where it stood.
    pub(crate) fn restore(&mut self, hash: u64, index: usize, key: Box<[u8]>, slot: Slot) {
        let last = self.map.len();
        self.put_back(hash, key, slot);
        if index < last {
            let (moved_ms, restored_ms) = (self.map[index].expiry_ms, self.map[last].expiry_ms);
            self.expiries.change(last, restored_ms, 0);
            self.expiries.moved(moved_ms, index, last);
            self.expiries.change(index, 0, restored_ms);
            self.map.swap_indices(index, last);
        }
    }

    fn expire(&mut self, index: usize, host: &Host) {
        if let Some((key, slot)) = self.remove(index) {
            self.expired_total += 1;
            host.event(KV_EVENT_EXPIRED, 0, &key, slot.version);
        }
    }

    /// Whether [`Shard::sweep`] has something to do.
    pub(crate) fn due(&self, now_ms: i64) -> bool {
        self.expiries.due(now_ms).is_some()
    }

    /// Removes entries that expired, at most `count_max`.
    pub(crate) fn sweep(&mut self, now_ms: i64, count_max: usize, host: &Host) {
        for _ in 0..count_max {
            let Some(index) = self.expiries.due(now_ms) else { break };
            self.expire(index, host);
        }
    }

    /// Removes everything and gives it back, for the caller to drop without the lock.
    pub(crate) fn take(&mut self) -> Self {
        let empty = Self { expired_total: self.expired_total, ..Self::new(self.map.hasher().clone()) };
        std::mem::replace(self, empty)
    }

    /// Gives memory back when the value at an index is far smaller than its buffer.
    pub(crate) fn shrink_value_if_sparse(&mut self, index: usize) {
        let slot = &mut self.map[index];
        let before = slot.value.capacity();
        slot.shrink_if_sparse();
        self.content_bytes = self.content_bytes.saturating_sub(before) + slot.value.capacity();
    }

    /// Gives memory back when most of the entries are gone. What it copies was paid for by three times as many removals.
    pub(crate) fn shrink_if_sparse(&mut self) {
        if self.map.capacity() > 64 && self.map.len() < self.map.capacity() / 8 {
            self.map.shrink_to(self.map.len() * 2);
        }
    }
}
