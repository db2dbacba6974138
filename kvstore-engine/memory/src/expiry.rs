//! Expiry: which entries of a shard expire, in the order of their time.

use std::collections::BTreeSet;

/// The entries of one shard that expire, by time and then by their index in the shard.
#[derive(Debug, Default)]
pub(crate) struct ExpiryIndex(BTreeSet<(i64, usize)>);

/// Size of one element and its share of the tree, in bytes; an estimate.
const ELEMENT_BYTES: usize = 24;

impl ExpiryIndex {
    /// The entry at `index` goes from one expiry to another; 0 is never.
    pub(crate) fn change(&mut self, index: usize, from_ms: i64, to_ms: i64) {
        if from_ms == to_ms {
            return;
        }
        if from_ms != 0 {
            self.0.remove(&(from_ms, index));
        }
        if to_ms != 0 {
            self.0.insert((to_ms, index));
        }
    }

    /// The entry with this expiry is found at another index now.
    pub(crate) fn moved(&mut self, expiry_ms: i64, from: usize, to: usize) {
        if expiry_ms != 0 && from != to {
            self.0.remove(&(expiry_ms, from));
            self.0.insert((expiry_ms, to));
        }
    }

    /// The index of the entry that expired first, if one has.
    pub(crate) fn due(&self, now_ms: i64) -> Option<usize> {
        self.0.first().filter(|(expiry_ms, _)| *expiry_ms <= now_ms).map(|(_, index)| *index)
    }

    /// How many entries expire.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Memory in bytes; an estimate.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.0.len() * ELEMENT_BYTES
    }
}
