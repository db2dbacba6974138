//! `delete`: one key or several.

use super::{Words, request};
use std::ffi::OsString;

#[derive(Debug, clap::Args)]
pub(crate) struct Delete {
    /// The keys, any bytes; after `--` when one begins with `-`
    #[arg(required = true, value_name = "KEY")]
    keys: Vec<OsString>,
}

impl Delete {
    pub(crate) fn words(self) -> Words {
        request("DEL", self.keys, [])
    }
}
