//! Atomic: a batch of which all operations take effect at one moment, or none.

use std::collections::HashMap;
use std::sync::RwLockWriteGuard;

use plugin_abi::Status;
use plugin_abi::raw::KV_OP_GET;
use plugin_abi::sdk::{Batch, Entry, Error, Host, Outcome};

use crate::shard::Shard;
use crate::slot::Slot;
use crate::table::{Place, Table};
use crate::write::{Undo, Write, Written, expect};

/// What is known of an operation before the outcome of the whole is.
enum Pending {
    Written(Written),
    /// A GET that finds nothing.
    Absent,
    /// A GET of a key that no later operation writes: what is there at the end.
    Final,
    /// A GET of what a later operation changes.
    Copied(Slot),
}

/// The shards of a batch, locked in ascending order.
struct Locked<'a> {
    shards: Vec<(usize, RwLockWriteGuard<'a, Shard>)>,
}

impl<'a> Locked<'a> {
    fn new(table: &'a Table, places: &[Place]) -> Self {
        let mut numbers: Vec<usize> = places.iter().map(|place| place.shard).collect();
        numbers.sort_unstable();
        numbers.dedup();
        Self { shards: numbers.into_iter().map(|shard| (shard, table.write(shard))).collect() }
    }

    fn position(&self, place: Place) -> usize {
        self.shards.partition_point(|(shard, _)| *shard < place.shard)
    }

    fn of(&mut self, place: Place) -> &mut Shard {
        let position = self.position(place);
        &mut self.shards[position].1
    }
}

/// Runs a batch and completes it.
pub(crate) fn run(table: &Table, host: &Host, capabilities: u64, mut batch: Batch) {
    let places: Vec<Place> = (0..batch.len()).map(|index| table.place(batch.op(index).key())).collect();
    if let Err((index, error)) = check(&batch, capabilities) {
        return refuse(&mut batch, index, &error);
    }
    let mut locked = Locked::new(table, &places);
    let mut undo = Vec::new();
    let pending = match apply(table, host, &batch, &places, &mut locked, &mut undo) {
        Ok(pending) => pending,
        Err((index, error)) => {
            while let Some((position, step)) = undo.pop() {
                step.undo(&mut locked.shards[position].1);
            }
            drop(locked);
            return refuse(&mut batch, index, &error);
        }
    };
    for (index, pending) in pending.iter().enumerate() {
        match pending {
            Pending::Written(written) => batch.complete(index, written.outcome()),
            Pending::Absent => batch.complete(index, Outcome::NotFound),
            Pending::Copied(slot) => batch.complete(index, Outcome::Entry(slot.entry(&[]))),
            Pending::Final => {
                let found = locked.of(places[index]);
                let at = found.find(places[index].hash, batch.op(index).key());
                let entry = at.map_or(Entry::default(), |at| found.entry(at));
                batch.complete(index, Outcome::Entry(entry));
            }
        }
    }
    for (_, shard) in &mut locked.shards {
        shard.shrink_if_sparse();
    }
    drop(locked);
    // What was replaced and removed is freed without the locks.
    drop(undo);
}

fn check(batch: &Batch, capabilities: u64) -> Result<(), (usize, Error)> {
    (0..batch.len()).try_for_each(|index| batch.op(index).check(capabilities).map_err(|error| (index, error)))
}

/// Completes all: the one that failed says why, the others say that they were dragged along.
fn refuse(batch: &mut Batch, failed: usize, why: &Error) {
    let aborted = Error::from(Status::ABORTED);
    for index in 0..batch.len() {
        let error = if index == failed { why } else { &aborted };
        batch.complete(index, Outcome::Failed(error));
    }
}

fn apply(
    table: &Table,
    host: &Host,
    batch: &Batch,
    places: &[Place],
    locked: &mut Locked<'_>,
    undo: &mut Vec<(usize, Undo)>,
) -> Result<Vec<Pending>, (usize, Error)> {
    let now_ms = batch.now_ms();
    // Expired entries go first, and stay gone whatever becomes of the batch. Versions are compared with what was there before the batch.
    for (index, place) in places.iter().enumerate() {
        let op = batch.op(index);
        let shard = locked.of(*place);
        let at = shard.find_or_expire(place.hash, op.key(), now_ms, host);
        let version = at.map_or(0, |at| shard.entry(at).version);
        expect(&op, version).map_err(|error| (index, error))?;
    }
    let writes = (0..batch.len()).filter(|index| batch.op(*index).kind() != KV_OP_GET);
    let last_writes: HashMap<&[u8], usize> = writes.map(|index| (batch.op(index).key(), index)).collect();
    let mut pending = Vec::with_capacity(batch.len());
    for (index, place) in places.iter().enumerate() {
        let op = batch.op(index);
        let position = locked.position(*place);
        let shard = &mut *locked.shards[position].1;
        let mut at = shard.find(place.hash, op.key());
        if let Some(index) = at.filter(|index| shard.expired(*index, now_ms)) {
            // This batch has stored it with a time that has passed. Nobody else has seen it, so nobody hears of it.
            let undo_tag = position;
            Write { table, shard, hash: place.hash, index: Some(index), undo: Some(undo), undo_tag }.remove();
            at = None;
        }
        let what = if op.kind() != KV_OP_GET {
            let write =
                Write { table, shard, hash: place.hash, index: at, undo: Some(undo), undo_tag: position };
            write.run(&op).map(Pending::Written)
        } else if let Some(at) = at {
            match last_writes.get(op.key()) {
                Some(last) if *last > index => Slot::copy_of(&shard.entry(at)).map(Pending::Copied),
                _ => Ok(Pending::Final),
            }
        } else {
            Ok(Pending::Absent)
        };
        pending.push(what.map_err(|error| (index, error))?);
    }
    Ok(pending)
}
