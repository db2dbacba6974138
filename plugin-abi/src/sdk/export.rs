//! Export: the macro that turns an implementation of `Engine` into the symbols of a library.

/// Exports an engine: `kv_abi`, the required functions, the layout item, and the optional functions that are named.
///
/// ```text
/// plugin_abi::export_engine!(Memory { update, submit, scan, count, clear });
/// ```
///
/// The names are those of the symbols without `kv_`; `handoff` stands for all four of the set.
#[macro_export]
macro_rules! export_engine {
    ($engine:ty { $($optional:ident),* $(,)? }) => {
        #[allow(non_upper_case_globals, missing_docs, unreachable_pub)]
        #[unsafe(no_mangle)]
        pub static kv_abi: $crate::raw::KvIdentity = {
            type E = $engine;
            $crate::raw::KvIdentity {
                magic: $crate::raw::KV_ABI_MAGIC,
                abi_major: $crate::raw::KV_ABI_MAJOR,
                abi_minor: $crate::raw::KV_ABI_MINOR,
                struct_size: size_of::<$crate::raw::KvIdentity>() as u32,
                state_version: <E as $crate::sdk::Engine>::STATE_VERSION,
                capabilities: <E as $crate::sdk::Engine>::CAPABILITIES,
                key_len_max: <E as $crate::sdk::Engine>::KEY_LEN_MAX,
                value_len_max: <E as $crate::sdk::Engine>::VALUE_LEN_MAX,
                batch_len_max: <E as $crate::sdk::Engine>::BATCH_LEN_MAX,
                name: $crate::identity::identity_text(<E as $crate::sdk::Engine>::NAME),
                version: $crate::identity::identity_text(<E as $crate::sdk::Engine>::VERSION),
                state_format: $crate::identity::identity_text(<E as $crate::sdk::Engine>::STATE_FORMAT),
                state_version_min: <E as $crate::sdk::Engine>::STATE_VERSION_MIN,
                reserved: 0,
            }
        };

        #[allow(non_upper_case_globals, missing_docs, unreachable_pub)]
        #[unsafe(no_mangle)]
        pub static kv_rust_layout: $crate::layout::LayoutItem = $crate::layout::LayoutItem::THIS;

        $crate::export_engine!(@fn $engine, kv_open, open(
            args: *const $crate::raw::KvOpenArgs,
            engine: *mut *mut $crate::raw::KvEngine,
            error: *mut $crate::raw::KvError,
        ) -> i32);
        $crate::export_engine!(@call $engine, kv_close, close() -> i32);
        $crate::export_engine!(@call $engine, kv_get, get(
            op: *const $crate::raw::KvOp,
            sink: $crate::raw::KvEntryFn,
            ctx: *mut core::ffi::c_void,
        ) -> i32);
        $crate::export_engine!(@call $engine, kv_set, set(op: *const $crate::raw::KvOp, version: *mut u64) -> i32);
        $crate::export_engine!(@call $engine, kv_delete, delete(op: *const $crate::raw::KvOp) -> i32);
        $($crate::export_engine!(@optional $engine, $optional);)*
    };

    (@optional $engine:ty, update) => {
        $crate::export_engine!(@call $engine, kv_update, update(op: *const $crate::raw::KvOp, version: *mut u64) -> i32);
    };
    (@optional $engine:ty, submit) => {
        $crate::export_engine!(@call $engine, kv_submit, submit(batch: *mut $crate::raw::KvBatch) -> i32);
    };
    (@optional $engine:ty, cancel) => {
        $crate::export_engine!(@fn $engine, kv_cancel, cancel(
            engine: *mut $crate::raw::KvEngine,
            batch_id: u64,
        ));
    };
    (@optional $engine:ty, scan) => {
        $crate::export_engine!(@call $engine, kv_scan, scan(
            space: u32,
            flags: u32,
            count: u32,
            cursor: *mut $crate::raw::KvCursor,
            sink: $crate::raw::KvEntryFn,
            ctx: *mut core::ffi::c_void,
        ) -> i32);
    };
    (@optional $engine:ty, random) => {
        $crate::export_engine!(@call $engine, kv_random, random(
            space: u32,
            flags: u32,
            sink: $crate::raw::KvEntryFn,
            ctx: *mut core::ffi::c_void,
        ) -> i32);
    };
    (@optional $engine:ty, count) => {
        $crate::export_engine!(@call $engine, kv_count, count(space: u32, count: *mut u64) -> i32);
    };
    (@optional $engine:ty, stats) => {
        $crate::export_engine!(@call $engine, kv_stats, stats(
            sink: $crate::raw::KvStatFn,
            ctx: *mut core::ffi::c_void,
        ) -> i32);
    };
    (@optional $engine:ty, clear) => {
        $crate::export_engine!(@call $engine, kv_clear, clear(space: u32) -> i32);
    };
    (@optional $engine:ty, sync) => {
        $crate::export_engine!(@call $engine, kv_sync, sync() -> i32);
    };
    (@optional $engine:ty, sequence) => {
        $crate::export_engine!(@call $engine, kv_sequence, sequence(last: *mut u64) -> i32);
    };
    (@optional $engine:ty, handoff) => {
        $crate::export_engine!(@call $engine, kv_handoff_prepare, handoff_prepare(kind: u32) -> i32);
        $crate::export_engine!(@call $engine, kv_handoff_give, handoff_give(state: *mut $crate::raw::KvState) -> i32);
        $crate::export_engine!(@fn $engine, kv_handoff_commit, handoff_commit(engine: *mut $crate::raw::KvEngine));
        $crate::export_engine!(@call $engine, kv_handoff_abort, handoff_abort() -> i32);
    };

    // A function on an open instance, with room for an error text at its end.
    (@call $engine:ty, $symbol:ident, $body:ident($($arg:ident: $type:ty),* $(,)?) -> i32) => {
        $crate::export_engine!(@fn $engine, $symbol, $body(
            engine: *mut $crate::raw::KvEngine,
            $($arg: $type,)*
            error: *mut $crate::raw::KvError,
        ) -> i32);
    };

    (@fn $engine:ty, $symbol:ident, $body:ident($($arg:ident: $type:ty),* $(,)?) $(-> $ret:ty)?) => {
        #[doc = "See `kvstore.h`.\n\n# Safety\nAs `kvstore.h` says of its arguments."]
        #[allow(clippy::too_many_arguments, unreachable_pub)]
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $symbol($($arg: $type),*) $(-> $ret)? {
            // SAFETY: the host calls this function as the contract says.
            unsafe { $crate::sdk::boundary::$body::<$engine>($($arg),*) }
        }
    };
}
