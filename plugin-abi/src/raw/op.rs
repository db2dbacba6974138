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

/// GET only: the value itself is not wanted, only its length and what else the entry has.
pub const KV_OP_NO_VALUE: u32 = 1_u32 << 0;
/// Any kind: go on only if the entry's version is `expected_version` (0: only if there is no entry), else CONFLICT.
/// In an atomic batch it is compared with the entry as it was before the batch; a GET with this flag is how a batch watches a key that it does not
/// write. Needs KV_CAP_VERSIONS.
pub const KV_OP_EXPECT: u32 = 1_u32 << 1;
/// SET only: what is stored gets `version` (1 to 2^56 - 1), over whatever is there, and the store's sequence is raised to at least that, never
/// lowered. Sent while entries are copied from another engine. Needs KV_CAP_VERSIONS.
pub const KV_OP_IMPORT: u32 = 1_u32 << 2;

/// Flags from here up are hints: an engine does not refuse those that it does not know.
pub const KV_OP_HINTS: u32 = 0xff00_0000;
/// A hint: this access is not the client's wish for the entry (TTL, a copy, a look from outside), and says nothing about its use.
pub const KV_OP_NO_TOUCH: u32 = 1_u32 << 24;

/// What an update may do with the entry that it was shown.
pub const KV_DECISION_KEEP: u32 = 0;
/// Store `value`, `expiry_ms`, `type_` and `flags`.
pub const KV_DECISION_REPLACE: u32 = 1;
/// Remove the entry; nothing where there is none.
pub const KV_DECISION_REMOVE: u32 = 2;
/// Only the expiry changes, to `expiry_ms`. The entry exists.
pub const KV_DECISION_SET_EXPIRY: u32 = 3;
/// The value becomes `new_len` bytes long (what is cut off is gone, what is added is zero), then `value` is written at
/// `offset`; offset <= new_len and value.len <= new_len - offset. Expiry, type and flags stay; an entry that was absent starts empty, without
/// expiry, with `type_` and `flags` from here.
pub const KV_DECISION_PATCH: u32 = 4;

/// What `update` answers. Before each call the engine sets `struct_size` and clears the rest, which is KEEP. An action that breaks its rules or that the
/// engine does not know is INVALID, and nothing changes.
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
    /// operation, or the operation is completed, and never point into `current` or anything else that the engine lends.
    pub value: KvBytes,
    /// PATCH: where to write, in bytes.
    pub offset: u64,
    /// PATCH: the value's length afterwards, in bytes.
    pub new_len: u64,
}

/// Decides on one entry: a pure function of `current` (NULL: there is none) and of what `ctx` holds. The engine may call
/// it again when it has to start over, from any one thread at a time, and only the last call counts; what it writes behind `ctx` is shared with no other
/// operation, but within an atomic batch. It may be called under the engine's locks: it never calls the engine, never blocks, never unwinds, keeps no pointer of `current`.
/// `current` is never an expired entry, and always has its value. What is stored may exceed `value_len_max`: then the engine answers TOO_LARGE.
///
/// In an atomic batch updates may be linked: there, what one writes behind its `ctx` may be read by later ones of the batch (RENAME is two: one takes an
/// entry, the next stores it). So the engine calls the updates of an atomic batch from one thread at a time and in the order of their operations, each shown
/// what the operations before it have done; and when it calls one again, it calls all updates behind that one again too, in order.
pub type KvUpdateFn =
    unsafe extern "C" fn(ctx: *mut c_void, current: *const KvEntry, decision: *mut KvDecision);

/// One operation. Its memory is the host's; it does not move or change until the operation is completed. In an array the
/// stride is told, so that later versions can append fields.
///
/// `kind`, `flags`, `space` and `key` are always set. Of the other fields only those are set, and may be looked at, that go with the kind and the flags.
///
/// Flags by kind: GET takes NO_VALUE and EXPECT; SET takes EXPECT and IMPORT; DELETE and UPDATE take EXPECT. Any other flag, an unknown
/// kind, an UPDATE without its function: INVALID. What needs a capability that the engine lacks, or a space that it does not have: UNSUPPORTED, or INVALID
/// where the engine does not know it. In a batch this fails that operation, not the batch. The host has compared key and value with the limits of the
/// identity before.
#[repr(C)]
#[derive(Clone, Copy, Debug, StableAbi)]
pub struct KvOp {
    /// One of KV_OP_GET, SET, DELETE, UPDATE.
    pub kind: u32,
    /// KV_OP_NO_VALUE, EXPECT, IMPORT.
    pub flags: u32,
    /// Which keyspace. The host knows only 0; an engine answers UNSUPPORTED to any that it does not have.
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
    /// SET: when it expires, in milliseconds since 1970 UTC; 0 is never. A time that has passed is no error: the entry is not seen. Other than 0
    /// needs KV_CAP_EXPIRY; below 0 is INVALID.
    pub expiry_ms: i64,
    /// With KV_OP_EXPECT: the version that the entry must have, 0 for no entry.
    pub expected_version: u64,
    /// With KV_OP_IMPORT: the version to store.
    pub version: u64,
    /// UPDATE: the function.
    pub update:
        Option<unsafe extern "C" fn(ctx: *mut c_void, current: *const KvEntry, decision: *mut KvDecision)>,
    /// UPDATE: handed to the function.
    pub update_ctx: *mut c_void,
}

/// The lent bytes of this result stay valid and unchanged until kv_release of the batch, not only during the completion call, whatever is written
/// meanwhile. Other calls, of the same thread too, come in between: a pin is no lock that one of them could wait for.
pub const KV_RESULT_PINNED: u32 = 1_u32 << 0;

/// What came of one operation. The array is the host's and holds anything before; the engine fills an element before it completes it, and the host looks at
/// nothing but what is said to be set for this kind and status. A cache line long.
#[repr(C)]
#[derive(Clone, Copy, Debug, StableAbi)]
pub struct KvResult {
    /// OK, NOT_FOUND, CONFLICT, ABORTED or a failure. Always set.
    pub status: kv_status,
    /// KV_RESULT_PINNED. Always set; 0 where it finds nothing to say.
    pub flags: u32,
    /// GET, OK: the value, or only its length after KV_OP_NO_VALUE.
    pub value: KvBytes,
    /// GET, SET, UPDATE, OK: when the entry expires; 0 is never, or nothing is stored.
    pub expiry_ms: i64,
    /// GET, SET, UPDATE, OK: the entry's version; 0: nothing is stored, or the engine keeps none.
    pub version: u64,
    /// GET, OK: the entry's type.
    pub type_: u32,
    /// GET, OK: the entry's flags.
    pub entry_flags: u32,
    /// A failure's text, as for kv_error; not looked at otherwise. Lent like the entry.
    pub message: KvBytes,
}

/// All operations or none: if one cannot be carried out, none has an effect, it says why, and the others say ABORTED
/// (a GET that merely finds nothing, a DELETE of nothing and an update that keeps are carried out). To every other client the batch
/// happens at one moment, and its own reads and updates see its earlier writes. Without KV_CAP_ATOMIC kv_submit refuses it with UNSUPPORTED.
pub const KV_BATCH_ATOMIC: u32 = 1_u32 << 0;

/// An array of operations for kv_submit. The struct, the operations, their keys and values, and the results are the
/// host's. None of them moves or changes until the last operation is completed; from the call of `complete` for that one on the engine touches none of
/// them, but that in kv_release, which may come before that call returns, it may read `engine_data`.
///
/// Without KV_BATCH_ATOMIC, operations on the same key take effect in the order of the array; others in any order. One that fails holds nothing up; one of unknown
/// outcome stands outside of the order. There is no order between two batches, or a batch and a call, until the first is completed; but a read sees every
/// write that was completed before it was submitted.
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
    /// How many there are: at least 1, at most `batch_len_max` of the engine's identity.
    pub count: u32,
    /// Bytes from one operation to the next.
    pub op_stride: u32,
    /// Bytes from one result to the next.
    pub result_stride: u32,
    /// 0.
    pub reserved: u32,
    /// The batch's number, for kv_cancel: not 0, and never used twice in an instance.
    pub id: u64,
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
    /// Without operations.
    pub const EMPTY: Self = Self {
        struct_size: size_of::<Self>() as u32,
        flags: 0,
        ops: core::ptr::null(),
        results: core::ptr::null_mut(),
        count: 0,
        op_stride: size_of::<KvOp>() as u32,
        result_stride: size_of::<KvResult>() as u32,
        reserved: 0,
        id: 0,
        now_ms: 0,
        deadline_ns: 0,
        engine_data: [0; 2],
        host_data: core::ptr::null_mut(),
    };

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
const _: () = assert!(size_of::<KvResult>() == 64);
