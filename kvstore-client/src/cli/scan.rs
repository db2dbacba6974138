//! `scan`: all keys, a line each, fetched portion by portion as they are printed.

use super::data::{Words, bytes};
use super::{Exit, Failure, Options, Output, request};
use kvstore_client::{ScanFilter, Value};
use std::ffi::OsString;

#[derive(Debug, clap::Args)]
pub(crate) struct Scan {
    /// Only keys that match this glob pattern
    #[arg(long = "match", value_name = "PATTERN")]
    pattern: Option<OsString>,
    /// How many keys the host should look at per request
    #[arg(long)]
    count: Option<u64>,
    /// Only entries of this type
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<OsString>,
    /// A cursor, and words as SCAN takes them: sends this one request and prints its reply, with the next cursor
    #[arg(trailing_var_arg = true, conflicts_with_all = ["pattern", "count", "kind"])]
    cursor: Vec<OsString>,
}

impl Scan {
    pub(crate) fn run(self, options: &Options) -> Result<Exit, Failure> {
        if !self.cursor.is_empty() {
            let mut words: Words = vec![b"SCAN".to_vec()];
            words.extend(self.cursor.into_iter().map(bytes));
            return request::run(options, words);
        }
        let filter =
            ScanFilter { pattern: self.pattern.map(bytes), count: self.count, kind: self.kind.map(bytes) };
        let mut client = options.connected_client()?;
        // A key is an element among others: on a line of its own, whatever the form.
        let mut output = Output::session(options);
        for (at, key) in client.scan(filter).enumerate() {
            output.reply(&Value::Bulk(key?))?;
            // The first keys show at once; later ones may gather. A reader that is gone is noticed at the next write.
            if at < 100 || at % 1_000 == 0 {
                output.flush()?;
            }
        }
        output.flush()?;
        Ok(Exit::Done)
    }
}
