//! Map: which pages of a region are taken, a bit for each, and where runs of free ones are.

/// Words of a map.
const WORDS: usize = super::pages::REGION_LEN_MAX / super::pages::PAGE / 64;
/// One more than the last page that a map knows of.
pub(crate) const END: usize = WORDS * 64;

/// The map of a region; it lies in the region's first page.
#[derive(Debug)]
#[repr(transparent)]
pub(crate) struct Map([u64; WORDS]);

impl Map {
    /// Takes pages, or frees them.
    pub(crate) fn mark(&mut self, pages: core::ops::Range<usize>, taken: bool) {
        for page in pages {
            let bit = 1 << (page % 64);
            if taken {
                self.0[page / 64] |= bit;
            } else {
                self.0[page / 64] &= !bit;
            }
        }
    }

    /// A word from a page on: a bit for each page that is taken, or that is free.
    fn bits(&self, word: usize, taken: bool) -> u64 {
        if taken { self.0[word] } else { !self.0[word] }
    }

    /// The first page from one on that is taken, or free; [`END`]: none is.
    pub(crate) fn next(&self, from: usize, taken: bool) -> usize {
        let mut mask = u64::MAX << (from % 64);
        for word in from / 64..WORDS {
            let bits = self.bits(word, taken) & mask;
            if bits != 0 {
                return word * 64 + bits.trailing_zeros() as usize;
            }
            mask = u64::MAX;
        }
        END
    }

    /// The first run of free pages at or behind `from`, at a multiple of `align`.
    pub(crate) fn find_run(&self, from: usize, pages: usize, align: usize) -> Option<usize> {
        let mut start = from.next_multiple_of(align);
        while start + pages <= END {
            let taken = self.next(start, true);
            if taken >= start + pages {
                return Some(start);
            }
            start = self.next(taken, false).next_multiple_of(align);
        }
        None
    }

    /// How many free pages there are in a row about these, which are free.
    pub(crate) fn run_about(&self, pages: core::ops::Range<usize>) -> usize {
        let end = self.next(pages.end, true);
        let (mut word, mut mask) = (pages.start / 64, !(u64::MAX << (pages.start % 64)));
        let first = loop {
            let taken = self.bits(word, true) & mask;
            if taken != 0 {
                break word * 64 + 64 - taken.leading_zeros() as usize;
            }
            if word == 0 {
                break 0;
            }
            (word, mask) = (word - 1, u64::MAX);
        };
        end - first
    }
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};

    use super::*;

    #[test]
    fn runs_are_those_that_a_look_at_each_page_finds() {
        let mut rng = StdRng::seed_from_u64(1);
        for round in 0..60 {
            let mut map = Map([0; WORDS]);
            let mut taken = vec![false; END];
            for _ in 0..[0, 30, 3000][round % 3] {
                let start = rng.random_range(0..END - 70);
                let (pages, take) = (start..start + rng.random_range(0..70), rng.random_range(0..3) > 0);
                taken[pages.clone()].fill(take);
                map.mark(pages, take);
            }
            for _ in 0..40 {
                let (from, pages) = (rng.random_range(0..END), rng.random_range(1..200));
                let align = [1, 8][pages % 2];
                let fits =
                    |start: &usize| start + pages <= END && !taken[*start..start + pages].contains(&true);
                let found = (from.next_multiple_of(align)..END).step_by(align).find(fits);
                assert_eq!(map.find_run(from, pages, align), found);
                if !taken[from] {
                    let end = (from..END).find(|page| taken[*page]).unwrap_or(END);
                    let start = (0..from).rev().find(|page| taken[*page]).map_or(0, |page| page + 1);
                    assert_eq!(map.run_about(from..from + 1), end - start);
                }
            }
        }
    }
}
