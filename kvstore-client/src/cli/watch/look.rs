//! Look: what an entry is at this moment: its type, its value or its size, and when it expires.

use super::super::clock;
use kvstore_client::{Client, Error, Pipeline, Value};

/// An entry, or that there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Entry {
    Absent,
    Present {
        /// The name of its type.
        kind: String,
        /// Of a string.
        value: Option<Vec<u8>>,
        /// In bytes for a string, in elements for other types.
        size: Option<i64>,
        /// In milliseconds since 1970.
        expires_ms: Option<i64>,
    },
}

impl Entry {
    /// What has happened since it was `before`; nothing when it is the same.
    pub(super) fn change_from(&self, before: &Self) -> Option<&'static str> {
        match (before, self) {
            (before, after) if before == after => None,
            (Self::Absent, _) => Some("new"),
            (Self::Present { expires_ms, .. }, Self::Absent) => {
                let expired = expires_ms.is_some_and(|at| at <= clock::now_ms());
                Some(if expired { "expired" } else { "gone" })
            }
            (
                Self::Present { kind, value, size, .. },
                Self::Present {
                    kind: new_kind,
                    value: new_value,
                    size: new_size,
                    expires_ms: new_expires_ms,
                },
            ) => {
                if (kind, value, size) != (new_kind, new_value, new_size) {
                    Some("changed")
                } else if new_expires_ms.is_none() {
                    Some("persist")
                } else {
                    Some("expire")
                }
            }
        }
    }
}

/// What these keys are now, in their order.
pub(super) fn look(client: &mut Client, keys: &[Vec<u8>]) -> Result<Vec<Entry>, Error> {
    let mut pipeline = Pipeline::new();
    for key in keys {
        pipeline.add(&[&b"TYPE"[..], key]).add(&[&b"PEXPIRETIME"[..], key]).add(&[&b"GET"[..], key]);
    }
    let replies = client.run(pipeline.repeatable())?;
    let mut entries = Vec::new();
    for (key, of_key) in keys.iter().zip(replies.chunks_exact(3)) {
        entries.push(match of_key {
            [kind, expiry, value] => entry(client, key, kind, expiry, value)?,
            _ => Entry::Absent,
        });
    }
    Ok(entries)
}

type Replied = Result<Value, Error>;

fn entry(
    client: &mut Client,
    key: &[u8],
    kind: &Replied,
    expiry: &Replied,
    value: &Replied,
) -> Result<Entry, Error> {
    let kind = match kind {
        Ok(kind) => String::from_utf8_lossy(kind.as_bytes().unwrap_or_default()).into_owned(),
        Err(error) => return Err(error.clone()),
    };
    // Hosts that do not know PEXPIRETIME answer with an error: what they let expire is not told ahead.
    let expires_ms = expiry.as_ref().ok().and_then(Value::as_integer).filter(|at| *at >= 0);
    let (value, size) = match value {
        Ok(Value::Nil) => return Ok(Entry::Absent),
        Ok(value) => {
            let bytes = value.as_bytes().ok_or(Error::UnexpectedReply { expected: "a string" })?;
            (Some(bytes.to_vec()), i64::try_from(bytes.len()).ok())
        }
        // Of another type.
        Err(Error::Reply(reply)) if reply.code == "WRONGTYPE" => (None, size(client, key, &kind)?),
        Err(error) => return Err(error.clone()),
    };
    Ok(Entry::Present { kind, value, size, expires_ms })
}

/// How many elements there are, for the types that Redis has beside strings.
fn size(client: &mut Client, key: &[u8], kind: &str) -> Result<Option<i64>, Error> {
    let command = match kind {
        "list" => "LLEN",
        "set" => "SCARD",
        "hash" => "HLEN",
        "zset" => "ZCARD",
        "stream" => "XLEN",
        _ => return Ok(None),
    };
    match client.call_repeatable(&[command.as_bytes(), key]) {
        Ok(reply) => Ok(reply.as_integer()),
        // Of yet another type by now: the next look tells.
        Err(Error::Reply(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn present(value: &str, expires_ms: Option<i64>) -> Entry {
        let size = i64::try_from(value.len()).ok();
        Entry::Present { kind: "string".to_owned(), value: Some(value.into()), size, expires_ms }
    }

    #[test]
    fn a_change_has_a_name() {
        for (before, after, change) in [
            (Entry::Absent, Entry::Absent, None),
            (Entry::Absent, present("a", None), Some("new")),
            (present("a", None), present("a", None), None),
            (present("a", None), present("b", None), Some("changed")),
            (present("a", None), present("a", Some(5)), Some("expire")),
            (present("a", Some(5)), present("a", None), Some("persist")),
            (present("a", Some(i64::MAX)), Entry::Absent, Some("gone")),
            (present("a", Some(5)), Entry::Absent, Some("expired")),
        ] {
            assert_eq!(after.change_from(&before), change, "{before:?} {after:?}");
        }
    }
}
