//! Cursor: what SCAN hands to clients for an engine's cursor: a number of 63 bits that knows its generation.
//!
//! ```text
//!  63 62                                                     14 13          0
//! +--+---------------------------------------------------------+-------------+
//! | 0|                 place (49 bits)                         | generation  |
//! +--+---------------------------------------------------------+-------------+
//! place: 1 and the engine's cursor, big end first, when that has 1 to 6 bytes: its highest bit is bit 8, 16 … 48;
//!        else 2^47 and the number of a remembered cursor: its highest bit is bit 47.
//! ```
//!
//! The generation is cut to its low 14 bits. A number of another generation, or of a cursor that is forgotten, starts over.

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, PoisonError};

const GENERATION_BITS: u32 = 14;
const GENERATION_MASK: u64 = (1 << GENERATION_BITS) - 1;
/// Bytes of the longest engine cursor that fits into the number.
const INLINE_LEN_MAX: usize = 6;
/// The highest bit of a remembered cursor's place. Between those of inline cursors, which are multiples of 8.
const REMEMBERED_BIT: u32 = 47;
const _: () = assert!(8 * INLINE_LEN_MAX as u32 + GENERATION_BITS < 63);
const _: () = assert!(!REMEMBERED_BIT.is_multiple_of(8));

/// Cursors that are remembered; the oldest go first.
const LEN_MAX: usize = 4096;
/// Bytes of all that are remembered.
const SIZE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The engine cursors that are too long for a number.
#[derive(Debug)]
pub struct Cursors {
    remembered: Mutex<Remembered>,
}

#[derive(Debug)]
struct Remembered {
    /// Number of the first; the others follow one by one.
    first: u64,
    cursors: VecDeque<Box<[u8]>>,
    size_bytes: usize,
}

impl Default for Cursors {
    fn default() -> Self {
        // A random start: a number from before the last start must not be taken for one of now.
        let first = RandomState::new().hash_one(0_u8) >> (64 - REMEMBERED_BIT + 1);
        Self { remembered: Mutex::new(Remembered { first, cursors: VecDeque::new(), size_bytes: 0 }) }
    }
}

impl Cursors {
    /// The number for an engine's cursor; 0 for the empty one, which is the end.
    pub(super) fn number(&self, generation: u64, cursor: &[u8]) -> u64 {
        if cursor.is_empty() {
            return 0;
        }
        let place = if cursor.len() <= INLINE_LEN_MAX {
            cursor.iter().fold(1, |place, &byte| place << 8 | u64::from(byte))
        } else {
            1 << REMEMBERED_BIT | self.remember(cursor)
        };
        place << GENERATION_BITS | generation & GENERATION_MASK
    }

    /// The engine's cursor for a number; the empty one, which is the start, where it is 0, not from this generation, or
    /// forgotten.
    pub(super) fn cursor(&self, generation: u64, number: u64) -> Vec<u8> {
        let place = number >> GENERATION_BITS;
        if number & GENERATION_MASK != generation & GENERATION_MASK {
            return Vec::new();
        }
        match place.checked_ilog2() {
            Some(REMEMBERED_BIT) => self.recall(place & !(1 << REMEMBERED_BIT)),
            Some(bits @ (8 | 16 | 24 | 32 | 40 | 48)) => {
                let bytes = place.to_be_bytes();
                bytes.get(bytes.len() - bits as usize / 8..).unwrap_or_default().to_vec()
            }
            _ => Vec::new(),
        }
    }

    fn remember(&self, cursor: &[u8]) -> u64 {
        let mut remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        remembered.size_bytes += cursor.len();
        remembered.cursors.push_back(cursor.into());
        while remembered.cursors.len() > LEN_MAX || remembered.size_bytes > SIZE_BYTES_MAX {
            let Some(oldest) = remembered.cursors.pop_front() else { break };
            remembered.size_bytes -= oldest.len();
            remembered.first += 1;
        }
        (remembered.first + remembered.cursors.len() as u64).saturating_sub(1) & ((1 << REMEMBERED_BIT) - 1)
    }

    fn recall(&self, number: u64) -> Vec<u8> {
        let remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        let index = number.checked_sub(remembered.first).and_then(|index| usize::try_from(index).ok());
        index
            .and_then(|index| remembered.cursors.get(index))
            .map(|cursor| cursor.to_vec())
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Cursors, LEN_MAX, SIZE_BYTES_MAX};

    proptest! {
        #[test]
        fn a_number_leads_back_to_its_cursor(generation: u64, cursor in proptest::collection::vec(any::<u8>(), 0..12)) {
            let cursors = Cursors::default();
            let number = cursors.number(generation, &cursor);
            prop_assert!(number < 1 << 63);
            prop_assert_eq!(number == 0, cursor.is_empty());
            prop_assert_eq!(cursors.cursor(generation, number), &cursor[..]);
            prop_assert!(cursors.cursor(generation.wrapping_add(1), number).is_empty());
        }

        #[test]
        fn any_number_is_survived(generation: u64, number: u64) {
            Cursors::default().cursor(generation, number);
            Cursors::default().cursor(number, number);
        }
    }

    #[test]
    fn short_cursors_that_differ_in_leading_zeros_stay_apart() {
        let cursors = Cursors::default();
        for cursor in [&b"\0"[..], b"\0\0", b"\0\0\0\0\0\0", b"\0\0\0\0\0\0\0", b"\x01\0"] {
            assert_eq!(cursors.cursor(3, cursors.number(3, cursor)), cursor);
        }
    }

    #[test]
    fn the_oldest_are_forgotten_first() {
        let cursors = Cursors::default();
        let long = |number: usize| format!("cursor-{number}").into_bytes();
        let numbers: Vec<u64> = (0..LEN_MAX + 2).map(|number| cursors.number(1, &long(number))).collect();
        assert!(cursors.cursor(1, numbers[0]).is_empty() && cursors.cursor(1, numbers[1]).is_empty());
        for number in [2, 3, LEN_MAX, LEN_MAX + 1] {
            assert_eq!(cursors.cursor(1, numbers[number]), long(number));
        }
    }

    #[test]
    fn long_cursors_hold_no_more_memory_than_is_allowed() {
        let cursors = Cursors::default();
        let numbers: Vec<u64> = (0..100).map(|byte| cursors.number(1, &[byte; 65536])).collect();
        assert!(cursors.remembered.lock().unwrap().size_bytes <= SIZE_BYTES_MAX);
        assert!(cursors.cursor(1, numbers[0]).is_empty());
        assert_eq!(cursors.cursor(1, numbers[99]), [99; 65536]);
    }
}
