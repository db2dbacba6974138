//! Check: tries an engine out in a child process that may crash, hang or run out of memory in the host's place.
//!
//! The parent gives the child a private copy and an empty directory; the child limits itself, loads the copy, says
//! each step before it takes it, and runs the conformance suite. What the child does not live to tell, the parent tells for it.

mod child;
mod command;
mod crash;
mod document;
mod error;
mod import;
mod limits;
mod process;
mod report;
mod retire;
mod sample;
mod wire;

use std::path::Path;
use std::process::Stdio;

pub use child::run_child;
pub use command::{CheckArgs, ChildArgs, check_command};
pub use error::{CheckError, CheckProblem, signal_name};
pub use limits::Limits;
pub use report::{Case, Layout, Report, print_table};
pub use sample::{Sample, Sampled};
pub use wire::CaseResult;

use super::file::{EngineFile, PrivateCopy};
use wire::Request;

/// This very program, also where another one lies at its path by now: what runs as the child.
pub const THIS_PROGRAM: &str = "/proc/self/exe";

/// How much of the conformance suite is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Depth {
    /// What a reload asks for: each part of the contract, without the long random runs.
    Short,
    /// Everything.
    Full,
}

/// Name of the hidden sub-command under which a program calls [`run_child`].
pub const CHILD_COMMAND: &str = "check-child";

/// Tries an engine out in a child process, and waits for it. `program` is a program that calls [`run_child`] for the sub-command
/// [`CHILD_COMMAND`]: the host itself. An engine without SCRATCH is loaded there and its layout is compared; nothing of it is opened.
/// A `sample` of the live data is imported into the others, and has to come out as it went in.
///
/// # Errors
/// Why the engine is refused, or why no child could be made.
pub fn check(
    program: &Path,
    file: &EngineFile,
    copy: &PrivateCopy,
    depth: Depth,
    limits: &Limits,
    sample: Option<&Sample>,
) -> Result<Report, CheckError> {
    let fail = |problem| CheckError { path: file.path().to_owned(), problem };
    let scratch = copy.dir().scratch().map_err(|error| fail(CheckProblem::Scratch(error.to_string())))?;
    let request = Request {
        copy: copy.path().to_owned(),
        scratch: scratch.clone(),
        depth,
        limits: *limits,
        parent: std::process::id(),
    };
    let stdin = sample.map_or_else(|| Ok(Stdio::null()), Sample::to_stdin);
    let ran = stdin.and_then(|stdin| process::run(program, &request, stdin, &file.identity().name));
    if let Err(error) = std::fs::remove_dir_all(&scratch) {
        log::warn!("{}: a directory for trials is left behind: {error}", scratch.display());
    }
    let ran = ran.map_err(|error| fail(CheckProblem::Spawn(error.to_string())))?;
    report::judge(file, depth, limits, ran).map_err(|problem| fail(problem.renamed(copy)))
}
