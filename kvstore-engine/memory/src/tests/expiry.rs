//! Expiry: what has expired is not seen, is removed in the end, and is told of once.

use engine_testing::{Change, Event, TestOp};
use plugin_abi::Status;
use plugin_abi::raw::KV_EVENT_EXPIRED;

use super::{open, wait_until};

#[test]
fn gone_at_the_very_millisecond_for_every_call() {
    let store = open(&[]);
    let version = store.one(TestOp::set("k", "v").expiring(1_000_500)).version;
    store.host.set_now_ms(1_000_499);
    assert_eq!(store.one(TestOp::get("k")).status, Status::OK);
    assert_eq!(store.scan(10).len(), 1);
    store.host.set_now_ms(1_000_500);
    assert!(store.scan(10).is_empty());
    assert_eq!(store.call(&TestOp::get("k").expecting(version)).status, Status::CONFLICT);
    assert_eq!(store.one(TestOp::delete("k")).status, Status::NOT_FOUND);
    assert_eq!(store.one(TestOp::update("k", Change::Append(b"new".to_vec()))).expiry_ms, 0);
    assert_eq!(store.one(TestOp::get("k")).value, b"new");
    let event = Event { kind: KV_EVENT_EXPIRED, key: b"k".to_vec(), version };
    assert_eq!(store.host.take_events(), [event]);
}

#[test]
fn other_traffic_removes_what_nobody_asks_for() {
    let store = open(&[("shards", "8")]);
    for n in 0..1000 {
        store.one(TestOp::set(format!("short-{n}"), "v").expiring(1_000_010));
    }
    assert_eq!(store.stat("keys_with_expiry"), 1000);
    store.host.set_now_ms(1_000_020);
    let mut batches = 0;
    while store.instance().session().count(0).unwrap() > 0 {
        store.one(TestOp::get("another"));
        batches += 1;
        assert!(batches < 10_000, "nothing is removed");
    }
    assert_eq!(store.host.take_events().len(), 1000);
    assert_eq!((store.stat("expired_total"), store.stat("keys_with_expiry")), (1000, 0));
}

#[test]
fn writes_alone_remove_faster_than_they_add() {
    let store = open(&[("shards", "4")]);
    for round in 0..40 {
        for n in 0..100 {
            let op = TestOp::set(format!("{round}-{n}"), "v").expiring(store.host.now_ms() + 1);
            assert_eq!(store.call(&op).status, Status::OK);
        }
        store.host.set_now_ms(store.host.now_ms() + 8);
    }
    assert!(store.instance().session().count(0).unwrap() <= 400, "expired entries pile up");
}

#[test]
fn an_idle_store_is_cleaned_by_itself() {
    let store = open(&[]);
    // First asleep, then woken by an entry that expires.
    store.one(TestOp::set("stays", "v"));
    for n in 0..2000 {
        store.one(TestOp::set(format!("{n}"), "v").expiring(1_000_010));
    }
    store.host.set_now_ms(2_000_000);
    wait_until(|| store.stat("keys") == 1);
    assert_eq!((store.stat("keys_with_expiry"), store.stat("expired_total")), (0, 2000));
    assert_eq!(store.host.take_events().len(), 2000);
}

#[test]
fn what_is_put_off_again_and_again_takes_no_more_memory() {
    let store = open(&[("shards", "1")]);
    for n in 0..10 {
        store.one(TestOp::set(format!("{n}"), "v").expiring(1_000_500));
    }
    let before = store.stat("memory_bytes");
    for round in 0..20_000_i64 {
        // Later and earlier by turns: each second one needs an item.
        let expiry_ms = 2_000_000 + if round % 2 == 0 { 100_000 } else { round };
        store.one(TestOp::update(format!("{}", round % 10), Change::SetExpiry(expiry_ms)));
    }
    assert_eq!(store.stat("memory_bytes"), before);
    store.host.set_now_ms(3_000_000);
    wait_until(|| store.stat("keys") == 0);
    assert_eq!(store.host.take_events().len(), 10);
}

#[test]
fn an_expiry_taken_back_is_none() {
    let store = open(&[]);
    store.one(TestOp::set("k", "v").expiring(1_000_010));
    store.one(TestOp::update("k", Change::SetExpiry(0)));
    store.host.set_now_ms(5_000_000);
    assert_eq!(store.one(TestOp::get("k")).status, Status::OK);
    assert_eq!(store.stat("keys_with_expiry"), 0);
    assert!(store.host.take_events().is_empty());
}

#[test]
fn what_is_removed_before_it_expires_leaves_no_heap_behind() {
    let store = open(&[("shards", "1")]);
    for n in 0..500 {
        store.one(TestOp::set(format!("stays {n}"), "v").expiring(1_500_000 + n));
    }
    let before = store.stat("memory_bytes");
    for n in 0..20_000_i64 {
        store.one(TestOp::set(format!("{n}"), "v").expiring(2_000_000 + n));
        store.one(TestOp::delete(format!("{n}")));
        // Put off, and forever: its item stays, and is one for the next expiry, too.
        let put_off = [0, 1_800_000 + n, 1_700_000][n as usize % 3];
        store.one(TestOp::update(format!("stays {}", n % 500), Change::SetExpiry(put_off)));
    }
    let after = store.stat("memory_bytes");
    assert!(after <= before + (12 << 10), "{before} bytes became {after}");
    let mut left = store.stat("keys_with_expiry");
    for now_ms in [1_750_000, 1_900_000] {
        store.host.set_now_ms(now_ms);
        let live = |found: Vec<(Vec<u8>, Vec<u8>)>| found.len() as i64;
        wait_until(|| store.stat("keys") == live(store.scan(100)));
        assert!(store.stat("keys_with_expiry") < left);
        left = store.stat("keys_with_expiry");
    }
    assert_eq!(left, 0);
}
