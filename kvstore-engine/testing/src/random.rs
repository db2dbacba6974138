//! Random: operations drawn from a seed, run on an engine and on the model.

use plugin_abi::raw::*;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::{Change, Model, Store, TestOp};

/// What the engine under test can do beside sets, gets, deletes, batches, versions, expiry and atomic batches.
#[derive(Clone, Copy, Debug)]
pub struct Features {
    /// It has `kv_update`.
    pub update: bool,
}

/// Runs `steps` random steps and compares every reply, every scan and the events of expiry with the model.
///
/// # Panics
/// If the engine is wrong.
pub fn random_run(store: &Store, features: Features, seed: u64, steps: usize) {
    let mut run = Run { rng: StdRng::seed_from_u64(seed), features, store, model: Model::default() };
    run.model.set_now_ms(store.host.now_ms());
    for _ in 0..steps {
        run.step();
    }
    run.finish();
}

struct Run<'a> {
    rng: StdRng,
    features: Features,
    store: &'a Store,
    model: Model,
}

impl Run<'_> {
    fn step(&mut self) {
        match self.rng.random_range(0..100) {
            0..50 => {
                let ops = self.ops(8);
                let replies = self.store.batch(ops.clone());
                self.model.check_batch(&ops, &replies);
            }
            50..75 => {
                let ops = self.ops(6);
                let replies = self.store.atomic(ops.clone());
                self.model.check_atomic(&ops, &replies);
            }
            75..85 => {
                let op = self.op();
                let mut reply = self.store.call(&op);
                if op.kind != KV_OP_GET {
                    // These calls answer no expiry: ask for it.
                    reply.expiry_ms = self.store.call(&TestOp::get(&op.key)).expiry_ms;
                }
                if self.would_be_expired(&op) {
                    reply.expiry_ms = self.expiry_wanted(&op);
                }
                self.model.check_batch(&[op], &[reply]);
            }
            85..93 => {
                let now_ms = self.store.host.now_ms() + self.rng.random_range(0..40);
                self.store.host.set_now_ms(now_ms);
                self.model.set_now_ms(now_ms);
            }
            93..98 => self.compare(),
            98 => {
                let shrink: Vec<TestOp> =
                    self.model.contents().into_iter().map(|(key, _)| TestOp::delete(key)).collect();
                let replies = self.store.batch(shrink.clone());
                self.model.check_batch(&shrink, &replies);
            }
            _ => {
                self.store.instance().session().clear(0).unwrap();
                self.model.clear();
            }
        }
    }

    // An entry stored with a time that has passed is gone before anybody can ask for its expiry.
    fn would_be_expired(&self, op: &TestOp) -> bool {
        let expiry_ms = self.expiry_wanted(op);
        expiry_ms != 0 && expiry_ms <= self.store.host.now_ms()
    }

    fn expiry_wanted(&self, op: &TestOp) -> i64 {
        match &op.change {
            Some(Change::Replace(_, expiry_ms, ..)) => *expiry_ms,
            Some(Change::SetExpiry(expiry_ms)) if self.model.version(&op.key) != 0 => *expiry_ms,
            Some(_) => 0,
            None => op.expiry_ms,
        }
    }

    fn ops(&mut self, count_max: usize) -> Vec<TestOp> {
        let count = self.rng.random_range(0..=count_max);
        (0..count).map(|_| self.op()).collect()
    }

    fn op(&mut self) -> TestOp {
        let key = format!("key-{}", self.rng.random_range(0..40));
        let op = match self.rng.random_range(0..10) {
            0..3 => TestOp::get(&key),
            3..6 => {
                let (type_, entry_flags) = (self.rng.random_range(0..3), self.rng.random_range(0..3));
                let op = TestOp::set(&key, self.bytes(20)).expiring(self.expiry_ms());
                let op = TestOp { type_, entry_flags, ..op };
                match self.rng.random_range(0..20) {
                    // Never the same number twice, so that one batch may import several.
                    0 => op.importing(self.model.version_max() + 1000 + self.rng.random_range(0..1 << 30)),
                    _ => op,
                }
            }
            6 => TestOp::delete(&key),
            _ if !self.features.update => TestOp::get(&key),
            _ => TestOp::update(&key, self.change()),
        };
        match self.rng.random_range(0..40) {
            0 => op.expecting(0),
            1 | 2 => {
                let version = self.model.version(key.as_bytes());
                op.expecting(version)
            }
            3 => op.expecting(self.model.version_max() + 7),
            _ => op,
        }
    }

    fn change(&mut self) -> Change {
        match self.rng.random_range(0..8) {
            0 => Change::Keep,
            1 => Change::Replace(self.bytes(30), self.expiry_ms(), 1, 2),
            2 => Change::Remove,
            3 => Change::SetExpiry(self.expiry_ms()),
            4 | 5 => {
                let bytes = self.bytes(12);
                let offset = self.rng.random_range(0..24);
                let new_len = offset + bytes.len() + self.rng.random_range(0..6);
                Change::Patch(offset, bytes, new_len)
            }
            6 => Change::Append(self.bytes(16)),
            _ => Change::Add(self.rng.random_range(-5..5)),
        }
    }

    fn bytes(&mut self, len_max: usize) -> Vec<u8> {
        let len = self.rng.random_range(0..len_max);
        (0..len).map(|_| self.rng.random()).collect()
    }

    /// Mostly never, else soon, now and then in the past.
    fn expiry_ms(&mut self) -> i64 {
        match self.rng.random_range(0..10) {
            0..6 => 0,
            6 => self.store.host.now_ms() - self.rng.random_range(0..3),
            _ => self.store.host.now_ms() + self.rng.random_range(1..120),
        }
    }

    fn compare(&mut self) {
        let mut found = self.store.scan(self.rng.random_range(1..20));
        found.sort();
        found.dedup();
        assert_eq!(found, self.model.contents());
        assert!(self.store.instance().session().count(0).unwrap() >= found.len() as u64);
    }

    fn finish(&mut self) {
        self.compare();
        // Every event tells of an entry that expired, and of each at most once.
        let mut events: Vec<_> =
            self.store.host.take_events().into_iter().map(|event| (event.key, event.version)).collect();
        let mut expired = self.model.expired().to_vec();
        expired.sort();
        events.sort();
        for (i, event) in events.iter().enumerate() {
            assert!(expired.binary_search(event).is_ok(), "{event:?} did not expire");
            assert!(i == 0 || events[i - 1] != *event, "{event:?} was told twice");
        }
        assert!(expired.is_empty() == events.is_empty(), "no event of any expiry");
    }
}
