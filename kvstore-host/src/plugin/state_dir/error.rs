//! Error: what is wrong with a state directory. Each says what was found, and what to do.

use std::fmt;
use std::io;
use std::path::PathBuf;

use super::Step;
use crate::plugin::file::{Digest, FileError};

/// What is wrong with a state directory, or with a file in it.
#[derive(Debug)]
pub struct StateError {
    /// Which directory or file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub problem: StateProblem,
}

/// What is wrong.
#[derive(Debug)]
pub enum StateProblem {
    /// The directory cannot be made.
    Create(io::Error),
    /// It cannot be looked at, or a file in it cannot be opened or read.
    Unreadable(io::Error),
    /// There is something else at its path.
    NotADirectory,
    /// Others can change what is in it: how, and what to do.
    Exposed(String),
    /// Another host has it: the number of its process, if it can be told.
    Locked(String),
    /// The manifest is not as a host has written it: what is wrong.
    Damaged(String),
    /// The manifest is of a later host.
    OtherFormat {
        /// The format that it is in.
        found: String,
        /// The one that this host reads.
        accepted: u32,
    },
    /// The library that the manifest names has other bytes.
    OtherDigest {
        /// Their digest.
        found: Digest,
        /// The one that the manifest names.
        accepted: Digest,
    },
    /// The library that the manifest names cannot be read, or is no engine.
    NoLibrary(FileError),
    /// A step of writing failed.
    Write(Step, io::Error),
    /// Writing was called off.
    CalledOff,
}

/// What an operator can do about a directory that does not tell which engine served last.
const WAY_OUT: &str = "nothing was changed; put the directory back from a backup, or start once with --ignore-manifest and the \
                       engine that is to serve (--engine PATH)";

impl fmt::Display for StateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match &self.problem {
            StateProblem::Create(error) => {
                write!(f, "{path}: the state directory cannot be made: {error}")
            }
            StateProblem::Unreadable(error) => {
                write!(f, "{path}: cannot be read: {error}; the host's user needs to read and write it")
            }
            StateProblem::NotADirectory => {
                write!(f, "{path}: the state directory is no directory; give another path with --state-dir")
            }
            StateProblem::Exposed(how) => {
                write!(f, "{path}: others could run code in the host through the state directory: {how}")
            }
            StateProblem::Locked(who) => write!(
                f,
                "{path}: the state directory is in use by another host{who}; give each host one of its own"
            ),
            StateProblem::Damaged(what) => {
                write!(f, "{path}: the manifest is damaged: {what}; {WAY_OUT}")
            }
            StateProblem::OtherFormat { found, accepted } => write!(
                f,
                "{path}: the manifest has the format {found}, accepted is {accepted}; start the host that has written it; {WAY_OUT}"
            ),
            StateProblem::OtherDigest { found, accepted } => write!(
                f,
                "{path}: the kept library is damaged: its SHA-256 is {found}, the manifest says {accepted}; {WAY_OUT}"
            ),
            StateProblem::NoLibrary(error) => {
                write!(f, "the library that the manifest names cannot be used: {error}; {WAY_OUT}")
            }
            StateProblem::Write(step, error) => {
                write!(f, "{path}: the state directory cannot be written: {step}: {error}")
            }
            StateProblem::CalledOff => write!(f, "{path}: the next manifest was called off"),
        }
    }
}

impl std::error::Error for StateError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.problem {
            StateProblem::Create(error) | StateProblem::Unreadable(error) | StateProblem::Write(_, error) => {
                Some(error)
            }
            StateProblem::NoLibrary(error) => Some(error),
            _ => None,
        }
    }
}
