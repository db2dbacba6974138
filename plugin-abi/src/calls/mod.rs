//! The calling side: a library's resolved symbols, and an open instance with safe calls over them.
//!
//! All raw calls into engines are in this folder; the host, the conformance suite and the tests share it.

mod host;
mod instance;
mod table;

pub use host::{Event, HostServices};
pub use instance::{Instance, OpenOptions, Session, State};
pub use table::{Calls, MissingSymbols};

use crate::Status;

/// A call that failed: its status, and the engine's own words, which may be empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallError {
    /// What the engine returned.
    pub status: Status,
    /// What it said beside it.
    pub text: String,
}

impl core::fmt::Display for CallError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        if self.text.is_empty() {
            write!(f, "{}", self.status)
        } else {
            write!(f, "{}: {}", self.status, self.text)
        }
    }
}

impl std::error::Error for CallError {}
