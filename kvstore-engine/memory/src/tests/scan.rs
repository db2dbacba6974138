//! Scans while entries come and go.

use std::collections::BTreeSet;

use engine_testing::TestOp;
use plugin_abi::Status;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::open;

#[test]
fn what_stays_is_seen_whatever_comes_and_goes() {
    for seed in 0..60 {
        let mut rng = StdRng::seed_from_u64(seed);
        let store = open(&[("shards", if seed % 2 == 0 { "1" } else { "8" })]);
        let staying: BTreeSet<Vec<u8>> = (0..200).map(|n| format!("stay-{n}").into_bytes()).collect();
        let mut going: Vec<String> = (0..600).map(|n| format!("go-{n}")).collect();
        let mut all: Vec<Vec<u8>> = staying.iter().cloned().collect();
        all.extend(going.iter().map(|key| key.clone().into_bytes()));
        while !all.is_empty() {
            let key = all.swap_remove(rng.random_range(0..all.len()));
            store.one(TestOp::set(key, "v").expiring(0));
        }
        let (mut cursor, mut found, mut steps) = (Vec::new(), Vec::new(), 0);
        loop {
            store.scan_step(rng.random_range(1..30), &mut cursor, &mut found);
            assert!(cursor.len() <= 6, "a client's cursor carries it");
            if cursor.is_empty() {
                break;
            }
            for _ in 0..rng.random_range(0..40) {
                if going.is_empty() {
                    break;
                }
                let gone = going.swap_remove(rng.random_range(0..going.len()));
                // Deleted and added again: away for a moment, so it may be missed, but it moves the others about.
                store.one(TestOp::delete(&gone));
                if rng.random_range(0..3) == 0 {
                    store.one(TestOp::set(&gone, "back"));
                }
            }
            let steady = staying.iter().nth(rng.random_range(0..200)).unwrap();
            store.one(TestOp::set(steady, "changed"));
            steps += 1;
        }
        assert!(steps > 20);
        let found: BTreeSet<Vec<u8>> = found.into_iter().map(|(key, _)| key).collect();
        let missed: Vec<_> = staying.difference(&found).collect();
        assert!(missed.is_empty(), "seed {seed} missed {missed:?}");
    }
}

#[test]
fn what_stays_is_seen_while_other_threads_write() {
    let store = open(&[("shards", "4")]);
    for n in 0..500 {
        store.one(TestOp::set(format!("stay-{n}"), "v"));
    }
    std::thread::scope(|scope| {
        for thread in 0..3_u64 {
            let store = &store;
            scope.spawn(move || {
                let mut rng = StdRng::seed_from_u64(thread);
                for _ in 0..4000 {
                    let key = format!("go-{}", rng.random_range(0..300));
                    store.one(if rng.random() { TestOp::set(key, "v") } else { TestOp::delete(key) });
                }
            });
        }
        for _ in 0..30 {
            let found = store.scan(11);
            let stayed: BTreeSet<_> = found.iter().filter(|(key, _)| key.starts_with(b"stay-")).collect();
            assert_eq!(stayed.len(), 500);
        }
    });
}

#[test]
fn foreign_and_stale_cursors_are_refused_or_harmless() {
    let store = open(&[("shards", "2")]);
    store.one(TestOp::set("k", "v"));
    let step = |bytes: &[u8]| {
        let mut cursor = bytes.to_vec();
        store.instance().session().scan(0, 0, 10, &mut cursor, |_| ()).map_err(|error| error.status)
    };
    assert_eq!(step(&[0, 0, 0, 2, 0]), Err(Status::INVALID));
    assert_eq!(step(b"abc"), Err(Status::INVALID));
    assert_eq!(step(&[9, 9, 9, 1, 0]), Ok(()));
}
