//! Long random runs against a BTreeMap: growth, mass deletion, long and short values, expiry, batches; and what memory is held for it.

use std::collections::BTreeMap;

use engine_testing::{Change, Reply, Store, TestOp};
use plugin_abi::Status;
use plugin_abi::raw::{KV_OP_DELETE, KV_OP_GET, KV_OP_SET};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::open;

/// Operations of a run; `KV_MODEL_OPERATIONS` asks for more.
const OPERATIONS: usize = 60_000;
/// Operations after which all entries are compared.
const COMPARED_EVERY: usize = 20_000;

#[derive(Clone, Debug, PartialEq, Eq)]
struct Known {
    value: Vec<u8>,
    expiry_ms: i64,
}

struct Run {
    store: Store,
    rng: StdRng,
    known: BTreeMap<Vec<u8>, Known>,
    keys: u32,
}

impl Run {
    fn live(&self, key: &[u8]) -> Option<&Known> {
        let now_ms = self.store.host.now_ms();
        self.known.get(key).filter(|known| known.expiry_ms == 0 || known.expiry_ms > now_ms)
    }

    fn value(&mut self) -> Vec<u8> {
        // Cells that share a chunk, long ones, spans, and now and then a region of its own.
        let len = match self.rng.random_range(0..2000) {
            0 => self.rng.random_range(100_000..300_000),
            1..30 => self.rng.random_range(4_000..20_000),
            30..300 => self.rng.random_range(200..400),
            _ => self.rng.random_range(0..50),
        };
        let first: u8 = self.rng.random();
        (0..len).map(|n: usize| first.wrapping_add(n as u8)).collect()
    }

    fn op(&mut self, deleting: bool) -> TestOp {
        let key = format!("key:{:08}", self.rng.random_range(0..self.keys));
        let now_ms = self.store.host.now_ms();
        let expiry_ms = |rng: &mut StdRng| {
            if rng.random_range(0..4) == 0 { now_ms + rng.random_range(1..20_000) } else { 0 }
        };
        match self.rng.random_range(0..if deleting { 40 } else { 12 }) {
            0..3 => TestOp::get(key),
            3..7 => {
                let expiry_ms = expiry_ms(&mut self.rng);
                TestOp::set(key, self.value()).expiring(expiry_ms)
            }
            7 => TestOp::update(key, Change::Append(vec![b'+'; self.rng.random_range(1..40)])),
            8 => {
                let expiry_ms = expiry_ms(&mut self.rng);
                TestOp::update(key, Change::SetExpiry(expiry_ms))
            }
            9 => {
                let new_len = self.rng.random_range(3..600);
                TestOp::update(
                    key,
                    Change::Patch(self.rng.random_range(0..new_len - 2), vec![b'p'; 2], new_len),
                )
            }
            _ => TestOp::delete(key),
        }
    }

    fn apply(&mut self, op: &TestOp) {
        let current = self.live(&op.key).cloned();
        let known = |value, expiry_ms| Some(Known { value, expiry_ms });
        let next = match (op.kind, &op.change, current) {
            (KV_OP_GET, _, current) => current,
            (KV_OP_SET, ..) => known(op.value.clone(), op.expiry_ms),
            (KV_OP_DELETE, ..) => None,
            (_, Some(Change::SetExpiry(expiry_ms)), Some(current)) => known(current.value, *expiry_ms),
            (_, Some(Change::SetExpiry(_)), None) => None,
            (_, Some(Change::Append(more)), current) => {
                let Known { value, expiry_ms } = current.unwrap_or(Known { value: Vec::new(), expiry_ms: 0 });
                known([value, more.clone()].concat(), expiry_ms)
            }
            (_, Some(Change::Patch(offset, bytes, new_len)), current) => {
                let Known { mut value, expiry_ms } =
                    current.unwrap_or(Known { value: Vec::new(), expiry_ms: 0 });
                value.resize(*new_len, 0);
                value[*offset..offset + bytes.len()].copy_from_slice(bytes);
                known(value, expiry_ms)
            }
            other => panic!("{other:?}"),
        };
        match next {
            Some(next) => _ = self.known.insert(op.key.clone(), next),
            None => _ = self.known.remove(&op.key),
        }
    }

    fn check(&self, op: &TestOp, reply: &Reply) {
        if op.kind != KV_OP_GET {
            return assert!(matches!(reply.status, Status::OK | Status::NOT_FOUND), "{op:?}: {reply:?}");
        }
        let found = (reply.status == Status::OK).then_some((&reply.value, reply.expiry_ms));
        assert_eq!(found, self.live(&op.key).map(|known| (&known.value, known.expiry_ms)), "{op:?}");
    }

    fn compare(&self) {
        let mut found = self.store.scan(100);
        found.sort_unstable();
        let live = self.known.iter().filter(|(key, _)| self.live(key).is_some());
        let live: Vec<_> = live.map(|(key, known)| (key.clone(), known.value.clone())).collect();
        assert_eq!(found.len(), live.len());
        assert!(found == live, "the entries are not those of the model");
        let (used, held) = (self.store.stat("memory_bytes"), self.store.stat("memory_held_bytes"));
        // Gaps, and what of a chunk or span is not used.
        assert!(held < used + used / 2 + (4 << 20), "{held} bytes are held for {used}");
    }

    fn run(mut self, operations: usize) {
        let (mut done, mut compared) = (0, 0);
        while done < operations {
            // Growth for two thirds, then deletion.
            let deleting = done * 6 / operations % 3 == 2;
            let ops: Vec<TestOp> = (0..self.rng.random_range(1..100)).map(|_| self.op(deleting)).collect();
            done += ops.len();
            let replies = match self.rng.random_range(0..3) {
                0 => self.store.atomic(ops.clone()),
                _ => self.store.batch(ops.clone()),
            };
            // In an atomic batch, too, each read sees the writes before it.
            for (op, reply) in ops.iter().zip(&replies) {
                self.apply(op);
                self.check(op, reply);
            }
            let later_ms = self.store.host.now_ms() + self.rng.random_range(0..30);
            self.store.host.set_now_ms(later_ms);
            if done / COMPARED_EVERY > compared {
                compared = done / COMPARED_EVERY;
                self.compare();
            }
        }
        self.compare();
        let keys: Vec<Vec<u8>> = self.known.keys().cloned().collect();
        for some in keys.chunks(500) {
            self.store.batch(some.iter().map(TestOp::delete).collect());
        }
        assert_eq!((self.store.stat("keys"), self.store.stat("keys_with_expiry")), (0, 0));
        let held = self.store.stat("memory_held_bytes");
        assert!(held < 1 << 20, "{held} bytes are held for nothing");
    }
}

#[test]
fn long_runs_agree_with_the_model() {
    let asked = std::env::var("KV_MODEL_OPERATIONS").ok().map(|text| text.parse().unwrap());
    let operations = asked.unwrap_or(OPERATIONS);
    for (seed, shards, keys) in [(1, "1", 5_000), (2, "4", 20_000), (3, "16", 400)] {
        let store = open(&[("shards", shards)]);
        Run { store, rng: StdRng::seed_from_u64(seed), known: BTreeMap::new(), keys }.run(operations / 3);
    }
}
