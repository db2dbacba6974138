//! Changes: which keys of an engine were written since somebody follows it. Whoever does reads those keys again, so only that they have changed is noted;
//! and some of the keys that clients read, for whom wants to repeat that.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use plugin_abi::raw::{KV_OP_GET, KvOp};

/// The changes of one engine. Nothing is noted while nobody follows.
#[derive(Debug, Default)]
pub(super) struct Changes {
    followed: AtomicBool,
    noted: Mutex<Noted>,
    /// Of a million reads so many are noted.
    sample_share: AtomicU64,
    reads: AtomicU64,
    /// The keys of those.
    sampled: Mutex<Vec<Vec<u8>>>,
}

/// The share of reads that is all of them.
pub(crate) const ALL_READS: u64 = 1_000_000;

/// Keys that were read and not looked at yet, at most; others are not noted meanwhile.
const SAMPLED_MAX: usize = 1024;

/// Bytes that are noted at most.
const NOTED_MAX: usize = 64 << 20;

/// What has changed.
#[derive(Debug, Default)]
pub(super) struct Noted {
    /// All entries were removed. What was written afterwards is noted, or in [`unknown`](Self::unknown).
    pub(super) cleared: bool,
    /// More has changed than is noted: too much, or nobody knows what.
    pub(super) unknown: bool,
    // Keys, one behind the other, and where each ends. A key that is written often is there often.
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Changes {
    /// Begins or ends to note them. What was noted before is forgotten.
    ///
    /// What is written later is noted; of a write that is under way nobody knows, so there is none when this is told.
    pub(super) fn follow(&self, follow: bool) {
        let mut noted = self.lock();
        *noted = Noted::default();
        self.sample(0);
        self.followed.store(follow, Ordering::Release);
    }

    /// Whether somebody follows.
    #[inline]
    pub(super) fn are_followed(&self) -> bool {
        self.followed.load(Ordering::Acquire)
    }

    /// Notes the keys that operations have, or may have, written: `wrote` says so of each. Called when they are carried out, and before anybody is told.
    ///
    /// # Safety
    /// The keys of the operations are valid.
    pub(super) unsafe fn note(&self, ops: &[KvOp], wrote: impl Fn(usize) -> bool) {
        if ops.iter().all(|op| op.kind == KV_OP_GET) {
            return;
        }
        let mut noted = self.lock();
        if !self.are_followed() {
            return;
        }
        let writes = ops.iter().enumerate().filter(|(at, op)| op.kind != KV_OP_GET && wrote(*at));
        for (_, op) in writes {
            // SAFETY: valid, says the caller.
            noted.push(unsafe { op.key.as_slice() });
        }
    }

    /// Notes so many of a million reads from here on.
    pub(super) fn sample(&self, share: u64) {
        self.sample_share.store(share, Ordering::Relaxed);
        self.reads.store(0, Ordering::Relaxed);
        self.sampled().clear();
    }

    /// Notes some of the keys that operations have read.
    ///
    /// # Safety
    /// As for [`note`](Self::note).
    pub(super) unsafe fn note_reads(&self, ops: &[KvOp]) {
        let share = self.sample_share.load(Ordering::Relaxed);
        if share == 0 {
            return;
        }
        let gets = || ops.iter().filter(|op| op.kind == KV_OP_GET);
        let before = self.reads.fetch_add(gets().count() as u64, Ordering::Relaxed);
        // So that they are as far from one another as can be.
        let is_noted = |read: u64| read % ALL_READS * share % ALL_READS + share >= ALL_READS;
        for (_, op) in (before..).zip(gets()).filter(|(read, _)| is_noted(*read)) {
            let mut sampled = self.sampled();
            if sampled.len() < SAMPLED_MAX {
                // SAFETY: valid, says the caller.
                sampled.push(unsafe { op.key.as_slice() }.to_vec());
            }
        }
    }

    /// The keys of reads that were noted since this was asked last.
    pub(super) fn take_sampled(&self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.sampled())
    }

    fn sampled(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.sampled.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a key that was changed by the engine itself.
    pub(super) fn note_key(&self, key: &[u8]) {
        if self.are_followed() {
            self.lock().push(key);
        }
    }

    /// Notes that all entries were removed.
    pub(super) fn note_clear(&self) {
        if self.are_followed() {
            *self.lock() = Noted { cleared: true, ..Noted::default() };
        }
    }

    /// Notes that nobody knows what has changed.
    pub(super) fn note_unknown(&self) {
        if self.are_followed() {
            *self.lock() = Noted { unknown: true, ..Noted::default() };
        }
    }

    /// How much was noted since.
    pub(super) fn noted(&self) -> u64 {
        let noted = self.lock();
        noted.ends.len() as u64 + u64::from(noted.cleared || noted.unknown)
    }

    /// What was noted since this was asked last.
    pub(super) fn take(&self) -> Noted {
        std::mem::take(&mut self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, Noted> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Noted {
    fn push(&mut self, key: &[u8]) {
        if self.bytes.len() + self.ends.len() * size_of::<usize>() > NOTED_MAX {
            // Who follows is far behind: to begin anew is less than to remember so much.
            *self = Self { unknown: true, ..Self::default() };
        }
        self.bytes.extend_from_slice(key);
        self.ends.push(self.bytes.len());
    }

    /// The keys, each once.
    pub(super) fn keys(&self) -> HashSet<&[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).filter_map(|(start, end)| self.bytes.get(start..*end)).collect()
    }
}

#[cfg(test)]
mod tests {
    use plugin_abi::raw::{KV_OP_DELETE, KV_OP_SET};

    use super::*;

    #[test]
    fn writes_are_noted_once_each_while_somebody_follows() {
        let changes = Changes::default();
        let ops = [
            KvOp::new(KV_OP_SET, b"a"),
            KvOp::new(KV_OP_GET, b"b"),
            KvOp::new(KV_OP_DELETE, b""),
            KvOp::new(KV_OP_SET, b"not"),
        ];
        changes.note_key(b"before");
        changes.follow(true);
        for _ in 0..2 {
            // SAFETY: constants.
            unsafe { changes.note(&ops, |op| op != 3) };
        }
        changes.note_key(b"evicted");
        let noted = changes.take();
        assert!(!noted.cleared);
        assert_eq!(noted.keys(), HashSet::from([&b"a"[..], b"", b"evicted"]));
        assert!(changes.take().keys().is_empty());
        for (share, of_three) in
            [(0, 0), (ALL_READS / 3, 0), (ALL_READS / 2, 1), (750_000, 2), (ALL_READS, 3)]
        {
            changes.sample(share);
            for _ in 0..3 {
                // SAFETY: constants.
                unsafe { changes.note_reads(&ops) };
            }
            assert_eq!(changes.take_sampled(), vec![b"b".to_vec(); of_three], "{share}");
            assert!(changes.take_sampled().is_empty());
        }
        changes.note_key(b"gone");
        changes.note_clear();
        changes.note_key(b"new");
        let noted = changes.take();
        assert!(noted.cleared && noted.keys() == HashSet::from([&b"new"[..]]));
        let key = vec![0; 1 << 20];
        (0..65).for_each(|_| changes.note_key(&key));
        let noted = changes.take();
        assert!(noted.unknown && noted.bytes.len() <= NOTED_MAX);
        changes.note_unknown();
        assert_eq!((changes.noted(), changes.take().unknown), (1, true));
        changes.note_clear();
        changes.follow(false);
        changes.note_key(b"after");
        changes.note_clear();
        let noted = changes.take();
        assert!(!noted.cleared && noted.keys().is_empty());
    }
}
