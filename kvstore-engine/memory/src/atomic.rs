//! Atomic: a batch of which all operations take effect at one moment, or none.

use std::collections::HashMap;

use plugin_abi::Status;
use plugin_abi::raw::KV_OP_GET;
use plugin_abi::sdk::{Batch, Entry, Error, Host, Outcome};

use crate::limit::Room;
use crate::shard::Shard;
use crate::table::{Guard, Home, Table};
use crate::write::{Undo, Write, Written, expect, stored_bytes};

/// What is known of an operation before the outcome of the whole is.
enum Pending {
    Written(Written),
    /// A GET that finds nothing.
    Absent,
    /// A GET of a key that no later operation writes: what is there at the end.
    Final,
    /// A GET of what a later operation changes.
    Copied(Copied),
}

/// An entry of its own, without its key.
struct Copied {
    value: Vec<u8>,
    rest: Entry<'static>,
}

impl Copied {
    fn of(entry: &Entry<'_>) -> Result<Self, Error> {
        let mut value = Vec::new();
        let no_memory = |_| Error::new(Status::FULL, "no memory for the value");
        value.try_reserve_exact(entry.value.len()).map_err(no_memory)?;
        value.extend_from_slice(entry.value);
        let Entry { expiry_ms, version, type_, flags, .. } = *entry;
        Ok(Self { value, rest: Entry { expiry_ms, version, type_, flags, ..Entry::default() } })
    }

    fn entry(&self) -> Entry<'_> {
        Entry { value: &self.value, ..self.rest }
    }
}

/// The shards of a batch, locked in ascending order.
struct Locked<'a> {
    shards: Vec<(usize, Guard<'a>)>,
}

impl<'a> Locked<'a> {
    fn new(table: &'a Table, homes: &[Home]) -> Self {
        let mut numbers: Vec<usize> = homes.iter().map(|home| home.shard).collect();
        numbers.sort_unstable();
        numbers.dedup();
        Self { shards: numbers.into_iter().map(|shard| (shard, table.lock(shard))).collect() }
    }

    /// Lets each shard tidy up as after single writes, given by the shards' positions, now that nobody names cells that are gone.
    fn tidy(&mut self, mut writes: Vec<usize>) {
        writes.sort_unstable();
        for writes in writes.chunk_by(|one, next| one == next) {
            let Some((_, shard)) = writes.first().and_then(|position| self.shards.get_mut(*position)) else {
                continue;
            };
            // Most often there is nothing to do.
            _ = writes.iter().all(|_| shard.tidy());
            shard.shrink_if_sparse();
        }
    }

    fn position(&self, home: Home) -> usize {
        self.shards.partition_point(|(shard, _)| *shard < home.shard)
    }

    fn of(&mut self, home: Home) -> &mut Shard {
        let position = self.position(home);
        &mut self.shards[position].1
    }
}

/// Runs a batch and completes it.
pub(crate) fn run(table: &Table, host: &Host, capabilities: u64, mut batch: Batch) {
    let homes: Vec<Home> = (0..batch.len()).map(|index| table.home(batch.op(index).key())).collect();
    if let Err((index, error)) = check(&batch, capabilities) {
        return refuse(&mut batch, index, &error);
    }
    let stores = || {
        let writes = writes_of(&batch);
        (writes.clone().count(), writes.map(|index| stored_bytes(&batch.op(index))).sum())
    };
    let room = table.make_room(batch.now_ms(), host, stores);
    let mut locked = Locked::new(table, &homes);
    let mut undo = Vec::new();
    let pending = match apply((table, room), host, &batch, &homes, &mut locked, &mut undo) {
        Ok(pending) => pending,
        Err((index, error)) => {
            let steps = undo.iter().map(|(position, _)| *position).collect();
            while let Some((position, step)) = undo.pop() {
                step.undo(&mut locked.shards[position].1);
            }
            locked.tidy(steps);
            drop(locked);
            return refuse(&mut batch, index, &error);
        }
    };
    for (index, pending) in pending.iter().enumerate() {
        match pending {
            Pending::Written(written) => batch.complete(index, written.outcome()),
            Pending::Absent => batch.complete(index, Outcome::NotFound),
            Pending::Copied(copied) => batch.complete(index, Outcome::Entry(copied.entry())),
            Pending::Final => {
                let shard = locked.of(homes[index]);
                let found = shard.find(homes[index].hash, batch.op(index).key());
                let entry = found.map_or(Entry::default(), |found| shard.cell(found.place).entry());
                batch.complete(index, Outcome::Entry(entry));
            }
        }
    }
    let steps = undo.iter().map(|(position, _)| *position).collect();
    for (position, step) in undo {
        step.forget(&mut locked.shards[position].1);
    }
    locked.tidy(steps);
}

/// The operations that can change an entry.
fn writes_of(batch: &Batch) -> impl Iterator<Item = usize> + Clone + '_ {
    (0..batch.len()).filter(|index| batch.op(*index).kind() != KV_OP_GET)
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
    (table, room): (&Table, Room),
    host: &Host,
    batch: &Batch,
    homes: &[Home],
    locked: &mut Locked<'_>,
    undo: &mut Vec<(usize, Undo)>,
) -> Result<Vec<Pending>, (usize, Error)> {
    let now_ms = batch.now_ms();
    // Expired entries go first, and stay gone whatever becomes of the batch. Versions are compared with what was there before the batch.
    for (index, home) in homes.iter().enumerate() {
        let op = batch.op(index);
        let shard = locked.of(*home);
        let found = shard.find_or_expire(home.hash, op.key(), now_ms, host);
        let version = found.map_or(0, |found| shard.cell(found.place).version());
        expect(&op, version).map_err(|error| (index, error))?;
    }
    let writes = writes_of(batch);
    let last_writes: HashMap<&[u8], usize> = writes.map(|index| (batch.op(index).key(), index)).collect();
    let mut pending = Vec::with_capacity(batch.len());
    for (index, home) in homes.iter().enumerate() {
        let op = batch.op(index);
        let position = locked.position(*home);
        let shard: &mut Shard = &mut locked.shards[position].1;
        let hash = home.hash;
        let mut found = shard.find(hash, op.key());
        if found.is_some_and(|found| shard.cell(found.place).expired(now_ms)) {
            // This batch has stored it with a time that has passed. Nobody else has seen it, so nobody hears of it.
            Write { table, shard, hash, found, now_ms, room, undo: Some(undo), undo_tag: position }.remove();
            found = None;
        }
        let what = if op.kind() != KV_OP_GET {
            let write =
                Write { table, shard, hash, found, now_ms, room, undo: Some(undo), undo_tag: position };
            write.run(&op).map(Pending::Written)
        } else if let Some(found) = found {
            if table.limit.looks_at_use() && op.is_use() {
                table.touch(shard.cell(found.place), now_ms);
            }
            match last_writes.get(op.key()) {
                Some(last) if *last > index => {
                    Copied::of(&shard.cell(found.place).entry()).map(Pending::Copied)
                }
                _ => Ok(Pending::Final),
            }
        } else {
            Ok(Pending::Absent)
        };
        pending.push(what.map_err(|error| (index, error))?);
    }
    Ok(pending)
}
