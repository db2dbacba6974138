//! Status codes: zero is success, positive is an ordinary answer, negative is a failure.

/// What every call returns. A failure has had no effect, unless its description says "outcome unknown"; what a call was to fill in counts only after OK.
///
/// With each function stand the statuses that mean something special there. Beside them any call may return INVALID, UNSUPPORTED, FULL, UNAVAILABLE, RETRY, UNKNOWN, IO,
/// CORRUPT, DENIED, PANIC and POISONED; ABORTED, TIMEOUT and CANCELLED come in batches (TIMEOUT also from kv_open). A host reads an unknown negative
/// status as UNKNOWN, and an unknown positive one as INVALID.
#[allow(non_camel_case_types, reason = "the name that C sees")]
pub type kv_status = i32;

/// Done.
pub const KV_STATUS_OK: i32 = 0;
/// The key has no entry, or its entry has expired.
pub const KV_STATUS_NOT_FOUND: i32 = 1;
/// The entry's version is not the expected one. No effect; in an atomic batch, on no key of it.
pub const KV_STATUS_CONFLICT: i32 = 2;
/// Another operation of the same atomic batch failed, so this one had no effect either.
pub const KV_STATUS_ABORTED: i32 = 3;

/// The caller broke the contract, or an option is unknown or malformed. The error text says which.
pub const KV_STATUS_INVALID: i32 = -1;
/// The engine cannot do this at all. Asking again is of no use.
pub const KV_STATUS_UNSUPPORTED: i32 = -2;
/// A key, a value or a batch is beyond a limit of the engine.
pub const KV_STATUS_TOO_LARGE: i32 = -3;
/// No room is left: memory limit or disk.
pub const KV_STATUS_FULL: i32 = -4;
/// What the engine stands on (another machine, a disk) is out of reach. No effect; it may work later.
pub const KV_STATUS_UNAVAILABLE: i32 = -5;
/// A passing collision. No effect; the same call may succeed at once.
pub const KV_STATUS_RETRY: i32 = -6;
/// The deadline passed before the operation began. No effect. (After it began: KV_STATUS_UNKNOWN.)
pub const KV_STATUS_TIMEOUT: i32 = -7;
/// Withdrawn by kv_cancel or by kv_close before it began. No effect.
pub const KV_STATUS_CANCELLED: i32 = -8;
/// Outcome unknown (of a write; a read has no effect): the effect comes at most once. An engine does not send an operation a second time unless it knows that the
/// first sending had no effect and can have none later; a condition that then fails is UNKNOWN, not CONFLICT. A host never repeats it. The operation may or may not have taken effect, or may do so a little later: until kv_sync, kv_handoff_prepare or kv_close has
/// returned.
pub const KV_STATUS_UNKNOWN: i32 = -9;
/// A read or write of a file or socket failed. Of a call that writes: outcome unknown; an engine that knows that nothing was written says UNAVAILABLE.
pub const KV_STATUS_IO: i32 = -10;
/// Stored data fails its check. No effect.
pub const KV_STATUS_CORRUPT: i32 = -11;
/// Another process or instance holds the resource (kv_open, handoff). No effect.
pub const KV_STATUS_LOCKED: i32 = -12;
/// The engine may only be read. No effect.
pub const KV_STATUS_READ_ONLY: i32 = -13;
/// What the engine stands on refused the engine's credentials. No effect.
pub const KV_STATUS_DENIED: i32 = -14;
/// The engine panicked in this call; it answers KV_STATUS_POISONED from now on. Outcome unknown.
pub const KV_STATUS_PANIC: i32 = -15;
/// The engine panicked earlier and does nothing any more but hand its state over, where it can, and close. No effect.
pub const KV_STATUS_POISONED: i32 = -16;
