//! Outcome: what came of work, copied out of the engine.

use plugin_abi::Status;
use plugin_abi::raw::{KV_OP_DELETE, KV_OP_GET, KV_OP_NO_VALUE, KvOp, KvResult};

use super::work::{self, Work};
use crate::protocol::Value;
use crate::pubsub::Event;

/// What came of one operation.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// OK, NOT_FOUND, CONFLICT, ABORTED or a failure.
    pub status: Status,
    /// Length of the entry's value in bytes, also where the value itself was not asked for.
    pub value_len: usize,
    /// When the entry expires, in milliseconds since 1970 UTC; 0 is never.
    pub expiry_ms: i64,
    /// The entry's version; 0 where the engine keeps none.
    pub version: u64,
    /// The entry's type, where a batch read it.
    pub type_: u32,
    /// The entry's flags, where a batch read it.
    pub flags: u32,
    /// An update's reply.
    pub reply: Option<Value>,
    /// A failure's text; may be empty.
    pub message: String,
    /// It was read, but there was no room for its value: to be read again.
    pub deferred: bool,
    /// It was read, but its value was left out: with it, the values of its work would be more than a client may have.
    pub left_out: bool,
    // None: only the length is known.
    value_start: Option<usize>,
}

impl Outcome {
    /// An outcome of a status only.
    pub fn of(status: Status, message: String) -> Self {
        Self {
            status,
            value_len: 0,
            expiry_ms: 0,
            version: 0,
            type_: 0,
            flags: 0,
            reply: None,
            message,
            deferred: false,
            left_out: false,
            value_start: None,
        }
    }

    /// Without its value where that does not fit.
    fn fitted(mut self, fit: Fit) -> Self {
        (self.deferred, self.left_out) = (fit == Fit::Deferred, fit == Fit::LeftOut);
        self.value_start = self.value_start.filter(|_| fit == Fit::Fits);
        self
    }

    /// Whether the engine panicked in it, or had before: whoever asked for it is told of no effect, and nobody can ask what it was.
    pub(super) fn has_panicked(&self) -> bool {
        panicked(self.status)
    }

    /// Whether it was not carried out: not where it merely found nothing.
    pub fn has_failed(&self) -> bool {
        self.status != Status::OK && self.status != Status::NOT_FOUND
    }
}

/// Whether an engine that answers so has panicked.
pub(crate) fn panicked(status: Status) -> bool {
    matches!(status, Status::PANIC | Status::POISONED)
}

/// What came of one operation, as the engine lends it.
#[derive(Clone, Copy)]
pub struct Lent<'a> {
    request: &'a KvOp,
    result: &'a KvResult,
}

impl<'a> Lent<'a> {
    /// Takes what an engine lends in the result of an operation.
    ///
    /// # Safety
    /// The operation is one of a [`Work`](super::Work), or of none that has updates. It is completed, and the bytes of the result are valid.
    pub(super) unsafe fn new(request: &'a KvOp, result: &'a KvResult) -> Self {
        Self { request, result }
    }

    /// OK, NOT_FOUND, CONFLICT or a failure.
    pub fn status(self) -> Status {
        Status(self.result.status)
    }

    /// The value that it has read.
    pub fn value(self) -> Option<&'a [u8]> {
        let wanted = self.request.kind == KV_OP_GET && self.request.flags & KV_OP_NO_VALUE == 0;
        // SAFETY: valid, said the caller of `new`.
        (wanted && self.status() == Status::OK).then(|| unsafe { self.result.value.as_slice() })
    }

    /// All that came of it, without its value where that does not fit. An update's reply is handed out once.
    pub fn outcome(self, fit: Fit) -> Outcome {
        let Self { request, result } = self;
        let mut outcome = Outcome::of(self.status(), String::new());
        if outcome.status != Status::OK {
            // Only a failure has a text.
            if outcome.status.0 < 0 {
                // SAFETY: valid, said the caller of `new`.
                outcome.message = String::from_utf8_lossy(unsafe { result.message.as_slice() }).into_owned();
            }
            return outcome;
        }
        if request.kind != KV_OP_DELETE {
            (outcome.expiry_ms, outcome.version) = (result.expiry_ms, result.version);
        }
        if request.kind == KV_OP_GET {
            outcome.value_len = result.value.len;
            (outcome.type_, outcome.flags) = (result.type_, result.entry_flags);
            outcome.value_start = self.value().map(|_| 0);
        }
        // SAFETY: it is an operation of a work, and completed.
        outcome.reply = unsafe { work::take_reply(request) };
        outcome.fitted(fit)
    }

    /// Tells what came of it, as keyspace notifications have it.
    pub fn tell(self, sink: &mut dyn FnMut(Event, &[u8])) {
        // SAFETY: an operation of a work, and completed.
        unsafe { work::tell(self.request, self.status(), sink) }
    }
}

/// Whether there is room for a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// There is.
    Fits,
    /// Later: its operation and all behind it are to be carried out again.
    Deferred,
    /// Never.
    LeftOut,
}

/// How much there is room for of the values of one work.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    // From this operation on, a value for which there is no room is deferred.
    deferrable_from: usize,
    // Bytes of all values at most.
    len_max: usize,
}

impl Default for Room {
    /// Without an end.
    fn default() -> Self {
        Self { deferrable_from: usize::MAX, len_max: usize::MAX }
    }
}

impl Room {
    /// That of a work whose reads can be [deferred](Outcome::deferred) from this operation on.
    pub(super) fn deferrable_from(deferrable_from: usize) -> Self {
        Self { deferrable_from, len_max: LEFT_OUT_FROM }
    }

    /// Whether there is room for what operation `op` has read, beside `len` bytes of others.
    #[inline]
    pub fn fit(self, op: usize, len: usize, value_len: usize) -> Fit {
        let all_len = len.saturating_add(value_len);
        if op >= self.deferrable_from && value_len > 0 && all_len > VALUES_LEN_MAX {
            Fit::Deferred
        } else if all_len > self.len_max {
            Fit::LeftOut
        } else {
            Fit::Fits
        }
    }
}

/// What came of a whole work, operation by operation.
#[derive(Debug, Default)]
pub struct Outcomes {
    all: Vec<Outcome>,
    values: Vec<u8>,
    room: Room,
}

/// Bytes of values that are copied for one work at most: room for the longest value twice. Without this, one request that reads a long value again and again
/// would take all memory.
pub(super) const LEFT_OUT_FROM: usize = 1 << 30;

/// What is told in their place.
pub const LEFT_OUT: &str =
    "ERR the reply is left out: the values that are asked for at once are longer than 1073741824 bytes";

/// Bytes of values that are copied for one work, where the rest can be read again later. What a client that reads slowly, or not
/// at all, can make the host hold is bounded by this and the reply to a single request.
const VALUES_LEN_MAX: usize = 16 << 20;

impl Outcomes {
    /// As many outcomes as there are operations, none of them known yet.
    pub fn unknown(len: usize) -> Self {
        let all = vec![Outcome::of(Status::UNKNOWN, String::new()); len];
        Self { all, ..Self::default() }
    }

    /// The same for a work, whose later reads may be [deferred](Outcome::deferred).
    pub(super) fn of_work(work: &Work) -> Self {
        Self { room: work.room(), ..Self::unknown(work.ops().len()) }
    }

    /// The same for works of one operation each, of which only the first has room for certain: a read behind it may be carried out again.
    pub(super) fn of_joint(len: usize) -> Self {
        Self { room: Room::deferrable_from(1), ..Self::unknown(len) }
    }

    /// What came of one operation, as that of a work of its own; nothing where nothing is known.
    pub(super) fn of_one(&self, op: usize) -> Self {
        let Some(outcome) = self.all.get(op) else { return Self::default() };
        let values = self.part(op, op + 1).value(0).unwrap_or_default().to_vec();
        let value_start = outcome.value_start.map(|_| 0);
        Self { all: vec![Outcome { value_start, ..outcome.clone() }], values, ..Self::default() }
    }

    /// Notes a status.
    pub fn set_status(&mut self, op: usize, status: Status, message: &str) {
        if let Some(outcome) = self.all.get_mut(op) {
            *outcome = Outcome::of(status, message.to_owned());
        }
    }

    /// Notes an entry that was read; its value is copied, `None` where only its length is known.
    pub fn set_entry(
        &mut self,
        op: usize,
        value: Option<&[u8]>,
        value_len: usize,
        expiry_ms: i64,
        version: u64,
    ) {
        let known = Outcome::of(Status::OK, String::new());
        let outcome = Outcome { value_len, expiry_ms, version, value_start: value.map(|_| 0), ..known };
        let fit = self.room.fit(op, self.values.len(), value.unwrap_or_default().len());
        self.put(op, outcome.fitted(fit), value.unwrap_or_default());
    }

    /// Notes what came of an operation, and copies its value.
    pub(super) fn set(&mut self, op: usize, lent: Lent<'_>) {
        let value = lent.value().unwrap_or_default();
        let fit = self.room.fit(op, self.values.len(), value.len());
        self.put(op, lent.outcome(fit), value);
    }

    fn put(&mut self, op: usize, mut outcome: Outcome, value: &[u8]) {
        let Some(place) = self.all.get_mut(op) else { return };
        if let Some(start) = &mut outcome.value_start {
            *start = self.values.len();
            self.values.extend_from_slice(value);
        }
        *place = outcome;
    }

    /// Notes the version of a key without an entry, where the host keeps versions.
    pub(super) fn set_version(&mut self, op: usize, version: u64) {
        if let Some(outcome) = self.all.get_mut(op) {
            outcome.version = version;
        }
    }

    /// Notes an update's reply.
    pub fn set_reply(&mut self, op: usize, reply: Value) {
        if let Some(outcome) = self.all.get_mut(op) {
            outcome.reply = Some(reply);
        }
    }

    /// The outcomes from `start` to `end`.
    pub fn part(&self, start: usize, end: usize) -> Answers<'_> {
        Answers { all: self.all.get(start..end).unwrap_or_default(), values: &self.values }
    }

    /// All outcomes.
    pub fn all(&self) -> &[Outcome] {
        &self.all
    }

    /// Whether the engine panicked in one of the operations, or had before.
    pub(super) fn have_panicked(&self) -> bool {
        self.all.iter().any(Outcome::has_panicked)
    }
}

/// What came of the operations of one request.
#[derive(Clone, Copy, Debug, Default)]
pub struct Answers<'a> {
    all: &'a [Outcome],
    values: &'a [u8],
}

impl<'a> Answers<'a> {
    /// Those of a request of one operation, whose outcome it is and which has read this value.
    pub fn of_one(outcome: &'a Outcome, value: Option<&'a [u8]>) -> Self {
        Self { all: std::slice::from_ref(outcome), values: value.unwrap_or_default() }
    }

    /// The outcomes, in the order in which the operations were planned.
    pub fn all(self) -> &'a [Outcome] {
        self.all
    }

    /// The value that an operation read; `None` where there was no entry, it failed, or there is no such operation.
    pub fn value(self, op: usize) -> Option<&'a [u8]> {
        let outcome = self.all.get(op).filter(|outcome| outcome.status == Status::OK)?;
        self.values.get(outcome.value_start?..)?.get(..outcome.value_len)
    }

    /// Whether an operation has to be read again.
    pub fn deferred(self) -> bool {
        self.all.iter().any(|outcome| outcome.deferred)
    }

    /// The first operation that failed, or whose value was left out, if there is one.
    pub fn failure(self) -> Option<&'a Outcome> {
        self.all.iter().find(|outcome| outcome.left_out || outcome.has_failed())
    }
}

#[cfg(test)]
mod tests {
    use super::{LEFT_OUT_FROM, Outcomes, Room, Status};
    use crate::command::Error;

    #[test]
    fn a_value_that_is_too_much_for_one_work_is_left_out_and_told() {
        let mut outcomes = Outcomes { room: Room { len_max: 10, ..Room::default() }, ..Outcomes::unknown(4) };
        for (op, value) in ["123456", "12345", "1234", ""].into_iter().enumerate() {
            outcomes.set_entry(op, Some(value.as_bytes()), value.len(), 0, 0);
        }
        let values: Vec<_> = (0..4).map(|op| outcomes.part(op, op + 1).value(0)).collect();
        assert_eq!(values, [Some(&b"123456"[..]), None, Some(b"1234"), Some(b"")]);
        assert!(outcomes.part(0, 1).failure().is_none());
        let failed = outcomes.part(0, 4).failure().unwrap();
        assert_eq!(failed.status, Status::OK, "it was carried out");
        assert!(Error::from(failed).0.ends_with(&format!(" {LEFT_OUT_FROM} bytes")));
    }
}
