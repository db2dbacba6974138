//! Scan: walks the shards from the first to the last, and each from its highest index down.

use plugin_abi::Status;
use plugin_abi::sdk::{Cursor, Entry, Error};

use crate::table::Table;

/// Where a scan stands: in this shard the entries below `end` are still to come.
///
/// Six bytes, little endian: `end` (4), `shard` (2). An entry that is not visited yet can only move to a lower index, and
/// what is added comes behind, so nothing that stays is missed. What a cursor says is never trusted to be in bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Position {
    shard: u16,
    end: u32,
}

impl Position {
    const START: Self = Self { shard: 0, end: u32::MAX };

    fn read(bytes: &[u8], shards: usize) -> Result<Self, Error> {
        let invalid = || Error::new(Status::INVALID, "this cursor is none of the memory engine's");
        let [e0, e1, e2, e3, s0, s1] = *bytes else {
            return if bytes.is_empty() { Ok(Self::START) } else { Err(invalid()) };
        };
        let (shard, end) = (u16::from_le_bytes([s0, s1]), u32::from_le_bytes([e0, e1, e2, e3]));
        if usize::from(shard) < shards { Ok(Self { shard, end }) } else { Err(invalid()) }
    }

    fn bytes(self) -> [u8; 6] {
        let ([e0, e1, e2, e3], [s0, s1]) = (self.end.to_le_bytes(), self.shard.to_le_bytes());
        [e0, e1, e2, e3, s0, s1]
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
        let shard = table.read(usize::from(at.shard));
        let end = (at.end as usize).min(shard.len());
        let mut begin = end;
        while begin > 0 && left > 0 {
            begin -= 1;
            left -= 1;
            if !shard.expired(begin, now_ms) {
                let entry = shard.entry(begin);
                lent_bytes += if no_value { 0 } else { entry.value.len() };
                lend(&entry);
            }
            if lent_bytes >= STEP_BYTES_MAX {
                left = 0;
            }
        }
        if begin > 0 {
            // Fits: a shard holds fewer entries than a u32 counts.
            return cursor.set(&Position { end: begin as u32, ..at }.bytes());
        }
        if usize::from(at.shard) + 1 == table.shards() {
            return cursor.set(&[]);
        }
        at = Position { shard: at.shard + 1, end: u32::MAX };
        if left == 0 {
            return cursor.set(&at.bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_survives_its_bytes_and_others_are_refused() {
        let position = Position { shard: 4095, end: 70_000 };
        assert_eq!(Position::read(&position.bytes(), 4096).unwrap(), position);
        assert_eq!(Position::read(&[], 1).unwrap(), Position::START);
        assert_eq!(Position::read(&position.bytes(), 4095).unwrap_err().status, Status::INVALID);
        assert_eq!(Position::read(&[0; 5], 1).unwrap_err().status, Status::INVALID);
        assert_eq!(Position::read(&[0; 7], 1).unwrap_err().status, Status::INVALID);
    }
}
