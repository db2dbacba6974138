//! Explores in which order threads can run, with shuttle: `cargo test -p kvstore-engine-memory --features explore`.
//!
//! A run that failed is told with its schedule. What shuttle does not explore is what weaker orderings of atomics allow.

use std::sync::Arc;

use engine_testing::{Change, Store, TestOp};
use plugin_abi::Status;
use plugin_abi::raw::KV_HANDOFF_ADOPT;
use plugin_abi::sdk::Entry;
use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::{Config, Runner, thread};

use crate::limit::{Limit, Policy};
use crate::shard::Old;
use crate::table::Table;

/// Runs of each test, in orders drawn at random and in such with few changes of the thread.
const RUNS: usize = 150;

fn explore(test: impl Fn() + Send + Sync + Copy + 'static) {
    let mut config = Config::new();
    config.stack_size = 1 << 20;
    Runner::new(RandomScheduler::new(RUNS), config.clone()).run(test);
    Runner::new(PctScheduler::new(3, RUNS), config).run(test);
}

fn open(options: &[(&str, &str)]) -> Arc<Store> {
    let calls = engine_testing::calls!(
        kv_update,
        kv_submit,
        kv_scan,
        kv_count,
        kv_stats,
        kv_clear,
        kv_handoff_prepare,
        kv_handoff_give,
        kv_handoff_commit,
        kv_handoff_abort
    );
    Arc::new(Store::open(calls, options).unwrap())
}

/// Runs these beside each other to their ends.
fn beside<const N: usize>(store: &Arc<Store>, bodies: [fn(&Store); N]) {
    let start = |body: fn(&Store)| {
        let store = Arc::clone(store);
        thread::spawn(move || body(&store))
    };
    bodies.map(start).into_iter().for_each(|thread| thread.join().unwrap());
}

/// Lets others run until this holds.
fn wait_until(holds: impl Fn() -> bool) {
    for _ in 0..2000 {
        if holds() {
            return;
        }
        thread::yield_now();
    }
    panic!("it never holds");
}

#[test]
fn the_thread_is_woken_whenever_an_entry_that_expires_is_stored() {
    explore(|| {
        let store = open(&[("shards", "2")]);
        // So that the thread is about to sleep meanwhile.
        store.call(&TestOp::set("soon", "v").expiring(1_000_001));
        store.host.set_now_ms(1_000_005);
        beside(
            &store,
            [
                |store| _ = store.call(&TestOp::set("a", "v").expiring(1_000_010)),
                |store| _ = store.atomic(vec![TestOp::set("b", "v").expiring(1_000_020), TestOp::get("a")]),
            ],
        );
        store.host.set_now_ms(1_000_015);
        wait_until(|| store.stat("keys") == 1);
        store.host.set_now_ms(1_000_030);
        wait_until(|| store.stat("keys") == 0);
    });
}

#[test]
fn nothing_changes_while_a_handoff_is_prepared() {
    explore(|| {
        let store = open(&[("shards", "1")]);
        (0..3).for_each(|n| _ = store.call(&TestOp::set(format!("{n}"), "v").expiring(1_000_010)));
        store.host.set_now_ms(1_000_020);
        let session = store.instance().session();
        session.handoff_prepare(KV_HANDOFF_ADOPT).unwrap();
        session.handoff_give().unwrap();
        let gone = store.host.take_events().len();
        (0..20).for_each(|_| thread::yield_now());
        assert!(store.host.take_events().is_empty());
        session.handoff_abort().unwrap();
        wait_until(|| store.stat("keys") == 0);
        assert_eq!(store.host.take_events().len(), 3 - gone);
    });
}

#[test]
fn atomic_batches_wait_for_each_other_in_one_order() {
    explore(|| {
        let store = open(&[("shards", "4")]);
        let add = |key: &str, number| TestOp::update(key, Change::Add(number));
        store.atomic(["a", "b", "c"].map(|key| add(key, 10)).to_vec());
        let sum = |store: &Store| -> i64 {
            let replies = store.atomic(["c", "a", "b"].map(TestOp::get).to_vec());
            replies.iter().map(|reply| str::from_utf8(&reply.value).unwrap().parse::<i64>().unwrap()).sum()
        };
        beside(
            &store,
            [
                |store| _ = store.atomic(["a", "b"].map(|key| TestOp::update(key, Change::Add(-1))).to_vec()),
                |store| _ = store.atomic(["b", "a"].map(|key| TestOp::update(key, Change::Add(1))).to_vec()),
                |store| {
                    let replies = store.atomic(["c", "b", "a"].map(TestOp::get).to_vec());
                    let number =
                        |n: usize| str::from_utf8(&replies[n].value).unwrap().parse::<i64>().unwrap();
                    assert_eq!(number(1), number(2), "half of a batch was seen");
                },
            ],
        );
        assert_eq!(sum(&store), 30);
    });
}

#[test]
fn a_clear_and_atomic_batches_are_each_one_moment() {
    explore(|| {
        let store = open(&[("shards", "4")]);
        beside(
            &store,
            [
                |store| _ = store.atomic(["a", "b", "c"].map(|key| TestOp::set(key, "v")).to_vec()),
                |store| store.instance().session().clear(0).unwrap(),
                |store| {
                    let replies = store.atomic(["c", "b", "a"].map(TestOp::get).to_vec());
                    assert!(replies.windows(2).all(|two| two[0].status == two[1].status), "{replies:?}");
                },
            ],
        );
        assert!([0, 3].contains(&store.instance().session().count(0).unwrap()));
    });
}

#[test]
fn versions_of_a_key_grow() {
    explore(|| {
        let store = open(&[("shards", "1")]);
        beside(
            &store,
            [
                |store| _ = store.call(&TestOp::set("k", "a")),
                |store| _ = store.batch(vec![TestOp::set("other", "b"), TestOp::set("k", "b")]),
                |store| _ = store.atomic(vec![TestOp::update("k", Change::Append(b"c".to_vec()))]),
                |store| {
                    let versions = [(); 4].map(|()| store.call(&TestOp::get("k")).version);
                    assert!(versions.is_sorted(), "{versions:?}");
                },
            ],
        );
        assert_eq!(store.call(&TestOp::get("k").expecting(0)).status, Status::CONFLICT);
    });
}

#[test]
fn what_is_counted_for_the_limit_is_what_the_shards_take() {
    explore(|| {
        let table = Arc::new(Table::new(2, Limit::new(1, Policy::NoEviction)).unwrap());
        let start = |number: usize| {
            let table = Arc::clone(&table);
            thread::spawn(move || {
                let entry = Entry { key: b"k", value: &[0; 4000], version: 1, ..Entry::default() };
                for hash in 0..3 {
                    table.lock(number % 2).store(hash, None, &entry, 0, Old::Free).unwrap();
                }
                table.lock(1).shrink_if_sparse();
            })
        };
        [0, 1, 2].map(start).into_iter().for_each(|thread| thread.join().unwrap());
        let taken: u64 = (0..2).map(|number| table.lock(number).used_bytes()).sum();
        assert_eq!(table.limit.excess(), Some(taken.cast_signed() - 1));
    });
}

#[test]
fn batches_look_ahead_while_indexes_come_and_go() {
    explore(|| {
        let store = open(&[("shards", "2")]);
        let both = || vec![TestOp::set("a", "1"), TestOp::set("b", "2"), TestOp::get("a"), TestOp::get("b")];
        store.batch(both());
        beside(
            &store,
            [
                |store| _ = store.batch(["a", "b"].map(TestOp::delete).to_vec()),
                |store| _ = store.batch(["c", "a", "b"].map(|key| TestOp::set(key, "3")).to_vec()),
                |store| {
                    for reply in store.batch(["a", "b", "c"].map(TestOp::get).to_vec()) {
                        let known = reply.status == Status::NOT_FOUND || b"123".contains(&reply.value[0]);
                        assert!(known, "{reply:?}");
                    }
                },
            ],
        );
    });
}
