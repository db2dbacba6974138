//! Session: reads requests, a line each, and prints a reply for each; with a prompt on a terminal, as plain lines in a pipe.

use super::line::split;
use super::request::as_text;
use super::{Exit, Failure, Options, Output, stream};
use kvstore_client::{Client, Error, Pipeline, ReplyError, Value};
use std::io::{self, IsTerminal, Read};

const READ_LEN: usize = 64 * 1024;
/// So many lines at most wait for their replies together.
const BATCH_MAX: usize = 512;

const HELP: &str = "\
A line is one request: words, separated by blanks. \"…\" keeps blanks and knows \\xHH \\n \\r \\t \\b \\a \\\" \\\\; '…' knows \\'.
exit or quit ends the session.";

/// What a line asks for.
enum Line {
    Nothing,
    Request(Vec<Vec<u8>>),
    Help,
    Exit,
    Unreadable,
}

struct Session {
    client: Client,
    output: Output,
    interactive: bool,
    error_seen: bool,
}

/// Runs a session on standard input and output.
pub(crate) fn run(options: &Options) -> Result<Exit, Failure> {
    let interactive = io::stdin().is_terminal() && io::stdout().is_terminal();
    let client = options.connected_client()?;
    let mut session = Session { client, output: Output::session(options), interactive, error_seen: false };
    session.read_lines()
}

impl Session {
    /// Takes all lines that are there at once and sends them together, so that a long input does not wait for each reply, while
    /// whoever writes a line and waits for its reply gets it.
    fn read_lines(&mut self) -> Result<Exit, Failure> {
        let mut stdin = io::stdin().lock();
        let mut pending = Vec::new();
        let mut searched = 0;
        let mut buffer = vec![0; READ_LEN];
        loop {
            self.prompt()?;
            let len = match stdin.read(&mut buffer) {
                Ok(len) => len,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(Failure::Input(error)),
            };
            pending.extend_from_slice(buffer.get(..len).unwrap_or_default());
            let unsearched = pending.get(searched..).unwrap_or_default();
            let complete_len = match unsearched.iter().rposition(|byte| *byte == b'\n') {
                Some(at) => searched + at + 1,
                // The last line needs no line end.
                None if len == 0 => pending.len(),
                None => 0,
            };
            let rest = pending.split_off(complete_len);
            let lines = std::mem::replace(&mut pending, rest);
            searched = pending.len();
            if let Some(exit) = self.lines(&lines)? {
                return Ok(exit);
            }
            if len == 0 {
                if self.interactive {
                    // The shell's prompt shall not stand behind this one.
                    self.output.line("")?;
                }
                return self.end();
            }
        }
    }

    fn lines(&mut self, lines: &[u8]) -> Result<Option<Exit>, Failure> {
        let mut batch = Vec::new();
        for line in lines.split(|byte| *byte == b'\n') {
            let line = read(line);
            if !matches!(line, Line::Request(_) | Line::Nothing) || batch.len() >= BATCH_MAX {
                self.send(std::mem::take(&mut batch))?;
            }
            match line {
                Line::Nothing => {}
                Line::Request(words) if stream::is_endless(&words) => {
                    self.send(std::mem::take(&mut batch))?;
                    return stream::run(&mut self.client, &words, &mut self.output).map(Some);
                }
                Line::Request(words) => batch.push(words),
                Line::Help => self.output.line(HELP)?,
                Line::Exit => return self.end().map(Some),
                Line::Unreadable => {
                    let message = "unbalanced quotes in request".to_owned();
                    self.print(&Value::Error(ReplyError { code: "ERR".to_owned(), message }))?;
                }
            }
        }
        self.send(batch)?;
        self.output.flush()?;
        Ok(None)
    }

    /// Sends the requests together and prints their replies.
    fn send(&mut self, batch: Vec<Vec<Vec<u8>>>) -> Result<(), Failure> {
        if batch.is_empty() {
            return Ok(());
        }
        let mut pipeline = Pipeline::new();
        batch.iter().for_each(|words| {
            pipeline.add(words);
        });
        let results = match self.client.run(&pipeline) {
            Ok(results) => results,
            Err(error) => vec![Err(error)],
        };
        for (words, result) in batch.iter().zip(results) {
            match result {
                Ok(reply) => self.print(&as_text(words, reply))?,
                Err(Error::Reply(reply)) => self.print(&Value::Error(reply))?,
                Err(error) if self.interactive => {
                    // The next line connects again.
                    self.output.line(&format!("(error) {error}"))?;
                    break;
                }
                Err(error) => {
                    self.output.flush()?;
                    return Err(error.into());
                }
            }
        }
        for push in self.client.take_pushes() {
            self.output.reply(&push)?;
        }
        Ok(())
    }

    fn print(&mut self, reply: &Value) -> Result<(), Failure> {
        self.error_seen |= matches!(reply, Value::Error(_));
        self.output.reply(reply)
    }

    fn prompt(&mut self) -> Result<(), Failure> {
        if self.interactive {
            let transaction = if self.client.is_in_transaction() { "(TX)" } else { "" };
            let prompt = format!("{}{transaction}> ", self.client.address());
            self.output.bytes(prompt.as_bytes())?;
            self.output.flush()?;
        }
        Ok(())
    }

    fn end(&mut self) -> Result<Exit, Failure> {
        self.output.flush()?;
        Ok(if self.error_seen && !self.interactive { Exit::ErrorReply } else { Exit::Done })
    }
}

fn read(line: &[u8]) -> Line {
    let Ok(words) = split(line) else { return Line::Unreadable };
    match words.as_slice() {
        [] => Line::Nothing,
        [word] if is(word, "exit") || is(word, "quit") => Line::Exit,
        [word] if is(word, "help") => Line::Help,
        _ => Line::Request(words),
    }
}

fn is(word: &[u8], name: &str) -> bool {
    word.eq_ignore_ascii_case(name.as_bytes())
}
