//! `keys`: all keys that match a pattern, in one reply.

use super::{Words, request};
use std::ffi::OsString;

#[derive(Debug, clap::Args)]
pub(crate) struct Keys {
    /// Glob pattern: `*`, `?`, `[a-z]`, `[^a]`, with `\` before what is meant literally
    #[arg(default_value = "*")]
    pattern: OsString,
}

impl Keys {
    pub(crate) fn words(self) -> Words {
        request("KEYS", [self.pattern], [])
    }
}
