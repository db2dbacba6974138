//! Transfer: entries out of the store into JSON lines, and back.

mod destination;
mod entry;
mod export;
mod import;
mod lines;

pub(crate) use export::Export;
pub(crate) use import::Import;

use super::Failure;
use std::io::{self, Write};

/// Requests that leave together, or the values of replies that come together, are about this long at most.
const BATCH_LEN: usize = 8 * 1024 * 1024;

fn print_line(line: &str) -> Result<(), Failure> {
    writeln!(io::stdout(), "{line}").map_err(Failure::Output)
}

fn counted(entries: u64) -> String {
    format!("{entries} {}", if entries == 1 { "entry" } else { "entries" })
}
