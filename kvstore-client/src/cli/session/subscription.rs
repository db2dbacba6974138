//! Subscription: what a session is subscribed to, as the host confirms it.

use super::super::data::Words;
use kvstore_client::Value;
use std::collections::BTreeSet;

/// What a name in a subscription means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Channel,
    Pattern,
    Shard,
}

/// A request that begins or ends subscriptions; it has no reply but its confirmations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Request {
    kind: Kind,
    pub(super) begins: bool,
}

/// All that the session is subscribed to.
#[derive(Debug, Default)]
pub(super) struct Subscriptions(BTreeSet<(Kind, Vec<u8>)>);

impl Request {
    /// The request that these words are; `None` for all other commands.
    pub(super) fn of(words: &[Vec<u8>]) -> Option<Self> {
        let name = words.first()?.to_ascii_lowercase();
        let (kind, rest) = match name.strip_suffix(b"subscribe")? {
            [b'p', rest @ ..] => (Kind::Pattern, rest),
            [b's', rest @ ..] => (Kind::Shard, rest),
            rest => (Kind::Channel, rest),
        };
        let begins = rest.is_empty();
        (begins || rest == b"un").then_some(Self { kind, begins })
    }

    /// Whether this answers the request.
    pub(super) fn is_confirmed_by(self, value: &Value) -> bool {
        confirmation(value).is_some_and(|(request, _)| request == self)
    }
}

impl Subscriptions {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// Takes notice of a confirmation; other messages change nothing.
    pub(super) fn note(&mut self, push: &Value) {
        match confirmation(push) {
            Some((Request { kind, begins: true }, name)) => {
                self.0.insert((kind, name.to_vec()));
            }
            Some((Request { kind, begins: false }, name)) => {
                self.0.remove(&(kind, name.to_vec()));
            }
            None => {}
        }
    }

    /// How many confirmations a request will have: one for each name, or for each subscription that it ends, or one that there is none.
    pub(super) fn confirmations(&self, request: Request, words: &[Vec<u8>]) -> usize {
        let named = words.len().saturating_sub(1);
        let held = self.0.iter().filter(|(kind, _)| *kind == request.kind).count();
        if named > 0 { named } else { held.max(1) }
    }

    /// The requests that begin all of them anew.
    pub(super) fn requests(&self) -> Vec<Words> {
        let name = |kind| match kind {
            Kind::Channel => "SUBSCRIBE",
            Kind::Pattern => "PSUBSCRIBE",
            Kind::Shard => "SSUBSCRIBE",
        };
        self.0.iter().map(|(kind, channel)| vec![name(*kind).as_bytes().to_vec(), channel.clone()]).collect()
    }
}

/// The request that a push confirms, and the name that it tells.
fn confirmation(push: &Value) -> Option<(Request, &[u8])> {
    let (Value::Push(parts) | Value::Array(parts)) = push else { return None };
    let [kind, name, Value::Integer(_)] = parts.as_slice() else { return None };
    let request = Request::of(&[kind.as_bytes()?.to_vec()])?;
    Some((request, name.as_bytes().unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<Vec<u8>> {
        line.split(' ').map(|word| word.as_bytes().to_vec()).collect()
    }

    fn push(kind: &str, name: &str, count: i64) -> Value {
        Value::Push(vec![Value::Bulk(kind.into()), Value::Bulk(name.into()), Value::Integer(count)])
    }

    #[test]
    fn requests_are_told_by_their_names() {
        for (line, expected) in [
            ("SUBSCRIBE a", Some((Kind::Channel, true))),
            ("psubscribe a*", Some((Kind::Pattern, true))),
            ("unsubscribe", Some((Kind::Channel, false))),
            ("PUNSUBSCRIBE", Some((Kind::Pattern, false))),
            ("sunsubscribe x", Some((Kind::Shard, false))),
            ("resubscribe", None),
            ("get", None),
        ] {
            let found = Request::of(&words(line)).map(|request| (request.kind, request.begins));
            assert_eq!(found, expected, "{line}");
        }
    }

    #[test]
    fn confirmations_say_what_holds() {
        let mut held = Subscriptions::default();
        for confirmed in [push("subscribe", "a", 1), push("psubscribe", "b*", 2), push("message", "a", 0)] {
            held.note(&confirmed);
        }
        assert_eq!(held.requests(), [words("SUBSCRIBE a"), words("PSUBSCRIBE b*")]);
        let all = Request::of(&words("UNSUBSCRIBE")).unwrap();
        assert_eq!(held.confirmations(all, &words("UNSUBSCRIBE")), 1);
        assert_eq!(held.confirmations(all, &words("UNSUBSCRIBE x y")), 2);
        assert!(all.is_confirmed_by(&push("unsubscribe", "a", 1)));
        held.note(&push("unsubscribe", "a", 1));
        held.note(&push("punsubscribe", "b*", 0));
        assert!(held.is_empty());
    }
}
