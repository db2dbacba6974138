//! Protocol: bytes to requests, replies to bytes (RESP2, RESP3, inline lines); no I/O, and it knows no command.
//!
//! A connection owns one [`Parser`]. A worker owns one [`Requests`] and fills it from a connection's read buffer, a
//! whole pipeline at once; only then does it look at the arguments, which are slices of that buffer:
//!
//! ```
//! # use kvstore_host::protocol::{Encoder, Limits, Parsed, Parser, Protocol, Reply, Requests};
//! # let (mut parser, limits, mut requests) = (Parser::new(), Limits::default(), Requests::new());
//! # let buffer = b"*2\r\n$4\r\nECHO\r\n$2\r\nhi\r\nECHO \"a b\"\r\nECH";
//! # let mut replies = Vec::new();
//! let mut start = 0;
//! let failure = loop {
//!     match parser.parse(buffer, start, &limits, &mut requests) {
//!         Ok(Parsed::Request { consumed } | Parsed::Empty { consumed }) => start += consumed,
//!         Ok(Parsed::Incomplete { .. }) => break None,
//!         Err(error) => break Some(error), // reply to what came before it, then close
//!     }
//! };
//! let mut encoder = Encoder::new(&mut replies, Protocol::Resp2);
//! for request in requests.iter(buffer) {
//!     encoder.bulk(request.get(1).unwrap_or_default());
//! }
//! requests.clear();
//! // Now the bytes before `start` may go; those from `start` on are given again, with more.
//! # assert_eq!((start, failure), (34, None));
//! # assert_eq!(replies, b"$2\r\nhi\r\n$3\r\na b\r\n");
//! ```

mod encoder;
mod error;
mod inline;
mod number;
mod parser;
mod reply;
mod requests;
#[cfg(test)]
mod testing;
mod value;

pub use encoder::Encoder;
pub use error::ProtocolError;
pub use number::{parse_i64, push_double, push_i64};
pub use parser::{Limits, Parsed, Parser};
pub use reply::{Protocol, Reply};
pub use requests::{Request, Requests};
pub use value::Value;
