//! Entries chosen at random, from tables of one shard, of few and of many.

use std::collections::BTreeMap;

use engine_testing::{Store, TestOp};
use plugin_abi::Status;

use super::open;

fn draw(store: &Store) -> Option<Vec<u8>> {
    let mut drawn = None;
    let status = store.instance().session().random(0, 0, |entry| {
        // SAFETY: the engine lends the key for this call.
        drawn = Some(unsafe { entry.key.as_slice() }.to_vec());
    });
    assert_eq!(status.unwrap() == Status::OK, drawn.is_some());
    drawn
}

#[test]
fn each_is_as_likely_while_the_table_grows_and_shrinks() {
    for shards in ["1", "4", "64", "1024"] {
        let store = open(&[("shards", shards)]);
        let key = |n: usize| n.to_be_bytes().to_vec();
        let (mut begin, mut end) = (0, 0);
        for (from, to) in [(0, 1), (0, 30), (0, 300), (200, 300), (299, 300), (300, 400)] {
            (end..to).for_each(|n| assert_eq!(store.one(TestOp::set(key(n), "v")).status, Status::OK));
            (begin..from).for_each(|n| assert_eq!(store.one(TestOp::delete(key(n))).status, Status::OK));
            (begin, end) = (from, to);
            let mut drawn = BTreeMap::new();
            // A hundred of each: 30 and 180 are seven standard deviations away.
            (0..(to - from) * 100).for_each(|_| *drawn.entry(draw(&store).unwrap()).or_insert(0) += 1);
            assert!(drawn.keys().eq((from..to).map(key).collect::<Vec<_>>().iter()), "{shards} {from}..{to}");
            assert!(drawn.values().all(|times| (30..=180).contains(times)), "{drawn:?}");
        }
        (begin..end).for_each(|n| assert_eq!(store.one(TestOp::delete(key(n))).status, Status::OK));
        assert_eq!(draw(&store), None);
    }
}

#[test]
fn one_entry_beside_thousands_that_expired_is_found() {
    let store = open(&[("shards", "1")]);
    let soon = 1_000_010;
    (0..5000_u32).for_each(|n| {
        store.one(TestOp::set(n.to_be_bytes(), "v").expiring(soon));
    });
    store.one(TestOp::set("stays", "v"));
    draw(&store);
    store.host.set_now_ms(1_000_020);
    (0..10).for_each(|_| assert_eq!(draw(&store).unwrap(), b"stays"));
}

#[test]
fn the_only_entry_has_expired_and_is_not_due_to_be_swept() {
    let store = open(&[]);
    store.one(TestOp::set("k", "v").expiring(1_000_001));
    store.host.set_now_ms(1_000_001);
    assert_eq!(draw(&store), None);
    assert_eq!((store.stat("keys"), store.host.take_events().len()), (0, 1));
}
