//! Frame: an aggregate whose elements are still arriving.

use super::DecodeError;
use crate::Value;

/// What the elements become.
#[derive(Debug)]
pub(super) enum Kind {
    Array,
    Set,
    Map,
    Push,
    /// The pairs of an attribute.
    Attribute,
    /// The attribute is complete, the value that it belongs to is not.
    Attributed(Vec<(Value, Value)>),
}

impl Kind {
    /// The kind that begins with this byte. The decoder asks for no other byte than those of aggregates.
    pub(super) fn of(byte: u8) -> Self {
        match byte {
            b'~' => Self::Set,
            b'%' => Self::Map,
            b'>' => Self::Push,
            b'|' => Self::Attribute,
            _ => Self::Array,
        }
    }

    pub(super) fn values_per_entry(&self) -> u64 {
        match self {
            Self::Map | Self::Attribute => 2,
            _ => 1,
        }
    }

    fn byte(&self) -> u8 {
        match self {
            Self::Array => b'*',
            Self::Set => b'~',
            Self::Map => b'%',
            Self::Push => b'>',
            Self::Attribute | Self::Attributed(_) => b'|',
        }
    }
}

#[derive(Debug)]
pub(super) struct Frame {
    kind: Kind,
    values: Vec<Value>,
    /// Values still to come; `None` when the end will be marked.
    missing: Option<u64>,
}

impl Frame {
    pub(super) fn new(kind: Kind, missing: Option<u64>) -> Self {
        Self { kind, values: Vec::new(), missing }
    }

    pub(super) fn is_complete(&self) -> bool {
        self.missing == Some(0)
    }

    pub(super) fn push(&mut self, value: Value) {
        self.values.push(value);
        self.missing = self.missing.map(|missing| missing.saturating_sub(1));
    }

    /// The value of a complete frame; for an attribute the frame that waits for the value it belongs to.
    pub(super) fn finish(mut self) -> Result<Value, Self> {
        Ok(match self.kind {
            Kind::Array => Value::Array(self.values),
            Kind::Set => Value::Set(self.values),
            Kind::Push => Value::Push(self.values),
            Kind::Map => Value::Map(pairs(self.values)),
            Kind::Attribute => return Err(Self::new(Kind::Attributed(pairs(self.values)), Some(1))),
            Kind::Attributed(attributes) => {
                let value = Box::new(self.values.pop().unwrap_or(Value::Nil));
                Value::Attribute { attributes, value }
            }
        })
    }

    /// The value of a frame whose end has been marked.
    pub(super) fn end(self) -> Result<Value, DecodeError> {
        let kind = self.kind.byte();
        let whole = (self.values.len() as u64).is_multiple_of(self.kind.values_per_entry());
        if self.missing.is_some() || !whole {
            return Err(DecodeError::Misplaced { kind: b'.' });
        }
        self.finish().map_err(|_| DecodeError::Misplaced { kind })
    }
}

fn pairs(values: Vec<Value>) -> Vec<(Value, Value)> {
    let mut pairs = Vec::with_capacity(values.len() / 2);
    let mut values = values.into_iter();
    while let (Some(key), Some(value)) = (values.next(), values.next()) {
        pairs.push((key, value));
    }
    pairs
}
