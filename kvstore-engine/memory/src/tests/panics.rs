//! After a panic nobody uses what it may have left half changed.

use std::panic::{catch_unwind, resume_unwind};

use engine_testing::{Store, TestOp};
use plugin_abi::Status;
use plugin_abi::raw::KV_HANDOFF_ADOPT;

use super::{open, wait_until};
use crate::limit::{Limit, Policy};
use crate::pages::PAGE;
use crate::state::{Root, ShardState};
use crate::table::Table;

/// Changes the record of the first shard, while a handoff holds everything else back.
fn damage(store: &Store, change: impl FnOnce(&mut ShardState)) {
    let session = store.instance().session();
    session.handoff_prepare(KV_HANDOFF_ADOPT).unwrap();
    let root = session.handoff_give().unwrap().regions().unwrap()[0].base.cast::<u8>();
    // SAFETY: the first span of the first region is the root, and the records of the shards lie behind it; the engine is halted.
    change(unsafe { &mut *root.add(PAGE + size_of::<Root>()).cast::<ShardState>() });
    session.handoff_abort().unwrap();
}

/// Whether a state that the engine gives is marked.
fn gives_suspect(store: &Store) -> bool {
    let session = store.instance().session();
    session.handoff_prepare(KV_HANDOFF_ADOPT).unwrap();
    let suspect = session.handoff_give().unwrap().is_suspect();
    session.handoff_abort().unwrap();
    suspect
}

#[test]
fn a_shard_under_whose_lock_somebody_panicked_is_not_used_again() {
    let table = Table::new(2, Limit::new(0, Policy::NoEviction)).unwrap();
    assert!(!table.is_suspect());
    let died = std::thread::scope(|scope| {
        let dies = || {
            let _held = table.lock(0);
            resume_unwind(Box::new("as planned"))
        };
        scope.spawn(dies).join()
    });
    died.unwrap_err();
    assert!(table.is_suspect() && table.lock_whole(0).is_none());
    let locked = std::thread::scope(|scope| scope.spawn(|| drop(table.lock(0))).join());
    assert!(locked.unwrap_err().downcast_ref::<&str>().unwrap().contains("another call has panicked"));
    assert!(catch_unwind(|| table.clear()).is_err());
    drop(table.lock(1));
}

#[test]
fn the_thread_ends_after_a_call_panicked() {
    let store = open(&[("shards", "1")]);
    store.one(TestOp::set("k", "v").expiring(1_000_010));
    damage(&store, |shard| shard.live_bytes = 0);
    assert!(!gives_suspect(&store));
    assert_eq!(store.call(&TestOp::delete("k")).status, Status::PANIC);
    store.host.set_now_ms(2_000_000);
    wait_until(|| store.host.log().contains("thread ends: a call has panicked under a lock"));
    assert!(store.host.log().contains("log.rs:"), "{}", store.host.log());
    assert_eq!(store.call(&TestOp::get("k")).status, Status::POISONED);
    assert!(store.host.take_events().is_empty() && gives_suspect(&store));
}

#[test]
fn a_panic_of_the_thread_is_told_and_fails_who_needs_the_shard() {
    let store = open(&[("shards", "1")]);
    store.one(TestOp::set("k", "v").expiring(1_000_010));
    damage(&store, |shard| shard.heap_len = 1 << 20);
    store.host.set_now_ms(1_000_020);
    wait_until(|| store.host.log().contains("own thread panicked: index out of bounds"));
    assert!(gives_suspect(&store), "though no call has panicked");
    let refused = store.call(&TestOp::get("k"));
    assert_eq!((refused.status, refused.text.contains("expiry.rs:")), (Status::PANIC, true), "{refused:?}");
    assert_eq!(store.call(&TestOp::get("other")).status, Status::POISONED);
}
