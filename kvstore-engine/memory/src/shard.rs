//! Shard: one part of the table: finds, stores and removes entries. Locking is the caller's.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use plugin_abi::Status;
use plugin_abi::raw::{KV_EVENT_EVICTED, KV_EVENT_EXPIRED};
use plugin_abi::sdk::{Entry, Error, Host};

use crate::cell::{Cell, Shape};
use crate::hash::Hasher;
use crate::index::{self, HASH_END, Index, Slot};
use crate::log::Chunks;
use crate::pages::{Kind, PAGE, Pages, Place, SHARED_PAGES_MAX};
use crate::state::ShardState;
use crate::sync;

/// Where an entry is: good until the shard's next change.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found {
    pub(crate) position: usize,
    pub(crate) place: Place,
}

/// What a key's place holds at some time.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Live<'a> {
    /// An entry, and its cell.
    At(Found, Cell<'a>),
    /// Nothing.
    No,
    /// An entry that expired and is still to be removed.
    Expired(Found),
}

/// A change to a part of a value: it becomes `new_len` bytes long, then `bytes` are written at `offset`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patch<'a> {
    pub(crate) offset: usize,
    pub(crate) bytes: &'a [u8],
    /// At least `offset + bytes.len()`.
    pub(crate) new_len: usize,
}

/// What becomes of a cell that is no longer referred to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Old {
    /// It is freed, or written over.
    Free,
    /// It stays as it is, for an undo.
    Keep,
}

/// Where the words of a shard's index are, for those who look without the lock; 0: there are none.
#[derive(Debug, Default)]
pub(crate) struct Peek(sync::AtomicU64);

impl Peek {
    /// Bits for the number of pages; the address of the first one, a multiple of [`PAGE`], is in the others.
    const PAGES_BITS: u32 = 16;

    fn set(&self, words: *const AtomicU64, pages: usize) {
        let address = words.expose_provenance() as u64 / PAGE as u64;
        self.0.store(address << Self::PAGES_BITS | pages as u64, Ordering::Release);
    }

    /// The index as it is, or as it was.
    #[inline]
    pub(crate) fn index<'a>(&self, _: &'a Pages) -> Index<'a> {
        let word = self.0.load(Ordering::Acquire);
        let pages = word as usize & ((1 << Self::PAGES_BITS) - 1);
        if pages == 0 {
            return Index::new(&[]);
        }
        let words = core::ptr::with_exposed_provenance((word >> Self::PAGES_BITS) as usize * PAGE);
        // SAFETY: a span of an index region, which is as long as it was when the word was set, stays mapped as long as the pages, and is atomic in
        // all of its uses.
        Index::new(unsafe { core::slice::from_raw_parts(words, index::words(pages)) })
    }
}

const _: () = assert!(SHARED_PAGES_MAX < 1 << Peek::PAGES_BITS);

/// A shard was emptied: what is left to be given back, without its lock.
#[derive(Debug)]
pub(crate) struct Emptied {
    chunks: Chunks,
    index: (Place, usize),
    heap: (Place, usize),
}

impl Emptied {
    /// Gives all of it back.
    pub(crate) fn free(self, pages: &Pages) {
        self.chunks.free(pages);
        for (place, len) in [self.index, self.heap] {
            if len > 0 {
                pages.free(place, len);
            }
        }
    }
}

/// What all shards of a table have together.
#[derive(Debug)]
pub(crate) struct Common {
    pub(crate) pages: Pages,
    /// One for each shard.
    pub(crate) peek: Box<[Peek]>,
    // SipHash with a key drawn for this store: nobody outside can choose keys that collide.
    pub(crate) hasher: Hasher,
}

/// One part of the table.
#[derive(Debug)]
pub(crate) struct Shard {
    state: *mut ShardState,
    // Where the slots are, and how many: what the record says, as an address. Never null.
    words: (*const AtomicU64, usize),
    common: Arc<Common>,
    number: usize,
    /// The chunk that is the next to be looked at for the emptiest one; nowhere: the first.
    pub(crate) looked: Place,
}

// SAFETY: the record that it points to is used by whoever has locked the shard, on whatever thread.
unsafe impl Send for Shard {}

/// The hash of a key, in the bits that a slot has. The others choose the shard.
#[inline]
pub(crate) fn slot_hash(hash: u64) -> u32 {
    hash as u32 & (HASH_END - 1)
}

impl Shard {
    /// The shard of a record, with its number.
    ///
    /// # Safety
    /// The record and all that it leads to are in the pages, and nobody else uses them as long as this lives.
    pub(crate) unsafe fn new(state: *mut ShardState, number: usize, common: Arc<Common>) -> Self {
        let words = (core::ptr::dangling(), 0);
        let mut shard = Self { state, words, common, number, looked: Place::NONE };
        shard.show_index();
        shard
    }

    /// The memory of the state.
    #[inline]
    pub(crate) fn pages(&self) -> &Pages {
        &self.common.pages
    }

    /// The record, to be changed.
    #[inline]
    pub(crate) fn state(&mut self) -> &mut ShardState {
        // SAFETY: this shard's own, by the promise of `new`.
        unsafe { &mut *self.state }
    }

    /// The record.
    #[inline]
    pub(crate) fn look(&self) -> &ShardState {
        // SAFETY: as for `state`.
        unsafe { &*self.state }
    }

    fn show_index(&mut self) {
        let (index, pages) = (self.look().index, self.look().index_pages as usize);
        let words =
            if pages == 0 { core::ptr::dangling() } else { self.pages().at(index).cast_const().cast() };
        self.words = (words, index::words(pages));
        self.common.peek[self.number].set(words, pages);
    }

    /// The slots. Good until the shard grows or shrinks.
    #[inline]
    pub(crate) fn index<'a>(&self) -> Index<'a> {
        let (words, len) = self.words;
        // SAFETY: there are none, or words are atomic and stay mapped as long as the pages, which the shard keeps, and whoever uses an index of a shard keeps that.
        Index::new(unsafe { core::slice::from_raw_parts(words, len) })
    }

    /// The cell at a place, which the index or an undo has. Good until it is changed or freed.
    #[inline]
    pub(crate) fn cell<'a>(&self, place: Place) -> Cell<'a> {
        // SAFETY: places in the index, and those that are kept for an undo, lead to whole cells of this shard, which is locked.
        unsafe { Cell::at(self.pages().at(place)) }
    }

    /// The bits of a key's hash that its slot has.
    pub(crate) fn hash(&self, key: &[u8]) -> u32 {
        slot_hash(self.common.hasher.hash(key))
    }

    /// How many entries there are, those that expired and are not yet removed among them.
    pub(crate) fn len(&self) -> usize {
        self.look().len as usize
    }

    /// Bytes of cells, slots and expiries.
    pub(crate) fn used_bytes(&self) -> u64 {
        let state = self.look();
        state.live_bytes
            + (u64::from(state.index_pages) + u64::from(state.heap_pages)) * crate::pages::PAGE as u64
    }

    /// The first entry of a hash for which this holds.
    #[inline]
    pub(crate) fn find_in(&self, hash: u32, holds: impl Fn(Cell<'_>) -> bool) -> Option<Found> {
        self.find_cell(hash, holds).map(|(found, _)| found)
    }

    /// The same, with its cell.
    #[inline(always)]
    fn find_cell<'a>(&self, hash: u32, holds: impl Fn(Cell<'_>) -> bool) -> Option<(Found, Cell<'a>)> {
        self.index().of(hash).find_map(|(position, slot)| {
            let cell = self.cell(slot.place());
            holds(cell).then_some((Found { position, place: slot.place() }, cell))
        })
    }

    /// The entry of a key, expired or not.
    #[inline]
    pub(crate) fn find(&self, hash: u32, key: &[u8]) -> Option<Found> {
        self.find_in(hash, |cell| cell.has_key(key))
    }

    /// The entry of a key, unless it expired.
    #[inline(always)]
    pub(crate) fn find_live<'a>(&self, hash: u32, key: &[u8], now_ms: i64) -> Live<'a> {
        match self.find_cell(hash, |cell| cell.has_key(key)) {
            None => Live::No,
            Some((found, cell)) if cell.expired(now_ms) => Live::Expired(found),
            Some((found, cell)) => Live::At(found, cell),
        }
    }

    /// The entry of a key; if it expired, it is removed first.
    #[inline]
    pub(crate) fn find_or_expire(
        &mut self,
        hash: u32,
        key: &[u8],
        now_ms: i64,
        host: &Host,
    ) -> Option<Found> {
        match self.find_live(hash, key, now_ms) {
            Live::No => None,
            Live::At(found, _) => Some(found),
            Live::Expired(found) => {
                self.expire(hash, found, host);
                None
            }
        }
    }

    /// All cells of a hash.
    pub(crate) fn of_hash(&self, hash: u32) -> impl Iterator<Item = Cell<'_>> {
        self.index().of(hash).map(|(_, slot)| self.cell(slot.place()))
    }

    /// All cells from a hash on, in the order of their hashes.
    pub(crate) fn entries_from(&self, hash: u32) -> impl Iterator<Item = (u32, Cell<'_>)> {
        self.index().from(hash).map(|slot| (slot.hash(), self.cell(slot.place())))
    }

    /// Stores an entry, over the one that was found under its key, whose use it keeps; `access` is what one notes that is new. Answers the old cell
    /// where that is kept.
    ///
    /// # Errors
    /// FULL; then nothing has changed.
    pub(crate) fn store(
        &mut self,
        hash: u32,
        found: Option<Found>,
        entry: &Entry<'_>,
        access: u16,
        old: Old,
    ) -> Result<(Place, Option<Place>), Error> {
        let shape = Shape::of(entry);
        if entry.expiry_ms != 0 {
            self.reserve_expiry()?;
        }
        let Some(Found { position, place }) = found else {
            return Ok((self.insert(hash, shape, entry, access)?, None));
        };
        let cell = self.cell(place);
        let (before_ms, access) = (cell.expiry_ms(), cell.access());
        if old == Old::Free && cell.takes(shape) {
            cell.write(cell.keep_size(shape), entry, access);
            self.note_expiry(hash, before_ms, entry.expiry_ms);
            return Ok((place, None));
        }
        let new = self.alloc_cell(shape.size)?;
        self.cell(new).write(shape, entry, access);
        self.exchange(hash, position, place, new, old);
        self.note_expiry(hash, before_ms, entry.expiry_ms);
        Ok((new, (old == Old::Keep).then_some(place)))
    }

    /// Puts another cell in the place of one.
    fn exchange(&mut self, hash: u32, position: usize, from: Place, to: Place, old: Old) {
        self.index().set(position, Slot::new(hash, to));
        if old == Old::Free {
            self.free_cell(from);
            self.tidy();
        }
    }

    fn insert(&mut self, hash: u32, shape: Shape, entry: &Entry<'_>, access: u16) -> Result<Place, Error> {
        self.reserve_slot()?;
        let place = self.alloc_cell(shape.size)?;
        self.cell(place).write(shape, entry, access);
        let slot = Slot::new(hash, place);
        while !self.index().insert(slot) {
            let pages = index::grown(self.look().index_pages as usize);
            if let Err(error) = self.resize_index(pages) {
                self.free_cell(place);
                return Err(error);
            }
        }
        self.state().len += 1;
        self.note_expiry(hash, 0, entry.expiry_ms);
        Ok(place)
    }

    fn reserve_slot(&mut self) -> Result<(), Error> {
        let (len, pages) = (self.len(), self.look().index_pages as usize);
        if len < index::room(pages) {
            return Ok(());
        }
        if len >= u32::MAX as usize {
            return Err(Error::new(Status::FULL, "no room for another entry in this shard"));
        }
        self.resize_index(index::grown(pages))
    }

    /// Copies the slots to an array of another size, or a larger one. Reads no cell: 24 bits of the hash are in the slot.
    fn resize_index(&mut self, mut pages: usize) -> Result<(), Error> {
        let old = self.index();
        let place = loop {
            let place = self.pages().alloc(Kind::Index, pages, 1)?;
            let words = self.pages().words(place, index::words(pages)).unwrap_or_default();
            if old.copy_to(Index::new(words)) {
                break place;
            }
            self.pages().free(place, pages);
            pages = index::grown(pages);
        };
        let state = self.state();
        let (from, from_pages) = (state.index, state.index_pages as usize);
        (state.index, state.index_pages) = (place, pages as u32);
        self.show_index();
        if from_pages > 0 {
            self.pages().free(from, from_pages);
        }
        Ok(())
    }

    /// Gives an entry another expiry and version where it lies; false: its cell has no room for the expiry.
    ///
    /// # Errors
    /// FULL; then nothing has changed.
    pub(crate) fn set_expiry(
        &mut self,
        hash: u32,
        found: Found,
        expiry_ms: i64,
        version: u64,
    ) -> Result<bool, Error> {
        self.reserve_expiry()?;
        let cell = self.cell(found.place);
        let before_ms = cell.expiry_ms();
        if !cell.set_expiry_ms(expiry_ms) {
            return Ok(false);
        }
        cell.set_version(version);
        self.note_expiry(hash, before_ms, expiry_ms);
        Ok(true)
    }

    /// Changes the value of an entry where it lies; false: its cell has no room for the new value, or far too much.
    pub(crate) fn patch(&mut self, found: Found, patch: &Patch<'_>, version: u64, old: Old) -> bool {
        let Patch { offset, bytes, new_len } = *patch;
        let mut cell = self.cell(found.place);
        let old_len = cell.entry().value.len();
        let room = cell.room().unwrap_or(old_len);
        if new_len > room || (old == Old::Free && cell.is_long() && room > 256 && new_len < room / 4) {
            return false;
        }
        let Some(value) = cell.value_mut(new_len) else { return false };
        // What lies beyond the old value is anything.
        if let Some(gap) = value.get_mut(old_len..) {
            gap.fill(0);
        }
        value[offset..offset + bytes.len()].copy_from_slice(bytes);
        cell.set_version(version);
        true
    }

    /// Stores an entry with room for its value to grow, patched. Answers as [`Shard::store`].
    ///
    /// # Errors
    /// FULL; then nothing has changed.
    pub(crate) fn store_patched(
        &mut self,
        hash: u32,
        (key, found): (&[u8], Found),
        patch: &Patch<'_>,
        version: u64,
        old: Old,
    ) -> Result<(Place, Option<Place>), Error> {
        let before = self.cell(found.place);
        // The key from outside: the cell may be written over.
        let entry = Entry { key, version, ..before.entry() };
        let kept = &entry.value[..entry.value.len().min(patch.new_len)];
        let shape = Shape::with_value(&entry, patch.new_len);
        if !shape.is_long() {
            let mut value = kept.to_vec();
            value.resize(patch.new_len, 0);
            value[patch.offset..patch.offset + patch.bytes.len()].copy_from_slice(patch.bytes);
            return self.store(hash, Some(found), &Entry { value: &value, ..entry }, 0, old);
        }
        if entry.expiry_ms != 0 {
            self.reserve_expiry()?;
        }
        // Many small appends copy the value seldom; one that was cut gets no more than it needs.
        let shape = if patch.new_len > entry.value.len() { shape.roomy() } else { shape };
        let new = self.alloc_cell(shape.size)?;
        self.cell(new).write(shape, &Entry { value: kept, ..entry }, before.access());
        self.patch(Found { place: new, ..found }, patch, version, Old::Keep);
        self.exchange(hash, found.position, found.place, new, old);
        Ok((new, (old == Old::Keep).then_some(found.place)))
    }

    /// Removes an entry. Answers its cell where that is kept.
    pub(crate) fn remove(&mut self, found: Found, old: Old) -> Option<Place> {
        let cell = self.cell(found.place);
        self.index().remove(found.position);
        let expires = cell.expiry_ms() != 0;
        let state = self.state();
        state.len -= 1;
        state.expiring -= u32::from(expires);
        if old == Old::Keep {
            return Some(found.place);
        }
        self.free_cell(found.place);
        self.tidy();
        None
    }

    /// The entry of this cell, which is in the index.
    pub(crate) fn at_place(&self, hash: u32, place: Place) -> Option<Found> {
        let mut slots = self.index().of(hash);
        slots.find(|(_, slot)| slot.place() == place).map(|(position, _)| Found { position, place })
    }

    /// Undoes a store that kept the old cell, the newest change of the entry.
    pub(crate) fn put_back(&mut self, hash: u32, new: Place, old: Place) {
        let Some(found) = self.at_place(hash, new) else { return };
        self.state().expiring -= u32::from(self.cell(new).expiry_ms() != 0);
        self.index().set(found.position, Slot::new(hash, old));
        self.free_cell(new);
        self.restore_expiry(hash, self.cell(old).expiry_ms());
    }

    /// Undoes a removal that kept the cell. There is room for its slot: the array is laid out by its set of slots alone.
    pub(crate) fn restore(&mut self, hash: u32, old: Place) {
        let inserted = self.index().insert(Slot::new(hash, old));
        debug_assert!(inserted, "where it stood there is room");
        self.state().len += 1;
        self.restore_expiry(hash, self.cell(old).expiry_ms());
    }

    /// Removes an entry that expired, and tells of it.
    pub(crate) fn expire(&mut self, hash: u32, found: Found, host: &Host) {
        self.drop_entry(hash, found, KV_EVENT_EXPIRED, host);
    }

    /// Removes an entry to make room, and tells of it.
    pub(crate) fn evict(&mut self, hash: u32, found: Found, host: &Host) {
        self.drop_entry(hash, found, KV_EVENT_EVICTED, host);
    }

    fn drop_entry(&mut self, _hash: u32, found: Found, kind: u32, host: &Host) {
        // Told while the key still lies there; nobody else can look before the lock is gone.
        let cell = self.cell(found.place);
        self.tell(kind, cell.key(), cell.version(), host);
        self.remove(found, Old::Free);
    }

    /// Gives memory back when most of the entries are gone. What it copies was paid for by twice as many removals.
    pub(crate) fn shrink_if_sparse(&mut self) {
        let (pages, len) = (self.look().index_pages as usize, self.len());
        if pages > 0 && (len == 0 || index::is_sparse(pages, len)) {
            if len == 0 {
                let index = std::mem::take(&mut self.state().index);
                self.state().index_pages = 0;
                self.show_index();
                self.pages().free(index, pages);
            } else {
                // Without memory for a smaller array the large one stays.
                _ = self.resize_index(index::pages_for(len));
            }
        }
    }

    /// Lets go of everything; what is to be given back is the caller's, to free without the lock.
    pub(crate) fn empty(&mut self) -> Emptied {
        let chunks = self.take_chunks();
        let state = self.state();
        let index = (std::mem::take(&mut state.index), std::mem::take(&mut state.index_pages) as usize);
        let heap = (std::mem::take(&mut state.heap), std::mem::take(&mut state.heap_pages) as usize);
        (state.len, state.expiring, state.heap_len) = (0, 0, 0);
        self.show_index();
        Emptied { chunks, index, heap }
    }
}
