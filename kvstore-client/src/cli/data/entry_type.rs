//! `type`: one key.

use super::{Words, request};
use std::ffi::OsString;

#[derive(Debug, clap::Args)]
pub(crate) struct Type {
    /// The key, any bytes; after `--` when it begins with `-`
    key: OsString,
}

impl Type {
    pub(crate) fn words(self) -> Words {
        request("TYPE", [self.key], [])
    }
}
