//! `incr`: a key and by how much.

use super::{Words, request};
use std::ffi::OsString;

#[derive(Debug, clap::Args)]
pub(crate) struct Incr {
    /// The key, any bytes; after `--` when it begins with `-`
    key: OsString,
    /// By how much
    #[arg(allow_negative_numbers = true)]
    by: Option<i64>,
}

impl Incr {
    pub(crate) fn words(self) -> Words {
        match self.by {
            None => request("INCR", [self.key], []),
            Some(by) => request("INCRBY", [self.key], [&by.to_string()]),
        }
    }
}
