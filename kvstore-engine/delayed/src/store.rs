//! Store: the entries, in the order of their keys. Known to the engine's thread only.

use core::ops::Bound;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use plugin_abi::Status;
use plugin_abi::raw::{KV_EVENT_EXPIRED, KV_OP_DELETE, KV_OP_GET};
use plugin_abi::sdk::{Entry, Error, Host, Op, Outcome};

/// What is stored under a key.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    value: Arc<[u8]>,
    expiry_ms: i64,
    version: u64,
    type_: u32,
    flags: u32,
}

impl Stored {
    /// The entry, lent.
    pub(crate) fn entry<'a>(&'a self, key: &'a [u8]) -> Entry<'a> {
        let Self { expiry_ms, version, type_, flags, .. } = *self;
        Entry { key, value: &self.value, expiry_ms, version, type_, flags }
    }
}

/// An operation with bytes of its own, so that it can wait for its moment.
#[derive(Clone, Debug)]
pub(crate) struct OwnedOp {
    kind: u32,
    key: Vec<u8>,
    new: Stored,
    expected: Option<u64>,
    import: Option<u64>,
}

impl From<&Op<'_>> for OwnedOp {
    fn from(op: &Op<'_>) -> Self {
        let Entry { value, expiry_ms, type_, flags, .. } = op.entry();
        Self {
            kind: op.kind(),
            key: op.key().to_vec(),
            new: Stored { value: value.into(), expiry_ms, version: 0, type_, flags },
            expected: op.expected_version(),
            import: op.import_version(),
        }
    }
}

/// What came of an operation.
#[derive(Clone, Debug)]
pub(crate) enum Done {
    Found(Stored),
    Stored { version: u64, expiry_ms: i64 },
    Deleted,
    NotFound,
}

impl Done {
    /// The same for a batch.
    pub(crate) fn outcome(&self) -> Outcome<'_> {
        match self {
            Self::Found(stored) => Outcome::Entry(stored.entry(&[])),
            Self::Stored { version, expiry_ms } => {
                Outcome::Stored { version: *version, expiry_ms: *expiry_ms }
            }
            Self::Deleted => Outcome::Deleted,
            Self::NotFound => Outcome::NotFound,
        }
    }
}

/// The entries.
#[derive(Debug, Default)]
pub(crate) struct Store {
    entries: BTreeMap<Vec<u8>, Stored>,
    expiries: BTreeSet<(i64, Vec<u8>)>,
    last_version: u64,
    expired_total: u64,
}

impl Store {
    /// How many entries there are, those that expired and are not yet removed among them.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// How many entries have been removed because they expired.
    pub(crate) fn expired_total(&self) -> u64 {
        self.expired_total
    }

    /// Raises the sequence of versions, and answers the highest number given or imported so far.
    pub(crate) fn raise_version(&mut self, last: u64) -> u64 {
        self.last_version = self.last_version.max(last);
        self.last_version
    }

    /// Removes everything.
    pub(crate) fn clear(&mut self) {
        self.entries.clear();
        self.expiries.clear();
    }

    /// Removes all that has expired.
    pub(crate) fn expire(&mut self, now_ms: i64, host: &Host) {
        while self.expiries.first().is_some_and(|(expiry_ms, _)| *expiry_ms <= now_ms) {
            let Some((_, key)) = self.expiries.pop_first() else { break };
            if let Some(stored) = self.entries.remove(&key) {
                self.expired_total += 1;
                host.event(KV_EVENT_EXPIRED, 0, &key, stored.version);
            }
        }
    }

    /// Stores or removes, and answers whether there was an entry.
    fn put(&mut self, key: &[u8], new: Option<Stored>) -> bool {
        let new_ms = new.as_ref().map_or(0, |stored| stored.expiry_ms);
        let old = match new {
            Some(stored) => self.entries.insert(key.to_vec(), stored),
            None => self.entries.remove(key),
        };
        if let Some(old) = old.as_ref().filter(|old| old.expiry_ms != 0) {
            self.expiries.remove(&(old.expiry_ms, key.to_vec()));
        }
        if new_ms != 0 {
            self.expiries.insert((new_ms, key.to_vec()));
        }
        old.is_some()
    }

    fn expect(&self, op: &OwnedOp) -> Result<(), Error> {
        let version = self.entries.get(&op.key).map_or(0, |stored| stored.version);
        match op.expected {
            Some(expected) if expected != version => Err(Status::CONFLICT.into()),
            _ => Ok(()),
        }
    }

    /// Carries one operation out.
    ///
    /// # Errors
    /// CONFLICT; then nothing has changed.
    pub(crate) fn run(&mut self, op: &OwnedOp, now_ms: i64, host: &Host) -> Result<Done, Error> {
        self.expire(now_ms, host);
        self.expect(op)?;
        Ok(self.apply(op))
    }

    /// Carries out all operations or none.
    ///
    /// # Errors
    /// Which operation cannot be carried out, and why; then nothing has changed.
    pub(crate) fn run_all(
        &mut self,
        ops: &[OwnedOp],
        now_ms: i64,
        host: &Host,
    ) -> Result<Vec<Done>, (usize, Error)> {
        self.expire(now_ms, host);
        // Versions are compared with what was there before the batch.
        for (index, op) in ops.iter().enumerate() {
            self.expect(op).map_err(|error| (index, error))?;
        }
        let mut done = Vec::with_capacity(ops.len());
        for op in ops {
            done.push(self.apply(op));
            // It may have been stored with a time that has passed.
            self.expire(now_ms, host);
        }
        Ok(done)
    }

    // Cannot fail: there is nothing to go back from.
    fn apply(&mut self, op: &OwnedOp) -> Done {
        match op.kind {
            KV_OP_GET => self.entries.get(&op.key).cloned().map_or(Done::NotFound, Done::Found),
            KV_OP_DELETE => {
                if self.put(&op.key, None) {
                    Done::Deleted
                } else {
                    Done::NotFound
                }
            }
            _ => {
                let version = op.import.unwrap_or(self.last_version + 1);
                self.last_version = self.last_version.max(version);
                let expiry_ms = op.new.expiry_ms;
                self.put(&op.key, Some(Stored { version, ..op.new.clone() }));
                Done::Stored { version, expiry_ms }
            }
        }
    }

    /// Up to `count` entries behind a key, fewer once their values are `bytes_max` together, and whether there are more.
    pub(crate) fn after(
        &self,
        key: Option<&[u8]>,
        count: usize,
        bytes_max: usize,
    ) -> (Vec<(Vec<u8>, Stored)>, bool) {
        let from = key.map_or(Bound::Unbounded, Bound::Excluded);
        let mut range = self.entries.range::<[u8], _>((from, Bound::Unbounded));
        let (mut some, mut bytes) = (Vec::new(), 0_usize);
        for (key, stored) in range.by_ref() {
            bytes = bytes.saturating_add(stored.value.len());
            some.push((key.clone(), stored.clone()));
            if some.len() >= count || bytes >= bytes_max {
                break;
            }
        }
        (some, range.next().is_some())
    }
}
