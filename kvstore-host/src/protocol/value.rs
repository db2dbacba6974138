//! Value: a reply as a tree, for commands that make one before they know where it goes.

use std::borrow::Cow;

use super::reply::Reply;

/// A reply that owns what it says. Most commands write to a [`Reply`] at once and need none.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Value {
    /// No reply at all: the connection ends instead. Never a part of another one.
    Nothing,
    /// No value.
    Null,
    /// No array.
    NullArray,
    /// The status `OK`.
    Ok,
    /// A status.
    Simple(Cow<'static, str>),
    /// An integer.
    Integer(i64),
    /// A floating point number.
    Double(f64),
    /// A truth value.
    Bool(bool),
    /// Any bytes.
    Bulk(Vec<u8>),
    /// A text for people.
    Verbatim {
        /// Three characters that name the format, as `txt`.
        format: Cow<'static, str>,
        /// The text.
        text: Vec<u8>,
    },
    /// A row of replies.
    Array(Vec<Value>),
    /// Keys with their values.
    Map(Vec<(Value, Value)>),
    /// Replies of which no two are alike.
    Set(Vec<Value>),
    /// An error, its code first.
    Error(Cow<'static, str>),
}

impl Value {
    /// A bulk of `text`.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Bulk(text.into().into_bytes())
    }

    /// An error, its code first.
    pub fn error(text: impl Into<Cow<'static, str>>) -> Self {
        Self::Error(text.into())
    }

    /// Writes this reply and all in it. Its depth on the stack is the depth of the tree, which is the caller's make.
    pub fn write(&self, reply: &mut dyn Reply) {
        match self {
            Self::Nothing => {}
            Self::Null => reply.null(),
            Self::NullArray => reply.null_array(),
            Self::Ok => reply.ok(),
            Self::Simple(text) => reply.simple(text),
            Self::Integer(value) => reply.integer(*value),
            Self::Double(value) => reply.double(*value),
            Self::Bool(value) => reply.boolean(*value),
            Self::Bulk(bytes) => reply.bulk(bytes),
            Self::Verbatim { format, text } => reply.verbatim(format, text),
            Self::Array(elements) => {
                reply.array(elements.len());
                elements.iter().for_each(|element| element.write(reply));
            }
            Self::Map(pairs) => {
                reply.map(pairs.len());
                for (key, value) in pairs {
                    key.write(reply);
                    value.write(reply);
                }
            }
            Self::Set(elements) => {
                reply.set(elements.len());
                elements.iter().for_each(|element| element.write(reply));
            }
            Self::Error(text) => reply.error(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Value;
    use crate::protocol::{Encoder, Protocol};

    #[test]
    fn a_tree_is_written_depth_first() {
        let value = Value::Map(vec![
            (Value::text("proto"), Value::Integer(3)),
            (Value::text("modules"), Value::Array(vec![Value::Null, Value::Set(vec![Value::Bool(true)])])),
        ]);
        let mut out = Vec::new();
        value.write(&mut Encoder::new(&mut out, Protocol::Resp3));
        assert_eq!(out, b"%2\r\n$5\r\nproto\r\n:3\r\n$7\r\nmodules\r\n*2\r\n_\r\n~1\r\n#t\r\n");
        out.clear();
        value.write(&mut Encoder::new(&mut out, Protocol::Resp2));
        assert_eq!(out, b"*4\r\n$5\r\nproto\r\n:3\r\n$7\r\nmodules\r\n*2\r\n$-1\r\n*1\r\n:1\r\n");
    }
}
