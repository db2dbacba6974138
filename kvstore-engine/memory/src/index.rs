//! Index: the slots of one shard, in the order of their keys' hashes: which cells belong to a hash.
//!
//! ```text
//! slot, 64 bits: | hash: 24 | place of the cell: 40 |      0: empty
//! ```
//!
//! Linear probing that keeps the slots sorted (O. Amble and D. E. Knuth, "Ordered hash tables", 1974), with a hash's home in proportion to the hash: so
//! the whole array is sorted. A search for what is not there ends early; growing merges one sorted array into another and reads no cell; and
//! a scan that goes by hashes is not disturbed by a growth between its steps. An array's layout depends on its set of slots alone.

use std::sync::atomic::{AtomicU64, Ordering};

use super::pages::{PAGE, Place, SHARED_PAGES_MAX};

/// Bits of a hash in a slot.
pub(crate) const HASH_BITS: u32 = u64::BITS - Place::BITS;
/// One more than the highest hash.
pub(crate) const HASH_END: u32 = 1 << HASH_BITS;
/// Slots of a page.
const PAGE_SLOTS: usize = PAGE / 8;
/// Slots behind the last home, for those that are pushed on.
const SPARE: usize = 64;
/// Slots that are looked at ahead of a search.
pub(crate) const NEAR: usize = 8;

/// Slots of which there are none.
pub(crate) static NOWHERE: [AtomicU64; NEAR] = [const { AtomicU64::new(0) }; NEAR];

/// One slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot(u64);

impl Slot {
    /// A cell at a place under a hash below [`HASH_END`].
    pub(crate) fn new(hash: u32, place: Place) -> Self {
        Self(u64::from(hash) << Place::BITS | place.0)
    }

    /// The hash.
    pub(crate) fn hash(self) -> u32 {
        (self.0 >> Place::BITS) as u32
    }

    /// The cell's place.
    pub(crate) fn place(self) -> Place {
        Place(self.0 & ((1 << Place::BITS) - 1))
    }
}

/// The array of a shard.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Index<'a>(&'a [AtomicU64]);

/// How many entries an array of so many pages takes before it grows.
pub(crate) fn room(pages: usize) -> usize {
    homes(pages * PAGE_SLOTS) / 8 * 7
}

/// Words of an array of so many pages.
pub(crate) fn words(pages: usize) -> usize {
    pages * PAGE_SLOTS
}

fn homes(slots: usize) -> usize {
    slots.saturating_sub(SPARE)
}

impl<'a> Index<'a> {
    /// The array in these words, which are none or whole pages.
    pub(crate) fn new(words: &'a [AtomicU64]) -> Self {
        Self(words)
    }

    /// How many slots there are, empty or not.
    pub(crate) fn len(self) -> usize {
        self.0.len()
    }

    /// Where a hash has its home.
    #[inline]
    pub(crate) fn home(self, hash: u32) -> usize {
        ((u64::from(hash) * homes(self.0.len()) as u64) >> HASH_BITS) as usize
    }

    /// The slot at a position.
    #[inline]
    pub(crate) fn get(self, position: usize) -> Option<Slot> {
        let word = self.0.get(position)?.load(Ordering::Relaxed);
        (word != 0).then_some(Slot(word))
    }

    /// The first words at a hash's home, where all of a hash mostly are.
    #[inline]
    pub(crate) fn near(self, hash: u32) -> &'a [AtomicU64; NEAR] {
        // Behind every home there are spare slots.
        self.0.get(self.home(hash)..).and_then(<[AtomicU64]>::first_chunk).unwrap_or(&NOWHERE)
    }

    /// The cell of a hash, if it is near its home.
    #[inline]
    pub(crate) fn nearest(near: &[AtomicU64; NEAR], hash: u32) -> Option<Place> {
        let slots = near.iter().map(|word| Slot(word.load(Ordering::Relaxed)));
        slots
            .take_while(|slot| slot.0 != 0 && slot.hash() <= hash)
            .find(|slot| slot.hash() == hash)
            .map(Slot::place)
    }

    /// The slots of a hash, with their positions.
    #[inline]
    pub(crate) fn of(self, hash: u32) -> impl Iterator<Item = (usize, Slot)> + 'a {
        let mut position = self.home(hash);
        core::iter::from_fn(move || {
            loop {
                let slot = self.get(position).filter(|slot| slot.hash() <= hash)?;
                position += 1;
                if slot.hash() == hash {
                    return Some((position - 1, slot));
                }
            }
        })
    }

    /// All slots from a hash on, in the order of their hashes.
    pub(crate) fn from(self, hash: u32) -> impl Iterator<Item = Slot> + 'a {
        let first = if self.0.is_empty() { 0 } else { self.home(hash) };
        (first..self.0.len())
            .filter_map(move |position| self.get(position))
            .skip_while(move |slot| slot.hash() < hash)
    }

    /// Puts another slot of the same hash in the place of one.
    pub(crate) fn set(self, position: usize, slot: Slot) {
        if let Some(word) = self.0.get(position) {
            word.store(slot.0, Ordering::Relaxed);
        }
    }

    /// Adds a slot; false: there is no room behind those that it would push on, and nothing has changed.
    pub(crate) fn insert(self, slot: Slot) -> bool {
        let home = self.home(slot.hash());
        let behind = |position: &usize| self.get(*position).is_none_or(|found| found.hash() > slot.hash());
        let Some(position) = (home..self.0.len()).find(behind) else { return false };
        let Some(empty) = (position..self.0.len()).find(|at| self.get(*at).is_none()) else { return false };
        let mut carried = slot.0;
        for word in self.0.get(position..=empty).unwrap_or_default() {
            let pushed = word.load(Ordering::Relaxed);
            word.store(carried, Ordering::Relaxed);
            carried = pushed;
        }
        true
    }

    /// Removes the slot at a position, and moves those back that it had pushed on.
    pub(crate) fn remove(self, position: usize) {
        let mut at = position;
        while let Some(next) = self.get(at + 1).filter(|next| self.home(next.hash()) <= at) {
            self.set(at, next);
            at += 1;
        }
        if let Some(word) = self.0.get(at) {
            word.store(0, Ordering::Relaxed);
        }
    }

    /// Copies all slots to an array that is empty; false: it is too small.
    pub(crate) fn copy_to(self, target: Index<'_>) -> bool {
        let mut next = 0;
        for slot in self.0.iter().map(|word| word.load(Ordering::Relaxed)).filter(|word| *word != 0) {
            let position = target.home(Slot(slot).hash()).max(next);
            let Some(word) = target.0.get(position) else { return false };
            word.store(slot, Ordering::Relaxed);
            next = position + 1;
        }
        true
    }
}

/// The pages for an array in which so many entries take about four fifths.
pub(crate) fn pages_for(entries: usize) -> usize {
    (entries + entries / 4 + SPARE).div_ceil(PAGE_SLOTS)
}

/// The pages of the next larger array: a quarter more, up to the longest span; beyond that, more than can be had.
pub(crate) fn grown(pages: usize) -> usize {
    let more = pages + (pages / 4).max(1);
    if pages < SHARED_PAGES_MAX { more.min(SHARED_PAGES_MAX) } else { more }
}

/// Whether an array of so many pages is far too large for its entries.
pub(crate) fn is_sparse(pages: usize, entries: usize) -> bool {
    pages > 1 && entries < words(pages) / 3
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};

    use super::*;

    fn array(pages: usize) -> Vec<AtomicU64> {
        (0..words(pages)).map(|_| AtomicU64::new(0)).collect()
    }

    fn check(index: Index<'_>, model: &BTreeSet<u64>) {
        let found: Vec<u64> = (0..index.len()).filter_map(|at| index.get(at)).map(|slot| slot.0).collect();
        assert!(found.windows(2).all(|two| two[0] >> 40 <= two[1] >> 40), "not in the order of hashes");
        assert_eq!(found.iter().copied().collect::<BTreeSet<u64>>(), *model);
        assert_eq!(found.len(), model.len());
        for slot in model.iter().map(|slot| Slot(*slot)) {
            assert!(index.of(slot.hash()).any(|(_, found)| found == slot), "{slot:?} is not found");
        }
    }

    #[test]
    fn random_slots_agree_with_a_set_through_growth_and_shrinking() {
        for seed in 0..20 {
            let mut rng = StdRng::seed_from_u64(seed);
            // Few hashes: many slots of one hash, and long runs.
            let hashes = if seed % 2 == 0 { HASH_END } else { 300 };
            let (mut pages, mut model) = (1, BTreeSet::new());
            let mut words = array(pages);
            for round in 0..4000 {
                let index = Index::new(&words);
                if rng.random_range(0..5) < if round / 1000 % 2 == 0 { 4 } else { 1 } {
                    let hash = rng.random_range(0..hashes) * (HASH_END / hashes);
                    let slot = Slot::new(hash, Place(rng.random_range(1..1 << 40)));
                    if model.len() < room(pages) && index.insert(slot) {
                        model.insert(slot.0);
                    } else {
                        let larger = array(grown(pages));
                        assert!(index.copy_to(Index::new(&larger)));
                        (words, pages) = (larger, grown(pages));
                    }
                } else if let Some(slot) = model.iter().nth(rng.random_range(0..model.len().max(1))).copied()
                {
                    let slot = Slot(slot);
                    let (at, _) = index.of(slot.hash()).find(|(_, found)| *found == slot).unwrap();
                    index.remove(at);
                    model.remove(&slot.0);
                }
                if round % 100 == 0 {
                    check(Index::new(&words), &model);
                }
            }
            // Whatever the way to a set, its layout is one: what was undone stands as it stood.
            let again = array(pages);
            model.iter().rev().for_each(|slot| assert!(Index::new(&again).insert(Slot(*slot))));
            let hashes = |words: &[AtomicU64]| {
                words.iter().map(|word| word.load(Ordering::Relaxed) >> 40).collect::<Vec<_>>()
            };
            assert_eq!(hashes(&again), hashes(&words));
        }
    }

    #[test]
    fn an_array_grows_to_the_longest_span_and_no_further() {
        for start in 1..200 {
            let sizes: Vec<usize> =
                std::iter::successors(Some(start), |pages| Some(grown(*pages))).take(60).collect();
            assert!(sizes.windows(2).all(|two| two[0] < two[1]), "it always grows, or fails to");
            assert!(sizes.contains(&SHARED_PAGES_MAX), "all that there can be is used");
        }
    }

    #[test]
    fn an_array_that_is_full_to_its_end_says_so_and_stays() {
        let words = array(1);
        let index = Index::new(&words);
        let last = |n: u64| Slot::new(HASH_END - 1, Place(n + 1));
        let fitting = (0..1000).take_while(|n| index.insert(last(*n))).count();
        assert_eq!(fitting, SPARE + 1);
        assert_eq!(index.of(HASH_END - 1).count(), fitting);
        assert_eq!(index.from(HASH_END - 1).count(), fitting);
    }
}
