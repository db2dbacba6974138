//! Tests of the engine as a whole, through the functions that it exports.

mod atomic;
mod choice;
mod concurrent;
mod expiry;
mod limits;
mod random;
mod scan;

use engine_testing::Store;

/// An open engine.
fn open(options: &[(&str, &str)]) -> Store {
    let calls = engine_testing::calls!(
        kv_update, kv_submit, kv_cancel, kv_scan, kv_random, kv_count, kv_stats, kv_clear, kv_sync
    );
    Store::open(calls, options).unwrap()
}
