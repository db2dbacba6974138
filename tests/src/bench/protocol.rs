//! Protocol: what GET and SET look like on the wire, where the same request is sent again and again with another key.

use std::io::{Read, Write};
use std::net::TcpStream;

/// Length of every key in bytes.
pub const KEY_LEN: usize = 16;
const KEY_HEAD: &[u8; 4] = b"key:";

/// What a server speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// That of Redis.
    Resp,
    /// The meta commands of memcached, whose replies it sends together where requests came together.
    Memcached,
}

/// Which operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Reads a key that is there.
    Get,
    /// Writes a key anew.
    Set,
}

impl Kind {
    /// Its name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Set => "SET",
        }
    }
}

/// A request but for its key, and what has to come back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    /// The request, with some key in its place.
    pub request: Vec<u8>,
    /// Where the key begins.
    pub key_at: usize,
    /// How the reply begins.
    pub reply_head: Vec<u8>,
    /// How long it is.
    pub reply_len: usize,
}

impl Protocol {
    /// Finds out what the server at this address speaks, which answers at once.
    ///
    /// # Errors
    /// It cannot be reached, or answers PING with neither `+PONG` nor `ERROR`.
    pub fn detect(address: &str) -> std::io::Result<Self> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(std::time::Duration::from_secs(10)))?;
        stream.write_all(b"PING\r\n")?;
        let mut head = [0; 5];
        stream.read_exact(&mut head)?;
        match &head {
            b"+PONG" => Ok(Self::Resp),
            b"ERROR" => Ok(Self::Memcached),
            other => {
                let text = format!("{address} answers PING with {:?}", String::from_utf8_lossy(other));
                Err(std::io::Error::other(text))
            }
        }
    }

    /// The request for this operation on values of this length in bytes.
    pub fn shape(self, kind: Kind, value_len: usize) -> Shape {
        let key = "k".repeat(KEY_LEN);
        let value = "v".repeat(value_len);
        let (request, reply_head, reply_len) = match (self, kind) {
            (Self::Resp, Kind::Get) => {
                let head = format!("${value_len}\r\n");
                let len = head.len() + value_len + 2;
                (format!("*2\r\n$3\r\nGET\r\n${KEY_LEN}\r\n{key}\r\n"), head, len)
            }
            (Self::Resp, Kind::Set) => {
                let request =
                    format!("*3\r\n$3\r\nSET\r\n${KEY_LEN}\r\n{key}\r\n${value_len}\r\n{value}\r\n");
                (request, "+OK\r\n".to_owned(), 5)
            }
            (Self::Memcached, Kind::Get) => {
                let head = format!("VA {value_len}\r\n");
                let len = head.len() + value_len + 2;
                (format!("mg {key} v\r\n"), head, len)
            }
            (Self::Memcached, Kind::Set) => {
                let request = format!("ms {key} {value_len}\r\n{value}\r\n");
                (request, "HD\r\n".to_owned(), 4)
            }
        };
        let key_at = request.find(&key).unwrap_or_default();
        Shape { request: request.into_bytes(), key_at, reply_head: reply_head.into_bytes(), reply_len }
    }
}

/// Writes the key of this number, which is below a million millions.
pub fn write_key(number: u64, out: &mut [u8]) {
    let (head, digits) = out.split_at_mut(KEY_HEAD.len());
    head.copy_from_slice(KEY_HEAD);
    let mut left = number;
    // Two digits at a time: the load has to be cheaper than the server.
    for pair in digits.as_chunks_mut::<2>().0.iter_mut().rev() {
        let two = (left % 100) as u8;
        *pair = [b'0' + two / 10, b'0' + two % 10];
        left /= 100;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_numbered_and_all_of_one_length() {
        let mut key = [0; KEY_LEN];
        write_key(987_654, &mut key);
        assert_eq!(&key, b"key:000000987654");
    }

    #[test]
    fn a_shape_says_where_the_key_lies_and_how_long_the_reply_is() {
        let get = Protocol::Resp.shape(Kind::Get, 32);
        assert_eq!((get.key_at, get.reply_len, &get.reply_head[..]), (18, 39, &b"$32\r\n"[..]));
        assert_eq!(&get.request[get.key_at..], [&[b'k'; 16][..], b"\r\n"].concat());
        let get = Protocol::Memcached.shape(Kind::Get, 32);
        assert_eq!((get.key_at, get.reply_len), (3, 41));
    }
}
