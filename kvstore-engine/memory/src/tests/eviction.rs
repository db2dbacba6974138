//! The limit of memory: which entries go, which stay, and who hears of it.

use std::collections::BTreeSet;

use engine_testing::{Change, Store, TestOp};
use plugin_abi::Status;
use plugin_abi::raw::KV_EVENT_EVICTED;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::open;

const LIMIT: &str = "400kb";
const LIMIT_BYTES: i64 = 400 << 10;

fn limited(policy: &str) -> Store {
    open(&[("shards", "8"), ("maxmemory", LIMIT), ("maxmemory-policy", policy)])
}

fn key(n: u32) -> String {
    format!("key:{n:06}")
}

fn present(store: &Store) -> BTreeSet<String> {
    store.scan(100).into_iter().map(|(key, _)| String::from_utf8(key).unwrap()).collect()
}

fn evicted(store: &Store) -> BTreeSet<String> {
    let events = store.host.take_events();
    assert!(events.iter().all(|event| event.kind == KV_EVENT_EVICTED && event.version > 0));
    let count = events.len();
    let keys: BTreeSet<String> =
        events.into_iter().map(|event| String::from_utf8(event.key).unwrap()).collect();
    assert_eq!(keys.len(), count, "an entry that was stored once is evicted twice");
    keys
}

#[test]
fn a_store_stays_within_its_limit_and_tells_what_goes() {
    for policy in ["allkeys-lru", "allkeys-lfu", "allkeys-random"] {
        let store = limited(policy);
        let all: BTreeSet<String> = (0..10_000).map(key).collect();
        for (n, key) in all.iter().enumerate() {
            let (key, value) = (key.as_str(), vec![b'v'; n % 90]);
            let status = if n % 2 == 0 {
                store.call(&TestOp::set(key, value)).status
            } else {
                store.one(TestOp::set(key, value)).status
            };
            assert_eq!(status, Status::OK, "{policy}");
        }
        // What the last write took comes on top.
        let used = store.stat("memory_bytes");
        assert!(used < LIMIT_BYTES + 20_000 && used > LIMIT_BYTES / 2, "{policy}: {used} bytes");
        let (present, evicted) = (present(&store), evicted(&store));
        assert!(present.is_disjoint(&evicted) && present.len() + evicted.len() == all.len(), "{policy}");
        assert_eq!(store.stat("evicted_total"), evicted.len() as i64);
    }
}

#[test]
fn noeviction_refuses_what_would_store_and_nothing_else() {
    let store = limited("noeviction");
    let stored =
        (0..).take_while(|n| store.one(TestOp::set(key(*n), [0; 100])).status == Status::OK).count() as u32;
    assert!(stored > 1000, "{stored}");
    let refused = store.call(&TestOp::set("new", "v"));
    assert_eq!((refused.status, &*refused.text), (Status::FULL, "the entries take more than maxmemory"));
    assert_eq!(store.one(TestOp::update(key(0), Change::Append(b"more".to_vec()))).status, Status::FULL);
    let atomic = store.atomic(vec![TestOp::delete(key(0)), TestOp::set("new", "v")]);
    assert_eq!((atomic[0].status, atomic[1].status), (Status::ABORTED, Status::FULL));
    assert_eq!(store.one(TestOp::get(key(0))).value, [0; 100]);
    assert_eq!(store.one(TestOp::update(key(1), Change::SetExpiry(2_000_000))).status, Status::OK);
    for n in 0..stored {
        assert_eq!(store.one(TestOp::delete(key(n))).status, Status::OK);
    }
    assert_eq!(store.one(TestOp::set("new", "v")).status, Status::OK);
    assert!(store.host.take_events().is_empty());
}

#[test]
fn volatile_policies_take_only_what_expires_and_refuse_then() {
    for policy in ["volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl"] {
        let store = limited(policy);
        for n in 0..1000 {
            store.one(TestOp::set(key(n), [0; 100]));
        }
        let mut stored = 1000;
        while store.one(TestOp::set(key(stored), [0; 100]).expiring(i64::from(2_000_000 + stored))).status
            == Status::OK
            && stored < 6000
        {
            stored += 1;
        }
        assert_eq!(stored, 6000, "{policy}");
        let gone = evicted(&store);
        assert!(!gone.is_empty() && gone.iter().all(|gone| *gone >= key(1000)), "{policy}");
        // Only what does not expire: nothing may go at last.
        let refused = (0..10_000)
            .find(|n| store.one(TestOp::set(format!("more:{n}"), [0; 100])).status == Status::FULL);
        assert!(refused.is_some(), "{policy}");
        assert_eq!(store.stat("keys_with_expiry"), 0, "{policy}");
        assert!((0..1000).all(|n| store.one(TestOp::get(key(n))).status == Status::OK), "{policy}");
    }
}

#[test]
fn ttl_takes_what_expires_first() {
    let store = open(&[("shards", "1"), ("maxmemory", LIMIT), ("maxmemory-policy", "volatile-ttl")]);
    let mut rng = StdRng::seed_from_u64(1);
    for n in 0..6000 {
        // Any order: which is stored first says nothing.
        let n = (n * 2711) % 6000;
        store.one(
            TestOp::set(key(n), [0; 100]).expiring(i64::from(2_000_000 + n * 10 + rng.random_range(0..5))),
        );
        store.one(TestOp::get(key(n)));
    }
    let (present, gone) = (present(&store), evicted(&store));
    assert!(gone.len() > 1000);
    let first_present = present.first().unwrap();
    // What was stored when those with a later expiry had gone already can stand before them.
    let out_of_order = gone.iter().filter(|gone| *gone > first_present).count();
    assert!(out_of_order < gone.len() / 10 || present.len() < gone.len(), "{out_of_order} of {}", gone.len());
    assert!(gone.first().unwrap() < first_present);
}

#[test]
fn what_a_huge_entry_takes_is_made_room_for_by_many_writes_each_a_little() {
    // The huge ones are used last: if one of them could go, many writes would be few now and then.
    let store = open(&[("shards", "2"), ("maxmemory", "2mb"), ("maxmemory-policy", "allkeys-lru")]);
    (0..16_000).for_each(|n| _ = store.one(TestOp::set(key(n), [0; 100])));
    store.host.set_now_ms(store.host.now_ms() + 60_000);
    // One makes room for itself where entries take more than the limit already, and only then.
    for n in 0.. {
        store.one(TestOp::set(format!("huge {n}"), vec![0; 300_000]));
        if store.stat("memory_bytes") > (2 << 20) + 250_000 {
            break;
        }
    }
    evicted(&store);
    let mut writes = 0;
    while store.stat("memory_bytes") > 2 << 20 {
        store.one(TestOp::set(key(writes), [0; 100]));
        let gone = store.host.take_events().len();
        assert!(gone <= 64, "{gone} entries went for one write");
        writes += 1;
    }
    assert!(writes > 10, "{writes} writes");
}

#[test]
fn huge_entries_make_room_for_themselves() {
    for (name, write) in [
        ("SET", (|n| TestOp::set(n, vec![0; 100_000])) as fn(String) -> TestOp),
        ("PATCH", |n| TestOp::update(n, Change::Patch(99_999, vec![1], 100_000))),
    ] {
        let store = open(&[("shards", "2"), ("maxmemory", "1mb"), ("maxmemory-policy", "allkeys-lru")]);
        (0..8_000).for_each(|n| _ = store.one(TestOp::set(key(n), [0; 100])));
        for n in 0..50 {
            let status =
                [store.one(write(format!("huge {n}"))), store.atomic(vec![write(format!("{n}"))]).remove(0)]
                    .map(|reply| reply.status);
            assert_eq!(status, [Status::OK; 2], "{name}");
            let used = store.stat("memory_bytes");
            assert!(used < (5 << 18) + 250_000, "{name} {n}: {used} bytes");
        }
    }
}

#[test]
fn what_does_not_expire_any_more_hides_nothing_that_does() {
    for policy in ["volatile-lru", "volatile-random", "volatile-ttl"] {
        let store = open(&[("shards", "1"), ("maxmemory", "1mb"), ("maxmemory-policy", policy)]);
        for n in 0..4000 {
            store.one(TestOp::set(key(n), [0; 100]).expiring(2_000_000));
            if n % 100 != 0 {
                store.one(TestOp::update(key(n), Change::SetExpiry(0)));
            }
        }
        let full = (0..10_000)
            .find(|n| store.one(TestOp::set(format!("more {n}"), [0; 100])).status == Status::FULL);
        assert!(full.is_some(), "{policy}");
        assert_eq!((store.stat("keys_with_expiry"), evicted(&store).len()), (0, 40), "{policy}");
        assert!(store.stat("memory_bytes") < (1 << 20) + 20_000, "{policy}");
    }
}

/// What may be done with an entry again and again.
type Use = fn(&Store, String);

/// Every way in which a client uses an entry, but for a SET.
const USES: [(&str, Use); 6] = [
    ("GET", |store, key| _ = store.one(TestOp::get(key))),
    ("atomic GET", |store, key| _ = store.atomic(vec![TestOp::get(key)])),
    ("KEEP", |store, key| _ = store.one(TestOp::update(key, Change::Keep))),
    ("PATCH", |store, key| _ = store.one(TestOp::update(key, Change::Patch(0, vec![1], 100)))),
    ("REPLACE", |store, key| _ = store.one(TestOp::update(key, Change::Replace(vec![0; 100], 0, 0, 0)))),
    ("SET_EXPIRY", |store, key| _ = store.one(TestOp::update(key, Change::SetExpiry(0)))),
];

/// How many of 100 entries stay of which each is used time and again while thousands are stored beside them.
fn used_ones_that_stay(policy: &str, each: Use) -> usize {
    let store = open(&[("shards", "2"), ("maxmemory", "120kb"), ("maxmemory-policy", policy)]);
    for n in 0..100 {
        store.one(TestOp::set(key(n), [0; 100]));
    }
    let mut now_ms = store.host.now_ms();
    for n in 100..2500 {
        if n % 20 == 0 {
            (0..100).for_each(|n| each(&store, key(n)));
            now_ms += 2_000;
            store.host.set_now_ms(now_ms);
        }
        store.one(TestOp::set(key(n), [0; 100]));
    }
    // Some uses store it anew, so to be there is not enough.
    let gone: BTreeSet<Vec<u8>> = store.host.take_events().into_iter().map(|event| event.key).collect();
    100 - (0..100).filter(|n| gone.contains(key(*n).as_bytes())).count()
}

#[test]
fn what_is_used_stays_with_lru_and_lfu_however_it_is_used() {
    for policy in ["allkeys-lru", "allkeys-lfu"] {
        for (name, each) in USES {
            let stayed = used_ones_that_stay(policy, each);
            assert!(stayed > 90, "{policy}, {name}: {stayed} of 100 stayed");
        }
    }
}

#[test]
fn an_entry_that_is_written_over_is_as_much_used_as_before() {
    let set: Use = |store, key| _ = store.one(TestOp::set(key, [0; 100]));
    let stayed = used_ones_that_stay("allkeys-lfu", set);
    assert!(stayed > 90, "{stayed} of 100 stayed");
}

#[test]
fn limits_are_written_as_in_redis() {
    let limit = |text: &str| open(&[("maxmemory", text)]).stat("memory_limit_bytes");
    assert_eq!(
        [limit("0"), limit("100"), limit("1k"), limit("1KB"), limit("2mb"), limit("1g")],
        [0, 100, 1000, 1024, 2 << 20, 1_000_000_000]
    );
    for wrong in ["", "mb", "1.5gb", "-1", "1tb", "99999999999999999999", "9999999999gb"] {
        let calls = engine_testing::calls!(kv_submit);
        let error = Store::open(calls, &[("maxmemory", wrong)]).unwrap_err();
        assert!(error.text.contains("is not a number of bytes, such as 100mb"), "{error:?}");
    }
    let error = Store::open(engine_testing::calls!(kv_submit), &[("maxmemory-policy", "lru")]).unwrap_err();
    assert!(error.text.contains("noeviction, allkeys-lru"), "{error:?}");
}

#[test]
fn threads_that_write_at_the_limit_are_not_refused_while_others_can_go() {
    let store = limited("allkeys-random");
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let store = &store;
            scope.spawn(move || {
                for n in 0..2000 {
                    let op = TestOp::set(format!("{thread}:{n}"), [0; 100]);
                    let status = if n % 2 == 0 { store.call(&op).status } else { store.one(op).status };
                    assert_eq!(status, Status::OK, "write {n} of thread {thread}");
                }
            });
        }
    });
}
