//! Transcript: what a client asked and was told, and how two of them compare.

use kvstore_client::{Decoder, Value};
use kvstore_host::protocol::{Limits, Parsed, Parser, Requests};

/// Answers that depend on more than what was asked: on the processor, on memory, on the order in a table.
const VOLATILE: [&str; 12] = [
    "info",
    "scan",
    "randomkey",
    "slowlog",
    "latency",
    "memory",
    "client list",
    "client info",
    "object",
    "lolwut",
    "debug",
    "monitor",
];
/// Requests after which a client gets more or fewer replies than it asks for.
const UNEVEN: [&str; 15] = [
    "subscribe",
    "psubscribe",
    "ssubscribe",
    "unsubscribe",
    "punsubscribe",
    "sunsubscribe",
    "monitor",
    "quit",
    "exit",
    "client kill",
    "client reply",
    "config set",
    "reset",
    "shutdown",
    "wait",
];
/// Requests after which messages come that answer none.
const LISTENING: [&str; 4] = ["subscribe", "psubscribe", "ssubscribe", "monitor"];
/// Messages that come when others do something, in RESP2.
const MESSAGES: [&[u8]; 3] = [b"message", b"pmessage", b"smessage"];

/// What one client asked and was told.
pub(super) struct Transcript {
    /// The names of its requests in lower case, with the first argument.
    asked: Vec<(String, String)>,
    /// Its bytes end with an error that it is told.
    error: bool,
    /// Its bytes end with an error that closes its connection.
    ended: bool,
    replies: Vec<Value>,
    messages: Vec<Value>,
}

impl Transcript {
    /// Reads what was sent and received.
    pub(super) fn new(sent: &[u8], received: &[u8], limits: &Limits) -> Self {
        let (mut parser, mut requests, mut start) = (Parser::new(), Requests::new(), 0);
        let error = loop {
            match parser.parse(sent, start, limits, &mut requests) {
                Ok(Parsed::Request { consumed } | Parsed::Empty { consumed }) => start += consumed,
                Ok(Parsed::Incomplete { .. }) => break None,
                Err(error) => break Some(error),
            }
        };
        let word = |arg: Option<&[u8]>| String::from_utf8_lossy(arg.unwrap_or_default()).to_lowercase();
        let asked: Vec<(String, String)> =
            requests.iter(sent).map(|request| (word(request.get(0)), word(request.get(1)))).collect();
        let listens = asked.iter().any(|asked| is_one_of(asked, &LISTENING));
        let (mut decoder, mut replies, mut messages) = (Decoder::default(), Vec::new(), Vec::new());
        decoder.feed(received);
        while let Some(value) = decoder.next_value().expect("replies are well-formed") {
            if matches!(value, Value::Push(_)) || listens && is_message(&value) {
                messages.push(value)
            } else {
                replies.push(value)
            }
        }
        assert!(decoder.is_between_values(), "the last reply is whole");
        let is_answered = error.is_some_and(|error| error.is_answered());
        Self { asked, error: is_answered, ended: error.is_some(), replies, messages }
    }

    fn asks(&self, names: &[&str]) -> bool {
        self.asked.iter().any(|asked| is_one_of(asked, names))
    }

    /// Whether the client may have ended another.
    pub(super) fn kills(&self) -> bool {
        self.asks(&["client kill"])
    }

    /// Checks that each request got one reply, where it can be told: if no client was ended by another.
    pub(super) fn check(&self, client: usize, all_live: bool) {
        if all_live && !self.asks(&UNEVEN) {
            let expected = self.asked.len() + usize::from(self.error);
            assert_eq!(self.replies.len(), expected, "replies to client {client}: {:?}", self.asked);
        }
        if !self.asks(&["hello"]) {
            assert!(self.replies.iter().all(is_resp2), "client {client} gets RESP3 unasked");
        }
    }

    /// Checks that another run of the same gave the same.
    pub(super) fn compare(&self, other: &Self, client: usize) {
        assert_eq!(self.ended, other.ended);
        assert_eq!(self.replies.len(), other.replies.len(), "replies to client {client}: {:?}", self.asked);
        let aligned = !self.asks(&UNEVEN);
        let any_volatile = self.asks(&VOLATILE);
        for (index, (one, again)) in self.replies.iter().zip(&other.replies).enumerate() {
            let asked = self.asked.get(index);
            let name = asked.map_or("", |(name, _)| name.as_str());
            let masked = any_volatile
                && (!aligned || name == "exec" || asked.is_some_and(|asked| is_one_of(asked, &VOLATILE)));
            if masked {
                assert_eq!(std::mem::discriminant(one), std::mem::discriminant(again), "{asked:?}");
            } else if name == "keys" {
                assert_eq!(sorted(one), sorted(again));
            } else if one != again {
                // NaN equals nothing, but its text does.
                assert_eq!(format!("{one:?}"), format!("{again:?}"), "client {client}, {asked:?}");
            }
        }
        assert_eq!(self.messages.len(), other.messages.len(), "messages to client {client}");
        if !any_volatile {
            assert_eq!(self.messages, other.messages, "messages to client {client}");
        }
    }
}

fn is_one_of((name, first): &(String, String), names: &[&str]) -> bool {
    names.iter().any(|one| match one.split_once(' ') {
        None => one == name,
        Some((container, inner)) => container == name && inner == first,
    })
}

/// Whether it answers no request, in RESP2.
fn is_message(value: &Value) -> bool {
    match value {
        Value::Array(items) => match items.first() {
            Some(Value::Bulk(kind)) => MESSAGES.contains(&kind.as_slice()) && matches!(items.len(), 3 | 4),
            _ => false,
        },
        // As MONITOR shows a request: its time comes first.
        Value::Simple(text) => text.first().is_some_and(u8::is_ascii_digit),
        _ => false,
    }
}

fn is_resp2(value: &Value) -> bool {
    match value {
        Value::Nil | Value::Simple(_) | Value::Error(_) | Value::Integer(_) | Value::Bulk(_) => true,
        Value::Array(items) => items.iter().all(is_resp2),
        _ => false,
    }
}

fn sorted(value: &Value) -> Vec<String> {
    let mut lines: Vec<String> = match value {
        Value::Array(items) | Value::Set(items) => items.iter().map(|item| format!("{item:?}")).collect(),
        other => vec![format!("{other:?}")],
    };
    lines.sort();
    lines
}
