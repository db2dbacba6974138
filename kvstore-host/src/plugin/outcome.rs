//! Outcome: what came of work, copied out of the engine.

use plugin_abi::Status;
use plugin_abi::raw::{KV_OP_DELETE, KV_OP_GET, KV_OP_NO_VALUE, KvOp, KvResult};

use crate::protocol::Value;

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

    /// Whether it was not carried out: not where it merely found nothing.
    pub fn has_failed(&self) -> bool {
        self.status != Status::OK && self.status != Status::NOT_FOUND
    }
}

/// What came of a whole work, operation by operation.
#[derive(Debug, Default)]
pub struct Outcomes {
    all: Vec<Outcome>,
    values: Vec<u8>,
    // From this operation on, a value for which there is no room is deferred.
    deferrable_from: usize,
    // Bytes of values that are copied at most.
    values_len_max: usize,
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
        Self { all, values: Vec::new(), deferrable_from: usize::MAX, values_len_max: usize::MAX }
    }

    /// The same for a work, whose later reads may be [deferred](Outcome::deferred).
    pub(super) fn of_work(work: &super::Work) -> Self {
        let (deferrable_from, values_len_max) = (work.deferrable_from(), LEFT_OUT_FROM);
        Self { deferrable_from, values_len_max, ..Self::unknown(work.ops().len()) }
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
        let bytes = value.unwrap_or_default();
        let all_len = self.values.len().saturating_add(bytes.len());
        let deferred = op >= self.deferrable_from && !bytes.is_empty() && all_len > VALUES_LEN_MAX;
        let left_out = !deferred && all_len > self.values_len_max;
        let kept = value.filter(|_| !deferred && !left_out);
        let value_start = kept.map(|_| self.values.len());
        self.values.extend_from_slice(kept.unwrap_or_default());
        if let Some(outcome) = self.all.get_mut(op) {
            let known = Outcome::of(Status::OK, String::new());
            *outcome = Outcome { value_len, expiry_ms, version, deferred, left_out, value_start, ..known };
        }
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

    /// Copies what an engine lends in a result.
    ///
    /// # Safety
    /// The bytes of the result are valid during this call.
    pub(super) unsafe fn set_result(&mut self, op: usize, request: &KvOp, result: &KvResult) {
        let status = Status(result.status);
        // Only a failure has a text. SAFETY: valid, says the caller.
        let message = if status.0 < 0 { unsafe { result.message.as_slice() } } else { &[] };
        if status != Status::OK {
            return self.set_status(op, status, &String::from_utf8_lossy(message));
        }
        match request.kind {
            KV_OP_GET => {
                let no_value = request.flags & KV_OP_NO_VALUE != 0;
                // SAFETY: valid, says the caller.
                let value = (!no_value).then(|| unsafe { result.value.as_slice() });
                self.set_entry(op, value, result.value.len, result.expiry_ms, result.version);
                if let Some(outcome) = self.all.get_mut(op) {
                    (outcome.type_, outcome.flags) = (result.type_, result.entry_flags);
                }
            }
            KV_OP_DELETE => self.set_status(op, status, ""),
            _ => self.set_entry(op, None, 0, result.expiry_ms, result.version),
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
}

/// What came of the operations of one request.
#[derive(Clone, Copy, Debug)]
pub struct Answers<'a> {
    all: &'a [Outcome],
    values: &'a [u8],
}

impl<'a> Answers<'a> {
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
    use super::{LEFT_OUT_FROM, Outcomes, Status};
    use crate::command::Error;

    #[test]
    fn a_value_that_is_too_much_for_one_work_is_left_out_and_told() {
        let mut outcomes = Outcomes { values_len_max: 10, ..Outcomes::unknown(4) };
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
