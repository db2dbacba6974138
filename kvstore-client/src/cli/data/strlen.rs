//! `strlen`: one key.

use super::{Words, request};
use std::ffi::OsString;

#[derive(Debug, clap::Args)]
pub(crate) struct Strlen {
    /// The key, any bytes; after `--` when it begins with `-`
    key: OsString,
}

impl Strlen {
    pub(crate) fn words(self) -> Words {
        request("STRLEN", [self.key], [])
    }
}
