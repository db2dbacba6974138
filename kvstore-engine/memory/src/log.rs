//! Log: where a shard's cells lie: chunks that are written from front to back, and spans of their own for long cells.
//!
//! A cell is never moved within its chunk. What is freed leaves a gap; when gaps take more than a fifth, the emptiest of some chunks is emptied cell by
//! cell into the newest one and given back. Each write that leaves a gap moves a few cells, so none takes long and the gaps stay bounded.

use plugin_abi::sdk::Error;

use crate::cell::Cell;
use crate::index::Slot;
use crate::pages::{Kind, PAGE, Place};
use crate::shard::Shard;

/// Bytes of a chunk, and their alignment.
pub(crate) const CHUNK_LEN: usize = CHUNK_PAGES * PAGE;
/// The same in pages.
pub(crate) const CHUNK_PAGES: usize = 8;
/// Bytes of the longest cell that shares its chunk with others.
pub(crate) const SHARED_LEN_MAX: usize = CHUNK_LEN / 4;
/// Bytes of gaps, beside a share of the cells, that are left as they are.
const GAPS_KEPT_LEN: u64 = 16 << 10;
/// Cells that are looked at, to be moved, by one write.
const MOVES: usize = 16;
/// Chunks that are looked at for the emptiest one, by one write.
const LOOKS: usize = 16;
/// Bytes of cells of a chunk that is not worth it. Where gaps take more than a fifth of all, some chunk has fewer.
const FULL_LEN: u32 = (CHUNK_LEN / 8 * 7) as u32;

/// The first bytes of a chunk, and of the span of a long cell.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct ChunkHead {
    pub(crate) next: Place,
    pub(crate) prev: Place,
    pub(crate) pages: u64,
    /// Where the next cell goes; 0 in the span of a long cell.
    pub(crate) used: u32,
    /// Bytes of cells that are referred to.
    pub(crate) live: u32,
}

/// Its bytes.
pub(crate) const HEAD_LEN: usize = size_of::<ChunkHead>();
const _: () = assert!(HEAD_LEN == 32);

/// Pages of the span of a long cell.
pub(crate) fn span_pages(size: usize) -> usize {
    size.saturating_add(HEAD_LEN).div_ceil(PAGE)
}

/// All chunks of a shard that was emptied, to be given back without its lock.
#[derive(Debug)]
pub(crate) struct Chunks(pub(crate) Place);

impl Shard {
    fn head(&self, chunk: Place) -> *mut ChunkHead {
        self.pages().at(chunk).cast()
    }

    /// Memory for a cell.
    ///
    /// # Errors
    /// FULL.
    pub(crate) fn alloc_cell(&mut self, size: usize) -> Result<Place, Error> {
        if size > SHARED_LEN_MAX {
            let span = self.new_chunk(span_pages(size), 1, 0)?;
            self.state().live_bytes += size as u64;
            return Ok(span.plus(HEAD_LEN));
        }
        let mut chunk = self.state().open;
        // SAFETY: a chunk of this shard, which is locked.
        if chunk.is_none() || unsafe { (*self.head(chunk)).used } as usize + size > CHUNK_LEN {
            chunk = self.new_chunk(CHUNK_PAGES, CHUNK_PAGES, HEAD_LEN as u32)?;
            self.state().open = chunk;
        }
        // SAFETY: as above; nothing else refers to the head.
        let head = unsafe { &mut *self.head(chunk) };
        let place = chunk.plus(head.used as usize);
        head.used += size as u32;
        head.live += size as u32;
        let state = self.state();
        state.live_bytes += size as u64;
        state.written_bytes += size as u64;
        state.shared_live_bytes += size as u64;
        Ok(place)
    }

    /// A chunk or span at the head of the list.
    fn new_chunk(&mut self, pages: usize, align: usize, used: u32) -> Result<Place, Error> {
        let chunk = self.pages().alloc(Kind::Data, pages, align)?;
        let next = std::mem::replace(&mut self.state().chunks, chunk);
        // SAFETY: a new span, longer than a head and aligned, that nobody else knows.
        unsafe {
            *self.head(chunk) = ChunkHead { next, prev: Place::NONE, pages: pages as u64, used, live: 0 }
        };
        if !next.is_none() {
            // SAFETY: a chunk of this shard, which is locked.
            unsafe { (*self.head(next)).prev = chunk };
        }
        Ok(chunk)
    }

    fn free_chunk(&mut self, chunk: Place) {
        // SAFETY: chunks of this shard, which is locked, for all three.
        let (next, prev, pages) = unsafe {
            let ChunkHead { next, prev, pages, .. } = *self.head(chunk);
            if !next.is_none() {
                (*self.head(next)).prev = prev;
            }
            if !prev.is_none() {
                (*self.head(prev)).next = next;
            }
            (next, prev, pages)
        };
        let state = self.state();
        if prev.is_none() {
            state.chunks = next;
        }
        if state.victim == chunk {
            state.victim = Place::NONE;
        }
        if self.looked == chunk {
            self.looked = next;
        }
        self.pages().free(chunk, pages as usize);
    }

    /// Frees a cell that nobody refers to any more.
    pub(crate) fn free_cell(&mut self, place: Place) {
        let cell = self.cell(place);
        let size = cell.size();
        self.state().live_bytes -= size as u64;
        if size > SHARED_LEN_MAX {
            let span = Place(place.0 - Place::NONE.plus(HEAD_LEN).0);
            return self.free_chunk(span);
        }
        cell.die();
        self.state().shared_live_bytes -= size as u64;
        let chunk = place.align_down(CHUNK_LEN);
        // SAFETY: the chunk of this cell, of this shard, which is locked.
        let head = unsafe { &mut *self.head(chunk) };
        head.live -= size as u32;
        if head.live > 0 {
            return;
        }
        self.state().written_bytes -= u64::from(head.used) - HEAD_LEN as u64;
        if self.state().open == chunk {
            head.used = HEAD_LEN as u32;
        } else {
            self.free_chunk(chunk);
        }
    }

    /// Moves a few cells out of the emptiest chunk, if gaps take too much; false: they do not. Not while places are kept elsewhere than in the index.
    pub(crate) fn tidy(&mut self) -> bool {
        let state = self.state();
        let gaps = state.written_bytes - state.shared_live_bytes;
        if gaps <= state.shared_live_bytes / 4 + GAPS_KEPT_LEN {
            return false;
        }
        if state.victim.is_none() {
            let Some(victim) = self.emptiest() else { return true };
            let state = self.state();
            (state.victim, state.victim_at) = (victim, HEAD_LEN as u32);
        }
        for _ in 0..MOVES {
            let state = self.state();
            let (victim, at) = (state.victim, state.victim_at as usize);
            // It is given back with its last cell.
            if victim.is_none() {
                return true;
            }
            // SAFETY: a chunk of this shard, which is locked.
            if at >= unsafe { (*self.head(victim)).used } as usize {
                debug_assert!(false, "a chunk of which all cells are dead or moved is given back");
                self.state().victim = Place::NONE;
                return true;
            }
            let place = victim.plus(at);
            let cell = self.cell(place);
            let size = cell.size();
            self.state().victim_at += size as u32;
            if !cell.is_dead() && self.move_cell(place, cell).is_err() {
                // No memory: later, from the beginning.
                self.state().victim = Place::NONE;
                return false;
            }
        }
        true
    }

    fn move_cell(&mut self, from: Place, cell: Cell<'_>) -> Result<(), Error> {
        let hash = self.hash(cell.key());
        let Some((position, _)) = self.index().of(hash).find(|(_, slot)| slot.place() == from) else {
            debug_assert!(false, "a live cell is in the index");
            return Ok(());
        };
        let size = cell.size();
        let to = self.alloc_cell(size)?;
        // SAFETY: both are whole cells of this shard, which is locked, and the new one is none that is in use.
        unsafe { core::ptr::copy_nonoverlapping(self.pages().at(from), self.pages().at(to), size) };
        self.index().set(position, Slot::new(hash, to));
        self.free_cell(from);
        Ok(())
    }

    /// Of the next few chunks the one with the fewest bytes that are referred to, but for the one that is written to. `None`: none is worth it; others
    /// come next time.
    fn emptiest(&mut self) -> Option<Place> {
        let (first, open) = (self.look().chunks, self.look().open);
        let (mut emptiest, mut least) = (None, FULL_LEN);
        for _ in 0..LOOKS {
            let chunk = if self.looked.is_none() { first } else { self.looked };
            if chunk.is_none() {
                break;
            }
            // SAFETY: a chunk of this shard, which is locked.
            let head = unsafe { &*self.head(chunk) };
            if head.used > 0 && chunk != open && head.live < least {
                (emptiest, least) = (Some(chunk), head.live);
            }
            self.looked = head.next;
        }
        emptiest
    }

    /// Lets go of all chunks at once; they are to be [given back](Chunks::free).
    pub(crate) fn take_chunks(&mut self) -> Chunks {
        self.looked = Place::NONE;
        let state = self.state();
        (state.live_bytes, state.written_bytes, state.shared_live_bytes) = (0, 0, 0);
        (state.open, state.victim) = (Place::NONE, Place::NONE);
        Chunks(std::mem::take(&mut state.chunks))
    }
}

impl Chunks {
    /// Gives all of them back.
    pub(crate) fn free(self, pages: &crate::pages::Pages) {
        let mut chunk = self.0;
        while !chunk.is_none() {
            // SAFETY: nobody but this list refers to its chunks.
            let (next, len) = unsafe {
                let head = &*pages.at(chunk).cast::<ChunkHead>();
                (head.next, head.pages)
            };
            pages.free(chunk, len as usize);
            chunk = next;
        }
    }
}
