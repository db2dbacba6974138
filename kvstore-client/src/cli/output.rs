//! Output: prints replies in the form that was asked for, buffered, and reports every write that fails.

use super::color::{Color, Paint};
use super::format::{self, Place};
use super::{Failure, Options};
use kvstore_client::Value;
use std::io::{self, BufWriter, IsTerminal, Stdout, Write};

/// In which form replies are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// For people, with types, as redis-cli does on a terminal.
    Typed,
    /// For programs that read lines.
    Plain,
    /// The bytes of a string, nothing added.
    Raw,
    Json,
}

pub(crate) struct Output {
    out: BufWriter<Stdout>,
    form: Form,
    place: Place,
    paint: Paint,
}

impl Output {
    /// For the reply to a single request.
    pub(crate) fn once(options: &Options) -> Self {
        Self::new(options, Place::Once)
    }

    /// For a session, where every reply takes a line at least.
    pub(crate) fn session(options: &Options) -> Self {
        Self::new(options, Place::Session)
    }

    fn new(options: &Options, place: Place) -> Self {
        let form = if options.json {
            Form::Json
        } else if options.raw {
            Form::Raw
        } else if io::stdout().is_terminal() || options.color == Color::Always {
            Form::Typed
        } else {
            Form::Plain
        };
        Self {
            out: BufWriter::with_capacity(64 * 1024, io::stdout()),
            form,
            place,
            paint: Paint::new(options),
        }
    }

    pub(crate) fn form(&self) -> Form {
        self.form
    }

    pub(crate) fn paint(&self) -> Paint {
        self.paint
    }

    /// Prints one reply, without flushing.
    pub(crate) fn reply(&mut self, value: &Value) -> Result<(), Failure> {
        let bytes = self.formatted(value);
        self.bytes(&bytes)
    }

    /// One reply as it is printed.
    pub(crate) fn formatted(&self, value: &Value) -> Vec<u8> {
        let mut bytes = Vec::new();
        match self.form {
            Form::Typed => format::typed(value, self.paint, &mut bytes),
            Form::Plain => format::plain(value, self.place, &mut bytes),
            Form::Raw => format::raw(value, self.place, &mut bytes),
            Form::Json => format::json_line(value, &mut bytes),
        }
        bytes
    }

    /// Prints a line that is no reply.
    pub(crate) fn line(&mut self, line: &str) -> Result<(), Failure> {
        self.bytes(line.as_bytes())?;
        self.bytes(b"\n")
    }

    /// Prints bytes as they are.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.out.write_all(bytes).map_err(Failure::Output)
    }

    /// Prints what is still buffered. To be called at the end, as a failure there could not be reported otherwise.
    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        self.out.flush().map_err(Failure::Output)
    }
}
