//! Error: why a check refuses an engine. Each says in which step, and what happened.

use std::fmt;
use std::path::PathBuf;

use super::report::Report;
use super::wire::CaseResult;
use crate::plugin::file::PrivateCopy;
use crate::plugin::keys;

/// Why a check refuses an engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckError {
    /// The engine's file.
    pub path: PathBuf,
    /// What happened.
    pub problem: CheckProblem,
}

/// What happened in a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CheckProblem {
    /// No child could be started or waited for: nothing is known of the engine.
    Spawn(String),
    /// No directory for the trial could be made: nothing is known of the engine.
    Scratch(String),
    /// The child's report cannot be read; the engine may have written into it.
    Unreadable(String),
    /// The engine died of a signal.
    Died {
        /// In which step.
        step: String,
        /// The signal's number.
        signal: i32,
        /// The last line that it wrote to its standard error; may be empty.
        last_words: String,
    },
    /// The engine ended the process.
    Exited {
        /// In which step.
        step: String,
        /// The exit code.
        code: i32,
        /// The last line that it wrote to its standard error; may be empty.
        last_words: String,
    },
    /// A step did not end in time.
    Hung {
        /// Which one.
        step: String,
        /// How long it may take, in milliseconds.
        timeout_ms: u64,
    },
    /// The whole check used more processor time than it may.
    Busy {
        /// In which step.
        step: String,
        /// Processor time that it may use, in seconds.
        limit_s: u64,
    },
    /// The engine allocated more memory than it may.
    OutOfMemory {
        /// In which step.
        step: String,
        /// Memory that it may allocate, in bytes.
        limit_bytes: u64,
    },
    /// The loader refused it.
    NotLoaded(String),
    /// The types of the contract are laid out differently in it.
    Layout(String),
    /// `kv_open` failed: its status and text.
    NotOpened(String),
    /// Threads of it run after `kv_close`: their names.
    ThreadsLeft(Vec<String>),
    /// A sample of the live data does not come out as it went in.
    Sample(String),
    /// It holds too many of the process's thread-specific keys: how many.
    Keys(usize),
    /// Tests of the conformance suite failed.
    Failed(Box<Report>),
}

impl CheckProblem {
    /// The same with the path that the operator knows in the place of the private copy's.
    pub(super) fn renamed(self, copy: &PrivateCopy) -> Self {
        let rename = |text: String| {
            text.replace(&copy.path().display().to_string(), &copy.source().display().to_string())
        };
        match self {
            Self::NotLoaded(text) => Self::NotLoaded(rename(text)),
            Self::Died { step, signal, last_words } => {
                Self::Died { step, signal, last_words: rename(last_words) }
            }
            Self::Exited { step, code, last_words } => {
                Self::Exited { step, code, last_words: rename(last_words) }
            }
            other => other,
        }
    }
}

impl fmt::Display for CheckError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.problem)
    }
}

impl fmt::Display for CheckProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Spawn(error) => write!(f, "it could not be checked: no child process: {error}"),
            Self::Scratch(error) => write!(f, "it could not be checked: no directory for the trial: {error}"),
            Self::Unreadable(why) => write!(
                f,
                "the report of its check cannot be read ({why}); does it write to file descriptors that are not its own?"
            ),
            Self::Died { step, signal, last_words } => {
                write!(f, "it crashed with {} in {step}", signal_name(*signal))?;
                said(f, last_words)
            }
            Self::Exited { step, code, last_words } => {
                write!(f, "it ended the process with exit code {code} in {step}")?;
                said(f, last_words)
            }
            Self::Hung { step, timeout_ms } => write!(f, "it hung in {step}: no end within {timeout_ms} ms"),
            Self::Busy { step, limit_s } => {
                write!(f, "it used more than {limit_s} s of processor time, at last in {step}")
            }
            Self::OutOfMemory { step, limit_bytes } => {
                write!(f, "it ran into the memory limit of {} MiB in {step}", limit_bytes >> 20)
            }
            Self::NotLoaded(text) => write!(f, "{text}"),
            Self::Layout(text) => {
                write!(f, "its types differ from the host's: {text}; build it with this host's plugin-abi")
            }
            Self::NotOpened(text) => write!(f, "kv_open failed: {text}"),
            Self::ThreadsLeft(names) => write!(
                f,
                "{} of its threads still run after kv_close ({}); kv_close has to join them",
                names.len(),
                names.join(", ")
            ),
            Self::Sample(text) => write!(f, "the live data do not go into it; of a sample of them, {text}"),
            Self::Keys(held) => write!(
                f,
                "it holds {held} of the {} thread-specific keys of a process, accepted are {}; use fewer, or thread-locals of the compiler",
                keys::ALL,
                keys::HELD_MAX
            ),
            Self::Failed(report) => failed(f, report),
        }
    }
}

fn said(f: &mut fmt::Formatter<'_>, last_words: &str) -> fmt::Result {
    if last_words.is_empty() { Ok(()) } else { write!(f, "; it last wrote: {last_words}") }
}

/// The first failed test in full, and the others by name.
fn failed(f: &mut fmt::Formatter<'_>, report: &Report) -> fmt::Result {
    let mut failed = report.cases.iter().filter_map(|case| match &case.result {
        CaseResult::Failed(text) => Some((case, text)),
        _ => None,
    });
    let Some((first, text)) = failed.next() else { return write!(f, "a conformance test failed") };
    write!(f, "conformance test {}/{} failed: {text}", first.group, first.name)?;
    let others: Vec<_> = failed.map(|(case, _)| format!("{}/{}", case.group, case.name)).collect();
    match others.len() {
        0 => Ok(()),
        count @ 1..=5 => write!(f, "; and {count} more: {}", others.join(", ")),
        count => write!(f, "; and {count} more: {}, …", others[..5].join(", ")),
    }
}

impl std::error::Error for CheckError {}

/// The name of a signal that ends processes, as `SIGSEGV`.
pub fn signal_name(signal: i32) -> String {
    let name = match signal {
        libc::SIGHUP => "SIGHUP",
        libc::SIGINT => "SIGINT",
        libc::SIGQUIT => "SIGQUIT",
        libc::SIGILL => "SIGILL (illegal instruction)",
        libc::SIGTRAP => "SIGTRAP",
        libc::SIGABRT => "SIGABRT (abort)",
        libc::SIGBUS => "SIGBUS (bad memory access)",
        libc::SIGFPE => "SIGFPE (bad arithmetic)",
        libc::SIGKILL => "SIGKILL",
        libc::SIGUSR1 => "SIGUSR1",
        libc::SIGSEGV => "SIGSEGV (bad memory access)",
        libc::SIGUSR2 => "SIGUSR2",
        libc::SIGPIPE => "SIGPIPE",
        libc::SIGALRM => "SIGALRM",
        libc::SIGTERM => "SIGTERM",
        libc::SIGXCPU => "SIGXCPU (processor time)",
        libc::SIGXFSZ => "SIGXFSZ (file size)",
        libc::SIGSYS => "SIGSYS (forbidden system call)",
        _ => return format!("signal {signal}"),
    };
    name.to_owned()
}
