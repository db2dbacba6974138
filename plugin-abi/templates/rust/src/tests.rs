//! Tests of the engine through the functions that it exports. Here the engine is linked into its test, so a debugger, a sanitizer
//! or a profiler has both in one process.

use std::sync::atomic::{AtomicU32, Ordering};

use engine_testing::{Event, Store, TestOp};
use plugin_abi::calls::Calls;
use plugin_abi::conformance::{self, Outcome, PATIENCE_MS, Subject};
use plugin_abi::raw::KV_EVENT_EXPIRED;
use plugin_abi::{Identity, Status};

/// The engine's functions. The names are those in `export_engine!`.
fn engine() -> (Calls, Identity) {
    engine_testing::calls!(kv_scan, kv_count, kv_clear, kv_sequence)
}

fn open(options: &[(&str, &str)]) -> Store {
    Store::open(engine(), options).unwrap()
}

/// What `kvstore-host check` runs too, there in a process of its own and with a look at what is left in memory.
#[test]
fn the_engine_keeps_the_contract() {
    let (calls, identity) = engine();
    let (home, next) = (tempfile::tempdir().unwrap(), AtomicU32::new(0));
    let scratch_dir = || {
        let number = next.fetch_add(1, Ordering::Relaxed).to_string();
        let dir = home.path().join(number);
        std::fs::create_dir(&dir).unwrap();
        dir.to_str().unwrap().to_owned()
    };
    let subject = Subject {
        calls,
        identity,
        options: Vec::new(),
        scratch_dir: &scratch_dir,
        parallel: &|all| {
            std::thread::scope(|scope| {
                for one in all {
                    scope.spawn(one);
                }
            });
        },
        patience_ms: PATIENCE_MS,
    };
    let failed = |case: &conformance::Case| matches!(case.outcome, Outcome::Failed(_));
    let failed: Vec<_> = conformance::run(&subject).into_iter().filter(failed).collect();
    // An open engine has taken the panic hook, which would print this.
    failed.iter().for_each(|case| eprintln!("{case:#?}"));
    assert!(failed.is_empty());
}

#[test]
fn an_entry_that_expires_is_gone_and_the_host_is_told_once() {
    let store = open(&[]);
    let now_ms = store.host.now_ms();
    let set = store.call(&TestOp::set("k", "v").expiring(now_ms + 10));
    assert_eq!(set.status, Status::OK);
    assert_eq!(store.call(&TestOp::get("k")).value, b"v");
    store.host.set_now_ms(now_ms + 10);
    for _ in 0..2 {
        assert_eq!(store.call(&TestOp::get("k")).status, Status::NOT_FOUND);
    }
    let expired = Event { kind: KV_EVENT_EXPIRED, key: b"k".to_vec(), version: set.version };
    assert_eq!(store.host.take_events(), [expired]);
}

#[test]
fn entries_are_the_same_in_any_number_of_shards() {
    for shards in ["1", "2", "256"] {
        let store = open(&[("shards", shards)]);
        for number in 0..300 {
            store.call(&TestOp::set(format!("{number:03}"), "v"));
        }
        let mut found = store.scan(7);
        found.sort();
        let keys = found.iter().map(|(key, _)| String::from_utf8_lossy(key).into_owned());
        assert!(keys.eq((0..300).map(|number| format!("{number:03}"))), "{shards} shards");
    }
}

#[test]
fn bad_options_are_refused_with_what_is_wanted() {
    for (key, value, told) in [
        ("shards", "0", "0 is not a number from 1 to 256"),
        ("shards", "many", "'many' is not a number from 1 to 256"),
        ("shard", "1", "known options: shards"),
    ] {
        let error = Store::open(engine(), &[(key, value)]).unwrap_err();
        assert_eq!(error.status, Status::INVALID);
        assert!(error.text.contains(told), "{error}");
    }
}
