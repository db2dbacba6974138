//! Store: the entries, in shards, each a map under a lock of its own. This is the part to replace.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::ops::Bound;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};

use plugin_abi::Status;
use plugin_abi::raw::KV_EVENT_EXPIRED;
use plugin_abi::sdk::{Cursor, Entry, Error, Found, Host, Op};

/// A cursor names a shard in one byte.
pub(crate) const SHARDS_MAX: usize = 256;

/// A step of a scan ends when it has lent values of this many bytes together.
const STEP_BYTES_MAX: usize = 1 << 20;

/// What is stored under a key.
struct Stored {
    value: Box<[u8]>,
    /// Milliseconds since 1970 UTC; 0 is never.
    expiry_ms: i64,
    version: u64,
    type_: u32,
    flags: u32,
}

/// In the order of the keys: a scan that has come to a key goes on behind it, whatever was written meanwhile.
type Shard = BTreeMap<Box<[u8]>, Stored>;

/// All entries.
pub(crate) struct Store {
    shards: Vec<Mutex<Shard>>,
    hasher: RandomState,
    last_version: AtomicU64,
}

impl Stored {
    fn lend<'a>(&'a self, key: &'a [u8]) -> Entry<'a> {
        let Self { expiry_ms, version, type_, flags, .. } = *self;
        Entry { key, value: &self.value, expiry_ms, version, type_, flags }
    }

    fn expired(&self, now_ms: i64) -> bool {
        self.expiry_ms != 0 && self.expiry_ms <= now_ms
    }
}

/// A copy of lent bytes; FULL where there is no memory for it.
fn copy(bytes: &[u8]) -> Result<Box<[u8]>, Error> {
    let mut copy = Vec::new();
    let no_memory = |_| {
        let text = format!("no memory for {} bytes", bytes.len());
        Error::new(Status::FULL, text)
    };
    copy.try_reserve_exact(bytes.len()).map_err(no_memory)?;
    copy.extend_from_slice(bytes);
    Ok(copy.into_boxed_slice())
}

/// Somebody who panicked under this lock has left nobody knows what behind.
fn lock(shard: &Mutex<Shard>) -> Result<MutexGuard<'_, Shard>, Error> {
    shard.lock().map_err(|_| Status::POISONED.into())
}

/// An entry that has expired is none, for anybody. Whoever meets it removes it, and the host is told once. What nobody meets
/// stays until it is written over: an engine for use removes it by itself, from a thread of its own.
fn forget_expired(shard: &mut Shard, key: &[u8], host: &Host) {
    let now_ms = host.now_ms();
    if let Some(stored) = shard.get(key).filter(|stored| stored.expired(now_ms)) {
        let version = stored.version;
        shard.remove(key);
        host.event(KV_EVENT_EXPIRED, 0, key, version);
    }
}

/// With EXPECT an operation goes on only if the entry has that version; 0 is "no entry".
fn expect(op: &Op<'_>, found: Option<&Stored>) -> Result<(), Error> {
    let version = found.map_or(0, |stored| stored.version);
    match op.expected_version() {
        Some(expected) if expected != version => Err(Status::CONFLICT.into()),
        _ => Ok(()),
    }
}

impl Store {
    pub(crate) fn new(shards: usize) -> Self {
        Self {
            shards: (0..shards).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
            last_version: AtomicU64::new(0),
        }
    }

    fn shard(&self, key: &[u8]) -> Result<MutexGuard<'_, Shard>, Error> {
        let number = self.hasher.hash_one(key) as usize % self.shards.len();
        lock(&self.shards[number])
    }

    pub(crate) fn get(
        &self,
        op: &Op<'_>,
        host: &Host,
        lend: &mut dyn FnMut(&Entry<'_>),
    ) -> Result<Found, Error> {
        let mut shard = self.shard(op.key())?;
        forget_expired(&mut shard, op.key(), host);
        let found = shard.get(op.key());
        expect(op, found)?;
        let Some(stored) = found else {
            return Ok(Found::No);
        };
        lend(&stored.lend(op.key()));
        Ok(Found::Yes)
    }

    pub(crate) fn set(&self, op: &Op<'_>, host: &Host) -> Result<u64, Error> {
        let entry = op.entry();
        // Before the lock: copies take time, and can fail.
        let (key, value) = (copy(entry.key)?, copy(entry.value)?);
        let mut shard = self.shard(entry.key)?;
        forget_expired(&mut shard, entry.key, host);
        expect(op, shard.get(entry.key))?;
        // Under the lock: of one key the later version is the higher one.
        let version = match op.import_version() {
            Some(version) => {
                self.last_version.fetch_max(version, Ordering::Relaxed);
                version
            }
            None => self.last_version.fetch_add(1, Ordering::Relaxed) + 1,
        };
        let Entry { expiry_ms, type_, flags, .. } = entry;
        let stored = Stored { value, expiry_ms, version, type_, flags };
        shard.insert(key, stored);
        Ok(version)
    }

    pub(crate) fn delete(&self, op: &Op<'_>, host: &Host) -> Result<Found, Error> {
        let mut shard = self.shard(op.key())?;
        forget_expired(&mut shard, op.key(), host);
        expect(op, shard.get(op.key()))?;
        Ok(match shard.remove(op.key()) {
            Some(_) => Found::Yes,
            None => Found::No,
        })
    }

    /// The cursor is the number of a shard and the last key that was lent of it. Up to 6 bytes would be better than a key: clients'
    /// cursors can hold those, and the host has to remember others for them.
    pub(crate) fn scan(
        &self,
        no_value: bool,
        count: usize,
        cursor: &mut Cursor<'_>,
        now_ms: i64,
        lend: &mut dyn FnMut(&Entry<'_>),
    ) -> Result<(), Error> {
        // Cursors can come from clients: each is checked.
        let (first, mut after) = match cursor.get() {
            [] => (0, None),
            [shard, key @ ..] if usize::from(*shard) < self.shards.len() => {
                (usize::from(*shard), Some(copy(key)?))
            }
            _ => {
                let text = "this cursor is none of this engine's";
                return Err(Error::new(Status::INVALID, text));
            }
        };
        let (mut lent, mut bytes) = (0, 0);
        for (number, shard) in self.shards.iter().enumerate().skip(first) {
            let shard = lock(shard)?;
            let after = after.take();
            let from = after.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
            for (key, stored) in shard.range::<[u8], _>((from, Bound::Unbounded)) {
                if stored.expired(now_ms) {
                    continue;
                }
                lend(&stored.lend(key));
                lent += 1;
                if !no_value {
                    bytes += stored.value.len();
                }
                if lent >= count || bytes >= STEP_BYTES_MAX {
                    return cursor.set(&[&[number as u8], &key[..]].concat());
                }
            }
        }
        cursor.set(&[])
    }

    /// How many entries there are, those that expired and that nobody has met since among them.
    pub(crate) fn count(&self) -> Result<u64, Error> {
        let mut count = 0;
        for shard in &self.shards {
            count += lock(shard)?.len() as u64;
        }
        Ok(count)
    }

    /// Removes all at one moment: under all locks, taken in one order. Versions go on from where they were.
    pub(crate) fn clear(&self) -> Result<(), Error> {
        let mut all = self.shards.iter().map(lock).collect::<Result<Vec<_>, _>>()?;
        all.iter_mut().for_each(|shard| shard.clear());
        Ok(())
    }

    /// Raises the sequence of versions, and answers the highest number that was given or imported so far.
    pub(crate) fn raise_version(&self, last: u64) -> u64 {
        self.last_version.fetch_max(last, Ordering::Relaxed).max(last)
    }
}
