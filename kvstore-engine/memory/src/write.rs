//! Write: carries one SET, DELETE or UPDATE out on a locked shard, with or without a way back.

use plugin_abi::Status;
use plugin_abi::raw::{KV_OP_DELETE, KV_OP_SET};
use plugin_abi::sdk::{Decision, Entry, Error, Op, Outcome};

use crate::limit::Room;
use crate::pages::Place;
use crate::shard::{Found, Old, Patch, Shard};
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

/// What a patch destroys of a value, enough to undo it.
#[derive(Debug)]
pub(crate) struct Patched {
    version: u64,
    len: usize,
    from: usize,
    lost: Vec<u8>,
}

/// One step back. Steps are taken in the reverse order of the changes, so each finds the shard as its change left it.
#[derive(Debug)]
pub(crate) enum Undo {
    Insert { hash: u32, new: Place },
    Replace { hash: u32, new: Place, old: Place },
    Expiry { hash: u32, place: Place, expiry_ms: i64, version: u64 },
    Patch { hash: u32, place: Place, before: Patched },
    Remove { hash: u32, old: Place },
}

impl Undo {
    /// Takes the step. It cannot fail: what it needs was kept.
    pub(crate) fn undo(self, shard: &mut Shard) {
        match self {
            Self::Insert { hash, new } => {
                if let Some(found) = shard.at_place(hash, new) {
                    shard.remove(found, Old::Keep);
                    shard.free_cell(new);
                }
            }
            Self::Replace { hash, new, old } => shard.put_back(hash, new, old),
            Self::Expiry { hash, place, expiry_ms, version } => {
                let cell = shard.cell(place);
                shard.state().expiring -= u32::from(cell.expiry_ms() != 0);
                cell.set_expiry_ms(expiry_ms);
                cell.set_version(version);
                shard.restore_expiry(hash, expiry_ms);
            }
            Self::Patch { hash, place, before } => {
                let Some(found) = shard.at_place(hash, place) else { return };
                let Patched { version, len, from, lost } = before;
                shard.patch(found, &Patch { offset: from, bytes: &lost, new_len: len }, version, Old::Keep);
            }
            Self::Remove { hash, old } => shard.restore(hash, old),
        }
    }

    /// Frees what was kept for the step, which will not be taken.
    pub(crate) fn forget(self, shard: &mut Shard) {
        if let Self::Replace { old, .. } | Self::Remove { old, .. } = self {
            shard.free_cell(old);
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

/// The bytes of key and value of a SET; what an update is going to store nobody knows yet.
pub(crate) fn stored_bytes(op: &Op<'_>) -> u64 {
    if op.kind() == KV_OP_SET { (op.key().len() + op.entry().value.len()) as u64 } else { 0 }
}

/// One write on a shard that the caller has locked.
pub(crate) struct Write<'a> {
    pub(crate) table: &'a Table,
    pub(crate) shard: &'a mut Shard,
    /// Hash of the operation's key.
    pub(crate) hash: u32,
    /// The key's entry; it has not expired.
    pub(crate) found: Option<Found>,
    pub(crate) now_ms: i64,
    pub(crate) room: Room,
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
    #[inline]
    pub(crate) fn run(mut self, op: &Op<'_>) -> Result<Written, Error> {
        if self.table.limit.looks_at_use()
            && op.is_use()
            && let Some(found) = self.found
        {
            self.table.touch(self.shard.cell(found.place), self.now_ms);
        }
        match op.kind() {
            KV_OP_SET => self.store(&op.entry(), op.import_version()),
            KV_OP_DELETE => Ok(if self.remove() { Written::Deleted } else { Written::NotFound }),
            _ => self.update(op),
        }
    }

    fn old(&self) -> Old {
        if self.undo.is_some() { Old::Keep } else { Old::Free }
    }

    fn update(&mut self, op: &Op<'_>) -> Result<Written, Error> {
        let current = self.found.map(|found| Entry { key: op.key(), ..self.shard.cell(found.place).entry() });
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
            Decision::SetExpiry(expiry_ms) => self.set_expiry(op.key(), expiry_ms),
            Decision::Patch { offset, bytes, new_len, type_, flags } => {
                let patch = Patch { offset, bytes, new_len };
                match self.found {
                    Some(found) => self.patch(op.key(), found, &patch),
                    None => {
                        let empty = Entry { key: op.key(), type_, flags, ..Entry::default() };
                        self.store_patch(&empty, &patch)
                    }
                }
            }
        }
    }

    #[inline]
    fn store(&mut self, entry: &Entry<'_>, import: Option<u64>) -> Result<Written, Error> {
        self.room.check()?;
        let version = match import {
            Some(version) => self.table.import_version(version)?,
            None => self.table.next_version(),
        };
        let entry = Entry { version, ..*entry };
        let access = self.table.limit.new_entry(self.now_ms);
        let (new, old) = self.shard.store(self.hash, self.found, &entry, access, self.old())?;
        let hash = self.hash;
        self.keep(|| match old {
            Some(old) => Undo::Replace { hash, new, old },
            None => Undo::Insert { hash, new },
        });
        Ok(Written::Stored { version, expiry_ms: entry.expiry_ms })
    }

    /// Removes the entry, if there is one.
    pub(crate) fn remove(&mut self) -> bool {
        let Some(found) = self.found else { return false };
        let hash = self.hash;
        if let Some(old) = self.shard.remove(found, self.old()) {
            self.keep(|| Undo::Remove { hash, old });
        }
        true
    }

    fn set_expiry(&mut self, key: &[u8], expiry_ms: i64) -> Result<Written, Error> {
        let Some(found) = self.found else { return Ok(Written::Stored { version: 0, expiry_ms: 0 }) };
        let version = self.table.next_version();
        let (hash, place) = (self.hash, found.place);
        let before = self.shard.cell(place).entry();
        let (before_ms, before_version) = (before.expiry_ms, before.version);
        if self.shard.set_expiry(hash, found, expiry_ms, version)? {
            self.keep(|| Undo::Expiry { hash, place, expiry_ms: before_ms, version: before_version });
            return Ok(Written::Stored { version, expiry_ms });
        }
        // A cell without room for an expiry is a small one.
        let value = before.value.to_vec();
        let entry =
            Entry { key, value: &value, expiry_ms, version, type_: before.type_, flags: before.flags };
        let (new, old) = self.shard.store(hash, self.found, &entry, 0, self.old())?;
        if let Some(old) = old {
            self.keep(|| Undo::Replace { hash, new, old });
        }
        Ok(Written::Stored { version, expiry_ms })
    }

    fn patch(&mut self, key: &[u8], found: Found, patch: &Patch<'_>) -> Result<Written, Error> {
        self.room.check()?;
        let (hash, place) = (self.hash, found.place);
        let before = match self.undo {
            Some(_) => Some(self.before_patch(place, patch)?),
            None => None,
        };
        let expiry_ms = self.shard.cell(place).expiry_ms();
        let version = self.table.next_version();
        if self.shard.patch(found, patch, version, self.old()) {
            if let Some(before) = before {
                self.keep(|| Undo::Patch { hash, place, before });
            }
        } else {
            let (new, old) = self.shard.store_patched(hash, (key, found), patch, version, self.old())?;
            if let Some(old) = old {
                self.keep(|| Undo::Replace { hash, new, old });
            }
        }
        Ok(Written::Stored { version, expiry_ms })
    }

    /// Stores an entry that has a value of zeros, patched.
    fn store_patch(&mut self, empty: &Entry<'_>, patch: &Patch<'_>) -> Result<Written, Error> {
        let mut value = Vec::new();
        let no_memory = |_| Error::new(Status::FULL, "no memory for the value");
        value.try_reserve_exact(patch.new_len).map_err(no_memory)?;
        value.resize(patch.offset, 0);
        value.extend_from_slice(patch.bytes);
        value.resize(patch.new_len, 0);
        self.store(&Entry { value: &value, ..*empty }, None)
    }

    /// What is lost of a value by a patch that changes it where it lies.
    fn before_patch(&self, place: Place, patch: &Patch<'_>) -> Result<Patched, Error> {
        let Entry { value, version, .. } = self.shard.cell(place).entry();
        let len = value.len();
        let from = patch.offset.min(len);
        let end = if patch.new_len < len { len } else { (from + patch.bytes.len()).min(len) };
        let mut lost = Vec::new();
        let no_memory = |_| Error::new(Status::FULL, "no memory to undo the change of a value");
        lost.try_reserve_exact(end - from).map_err(no_memory)?;
        lost.extend_from_slice(&value[from..end]);
        Ok(Patched { version, len, from, lost })
    }

    fn keep(&mut self, step: impl FnOnce() -> Undo) {
        if let Some(undo) = &mut self.undo {
            undo.push((self.undo_tag, step()));
        }
    }
}
