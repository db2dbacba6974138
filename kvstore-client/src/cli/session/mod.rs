//! Session: reads requests, a line each, and prints a reply for each: from a person with line editing, from a pipe as plain lines.

mod complete;
mod editor;
mod help;
mod hint;
mod history;
mod interactive;
mod interrupts;
mod link;
mod listen;
mod piped;
mod prompt;
mod subscription;

use super::line::split;
use super::{Exit, Failure, Options};
use std::io::{self, IsTerminal};

/// What a line asks for.
enum Line {
    Nothing,
    Request(Vec<Vec<u8>>),
    /// With the words after it.
    Help(Vec<String>),
    Clear,
    Exit,
    Unreadable,
}

/// Runs a session on standard input and output.
pub(crate) fn run(options: &Options) -> Result<Exit, Failure> {
    if io::stdin().is_terminal() && io::stdout().is_terminal() {
        interactive::run(options)
    } else {
        piped::run(options)
    }
}

fn read(line: &[u8]) -> Line {
    let Ok(words) = split(line) else { return Line::Unreadable };
    match words.as_slice() {
        [] => Line::Nothing,
        [word] if is(word, "exit") || is(word, "quit") => Line::Exit,
        [word] if is(word, "clear") => Line::Clear,
        [word, about @ ..] if is(word, "help") || is(word, "?") => {
            Line::Help(about.iter().map(|word| String::from_utf8_lossy(word).into_owned()).collect())
        }
        _ => Line::Request(words),
    }
}

fn is(word: &[u8], name: &str) -> bool {
    word.eq_ignore_ascii_case(name.as_bytes())
}
