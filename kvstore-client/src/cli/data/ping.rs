//! `ping`: a sign of life, or the message back.

use super::{Words, request};
use std::ffi::OsString;

#[derive(Debug, clap::Args)]
pub(crate) struct Ping {
    /// What the host shall send back
    message: Option<OsString>,
}

impl Ping {
    pub(crate) fn words(self) -> Words {
        request("PING", self.message, [])
    }
}
