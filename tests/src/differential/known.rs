//! Known: every difference from Redis that is meant, each with its reason. A run fails on any other; and a test plays each example, which has to meet it.

use super::generate::Request;
use super::reply::Reply;
use crate::engines::Engine;

/// One difference that is meant.
#[derive(Debug)]
pub struct Known {
    /// Why it is.
    pub reason: &'static str,
    /// On which engines it is met.
    pub engines: &'static [Engine],
    /// What it is.
    pub kind: Kind,
    /// The shortest script that meets it, as [`parse`](super::lines::parse) takes it.
    pub example: &'static [&'static str],
}

/// What kind of difference it is. After each, both hold the same.
#[derive(Debug)]
pub enum Kind {
    /// Our host refuses with an error that has `error` in it, what Redis would carry out. Redis is asked something else instead; within a
    /// transaction such a request is left out.
    Refusal {
        /// A part of the error.
        error: &'static str,
        /// The requests that it is for.
        applies: fn(&Request) -> bool,
    },
    /// Both answer, and not the same.
    Answer(fn(&Meeting<'_>) -> bool),
    /// One of both calls a transaction off because of what it watches; it is asked once more, as clients do.
    Conflict(fn(Conflict) -> bool),
    /// Only Redis changes something though it refuses, so it is not asked.
    NotSent(fn(&Request) -> bool),
    /// The clock would stop in the very millisecond in which something expires: it moves on by one more.
    Moment,
}

/// Two replies to the same request that are not the same.
#[derive(Clone, Copy, Debug)]
pub struct Meeting<'a> {
    /// What was asked.
    pub request: &'a Request,
    /// Whether it was asked in a transaction.
    pub in_transaction: bool,
    /// What our host answered.
    pub ours: &'a Reply,
    /// What Redis answered.
    pub theirs: &'a Reply,
}

/// A transaction that only one of both has called off.
#[derive(Clone, Copy, Debug)]
pub struct Conflict {
    /// Whether one of the watched keys was absent when it came to be watched.
    pub was_absent: bool,
    /// Whether it is our host that has called it off.
    pub is_ours: bool,
}

impl Meeting<'_> {
    fn is(&self, name: &str) -> bool {
        named(self.request, name)
    }

    fn errors(&self) -> Option<(&[u8], &[u8])> {
        Some((self.ours.error()?, self.theirs.error()?))
    }

    fn numbers(&self) -> Option<(i64, i64)> {
        Some((self.ours.number()?, self.theirs.number()?))
    }
}

/// Whether a request is for the command of this name.
pub fn named(request: &Request, name: &str) -> bool {
    request.first().is_some_and(|word| word.eq_ignore_ascii_case(name.as_bytes()))
}

/// The list.
pub static KNOWN: &[Known] = &[
    Known {
        reason: "the engine on a page of C stores no expiry, and the host says so instead of forgetting it",
        engines: &[Engine::CExample],
        kind: Kind::Refusal { error: "it lacks EXPIRY", applies: sets_expiry },
        example: &["SET k v EX 10"],
    },
    Known {
        reason: "an error is text: bytes in it that are no UTF-8 come back as U+FFFD, so that clients which decode errors can",
        engines: &Engine::ALL,
        kind: Kind::Answer(|met| {
            met.errors().is_some_and(|(ours, theirs)| {
                std::str::from_utf8(theirs).is_err() && String::from_utf8_lossy(theirs).as_bytes() == ours
            })
        }),
        example: &[r#"nosuch "\xff""#],
    },
    Known {
        reason: "an error quotes a word to its end; the C strings of Redis end at a NUL byte",
        engines: &Engine::ALL,
        kind: Kind::Answer(|met| {
            met.errors().is_some_and(|(ours, theirs)| {
                let theirs = String::from_utf8_lossy(theirs).into_owned().into_bytes();
                ours.iter().position(|&byte| byte == 0).is_some_and(|len| {
                    // What Redis says behind the word stands at the end of ours too; line ends at its own end it leaves out.
                    let (before, behind) = (ours[..len].trim_ascii_end(), &ours[len..]);
                    theirs.strip_prefix(before).is_some_and(|rest| behind.ends_with(rest.trim_ascii_start()))
                })
            })
        }),
        example: &[r#"EXPIRE k 1 "a\x00b""#],
    },
    Known {
        reason: "an entry is gone in the millisecond in which it expires; Redis has it until that is over",
        engines: &[Engine::Memory, Engine::Delayed],
        kind: Kind::Moment,
        example: &["SET k v PX 1000", "+1000"],
    },
    Known {
        reason: "what is stored as expired already is gone at once; Redis counts and measures it until somebody looks",
        engines: &Engine::ALL,
        kind: Kind::Answer(|met| {
            let counts = met.is("dbsize") && met.numbers().is_some_and(|(ours, theirs)| ours < theirs);
            let measures = met.is("memory") && met.ours.is_null() && met.theirs.number().is_some();
            met.in_transaction && (counts || measures)
        }),
        example: &["SET k v PXAT 1", "MULTI", "DBSIZE", "EXEC"],
    },
    Known {
        reason: "a watched key that was absent and is absent again counts as unchanged, though it came and went: versions are of entries",
        engines: &Engine::ALL,
        kind: Kind::Conflict(|conflict| !conflict.is_ours && conflict.was_absent),
        example: &["WATCH k", "SET k v PXAT 1", "MULTI", "EXEC"],
    },
    Known {
        reason: "an engine without versions is watched by stripes of keys: what a neighbour or FLUSHALL does calls a transaction off",
        engines: &[Engine::CExample],
        kind: Kind::Conflict(|conflict| conflict.is_ours),
        example: &["WATCH k", "FLUSHALL", "MULTI", "EXEC"],
    },
    Known {
        reason: "no engine notes when an entry was last used, and OBJECT IDLETIME says so",
        engines: &Engine::ALL,
        kind: Kind::Refusal {
            error: "it lacks times of access",
            applies: |request| named(request, "object"),
        },
        example: &["SET k v", "OBJECT IDLETIME k"],
    },
    Known {
        reason: "OBJECT ENCODING is told from the value as it is; in Redis it also depends on which commands made it",
        engines: &Engine::ALL,
        kind: Kind::Answer(|met| {
            let is = |reply: &Reply, texts: &[&str]| {
                texts.iter().any(|text| reply.text() == Some(text.as_bytes()))
            };
            met.is("object")
                && (is(met.ours, &["embstr"]) && is(met.theirs, &["raw"])
                    || is(met.ours, &["int"]) && is(met.theirs, &["embstr", "raw"]))
        }),
        example: &["SETRANGE k 0 v", "OBJECT ENCODING k"],
    },
    Known {
        reason: "what is refused changes nothing; the HELLO of Redis takes the name before it finds fault with what follows",
        engines: &Engine::ALL,
        kind: Kind::NotSent(|request| {
            named(request, "hello")
                && request.len() > 4
                && request.iter().any(|word| word.eq_ignore_ascii_case(b"SETNAME"))
        }),
        example: &["HELLO 3 SETNAME me nosuch"],
    },
    Known {
        reason: "a key is of 64 KiB at most (key_len_max): it is compared and hashed on an event loop that others wait for",
        engines: &Engine::ALL,
        kind: Kind::Refusal {
            error: "is longer than 65536 bytes",
            applies: |request| request.iter().any(|word| word.len() > 65_536),
        },
        example: &["GET k×65537"],
    },
];

/// Whether a request can set an expiry.
fn sets_expiry(request: &Request) -> bool {
    const ALWAYS: [&str; 6] = ["expire", "pexpire", "expireat", "pexpireat", "setex", "psetex"];
    const OPTIONS: [&[u8]; 4] = [b"EX", b"PX", b"EXAT", b"PXAT"];
    let has_option =
        || request.iter().any(|word| OPTIONS.iter().any(|option| word.eq_ignore_ascii_case(option)));
    ALWAYS.iter().any(|name| named(request, name))
        || (named(request, "set") || named(request, "getex")) && has_option()
}
