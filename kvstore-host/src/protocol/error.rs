//! ProtocolError: why a connection's bytes are no request; the connection is closed after any of them.

use std::fmt;

/// Why the bytes of a connection are no request. Nothing after such bytes can be understood, so the connection is to
/// be closed, after a reply where [`is_answered`](Self::is_answered) says so.
///
/// `Display` gives the text of Redis 7 without its code: the reply is `ERR ` and this text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProtocolError {
    /// The number of arguments (`*n`) is no number, or above `args_max`.
    InvalidMultibulkLength,
    /// The length of an argument (`$n`) is no number, negative, or above `bulk_len_max`.
    InvalidBulkLength,
    /// Something else than `$` where an argument must begin.
    ExpectedBulk {
        /// The byte found there.
        found: u8,
    },
    /// The line with the number of arguments does not end.
    TooBigMultibulkCount,
    /// The line with the length of an argument does not end.
    TooBigBulkCount,
    /// An inline request longer than `inline_len_max`.
    TooBigInline,
    /// An inline request with an open quote, or with something other than a space after a closing quote.
    UnbalancedQuotes,
    /// A request longer in all than `request_len_max`.
    TooBigRequest,
    /// An HTTP request: a web page makes its visitor's browser talk to this port, and its body may hold commands.
    CrossProtocol,
}

impl ProtocolError {
    /// Whether the client is told before the connection is closed. A browser made to attack is not.
    pub const fn is_answered(self) -> bool {
        !matches!(self, Self::CrossProtocol)
    }
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::InvalidMultibulkLength => "Protocol error: invalid multibulk length",
            Self::InvalidBulkLength => "Protocol error: invalid bulk length",
            Self::ExpectedBulk { found } => {
                return write!(formatter, "Protocol error: expected '$', got '{}'", Shown(*found));
            }
            Self::TooBigMultibulkCount => "Protocol error: too big mbulk count string",
            Self::TooBigBulkCount => "Protocol error: too big bulk count string",
            Self::TooBigInline => "Protocol error: too big inline request",
            Self::UnbalancedQuotes => "Protocol error: unbalanced quotes in request",
            Self::TooBigRequest => "Protocol error: too big request",
            Self::CrossProtocol => {
                "Possible cross protocol scripting: an HTTP request arrived where Redis protocol is spoken"
            }
        })
    }
}

impl std::error::Error for ProtocolError {}

/// A byte as a reader sees it: a line end as a space, as Redis has it; other bytes that do not print as `\x01`
/// (Redis sends them raw), since this text goes into logs and terminals too.
struct Shown(u8);

impl fmt::Display for Shown {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            b'\r' | b'\n' => formatter.write_str(" "),
            byte if byte == b' ' || byte.is_ascii_graphic() => {
                write!(formatter, "{}", char::from(byte))
            }
            byte => write!(formatter, "\\x{byte:02x}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::ProtocolError;

    #[test]
    fn the_byte_found_instead_of_a_bulk_is_shown_on_one_line() {
        let text = |found| ProtocolError::ExpectedBulk { found }.to_string();
        assert_eq!(text(b'x'), "Protocol error: expected '$', got 'x'");
        assert_eq!(text(b'\''), "Protocol error: expected '$', got '''");
        assert_eq!(text(b'\r'), "Protocol error: expected '$', got ' '");
        assert_eq!(text(b'\n'), "Protocol error: expected '$', got ' '");
        assert_eq!(text(0), "Protocol error: expected '$', got '\\x00'");
        assert_eq!(text(0xff), "Protocol error: expected '$', got '\\xff'");
    }

    #[test]
    fn only_an_attacking_browser_gets_no_answer() {
        assert!(ProtocolError::TooBigInline.is_answered());
        assert!(!ProtocolError::CrossProtocol.is_answered());
    }
}
