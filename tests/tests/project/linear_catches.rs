//! Linear: threads on a small store in memory; the sound store is accepted, each planted fault is found.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may stop at the first surprise")]

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use std::collections::{HashMap, VecDeque};
use std::sync::{Barrier, Mutex};
use std::thread;
use tests::linear::{Client, Key, Op, Outcome, Recorder, RecorderError, Verdict, check};

/// What is wrong with a store.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    None,
    /// Every 97th write is acknowledged and forgotten.
    LostWrite,
    /// Every 97th read shows the value of some writes ago.
    StaleRead,
    /// Every 97th increment is applied once more after its reply.
    DoubleIncr,
}

/// A store that does one operation at a time, unless it is told to misbehave.
struct Store {
    fault: Fault,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    values: HashMap<Key, Vec<u8>>,
    /// The latest values of each key, the newest at the end.
    written: HashMap<Key, VecDeque<Vec<u8>>>,
    calls: usize,
}

/// A stale read goes so far back that with the few clients here most of the writes since had long been answered.
const STALE_WRITES: usize = 30;

impl Store {
    fn new(fault: Fault) -> Store {
        Store { fault, inner: Mutex::new(Inner::default()) }
    }

    fn one(&self, key: &Key, op: &Op) -> Outcome {
        self.inner.lock().unwrap().run(self.fault, key, op)
    }

    fn multi(&self, parts: &[(Key, Op)]) -> Outcome {
        let mut inner = self.inner.lock().unwrap();
        Outcome::Multi(parts.iter().map(|(key, op)| inner.run(self.fault, key, op)).collect())
    }
}

impl Inner {
    fn run(&mut self, fault: Fault, key: &Key, op: &Op) -> Outcome {
        self.calls += 1;
        let broken = self.calls.is_multiple_of(97);
        let now = self.values.get(key).cloned();
        match op {
            Op::Get => {
                let written = self.written.get(key);
                if broken
                    && fault == Fault::StaleRead
                    && written.is_some_and(|list| list.len() == STALE_WRITES)
                {
                    return Outcome::Value(written.and_then(|list| list.front().cloned()));
                }
                Outcome::Value(now)
            }
            Op::Set(value) => {
                if !(broken && fault == Fault::LostWrite) {
                    self.put(key, value.clone());
                }
                Outcome::Done
            }
            Op::SetNx(value) => {
                if now.is_none() {
                    self.put(key, value.clone());
                }
                Outcome::Flag(now.is_none())
            }
            Op::Incr(delta) => {
                let text = now.as_deref().map_or("0", |value| std::str::from_utf8(value).unwrap());
                let Ok(number) = text.parse::<i64>() else { return Outcome::NotAnInteger };
                let Some(sum) = number.checked_add(*delta) else { return Outcome::WouldOverflow };
                let twice = if broken && fault == Fault::DoubleIncr { *delta } else { 0 };
                self.put(key, (sum + twice).to_string().into_bytes());
                Outcome::Int(sum)
            }
            Op::Del => Outcome::Flag(self.values.remove(key).is_some()),
            Op::GetDel => Outcome::Value(self.values.remove(key)),
            Op::Append(tail) => {
                let value = [now.unwrap_or_default(), tail.clone()].concat();
                let length = value.len();
                self.put(key, value);
                Outcome::Int(length as i64)
            }
        }
    }

    fn put(&mut self, key: &Key, value: Vec<u8>) {
        let written = self.written.entry(key.clone()).or_default();
        if written.len() == STALE_WRITES {
            written.pop_front();
        }
        written.push_back(value.clone());
        self.values.insert(key.clone(), value);
    }
}

/// How many threads do how many operations each on how many keys.
#[derive(Clone, Copy)]
struct Load {
    clients: u64,
    operations: usize,
    keys: usize,
    /// One in so many operations loses its reply; 0 for none.
    lost_one_in: usize,
    /// One in so many operations is a transaction; 0 for none.
    multi_one_in: usize,
}

/// A random operation whose value no other operation writes.
fn random_op(random: &mut SmallRng, client: u64, serial: usize) -> Op {
    let value = format!("{client}.{serial}").into_bytes();
    match random.random_range(0..20) {
        0..8 => Op::Get,
        8..12 => Op::Set(value),
        12 => Op::SetNx(value),
        13..16 => Op::Incr(random.random_range(1..5)),
        16 => Op::Del,
        17 => Op::GetDel,
        18 => Op::Append(b"+".to_vec()),
        _ => Op::Set(b"5".to_vec()),
    }
}

/// Runs threads against the store, each with its own random operations, and checks what they saw.
fn run(store: &Store, load: Load) -> Verdict {
    let recorder = Recorder::new();
    thread::scope(|scope| {
        for number in 0..load.clients {
            let mut client = recorder.client();
            scope.spawn(move || {
                let mut random = SmallRng::seed_from_u64(number);
                // Operations whose reply was lost and that have not reached the store; some never do.
                let mut under_way: Vec<(Key, Op)> = Vec::new();
                for serial in 0..load.operations {
                    let part = |random: &mut SmallRng| {
                        let key = format!("key {}", random.random_range(0..load.keys)).into_bytes();
                        (key, random_op(random, number, serial))
                    };
                    if chance(&mut random, load.multi_one_in) {
                        let parts = vec![part(&mut random), part(&mut random)];
                        let token = client.invoke_multi(parts.clone());
                        client.complete(token, store.multi(&parts));
                        continue;
                    }
                    let (key, op) = part(&mut random);
                    let token = client.invoke(key.clone(), op.clone());
                    if chance(&mut random, load.lost_one_in) {
                        under_way.push((key, op));
                        client.complete(token, Outcome::Unknown);
                    } else {
                        client.complete(token, store.one(&key, &op));
                    }
                    if !under_way.is_empty() && chance(&mut random, 20) {
                        let (key, op) = under_way.swap_remove(0);
                        store.one(&key, &op);
                    }
                }
            });
        }
    });
    let history = recorder.finish().unwrap();
    assert_eq!(history.len() as u64, load.clients * load.operations as u64);
    assert_eq!(history.open_len() > 0, load.lost_one_in > 0);
    check(&history)
}

fn chance(random: &mut SmallRng, one_in: usize) -> bool {
    one_in > 0 && random.random_range(0..one_in) == 0
}

const LOAD: Load = Load { clients: 4, operations: 4_000, keys: 4, lost_one_in: 0, multi_one_in: 0 };

#[track_caller]
fn refused(verdict: &Verdict) {
    assert!(verdict.violation().is_some(), "{verdict}");
}

#[test]
fn a_sound_store_is_accepted() {
    let verdict = run(&Store::new(Fault::None), LOAD);
    assert!(verdict.is_ok(), "{verdict}");
}

#[test]
fn a_sound_store_is_accepted_when_all_meet_on_one_key() {
    let verdict = run(&Store::new(Fault::None), Load { clients: 10, keys: 1, ..LOAD });
    assert!(verdict.is_ok(), "{verdict}");
}

#[test]
fn a_sound_store_is_accepted_when_replies_are_lost() {
    let verdict = run(&Store::new(Fault::None), Load { lost_one_in: 200, ..LOAD });
    assert!(verdict.is_ok(), "{verdict}");
}

#[test]
fn a_sound_store_is_accepted_with_transactions() {
    let verdict = run(&Store::new(Fault::None), Load { multi_one_in: 5, ..LOAD });
    assert!(verdict.is_ok(), "{verdict}");
    let verdict = run(&Store::new(Fault::None), Load { multi_one_in: 5, lost_one_in: 500, ..LOAD });
    assert!(verdict.is_ok(), "{verdict}");
}

#[test]
fn a_long_history_of_a_sound_store_is_accepted() {
    let load = Load { clients: 10, operations: 20_000, keys: 16, lost_one_in: 1_000, multi_one_in: 0 };
    let verdict = run(&Store::new(Fault::None), load);
    assert!(verdict.is_ok(), "{verdict}");
}

#[test]
fn a_lost_write_is_found() {
    refused(&run(&Store::new(Fault::LostWrite), LOAD));
    refused(&run(&Store::new(Fault::LostWrite), Load { multi_one_in: 5, ..LOAD }));
}

#[test]
fn a_stale_read_is_found() {
    refused(&run(&Store::new(Fault::StaleRead), LOAD));
}

#[test]
fn an_increment_applied_twice_is_found() {
    refused(&run(&Store::new(Fault::DoubleIncr), LOAD));
}

#[test]
fn faults_are_found_among_lost_replies() {
    for fault in [Fault::LostWrite, Fault::StaleRead, Fault::DoubleIncr] {
        // Now and then all that is wrong could be the work of an operation whose reply was lost.
        let is_found = |_| run(&Store::new(fault), Load { lost_one_in: 500, ..LOAD }).violation().is_some();
        assert!((0..5).any(is_found), "{fault:?}");
    }
}

/// Runs one operation of a client by hand.
fn step(client: &mut Client, store: &Store, key: &str, op: Op) {
    let token = client.invoke(key, op.clone());
    client.complete(token, store.one(&key.into(), &op));
}

#[test]
fn a_set_if_absent_in_two_steps_is_found() {
    let store = Store::new(Fault::None);
    let recorder = Recorder::new();
    let gap = Barrier::new(2);
    thread::scope(|scope| {
        for number in 0..2 {
            let (mut client, store, gap) = (recorder.client(), &store, &gap);
            scope.spawn(move || {
                let op = Op::SetNx(vec![number]);
                let token = client.invoke("k", op);
                let absent = store.one(&b"k".to_vec(), &Op::Get) == Outcome::Value(None);
                gap.wait(); // both have looked, none has written
                if absent {
                    store.one(&b"k".to_vec(), &Op::Set(vec![number]));
                }
                client.complete(token, Outcome::Flag(absent));
            });
        }
    });
    refused(&check(&recorder.finish().unwrap()));
}

/// A writer sets two keys in one transaction, a reader reads both in another, once each way round.
fn torn_or_whole(atomic: bool) -> Verdict {
    let store = Store::new(Fault::None);
    let recorder = Recorder::new();
    let gap = Barrier::new(2);
    let part = |key: &str, op: Op| (Key::from(key), op);
    let writes = [part("a", Op::Set(b"1".to_vec())), part("b", Op::Set(b"1".to_vec()))];
    thread::scope(|scope| {
        let (mut writer, mut reader) = (recorder.client(), recorder.client());
        let (store, gap, writes) = (&store, &gap, &writes);
        scope.spawn(move || {
            let token = writer.invoke_multi(writes.to_vec());
            let outcome = if atomic {
                gap.wait();
                let outcome = store.multi(writes);
                gap.wait();
                outcome
            } else {
                store.one(&writes[0].0, &writes[0].1);
                gap.wait(); // one key is written, the reader has not begun
                gap.wait(); // the reader has read both
                store.one(&writes[1].0, &writes[1].1);
                Outcome::Multi(vec![Outcome::Done, Outcome::Done])
            };
            writer.complete(token, outcome);
        });
        scope.spawn(move || {
            let reads = vec![part("a", Op::Get), part("b", Op::Get)];
            gap.wait();
            let token = reader.invoke_multi(reads.clone());
            reader.complete(token, store.multi(&reads));
            gap.wait();
        });
    });
    let mut client = recorder.client();
    step(&mut client, &store, "a", Op::Get);
    step(&mut client, &store, "b", Op::Get);
    drop(client);
    check(&recorder.finish().unwrap())
}

#[test]
fn a_transaction_in_two_steps_is_found() {
    refused(&torn_or_whole(false));
    let verdict = torn_or_whole(true);
    assert!(verdict.is_ok(), "{verdict}");
}

#[test]
fn a_recorder_gives_no_history_with_operations_missing() {
    let recorder = Recorder::new();
    let client = recorder.client();
    assert_eq!(recorder.finish(), Err(RecorderError::ClientsAlive(1)));
    drop(client);

    let recorder = Recorder::new();
    let (mut first, mut second) = (recorder.client(), recorder.client());
    let token = first.invoke("k", Op::Get);
    second.complete(token, Outcome::Value(None));
    drop((first, second));
    assert_eq!(recorder.finish(), Err(RecorderError::ForeignTokens(1)));
}

#[test]
fn what_a_panicking_client_noted_is_kept_and_its_last_operation_stays_open() {
    let recorder = Recorder::new();
    let store = Store::new(Fault::None);
    let mut client = recorder.client();
    let result = thread::scope(|scope| {
        let panics = scope.spawn(|| {
            step(&mut client, &store, "k", Op::Set(b"a".to_vec()));
            let _token = client.invoke("k", Op::Set(b"b".to_vec()));
            drop(client);
            std::panic::resume_unwind(Box::new("a client dies"));
        });
        panics.join()
    });
    assert!(result.is_err());
    let mut reader = recorder.client();
    step(&mut reader, &store, "k", Op::Get);
    drop(reader);
    let history = recorder.finish().unwrap();
    assert_eq!((history.len(), history.open_len()), (3, 1));
    let verdict = check(&history);
    assert!(verdict.is_ok(), "{verdict}");
}
