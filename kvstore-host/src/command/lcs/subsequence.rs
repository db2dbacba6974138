//! Subsequence: the longest row of bytes that two texts have in common, 64 bytes of the second at a time.
//!
//! The lengths for all pairs of beginnings make a table, in which a row grows by 0 or 1 from one place to the next; so a bit for each place is all that is kept
//! of it, and a row follows from the one above by additions of whole words (Crochemore and others, 2001). A bit that is 0 is a step up.

/// Rows of bits, one for each byte of the first text.
pub(super) struct Rows<'a> {
    one: &'a [u8],
    other: &'a [u8],
    /// Bytes of one row.
    stride: usize,
    bits: Vec<u8>,
}

/// Bytes that both texts have side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Match {
    /// Where they start in the first text.
    pub(super) one: usize,
    /// Where they start in the second.
    pub(super) other: usize,
    /// How many they are.
    pub(super) len: usize,
}

/// For each byte of the first text the places where it stands in the second, as bits.
struct Places {
    words: usize,
    /// Which of `masks` is a byte's.
    of: [Option<usize>; 256],
    masks: Vec<u64>,
}

impl Places {
    fn new(one: &[u8], other: &[u8]) -> Option<Self> {
        let mut of = [None; 256];
        let mut count = 0;
        for &byte in one {
            let place = of.get_mut(usize::from(byte))?;
            if place.is_none() {
                *place = Some(count);
                count += 1;
            }
        }
        let words = other.len().div_ceil(64);
        let mut masks = Vec::new();
        masks.try_reserve_exact(words.checked_mul(count)?).ok()?;
        masks.resize(words * count, 0);
        for (at, &byte) in other.iter().enumerate() {
            let Some(mask) = of.get(usize::from(byte)).copied().flatten() else { continue };
            *masks.get_mut(mask * words + at / 64)? |= 1 << (at % 64);
        }
        Some(Self { words, of, masks })
    }

    fn of(&self, byte: u8) -> &[u64] {
        let mask = self.of.get(usize::from(byte)).copied().flatten().unwrap_or(0);
        self.masks.get(mask * self.words..(mask + 1) * self.words).unwrap_or_default()
    }
}

/// The row that follows for a byte that stands in these places.
fn advance(row: &mut [u64], places: &[u64]) {
    let mut carry = false;
    for (word, places) in row.iter_mut().zip(places) {
        let common = *word & places;
        let (sum, over) = word.overflowing_add(common);
        let (sum, over_by_carry) = sum.overflowing_add(carry.into());
        carry = over || over_by_carry;
        *word = sum | (*word & !places);
    }
}

/// The length alone, for which one row is kept; `None` where there is no memory for it.
pub(super) fn length(one: &[u8], other: &[u8]) -> Option<usize> {
    let places = Places::new(one, other)?;
    let mut row = vec![u64::MAX; places.words];
    one.iter().for_each(|&byte| advance(&mut row, places.of(byte)));
    let ups: u32 = row.iter().map(|word| word.count_zeros()).sum();
    // Behind the end of the text no byte matches, so all bits stay 1.
    Some(ups as usize)
}

impl<'a> Rows<'a> {
    /// Computes all rows; `None` where there is no memory for them: an eighth of the product of both lengths.
    pub(super) fn new(one: &'a [u8], other: &'a [u8]) -> Option<Self> {
        let places = Places::new(one, other)?;
        let stride = other.len().div_ceil(8);
        let mut bits = Vec::new();
        bits.try_reserve_exact(stride.checked_mul(one.len())?).ok()?;
        let mut row = vec![u64::MAX; places.words];
        for &byte in one {
            advance(&mut row, places.of(byte));
            let end = bits.len() + stride;
            for word in &row {
                let left = end - bits.len();
                bits.extend_from_slice(word.to_le_bytes().get(..left.min(8)).unwrap_or_default());
            }
        }
        Some(Self { one, other, stride, bits })
    }

    /// Whether the table has a step up at this place.
    fn is_up(&self, row: usize, place: usize) -> bool {
        self.bits.get(row * self.stride + place / 8).is_some_and(|byte| byte >> (place % 8) & 1 == 0)
    }

    /// The matches, from the last to the first.
    ///
    /// Of several ways the one that Redis goes: from the ends of both texts, over what is equal, else back in the first text if the rest of that is better than
    /// the rest of the second, else back in the second. It is better just where this place is a step up.
    pub(super) fn matches(&self) -> Vec<Match> {
        let mut found: Vec<Match> = Vec::new();
        let (mut row, mut place) = (self.one.len(), self.other.len());
        while row > 0 && place > 0 {
            if self.one.get(row - 1) == self.other.get(place - 1) {
                match found.last_mut() {
                    Some(last) if (last.one, last.other) == (row, place) => {
                        *last = Match { one: row - 1, other: place - 1, len: last.len + 1 };
                    }
                    _ => found.push(Match { one: row - 1, other: place - 1, len: 1 }),
                }
                (row, place) = (row - 1, place - 1);
            } else if self.is_up(row - 1, place - 1) {
                row -= 1;
            } else {
                place -= 1;
            }
        }
        found
    }

    /// The bytes in common.
    pub(super) fn common(&self) -> Vec<u8> {
        let matches = self.matches();
        let parts = matches.iter().rev().filter_map(|found| self.one.get(found.one..found.one + found.len));
        parts.flatten().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The lengths for all pairs of beginnings, place by place.
    fn table(one: &[u8], other: &[u8]) -> Vec<Vec<usize>> {
        let mut table = vec![vec![0; other.len() + 1]; one.len() + 1];
        for row in 1..=one.len() {
            for place in 1..=other.len() {
                table[row][place] = if one[row - 1] == other[place - 1] {
                    table[row - 1][place - 1] + 1
                } else {
                    table[row - 1][place].max(table[row][place - 1])
                };
            }
        }
        table
    }

    /// What Redis answers, step by step as it goes.
    fn of_redis(one: &[u8], other: &[u8]) -> (usize, Vec<u8>) {
        let table = table(one, other);
        let (mut row, mut place, mut common) = (one.len(), other.len(), Vec::new());
        while row > 0 && place > 0 {
            if one[row - 1] == other[place - 1] {
                common.push(one[row - 1]);
                (row, place) = (row - 1, place - 1);
            } else if table[row - 1][place] > table[row][place - 1] {
                row -= 1;
            } else {
                place -= 1;
            }
        }
        common.reverse();
        (table[one.len()][other.len()], common)
    }

    fn text() -> impl Strategy<Value = Vec<u8>> {
        // Few letters, so that there are many ways.
        prop_oneof![
            proptest::collection::vec(0..3_u8, 0..200),
            proptest::collection::vec(any::<u8>(), 0..200)
        ]
    }

    proptest! {
        #[test]
        fn the_same_as_place_by_place(one in text(), other in text()) {
            let (len, common) = of_redis(&one, &other);
            prop_assert_eq!(length(&one, &other), Some(len));
            let rows = Rows::new(&one, &other).unwrap();
            prop_assert_eq!(rows.common(), common);
            for found in rows.matches() {
                let (one, other) = (&one[found.one..][..found.len], &other[found.other..][..found.len]);
                prop_assert_eq!(one, other);
            }
        }
    }

    #[test]
    fn a_narrow_table_takes_a_byte_a_row() {
        let one = vec![b'a'; 10_000];
        let rows = Rows::new(&one, b"a").unwrap();
        assert_eq!((rows.bits.len(), rows.common()), (10_000, b"a".to_vec()));
        assert_eq!(length(b"a", &one), Some(1));
    }
}
