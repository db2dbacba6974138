//! Listen: what the host says while a line is being edited is shown above the line, at once.

use super::super::Output;
use super::editor::LineEditor;
use super::link::Link;
use kvstore_client::{Connection, Error, Value};
use rustix::event::{PollFd, PollFlags, poll};
use rustyline::ExternalPrinter;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{self, Sender};
use std::thread;

/// Prints above the line that is being edited.
pub(super) struct Above {
    texts: Option<Sender<String>>,
}

impl Above {
    /// Where the editor cannot do so, nothing is printed before the line is done.
    pub(super) fn new(editor: &mut LineEditor) -> Self {
        let texts = editor.editor.create_external_printer().ok().map(|mut printer| {
            let (sender, receiver) = mpsc::channel::<String>();
            // The printer waits for the editor when that is between two lines; nobody else has to.
            thread::spawn(move || receiver.iter().all(|text| printer.print(text).is_ok()));
            sender
        });
        Self { texts }
    }

    /// Edits a line; meanwhile prints what comes.
    pub(super) fn read_line(
        &self,
        editor: &mut LineEditor,
        prompt: &str,
        link: &mut Link,
        output: &Output,
    ) -> rustyline::Result<String> {
        let address = link.client.address().clone();
        let (Some(texts), Some(connection), Ok((wake, done))) =
            (&self.texts, link.client.connection_mut(), UnixStream::pair())
        else {
            return editor.editor.readline(prompt);
        };
        let (line, heard) = thread::scope(|scope| {
            let say = |text: String| {
                let _ = texts.send(text);
            };
            let listener = scope.spawn(move || {
                let heard = listen(connection, &wake, |push| {
                    say(String::from_utf8_lossy(&output.formatted(push)).into_owned());
                });
                if let Some(error) = &heard.error {
                    say(format!("({address}: {error}; the next request connects again)\n"));
                }
                heard
            });
            let line = editor.editor.readline(prompt);
            drop(done);
            (line, listener.join())
        });
        if let Ok(heard) = heard {
            heard.pushes.iter().for_each(|push| link.subscriptions.note(push));
            if heard.error.is_some() {
                link.set_down();
            }
        }
        line
    }
}

struct Heard {
    pushes: Vec<Value>,
    /// Why the connection is of no use any more.
    error: Option<Error>,
}

/// Takes in what comes until somebody hangs up: the host, or the other end of `wake`.
fn listen(connection: &mut Connection, wake: &UnixStream, tell: impl Fn(&Value)) -> Heard {
    let mut heard = Heard { pushes: Vec::new(), error: None };
    loop {
        loop {
            match connection.read_some().and_then(|len| Ok((len, connection.decoded()?))) {
                Ok((_, Some(push))) => {
                    tell(&push);
                    // Messages are told and forgotten; what changes the subscriptions is not.
                    if matches!(&push, Value::Push(parts) if matches!(parts.last(), Some(Value::Integer(_))))
                    {
                        heard.pushes.push(push);
                    }
                }
                Ok((0, None)) => break,
                Ok(_) => {}
                Err(error) => {
                    heard.error = Some(error);
                    return heard;
                }
            }
        }
        let mut polled = [PollFd::new(&*connection, PollFlags::IN), PollFd::new(wake, PollFlags::IN)];
        let ready = poll(&mut polled, None);
        let woken = polled.get(1).is_some_and(|wake| !wake.revents().is_empty());
        if woken || ready.is_err_and(|error| error != rustix::io::Errno::INTR) {
            return heard;
        }
    }
}
