//! Events: keyspace notifications of some keys, on a connection of their own.

use crate::cli::Options;
use kvstore_client::{Client, Connection, Error, Value, encode_command};

/// Notifications are for a database; there is one, and hosts with more begin with this one.
const CHANNEL: &[u8] = b"__keyspace@0__:";
/// So many keys at most are told of at once.
const KEYS_MAX: usize = 1_000;

/// Subscriptions to what happens to keys.
pub(super) struct Events {
    connection: Connection,
}

/// A key, and the names of what happened to it, each once, in their order.
pub(super) type Happened = (Vec<u8>, Vec<String>);

impl Events {
    /// Subscribes, when the host has notifications on that tell of each change.
    pub(super) fn subscribe(
        client: &mut Client,
        options: &Options,
        keys: &[Vec<u8>],
    ) -> Result<Option<Self>, Error> {
        if !are_on(client)? {
            return Ok(None);
        }
        let mut connection = options.connected_client()?.take_connection()?;
        let channels = keys.iter().map(|key| [CHANNEL, key].concat());
        let words: Vec<Vec<u8>> = [b"SUBSCRIBE".to_vec()].into_iter().chain(channels).collect();
        let mut bytes = Vec::new();
        encode_command(&words, &mut bytes);
        connection.send(&bytes)?;
        for _ in keys {
            if let Value::Error(reply) = connection.receive()? {
                return Err(Error::Reply(reply));
            }
        }
        connection.set_reply_wait(None);
        Ok(Some(Self { connection }))
    }

    /// Waits for something to happen, and takes in what else is there already, so that a key that changes without end is not lagged behind.
    pub(super) fn next(&mut self) -> Result<Vec<Happened>, Error> {
        let mut happened: Vec<Happened> = Vec::new();
        let mut value = Some(self.connection.receive()?);
        while let Some(message) = value {
            if let Some((key, name)) = parse(message) {
                match happened.iter_mut().find(|(known, _)| *known == key) {
                    Some((_, names)) if names.contains(&name) => {}
                    Some((_, names)) => names.push(name),
                    None => happened.push((key, vec![name])),
                }
            }
            if happened.len() >= KEYS_MAX {
                break;
            }
            value = self.connection.decoded()?;
        }
        Ok(happened)
    }
}

/// Whether all changes of a string are told to subscribers of its key: `K`, with all classes or those that strings have.
fn are_on(client: &mut Client) -> Result<bool, Error> {
    match client.call_repeatable(&["CONFIG", "GET", "notify-keyspace-events"]) {
        Ok(Value::Map(pairs)) => Ok(pairs.into_iter().any(|(_, flags)| tells_all(flags))),
        Ok(Value::Array(words)) => Ok(words.into_iter().nth(1).is_some_and(tells_all)),
        // A host without CONFIG, or one that does not let everybody ask.
        Ok(_) | Err(Error::Reply(_)) => Ok(false),
        Err(error) => Err(error),
    }
}

fn tells_all(flags: Value) -> bool {
    let flags = flags.into_bytes().unwrap_or_default();
    let has = |flag: &u8| flags.contains(flag);
    has(&b'K') && (has(&b'A') || b"g$x".iter().all(has))
}

/// The key and the event of a message, a push in RESP3 and an array in RESP2.
fn parse(message: Value) -> Option<(Vec<u8>, String)> {
    let (Value::Push(parts) | Value::Array(parts)) = message.without_attributes() else { return None };
    let mut parts = parts.into_iter().map(|part| part.into_bytes().unwrap_or_default());
    let (kind, channel, name) = (parts.next()?, parts.next()?, parts.next()?);
    let key = channel.strip_prefix(CHANNEL)?.to_vec();
    (kind == b"message").then(|| (key, String::from_utf8_lossy(&name).into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_flags_that_tell_of_all_changes_of_strings_count() {
        for (flags, expected) in
            [("KA", true), ("AKE", true), ("Kg$x", true), ("", false), ("EA", false), ("Kx", false)]
        {
            assert_eq!(tells_all(Value::Bulk(flags.into())), expected, "{flags}");
        }
    }

    #[test]
    fn a_message_tells_its_key_in_either_protocol() {
        let parts = || ["message", "__keyspace@0__:a:b", "set"].map(|part| Value::Bulk(part.into())).to_vec();
        let expected = Some((b"a:b".to_vec(), "set".to_owned()));
        assert_eq!(parse(Value::Push(parts())), expected);
        assert_eq!(parse(Value::Array(parts())), expected);
        assert_eq!(parse(Value::Push(parts()[..1].to_vec())), None);
    }
}
