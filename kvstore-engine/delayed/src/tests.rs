//! Tests of the engine as a whole, through the functions that it exports.

use engine_testing::{Change, Features, Reply, Store, TestOp, random_run};
use plugin_abi::Status;
use plugin_abi::raw::KV_BATCH_ATOMIC;

/// A minute: nothing happens by itself while a test runs.
const NEVER: (&str, &str) = ("delay_us", "60000000..60000000");

fn try_open(options: &[(&str, &str)]) -> Result<Store, plugin_abi::calls::CallError> {
    let calls = engine_testing::calls!(kv_submit, kv_cancel, kv_scan, kv_count, kv_stats, kv_clear);
    Store::open(calls, options)
}

fn open(options: &[(&str, &str)]) -> Store {
    try_open(options).unwrap()
}

fn all(replies: &[Reply], status: Status) -> bool {
    replies.iter().all(|reply| reply.status == status)
}

fn sets(count: usize) -> Vec<TestOp> {
    (0..count).map(|n| TestOp::set(format!("{n}"), "v")).collect()
}

#[test]
fn random_operations_agree_with_the_model() {
    for seed in 0..6 {
        let store = open(&[("delay_us", "0..30"), ("seed", &seed.to_string())]);
        random_run(&store, Features { update: false }, seed, 300);
    }
}

#[test]
fn completions_come_out_of_order_alone_and_in_ranges() {
    let store = open(&[]);
    let (mut disorder, mut alone, mut together) = (0, 0, 0);
    for _ in 0..50 {
        let (replies, ranges) = store.submit(0, 0, sets(20)).wait_ranges();
        assert!(all(&replies, Status::OK));
        disorder += usize::from(!ranges.is_sorted());
        alone += ranges.iter().filter(|(_, count)| *count == 1).count();
        together += ranges.iter().filter(|(_, count)| *count > 1).count();
    }
    assert!(disorder > 0 && alone > 0 && together > 0, "{disorder} {alone} {together}");
}

#[test]
fn different_keys_take_effect_out_of_order_and_one_key_never() {
    let store = open(&[]);
    let mut disorder = 0;
    for _ in 0..50 {
        let replies = store.batch(sets(20));
        disorder += usize::from(!replies.is_sorted_by_key(|reply| reply.version));
        let mut ops: Vec<TestOp> = (0..20).map(|n| TestOp::set("k", format!("{n}"))).collect();
        ops.push(TestOp::get("k"));
        let replies = store.batch(ops);
        assert!(replies.is_sorted_by_key(|reply| reply.version), "{replies:?}");
        assert_eq!(replies[20].value, b"19");
    }
    assert!(disorder > 0);
}

#[test]
fn completions_come_from_another_thread_after_the_submission() {
    let store = open(&[NEVER]);
    let ticket = store.submit(0, 0, sets(3));
    // Only an engine that keeps the batch can still cancel it.
    ticket.cancel(&store);
    assert!(all(&ticket.wait(), Status::CANCELLED));
    assert_eq!((store.stat("keys"), store.stat("operations_total")), (0, 0));
}

#[test]
fn the_first_batches_are_complete_at_once_if_that_is_wanted() {
    let store = open(&[NEVER, ("prompt", "3")]);
    for atomic in [0, KV_BATCH_ATOMIC, 0] {
        assert!(all(&store.submit(atomic, 0, sets(3)).wait(), Status::OK));
    }
    let ticket = store.submit(0, 0, sets(3));
    ticket.cancel(&store);
    assert!(all(&ticket.wait(), Status::CANCELLED), "the fourth is late");
}

#[test]
fn a_deadline_ends_what_has_not_begun() {
    let store = open(&[NEVER]);
    for flags in [0, KV_BATCH_ATOMIC] {
        let replies = store.submit(flags, store.host.monotonic_ns() + 1_000_000, sets(3)).wait();
        assert!(all(&replies, Status::TIMEOUT), "{replies:?}");
        assert!(all(&store.submit(flags, 1, sets(3)).wait(), Status::TIMEOUT), "a deadline in the past");
    }
    assert_eq!(store.stat("operations_total"), 0);
}

#[test]
fn closing_completes_what_is_left() {
    let store = open(&[NEVER]);
    let tickets = [0, KV_BATCH_ATOMIC].map(|flags| store.submit(flags, 0, sets(5)));
    store.close();
    for ticket in tickets {
        assert!(all(&ticket.wait(), Status::CANCELLED));
    }
}

#[test]
fn a_cancel_that_comes_too_late_does_nothing() {
    let store = open(&[("delay_us", "0")]);
    for _ in 0..100 {
        let ticket = store.submit(0, 0, sets(4));
        ticket.cancel(&store);
        let replies = ticket.wait();
        let stays = replies.iter().filter(|reply| reply.status == Status::OK).count();
        assert!(replies.iter().all(|reply| [Status::OK, Status::CANCELLED].contains(&reply.status)));
        assert!(store.stat("keys") >= stays as i64);
    }
}

#[test]
fn errors_come_on_demand_and_without_effect() {
    for (name, status) in
        [("UNAVAILABLE", Status::UNAVAILABLE), ("RETRY", Status::RETRY), ("FULL", Status::FULL)]
    {
        let store = open(&[("error_rate", "1"), ("error", name)]);
        assert!(all(&store.batch(sets(20)), status));
        assert_eq!(store.call(&TestOp::set("k", "v")).status, status);
        assert_eq!(store.instance().session().clear(0).unwrap_err().status, status);
        let replies = store.atomic(sets(3));
        assert_eq!((replies[0].status, replies[1].status), (status, Status::ABORTED));
        assert_eq!(store.stat("keys"), 0);
        assert_eq!(store.stat("ordered_errors_total"), 23);
    }
    let store = open(&[("error_rate", "0.2")]);
    let failed = store.batch(sets(500)).iter().filter(|reply| reply.status == Status::UNAVAILABLE).count();
    assert!((40..200).contains(&failed), "{failed} of 500");
    assert_eq!(store.stat("keys"), 500 - failed as i64);
}

#[test]
fn of_what_is_unknown_a_part_happens() {
    let store = open(&[("error_rate", "1.0"), ("error", "UNKNOWN")]);
    assert!(all(&store.batch(sets(200)), Status::UNKNOWN));
    let happened = store.stat("keys");
    assert!((50..150).contains(&happened), "{happened} of 200");
    assert!(all(&store.atomic(sets(3)), Status::UNKNOWN));
}

#[test]
fn one_chosen_operation_fails() {
    let store = open(&[("fail_at", "3"), ("error", "TIMEOUT")]);
    let statuses: Vec<Status> = (0..4).map(|_| store.call(&TestOp::set("k", "v")).status).collect();
    assert_eq!(statuses, [Status::OK, Status::OK, Status::TIMEOUT, Status::OK]);
}

#[test]
fn compare_and_set_from_eight_threads_loses_nothing() {
    let store = open(&[("delay_us", "0..20")]);
    store.one(TestOp::set("n", "0"));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let mut wins = 0;
                while wins < 20 {
                    let now = store.one(TestOp::get("n"));
                    let number: u32 = str::from_utf8(&now.value).unwrap().parse().unwrap();
                    let set = TestOp::set("n", (number + 1).to_string()).expecting(now.version);
                    let reply =
                        if wins % 2 == 0 { store.call(&set) } else { store.atomic(vec![set]).remove(0) };
                    wins += u32::from(reply.status == Status::OK);
                }
            });
        }
    });
    assert_eq!(store.one(TestOp::get("n")).value, b"160");
}

#[test]
fn what_was_acknowledged_is_seen_by_the_next_call() {
    let store = open(&[]);
    for n in 0..200 {
        let value = n.to_string().into_bytes();
        let set = TestOp::set("k", &value);
        assert_eq!(if n % 2 == 0 { store.one(set) } else { store.call(&set) }.status, Status::OK);
        let get = TestOp::get("k");
        assert_eq!(if n % 3 == 0 { store.one(get) } else { store.call(&get) }.value, value);
    }
}

#[test]
fn updates_and_long_keys_are_refused() {
    let store = open(&[]);
    let keep = TestOp::update("k", Change::Keep);
    assert_eq!(store.one(keep.clone()).status, Status::UNSUPPORTED);
    assert_eq!(store.atomic(vec![TestOp::set("a", "1"), keep])[0].status, Status::ABORTED);
    assert_eq!(store.one(TestOp::set(vec![b'k'; 65_537], "v")).status, Status::TOO_LARGE);
    assert_eq!(store.one(TestOp::set(vec![b'k'; 65_536], "v")).status, Status::OK);
    assert_eq!(store.one(TestOp::set("", "v")).status, Status::OK);
    assert_eq!(store.scan(1).len(), 2, "cursors carry the longest and the empty key");
}

#[test]
fn options_are_checked_and_the_known_ones_are_listed() {
    let refused = |key, value| {
        let error = try_open(&[(key, value)]).unwrap_err();
        assert_eq!(error.status, Status::INVALID);
        error.text
    };
    let known = "known options: delay_us, seed, error_rate, error, fail_at, prompt, wait_at";
    assert_eq!(refused("latency", "4"), format!("unknown option 'latency'; {known}"));
    for (key, value) in [
        ("delay_us", "5..1"),
        ("delay_us", "a"),
        ("error_rate", "1.5"),
        ("error_rate", "NaN"),
        ("error", "PANIC"),
        ("error", "OK"),
        ("error", "retry"),
        ("fail_at", "-1"),
        ("prompt", "some"),
        ("wait_at", "3"),
        ("wait_at", "a:b"),
    ] {
        assert!(refused(key, value).contains(&format!("option '{key}'")));
    }
}
