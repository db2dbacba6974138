//! `raw`: any words as one request, as they are.

use super::data::{Words, bytes};
use std::ffi::OsString;

#[derive(Debug, clap::Args)]
pub(crate) struct Raw {
    /// The words of the request; none of them means anything to this program
    #[arg(required = true, value_name = "WORD", trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<OsString>,
}

impl Raw {
    pub(crate) fn words(self) -> Words {
        self.words.into_iter().map(bytes).collect()
    }
}
