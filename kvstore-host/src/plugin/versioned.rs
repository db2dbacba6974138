//! Versioned: updates on an engine that has versions and atomic batches but no updates, by reading, deciding, and writing
//! on condition that nothing has changed. Knows nothing of the engine: it makes operations and takes outcomes.

use std::collections::HashMap;

use plugin_abi::Status;
use plugin_abi::raw::*;

use super::entry::{Change, Owned, apply};
use super::flight;
use super::outcome::Outcomes;
use super::work::Work;

/// How often a key may lose the race before its client is asked to try again.
const ATTEMPTS_MAX: u32 = 10_000;

/// What the next flight is to do.
pub(super) enum Next {
    /// Submit the operations; as an atomic batch or not.
    Submit {
        /// All or none.
        atomic: bool,
    },
    /// All is decided.
    Done,
}

/// A work with updates, carried out in rounds of reads and conditional writes.
pub(super) struct Emulation {
    work: Work,
    keys: Vec<Key>,
    // Which of the keys each operation is on.
    places: Vec<usize>,
    outcomes: Outcomes,
    reading: bool,
    // The operations of the round, and which key each is for. They point into the work and into `keys`.
    ops: Vec<KvOp>,
    targets: Vec<usize>,
    attempts: u32,
}

// SAFETY: the operations point into the work and into the values of `keys`, which move along unchanged on the heap.
unsafe impl Send for Emulation {}

/// One key of the work, with its operations in order.
struct Key {
    bytes: KvBytes,
    ops: Vec<usize>,
    /// What was read.
    version: u64,
    /// What is there, after the operations so far.
    current: Option<Owned>,
    changed: bool,
    settled: bool,
}

impl Emulation {
    /// Begins; [`ops`](Self::ops) are the reads of the first round.
    pub(super) fn new(work: Work) -> Box<Self> {
        let mut keys: Vec<Key> = Vec::new();
        let mut known: HashMap<Vec<u8>, usize> = HashMap::new();
        let mut places = Vec::with_capacity(work.ops().len());
        for (index, op) in work.ops().iter().enumerate() {
            // SAFETY: the operation points into the work.
            let bytes = unsafe { op.key.as_slice() };
            let place = *known.entry(bytes.to_vec()).or_insert_with(|| {
                let bytes = op.key;
                let (ops, current) = (Vec::new(), None);
                keys.push(Key { bytes, ops, version: 0, current, changed: false, settled: false });
                keys.len() - 1
            });
            if let Some(key) = keys.get_mut(place) {
                key.ops.push(index);
            }
            places.push(place);
        }
        let outcomes = Outcomes::unknown(work.ops().len());
        let (ops, targets) = (Vec::new(), Vec::new());
        let mut emulation =
            Box::new(Self { work, keys, places, outcomes, reading: true, ops, targets, attempts: 0 });
        emulation.plan_reads();
        emulation
    }

    /// The operations of this round.
    pub(super) fn ops(&self) -> &[KvOp] {
        &self.ops
    }

    /// Ends; only after [`Next::Done`].
    pub(super) fn finish(self) -> (Work, Outcomes) {
        flight::finish(self.work, self.outcomes)
    }

    /// Ends early: what is not settled has an unknown outcome.
    pub(super) fn abandon(mut self) -> (Work, Outcomes) {
        self.fail_unsettled(Status::UNKNOWN, "the engine is gone");
        self.finish()
    }

    /// Takes the outcomes of a round and makes the next.
    pub(super) fn advance(&mut self, round: &Outcomes) -> Next {
        let targets = std::mem::take(&mut self.targets);
        if self.reading {
            for (at, target) in targets.iter().enumerate() {
                self.take_read(*target, at, round);
            }
            self.decide();
            if self.work.atomic() && self.keys.iter().any(|key| key.settled) {
                self.settle_all();
                return Next::Done;
            }
            self.plan_writes();
            if self.ops.is_empty() {
                return Next::Done;
            }
            return Next::Submit { atomic: self.work.atomic() };
        }
        self.take_writes(&targets, round);
        if self.keys.iter().all(|key| key.settled) {
            return Next::Done;
        }
        self.attempts += 1;
        if self.attempts >= ATTEMPTS_MAX {
            self.fail_unsettled(Status::RETRY, "the key changes faster than it can be updated");
            return Next::Done;
        }
        self.plan_reads();
        Next::Submit { atomic: false }
    }

    fn plan_reads(&mut self) {
        self.reading = true;
        self.ops.clear();
        for (index, key) in self.keys.iter().enumerate().filter(|(_, key)| !key.settled) {
            self.ops.push(KvOp { key: key.bytes, ..KvOp::new(KV_OP_GET, &[]) });
            self.targets.push(index);
        }
    }

    /// Takes what was read of a key. Settles the key when it cannot be read.
    fn take_read(&mut self, target: usize, at: usize, round: &Outcomes) {
        let Some(key) = self.keys.get_mut(target) else { return };
        let answers = round.part(at, at + 1);
        let Some(read) = answers.all().first() else { return };
        (key.current, key.version, key.changed) = (None, 0, false);
        match read.status {
            Status::OK => {
                let value = answers.value(0).unwrap_or_default().to_vec();
                key.current =
                    Some(Owned { value, expiry_ms: read.expiry_ms, type_: read.type_, flags: read.flags });
                key.version = read.version;
            }
            Status::NOT_FOUND => {}
            status => {
                key.settled = true;
                for op in &key.ops {
                    self.outcomes.set_status(*op, status, &read.message);
                }
            }
        }
    }

    /// Runs the operations on what was read, in their order across all keys: in atomic work updates may be linked.
    fn decide(&mut self) {
        for index in 0..self.places.len() {
            let place = self.places.get(index).copied();
            let Some(key) = place.and_then(|place| self.keys.get_mut(place)).filter(|key| !key.settled)
            else {
                continue;
            };
            let Some(op) = self.work.ops().get(index).copied() else { continue };
            if op.flags & KV_OP_EXPECT != 0 && op.expected_version != key.version {
                key.settled = true;
                self.outcomes.set_status(index, Status::CONFLICT, "");
                continue;
            }
            let was_there = key.current.is_some();
            match op.kind {
                KV_OP_GET => match &key.current {
                    Some(now) => {
                        let value = (op.flags & KV_OP_NO_VALUE == 0).then_some(now.value.as_slice());
                        self.outcomes.set_entry(index, value, now.value.len(), now.expiry_ms, key.version);
                    }
                    None => self.outcomes.set_status(index, Status::NOT_FOUND, ""),
                },
                KV_OP_SET => {
                    // SAFETY: the operation points into the work.
                    let value = unsafe { op.value.as_slice() }.to_vec();
                    let (expiry_ms, type_, flags) = (op.expiry_ms, op.type_, op.entry_flags);
                    (key.current, key.changed) = (Some(Owned { value, expiry_ms, type_, flags }), true);
                    self.outcomes.set_status(index, Status::OK, "");
                }
                KV_OP_DELETE => {
                    key.changed |= was_there;
                    key.current = None;
                    let status = if was_there { Status::OK } else { Status::NOT_FOUND };
                    self.outcomes.set_status(index, status, "");
                }
                _ => {
                    let Some(update) = self.work.update(index) else { continue };
                    let shown = key.current.take();
                    let lent = shown.as_ref().map(Owned::lend);
                    let decision = update.decide(lent.as_ref());
                    let change = apply(decision, shown.as_ref());
                    key.changed |= change != Change::None;
                    key.current = match change {
                        Change::None => shown,
                        Change::Remove => None,
                        Change::Store(next) => Some(next),
                    };
                    self.outcomes.set_status(index, Status::OK, "");
                }
            }
        }
    }

    /// Writes what has changed; in atomic work also checks what was only read.
    fn plan_writes(&mut self) {
        self.reading = false;
        self.ops.clear();
        let atomic = self.work.atomic();
        for (index, key) in self.keys.iter_mut().enumerate().filter(|(_, key)| !key.settled) {
            let mut op = KvOp { key: key.bytes, ..KvOp::new(KV_OP_GET, &[]) };
            (op.flags, op.expected_version) = (KV_OP_EXPECT, key.version);
            match &key.current {
                Some(now) if key.changed => {
                    op = now.store(&op);
                }
                None if key.changed && key.version != 0 => op.kind = KV_OP_DELETE,
                // Also where there was nothing and is nothing: it must not have come meanwhile.
                _ if atomic => op.flags |= KV_OP_NO_VALUE,
                _ => {
                    key.settled = true;
                    continue;
                }
            }
            self.ops.push(op);
            self.targets.push(index);
        }
    }

    fn take_writes(&mut self, targets: &[usize], round: &Outcomes) {
        let statuses: Vec<Status> = round.all().iter().map(|outcome| outcome.status).collect();
        if self.work.atomic() {
            let lost = statuses.contains(&Status::CONFLICT);
            let failed = round.all().iter().find(|outcome| {
                !matches!(outcome.status, Status::OK | Status::NOT_FOUND | Status::CONFLICT | Status::ABORTED)
            });
            match failed {
                Some(failure) => self.fail_unsettled(failure.status, &failure.message),
                None if lost => {}
                None => self.keys.iter_mut().for_each(|key| key.settled = true),
            }
            return;
        }
        for (outcome, target) in round.all().iter().zip(targets) {
            let Some(key) = self.keys.get_mut(*target) else { continue };
            match outcome.status {
                Status::CONFLICT => {}
                Status::OK | Status::NOT_FOUND => key.settled = true,
                status => {
                    key.settled = true;
                    for op in &key.ops {
                        self.outcomes.set_status(*op, status, &outcome.message);
                    }
                }
            }
        }
    }

    /// Atomic work of which a part has failed: the rest had no effect.
    fn settle_all(&mut self) {
        let failed: Vec<bool> = self.keys.iter().map(|key| key.settled).collect();
        for (key, failed) in self.keys.iter_mut().zip(failed) {
            key.settled = true;
            if !failed {
                for op in &key.ops {
                    self.outcomes.set_status(*op, Status::ABORTED, "");
                }
            }
        }
    }

    fn fail_unsettled(&mut self, status: Status, message: &str) {
        for key in self.keys.iter_mut().filter(|key| !key.settled) {
            key.settled = true;
            for op in &key.ops {
                self.outcomes.set_status(*op, status, message);
            }
        }
    }
}

#[cfg(test)]
mod tests;
