//! Locked: work on an engine that has only get, set and delete, under locks by key that the host holds.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use plugin_abi::Status;
use plugin_abi::calls::{CallError, Instance, Session};
use plugin_abi::raw::*;
use plugin_abi::sdk::Entry;

use super::entry::{Change, Owned, apply};
use super::flight;
use super::outcome::{Outcome, Outcomes};
use super::work::Work;

/// Number of locks. Keys that share one wait for each other, and count as changed together when they are watched.
const STRIPES: usize = 4096;

/// The locks by key, and a version for each, so that keys can be watched on an engine that keeps no versions.
pub(super) struct Stripes {
    locks: Box<[Mutex<()>]>,
    versions: Box<[AtomicU64]>,
    hasher: std::hash::RandomState,
}

impl Stripes {
    pub(super) fn new() -> Self {
        let locks = (0..STRIPES).map(|_| Mutex::default()).collect();
        let versions = (0..STRIPES).map(|_| AtomicU64::new(1)).collect();
        Self { locks, versions, hasher: std::hash::RandomState::new() }
    }

    fn of(&self, key: &[u8]) -> usize {
        use std::hash::BuildHasher as _;
        (self.hasher.hash_one(key) as usize) % STRIPES
    }

    /// Takes locks in ascending order, so that no two takers wait for each other.
    fn lock(&self, mut stripes: Vec<usize>) -> Vec<MutexGuard<'_, ()>> {
        stripes.sort_unstable();
        stripes.dedup();
        let locks = stripes.into_iter().filter_map(|stripe| self.locks.get(stripe));
        locks.map(|lock| lock.lock().unwrap_or_else(PoisonError::into_inner)).collect()
    }

    fn version(&self, stripe: usize) -> u64 {
        self.versions.get(stripe).map_or(0, |version| version.load(Ordering::Relaxed))
    }

    fn changed(&self, stripe: usize) {
        if let Some(version) = self.versions.get(stripe) {
            version.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Runs something that concerns all keys, and counts all as changed.
    pub(super) fn exclusively<T>(&self, run: impl FnOnce() -> T) -> T {
        let _all = self.lock((0..STRIPES).collect());
        let result = run();
        (0..STRIPES).for_each(|stripe| self.changed(stripe));
        result
    }
}

/// Carries work out, one operation after the other; atomic work under the locks of all its keys. May block.
pub(super) fn run(instance: &Instance, stripes: &Stripes, mut work: Work) -> (Work, Outcomes) {
    let session = instance.session();
    let mut outcomes = Outcomes::of_work(&work);
    let ops = work.ops().to_vec();
    // SAFETY: the operations point into the work, which stays as it is.
    let places: Vec<usize> = ops.iter().map(|op| stripes.of(unsafe { op.key.as_slice() })).collect();
    if !work.atomic() {
        for (index, (op, place)) in ops.iter().zip(&places).enumerate() {
            let _lock = stripes.lock(vec![*place]);
            step(&session, stripes, &mut work, index, op, *place, &mut outcomes);
        }
    } else {
        let _locks = stripes.lock(places.clone());
        atomically(&session, stripes, &mut work, &ops, &places, &mut outcomes);
    }
    drop(session);
    flight::finish(work, outcomes)
}

/// All or nothing: checks first, then does, and undoes what it did when an operation fails.
fn atomically(
    session: &Session<'_>,
    stripes: &Stripes,
    work: &mut Work,
    ops: &[KvOp],
    places: &[usize],
    outcomes: &mut Outcomes,
) {
    let conflict = |(op, place): (&KvOp, &usize)| {
        op.flags & KV_OP_EXPECT != 0 && op.expected_version != stripes.version(*place)
    };
    let abort = |outcomes: &mut Outcomes, but: usize| {
        for index in (0..ops.len()).filter(|index| *index != but) {
            outcomes.set_status(index, Status::ABORTED, "");
        }
    };
    if let Some(index) = ops.iter().zip(places).position(conflict) {
        abort(outcomes, index);
        return outcomes.set_status(index, Status::CONFLICT, "");
    }
    let mut before: Vec<(usize, Option<Owned>)> = Vec::new();
    for (index, (op, place)) in ops.iter().zip(places).enumerate() {
        if op.kind != KV_OP_GET {
            match read(session, op) {
                Ok(kept) => before.push((index, kept)),
                Err(error) => outcomes.set_status(index, error.status, &error.text),
            }
        }
        let readable = before.last().is_some_and(|(last, _)| *last == index);
        if op.kind == KV_OP_GET || readable {
            step(session, stripes, work, index, op, *place, outcomes);
        }
        if outcomes.all().get(index).is_some_and(Outcome::has_failed) {
            for (done, kept) in before.iter().rev() {
                let Some(op) = ops.get(*done) else { continue };
                if let Err(error) = restore(session, op, kept.as_ref()) {
                    log::error!("an atomic batch failed, and undoing it failed too: {error}");
                }
            }
            return abort(outcomes, index);
        }
    }
}

fn read(session: &Session<'_>, op: &KvOp) -> Result<Option<Owned>, CallError> {
    let mut kept = None;
    let read = KvOp { kind: KV_OP_GET, flags: 0, ..*op };
    session.get(&read, |entry| {
        // SAFETY: the engine lends the entry for this call.
        kept = Some(Owned::from(&unsafe { Entry::from_raw(entry) }));
    })?;
    Ok(kept)
}

fn restore(session: &Session<'_>, op: &KvOp, kept: Option<&Owned>) -> Result<(), CallError> {
    let plain = KvOp { flags: 0, update: None, ..*op };
    match kept {
        None => session.delete(&KvOp { kind: KV_OP_DELETE, ..plain }).map(|_| ()),
        Some(kept) => session.set(&kept.store(&plain)).map(|_| ()),
    }
}

/// Carries out one operation under its stripe's lock and notes what came of it.
fn step(
    session: &Session<'_>,
    stripes: &Stripes,
    work: &mut Work,
    index: usize,
    op: &KvOp,
    place: usize,
    outcomes: &mut Outcomes,
) {
    // Versions are the host's here, and were compared already.
    let plain = KvOp { flags: op.flags & KV_OP_NO_VALUE, ..*op };
    let version = stripes.version(place);
    let mut changes = op.kind != KV_OP_GET;
    let result = match op.kind {
        KV_OP_GET => session.get(&plain, |entry| {
            let no_value = op.flags & KV_OP_NO_VALUE != 0;
            // SAFETY: the engine lends the value for this call.
            let value = (!no_value).then(|| unsafe { entry.value.as_slice() });
            outcomes.set_entry(index, value, entry.value.len, entry.expiry_ms, version);
        }),
        KV_OP_SET => session.set(&plain).map(|(status, _)| status),
        KV_OP_DELETE => session.delete(&plain),
        _ => update(session, work, index, op).map(|changed| {
            changes = changed;
            Status::OK
        }),
    };
    // A call that failed may have changed something all the same.
    if changes && !matches!(result, Ok(Status::NOT_FOUND)) {
        stripes.changed(place);
    }
    match result {
        // A get has noted its entry.
        Ok(Status::OK) if op.kind == KV_OP_GET => {}
        Ok(status) => {
            outcomes.set_status(index, status, "");
            if op.kind == KV_OP_GET {
                outcomes.set_version(index, version);
            }
        }
        Err(error) => outcomes.set_status(index, error.status, &error.text),
    }
}

/// Lets an update decide, and does what it decided. Answers whether that changes anything.
fn update(session: &Session<'_>, work: &mut Work, index: usize, op: &KvOp) -> Result<bool, CallError> {
    let shown = read(session, op)?;
    let lent = shown.as_ref().map(Owned::lend);
    let Some(slot) = work.update(index) else { return Ok(false) };
    let plain = KvOp { flags: 0, update: None, ..*op };
    match apply(slot.decide(lent.as_ref()), shown.as_ref()) {
        Change::None => Ok(false),
        Change::Remove => {
            let status = session.delete(&KvOp { kind: KV_OP_DELETE, ..plain })?;
            Ok(status != Status::NOT_FOUND)
        }
        Change::Store(next) => session.set(&next.store(&plain)).map(|_| true),
    }
}
