//! Operations, alone and in batches, and their results.

use core::ffi::c_void;

use abi_stable::StableAbi;

use super::{KvBytes, KvEntry, kv_status};

/// Read an entry. NOT_FOUND where there is none.
pub const KV_OP_GET: u32 = 1;
/// Store an entry over whatever was there.
pub const KV_OP_SET: u32 = 2;
/// Remove an entry. NOT_FOUND where there is none.
pub const KV_OP_DELETE: u32 = 3;
/// Let `update` decide on the entry, atomically. Only for engines that export kv_update.
pub const KV_OP_UPDATE: u32 = 4;

/// GET: the value itself is not wanted, only its length and what else the entry has.
pub const KV_OP_NO_VALUE: u32 = 1_u32 << 0;
/// Any kind: go on only if the entry's version is `expected_version` (0: only if there is no entry), else CONFLICT.
/// A GET with this flag is how an atomic batch watches a key that it does not write. Only for engines with
/// KV_CAP_VERSIONS.
pub const KV_OP_EXPECT: u32 = 1_u32 << 1;
/// SET: store `version` as the entry's version and continue the store's sequence above it. Sent while entries are
/// copied from another engine. Only for engines with KV_CAP_VERSIONS.
pub const KV_OP_IMPORT: u32 = 1_u32 << 2;

/// What an update may do with the entry that it was shown.
pub const KV_DECISION_KEEP: u32 = 0;
/// Store `value`, `expiry_ms`, `type_` and `flags`.
pub const KV_DECISION_REPLACE: u32 = 1;
/// Remove the entry; nothing where there is none.
pub const KV_DECISION_REMOVE: u32 = 2;
/// Only the expiry changes, to `expiry_ms`. The entry exists.
pub const KV_DECISION_SET_EXPIRY: u32 = 3;
/// The value becomes `new_len` bytes long (what is cut off is gone, what is added is zero), then `value` is written at
/// `offset`; offset + value.len <= new_len. Expiry, type and flags stay; an entry that was absent starts empty, without
/// expiry, with `type_` and `flags` from here.
pub const KV_DECISION_PATCH: u32 = 4;

/// What `update` answers. The engine sets `struct_size` and clears the rest, which is KEEP.
#[repr(C)]
#[derive(Clone, Copy, Debug, StableAbi)]
pub struct KvDecision {
    /// Size of this struct as the engine knows it, in bytes.
    pub struct_size: u32,
    /// One of KV_DECISION_*.
    pub action: u32,
    /// REPLACE, PATCH of an absent entry: the entry's type.
    pub type_: u32,
    /// REPLACE, PATCH of an absent entry: the entry's flags.
    pub flags: u32,
    /// REPLACE, SET_EXPIRY: milliseconds since 1970 UTC, 0 is never.
    pub expiry_ms: i64,
    /// REPLACE: the new value. PATCH: the bytes to write. They stay valid until `update` is called again for the same
    /// operation, or the operation is completed.
    pub value: KvBytes,
    /// PATCH: where to write, in bytes.
    pub offset: u64,
    /// PATCH: the value's length afterwards, in bytes.
    pub new_len: u64,
}

/// Decides on one entry: a pure function of `current` (NULL: there is none) and of what `ctx` holds. The engine may call
/// it again when it has to start over, from any one thread at a time, and only the last call counts. It may be called
/// under the engine's locks: it never calls the engine, never blocks, never unwinds, keeps no pointer of `current`.
/// `current` is never an expired entry.
pub type KvUpdateFn =
    unsafe extern "C" fn(ctx: *mut c_void, current: *const KvEntry, decision: *mut KvDecision);

/// One operation. Its memory is the host's; it does not move or change until the operation is completed. In an array the
/// stride is told, so that later versions can append fields.
#[repr(C)]
#[derive(Clone, Copy, Debug, StableAbi)]
pub struct KvOp {
    /// One of KV_OP_GET, SET, DELETE, UPDATE.
    pub kind: u32,
    /// KV_OP_NO_VALUE, EXPECT, IMPORT. A flag that the engine does not know is INVALID.
    pub flags: u32,
    /// Which keyspace. 0 for now; an engine answers UNSUPPORTED to any that it does not have.
    pub space: u32,
    /// SET: the entry's type.
    pub type_: u32,
    /// SET: the entry's flags.
    pub entry_flags: u32,
    /// 0.
    pub reserved: u32,
    /// The key, at least 0 and at most `key_len_max` bytes.
    pub key: KvBytes,
    /// SET: the value.
    pub value: KvBytes,
    /// SET: when it expires, in milliseconds since 1970 UTC; 0 is never. Other than 0 only for KV_CAP_EXPIRY.
    pub expiry_ms: i64,
    /// With KV_OP_EXPECT: the version that the entry must have, 0 for no entry.
    pub expected_version: u64,
    /// With KV_OP_IMPORT: the version to store.
    pub version: u64,
    /// UPDATE: the function, else NULL.
    pub update:
        Option<unsafe extern "C" fn(ctx: *mut c_void, current: *const KvEntry, decision: *mut KvDecision)>,
    /// UPDATE: handed to the function.
    pub update_ctx: *mut c_void,
}

/// The lent bytes of this result stay valid until kv_release of the batch, not only during the completion call.
pub const KV_RESULT_PINNED: u32 = 1_u32 << 0;

/// What came of one operation. The array is the host's; the engine fills an element before it completes it.
#[repr(C)]
#[derive(Clone, Copy, Debug, StableAbi)]
pub struct KvResult {
    /// OK, NOT_FOUND, CONFLICT, ABORTED or a failure.
    pub status: kv_status,
    /// KV_RESULT_PINNED.
    pub flags: u32,
    /// GET, OK: the entry. SET and UPDATE, OK: `version` and `expiry_ms` of what is stored now (version 0: nothing is, or
    /// the engine keeps none); the bytes are not set.
    pub entry: KvEntry,
    /// A failure's text, UTF-8; may be empty. Lent like the entry.
    pub message: KvBytes,
}

/// All operations or none: if one cannot be carried out, none has an effect, it says why, and the others say ABORTED
/// (a GET that merely finds nothing, a DELETE of nothing and an update that keeps are carried out). To every other client the batch
/// happens at one moment, and its own reads see its earlier writes. Only for engines with KV_CAP_ATOMIC.
pub const KV_BATCH_ATOMIC: u32 = 1_u32 << 0;

/// An array of operations for kv_submit. The struct, the operations, their keys and values, and the results are the
/// host's. None of them moves or changes until the last operation is completed; from that moment on the engine touches
/// none of them (before kv_release, where it pinned).
///
/// Without KV_BATCH_ATOMIC, operations on the same key take effect in the order of the array; others in any order.
#[repr(C)]
#[derive(Debug, StableAbi)]
pub struct KvBatch {
    /// Size of this struct as the host knows it, in bytes.
    pub struct_size: u32,
    /// KV_BATCH_ATOMIC. A flag that the engine does not know is INVALID.
    pub flags: u32,
    /// The operations.
    pub ops: *const KvOp,
    /// Their results, one for one.
    pub results: *mut KvResult,
    /// How many there are, at most `batch_len_max` of the engine's identity.
    pub count: u32,
    /// Bytes from one operation to the next.
    pub op_stride: u32,
    /// Bytes from one result to the next.
    pub result_stride: u32,
    /// 0.
    pub reserved: u32,
    /// The time for expiry in this batch, in milliseconds since 1970 UTC: saves the engine a look at the clock.
    pub now_ms: i64,
    /// When the host will have lost interest, on the clock `monotonic_ns`; 0 is never.
    pub deadline_ns: u64,
    /// The engine's own, from kv_submit until the last completion (or kv_release); cleared by the host.
    pub engine_data: [usize; 2],
    /// The host's own. Not to be touched.
    pub host_data: *mut c_void,
}

impl KvBatch {
    /// The `index`-th operation.
    ///
    /// # Safety
    /// `index < count`, and the batch is not yet completed.
    pub unsafe fn op(&self, index: u32) -> *const KvOp {
        debug_assert!(index < self.count);
        // SAFETY: the array has `count` elements at this stride, says the host.
        unsafe { self.ops.byte_add(index as usize * self.op_stride as usize) }
    }

    /// The `index`-th result.
    ///
    /// # Safety
    /// `index < count`, and the batch is not yet completed (or, for the host, not yet released).
    pub unsafe fn result(&self, index: u32) -> *mut KvResult {
        debug_assert!(index < self.count);
        // SAFETY: the array has `count` elements at this stride, says the host.
        unsafe { self.results.byte_add(index as usize * self.result_stride as usize) }
    }
}

const _: () = assert!(size_of::<KvOp>() == 96);
const _: () = assert!(size_of::<KvResult>() == 80);
