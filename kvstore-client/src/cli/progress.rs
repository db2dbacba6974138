//! Progress: a bar on standard error while it is a terminal, and nothing at all where it is none.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{self, IsTerminal, Write};

const ENTRIES: &str = "{bar:30} {human_pos}/{human_len} entries, {per_sec}, {eta} left";
const BYTES: &str = "{bar:30} {decimal_bytes}/{decimal_total_bytes}, {decimal_bytes_per_sec}, {eta} left";
const ENTRIES_OF_UNKNOWN: &str = "{spinner} {human_pos} entries, {per_sec}";
const BYTES_OF_UNKNOWN: &str = "{spinner} {decimal_bytes}, {decimal_bytes_per_sec}";

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    Entries,
    Bytes,
}

pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// Up to `total` if that is known. With `own_lines`, lines of this program go to the terminal where the bar would be: there is none.
    pub(crate) fn new(unit: Unit, total: Option<u64>, own_lines: bool) -> Self {
        if own_lines || !io::stderr().is_terminal() {
            return Self(ProgressBar::hidden());
        }
        let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr());
        let template = match (unit, total) {
            (Unit::Entries, Some(_)) => ENTRIES,
            (Unit::Bytes, Some(_)) => BYTES,
            (Unit::Entries, None) => ENTRIES_OF_UNKNOWN,
            (Unit::Bytes, None) => BYTES_OF_UNKNOWN,
        };
        match ProgressStyle::with_template(template) {
            Ok(style) => Self(bar.with_style(style)),
            Err(error) => {
                log::debug!("{template}: {error}");
                Self(bar)
            }
        }
    }

    /// Of something that others have begun: so many are done, and so many there are in all if that is known.
    pub(crate) fn since(unit: Unit, done: u64, total: Option<u64>) -> Self {
        let bar = Self::new(unit, total, false);
        bar.0.set_position(done);
        // How fast those came is not known.
        bar.0.reset_eta();
        bar
    }

    pub(crate) fn advance(&self, by: u64) {
        self.0.inc(by);
    }

    /// Whether it knows how many there are in all.
    pub(crate) fn has_total(&self) -> bool {
        self.0.length().is_some()
    }

    /// So many are done, and so many there are in all if that is known.
    pub(crate) fn set(&self, done: u64, total: Option<u64>) {
        if let Some(total) = total {
            self.0.set_length(total);
        }
        self.0.set_position(done);
    }

    /// Prints a line to standard error, above the bar.
    pub(crate) fn note(&self, line: &str) {
        // Where standard error is closed, the summary and the exit code still tell.
        self.0.suspend(|| _ = writeln!(io::stderr(), "{line}"));
    }
}

impl Drop for Progress {
    /// Takes the bar away.
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_templates_can_be_read() {
        for template in [ENTRIES, BYTES, ENTRIES_OF_UNKNOWN, BYTES_OF_UNKNOWN] {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
    }
}
