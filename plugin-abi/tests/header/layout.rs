//! Layout: every struct, field and constant of the contract, as Rust sees it, written as assertions for a C compiler.

use std::fmt::Write;

use plugin_abi::raw::*;

/// Appends the assertions for some structs. The patterns name all fields, so a new field that is missing here does not compile.
macro_rules! structs {
    ($out:ident: $($type:ident as $c:literal { $($field:ident),* })*) => {
        const STRUCTS: &[&str] = &[$(stringify!($type)),*];
        $(const _: fn(&$type) = |$type { $($field: _),* }| ();)*

        fn struct_assertions($out: &mut String) {
            $(
                check($out, concat!("sizeof(", $c, ")"), size_of::<$type>());
                $(
                    let field = c_name(stringify!($field));
                    check($out, &format!("offsetof({}, {field})", $c), core::mem::offset_of!($type, $field));
                    check($out, &format!("sizeof((({} *)0)->{field})", $c), field_size(|it: *const $type| {
                        // SAFETY: only an address is computed, of a field of a place that is never read.
                        unsafe { &raw const (*it).$field }
                    }));
                )*
            )*
        }
    };
}

macro_rules! constants {
    ($($name:ident)*) => {
        const CONSTANTS: &[&str] = &[$(stringify!($name)),*];

        fn constant_assertions(out: &mut String) {
            $(check(out, stringify!($name), $name);)*
        }
    };
}

structs! { out:
    KvBytes as "kv_bytes" { data, len }
    KvEntry as "kv_entry" { key, value, expiry_ms, version, type_, flags }
    KvError as "kv_error" { text, capacity, len }
    KvCursor as "kv_cursor" { bytes, len, capacity }
    KvStat as "kv_stat" { name, kind, space, number, text }
    KvRegion as "kv_region" { role, fd, base, len }
    KvState as "kv_state" {
        struct_size, kind, format_version, flags, regions, region_count, region_stride, root
    }
    KvEvent as "kv_event" { struct_size, kind, space, reserved, key, version }
    KvHost as "kv_host" { struct_size, abi_minor, ctx, log, now_ms, monotonic_ns, complete, event, metric }
    KvOption as "kv_option" { key, value }
    KvOpenArgs as "kv_open_args" {
        struct_size, flags, host, options, option_count, option_stride, scratch_dir, state, deadline_ns
    }
    KvIdentity as "kv_identity" {
        magic, abi_major, abi_minor, struct_size, state_version, capabilities, key_len_max, value_len_max,
        batch_len_max, name, version, state_format, state_version_min, reserved
    }
    KvDecision as "kv_decision" { struct_size, action, type_, flags, expiry_ms, value, offset, new_len }
    KvOp as "kv_op" {
        kind, flags, space, type_, entry_flags, reserved, key, value, expiry_ms, expected_version, version,
        update, update_ctx
    }
    KvResult as "kv_result" {
        status, flags, value, expiry_ms, version, type_, entry_flags, message
    }
    KvBatch as "kv_batch" {
        struct_size, flags, ops, results, count, op_stride, result_stride, reserved, id, now_ms, deadline_ns,
        engine_data, host_data
    }
}

constants! {
    KV_ABI_MAJOR KV_ABI_MINOR
    KV_CAP_THREAD_SAFE KV_CAP_BLOCKING KV_CAP_EXPIRY KV_CAP_VERSIONS KV_CAP_EXTERNAL_WRITERS KV_CAP_DURABLE
    KV_CAP_ATOMIC KV_CAP_SCRATCH KV_CAP_TYPES KV_CAP_ADOPT KV_CAP_REOPEN KV_CAP_FREEZE KV_CAP_EVENTS
    KV_IDENTITY_SIZE_MIN KV_SPACE_ALL KV_STATE_SUSPECT KV_OP_HINTS KV_OP_NO_TOUCH
    KV_CURSOR_LEN_MAX KV_STAT_COUNTER KV_STAT_GAUGE KV_STAT_TEXT
    KV_HANDOFF_ADOPT KV_HANDOFF_REOPEN KV_HANDOFF_FREEZE
    KV_LOG_ERROR KV_LOG_WARN KV_LOG_INFO KV_LOG_DEBUG
    KV_EVENT_EXPIRED KV_EVENT_EVICTED KV_EVENT_CHANGED KV_EVENT_CLEARED
    KV_EVENT_REMOVED KV_EVENT_LOST
    KV_OPEN_SCRATCH
    KV_OP_GET KV_OP_SET KV_OP_DELETE KV_OP_UPDATE KV_OP_NO_VALUE KV_OP_EXPECT KV_OP_IMPORT
    KV_DECISION_KEEP KV_DECISION_REPLACE KV_DECISION_REMOVE KV_DECISION_SET_EXPIRY KV_DECISION_PATCH
    KV_RESULT_PINNED KV_BATCH_ATOMIC
    KV_STATUS_OK KV_STATUS_NOT_FOUND KV_STATUS_CONFLICT KV_STATUS_ABORTED KV_STATUS_INVALID
    KV_STATUS_UNSUPPORTED KV_STATUS_TOO_LARGE KV_STATUS_FULL KV_STATUS_UNAVAILABLE KV_STATUS_RETRY
    KV_STATUS_TIMEOUT KV_STATUS_CANCELLED KV_STATUS_UNKNOWN KV_STATUS_IO KV_STATUS_CORRUPT KV_STATUS_LOCKED
    KV_STATUS_READ_ONLY KV_STATUS_DENIED KV_STATUS_PANIC KV_STATUS_POISONED
}

/// A C file, also good C++, that compiles if the header agrees with Rust.
pub(crate) fn assertions() -> String {
    let mut out = String::from("#include \"kvstore.h\"\n#include <assert.h>\n\n");
    check(&mut out, "sizeof(KV_ABI_MAGIC)", KV_ABI_MAGIC.len());
    struct_assertions(&mut out);
    constant_assertions(&mut out);
    out
}

/// The structs and constants that the assertions cover.
pub(crate) fn covered() -> (Vec<&'static str>, Vec<&'static str>) {
    (STRUCTS.to_vec(), CONSTANTS.to_vec())
}

fn check(out: &mut String, what: &str, wanted: impl std::fmt::Display) {
    writeln!(out, "static_assert({what} == {wanted}, \"{what} is {wanted} in Rust\");").unwrap();
}

fn c_name(field: &str) -> &str {
    field.strip_suffix('_').unwrap_or(field)
}

fn field_size<T, F>(_: impl Fn(*const T) -> *const F) -> usize {
    size_of::<F>()
}
