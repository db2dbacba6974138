//! Store: the entries of the log by their keys, and what operations do to them.

use std::collections::BTreeMap;
use std::ops::Bound;

use plugin_abi::Status;
use plugin_abi::raw::{KV_OP_DELETE, KV_OP_GET, KV_OP_SET};
use plugin_abi::sdk::{Decision, Entry, Error, Op, Outcome, VERSION_END};

use crate::log::{Log, Place};

/// What came of an operation.
pub(crate) enum Done {
    Entry(Owned),
    Stored { version: u64, expiry_ms: i64 },
    Deleted,
    NotFound,
}

impl Done {
    pub(crate) fn outcome(&self) -> Outcome<'_> {
        match self {
            Self::Entry(owned) => Outcome::Entry(owned.entry(b"")),
            Self::Stored { version, expiry_ms } => {
                Outcome::Stored { version: *version, expiry_ms: *expiry_ms }
            }
            Self::Deleted => Outcome::Deleted,
            Self::NotFound => Outcome::NotFound,
        }
    }
}

/// An entry with bytes of its own.
pub(crate) struct Owned {
    value: Vec<u8>,
    expiry_ms: i64,
    version: u64,
    type_: u32,
    flags: u32,
}

impl Owned {
    fn of(entry: &Entry<'_>) -> Self {
        let Entry { value, expiry_ms, version, type_, flags, .. } = *entry;
        Self { value: value.to_vec(), expiry_ms, version, type_, flags }
    }

    fn entry<'a>(&'a self, key: &'a [u8]) -> Entry<'a> {
        let Self { value, expiry_ms, version, type_, flags } = self;
        Entry { key, value, expiry_ms: *expiry_ms, version: *version, type_: *type_, flags: *flags }
    }
}

/// The entries. Only the log is handed over; the places are found again in it.
pub(crate) struct Store {
    pub(crate) log: Log,
    places: BTreeMap<Vec<u8>, Place>,
    pub(crate) sequence: u64,
}

impl Store {
    /// The entries of a log.
    pub(crate) fn new(mut log: Log, sequence: u64) -> Result<Self, Error> {
        let mut places = BTreeMap::new();
        for place in log.places()? {
            let Entry { key, version, .. } = log.entry(place);
            if version > sequence || places.insert(key.to_vec(), place).is_some() {
                return Err(Error::new(Status::CORRUPT, "an entry comes twice, or from the future"));
            }
        }
        Ok(Self { log, places, sequence })
    }

    pub(crate) fn has(&self, key: &[u8]) -> bool {
        self.places.contains_key(key)
    }

    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    pub(crate) fn clear(&mut self) {
        self.places.clear();
        self.log = Log::new();
    }

    pub(crate) fn raise(&mut self, last: u64) -> Result<u64, Error> {
        if last >= VERSION_END {
            return Err(Error::new(Status::INVALID, "the version is not below 2^56"));
        }
        self.sequence = self.sequence.max(last);
        Ok(self.sequence)
    }

    /// The entry of a key; one that has expired is removed.
    fn get(&mut self, key: &[u8], now_ms: i64) -> Option<Owned> {
        let place = *self.places.get(key)?;
        if self.log.entry(place).expired(now_ms) {
            self.remove(key);
            return None;
        }
        Some(Owned::of(&self.log.entry(place)))
    }

    fn remove(&mut self, key: &[u8]) -> bool {
        self.places.remove(key).map(|place| self.log.kill(place)).is_some()
    }

    fn put(&mut self, entry: &Entry<'_>) -> Result<(), Error> {
        let place = self.log.push(entry)?;
        if let Some(old) = self.places.insert(entry.key.to_vec(), place) {
            self.log.kill(old);
        }
        if self.log.is_sparse() {
            let mut log = Log::new();
            let moved = self.places.iter().map(|(key, place)| {
                let entry = self.log.entry(*place);
                Ok((key.clone(), log.push(&entry)?))
            });
            let moved = moved.collect::<Result<_, Error>>();
            // Without room for that it stays as it is.
            if let Ok(places) = moved {
                (self.log, self.places) = (log, places);
            }
        }
        Ok(())
    }

    /// Whether the entry has the version that is expected.
    pub(crate) fn expect(&mut self, op: &Op<'_>, now_ms: i64) -> Result<(), Error> {
        op.check(crate::CAPABILITIES)?;
        let version = self.get(op.key(), now_ms).map_or(0, |owned| owned.version);
        match op.expected_version() {
            Some(expected) if expected != version => Err(Status::CONFLICT.into()),
            _ => Ok(()),
        }
    }

    /// Carries out an operation that was [expected](Self::expect).
    pub(crate) fn run(&mut self, op: &Op<'_>, now_ms: i64) -> Result<Done, Error> {
        let key = op.key();
        let current = self.get(key, now_ms);
        match op.kind() {
            KV_OP_GET => Ok(current.map_or(Done::NotFound, Done::Entry)),
            KV_OP_DELETE => Ok(if self.remove(key) { Done::Deleted } else { Done::NotFound }),
            KV_OP_SET => self.store(key, Owned::of(&op.entry()), op.import_version(), now_ms),
            _ => {
                let shown = current.as_ref().map(|owned| owned.entry(key));
                let new = match op.decide(shown.as_ref())? {
                    Decision::Keep => {
                        let (version, expiry_ms) = current.map_or((0, 0), |it| (it.version, it.expiry_ms));
                        return Ok(Done::Stored { version, expiry_ms });
                    }
                    Decision::Remove => {
                        self.remove(key);
                        return Ok(Done::Stored { version: 0, expiry_ms: 0 });
                    }
                    Decision::Replace(entry) => Owned::of(&entry),
                    Decision::SetExpiry(expiry_ms) => match current {
                        Some(owned) => Owned { expiry_ms, ..owned },
                        None => return Err(Status::INVALID.into()),
                    },
                    Decision::Patch { offset, bytes, new_len, type_, flags } => {
                        let absent = Owned { value: Vec::new(), expiry_ms: 0, version: 0, type_, flags };
                        let mut owned = current.unwrap_or(absent);
                        owned.value.resize(new_len, 0);
                        owned.value[offset..offset + bytes.len()].copy_from_slice(bytes);
                        owned
                    }
                };
                self.store(key, new, None, now_ms)
            }
        }
    }

    fn store(&mut self, key: &[u8], new: Owned, version: Option<u64>, now_ms: i64) -> Result<Done, Error> {
        let version = version.unwrap_or(self.sequence + 1);
        let new = Owned { version, ..new };
        self.put(&new.entry(key))?;
        self.sequence = self.sequence.max(version);
        let expiry_ms = new.expiry_ms;
        // What is stored with a time that has passed is gone at once.
        self.get(key, now_ms);
        Ok(Done::Stored { version, expiry_ms })
    }

    /// Carries all operations out, or none. The first that fails says why.
    pub(crate) fn run_all(&mut self, ops: &[Op<'_>], now_ms: i64) -> Result<Vec<Done>, (usize, Error)> {
        // Versions are compared with what was there before the batch.
        for (index, op) in ops.iter().enumerate() {
            self.expect(op, now_ms).map_err(|error| (index, error))?;
        }
        let (mut done, mut undo) = (Vec::new(), Vec::new());
        for (index, op) in ops.iter().enumerate() {
            undo.push((op.key(), self.get(op.key(), now_ms)));
            match self.run(op, now_ms) {
                Ok(one) => done.push(one),
                Err(error) => {
                    for (key, old) in undo.into_iter().rev() {
                        let undone = match old {
                            Some(old) => self.put(&old.entry(key)),
                            None => {
                                self.remove(key);
                                Ok(())
                            }
                        };
                        undone.map_err(|error| (index, error))?;
                    }
                    return Err((index, error));
                }
            }
        }
        Ok(done)
    }

    /// Lends entries behind a key; answers the last key that came, if there are more behind it.
    pub(crate) fn scan(
        &self,
        behind: Bound<Vec<u8>>,
        count: usize,
        now_ms: i64,
        lend: &mut dyn FnMut(&Entry<'_>),
    ) -> Option<&[u8]> {
        let mut places = self.places.range((behind, Bound::Unbounded));
        let (mut last, mut lent_bytes) = (None, 0);
        for (key, place) in places.by_ref().take(count.max(1)) {
            last = Some(key.as_slice());
            let entry = self.log.entry(*place);
            if !entry.expired(now_ms) {
                lend(&entry);
                lent_bytes += entry.value.len();
            }
            if lent_bytes >= 1 << 20 {
                break;
            }
        }
        last.filter(|_| places.next().is_some())
    }
}
