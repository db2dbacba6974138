//! `get`: one key.

use super::{Words, request};
use std::ffi::OsString;

#[derive(Debug, clap::Args)]
pub(crate) struct Get {
    /// The key, any bytes; after `--` when it begins with `-`
    key: OsString,
}

impl Get {
    pub(crate) fn words(self) -> Words {
        request("GET", [self.key], [])
    }
}
