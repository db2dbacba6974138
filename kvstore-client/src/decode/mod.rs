//! Decode: bytes as they arrive to values, RESP2 and RESP3. Performs no I/O, reserves nothing ahead of the bytes, never panics.

mod error;
mod frame;
mod limits;
mod scalar;

pub use error::DecodeError;
pub use limits::Limits;

use crate::{ReplyError, Value};
use frame::{Frame, Kind};

/// What has been taken from the buffer is given back once it is this long.
const COMPACT_LEN: usize = 64 * 1024;

/// An incremental decoder: [`feed`](Self::feed) it bytes in any portions, ask for values with [`next_value`](Self::next_value).
///
/// After an error the place of the next value is unknown, so the decoder gives the same error for ever.
#[derive(Debug)]
pub struct Decoder {
    limits: Limits,
    buffer: Vec<u8>,
    /// Everything before this position of the buffer has been taken.
    taken: usize,
    /// No line end lies between `taken` and this position: a long line is searched once, not once per portion.
    searched: usize,
    /// Aggregates that are not complete, outermost first.
    stack: Vec<Frame>,
    /// The bulk whose bytes are arriving.
    body: Option<Body>,
    /// A string that arrives in chunks (`$?`).
    chunks: Option<Vec<u8>>,
    /// Values counted in the reply at hand.
    elements: usize,
    /// Bytes taken for the reply at hand.
    reply_len: u64,
    failed: Option<DecodeError>,
}

#[derive(Debug)]
struct Body {
    kind: BodyKind,
    missing_len: usize,
    bytes: Vec<u8>,
}

#[derive(Debug, Clone, Copy)]
enum BodyKind {
    Bulk,
    Error,
    Verbatim,
    Chunk,
}

/// What one step through the buffer gave.
enum Step {
    Value(Value),
    /// Something was taken that completes no value.
    Progress,
    /// More bytes are needed.
    Starved,
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new(Limits::default())
    }
}

impl Decoder {
    /// A decoder that refuses what exceeds `limits`.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            buffer: Vec::new(),
            taken: 0,
            searched: 0,
            stack: Vec::new(),
            body: None,
            chunks: None,
            elements: 0,
            reply_len: 0,
            failed: None,
        }
    }

    /// Adds bytes that have arrived.
    pub fn feed(&mut self, bytes: &[u8]) {
        if self.taken == self.buffer.len() {
            self.buffer.clear();
            self.searched = 0;
            self.taken = 0;
        } else if self.taken >= COMPACT_LEN && self.taken >= self.buffer.len() / 2 {
            self.buffer.drain(..self.taken);
            self.searched = self.searched.saturating_sub(self.taken);
            self.taken = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole value, or `None` when more bytes are needed.
    ///
    /// # Errors
    /// The bytes are not the protocol, or exceed a limit.
    pub fn next_value(&mut self) -> Result<Option<Value>, DecodeError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let result = self.advance();
        if let Err(error) = &result {
            self.failed = Some(error.clone());
            // Nothing of it will be needed again.
            self.buffer = Vec::new();
            self.taken = 0;
            self.searched = 0;
            self.stack = Vec::new();
            self.body = None;
            self.chunks = None;
        }
        result
    }

    /// Whether no part of a further value has arrived.
    pub fn is_between_values(&self) -> bool {
        self.taken == self.buffer.len()
            && self.stack.is_empty()
            && self.body.is_none()
            && self.chunks.is_none()
    }

    fn advance(&mut self) -> Result<Option<Value>, DecodeError> {
        loop {
            let step = if self.body.is_some() { self.step_body()? } else { self.step_line()? };
            match step {
                Step::Starved => return Ok(None),
                Step::Progress => {}
                Step::Value(value) => {
                    if let Some(value) = self.attach(value)? {
                        self.elements = 0;
                        self.reply_len = 0;
                        return Ok(Some(value));
                    }
                }
            }
        }
    }

    /// Moves the bulk at hand forward by what the buffer has.
    fn step_body(&mut self) -> Result<Step, DecodeError> {
        let Some(body) = &mut self.body else { return Ok(Step::Progress) };
        let available = self.buffer.get(self.taken..).unwrap_or_default();
        let portion_len = body.missing_len.min(available.len());
        body.bytes.extend_from_slice(available.get(..portion_len).unwrap_or_default());
        body.missing_len -= portion_len;
        self.take(portion_len)?;
        match (&self.body, self.buffer.get(self.taken..).unwrap_or_default()) {
            (Some(body), _) if body.missing_len > 0 => return Ok(Step::Starved),
            (_, [b'\r', b'\n', ..]) => {}
            (_, [] | [b'\r']) => return Ok(Step::Starved),
            _ => return Err(DecodeError::BadLineEnd),
        }
        self.take(2)?;
        let Some(Body { kind, bytes, .. }) = self.body.take() else { return Ok(Step::Progress) };
        Ok(Step::Value(match kind {
            BodyKind::Bulk => Value::Bulk(bytes),
            BodyKind::Error => Value::Error(ReplyError::parse(&bytes)),
            BodyKind::Verbatim => scalar::verbatim(bytes)?,
            BodyKind::Chunk => {
                self.chunks.get_or_insert_default().extend_from_slice(&bytes);
                return Ok(Step::Progress);
            }
        }))
    }

    /// Takes one line and acts on its first byte.
    fn step_line(&mut self) -> Result<Step, DecodeError> {
        let unread = self.buffer.get(self.searched..).unwrap_or_default();
        let Some(at) = unread.iter().position(|b| matches!(b, b'\r' | b'\n')) else {
            self.searched = self.buffer.len();
            self.check_line_len(self.buffer.len())?;
            return Ok(Step::Starved);
        };
        let end = self.searched + at;
        self.searched = end;
        self.check_line_len(end)?;
        match self.buffer.get(end..).unwrap_or_default() {
            [b'\r', b'\n', ..] => {}
            [b'\r'] => return Ok(Step::Starved),
            _ => return Err(DecodeError::BadLineEnd),
        }
        let line = self.buffer.get(self.taken..end).unwrap_or_default().to_vec();
        self.take(line.len() + 2)?;
        let Some((&kind, rest)) = line.split_first() else { return Err(DecodeError::BadLineEnd) };
        self.line(kind, rest)
    }

    fn line(&mut self, kind: u8, rest: &[u8]) -> Result<Step, DecodeError> {
        if self.chunks.is_some() {
            return self.chunk_line(kind, rest);
        }
        match kind {
            b'$' if rest == b"?" => {
                self.chunks = Some(Vec::new());
                Ok(Step::Progress)
            }
            b'$' | b'!' | b'=' => {
                let body = match kind {
                    b'$' => BodyKind::Bulk,
                    b'!' => BodyKind::Error,
                    _ => BodyKind::Verbatim,
                };
                match scalar::length(kind, rest)? {
                    Some(len) => self.open_body(body, len),
                    None if kind == b'$' => Ok(Step::Value(Value::Nil)),
                    None => Err(DecodeError::BadLength { kind }),
                }
            }
            b'*' | b'~' | b'%' | b'>' | b'|' => self.open_aggregate(kind, rest),
            b'.' if rest.is_empty() => match self.stack.pop() {
                Some(frame) => frame.end().map(Step::Value),
                None => Err(DecodeError::Misplaced { kind }),
            },
            _ => scalar::scalar(kind, rest).map(Step::Value),
        }
    }

    /// A line between the chunks of a string that arrives in chunks.
    fn chunk_line(&mut self, kind: u8, rest: &[u8]) -> Result<Step, DecodeError> {
        if kind != b';' {
            return Err(DecodeError::Misplaced { kind });
        }
        match scalar::length(kind, rest)? {
            Some(0) => Ok(Step::Value(Value::Bulk(self.chunks.take().unwrap_or_default()))),
            Some(len) => self.open_body(BodyKind::Chunk, len),
            None => Err(DecodeError::BadLength { kind }),
        }
    }

    fn open_body(&mut self, kind: BodyKind, len: u64) -> Result<Step, DecodeError> {
        let so_far = self.chunks.as_ref().map_or(0, Vec::len) as u64;
        let max = self.limits.bulk_len_max;
        match usize::try_from(len) {
            Ok(missing_len) if len.saturating_add(so_far) <= max => {
                self.body = Some(Body { kind, missing_len, bytes: Vec::new() });
                Ok(Step::Progress)
            }
            _ => Err(DecodeError::BulkTooLong { len: len.saturating_add(so_far), max }),
        }
    }

    fn open_aggregate(&mut self, kind: u8, rest: &[u8]) -> Result<Step, DecodeError> {
        let count = if rest == b"?" && matches!(kind, b'*' | b'~' | b'%') {
            None
        } else {
            match scalar::length(kind, rest)? {
                Some(count) => Some(count),
                None if kind == b'*' => return Ok(Step::Value(Value::Nil)),
                None => return Err(DecodeError::BadLength { kind }),
            }
        };
        if self.stack.len() >= self.limits.nesting_max {
            return Err(DecodeError::NestingTooDeep { max: self.limits.nesting_max });
        }
        let kind = Kind::of(kind);
        let values = count.map(|count| count.saturating_mul(kind.values_per_entry()));
        let max = self.limits.elements_max;
        if values.is_some_and(|values| values > max as u64) {
            return Err(DecodeError::TooManyElements { max });
        }
        let frame = Frame::new(kind, values);
        if frame.is_complete() {
            match frame.finish() {
                Ok(value) => return Ok(Step::Value(value)),
                Err(annotation) => self.stack.push(annotation),
            }
        } else {
            self.stack.push(frame);
        }
        Ok(Step::Progress)
    }

    /// Puts a value where it belongs; gives it back when it belongs to nothing.
    fn attach(&mut self, value: Value) -> Result<Option<Value>, DecodeError> {
        let mut value = value;
        while let Some(mut frame) = self.stack.pop() {
            self.elements += 1;
            if self.elements > self.limits.elements_max {
                return Err(DecodeError::TooManyElements { max: self.limits.elements_max });
            }
            frame.push(value);
            if !frame.is_complete() {
                self.stack.push(frame);
                return Ok(None);
            }
            match frame.finish() {
                Ok(finished) => value = finished,
                Err(annotation) => {
                    self.stack.push(annotation);
                    return Ok(None);
                }
            }
        }
        Ok(Some(value))
    }

    fn take(&mut self, len: usize) -> Result<(), DecodeError> {
        self.taken += len;
        self.searched = self.taken;
        self.reply_len = self.reply_len.saturating_add(len as u64);
        if self.reply_len > self.limits.reply_len_max {
            return Err(DecodeError::ReplyTooLong { max: self.limits.reply_len_max });
        }
        Ok(())
    }

    /// Refuses a line that reaches up to this position when that is too long. A simple string is one line, and may be as long as a bulk:
    /// MONITOR tells of whole requests that way.
    fn check_line_len(&self, end: usize) -> Result<(), DecodeError> {
        let len = end - self.taken;
        let max = match self.buffer.get(self.taken) {
            Some(b'+') => {
                self.limits.line_len_max.max(usize::try_from(self.limits.bulk_len_max).unwrap_or(usize::MAX))
            }
            _ => self.limits.line_len_max,
        };
        if len > max { Err(DecodeError::LineTooLong { max }) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests;
