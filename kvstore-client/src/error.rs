//! Error: what can go wrong between a caller and the host, and what each case says about the request.

use crate::{Address, DecodeError, ReplyError};
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// What went wrong.
///
/// From [`Client`](crate::Client), every error but [`Error::OutcomeUnknown`] and [`Error::Reply`] of a request that changes data means
/// that the host has not carried it out. For requests repeated by the caller's word, the error of the last attempt is given as it is.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Error {
    /// No connection came about.
    Connect {
        /// Where to.
        address: Address,
        /// What the system said.
        cause: Arc<io::Error>,
    },
    /// The host took the connection and refused to serve on it.
    Refused {
        /// Where to.
        address: Address,
        /// What the host said.
        reply: ReplyError,
    },
    /// Reading from or writing to the socket failed.
    Io {
        /// What the system said.
        cause: Arc<io::Error>,
    },
    /// Nothing moved on the connection for this long although something was due.
    Timeout {
        /// The longest silence that is allowed.
        after: Duration,
    },
    /// The wait was ended by an [`Interrupt`](crate::Interrupt).
    Interrupted,
    /// The host closed the connection.
    Closed,
    /// What the host sent is not the protocol.
    Protocol {
        /// What is wrong with it.
        cause: DecodeError,
    },
    /// The host answered with an error.
    Reply(ReplyError),
    /// The host answered with a value of a kind that the command does not have.
    UnexpectedReply {
        /// What kind was expected.
        expected: &'static str,
    },
    /// The connection that held an open `MULTI` or `WATCH` is gone, and with it that transaction: nothing of it was carried out, and
    /// the request at hand was not sent, as it would have run outside of it.
    TransactionLost,
    /// The request was sent whole and the connection was lost before its reply: it may have been carried out or not.
    OutcomeUnknown {
        /// How the connection was lost.
        cause: Box<Error>,
    },
}

impl Error {
    /// The error reply, when this is one.
    pub fn reply(&self) -> Option<&ReplyError> {
        match self {
            Self::Reply(reply) => Some(reply),
            _ => None,
        }
    }

    /// Whether the request may have been carried out without the caller knowing.
    pub fn outcome_is_unknown(&self) -> bool {
        matches!(self, Self::OutcomeUnknown { .. })
    }
}

impl From<io::Error> for Error {
    fn from(cause: io::Error) -> Self {
        // A reset says no more than an end of file does: the host is gone. One word for it is enough for callers.
        match cause.kind() {
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionAborted => {
                Self::Closed
            }
            io::ErrorKind::Interrupted => Self::Interrupted,
            _ => Self::Io { cause: Arc::new(cause) },
        }
    }
}

impl From<DecodeError> for Error {
    fn from(cause: DecodeError) -> Self {
        Self::Protocol { cause }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect { address, cause } => write!(f, "cannot connect to {address}: {cause}"),
            Self::Refused { address, reply } => write!(f, "{address} refused the connection: {reply}"),
            Self::Io { cause } => write!(f, "the connection failed: {cause}"),
            Self::Timeout { after } => write!(f, "the host has been silent for {} ms", after.as_millis()),
            Self::Interrupted => f.write_str("the wait for the reply was broken off"),
            Self::Closed => f.write_str("the host closed the connection"),
            Self::Protocol { cause } => write!(f, "the host does not speak the protocol: {cause}"),
            Self::Reply(reply) => write!(f, "{reply}"),
            Self::UnexpectedReply { expected } => {
                write!(f, "unexpected reply from the host: expected {expected}")
            }
            Self::TransactionLost => f.write_str(
                "the connection with the open transaction was lost; nothing of it was carried out",
            ),
            Self::OutcomeUnknown { cause } => {
                write!(f, "whether the request was carried out is unknown: {cause}")
            }
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Connect { cause, .. } | Self::Io { cause } => Some(cause.as_ref()),
            Self::Refused { reply, .. } | Self::Reply(reply) => Some(reply),
            Self::Protocol { cause } => Some(cause),
            Self::OutcomeUnknown { cause } => Some(cause.as_ref()),
            Self::Timeout { .. }
            | Self::Interrupted
            | Self::Closed
            | Self::UnexpectedReply { .. }
            | Self::TransactionLost => None,
        }
    }
}
