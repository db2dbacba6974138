//! Reply: the bytes of one reply as a tree that loses nothing, so that equal trees were equal bytes.

use std::fmt;

/// One reply as it was sent. The tag is its first byte.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reply {
    /// What ends with its line: a status, an error, a number, a null.
    Line(u8, Vec<u8>),
    /// What has its length before it; `None` is the null of RESP2.
    Bulk(u8, Option<Vec<u8>>),
    /// What has other replies in it; those of a map are its keys and values in turn.
    Many(u8, Option<Vec<Reply>>),
}

/// What a server sent is no reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed;

impl Reply {
    /// Takes one reply from the front of these bytes, and answers it with its length; `None` while it is not complete.
    ///
    /// # Errors
    /// This is no reply, nor the beginning of one.
    pub fn parse(bytes: &[u8]) -> Result<Option<(Self, usize)>, Malformed> {
        let Some((&tag, rest)) = bytes.split_first() else { return Ok(None) };
        let Some(line_len) = rest.windows(2).position(|pair| pair == b"\r\n") else { return Ok(None) };
        let (line, start) = (&rest[..line_len], line_len + 3);
        match tag {
            b'+' | b'-' | b':' | b'_' | b'#' | b',' | b'(' => {
                Ok(Some((Self::Line(tag, line.to_vec()), start)))
            }
            b'$' | b'=' | b'!' => {
                let Some(len) = length(line)? else { return Ok(Some((Self::Bulk(tag, None), start))) };
                let Some(found) = bytes.get(start..start + len + 2) else { return Ok(None) };
                let text = found.strip_suffix(b"\r\n").ok_or(Malformed)?;
                Ok(Some((Self::Bulk(tag, Some(text.to_vec())), start + len + 2)))
            }
            b'*' | b'~' | b'>' | b'%' => {
                let Some(len) = length(line)? else { return Ok(Some((Self::Many(tag, None), start))) };
                let (mut all, mut at) = (Vec::new(), start);
                for _ in 0..if tag == b'%' { len * 2 } else { len } {
                    let Some((one, one_len)) = Self::parse(&bytes[at..])? else { return Ok(None) };
                    all.push(one);
                    at += one_len;
                }
                Ok(Some((Self::Many(tag, Some(all)), at)))
            }
            _ => Err(Malformed),
        }
    }

    /// The text of an error.
    pub fn error(&self) -> Option<&[u8]> {
        match self {
            Self::Line(b'-', text) => Some(text),
            _ => None,
        }
    }

    /// Whether it is this status.
    pub fn is_status(&self, text: &str) -> bool {
        matches!(self, Self::Line(b'+', found) if found == text.as_bytes())
    }

    /// The replies in it.
    pub fn children(&self) -> Option<&[Self]> {
        match self {
            Self::Many(_, children) => children.as_deref(),
            _ => None,
        }
    }

    /// The bytes of a string, or the text of a line.
    pub fn text(&self) -> Option<&[u8]> {
        match self {
            Self::Bulk(_, text) => text.as_deref(),
            Self::Line(_, text) => Some(text),
            Self::Many(..) => None,
        }
    }

    /// A number.
    pub fn number(&self) -> Option<i64> {
        match self {
            Self::Line(b':', text) => std::str::from_utf8(text).ok()?.parse().ok(),
            _ => None,
        }
    }

    /// Whether it is one of the nulls.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Bulk(_, None) | Self::Many(_, None) | Self::Line(b'_', _))
    }

    /// Whether it came by itself, and answers no request.
    pub fn is_push(&self) -> bool {
        matches!(self, Self::Many(b'>', _))
    }
}

/// A length; `None` for -1.
fn length(line: &[u8]) -> Result<Option<usize>, Malformed> {
    if line == b"-1" {
        return Ok(None);
    }
    let text = std::str::from_utf8(line).map_err(|_| Malformed)?;
    text.parse().map(Some).map_err(|_| Malformed)
}

/// Texts longer than this are cut where they are shown.
const SHOWN_LEN_MAX: usize = 200;

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cut = |text: &[u8]| {
            let more = text.len().saturating_sub(SHOWN_LEN_MAX);
            let shown = text[..text.len() - more].escape_ascii().to_string();
            if more == 0 { shown } else { format!("{shown}… and {more} bytes more") }
        };
        match self {
            Self::Line(tag, text) => write!(f, "{}{}", char::from(*tag), cut(text)),
            Self::Bulk(b'$', Some(text)) => write!(f, "\"{}\"", cut(text)),
            Self::Bulk(tag, Some(text)) => write!(f, "{}\"{}\"", char::from(*tag), cut(text)),
            Self::Bulk(tag, None) | Self::Many(tag, None) => write!(f, "{}-1", char::from(*tag)),
            Self::Many(tag, Some(all)) => {
                write!(f, "{}{} [", char::from(*tag), all.len())?;
                for (place, one) in all.iter().enumerate() {
                    write!(f, "{}{one}", if place == 0 { "" } else { " " })?;
                }
                write!(f, "]")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

    use super::{Malformed, Reply};

    #[test]
    fn every_part_of_a_reply_is_not_yet_one() {
        let bytes = b"*3\r\n%1\r\n+a\r\n:1\r\n$-1\r\n$4\r\n\r\n\r\n\r\n";
        for cut in 0..bytes.len() {
            assert_eq!(Reply::parse(&bytes[..cut]), Ok(None), "{cut}");
        }
        let (reply, len) = Reply::parse(bytes).unwrap().unwrap();
        assert_eq!(len, bytes.len());
        assert_eq!(reply.to_string(), r#"*3 [%2 [+a :1] $-1 "\r\n\r\n"]"#);
        assert_eq!(Reply::parse(b"?\r\n"), Err(Malformed));
        assert_eq!(Reply::parse(b"$x\r\n"), Err(Malformed));
        assert_eq!(Reply::parse(b"$1\r\nabc"), Err(Malformed));
    }
}
