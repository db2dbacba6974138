//! Check: whether a state for which its giver cannot vouch is whole: every span, chunk, cell, slot and item, and what is counted of them. Only reads.
//!
//! What a value should have been nobody can know; but each entry is one that was stored under its key. A span that nobody refers to any
//! more is no damage.

use plugin_abi::sdk::{Error, VERSION_END};

use crate::cell::Cell;
use crate::expiry::{PAGE_ITEMS, hash_of, item};
use crate::hash::Hasher;
use crate::index::{self, Index, Slot};
use crate::log::{CHUNK_LEN, CHUNK_PAGES, ChunkHead, HEAD_LEN, SHARED_LEN_MAX, span_pages};
use crate::pages::{Kind, PAGE, Pages, Place, corrupt};
use crate::shard::slot_hash;
use crate::state::{Root, ShardState};
use crate::table::home_shard;

type Check = Result<(), Error>;

fn ensure(holds: bool, what: &str) -> Check {
    if holds { Ok(()) } else { Err(corrupt(what)) }
}

struct Checker<'a> {
    pages: &'a Pages,
    root: &'a Root,
    hasher: Hasher,
    last_version: u64,
    /// All spans so far: where they begin, and how many pages they have.
    spans: Vec<(Place, usize)>,
}

/// What the chunks of a shard hold.
#[derive(Default)]
struct Cells {
    places: Vec<Place>,
    live_bytes: u64,
    written_bytes: u64,
    shared_live_bytes: u64,
}

/// Checks a state whose root lies in a span of so many pages.
///
/// # Errors
/// CORRUPT, with what is wrong.
pub(crate) fn state(pages: &Pages, root: Place, root_pages: usize) -> Check {
    ensure(pages.are_whole(), "the head of a region contradicts itself")?;
    // SAFETY: within a region, and of a giver of this format, as the caller has seen.
    let found = unsafe { &*pages.at(root).cast::<Root>() };
    let last_version = found.last_version.0.load(core::sync::atomic::Ordering::Relaxed);
    ensure(last_version < VERSION_END, "the sequence of versions is at its end")?;
    let hasher = Hasher::new(&found.hash_key);
    let mut checker = Checker { pages, root: found, hasher, last_version, spans: Vec::new() };
    checker.span(Kind::Data, root, root_pages)?;
    for number in 0..found.shards as usize {
        let state = found.shard_states.plus(number * size_of::<ShardState>());
        // SAFETY: in the span of the root.
        checker.shard(number, unsafe { &*pages.at(state).cast::<ShardState>() })?;
    }
    checker.spans.sort_unstable_by_key(|span| span.0.0);
    // A huge span, the only one of its region, may be longer than a place can say.
    let apart = |two: &[(Place, usize)]| {
        two[0].0.region() != two[1].0.region() || two[0].0.plus(two[0].1 * PAGE).0 <= two[1].0.0
    };
    ensure(checker.spans.windows(2).all(apart), "two spans overlap")
}

impl Checker<'_> {
    fn span(&mut self, kind: Kind, place: Place, pages: usize) -> Check {
        ensure(self.pages.holds_span(kind, place, pages), "a span is none, or not marked as taken")?;
        self.spans.push((place, pages));
        Ok(())
    }

    fn shard(&mut self, number: usize, state: &ShardState) -> Check {
        let mut cells = self.chunks(state)?;
        let counted = (cells.live_bytes, cells.written_bytes, cells.shared_live_bytes);
        let said = (state.live_bytes, state.written_bytes, state.shared_live_bytes);
        ensure(counted == said, "a shard has other bytes than it says")?;
        let items = self.items(state)?;
        let slots = self.slots(state)?;
        ensure(slots.len() == state.len as usize, "a shard has other entries than it says")?;
        let mut places: Vec<Place> = slots.iter().map(|slot| slot.place()).collect();
        places.sort_unstable_by_key(|place| place.0);
        cells.places.sort_unstable_by_key(|place| place.0);
        ensure(places == cells.places, "slots and cells do not go together")?;
        let mut expiring = 0;
        for group in slots.chunk_by(|one, next| one.hash() == next.hash()) {
            expiring += self.entries(number, group, &items)?;
        }
        ensure(expiring == state.expiring as usize, "a shard has other expiries than it says")
    }

    /// Walks the chunks of a shard and their cells.
    fn chunks(&mut self, state: &ShardState) -> Result<Cells, Error> {
        let (mut cells, mut chunk, mut last) = (Cells::default(), state.chunks, Place::NONE);
        let (mut open, mut victim) = (state.open.is_none(), state.victim.is_none());
        let spans_max = self.spans.len() + self.pages.used_bytes() / PAGE;
        while !chunk.is_none() {
            ensure(self.pages.begins_span(Kind::Data, chunk), "a chunk is no span")?;
            // SAFETY: a page of a region of data, aligned, and longer than a head; nobody writes.
            let ChunkHead { next, prev, pages, used, live } =
                unsafe { *self.pages.at(chunk).cast::<ChunkHead>() };
            let (pages, end) = (pages as usize, used as usize);
            self.span(Kind::Data, chunk, pages)?;
            ensure(prev == last && self.spans.len() <= spans_max, "the list of chunks is none")?;
            if used == 0 {
                let size = self.cell(chunk.plus(HEAD_LEN), pages * PAGE - HEAD_LEN)?;
                ensure(
                    size > SHARED_LEN_MAX && span_pages(size) == pages,
                    "a long cell is not as long as its span",
                )?;
                cells.places.push(chunk.plus(HEAD_LEN));
                cells.live_bytes += size as u64;
            } else {
                let is_chunk = pages == CHUNK_PAGES && chunk.align_down(CHUNK_LEN) == chunk;
                ensure(is_chunk && (HEAD_LEN..=CHUNK_LEN).contains(&end), "a chunk is none")?;
                let (mut at, mut found) = (HEAD_LEN, 0);
                let is_victim = state.victim == chunk;
                while at < end {
                    victim |= is_victim && at == state.victim_at as usize;
                    let place = chunk.plus(at);
                    let size = self.cell(place, end - at)?;
                    // SAFETY: a whole cell, as was just seen.
                    if !unsafe { Cell::at(self.pages.at(place)) }.is_dead() {
                        cells.places.push(place);
                        found += size as u64;
                    }
                    at += size;
                }
                victim |= is_victim && end == state.victim_at as usize;
                open |= state.open == chunk;
                ensure(
                    found == u64::from(live) && (live > 0 || state.open == chunk),
                    "a chunk has other bytes than it says",
                )?;
                cells.live_bytes += found;
                cells.shared_live_bytes += found;
                cells.written_bytes += (end - HEAD_LEN) as u64;
            }
            (last, chunk) = (chunk, next);
        }
        ensure(open && victim, "the chunk to be written or emptied is none")?;
        Ok(cells)
    }

    /// The size of the cell at a place with so many bytes behind it.
    fn cell(&self, place: Place, room: usize) -> Result<usize, Error> {
        // SAFETY: so many bytes are in the span; nobody writes.
        let size = unsafe { Cell::at(self.pages.at(place)) }.size_within(room);
        size.ok_or_else(|| corrupt("a cell is none"))
    }

    /// The items of a shard's heap, by hash, then by time.
    fn items(&mut self, state: &ShardState) -> Result<Vec<u64>, Error> {
        let (pages, len) = (state.heap_pages as usize, state.heap_len as usize);
        if pages == 0 {
            ensure(len == 0, "there is no heap for the expiries")?;
            return Ok(Vec::new());
        }
        self.span(Kind::Data, state.heap, pages)?;
        ensure(len <= pages * PAGE_ITEMS, "a heap is longer than its span")?;
        // SAFETY: within the span; nobody writes.
        let heap = unsafe { core::slice::from_raw_parts(self.pages.at(state.heap).cast::<u64>(), len) };
        ensure((1..len).all(|at| heap[(at - 1) / 2] <= heap[at]), "a heap is none")?;
        let mut items = heap.to_vec();
        items.sort_unstable_by_key(|item| (hash_of(*item), *item));
        Ok(items)
    }

    /// The slots of a shard, in their order.
    fn slots(&mut self, state: &ShardState) -> Result<Vec<Slot>, Error> {
        let pages = state.index_pages as usize;
        if pages == 0 {
            return Ok(Vec::new());
        }
        self.span(Kind::Index, state.index, pages)?;
        let index = Index::new(self.pages.words(state.index, index::words(pages)).unwrap_or_default());
        let (mut slots, mut before) = (Vec::new(), None::<Slot>);
        for position in 0..index.len() {
            let slot = index.get(position);
            if let Some(slot) = slot {
                let home = index.home(slot.hash());
                // All between a slot and its home are taken: each one's neighbour is, as long as it is not at home.
                let stands = home == position || home < position && before.is_some();
                let last = slots.last().map_or(0, |last: &Slot| last.hash());
                ensure(stands && last <= slot.hash(), "the slots are not in their order")?;
                slots.push(slot);
            }
            before = slot;
        }
        Ok(slots)
    }

    /// Checks the entries of one hash, whose cells are whole, and answers how many expire.
    fn entries(&self, shard: usize, slots: &[Slot], items: &[u64]) -> Result<usize, Error> {
        // SAFETY: whole cells, as was seen; nobody writes.
        let cell = |slot: &Slot| unsafe { Cell::at(self.pages.at(slot.place())) };
        let (mut expiring, mut first_ms) = (0, i64::MAX);
        for (at, slot) in slots.iter().enumerate() {
            let key = cell(slot).key();
            let hash = self.hasher.hash(key);
            let home = home_shard(hash, self.root.shards as usize) == shard && slot_hash(hash) == slot.hash();
            let alone = slots[..at].iter().all(|other| cell(other).key() != key);
            ensure(home && alone, "an entry stands under another key, or twice")?;
            let (version, expiry_ms) = (cell(slot).version(), cell(slot).expiry_ms());
            ensure(
                (1..=self.last_version).contains(&version),
                "an entry has a version that was never given",
            )?;
            ensure(expiry_ms >= 0, "an entry expires before time began")?;
            if expiry_ms > 0 {
                expiring += 1;
                first_ms = first_ms.min(expiry_ms);
            }
        }
        if let Some(slot) = slots.first().filter(|_| expiring > 0) {
            let first = items.partition_point(|item| hash_of(*item) < slot.hash());
            let due = items
                .get(first)
                .is_some_and(|it| hash_of(*it) == slot.hash() && *it <= item(first_ms, slot.hash()));
            ensure(due, "an entry that expires is missing in the heap")?;
        }
        Ok(expiring)
    }
}
