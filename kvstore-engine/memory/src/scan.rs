//! Scan: walks the shards from the first to the last, and each in the order of its hashes, which no growth changes.

use plugin_abi::Status;
use plugin_abi::sdk::{Cursor, Entry, Error};

use crate::index::HASH_END;
use crate::table::Table;

/// Where a scan stands: in this shard the entries from `hash` on are still to come.
///
/// Five bytes, little endian: `hash` (3), `shard` (2). What a cursor says is never trusted to be in bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Position {
    shard: u16,
    hash: u32,
}

impl Position {
    const START: Self = Self { shard: 0, hash: 0 };

    fn read(bytes: &[u8], shards: usize) -> Result<Self, Error> {
        let invalid = || Error::new(Status::INVALID, "this cursor is none of the memory engine's");
        let [h0, h1, h2, s0, s1] = *bytes else {
            return if bytes.is_empty() { Ok(Self::START) } else { Err(invalid()) };
        };
        let (shard, hash) = (u16::from_le_bytes([s0, s1]), u32::from_le_bytes([h0, h1, h2, 0]));
        if usize::from(shard) < shards { Ok(Self { shard, hash }) } else { Err(invalid()) }
    }

    fn bytes(self) -> [u8; 5] {
        let ([h0, h1, h2, _], [s0, s1]) = (self.hash.to_le_bytes(), self.shard.to_le_bytes());
        [h0, h1, h2, s0, s1]
    }
}

/// A step ends early when it has lent values of this many bytes together.
const STEP_BYTES_MAX: usize = 1 << 20;

/// Looks at `count` more entries, or fewer once the values lent are about 1 MiB, and lends those that have not expired.
///
/// # Errors
/// INVALID for a cursor that is none.
pub(crate) fn step(
    table: &Table,
    now_ms: i64,
    no_value: bool,
    count: u32,
    cursor: &mut Cursor<'_>,
    lend: &mut dyn FnMut(&Entry<'_>),
) -> Result<(), Error> {
    let mut at = Position::read(cursor.get(), table.shards())?;
    let (mut left, mut lent_bytes) = (count.max(1), 0_usize);
    loop {
        let shard = table.lock(usize::from(at.shard));
        let mut last = None;
        for (hash, cell) in shard.entries_from(at.hash) {
            // All entries of a hash belong to one step: the cursor cannot stand between them.
            if (left == 0 || lent_bytes >= STEP_BYTES_MAX) && last != Some(hash) {
                at.hash = hash;
                return cursor.set(&at.bytes());
            }
            left = left.saturating_sub(1);
            last = Some(hash);
            if !cell.expired(now_ms) {
                let entry = cell.entry();
                lent_bytes += if no_value { 0 } else { entry.value.len() };
                lend(&entry);
            }
        }
        if usize::from(at.shard) + 1 == table.shards() {
            return cursor.set(&[]);
        }
        at = Position { shard: at.shard + 1, hash: 0 };
        if left == 0 || lent_bytes >= STEP_BYTES_MAX {
            return cursor.set(&at.bytes());
        }
    }
}

const _: () = assert!(HASH_END == 1 << 24);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_survives_its_bytes_and_others_are_refused() {
        let position = Position { shard: 4095, hash: HASH_END - 1 };
        assert_eq!(Position::read(&position.bytes(), 4096).unwrap(), position);
        assert_eq!(Position::read(&[], 1).unwrap(), Position::START);
        assert_eq!(Position::read(&position.bytes(), 4095).unwrap_err().status, Status::INVALID);
        assert_eq!(Position::read(&[0; 4], 1).unwrap_err().status, Status::INVALID);
        assert_eq!(Position::read(&[0; 6], 1).unwrap_err().status, Status::INVALID);
    }
}
