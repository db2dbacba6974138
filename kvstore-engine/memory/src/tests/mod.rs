//! Tests of the engine as a whole, through the functions that it exports.

mod atomic;
mod choice;
mod concurrent;
mod eviction;
mod expiry;
mod limits;
mod model;
mod panics;
mod random;
mod scan;
mod suspect;

use engine_testing::Store;
use plugin_abi::Identity;
use plugin_abi::calls::Calls;

/// The engine's functions.
fn engine() -> (Calls, Identity) {
    engine_testing::calls!(
        kv_update,
        kv_submit,
        kv_cancel,
        kv_scan,
        kv_random,
        kv_count,
        kv_stats,
        kv_clear,
        kv_sync,
        kv_sequence,
        kv_handoff_prepare,
        kv_handoff_give,
        kv_handoff_commit,
        kv_handoff_abort
    )
}

/// An open engine.
fn open(options: &[(&str, &str)]) -> Store {
    Store::open(engine(), options).unwrap()
}

/// Waits for what the engine's own thread does.
fn wait_until(holds: impl Fn() -> bool) {
    while !holds() {
        std::thread::yield_now();
    }
}
