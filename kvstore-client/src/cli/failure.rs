//! Failure: why the program could not do what it was asked, as a text for people and an exit code for scripts.

use super::Exit;
use kvstore_client::{Error, ReplyError};
use std::io::{self, Write};
use std::path::PathBuf;

#[derive(Debug)]
pub(crate) enum Failure {
    Usage(String),
    Client(Error),
    Input(io::Error),
    Output(io::Error),
    /// A file or a directory that was named.
    File {
        path: PathBuf,
        error: io::Error,
    },
    /// A line of an import, counted from 1.
    Line {
        number: u64,
        fault: LineFault,
    },
    /// A signal asked for the end.
    Interrupted,
    /// A thread of the benchmark could not be started.
    Thread(io::Error),
}

/// Why a line was not imported.
#[derive(Debug)]
pub(crate) enum LineFault {
    /// It is no entry.
    Wrong(String),
    /// Its entry could not be set.
    Client(Error),
}

impl Failure {
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Usage(_) => Exit::Usage,
            Self::Client(error) | Self::Line { fault: LineFault::Client(error), .. } => match error {
                Error::Reply(_) | Error::UnexpectedReply { .. } => Exit::ErrorReply,
                _ => Exit::NoConnection,
            },
            // The reader has seen enough, as `head` does.
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Done,
            Self::Line { fault: LineFault::Wrong(_), .. } => Exit::Local,
            Self::Input(_) | Self::Output(_) | Self::File { .. } | Self::Interrupted | Self::Thread(_) => {
                Exit::Local
            }
        }
    }

    /// What a document says of it: the error of the host, or of the connection, with an empty code.
    pub(crate) fn reply(&self) -> Option<ReplyError> {
        match self {
            Self::Client(Error::Reply(reply)) => Some(reply.clone()),
            Self::Client(error) => Some(ReplyError { code: String::new(), message: error.to_string() }),
            _ => None,
        }
    }

    /// What to tell the user; nothing when the output was closed on purpose.
    pub(crate) fn text(&self) -> Option<String> {
        match self {
            Self::Usage(text) => Some(format!("error: {text}\n\nFor more information, try '--help'.")),
            Self::Client(Error::Reply(reply)) => Some(format!("(error) {reply}")),
            Self::Client(error) => Some(format!("kvstore-client: {error}")),
            Self::Input(error) => Some(format!("kvstore-client: cannot read standard input: {error}")),
            Self::Output(_) if self.exit() == Exit::Done => None,
            Self::Output(error) => Some(format!("kvstore-client: cannot write to standard output: {error}")),
            Self::File { path, error } => Some(format!("kvstore-client: {}: {error}", path.display())),
            Self::Line { number, fault: LineFault::Wrong(text) } => {
                Some(format!("kvstore-client: line {number} is no entry: {text}"))
            }
            Self::Line { number, fault: LineFault::Client(error) } => {
                Some(format!("kvstore-client: line {number}: {error}"))
            }
            Self::Interrupted => Some("kvstore-client: interrupted".to_owned()),
            Self::Thread(error) => Some(format!("kvstore-client: cannot start a thread: {error}")),
        }
    }
}

/// Tells the user something that ends nothing. Where standard error is closed, nobody wants to know.
pub(crate) fn note(text: &str) {
    let _ = writeln!(io::stderr(), "kvstore-client: {text}");
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Interrupted => Self::Interrupted,
            error => Self::Client(error),
        }
    }
}
