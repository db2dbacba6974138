//! Decode errors: why bytes are not the protocol, or more than is allowed.

use std::fmt;

/// Why bytes are not a value.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecodeError {
    /// No type begins with this byte.
    UnknownType {
        /// The first byte of the line.
        kind: u8,
    },
    /// The length of a bulk or an aggregate is no number that it can have.
    BadLength {
        /// First byte of the type.
        kind: u8,
    },
    /// A number, boolean, null or verbatim string does not have the form of its type.
    BadScalar {
        /// First byte of the type.
        kind: u8,
    },
    /// A line or a bulk does not end in CR LF, or is empty.
    BadLineEnd,
    /// The type exists, but not in this place.
    Misplaced {
        /// First byte of the type.
        kind: u8,
    },
    /// Aggregates lie deeper within each other than allowed.
    NestingTooDeep {
        /// Allowed depth.
        max: usize,
    },
    /// A bulk is declared longer than allowed.
    BulkTooLong {
        /// Declared length in bytes.
        len: u64,
        /// Allowed length in bytes.
        max: u64,
    },
    /// A reply has, or declares, more values than allowed.
    TooManyElements {
        /// Allowed number of values.
        max: usize,
    },
    /// A line is longer than allowed.
    LineTooLong {
        /// Allowed length in bytes.
        max: usize,
    },
    /// A reply as a whole is longer than allowed.
    ReplyTooLong {
        /// Allowed length in bytes.
        max: u64,
    },
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownType { kind } => write!(f, "no type begins with `{}`", kind.escape_ascii()),
            Self::BadLength { kind } => write!(f, "bad length after `{}`", kind.escape_ascii()),
            Self::BadScalar { kind } => write!(f, "bad text after `{}`", kind.escape_ascii()),
            Self::BadLineEnd => f.write_str("a line or a bulk does not end in CR LF, or is empty"),
            Self::Misplaced { kind } => {
                write!(f, "`{}` in a place where it cannot stand", kind.escape_ascii())
            }
            Self::NestingTooDeep { max } => write!(f, "aggregates nested more than {max} deep"),
            Self::BulkTooLong { len, max } => write!(f, "a bulk of {len} bytes, allowed are {max}"),
            Self::TooManyElements { max } => write!(f, "more than {max} values in one reply"),
            Self::LineTooLong { max } => write!(f, "a line of more than {max} bytes"),
            Self::ReplyTooLong { max } => write!(f, "a reply of more than {max} bytes"),
        }
    }
}

impl std::error::Error for DecodeError {}
