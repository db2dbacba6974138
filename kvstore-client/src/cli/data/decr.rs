//! `decr`: a key and by how much.

use super::{Words, request};
use std::ffi::OsString;

#[derive(Debug, clap::Args)]
pub(crate) struct Decr {
    /// The key, any bytes; after `--` when it begins with `-`
    key: OsString,
    /// By how much
    #[arg(allow_negative_numbers = true)]
    by: Option<i64>,
}

impl Decr {
    pub(crate) fn words(self) -> Words {
        match self.by {
            None => request("DECR", [self.key], []),
            Some(by) => request("DECRBY", [self.key], [&by.to_string()]),
        }
    }
}
