//! `persist`: one key.

use super::{Words, request};
use std::ffi::OsString;

#[derive(Debug, clap::Args)]
pub(crate) struct Persist {
    /// The key, any bytes; after `--` when it begins with `-`
    key: OsString,
}

impl Persist {
    pub(crate) fn words(self) -> Words {
        request("PERSIST", [self.key], [])
    }
}
