//! Wire: what parent and child tell each other: one request, as an argument, and lines of JSON through a pipe.

use std::path::PathBuf;

use plugin_abi::calls::CallError;
use plugin_abi::conformance::Outcome;
use serde::{Deserialize, Serialize};

use super::{Depth, Limits};

/// What the child is asked to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Request {
    /// The private copy.
    pub(super) copy: PathBuf,
    /// An empty directory for the engine's files.
    pub(super) scratch: PathBuf,
    pub(super) depth: Depth,
    pub(super) limits: Limits,
    /// The parent's process id. The child ends with it.
    pub(super) parent: u32,
}

/// What the child tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Line {
    /// What it will do next.
    Step(String),
    /// The loader's words.
    NotLoaded(String),
    /// Whether there was a layout to compare; it is the host's.
    Layout { compared: bool },
    /// The layout differs.
    LayoutDiffers(String),
    /// `kv_open` failed.
    NotOpened(String),
    /// These threads run after `kv_close`.
    ThreadsLeft(Vec<String>),
    /// A test of the suite was run.
    Case { group: String, name: String, result: CaseResult },
    /// Of the sample of the live data so many entries were imported, and came out as they went in.
    Sample { imported: usize, entries: usize },
    /// They did not.
    SampleDiffers(String),
    /// All tests were run.
    Done,
    /// So many of the process's thread-specific keys it held when it was closed, and so many it has kept.
    Keys { held: usize, kept: usize },
    /// What became of the library when it was closed.
    Unloaded(String),
    /// The child has come to its end, with all threads that had called the engine.
    End,
    /// Written by the handler of a signal that ends the child: `/proc/self/statm`.
    Crash(String),
}

impl Line {
    /// `kv_close` failed: as a test of its own.
    pub(super) fn not_closed(error: &CallError) -> Self {
        let (group, name) = ("basics".to_owned(), "close".to_owned());
        Self::Case { group, name, result: CaseResult::Failed(format!("kv_close failed: {error}")) }
    }
}

/// What came of a test.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CaseResult {
    /// The engine keeps the rule.
    Passed,
    /// It does not.
    Failed(String),
    /// The rule does not concern it.
    Skipped(String),
}

impl From<Outcome> for CaseResult {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Passed => Self::Passed,
            Outcome::Failed(text) => Self::Failed(text),
            Outcome::Skipped(text) => Self::Skipped(text),
        }
    }
}
