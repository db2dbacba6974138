//! Piped: a session with a program: requests by the line as they come, each reply as plain lines, no prompt.

use super::super::request::as_text;
use super::super::{Exit, Failure, Options, Output, stream};
use super::{Line, help, read};
use kvstore_client::{Client, Error, Pipeline, ReplyError, Value};
use std::io::{self, Read};

const READ_LEN: usize = 64 * 1024;
/// So many lines at most wait for their replies together.
const BATCH_MAX: usize = 512;

struct Session {
    client: Client,
    output: Output,
    error_seen: bool,
}

/// Runs a session on standard input and output.
pub(super) fn run(options: &Options) -> Result<Exit, Failure> {
    let client = options.connected_client()?;
    let mut session = Session { client, output: Output::session(options), error_seen: false };
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
                    // In a transaction it is queued as others are.
                    if !self.client.is_in_transaction() {
                        return stream::run(&mut self.client, &words, &mut self.output).map(Some);
                    }
                    batch.push(words);
                }
                Line::Request(words) => batch.push(words),
                Line::Help(_) => self.output.line(help::GENERAL)?,
                Line::Clear => {}
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

    fn end(&mut self) -> Result<Exit, Failure> {
        self.output.flush()?;
        Ok(if self.error_seen { Exit::ErrorReply } else { Exit::Done })
    }
}
