//! Write: carries one SET, DELETE or UPDATE out on a locked shard, with or without a way back.

use plugin_abi::Status;
use plugin_abi::raw::{KV_OP_DELETE, KV_OP_SET};
use plugin_abi::sdk::{Decision, Entry, Error, Op, Outcome};

use crate::shard::Shard;
use crate::slot::{Patch, Patched, Slot};
use crate::table::Table;

/// What came of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    /// What is stored now has this version and expiry; 0 and 0: nothing is.
    Stored { version: u64, expiry_ms: i64 },
    /// The entry is removed.
    Deleted,
    /// There was none to delete.
    NotFound,
}

impl Written {
    /// The same for a batch.
    pub(crate) fn outcome(self) -> Outcome<'static> {
        match self {
            Self::Stored { version, expiry_ms } => Outcome::Stored { version, expiry_ms },
            Self::Deleted => Outcome::Deleted,
            Self::NotFound => Outcome::NotFound,
        }
    }
}

/// One step back. Steps are taken in the reverse order of the changes, so each finds the shard as its change left it.
#[derive(Debug)]
pub(crate) enum Undo {
    Insert { index: usize },
    Replace { index: usize, old: Slot },
    Expiry { index: usize, old: (i64, u64) },
    Patch { index: usize, before: Patched },
    Remove { index: usize, hash: u64, key: Box<[u8]>, old: Slot },
}

impl Undo {
    /// Takes the step. It cannot fail: what it needs was kept.
    pub(crate) fn undo(self, shard: &mut Shard) {
        match self {
            Self::Insert { index } => _ = shard.remove(index),
            Self::Replace { index, old } => _ = shard.replace(index, old),
            Self::Expiry { index, old: (expiry_ms, version) } => {
                shard.set_expiry(index, expiry_ms, version);
            }
            Self::Patch { index, before } => shard.unpatch(index, &before),
            Self::Remove { index, hash, key, old } => shard.restore(hash, index, key, old),
        }
    }
}

/// Fails unless an entry has the version that the operation expects, if it does. `found` is the entry's, 0 for none.
///
/// # Errors
/// CONFLICT.
pub(crate) fn expect(op: &Op<'_>, found: u64) -> Result<(), Error> {
    match op.expected_version() {
        Some(expected) if expected != found => Err(Status::CONFLICT.into()),
        _ => Ok(()),
    }
}

/// One write on a shard that the caller has locked.
pub(crate) struct Write<'a> {
    pub(crate) table: &'a Table,
    pub(crate) shard: &'a mut Shard,
    /// Hash of the operation's key.
    pub(crate) hash: u64,
    /// Index of the key's entry; it has not expired.
    pub(crate) index: Option<usize>,
    /// Gets the way back, if one is wanted.
    pub(crate) undo: Option<&'a mut Vec<(usize, Undo)>>,
    /// Comes along with each step back: whatever tells the caller which shard it is.
    pub(crate) undo_tag: usize,
}

impl Write<'_> {
    /// Carries the operation out.
    ///
    /// # Errors
    /// INVALID, FULL; then nothing has changed.
    pub(crate) fn run(mut self, op: &Op<'_>) -> Result<Written, Error> {
        match op.kind() {
            KV_OP_SET => self.store(&op.entry(), op.import_version()),
            KV_OP_DELETE => Ok(if self.remove() { Written::Deleted } else { Written::NotFound }),
            _ => self.update(op),
        }
    }

    fn update(&mut self, op: &Op<'_>) -> Result<Written, Error> {
        let current = self.index.map(|index| self.shard.entry(index));
        match op.decide(current.as_ref())? {
            Decision::Keep => {
                let Entry { version, expiry_ms, .. } = current.unwrap_or_default();
                Ok(Written::Stored { version, expiry_ms })
            }
            Decision::Replace(entry) => self.store(&Entry { key: op.key(), ..entry }, None),
            Decision::Remove => {
                self.remove();
                Ok(Written::Stored { version: 0, expiry_ms: 0 })
            }
            Decision::SetExpiry(expiry_ms) => Ok(self.set_expiry(expiry_ms)),
            Decision::Patch { offset, bytes, new_len, type_, flags } => {
                let patch = Patch { offset, bytes, new_len };
                match self.index {
                    Some(index) => self.patch(index, &patch),
                    None => {
                        let mut slot = Slot { value: Vec::new(), expiry_ms: 0, version: 0, type_, flags };
                        slot.patch(&patch)?;
                        self.put(op.key(), slot, None)
                    }
                }
            }
        }
    }

    fn store(&mut self, entry: &Entry<'_>, import: Option<u64>) -> Result<Written, Error> {
        let slot = Slot::copy_of(entry)?;
        self.put(entry.key, slot, import)
    }

    fn put(&mut self, key: &[u8], mut slot: Slot, import: Option<u64>) -> Result<Written, Error> {
        slot.version = match import {
            Some(version) => self.table.import_version(version)?,
            None => self.table.next_version(),
        };
        let written = Written::Stored { version: slot.version, expiry_ms: slot.expiry_ms };
        let undo = match self.index {
            Some(index) => Undo::Replace { index, old: self.shard.replace(index, slot) },
            None => {
                let index = self.shard.len();
                self.shard.insert(self.hash, key, slot)?;
                Undo::Insert { index }
            }
        };
        self.keep(undo);
        Ok(written)
    }

    /// Removes the entry, if there is one.
    pub(crate) fn remove(&mut self) -> bool {
        let Some(index) = self.index else { return false };
        let Some((key, old)) = self.shard.remove(index) else { return false };
        self.keep(Undo::Remove { index, hash: self.hash, key, old });
        true
    }

    fn set_expiry(&mut self, expiry_ms: i64) -> Written {
        let Some(index) = self.index else { return Written::Stored { version: 0, expiry_ms: 0 } };
        let version = self.table.next_version();
        let old = self.shard.set_expiry(index, expiry_ms, version);
        self.keep(Undo::Expiry { index, old });
        Written::Stored { version, expiry_ms }
    }

    fn patch(&mut self, index: usize, patch: &Patch<'_>) -> Result<Written, Error> {
        let before = match self.undo {
            Some(_) => Some(self.shard.before_patch(index, patch)?),
            None => None,
        };
        let version = self.table.next_version();
        self.shard.patch(index, patch, version)?;
        match before {
            Some(before) => self.keep(Undo::Patch { index, before }),
            None => self.shard.shrink_value_if_sparse(index),
        }
        Ok(Written::Stored { version, expiry_ms: self.shard.entry(index).expiry_ms })
    }

    fn keep(&mut self, step: Undo) {
        if let Some(undo) = &mut self.undo {
            undo.push((self.undo_tag, step));
        }
    }
}
