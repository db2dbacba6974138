//! `expire`: a key and after what time it expires.

use super::{Words, request};
use std::ffi::OsString;

#[derive(Debug, clap::Args)]
pub(crate) struct Expire {
    /// The key, any bytes; after `--` when it begins with `-`
    key: OsString,
    /// Time in seconds
    #[arg(allow_negative_numbers = true)]
    time: i64,
    /// Only when it has no expiry (NX), has one (XX), has an earlier one (GT), a later one (LT)
    #[arg(value_parser = ["NX", "XX", "GT", "LT"], ignore_case = true)]
    condition: Vec<String>,
    /// The time is in milliseconds
    #[arg(long)]
    ms: bool,
}

impl Expire {
    pub(crate) fn words(self) -> Words {
        let name = if self.ms { "PEXPIRE" } else { "EXPIRE" };
        let mut words = request(name, [self.key], [&self.time.to_string()]);
        words.extend(self.condition.into_iter().map(String::into_bytes));
        words
    }
}
