//! Tests of the emulation against a store in which others write between the rounds.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use plugin_abi::sdk::{Decision, Entry};

use super::*;
use crate::plugin::{Storage, Update};
use crate::protocol::{Value, parse_i64, push_i64};

/// An engine of versions, in which others write between two rounds.
#[derive(Default)]
struct Store {
    entries: BTreeMap<Vec<u8>, (Vec<u8>, u64)>,
    sequence: u64,
}

impl Store {
    fn set(&mut self, key: &[u8], value: &[u8]) {
        self.sequence += 1;
        self.entries.insert(key.to_vec(), (value.to_vec(), self.sequence));
    }

    fn get(&self, key: &str) -> Option<&[u8]> {
        self.entries.get(key.as_bytes()).map(|(value, _)| value.as_slice())
    }

    /// Carries a round out as an engine would.
    fn round(&mut self, ops: &[KvOp], atomic: bool) -> Outcomes {
        let mut outcomes = Outcomes::unknown(ops.len());
        // SAFETY: the operations point into the emulation, which is alive.
        let key = |op: &KvOp| unsafe { op.key.as_slice() }.to_vec();
        let version =
            |store: &Self, op: &KvOp| store.entries.get(&key(op)).map_or(0, |(_, version)| *version);
        let conflict = |store: &Self, op: &KvOp| {
            op.flags & KV_OP_EXPECT != 0 && version(store, op) != op.expected_version
        };
        if atomic && ops.iter().any(|op| conflict(self, op)) {
            for (at, op) in ops.iter().enumerate() {
                let status = if conflict(self, op) { Status::CONFLICT } else { Status::ABORTED };
                outcomes.set_status(at, status, "");
            }
            return outcomes;
        }
        for (at, op) in ops.iter().enumerate() {
            if conflict(self, op) {
                outcomes.set_status(at, Status::CONFLICT, "");
                continue;
            }
            match op.kind {
                KV_OP_GET => match self.entries.get(&key(op)) {
                    Some((value, version)) => outcomes.set_entry(at, Some(value), value.len(), 0, *version),
                    None => outcomes.set_status(at, Status::NOT_FOUND, ""),
                },
                KV_OP_SET => {
                    // SAFETY: as above.
                    self.set(&key(op), unsafe { op.value.as_slice() });
                    outcomes.set_status(at, Status::OK, "");
                }
                _ => {
                    self.entries.remove(&key(op));
                    outcomes.set_status(at, Status::OK, "");
                }
            }
        }
        outcomes
    }

    /// Runs an emulation to its end; `others` write before each round but the last ones.
    fn run(&mut self, work: Work, mut others: impl FnMut(&mut Self, usize)) -> Outcomes {
        let mut emulation = Emulation::new(work);
        let mut atomic = false;
        for round in 0.. {
            others(self, round);
            let outcomes = self.round(emulation.ops(), atomic);
            match emulation.advance(&outcomes) {
                Next::Submit { atomic: next } => atomic = next,
                Next::Done => break,
            }
        }
        emulation.finish().1
    }
}

struct Add(Vec<u8>);

impl Update for Add {
    fn decide(&mut self, current: Option<&Entry<'_>>) -> (Decision<'_>, Value) {
        let sum = current.and_then(|entry| parse_i64(entry.value)).unwrap_or(0) + 1;
        self.0.clear();
        push_i64(&mut self.0, sum);
        (Decision::Replace(Entry { value: &self.0, ..Entry::default() }), Value::Integer(sum))
    }
}

fn work(plan: impl for<'a> FnOnce(&mut crate::plugin::Plan<'a>)) -> Work {
    Work::plan(Storage::default(), |building, _| plan(building)).0
}

#[test]
fn operations_on_one_key_see_each_other_in_order() {
    let mut store = Store::default();
    let work = work(|plan| {
        plan.set(b"k", b"5", 0);
        plan.update(b"k", Add(Vec::new()));
        plan.get(b"k");
        plan.delete(b"k");
        plan.update(b"k", Add(Vec::new()));
    });
    let outcomes = store.run(work, |_, _| ());
    assert_eq!(outcomes.all()[1].reply, Some(Value::Integer(6)));
    assert_eq!(outcomes.part(2, 3).value(0), Some(b"6".as_slice()));
    assert_eq!(outcomes.all()[3].status, Status::OK);
    assert_eq!(outcomes.all()[4].reply, Some(Value::Integer(1)));
    assert_eq!(store.get("k"), Some(b"1".as_slice()));
}

/// Writes one more than the link of the chain before it has written.
struct Link {
    before: Arc<AtomicI64>,
    first: bool,
    digits: Vec<u8>,
}

impl Update for Link {
    fn decide(&mut self, _: Option<&Entry<'_>>) -> (Decision<'_>, Value) {
        let number = if self.first { 1 } else { self.before.load(Ordering::Relaxed) + 1 };
        self.before.store(number, Ordering::Relaxed);
        self.digits.clear();
        push_i64(&mut self.digits, number);
        (Decision::Replace(Entry { value: &self.digits, ..Entry::default() }), Value::Integer(number))
    }
}

#[test]
fn linked_updates_run_in_their_order_across_keys_and_again_after_a_lost_race() {
    let mut store = Store::default();
    let before = Arc::new(AtomicI64::new(0));
    let work = work(|plan| {
        plan.set_atomic();
        for (place, key) in [b"a", b"b", b"a", b"c", b"b"].into_iter().enumerate() {
            let link = Link { before: Arc::clone(&before), first: place == 0, digits: Vec::new() };
            plan.update(key, link);
        }
    });
    let outcomes = store.run(work, |store, round| {
        if round == 1 {
            store.set(b"c", b"theirs");
        }
    });
    let replies: Vec<_> = outcomes.all().iter().map(|outcome| outcome.reply.clone()).collect();
    assert_eq!(replies, (1..=5).map(|number| Some(Value::Integer(number))).collect::<Vec<_>>());
    assert_eq!(["a", "b", "c"].map(|key| store.get(key).unwrap()), [b"3", b"5", b"4"]);
}

#[test]
fn a_lost_race_is_run_again_and_nothing_is_lost() {
    let mut store = Store::default();
    store.set(b"k", b"10");
    let work = work(|plan| {
        plan.update(b"k", Add(Vec::new()));
        plan.update(b"other", Add(Vec::new()));
    });
    // Others write between the read and the write of the first three attempts.
    let outcomes = store.run(work, |store, round| match round {
        1 | 3 | 5 => store.set(b"k", format!("{}", 100 * round).as_bytes()),
        _ => {}
    });
    assert_eq!(outcomes.all()[0].reply, Some(Value::Integer(501)));
    assert_eq!(store.get("k"), Some(b"501".as_slice()));
    assert_eq!(outcomes.all()[1].reply, Some(Value::Integer(1)), "run once: it had no race to lose");
    assert_eq!(store.get("other"), Some(b"1".as_slice()));
}

#[test]
fn atomic_work_is_all_or_nothing() {
    let plan = || {
        work(|plan| {
            plan.set_atomic();
            plan.expect(b"watched", 1);
            plan.update(b"k", Add(Vec::new()));
            plan.get(b"read");
        })
    };
    let mut store = Store::default();
    store.set(b"watched", b"");
    let outcomes = store.run(plan(), |store, round| {
        // What was only read changes before the write: all is run again.
        if round == 1 {
            store.set(b"read", b"new");
        }
    });
    assert_eq!(outcomes.all()[1].reply, Some(Value::Integer(1)));
    assert_eq!(outcomes.part(2, 3).value(0), Some(b"new".as_slice()));
    assert_eq!(store.get("k"), Some(b"1".as_slice()));

    store.set(b"watched", b"changed");
    let outcomes = store.run(plan(), |_, _| ());
    let statuses: Vec<Status> = outcomes.all().iter().map(|outcome| outcome.status).collect();
    assert_eq!(statuses, [Status::CONFLICT, Status::ABORTED, Status::ABORTED]);
    assert_eq!(store.get("k"), Some(b"1".as_slice()));
}

#[test]
fn a_watched_key_that_changes_under_way_is_a_conflict() {
    let mut store = Store::default();
    let work = work(|plan| {
        plan.set_atomic();
        plan.expect(b"watched", 0);
        plan.update(b"k", Add(Vec::new()));
    });
    let outcomes = store.run(work, |store, round| {
        if round == 1 {
            store.set(b"watched", b"");
        }
    });
    assert_eq!(outcomes.all()[0].status, Status::CONFLICT);
    assert_eq!(store.get("k"), None);
}

#[test]
fn an_endless_race_ends_with_try_again() {
    let mut store = Store::default();
    let work = work(|plan| plan.update(b"k", Add(Vec::new())));
    let outcomes = store.run(work, |store, _| store.set(b"k", b"7"));
    assert_eq!(outcomes.all()[0].status, Status::RETRY);
    assert_eq!(store.get("k"), Some(b"7".as_slice()));
}

#[test]
fn a_key_that_comes_and_goes_within_a_transaction_is_checked_like_the_others() {
    let mut store = Store::default();
    let work = work(|plan| {
        plan.set_atomic();
        plan.set(b"k", b"mine", 0);
        plan.delete(b"k");
        plan.update(b"n", Add(Vec::new()));
    });
    // Between read and write others set the key, which then has to be gone: the transaction came after them.
    let outcomes = store.run(work, |store, round| {
        if round == 1 {
            store.set(b"k", b"theirs");
        }
    });
    assert_eq!((store.get("k"), store.get("n")), (None, Some(b"1".as_slice())));
    assert_eq!(outcomes.all()[1].status, Status::OK);
}
