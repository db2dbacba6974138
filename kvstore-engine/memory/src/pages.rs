//! Pages: the memory of a state: regions from `mmap`, spans of pages within them, and places that name bytes by offset.
//!
//! ```text
//! place, 40 bits: | region: 16 | offset in the region, in units of 4 bytes: 24 |
//! region:         | head with a map of its pages: 1 page | pages ... |
//! ```
//!
//! What lies in the regions holds places and never addresses, so another build can take the regions over where they are.
//! A span comes as zeros and gives its memory back to the system when it is freed, but for a few of one page, which are soon wanted again; the
//! addresses of a region stay mapped until the state ends, so a stale place leads to memory that can be read. Only a region of
//! [`Kind::Huge`], which holds one span, is unmapped.

use core::ffi::c_void;
use core::ptr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use plugin_abi::Status;
use plugin_abi::sdk::{Error, Region};
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous, munmap};

use crate::bases::{Bases, REGIONS_MAX};
use crate::map::{END, Map};
use crate::table::half_changed;

/// Bytes of a page.
pub(crate) const PAGE: usize = 4096;
/// Bytes of a region for many spans: the first one, and at most.
const REGION_LEN_MIN: usize = 4 << 20;
pub(crate) const REGION_LEN_MAX: usize = 64 << 20;
/// Pages of the longest span that shares its region with others.
pub(crate) const SHARED_PAGES_MAX: usize = REGION_LEN_MAX / PAGE / 2;
/// Pages of the longest span: more than any machine has.
const SPAN_PAGES_MAX: usize = 1 << 36;
/// Spans of one page that are kept for the next who wants one: a shard whose only entry comes and goes asks the system for nothing.
const SPARE_MAX: usize = 64;
/// First bytes of a region.
const MAGIC: u64 = u64::from_le_bytes(*b"kvregion");

/// Where something lies in a state; 0 is nowhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub(crate) struct Place(pub(crate) u64);

impl Place {
    /// Nowhere.
    pub(crate) const NONE: Self = Self(0);
    /// Bits of a place.
    pub(crate) const BITS: u32 = 40;

    const fn new(region: usize, offset: usize) -> Self {
        Self((region as u64) << 24 | (offset as u64) >> 2)
    }

    /// Number of its region.
    pub(crate) const fn region(self) -> usize {
        (self.0 >> 24) as usize & (REGIONS_MAX - 1)
    }

    const fn offset(self) -> usize {
        ((self.0 & 0xff_ffff) << 2) as usize
    }

    /// So many bytes further on; a multiple of 4.
    pub(crate) const fn plus(self, bytes: usize) -> Self {
        Self(self.0 + (bytes as u64 >> 2))
    }

    /// The start of the aligned block of this many bytes, a power of two, that it lies in.
    pub(crate) const fn align_down(self, bytes: usize) -> Self {
        Self(self.0 & !(bytes as u64 / 4 - 1))
    }

    /// Whether it is nowhere.
    pub(crate) const fn is_none(self) -> bool {
        self.0 == 0
    }
}

/// What a region is for: its role among the regions that are handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Kind {
    /// Entries and whatever else is used under a lock only.
    Data = 1,
    /// Words that are read without a lock, and so only ever used as atomic ones.
    Index = 2,
    /// One long span of data.
    Huge = 3,
}

impl Kind {
    fn of(role: u32) -> Option<Self> {
        [Self::Data, Self::Index, Self::Huge].into_iter().find(|kind| *kind as u32 == role)
    }
}

/// The first page of a region.
#[repr(C)]
struct RegionHead {
    magic: u64,
    number: u32,
    kind: u32,
    pages: u64,
    /// Pages that are in no span.
    free: u64,
    /// All pages below this one are in spans.
    first_free: u64,
    /// Not used in a huge region.
    map: Map,
}

const _: () = assert!(size_of::<RegionHead>() <= PAGE);

/// Which regions there are; whoever has locked it may use their heads.
#[derive(Debug, Default)]
struct Regions {
    /// Number, kind and bytes, in the order in which they were made.
    all: Vec<(u32, Kind, usize)>,
    /// By their numbers, what is known not to be in them: runs of so many free pages or more, that begin anywhere and that are aligned. So a search
    /// passes over full and fragmented regions, and each free pays for one search in vain.
    none_of: Vec<[usize; 2]>,
    /// Zeroed spans of one page, of data and of indexes; marked as taken, and not counted as used.
    spare: [Vec<Place>; 2],
}

/// All regions of a state.
pub(crate) struct Pages {
    bases: Bases,
    regions: Mutex<Regions>,
    /// Bytes in spans.
    used: AtomicUsize,
    /// Whether the regions are unmapped at the end: they belong to this build.
    owned: AtomicBool,
}

impl std::fmt::Debug for Pages {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pages").field("used", &self.used).finish_non_exhaustive()
    }
}

pub(crate) fn no_memory() -> Error {
    Error::new(Status::FULL, "the system has no more memory for the engine")
}

pub(crate) fn corrupt(what: &str) -> Error {
    Error::new(Status::CORRUPT, format!("the state to adopt is damaged: {what}"))
}

impl Pages {
    fn empty(owned: bool) -> Result<Self, Error> {
        let (bases, regions) = (Bases::new()?, Mutex::new(Regions::default()));
        Ok(Self { bases, regions, used: AtomicUsize::new(0), owned: AtomicBool::new(owned) })
    }

    /// No regions yet.
    ///
    /// # Errors
    /// FULL.
    pub(crate) fn new() -> Result<Self, Error> {
        Self::empty(true)
    }

    /// The regions of another build. Nothing of them is changed, and they are not unmapped, before [`Pages::own`].
    ///
    /// # Safety
    /// The regions are mapped, readable, writable, and used by nobody else as long as this lives.
    ///
    /// # Errors
    /// CORRUPT where they are not what a giver of this format gives; FULL.
    pub(crate) unsafe fn adopt(given: &[Region]) -> Result<Self, Error> {
        let pages = Self::empty(false)?;
        let mut regions = pages.lock();
        for region in given {
            let base = region.base.cast::<u8>();
            let kind = Kind::of(region.role).ok_or_else(|| corrupt("a region has an unknown role"))?;
            if base.is_null() || !base.addr().is_multiple_of(PAGE) || region.len < 2 * PAGE {
                return Err(corrupt("a region is no mapping of pages"));
            }
            // SAFETY: mapped and at least a page long, says the caller.
            let head = unsafe { &*base.cast::<RegionHead>() };
            let number = head.number as usize;
            let whole = head.magic == MAGIC && head.kind == region.role && head.free < head.pages;
            if !whole || head.pages as usize != region.len / PAGE || number >= REGIONS_MAX {
                return Err(corrupt("the head of a region is none"));
            }
            if !pages.bases[number].swap(base, Ordering::Relaxed).is_null() {
                return Err(corrupt("two regions have one number"));
            }
            pages.used.fetch_add((head.pages - 1 - head.free) as usize * PAGE, Ordering::Relaxed);
            regions.add(head.number, kind, region.len);
        }
        drop(regions);
        Ok(pages)
    }

    /// The regions, as they are handed over: with nothing kept.
    pub(crate) fn regions(&self) -> Vec<Region> {
        // Also of a state for which nobody can vouch: whoever takes it checks it.
        let mut regions = self.regions.lock().unwrap_or_else(PoisonError::into_inner);
        let spare = std::mem::take(&mut regions.spare);
        spare.into_iter().flatten().for_each(|place| self.give_back(&mut regions, place, 1));
        let region = |(number, kind, len): &(u32, Kind, usize)| {
            let base = self.bases[*number as usize].load(Ordering::Relaxed).cast::<c_void>();
            Region { role: *kind as u32, fd: -1, base, len: *len }
        };
        regions.all.iter().map(region).collect()
    }

    /// Whether so many bytes from a place on are in one region.
    pub(crate) fn holds(&self, place: Place, bytes: usize) -> bool {
        let regions = self.lock();
        let len = regions.all.iter().find(|it| it.0 as usize == place.region()).map_or(0, |it| it.2);
        place.offset().checked_add(bytes).is_some_and(|end| end <= len)
    }

    /// Whether a span of data or an index could begin here.
    pub(crate) fn begins_span(&self, kind: Kind, place: Place) -> bool {
        let regions = self.lock();
        let here = |it: &&(u32, Kind, usize)| it.0 as usize == place.region();
        let fits = |it: &(u32, Kind, usize)| {
            let kinds = it.1 == kind || kind == Kind::Data && it.1 == Kind::Huge && place.offset() == PAGE;
            kinds && (PAGE..it.2).contains(&place.offset())
        };
        let whole = place.0 >> Place::BITS == 0 && place.offset().is_multiple_of(PAGE);
        whole && regions.all.iter().find(here).is_some_and(fits)
    }

    /// Whether a span of so many pages can be here, and is marked as taken.
    pub(crate) fn holds_span(&self, kind: Kind, place: Place, pages: usize) -> bool {
        if pages == 0
            || pages > SPAN_PAGES_MAX
            || !self.begins_span(kind, place)
            || !self.holds(place, pages * PAGE)
        {
            return false;
        }
        let (head, first) = (self.head(place.region()), place.offset() / PAGE);
        match head.kind == Kind::Huge as u32 {
            true => head.pages as usize == pages + 1 && pages > SHARED_PAGES_MAX,
            false => pages <= SHARED_PAGES_MAX && head.map.next(first, false) >= first + pages,
        }
    }

    /// Whether what the heads of the regions say of free pages is true.
    pub(crate) fn are_whole(&self) -> bool {
        let regions = self.lock();
        regions.all.iter().filter(|it| it.1 != Kind::Huge).all(|(number, _, len)| {
            let (head, pages) = (self.head(*number as usize), len / PAGE);
            let is_free = |page: &usize| head.map.next(*page, false) == *page;
            pages <= END
                && (0..pages).filter(is_free).count() as u64 == head.free
                && head.map.next(0, false) >= head.first_free.max(1) as usize
                && head.map.next(pages, false) == END
        })
    }

    /// From here on the regions belong to this build, or to another one.
    pub(crate) fn own(&self, owned: bool) {
        self.owned.store(owned, Ordering::Release);
    }

    /// Bytes of all spans.
    pub(crate) fn used_bytes(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, Regions> {
        self.regions.lock().unwrap_or_else(|_| half_changed())
    }

    /// Whether somebody has panicked while the regions were locked.
    pub(crate) fn is_suspect(&self) -> bool {
        self.regions.is_poisoned()
    }

    /// The address of a place. Memory of its region is behind it as long as this lives, and of a huge region until its span is freed.
    #[inline]
    pub(crate) fn at(&self, place: Place) -> *mut u8 {
        // Not null where the place came from `alloc`: whoever has it has synchronized with whoever made it.
        self.bases[place.region()].load(Ordering::Relaxed).wrapping_add(place.offset())
    }

    /// The words from a page of an index region on, and `None` where there is no such region (yet).
    ///
    /// Anybody may ask for any words at any time: they are never anything but atomic words, and never unmapped.
    #[inline]
    pub(crate) fn words(&self, place: Place, words: usize) -> Option<&[AtomicU64]> {
        let base = self.bases[place.region()].load(Ordering::Acquire);
        if base.is_null() {
            return None;
        }
        // SAFETY: a place of a span of an index region, which is as long as the span was, and atomic in all of its uses.
        Some(unsafe { core::slice::from_raw_parts(base.add(place.offset()).cast(), words) })
    }

    /// A span of zeroed pages whose number in the region is a multiple of `align`.
    ///
    /// # Errors
    /// FULL.
    pub(crate) fn alloc(&self, kind: Kind, pages: usize, align: usize) -> Result<Place, Error> {
        let mut regions = self.lock();
        let spare = if pages == 1 { regions.spare_of(kind as u32).pop() } else { None };
        let place = if let Some(spare) = spare {
            spare
        } else if pages > SPAN_PAGES_MAX {
            return Err(no_memory());
        } else if pages > SHARED_PAGES_MAX {
            if kind == Kind::Index {
                return Err(Error::new(Status::FULL, "no room for another entry in this shard"));
            }
            Place::new(self.map(&mut regions, Kind::Huge, pages + 1)?, PAGE)
        } else {
            let Regions { all, none_of, .. } = &mut *regions;
            let found = all.iter().rev().filter(|it| it.1 == kind).find_map(|(number, ..)| {
                let number = *number as usize;
                self.take(number, &mut none_of[number], pages, align)
            });
            match found {
                Some(place) => place,
                None => {
                    let mapped: usize = regions.all.iter().filter(|it| it.1 == kind).map(|it| it.2).sum();
                    let wanted = mapped.next_power_of_two().clamp(REGION_LEN_MIN, REGION_LEN_MAX);
                    // The map takes a page, and what is aligned cannot lie beside it.
                    let len = wanted.max(((pages + 1).next_power_of_two() + align) * PAGE);
                    let number = self.map(&mut regions, kind, len.min(REGION_LEN_MAX) / PAGE)?;
                    self.take(number, &mut regions.none_of[number], pages, align).ok_or_else(no_memory)?
                }
            }
        };
        self.used.fetch_add(pages * PAGE, Ordering::Relaxed);
        Ok(place)
    }

    /// Maps another region, and answers its number.
    fn map(&self, regions: &mut Regions, kind: Kind, pages: usize) -> Result<usize, Error> {
        let number = (0..REGIONS_MAX).find(|number| self.bases[*number].load(Ordering::Relaxed).is_null());
        let number =
            number.ok_or_else(|| Error::new(Status::FULL, "no number is left for another region"))?;
        let len = pages * PAGE;
        // SAFETY: a new mapping, at an address of the system's choice.
        let base = unsafe {
            mmap_anonymous(ptr::null_mut(), len, ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE)
        };
        let base = base.map_err(|_| no_memory())?.cast::<u8>();
        // SAFETY: at least a page long, zeroed, aligned, and nobody else knows it.
        let head = unsafe { &mut *base.cast::<RegionHead>() };
        (head.magic, head.number, head.kind) = (MAGIC, number as u32, kind as u32);
        head.pages = pages as u64;
        if kind != Kind::Huge {
            (head.free, head.first_free) = (pages as u64 - 1, 1);
            head.map.mark(0..1, true);
            // What lies behind a region that is smaller than its map is never free.
            head.map.mark(pages..END, true);
        }
        self.bases[number].store(base, Ordering::Release);
        regions.add(number as u32, kind, len);
        Ok(number)
    }

    /// The head of a shared region.
    #[expect(clippy::mut_from_ref, reason = "whoever asks has locked the regions")]
    fn head(&self, region: usize) -> &mut RegionHead {
        // SAFETY: the first page of a region is used by nobody but the one who has locked the regions.
        unsafe { &mut *self.bases[region].load(Ordering::Relaxed).cast::<RegionHead>() }
    }

    /// Takes a span out of a region, the first that fits.
    fn take(&self, region: usize, none_of: &mut [usize; 2], pages: usize, align: usize) -> Option<Place> {
        let none_of = &mut none_of[usize::from(align > 1)];
        if pages >= *none_of {
            return None;
        }
        let head = self.head(region);
        let found = head.map.find_run(head.first_free as usize, pages, align);
        let Some(start) = found else {
            *none_of = pages;
            return None;
        };
        head.map.mark(start..start + pages, true);
        head.free -= pages as u64;
        if start == head.first_free as usize {
            head.first_free += pages as u64;
        }
        Some(Place::new(region, start * PAGE))
    }

    /// Gives a span back, and its memory to the system, unless it is kept.
    pub(crate) fn free(&self, place: Place, pages: usize) {
        self.used.fetch_sub(pages * PAGE, Ordering::Relaxed);
        if pages > SHARED_PAGES_MAX {
            let mut regions = self.lock();
            let base = self.bases[place.region()].swap(ptr::null_mut(), Ordering::Relaxed);
            regions.all.retain(|(number, ..)| *number as usize != place.region());
            // Takes a while for a long one.
            drop(regions);
            // SAFETY: a huge region holds this one span, which nobody uses any more.
            _ = unsafe { munmap(base.cast(), (pages + 1) * PAGE) };
            return;
        }
        if pages == 1 {
            self.zero(place, 1);
            let mut regions = self.lock();
            let spare = regions.spare_of(self.head(place.region()).kind);
            if spare.len() < SPARE_MAX {
                spare.push(place);
                return;
            }
        }
        // Before the span can be taken again. SAFETY: nobody uses what is in it; a span of index words reads as zeros from here on.
        if unsafe { madvise(self.at(place).cast(), pages * PAGE, Advice::LinuxDontNeed) }.is_err() {
            // Memory that is locked cannot be given back.
            self.zero(place, pages);
        }
        self.give_back(&mut self.lock(), place, pages);
    }

    /// Fills a span with zeros that nobody uses any more.
    fn zero(&self, place: Place, pages: usize) {
        // SAFETY: mapped, aligned, and used by nobody, but for looks at the words of an index, which are atomic, too.
        let words =
            unsafe { core::slice::from_raw_parts(self.at(place).cast::<AtomicU64>(), pages * PAGE / 8) };
        words.iter().for_each(|word| word.store(0, Ordering::Relaxed));
    }

    /// Marks a zeroed span as free.
    fn give_back(&self, regions: &mut Regions, place: Place, pages: usize) {
        let head = self.head(place.region());
        let start = place.offset() / PAGE;
        head.map.mark(start..start + pages, false);
        head.free += pages as u64;
        head.first_free = head.first_free.min(start as u64);
        let run = head.map.run_about(start..start + pages);
        for none_of in &mut regions.none_of[place.region()] {
            *none_of = (*none_of).max(run + 1);
        }
    }
}

impl Regions {
    /// Adds a region of which nothing is known.
    fn add(&mut self, number: u32, kind: Kind, len: usize) {
        self.all.push((number, kind, len));
        let number = number as usize;
        if self.none_of.len() <= number {
            self.none_of.resize(number + 1, [0; 2]);
        }
        self.none_of[number] = [usize::MAX; 2];
    }

    /// What is kept of spans of one page.
    fn spare_of(&mut self, kind: u32) -> &mut Vec<Place> {
        &mut self.spare[usize::from(kind == Kind::Index as u32)]
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        if !self.owned.load(Ordering::Acquire) {
            return;
        }
        let regions = std::mem::take(self.regions.get_mut().unwrap_or_else(PoisonError::into_inner));
        for (number, _, len) in regions.all {
            let base = self.bases[number as usize].load(Ordering::Relaxed);
            // SAFETY: mapped with this length, and whoever could use it is gone: all of it borrows from this.
            _ = unsafe { munmap(base.cast(), len) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_zeroed_apart_and_come_again() {
        let pages = Pages::new().unwrap();
        let mut spans = Vec::new();
        for round in 0..3000_usize {
            let (count, align) = if round % 3 == 0 { (8, 8) } else { (1 + round % 7, 1) };
            let place = pages.alloc(Kind::Data, count, align).unwrap();
            assert_eq!(place.offset() % (align * PAGE), 0);
            // SAFETY: a span of this test's own.
            let bytes = unsafe { core::slice::from_raw_parts_mut(pages.at(place), count * PAGE) };
            assert!(bytes.iter().all(|byte| *byte == 0), "round {round}");
            bytes.fill(1);
            spans.push((place, count));
            if round % 2 == 1 {
                let (place, count) = spans.swap_remove(round * 7 % spans.len());
                pages.free(place, count);
            }
        }
        let used: usize = spans.iter().map(|(_, count)| count * PAGE).sum();
        assert_eq!(pages.used_bytes(), used);
        let mut sorted: Vec<_> =
            spans.iter().map(|(place, count)| (place.0, place.0 + (count * PAGE / 4) as u64)).collect();
        sorted.sort_unstable();
        assert!(sorted.windows(2).all(|two| two[0].1 <= two[1].0), "two spans overlap");
        spans.drain(..).for_each(|(place, count)| pages.free(place, count));
        assert_eq!(pages.used_bytes(), 0);
        let mapped = pages.regions().len();
        for _ in 0..100 {
            let place = pages.alloc(Kind::Data, 8, 8).unwrap();
            pages.free(place, 8);
        }
        assert_eq!(pages.regions().len(), mapped);
    }

    #[test]
    fn what_was_searched_in_vain_is_found_when_it_is_freed() {
        let pages = Pages::new().unwrap();
        let singles: Vec<Place> = (0..3000).map(|_| pages.alloc(Kind::Data, 1, 1).unwrap()).collect();
        singles.iter().step_by(2).for_each(|place| pages.free(*place, 1));
        // Between the others there is no room for these.
        let others: Vec<Place> = (0..2000).map(|_| pages.alloc(Kind::Data, 3, 1).unwrap()).collect();
        singles.iter().skip(1).step_by(2).for_each(|place| pages.free(*place, 1));
        let regions = pages.regions();
        let mapped: usize = regions.iter().map(|region| region.len / PAGE - 1).sum();
        // All that is free, but for what is left over at the ends.
        let free = mapped - pages.used_bytes() / PAGE - 2 * regions.len() - 6 - SPARE_MAX;
        let again: Vec<Place> = (0..free / 3).map(|_| pages.alloc(Kind::Data, 3, 1).unwrap()).collect();
        assert_eq!(pages.regions().len(), regions.len());
        assert!(again.len() > 1000 && again.iter().all(|place| !others.contains(place)));
    }

    #[test]
    fn a_huge_span_has_a_region_of_its_own_which_goes_with_it() {
        let pages = Pages::new().unwrap();
        let place = pages.alloc(Kind::Data, SHARED_PAGES_MAX + 1, 1).unwrap();
        assert_eq!(pages.regions()[0].role, Kind::Huge as u32);
        pages.free(place, SHARED_PAGES_MAX + 1);
        assert!(pages.regions().is_empty());
        assert_eq!(pages.alloc(Kind::Data, 1 << 50, 1).unwrap_err().status, Status::FULL);
        let largest = pages.alloc(Kind::Data, SHARED_PAGES_MAX, 8).unwrap();
        assert_eq!(largest.offset() % (8 * PAGE), 0);
        assert_eq!(pages.alloc(Kind::Index, SHARED_PAGES_MAX + 1, 1).unwrap_err().status, Status::FULL);
    }

    #[test]
    fn a_page_that_is_kept_comes_again_in_zeros_and_is_handed_over_as_free() {
        let pages = Pages::new().unwrap();
        let place = pages.alloc(Kind::Index, 1, 1).unwrap();
        pages.words(place, 1).unwrap()[0].store(7, Ordering::Relaxed);
        pages.free(place, 1);
        assert_ne!(pages.alloc(Kind::Data, 1, 1).unwrap().region(), place.region());
        assert_eq!(pages.alloc(Kind::Index, 1, 1).unwrap(), place);
        assert_eq!(pages.words(place, 1).unwrap()[0].load(Ordering::Relaxed), 0);
        pages.free(place, 1);
        let given = pages.regions();
        // SAFETY: mapped by `pages`, which lives longer.
        let adopted = unsafe { Pages::adopt(&given) }.unwrap();
        assert_eq!((adopted.used_bytes(), adopted.are_whole()), (PAGE, true));
    }

    #[test]
    fn damaged_regions_are_not_adopted() {
        let pages = Pages::new().unwrap();
        pages.alloc(Kind::Data, 3, 1).unwrap();
        let given = pages.regions();
        // SAFETY: mapped by `pages`, which lives longer.
        let adopted = unsafe { Pages::adopt(&given) }.unwrap();
        assert_eq!((adopted.used_bytes(), adopted.regions().len()), (3 * PAGE, 1));
        let mut wrong = [given[0], given[0]];
        // SAFETY: as above.
        assert_eq!(unsafe { Pages::adopt(&wrong) }.unwrap_err().status, Status::CORRUPT);
        wrong[0].role = Kind::Index as u32;
        // SAFETY: as above.
        assert_eq!(unsafe { Pages::adopt(&wrong[..1]) }.unwrap_err().status, Status::CORRUPT);
    }
}
