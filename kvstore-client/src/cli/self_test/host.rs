//! Host: the live host as the checks see it: what they ask it for, what they expect, and which keys they have used.

use super::Options;
use kvstore_client::{Client, Error, Pipeline, Value};
use rand::RngExt;
use std::fmt;

/// Keys deleted per request.
const DELETE_MAX: usize = 500;

/// Why a check did not come out.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The host did something else.
    Wrong(String),
    /// The host could not be asked.
    Client(Error),
    /// The engine lacks a capability, by the host's own words.
    Unsupported(String),
}

pub(super) struct Host {
    options: Options,
    client: Client,
    prefix: String,
    keys: Vec<Vec<u8>>,
}

impl Host {
    pub(super) fn new(options: &Options) -> Result<Self, Error> {
        let prefix = format!("kvstore-test:{:016x}:", rand::rng().random::<u64>());
        Ok(Self { options: options.clone(), client: options.connected_client()?, prefix, keys: Vec::new() })
    }

    /// Gives the next check a connection of its own.
    pub(super) fn reconnect(&mut self) {
        self.client = self.options.client();
    }

    /// A further connection.
    pub(super) fn other_client(&self) -> Client {
        self.options.client()
    }

    pub(super) fn options(&self) -> &Options {
        &self.options
    }

    pub(super) fn client(&mut self) -> &mut Client {
        &mut self.client
    }

    /// A key that nobody else uses; it is deleted in the end.
    pub(super) fn key(&mut self, name: impl AsRef<[u8]>) -> Vec<u8> {
        let key = self.name(name);
        self.keys.push(key.clone());
        key
    }

    /// A name that nobody else uses.
    pub(super) fn name(&self, name: impl AsRef<[u8]>) -> Vec<u8> {
        [self.prefix.as_bytes(), name.as_ref()].concat()
    }

    /// Asks for something and expects exactly this reply.
    pub(super) fn expect<W: AsRef<[u8]>>(&mut self, words: &[W], expected: Value) -> Result<(), Trouble> {
        let reply = self.client.call(words)?;
        same(&shown(words), &reply, &expected)
    }

    /// Asks for something and expects an error that begins with `start`.
    pub(super) fn expect_error<W: AsRef<[u8]>>(&mut self, words: &[W], start: &str) -> Result<(), Trouble> {
        match self.client.call(words) {
            Err(Error::Reply(reply)) if reply.to_string().starts_with(start) => Ok(()),
            Err(Error::Reply(reply)) if is_lack(&reply.message) => Err(Trouble::Unsupported(reply.message)),
            Err(Error::Reply(reply)) => {
                Err(Trouble::Wrong(format!("{}: expected an error `{start}…`, got `{reply}`", shown(words))))
            }
            Err(error) => Err(error.into()),
            Ok(reply) => {
                Err(Trouble::Wrong(format!("{}: expected an error `{start}…`, got {reply:?}", shown(words))))
            }
        }
    }

    /// Sends all requests in one go and expects exactly these replies.
    pub(super) fn expect_all(&mut self, pipeline: &Pipeline, expected: &[Value]) -> Result<(), Trouble> {
        let results = self.client.run(pipeline)?;
        for (at, (result, expected)) in results.into_iter().zip(expected).enumerate() {
            same(&format!("request {} of a pipeline", at + 1), &result?, expected)?;
        }
        Ok(())
    }

    /// Deletes all keys that were used, and looks whether they are gone.
    pub(super) fn clean_up(&mut self) -> Result<(), Trouble> {
        // The connection at hand may be in the middle of a transaction, or lost.
        self.reconnect();
        for keys in self.keys.chunks(DELETE_MAX) {
            let keys: Vec<&[u8]> = keys.iter().map(Vec::as_slice).collect();
            self.client.delete(&keys)?;
            let left = self.client.exists(&keys)?;
            wants(left == 0, || format!("{left} keys `{}*` are still there after DEL", self.prefix))?;
        }
        Ok(())
    }
}

/// Fails with the text when the condition does not hold.
pub(super) fn wants(holds: bool, text: impl FnOnce() -> String) -> Result<(), Trouble> {
    if holds { Ok(()) } else { Err(Trouble::Wrong(text())) }
}

/// Fails when the two differ.
pub(super) fn same(what: &str, reply: &Value, expected: &Value) -> Result<(), Trouble> {
    wants(reply == expected, || {
        let (mut expected_text, mut reply_text) = (format!("{expected:?}"), format!("{reply:?}"));
        [&mut expected_text, &mut reply_text].into_iter().for_each(shorten);
        format!("{what}: expected {expected_text}, got {reply_text}")
    })
}

pub(super) fn ok() -> Value {
    Value::Simple(b"OK".to_vec())
}

pub(super) fn bulk(bytes: impl AsRef<[u8]>) -> Value {
    Value::Bulk(bytes.as_ref().to_vec())
}

fn shown<W: AsRef<[u8]>>(words: &[W]) -> String {
    let mut text =
        words.iter().map(|word| word.as_ref().escape_ascii().to_string()).collect::<Vec<_>>().join(" ");
    shorten(&mut text);
    text
}

fn shorten(text: &mut String) {
    if let Some((at, _)) = text.char_indices().nth(120) {
        text.truncate(at);
        text.push('…');
    }
}

/// The host's words for a capability that its engine does not have.
fn is_lack(message: &str) -> bool {
    message.contains("it lacks ")
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        match error {
            Error::Reply(reply) if is_lack(&reply.message) => Self::Unsupported(reply.message),
            error => Self::Client(error),
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wrong(text) | Self::Unsupported(text) => f.write_str(text),
            Self::Client(error) => write!(f, "{error}"),
        }
    }
}
