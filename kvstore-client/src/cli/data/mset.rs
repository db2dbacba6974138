//! `mset`: keys and values in turn.

use super::{Failure, Words, request};
use std::ffi::OsString;

#[derive(Debug, clap::Args)]
#[command(override_usage = "kvstore-client mset [OPTIONS] KEY VALUE [KEY VALUE]...")]
pub(crate) struct Mset {
    /// Keys and values in turn, sent as they are, also when they begin with `-`
    #[arg(required = true, num_args = 2.., value_names = ["KEY", "VALUE"], trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<OsString>,
}

impl Mset {
    pub(crate) fn words(self) -> Result<Words, Failure> {
        if self.words.len() % 2 == 1 {
            return Err(Failure::Usage("mset takes a value after each key".to_owned()));
        }
        Ok(request("MSET", self.words, []))
    }
}
