//! Request: an operation that owns what it points to, and what came of it.

use core::ffi::c_void;
use core::ptr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Check, Stop, ensure};
use crate::Status;
use crate::raw::*;

/// A flag that no version of the contract has used, and that is not a hint.
pub(super) const UNKNOWN_FLAG: u32 = 1 << 20;

/// What a place holds that the engine is not to look at: a version and an expiry that are none, an address of nothing.
pub(super) const GARBAGE: u64 = 0xA5A5_A5A5_A5A5_A5A5;

/// One operation.
#[derive(Clone)]
pub(super) struct Request {
    pub(super) kind: u32,
    pub(super) flags: u32,
    pub(super) space: u32,
    pub(super) type_: u32,
    pub(super) entry_flags: u32,
    pub(super) key: Vec<u8>,
    pub(super) value: Vec<u8>,
    pub(super) expiry_ms: i64,
    pub(super) expected_version: u64,
    pub(super) version: u64,
    pub(super) update: Option<Arc<Update>>,
}

impl Request {
    fn new(kind: u32, key: &[u8], value: &[u8]) -> Self {
        Self {
            kind,
            flags: 0,
            space: 0,
            type_: 0,
            entry_flags: 0,
            key: key.to_vec(),
            value: value.to_vec(),
            expiry_ms: 0,
            expected_version: 0,
            version: 0,
            update: None,
        }
    }

    pub(super) fn get(key: &[u8]) -> Self {
        Self::new(KV_OP_GET, key, b"")
    }

    pub(super) fn set(key: &[u8], value: &[u8]) -> Self {
        Self::new(KV_OP_SET, key, value)
    }

    pub(super) fn delete(key: &[u8]) -> Self {
        Self::new(KV_OP_DELETE, key, b"")
    }

    /// An update whose decision depends on the entry.
    pub(super) fn update(
        key: &[u8],
        logic: impl Fn(Option<&Answer>) -> Move + Send + Sync + 'static,
    ) -> Self {
        let update = Update { logic: Box::new(logic), shown: Mutex::default() };
        Self { update: Some(Arc::new(update)), ..Self::new(KV_OP_UPDATE, key, b"") }
    }

    /// An update whose decision is made.
    pub(super) fn decided(key: &[u8], decision: Move) -> Self {
        Self::update(key, move |_| decision.clone())
    }

    pub(super) fn with_flags(mut self, flags: u32) -> Self {
        self.flags |= flags;
        self
    }

    pub(super) fn expecting(mut self, version: u64) -> Self {
        self.expected_version = version;
        self.with_flags(KV_OP_EXPECT)
    }

    pub(super) fn importing(mut self, version: u64) -> Self {
        self.version = version;
        self.with_flags(KV_OP_IMPORT)
    }

    pub(super) fn expiring(mut self, expiry_ms: i64) -> Self {
        self.expiry_ms = expiry_ms;
        self
    }

    pub(super) fn typed(mut self, type_: u32, entry_flags: u32) -> Self {
        (self.type_, self.entry_flags) = (type_, entry_flags);
        self
    }

    pub(super) fn in_space(mut self, space: u32) -> Self {
        self.space = space;
        self
    }

    /// The same for C, valid as long as this request is neither changed nor dropped. What does not go with kind and flags holds
    /// garbage, and an empty text is NULL.
    pub(super) fn raw(&self) -> KvOp {
        let mut op = KvOp {
            kind: self.kind,
            flags: self.flags,
            space: self.space,
            key: lent(&self.key),
            reserved: 0,
            type_: GARBAGE as u32,
            entry_flags: GARBAGE as u32,
            value: KvBytes { data: ptr::without_provenance(GARBAGE as usize), len: GARBAGE as usize },
            expiry_ms: GARBAGE as i64,
            expected_version: GARBAGE,
            version: GARBAGE,
            update: Some(decide_nonsense),
            update_ctx: ptr::without_provenance_mut(GARBAGE as usize),
        };
        if self.kind == KV_OP_SET {
            (op.type_, op.entry_flags) = (self.type_, self.entry_flags);
            (op.value, op.expiry_ms) = (lent(&self.value), self.expiry_ms);
        }
        if self.kind == KV_OP_UPDATE {
            op.update = self.update.as_ref().map(|_| decide as KvUpdateFn);
            op.update_ctx =
                self.update.as_ref().map_or(ptr::null_mut(), |update| Arc::as_ptr(update).cast_mut().cast());
        }
        if self.flags & KV_OP_EXPECT != 0 {
            op.expected_version = self.expected_version;
        }
        if self.flags & KV_OP_IMPORT != 0 {
            op.version = self.version;
        }
        op
    }

    /// What the update's function saw when it was last called; an error if it never was.
    pub(super) fn shown(&self) -> Result<Option<Answer>, Stop> {
        let Some(update) = &self.update else { return Ok(None) };
        let shown = update.shown();
        ensure!(shown.calls > 0, "the update's function was never called");
        Ok(shown.last.clone())
    }

    /// Whether the engine made proper use of the update's function.
    pub(super) fn check_use(&self) -> Check {
        let fault = self.update.as_ref().and_then(|update| update.shown().fault.clone());
        fault.map_or(Ok(()), |fault| Err(Stop::Failed(fault)))
    }

    /// A few words for a failure's text.
    pub(super) fn describe(&self) -> String {
        let kind = match self.kind {
            KV_OP_GET => "GET",
            KV_OP_SET => "SET",
            KV_OP_DELETE => "DELETE",
            KV_OP_UPDATE => "UPDATE",
            _ => "an operation of no kind",
        };
        format!("{kind} of {}", shorten(&self.key))
    }
}

/// Bytes for the engine: NULL where there are none, as the contract allows.
fn lent(bytes: &[u8]) -> KvBytes {
    if bytes.is_empty() { KvBytes::EMPTY } else { KvBytes::new(bytes) }
}

/// What an update decides, with bytes of its own.
#[derive(Clone, Debug)]
pub(super) enum Move {
    Keep,
    /// An action that no version of the contract knows.
    Unknown,
    Replace {
        value: Vec<u8>,
        expiry_ms: i64,
        type_: u32,
        flags: u32,
    },
    Remove,
    SetExpiry(i64),
    Patch {
        offset: u64,
        bytes: Vec<u8>,
        new_len: u64,
        type_: u32,
        flags: u32,
    },
}

impl Move {
    pub(super) fn replace(value: &[u8]) -> Self {
        Self::Replace { value: value.to_vec(), expiry_ms: 0, type_: 0, flags: 0 }
    }

    pub(super) fn patch(offset: u64, bytes: &[u8], new_len: u64) -> Self {
        Self::Patch { offset, bytes: bytes.to_vec(), new_len, type_: 0, flags: 0 }
    }
}

type Logic = dyn Fn(Option<&Answer>) -> Move + Send + Sync;

/// An update's logic, and what it was shown.
pub(super) struct Update {
    logic: Box<Logic>,
    shown: Mutex<Shown>,
}

#[derive(Default)]
struct Shown {
    calls: u32,
    last: Option<Answer>,
    fault: Option<String>,
    // What the newest decision lends.
    bytes: Vec<u8>,
}

impl Update {
    fn shown(&self) -> MutexGuard<'_, Shown> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Stands where there is no update.
unsafe extern "C" fn decide_nonsense(_: *mut c_void, _: *const KvEntry, decision: *mut KvDecision) {
    // SAFETY: the decision is lent for the call, by the contract.
    unsafe { (*decision).action = GARBAGE as u32 };
}

unsafe extern "C" fn decide(ctx: *mut c_void, current: *const KvEntry, decision: *mut KvDecision) {
    // SAFETY: `ctx` is the request's update; entry and decision are lent for the call, by the contract.
    let (update, current, decision) = unsafe { (&*ctx.cast::<Update>(), current.as_ref(), &mut *decision) };
    // SAFETY: the engine lends the entry for this call.
    let current = current.map(|entry| unsafe { Answer::of_entry(entry, true) });
    let mut shown = update.shown();
    shown.calls += 1;
    if (decision.struct_size as usize) < size_of::<KvDecision>() {
        shown.fault =
            Some("kv_decision.struct_size was not set before the update's function was called".into());
    }
    let rest = (decision.action, decision.type_, decision.flags, decision.expiry_ms);
    let (value, rest_more) = (decision.value, (decision.offset, decision.new_len));
    if (rest, rest_more, value.len) != ((KV_DECISION_KEEP, 0, 0, 0), (0, 0), 0) {
        shown.fault = Some("kv_decision was not cleared before the update's function was called".into());
    }
    let choice = (update.logic)(current.as_ref());
    shown.last = current;
    let mut lend = |bytes: Vec<u8>| {
        shown.bytes = bytes;
        lent(&shown.bytes)
    };
    match choice {
        Move::Keep => decision.action = KV_DECISION_KEEP,
        Move::Unknown => decision.action = 77,
        Move::Remove => decision.action = KV_DECISION_REMOVE,
        Move::SetExpiry(expiry_ms) => {
            decision.action = KV_DECISION_SET_EXPIRY;
            decision.expiry_ms = expiry_ms;
        }
        Move::Replace { value, expiry_ms, type_, flags } => {
            decision.action = KV_DECISION_REPLACE;
            decision.value = lend(value);
            (decision.expiry_ms, decision.type_, decision.flags) = (expiry_ms, type_, flags);
        }
        Move::Patch { offset, bytes, new_len, type_, flags } => {
            decision.action = KV_DECISION_PATCH;
            decision.value = lend(bytes);
            (decision.offset, decision.new_len) = (offset, new_len);
            (decision.type_, decision.flags) = (type_, flags);
        }
    }
}

/// What came of one operation, copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: Status,
    pub(super) message: String,
    pub(super) key: Vec<u8>,
    pub(super) value: Vec<u8>,
    /// The value's length as told, which is more than what was lent where the value was not wanted.
    pub(super) value_len: usize,
    pub(super) expiry_ms: i64,
    pub(super) version: u64,
    pub(super) type_: u32,
    pub(super) flags: u32,
    /// How often a get's sink was called.
    pub(super) lent: u32,
}

impl Answer {
    pub(super) fn of_status(status: Status, message: String) -> Self {
        let (key, value) = (Vec::new(), Vec::new());
        Self {
            status,
            message,
            key,
            value,
            value_len: 0,
            expiry_ms: 0,
            version: 0,
            type_: 0,
            flags: 0,
            lent: 0,
        }
    }

    /// A copy of an entry; without the value where it is not wanted, as its bytes are not to be looked at then.
    ///
    /// # Safety
    /// What the entry points to is valid.
    pub(super) unsafe fn of_entry(entry: &KvEntry, with_value: bool) -> Self {
        let value = if with_value { entry.value } else { KvBytes::EMPTY };
        // SAFETY: the caller's promise.
        let (key, value) = unsafe { (entry.key.as_slice().to_vec(), value.as_slice().to_vec()) };
        Self {
            key,
            value,
            value_len: entry.value.len,
            expiry_ms: entry.expiry_ms,
            version: entry.version,
            type_: entry.type_,
            flags: entry.flags,
            ..Self::of_status(Status::OK, String::new())
        }
    }

    /// A copy of a result. Nothing is looked at but what is said to be set for this request and status.
    ///
    /// # Safety
    /// What is set and points somewhere is valid.
    pub(super) unsafe fn of_result(result: &KvResult, request: &Request) -> Self {
        let status = Status(result.status);
        if status != Status::OK {
            let message = if status.0 < 0 { result.message } else { KvBytes::EMPTY };
            // SAFETY: the caller's promise.
            let message = String::from_utf8_lossy(unsafe { message.as_slice() }).into_owned();
            return Self::of_status(status, message);
        }
        let (stored, found) = (request.kind != KV_OP_DELETE, request.kind == KV_OP_GET);
        let entry = KvEntry {
            key: KvBytes::EMPTY,
            value: if found { result.value } else { KvBytes::EMPTY },
            expiry_ms: if stored { result.expiry_ms } else { 0 },
            version: if stored { result.version } else { 0 },
            type_: if found { result.type_ } else { 0 },
            flags: if found { result.entry_flags } else { 0 },
        };
        // SAFETY: the caller's promise.
        Self { lent: 1, ..unsafe { Self::of_entry(&entry, request.flags & KV_OP_NO_VALUE == 0) } }
    }

    /// Fails unless the status is this one. An engine may be full at any time: then the test is skipped.
    pub(super) fn is(&self, wanted: Status, what: &str) -> Check {
        self.skips_full(&[wanted])?;
        let found = self.status;
        let text = if self.message.is_empty() { String::new() } else { format!(" ({})", self.message) };
        ensure!(found == wanted, "{what}: found {found}{text}, wanted {wanted}");
        self.has_text(what)
    }

    /// Fails if the status is one that must come with a text, and there is none.
    fn has_text(&self, what: &str) -> Check {
        let must = [Status::INVALID, Status::UNSUPPORTED].contains(&self.status);
        ensure!(!must || !self.message.is_empty(), "{what}: {} came without a text", self.status);
        Ok(())
    }

    /// Skips the test where it was to be done and there was no room.
    pub(super) fn skips_full(&self, wanted: &[Status]) -> Check {
        if self.status == Status::FULL && wanted.contains(&Status::OK) && !wanted.contains(&Status::FULL) {
            return Err(Stop::Skipped("the engine is full".to_owned()));
        }
        Ok(())
    }

    /// Fails unless the status is one of these; as `is`.
    pub(super) fn is_one_of(&self, wanted: &[Status], what: &str) -> Check {
        self.skips_full(wanted)?;
        ensure!(wanted.contains(&self.status), "{what}: found {}, wanted one of {wanted:?}", self.status);
        self.has_text(what)
    }

    /// Fails unless the value is this one.
    pub(super) fn holds(&self, wanted: &[u8], what: &str) -> Check {
        let found = &self.value;
        ensure!(found == wanted, "{what}: found {}, wanted {}", shorten(found), shorten(wanted));
        Ok(())
    }
}

/// Bytes for a failure's text.
pub(super) fn shorten(bytes: &[u8]) -> String {
    match bytes.get(..40) {
        Some(start) => format!("\"{}…\" ({} bytes)", start.escape_ascii(), bytes.len()),
        None => format!("\"{}\"", bytes.escape_ascii()),
    }
}
