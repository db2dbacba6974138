//! Atomic batches: all or nothing, at one moment.

use engine_testing::{Change, Reply, Store, TestOp};
use plugin_abi::Status;

use super::open;

fn statuses(replies: &[Reply]) -> Vec<Status> {
    replies.iter().map(|reply| reply.status).collect()
}

#[test]
fn reads_see_the_writes_before_them_and_none_behind() {
    let store = open(&[]);
    store.one(TestOp::set("a", "1"));
    let replies = store.atomic(vec![
        TestOp::get("a"),
        TestOp::update("a", Change::Append(b"2".to_vec())),
        TestOp::get("a"),
        TestOp::delete("a"),
        TestOp::get("a"),
        TestOp::set("a", "3"),
        TestOp::get("a"),
    ]);
    let values: Vec<_> = [0, 2, 4, 6].map(|i: usize| replies[i].value.clone()).into();
    assert_eq!(values, [&b"1"[..], b"12", b"", b"3"]);
    assert_eq!(replies[4].status, Status::NOT_FOUND);
}

#[test]
fn a_failure_in_the_middle_leaves_everything_as_it_was() {
    // One shard: the batch moves entries about, and the way back has to put them where they were.
    let store = open(&[("shards", "1")]);
    for n in 0..20 {
        store.one(TestOp::set(format!("k{n}"), format!("v{n}")).expiring(if n % 2 == 0 {
            2_000_000
        } else {
            0
        }));
    }
    let (before, keys, expiring) = (store.scan(7), store.stat("keys"), store.stat("keys_with_expiry"));
    let replies: Vec<Reply> = (0..20).map(|n| store.one(TestOp::get(format!("k{n}")))).collect();

    let no_memory = Change::Patch(usize::MAX / 4, vec![1], usize::MAX / 4 + 1);
    let outcome = store.atomic(vec![
        TestOp::delete("k3"),
        TestOp::delete("k19"),
        TestOp::delete("k0"),
        TestOp::set("new", "x").expiring(1_500_000),
        TestOp::set("k3", "again"),
        TestOp::update("k4", Change::Append(b"tail".to_vec())),
        TestOp::update("k4", Change::Patch(1, b"Z".to_vec(), 2)),
        TestOp::update("k5", Change::SetExpiry(1_700_000)),
        TestOp::update("k6", Change::Replace(b"other".to_vec(), 0, 5, 6)),
        TestOp::update("k7", Change::Remove),
        TestOp::set("k8", "gone at once").expiring(1),
        TestOp::get("k8"),
        TestOp::update("k9", no_memory),
        TestOp::set("behind", "x"),
    ]);
    for (i, reply) in outcome.iter().enumerate() {
        let expected = if i == 12 { Status::FULL } else { Status::ABORTED };
        assert_eq!(reply.status, expected, "operation {i}");
    }

    assert_eq!(store.scan(7), before, "also in the order that a scan relies on");
    assert_eq!((store.stat("keys"), store.stat("keys_with_expiry")), (keys, expiring));
    for (n, reply) in replies.iter().enumerate() {
        assert_eq!(store.one(TestOp::get(format!("k{n}"))), *reply);
    }
    store.host.set_now_ms(2_000_000);
    store.stat("keys");
    assert_eq!(store.scan(7).len(), 10, "the index of expiries names the right entries");
}

#[test]
fn expected_versions_are_those_before_the_batch() {
    let store = open(&[]);
    let version = store.one(TestOp::set("a", "1")).version;
    let watched =
        vec![TestOp::set("a", "2"), TestOp::get("a").expecting(version), TestOp::get("b").expecting(0)];
    assert_eq!(statuses(&store.atomic(watched.clone())), [Status::OK, Status::OK, Status::NOT_FOUND]);
    assert_eq!(statuses(&store.atomic(watched)), [Status::ABORTED, Status::CONFLICT, Status::ABORTED]);
    assert_eq!(store.one(TestOp::get("a")).value, b"2");
}

#[test]
fn an_expired_entry_counts_as_none() {
    let store = open(&[]);
    let version = store.one(TestOp::set("a", "1").expiring(1_000_100)).version;
    store.host.set_now_ms(1_000_100);
    let replies = store.atomic(vec![TestOp::set("b", "1"), TestOp::get("a").expecting(version)]);
    assert_eq!(statuses(&replies), [Status::ABORTED, Status::CONFLICT]);
    let replies = store.atomic(vec![TestOp::set("a", "2").expecting(0), TestOp::get("a")]);
    assert_eq!(statuses(&replies), [Status::OK, Status::OK]);
    assert_eq!(store.host.take_events().len(), 1);
}

#[test]
fn a_malformed_operation_stops_the_batch_before_it_begins() {
    let store = open(&[]);
    let odd = TestOp { flags: 1 << 9, ..TestOp::get("a") };
    let replies = store.atomic(vec![TestOp::set("a", "1"), odd]);
    assert_eq!(statuses(&replies), [Status::ABORTED, Status::INVALID]);
    assert_eq!(store.one(TestOp::get("a")).status, Status::NOT_FOUND);
}

/// Bytes of the system's memory for each byte that entries take.
fn waste(store: &Store) -> f64 {
    store.stat("memory_held_bytes") as f64 / store.stat("memory_bytes") as f64
}

#[test]
fn what_a_large_batch_replaces_and_removes_leaves_no_more_gaps_than_single_writes_do() {
    let store = open(&[("shards", "1")]);
    let set = |n: usize, len| TestOp::set(format!("{n}"), vec![b'v'; len]);
    store.batch((0..20_000).map(|n| set(n, 100)).collect());
    store.atomic((0..20_000).step_by(2).map(|n| set(n, 120)).collect());
    assert!(waste(&store) < 1.4, "{} after entries were replaced", waste(&store));
    store.atomic((0..20_000).filter(|n| n % 4 != 0).map(|n| TestOp::delete(format!("{n}"))).collect());
    assert!(waste(&store) < 1.4, "{} after entries were removed", waste(&store));
    let keys = (0..20_000).step_by(4).map(|n| TestOp::get(format!("{n}"))).collect();
    assert!(store.batch(keys).iter().all(|reply| reply.value == [b'v'; 120]));
}

#[test]
fn a_large_batch_that_fails_leaves_no_more_memory_taken_than_before() {
    let store = open(&[("shards", "1")]);
    store.batch((0..1000).map(|n| TestOp::set(format!("{n}"), vec![b'v'; 100])).collect());
    let (used, held) = (store.stat("memory_bytes"), store.stat("memory_held_bytes"));
    let mut ops: Vec<TestOp> = (0..20_000).map(|n| TestOp::set(format!("new {n}"), [b'v'; 100])).collect();
    ops.push(TestOp::update("0", Change::Patch(usize::MAX / 4, vec![1], usize::MAX / 4 + 1)));
    assert_eq!(store.atomic(ops).pop().unwrap().status, Status::FULL);
    assert!(store.stat("memory_bytes") <= used, "{} bytes of {used}", store.stat("memory_bytes"));
    assert!(store.stat("memory_held_bytes") <= held + (64 << 10));
}
