//! Pipeline: many requests that leave in one go and are answered in order.

use crate::encode_command;

/// Requests to be sent together with [`Client::run`](crate::Client::run).
#[derive(Debug, Clone, Default)]
pub struct Pipeline {
    bytes: Vec<u8>,
    /// Where each request ends in `bytes`.
    ends: Vec<usize>,
    effects: Vec<Effect>,
    repeatable: bool,
}

/// What a request does to the transaction of its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    Multi,
    Watch,
    Unwatch,
    /// `EXEC`, `DISCARD`, `RESET`.
    End,
}

/// The transaction that a connection holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Transaction {
    pub(crate) open: bool,
    pub(crate) watching: bool,
}

impl Pipeline {
    /// A pipeline without requests.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the request made of `words`.
    pub fn add<W: AsRef<[u8]>>(&mut self, words: &[W]) -> &mut Self {
        encode_command(words, &mut self.bytes);
        self.ends.push(self.bytes.len());
        self.effects.extend(words.first().and_then(|word| Effect::of(word.as_ref())));
        self
    }

    /// Gives the caller's word that all requests may be carried out more than once without harm, as reads may. After a lost
    /// connection the whole pipeline is then sent again.
    pub fn repeatable(&mut self) -> &mut Self {
        self.repeatable = true;
        self
    }

    /// Number of requests.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is no request.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn ends(&self) -> &[usize] {
        &self.ends
    }

    pub(crate) fn is_repeatable(&self) -> bool {
        self.repeatable
    }

    pub(crate) fn change(&self, transaction: &mut Transaction) {
        for effect in &self.effects {
            transaction.apply(*effect);
        }
    }
}

impl Effect {
    fn of(word: &[u8]) -> Option<Self> {
        let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
        match word.len() {
            4 if is("EXEC") => Some(Self::End),
            5 if is("MULTI") => Some(Self::Multi),
            5 if is("WATCH") => Some(Self::Watch),
            5 if is("RESET") => Some(Self::End),
            7 if is("DISCARD") => Some(Self::End),
            7 if is("UNWATCH") => Some(Self::Unwatch),
            _ => None,
        }
    }
}

impl Transaction {
    pub(crate) fn is_held(self) -> bool {
        self.open || self.watching
    }

    fn apply(&mut self, effect: Effect) {
        match effect {
            Effect::Multi => self.open = true,
            Effect::Watch => self.watching = true,
            // Between MULTI and EXEC it is only queued.
            Effect::Unwatch if self.open => {}
            Effect::Unwatch => self.watching = false,
            Effect::End => *self = Self::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_lie_one_after_the_other() {
        let mut pipeline = Pipeline::new();
        pipeline.add(&["PING"]).add(&[&b"GET"[..], b"\0"]);
        assert_eq!(pipeline.len(), 2);
        assert_eq!(pipeline.bytes(), b"*1\r\n$4\r\nPING\r\n*2\r\n$3\r\nGET\r\n$1\r\n\0\r\n");
        assert_eq!(pipeline.ends(), [14, 14 + 20]);
    }

    #[test]
    fn the_transaction_is_followed_in_any_case() {
        for (words, held) in [
            (vec!["multi"], true),
            (vec!["Watch"], true),
            (vec!["WATCH", "unwatch"], false),
            (vec!["WATCH", "MULTI", "UNWATCH"], true),
            (vec!["WATCH", "MULTI", "EXEC"], false),
            (vec!["MULTI", "SET", "DISCARD"], false),
            (vec!["MULTI", "RESET"], false),
            (vec!["GET"], false),
        ] {
            let mut pipeline = Pipeline::new();
            for word in &words {
                pipeline.add(&[word]);
            }
            let mut transaction = Transaction::default();
            pipeline.change(&mut transaction);
            assert_eq!(transaction.is_held(), held, "{words:?}");
        }
    }
}
