//! Value: everything a server can say in RESP2 or RESP3.

use std::fmt;

/// One value of the protocol, RESP2 or RESP3.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// RESP3 null, or the null bulk and null array of RESP2.
    Nil,
    /// A short text without line breaks, such as `OK`.
    Simple(Vec<u8>),
    /// An error reply, simple or bulk.
    Error(ReplyError),
    /// A 64-bit number.
    Integer(i64),
    /// Any bytes.
    Bulk(Vec<u8>),
    /// An ordered list.
    Array(Vec<Value>),
    /// A floating-point number, possibly infinite or not a number.
    Double(f64),
    /// True or false.
    Boolean(bool),
    /// A whole number of any size, in decimal digits with an optional sign.
    BigNumber(String),
    /// Text with its format.
    Verbatim {
        /// Three letters, such as `txt` or `mkd`.
        format: [u8; 3],
        /// The text itself.
        text: Vec<u8>,
    },
    /// Pairs in the order sent; a server does not have to keep keys unique.
    Map(Vec<(Value, Value)>),
    /// Members in the order sent.
    Set(Vec<Value>),
    /// A message that answers no request.
    Push(Vec<Value>),
    /// A value with attributes, which a client may ignore.
    Attribute {
        /// What is said about the value.
        attributes: Vec<(Value, Value)>,
        /// The value itself.
        value: Box<Value>,
    },
}

/// An error reply: a code in capitals such as `ERR` or `WRONGTYPE`, and the message after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplyError {
    /// First word when it is made of capitals, digits, `-` and `_`; else empty.
    pub code: String,
    /// The rest of the text.
    pub message: String,
}

impl ReplyError {
    /// Takes the text of an error reply apart. Bytes that are not UTF-8 become U+FFFD.
    pub fn parse(text: &[u8]) -> Self {
        let text = String::from_utf8_lossy(text);
        let (first, rest) = text.split_once(' ').unwrap_or((&text, ""));
        let capital = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
        if !first.is_empty() && first.bytes().all(capital) {
            Self { code: first.to_owned(), message: rest.to_owned() }
        } else {
            Self { code: String::new(), message: text.into_owned() }
        }
    }
}

impl fmt::Display for ReplyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.code.is_empty(), self.message.is_empty()) {
            (true, _) => f.write_str(&self.message),
            (false, true) => f.write_str(&self.code),
            (false, false) => write!(f, "{} {}", self.code, self.message),
        }
    }
}

impl std::error::Error for ReplyError {}

impl Value {
    /// The value under any attributes.
    pub fn without_attributes(self) -> Self {
        let mut value = self;
        while let Self::Attribute { value: inner, .. } = value {
            value = *inner;
        }
        value
    }

    /// Whether this is [`Value::Nil`].
    pub fn is_nil(&self) -> bool {
        matches!(self, Self::Nil)
    }

    /// Whether this is a message that answers no request.
    pub fn is_push(&self) -> bool {
        match self {
            Self::Push(_) => true,
            Self::Attribute { value, .. } => value.is_push(),
            _ => false,
        }
    }

    /// The bytes of any kind of string; `None` for other types.
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Simple(bytes) | Self::Bulk(bytes) | Self::Verbatim { text: bytes, .. } => Some(bytes),
            _ => None,
        }
    }

    /// The bytes of any kind of string, without a copy; `None` for other types.
    pub fn into_bytes(self) -> Option<Vec<u8>> {
        match self {
            Self::Simple(bytes) | Self::Bulk(bytes) | Self::Verbatim { text: bytes, .. } => Some(bytes),
            _ => None,
        }
    }

    /// The number; `None` for other types.
    pub fn as_integer(&self) -> Option<i64> {
        match self {
            Self::Integer(number) => Some(*number),
            _ => None,
        }
    }

    /// The elements of an array or a set; `None` for other types.
    pub fn into_elements(self) -> Option<Vec<Value>> {
        match self {
            Self::Array(elements) | Self::Set(elements) => Some(elements),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_reply_is_split_into_code_and_message_and_shown_as_sent() {
        for (text, code, message) in [
            ("ERR unknown command", "ERR", "unknown command"),
            ("WRONGTYPE Operation", "WRONGTYPE", "Operation"),
            ("NOAUTH", "NOAUTH", ""),
            ("no code here", "", "no code here"),
            ("", "", ""),
        ] {
            let error = ReplyError::parse(text.as_bytes());
            assert_eq!((error.code.as_str(), error.message.as_str()), (code, message));
            assert_eq!(error.to_string(), text);
        }
    }

    #[test]
    fn attributes_are_taken_off_however_deep_they_lie() {
        let wrap = |value| Value::Attribute { attributes: vec![], value: Box::new(value) };
        assert_eq!(wrap(wrap(Value::Integer(1))).without_attributes(), Value::Integer(1));
        assert!(wrap(Value::Push(vec![])).is_push());
    }
}
