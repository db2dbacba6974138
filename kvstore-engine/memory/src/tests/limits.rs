//! Options, malformed operations, memory.

use engine_testing::{Change, TestOp};
use plugin_abi::Status;

use super::open;

#[test]
fn options_are_checked_and_the_known_ones_are_listed() {
    let refused = |options: &[(&str, &str)]| {
        let calls = engine_testing::calls!(kv_submit);
        let error = engine_testing::Store::open(calls, options).unwrap_err();
        assert_eq!(error.status, Status::INVALID);
        error.text
    };
    assert_eq!(
        refused(&[("shard", "4")]),
        "unknown option 'shard'; known options: shards, maxmemory, maxmemory-policy"
    );
    for wrong in ["0", "3", "8192", "-1", "many", ""] {
        let text = refused(&[("shards", wrong)]);
        assert!(text.contains("a power of two from 1 to 4096"), "{text}");
    }
    assert_eq!(open(&[("shards", "4096")]).stat("shards"), 4096);
}

#[test]
fn malformed_operations_are_refused_one_by_one() {
    let store = open(&[]);
    let replies = store.batch(vec![
        TestOp { kind: 99, ..TestOp::get("k") },
        TestOp { flags: 1 << 20, ..TestOp::set("k", "v") },
        TestOp { space: 1, ..TestOp::set("k", "v") },
        TestOp { change: None, ..TestOp::update("k", Change::Keep) },
        TestOp::set("k", "v").importing(0),
        TestOp::set("k", "v").importing(u64::MAX),
        TestOp::get("k"),
    ]);
    let statuses: Vec<Status> = replies.iter().map(|reply| reply.status).collect();
    let invalid = Status::INVALID;
    assert_eq!(
        statuses,
        [invalid, invalid, Status::UNSUPPORTED, invalid, invalid, invalid, Status::NOT_FOUND]
    );
    assert_eq!(store.instance().session().count(1).unwrap_err().status, Status::UNSUPPORTED);
    assert_eq!(store.instance().session().clear(1).unwrap_err().status, Status::UNSUPPORTED);
}

#[test]
fn a_value_beyond_memory_is_full_and_the_old_one_stays() {
    let store = open(&[]);
    store.one(TestOp::set("k", "old"));
    let reply = store.one(TestOp::update("k", Change::Patch(1 << 60, vec![1], (1 << 60) + 1)));
    assert_eq!(reply.status, Status::FULL);
    let reply = store.call(&TestOp::update("absent", Change::Patch(1 << 60, vec![1], (1 << 60) + 1)));
    assert_eq!(reply.status, Status::FULL);
    assert_eq!(store.one(TestOp::get("k")).value, b"old");
    assert_eq!(store.one(TestOp::get("absent")).status, Status::NOT_FOUND);
}

#[test]
fn keys_and_values_of_any_bytes() {
    let store = open(&[]);
    let odd: Vec<u8> = (0..=255).collect();
    for key in [&b""[..], b"\0", &odd, &odd[1..]] {
        store.one(TestOp::set(key, &odd));
        assert_eq!(store.one(TestOp::get(key)).value, odd);
    }
    assert_eq!(store.scan(1).len(), 4);
}

#[test]
fn memory_is_given_back_after_a_mass_deletion() {
    let store = open(&[("shards", "2")]);
    let fresh = store.stat("memory_bytes");
    for n in 0..20_000 {
        store.one(TestOp::set(format!("{n}"), vec![b'v'; 100]));
    }
    let full = store.stat("memory_bytes");
    assert!(full > 20_000 * 100, "{full}");
    for n in 0..19_990 {
        store.one(TestOp::delete(format!("{n}")));
    }
    let left = store.stat("memory_bytes");
    assert!(left - fresh < full / 50, "{full} bytes became {left}");
    store.instance().session().clear(0).unwrap();
    assert_eq!(store.stat("memory_bytes"), fresh);
}

#[test]
fn gaps_are_closed_wherever_they_are() {
    let store = open(&[("shards", "1")]);
    (0..20_000).for_each(|n| _ = store.one(TestOp::set(format!("{n}"), [b'v'; 100])));
    // Only among the oldest ones; the newest chunks stay full.
    for n in (0..12_000).filter(|n| n % 3 != 0) {
        store.one(TestOp::delete(format!("{n}")));
    }
    let (used, held) = (store.stat("memory_bytes"), store.stat("memory_held_bytes"));
    assert!(held < used + used / 3 + (64 << 10), "{held} bytes are held for {used}");
}

#[test]
fn a_value_cut_short_gives_its_buffer_back() {
    let store = open(&[]);
    store.one(TestOp::set("k", vec![b'v'; 1 << 20]));
    store.one(TestOp::update("k", Change::Patch(0, Vec::new(), 10)));
    assert!(store.stat("memory_bytes") < 1 << 16);
}

#[test]
fn versions_go_on_after_delete_clear_and_import() {
    let store = open(&[]);
    let first = store.one(TestOp::set("k", "v")).version;
    store.one(TestOp::delete("k"));
    store.instance().session().clear(0).unwrap();
    let second = store.one(TestOp::set("k", "v")).version;
    assert!(second > first);
    store.one(TestOp::set("imported", "v").importing(1 << 40));
    assert_eq!(store.one(TestOp::get("imported")).version, 1 << 40);
    assert!(store.one(TestOp::set("k", "v")).version > 1 << 40);
}

#[test]
fn a_version_that_would_use_the_sequence_up_is_not_imported() {
    let store = open(&[]);
    let session = store.instance().session();
    let last = (1 << 56) - 1;
    assert_eq!(session.sequence(last).unwrap_err().status, Status::INVALID);
    assert_eq!(store.one(TestOp::set("k", "v").importing(last)).status, Status::INVALID);
    assert_eq!(store.one(TestOp::get("k")).status, Status::NOT_FOUND);
    let highest = last - (1 << 52);
    assert_eq!(store.one(TestOp::set("k", "v").importing(highest)).version, highest);
    assert_eq!(store.one(TestOp::set("k", "v")).version, highest + 1);
    assert_eq!(session.sequence(0).unwrap(), highest + 1);
}

#[test]
fn a_large_batch_answers_each_operation_once() {
    let store = open(&[]);
    let sets = (0..5000).map(|n| TestOp::set(format!("{n}"), format!("v{n}"))).collect();
    assert!(store.batch(sets).iter().all(|reply| reply.status == Status::OK));
    let gets: Vec<TestOp> = (0..5000).map(|n| TestOp::get(format!("{n}"))).collect();
    for replies in [store.batch(gets.clone()), store.atomic(gets)] {
        assert!(replies.iter().enumerate().all(|(n, reply)| reply.value == format!("v{n}").into_bytes()));
    }
    assert!(store.batch(Vec::new()).is_empty() && store.atomic(Vec::new()).is_empty());
}
