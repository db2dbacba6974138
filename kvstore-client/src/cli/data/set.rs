//! `set`: a key, a value and the options of SET.

use super::{Failure, Words, bytes, request, value};
use std::ffi::OsString;

#[derive(Debug, clap::Args)]
#[command(
    override_usage = "kvstore-client set [OPTIONS] KEY VALUE [EX SECONDS | PX MS | KEEPTTL] [NX | XX] [GET]"
)]
pub(crate) struct Set {
    /// Key, value (`-` reads it from standard input, to the last byte) and options of SET, all sent as they are, also when they begin
    /// with `-`
    #[arg(required = true, num_args = 2.., value_names = ["KEY", "VALUE"], trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<OsString>,
}

impl Set {
    pub(crate) fn words(self) -> Result<Words, Failure> {
        let mut given = self.words.into_iter();
        let mut words = request("SET", given.next(), []);
        words.extend(given.next().map(value).transpose()?);
        words.extend(given.map(bytes));
        Ok(words)
    }
}
