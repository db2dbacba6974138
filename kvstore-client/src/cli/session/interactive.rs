//! Interactive: a session with a person: edits a line, sends it, shows the reply, and stays when the host goes.

use super::super::color::Style;
use super::super::data::Words;
use super::super::output::Form;
use super::super::request::as_text;
use super::super::syntax::Catalogue;
use super::super::{Exit, Failure, Options, Output, engine, monitor};
use super::editor::{self, LineEditor};
use super::link::Link;
use super::listen::Above;
use super::prompt::prompt;
use super::subscription::Request;
use super::{Line, help, is, read};
use kvstore_client::{Error, ReplyError, Value, encode_command};
use rustyline::error::ReadlineError;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// A reply that took longer has its time told.
const SLOW: Duration = Duration::from_millis(500);

struct Session {
    link: Link,
    editor: LineEditor,
    output: Output,
}

pub(super) fn run(options: &Options) -> Result<Exit, Failure> {
    let mut link = Link::open(options).map_err(Failure::Input)??;
    let catalogue = Catalogue::ask(&mut link.client).unwrap_or_else(|error| {
        log::debug!("no help from the host: {error}");
        Catalogue::default()
    });
    let output = Output::session(options);
    let mut editor = LineEditor::new(catalogue, output.paint())?;
    let above = Above::new(&mut editor);
    let mut session = Session { link, editor, output };
    session.say("TAB completes, help explains, Ctrl-D ends the session.")?;
    session.read_lines(&above)
}

impl Session {
    fn read_lines(&mut self, above: &Above) -> Result<Exit, Failure> {
        let mut dropped = 0;
        loop {
            self.output.flush()?;
            let prompt = prompt(self.link.client.address(), self.link.state());
            let lines = match above.read_line(&mut self.editor, &prompt, &mut self.link, &self.output) {
                Ok(lines) => lines,
                Err(ReadlineError::Eof) => return Ok(Exit::Done),
                Err(ReadlineError::Interrupted) => {
                    dropped += 1;
                    if dropped == 2 {
                        self.say("Ctrl-D or exit ends the session.")?;
                    }
                    continue;
                }
                Err(error) => return Err(editor::failure(error)),
            };
            dropped = 0;
            // What was pasted can be several lines.
            for line in lines.split(['\n', '\r']) {
                self.editor.remember(line);
                if let Some(exit) = self.line(line)? {
                    return Ok(exit);
                }
            }
        }
    }

    fn line(&mut self, line: &str) -> Result<Option<Exit>, Failure> {
        match read(line.as_bytes()) {
            Line::Nothing => {}
            Line::Request(words) => self.request(words)?,
            Line::Help(about) => {
                let none = Catalogue::default();
                help::print(&about, self.editor.catalogue().unwrap_or(&none), &mut self.output)?;
            }
            Line::Clear => self.editor.editor.clear_screen().map_err(editor::failure)?,
            Line::Exit => return Ok(Some(Exit::Done)),
            Line::Unreadable => self.failed("unbalanced quotes in request")?,
        }
        self.output.flush()?;
        Ok(None)
    }

    fn request(&mut self, words: Words) -> Result<(), Failure> {
        let words = with_local_path(words);
        self.link.interrupts.clear();
        match self.link.connect() {
            Ok(true) => self.say(&format!("connected to {} again", self.link.client.address()))?,
            Ok(false) => {}
            Err(error) => return self.error(error),
        }
        let queued = self.link.client.is_in_transaction();
        match Request::of(&words) {
            Some(request) if !queued => self.subscribe(request, &words),
            _ if !queued && words.first().is_some_and(|name| is(name, "MONITOR")) => self.monitor(&words),
            _ => self.call(&words),
        }
    }

    fn call(&mut self, words: &Words) -> Result<(), Failure> {
        let start = Instant::now();
        match self.link.call(words) {
            Ok(reply) => {
                // A SUBSCRIBE within a transaction is confirmed within the reply to EXEC.
                if let Value::Array(parts) = &reply {
                    parts
                        .iter()
                        .filter(|part| part.is_push())
                        .for_each(|push| self.link.subscriptions.note(push));
                }
                self.output.reply(&as_text(words, reply))?
            }
            Err(error) => self.error(error)?,
        }
        let took = start.elapsed();
        if took >= SLOW && self.output.form() == Form::Typed {
            self.say(&format!("{:.2} s", took.as_secs_f64()))?;
        }
        for push in self.link.client.take_pushes() {
            self.link.subscriptions.note(&push);
            self.output.reply(&push)?;
        }
        Ok(())
    }

    fn subscribe(&mut self, request: Request, words: &Words) -> Result<(), Failure> {
        if !self.link.has_pushes() {
            return self.subscribe_in_resp2(words);
        }
        let mut missing = self.link.subscriptions.confirmations(request, words);
        if let Err(error) = self.link.send(words) {
            self.link.set_down();
            return self.error(error);
        }
        if request.begins {
            return self.stream();
        }
        while missing > 0 {
            match self.link.receive() {
                Ok(value) => {
                    missing -= usize::from(request.is_confirmed_by(&value));
                    self.output.reply(&value)?;
                    if matches!(value, Value::Error(_)) {
                        break;
                    }
                }
                Err(error) => return self.error(error),
            }
        }
        Ok(())
    }

    /// Shows messages until Ctrl-C. A host that goes away is waited for.
    fn stream(&mut self) -> Result<(), Failure> {
        self.say("reading messages; Ctrl-C gives the prompt back")?;
        loop {
            self.output.flush()?;
            match self.link.receive() {
                Ok(value) => {
                    self.output.reply(&value)?;
                    if matches!(value, Value::Error(_)) {
                        return Ok(());
                    }
                }
                Err(Error::Interrupted) => break,
                Err(error) => {
                    self.error(error)?;
                    self.say("trying to connect again; Ctrl-C gives the prompt back")?;
                    self.output.flush()?;
                    if !self.link.connect_with_patience() {
                        break;
                    }
                    self.say(&format!("connected to {} again", self.link.client.address()))?;
                }
            }
        }
        self.link.interrupts.clear();
        self.output.line("")
    }

    /// RESP2 cannot tell messages from replies: the subscription has a connection of its own and ends with it.
    fn subscribe_in_resp2(&mut self, words: &Words) -> Result<(), Failure> {
        self.say("reading messages; Ctrl-C ends the subscription")?;
        self.stream_beside(words, |value, output| output.reply(value))
    }

    fn monitor(&mut self, words: &Words) -> Result<(), Failure> {
        self.say("showing what the host carries out; Ctrl-C gives the prompt back")?;
        self.stream_beside(words, monitor::show)
    }

    fn stream_beside(
        &mut self,
        words: &Words,
        show: impl Fn(&Value, &mut Output) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let mut bytes = Vec::new();
        encode_command(words, &mut bytes);
        let begun = self.link.beside().and_then(|mut connection| {
            connection.send(&bytes)?;
            Ok(connection)
        });
        let mut connection = match begun {
            Ok(connection) => connection,
            Err(error) => return self.error(error),
        };
        loop {
            self.output.flush()?;
            match connection.receive() {
                Ok(value) => {
                    show(&value, &mut self.output)?;
                    if matches!(value, Value::Error(_)) {
                        return Ok(());
                    }
                }
                Err(Error::Interrupted) => {
                    self.link.interrupts.clear();
                    return self.output.line("");
                }
                Err(error) => return self.error(error),
            }
        }
    }

    /// Says something of the session's own, to people only.
    fn say(&mut self, text: &str) -> Result<(), Failure> {
        if self.output.form() == Form::Typed {
            let text = self.output.paint().paint(Style::Faint, &format!("({text})"));
            self.output.line(&text)?;
        }
        Ok(())
    }

    fn error(&mut self, error: Error) -> Result<(), Failure> {
        match error {
            Error::Reply(reply) => self.output.reply(&Value::Error(reply)),
            error => self.failed(&error.to_string()),
        }
    }

    fn failed(&mut self, message: &str) -> Result<(), Failure> {
        let error = ReplyError { code: String::new(), message: message.to_owned() };
        self.output.reply(&Value::Error(error))
    }
}

/// A library that lies here is named so that the host, started elsewhere, finds it.
fn with_local_path(mut words: Words) -> Words {
    let is_at = |at: usize, name: &str| words.get(at).is_some_and(|word| is(word, name));
    let has_path = !["SHA256", "MIGRATE", "PROBATION", "OPTS"].iter().any(|word| is_at(2, word));
    if is_at(0, "ENGINE") && (is_at(1, "RELOAD") || is_at(1, "SHADOW")) && has_path {
        for path in words.iter_mut().skip(2).take(1) {
            *path = engine::absolute(Path::new(OsStr::from_bytes(path)));
        }
    }
    words
}
