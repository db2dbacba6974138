//! Symbols: each declared function has the type that the host resolves it to.

use plugin_abi::raw::*;

/// Holds a declaration and a type together at compile time. An unnamed constant is checked and never linked.
macro_rules! agree {
    ($($function:ident: $type:ty),* $(,)?) => {
        $(const _: $type = $function;)*

        /// The functions that are held to their types here.
        pub(crate) const CHECKED: &[&str] = &[$(stringify!($function)),*];
    };
}

agree! {
    kv_open: KvOpenFn,
    kv_close: KvCloseFn,
    kv_get: KvGetFn,
    kv_set: KvSetFn,
    kv_delete: KvDeleteFn,
    kv_update: KvUpdateCallFn,
    kv_submit: KvSubmitFn,
    kv_cancel: KvCancelFn,
    kv_release: KvReleaseFn,
    kv_scan: KvScanFn,
    kv_random: KvRandomFn,
    kv_count: KvCountFn,
    kv_stats: KvStatsFn,
    kv_clear: KvClearFn,
    kv_sync: KvSyncFn,
    kv_sequence: KvSequenceFn,
    kv_handoff_prepare: KvHandoffPrepareFn,
    kv_handoff_give: KvHandoffGiveFn,
    kv_handoff_commit: KvHandoffCommitFn,
    kv_handoff_abort: KvHandoffAbortFn,
}
