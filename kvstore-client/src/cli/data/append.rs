//! `append`: a key and what to append.

use super::{Failure, Words, request, value};
use std::ffi::OsString;

#[derive(Debug, clap::Args)]
#[command(override_usage = "kvstore-client append [OPTIONS] KEY VALUE")]
pub(crate) struct Append {
    /// Key and what to append (`-` reads it from standard input, to the last byte), sent as they are, also when they begin with `-`
    #[arg(required = true, num_args = 2, value_names = ["KEY", "VALUE"], trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<OsString>,
}

impl Append {
    pub(crate) fn words(self) -> Result<Words, Failure> {
        let mut given = self.words.into_iter();
        let mut words = request("APPEND", given.next(), []);
        words.extend(given.next().map(value).transpose()?);
        Ok(words)
    }
}
