//! `dbsize`: takes nothing.

use super::{Words, request};

#[derive(Debug, clap::Args)]
pub(crate) struct Dbsize {}

impl Dbsize {
    pub(crate) fn words(self) -> Words {
        request("DBSIZE", [], [])
    }
}
