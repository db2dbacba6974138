//! `flush`: takes nothing.

use super::{Words, request};

#[derive(Debug, clap::Args)]
pub(crate) struct Flush {}

impl Flush {
    pub(crate) fn words(self) -> Words {
        request("FLUSHALL", [], [])
    }
}
