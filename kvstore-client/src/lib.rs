//! The client library of kvstore: speaks RESP2 and RESP3 over TCP or a Unix socket, with blocking calls.
//!
//! Three layers, each usable alone:
//!
//! - [`Decoder`] and [`encode_command`] turn bytes into values and commands into bytes. They perform no I/O.
//! - [`Connection`] is one socket with a decoder: any bytes out, any values in, no repetition of anything.
//! - [`Client`] keeps a connection, negotiates RESP3, connects again after a loss, and says in its errors
//!   whether a request may have taken effect.
//!
//! ```no_run
//! use kvstore_client::{Address, Client, Options};
//!
//! # fn main() -> Result<(), kvstore_client::Error> {
//! let address = Address::tcp("127.0.0.1", 8080);
//! let mut client = Client::connect(address, Options::default())?;
//! client.set(b"colour", b"blue")?;
//! assert_eq!(client.get(b"colour")?.as_deref(), Some(&b"blue"[..]));
//! # Ok(())
//! # }
//! ```

mod address;
mod backoff;
mod client;
mod commands;
mod connection;
mod decode;
mod encode;
mod error;
mod interrupt;
mod pipeline;
mod scan;
mod socket;
mod value;

pub use address::{Address, AddressError};
pub use backoff::Backoff;
pub use client::{Client, Options, Protocol};
pub use commands::TimeToLive;
pub use connection::{Connection, Exchange, Wait};
pub use decode::{DecodeError, Decoder, Limits};
pub use encode::encode_command;
pub use error::Error;
pub use interrupt::Interrupt;
pub use pipeline::Pipeline;
pub use scan::{Scan, ScanFilter};
pub use value::{ReplyError, Value};
