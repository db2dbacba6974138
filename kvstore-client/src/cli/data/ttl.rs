//! `ttl`: how long a key lives on.

use super::{Words, request};
use std::ffi::OsString;

#[derive(Debug, clap::Args)]
pub(crate) struct Ttl {
    /// The key, any bytes; after `--` when it begins with `-`
    key: OsString,
    /// Print milliseconds, not seconds
    #[arg(long)]
    ms: bool,
}

impl Ttl {
    pub(crate) fn words(self) -> Words {
        request(if self.ms { "PTTL" } else { "TTL" }, [self.key], [])
    }
}
