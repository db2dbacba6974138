//! Model: what a store has to answer, over a plain BTreeMap.

use std::collections::BTreeMap;

use plugin_abi::Status;
use plugin_abi::raw::*;

use crate::op::{Change, Reply, TestOp, add};

/// One entry of the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ModelEntry {
    value: Vec<u8>,
    expiry_ms: i64,
    version: u64,
    type_: u32,
    flags: u32,
}

/// A store that does one thing after the other.
#[derive(Clone, Debug, Default)]
pub struct Model {
    entries: BTreeMap<Vec<u8>, ModelEntry>,
    /// The highest version that the engine has told so far.
    version_max: u64,
    now_ms: i64,
    expired: Vec<(Vec<u8>, u64)>,
}

impl Model {
    /// Sets the time, in milliseconds since 1970 UTC, and forgets what has expired.
    pub fn set_now_ms(&mut self, now_ms: i64) {
        self.now_ms = now_ms;
        self.expire();
    }

    fn expire(&mut self) {
        let gone = |entry: &ModelEntry| entry.expiry_ms != 0 && entry.expiry_ms <= self.now_ms;
        let gone = self.entries.extract_if(.., |_, entry| gone(entry));
        self.expired.extend(gone.map(|(key, entry)| (key, entry.version)));
    }

    /// Key and version of everything that has expired so far.
    pub fn expired(&self) -> &[(Vec<u8>, u64)] {
        &self.expired
    }

    /// The version of a key; 0 for none.
    pub fn version(&self, key: &[u8]) -> u64 {
        self.entries.get(key).map_or(0, |entry| entry.version)
    }

    /// The highest version that was ever told.
    pub fn version_max(&self) -> u64 {
        self.version_max
    }

    /// Key and value of everything.
    pub fn contents(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        self.entries.iter().map(|(key, entry)| (key.clone(), entry.value.clone())).collect()
    }

    /// Removes everything.
    pub fn clear(&mut self) {
        self.entries.clear();
    }

    /// Holds the replies to a batch against what they have to be, and takes the changes over. Versions are the engine's to
    /// choose, above all that were told before.
    ///
    /// # Panics
    /// If a reply is wrong.
    pub fn check_batch(&mut self, ops: &[TestOp], replies: &[Reply]) {
        let mut told: Vec<u64> = Vec::new();
        for (op, reply) in ops.iter().zip(replies) {
            let before = self.version(&op.key);
            if op.expected.is_some_and(|expected| expected != before) {
                assert_eq!(reply.status, Status::CONFLICT, "{op:?}, found version {before}");
                continue;
            }
            self.check(op, reply, &mut told);
        }
        self.close_batch(told);
    }

    /// The same for an atomic batch.
    ///
    /// # Panics
    /// If a reply is wrong.
    pub fn check_atomic(&mut self, ops: &[TestOp], replies: &[Reply]) {
        let conflict = |op: &TestOp| op.expected.is_some_and(|expected| expected != self.version(&op.key));
        if ops.iter().any(conflict) {
            let failed: Vec<usize> =
                (0..ops.len()).filter(|i| replies[*i].status == Status::CONFLICT).collect();
            let [failed] = failed[..] else { panic!("one conflict to be told, not {failed:?}: {replies:?}") };
            assert!(conflict(&ops[failed]), "no conflict: {:?}", ops[failed]);
            let aborted = |(i, reply): (usize, &Reply)| i == failed || reply.status == Status::ABORTED;
            assert!(replies.iter().enumerate().all(aborted), "{replies:?}");
            return;
        }
        let mut told = Vec::new();
        for (op, reply) in ops.iter().zip(replies) {
            self.check(op, reply, &mut told);
        }
        self.close_batch(told);
    }

    fn close_batch(&mut self, mut told: Vec<u64>) {
        told.sort_unstable();
        assert!(told.windows(2).all(|pair| pair[0] != pair[1]), "a version came twice: {told:?}");
        self.version_max = told.last().copied().unwrap_or(0).max(self.version_max);
    }

    fn check(&mut self, op: &TestOp, reply: &Reply, told: &mut Vec<u64>) {
        let found = self.entries.get(&op.key).cloned();
        let new = match op.kind {
            KV_OP_GET => {
                let expected = found.as_ref().map_or(Reply::of(Status::NOT_FOUND), reply_of);
                assert_eq!(*reply, expected, "{op:?}");
                return;
            }
            KV_OP_DELETE => {
                let expected = if found.is_some() { Status::OK } else { Status::NOT_FOUND };
                assert_eq!(reply.status, expected, "{op:?}");
                self.entries.remove(&op.key);
                return;
            }
            KV_OP_SET => Some(ModelEntry {
                value: op.value.clone(),
                expiry_ms: op.expiry_ms,
                version: op.import.unwrap_or(0),
                type_: op.type_,
                flags: op.entry_flags,
            }),
            _ => changed(found.clone(), op.change.as_ref().unwrap()),
        };
        assert_eq!(reply.status, Status::OK, "{op:?}: {reply:?}");
        let stored = new.as_ref().map_or((0, 0), |entry| (entry.expiry_ms, entry.version));
        assert_eq!(reply.expiry_ms, stored.0, "{op:?}");
        let Some(mut new) = new else {
            assert_eq!(reply.version, 0, "{op:?}: no entry is left");
            self.entries.remove(&op.key);
            return;
        };
        match (op.import, &op.change) {
            (Some(import), _) => {
                assert_eq!(reply.version, import, "{op:?}");
                told.push(reply.version);
            }
            (None, Some(Change::Keep)) => assert_eq!(reply.version, new.version, "{op:?}"),
            _ => {
                let max = self.version_max;
                assert!(reply.version > max, "{op:?}: version {} after {max}", reply.version);
                told.push(reply.version);
            }
        }
        new.version = reply.version;
        self.entries.insert(op.key.clone(), new);
        // It may have been stored with a time that has passed.
        self.expire();
    }
}

fn reply_of(entry: &ModelEntry) -> Reply {
    let ModelEntry { value, expiry_ms, version, type_, flags } = entry.clone();
    Reply { value, expiry_ms, version, type_, flags, ..Reply::of(Status::OK) }
}

fn changed(found: Option<ModelEntry>, change: &Change) -> Option<ModelEntry> {
    let empty = ModelEntry { value: Vec::new(), expiry_ms: 0, version: 0, type_: 0, flags: 0 };
    let was_there = found.is_some();
    let mut new = found.unwrap_or(empty);
    match change {
        Change::Keep => return was_there.then_some(new),
        Change::Remove => return None,
        Change::SetExpiry(expiry_ms) => {
            new.expiry_ms = *expiry_ms;
            return was_there.then_some(new);
        }
        Change::Replace(value, expiry_ms, type_, flags) => {
            (new.expiry_ms, new.type_, new.flags) = (*expiry_ms, *type_, *flags);
            new.value.clone_from(value);
        }
        Change::Patch(offset, bytes, new_len) => {
            new.value.resize(*new_len, 0);
            new.value[*offset..*offset + bytes.len()].copy_from_slice(bytes);
        }
        Change::Append(bytes) => new.value.extend_from_slice(bytes),
        Change::Add(number) => new.value = add(&new.value, *number),
    }
    Some(new)
}
