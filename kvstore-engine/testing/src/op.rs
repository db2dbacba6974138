//! Op: operations, changes and replies that own their bytes.

use core::ffi::c_void;
use std::cell::UnsafeCell;

use plugin_abi::Status;
use plugin_abi::raw::*;

/// What an update does; a pure function of the entry that it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing.
    Keep,
    /// Another entry: value, expiry, type, flags.
    Replace(Vec<u8>, i64, u32, u32),
    /// Removal.
    Remove,
    /// Another expiry, where there is an entry.
    SetExpiry(i64),
    /// Bytes at an offset, and a new length.
    Patch(usize, Vec<u8>, usize),
    /// Bytes at the end.
    Append(Vec<u8>),
    /// A decimal number, counted up.
    Add(i64),
}

/// One operation.
#[derive(Clone, Debug, Default)]
pub struct TestOp {
    /// One of `KV_OP_*`.
    pub kind: u32,
    /// `KV_OP_*` flags beside EXPECT and IMPORT.
    pub flags: u32,
    /// The keyspace.
    pub space: u32,
    /// The key.
    pub key: Vec<u8>,
    /// SET: the value.
    pub value: Vec<u8>,
    /// SET: the expiry.
    pub expiry_ms: i64,
    /// SET: the type.
    pub type_: u32,
    /// SET: the flags.
    pub entry_flags: u32,
    /// The version that the entry must have.
    pub expected: Option<u64>,
    /// SET: the version to import.
    pub import: Option<u64>,
    /// UPDATE: what it does.
    pub change: Option<Change>,
}

impl TestOp {
    /// A GET.
    pub fn get(key: impl AsRef<[u8]>) -> Self {
        Self { kind: KV_OP_GET, key: key.as_ref().to_vec(), ..Self::default() }
    }

    /// A SET without expiry.
    pub fn set(key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        let (key, value) = (key.as_ref().to_vec(), value.as_ref().to_vec());
        Self { kind: KV_OP_SET, key, value, ..Self::default() }
    }

    /// A DELETE.
    pub fn delete(key: impl AsRef<[u8]>) -> Self {
        Self { kind: KV_OP_DELETE, key: key.as_ref().to_vec(), ..Self::default() }
    }

    /// An UPDATE.
    pub fn update(key: impl AsRef<[u8]>, change: Change) -> Self {
        Self { kind: KV_OP_UPDATE, key: key.as_ref().to_vec(), change: Some(change), ..Self::default() }
    }

    /// The same with an expiry.
    pub fn expiring(self, expiry_ms: i64) -> Self {
        Self { expiry_ms, ..self }
    }

    /// The same, expecting a version.
    pub fn expecting(self, version: u64) -> Self {
        Self { expected: Some(version), ..self }
    }

    /// The same with a version to import.
    pub fn importing(self, version: u64) -> Self {
        Self { import: Some(version), ..self }
    }
}

/// What came of an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Its status.
    pub status: Status,
    /// GET: the value.
    pub value: Vec<u8>,
    /// The expiry.
    pub expiry_ms: i64,
    /// The version.
    pub version: u64,
    /// GET: the type.
    pub type_: u32,
    /// GET: the flags.
    pub flags: u32,
    /// A failure's text.
    pub text: String,
}

impl Reply {
    /// A reply that carries nothing but its status.
    pub fn of(status: Status) -> Self {
        Self { status, value: Vec::new(), expiry_ms: 0, version: 0, type_: 0, flags: 0, text: String::new() }
    }

    /// # Safety
    /// The bytes of the result are lent.
    pub(crate) unsafe fn from_raw(raw: &KvResult) -> Self {
        let KvResult { value, expiry_ms, version, type_, entry_flags: flags, .. } = *raw;
        // SAFETY: the caller's promise.
        let (value, text) = unsafe { (value.as_slice().to_vec(), raw.message.as_slice()) };
        let text = String::from_utf8_lossy(text).into_owned();
        Self { status: Status(raw.status), value, expiry_ms, version, type_, flags, text }
    }
}

/// An operation's context while the engine has it.
#[derive(Debug)]
pub(crate) struct UpdateCtx {
    change: Change,
    // What the last decision lends. One thread at a time, says the contract.
    bytes: UnsafeCell<Vec<u8>>,
}

impl UpdateCtx {
    pub(crate) fn new(change: Change) -> Box<Self> {
        Box::new(Self { change, bytes: UnsafeCell::default() })
    }
}

/// An operation as the engine sees it. Borrows, unchecked, from the two arguments.
pub(crate) fn to_raw(op: &TestOp, ctx: Option<&UpdateCtx>) -> KvOp {
    let mut flags = op.flags;
    flags |= if op.expected.is_some() { KV_OP_EXPECT } else { 0 };
    flags |= if op.import.is_some() { KV_OP_IMPORT } else { 0 };
    KvOp {
        kind: op.kind,
        flags,
        space: op.space,
        type_: op.type_,
        entry_flags: op.entry_flags,
        reserved: 0,
        key: KvBytes::new(&op.key),
        value: KvBytes::new(&op.value),
        expiry_ms: op.expiry_ms,
        expected_version: op.expected.unwrap_or(0),
        version: op.import.unwrap_or(0),
        update: ctx.is_some().then_some(update),
        update_ctx: ctx.map_or(core::ptr::null_mut(), |ctx| core::ptr::from_ref(ctx).cast_mut().cast()),
    }
}

/// A decimal number, counted up; anything else counts as 0.
pub(crate) fn add(value: &[u8], number: i64) -> Vec<u8> {
    let old: i64 = str::from_utf8(value).ok().and_then(|text| text.parse().ok()).unwrap_or(0);
    old.wrapping_add(number).to_string().into_bytes()
}

unsafe extern "C" fn update(ctx: *mut c_void, current: *const KvEntry, decision: *mut KvDecision) {
    // SAFETY: `ctx` is what `to_raw` put there; entry and decision are lent for the call.
    let (ctx, current, decision) = unsafe { (&*ctx.cast::<UpdateCtx>(), current.as_ref(), &mut *decision) };
    // SAFETY: the engine calls from one thread at a time and has dropped what an earlier call lent.
    let bytes = unsafe { &mut *ctx.bytes.get() };
    // SAFETY: lent for the call.
    let value = current.map_or(&[][..], |entry| unsafe { entry.value.as_slice() });
    match &ctx.change {
        Change::Keep => return,
        // There is no expiry of no entry.
        Change::SetExpiry(_) if current.is_none() => return,
        Change::Remove => decision.action = KV_DECISION_REMOVE,
        Change::SetExpiry(expiry_ms) => {
            decision.action = KV_DECISION_SET_EXPIRY;
            decision.expiry_ms = *expiry_ms;
        }
        Change::Replace(new, expiry_ms, type_, flags) => {
            decision.action = KV_DECISION_REPLACE;
            (decision.expiry_ms, decision.type_, decision.flags) = (*expiry_ms, *type_, *flags);
            bytes.clone_from(new);
        }
        Change::Patch(offset, new, new_len) => {
            decision.action = KV_DECISION_PATCH;
            (decision.offset, decision.new_len) = (*offset as u64, *new_len as u64);
            bytes.clone_from(new);
        }
        Change::Append(new) => {
            decision.action = KV_DECISION_PATCH;
            (decision.offset, decision.new_len) = (value.len() as u64, (value.len() + new.len()) as u64);
            bytes.clone_from(new);
        }
        Change::Add(number) => {
            *bytes = add(value, *number);
            decision.action = KV_DECISION_PATCH;
            (decision.offset, decision.new_len) = (0, bytes.len() as u64);
        }
    }
    decision.value = KvBytes::new(bytes);
}
