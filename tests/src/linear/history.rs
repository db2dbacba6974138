//! History: operations on keys, what came back, and when; no judgement.

use std::fmt;

/// A key, any bytes.
pub type Key = Vec<u8>;

/// One operation on one key. Every key starts absent.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Op {
    /// Reads the value: [`Outcome::Value`].
    Get,
    /// Writes the value, whatever was there: [`Outcome::Done`].
    Set(Vec<u8>),
    /// Writes the value if the key is absent: [`Outcome::Flag`], true when written.
    SetNx(Vec<u8>),
    /// Adds to the decimal integer in the value, an absent key counting as 0: [`Outcome::Int`] with the sum, or
    /// [`Outcome::NotAnInteger`] or [`Outcome::WouldOverflow`] without effect.
    Incr(i64),
    /// Removes the key: [`Outcome::Flag`], true when it was there.
    Del,
    /// Reads the value and removes the key: [`Outcome::Value`].
    GetDel,
    /// Puts bytes behind the value, an absent key counting as empty: [`Outcome::Int`] with the new length in bytes.
    ///
    /// The checker keeps each distinct value that it meets, so thousands of appends without a delete cost memory that
    /// grows with the square of their number.
    Append(Vec<u8>),
}

/// What came back for an operation.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Done, with nothing to tell.
    Done,
    /// The value found, or `None` for an absent key.
    Value(Option<Vec<u8>>),
    /// Yes or no.
    Flag(bool),
    /// A number.
    Int(i64),
    /// Refused because the value is not a decimal integer of 64 bits. A definite reply: it must agree with the state.
    NotAnInteger,
    /// Refused because the sum does not fit 64 bits. A definite reply: it must agree with the state.
    WouldOverflow,
    /// One outcome for each operation of a transaction, in their order.
    Multi(Vec<Outcome>),
    /// An error that promises that nothing was changed, now or later, and tells nothing about the state (a request
    /// that was never sent, a transaction called off): the operation is left out of the check.
    Failed,
    /// No answer (connection lost, time-out): the operation may have taken effect, may do so at any later time, or
    /// never. As a part of [`Outcome::Multi`]: this operation took effect with the others, its reply is not known.
    Unknown,
}

/// What a client asked for: one operation, or several as one atomic step.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Call {
    /// One operation on one key.
    One((Key, Op)),
    /// A transaction: all its operations in their order, nothing in between. May name a key more than once.
    Multi(Vec<(Key, Op)>),
}

impl Call {
    /// The operations with their keys; exactly one for [`Call::One`].
    pub fn parts(&self) -> &[(Key, Op)] {
        match self {
            Call::One(part) => std::slice::from_ref(part),
            Call::Multi(parts) => parts,
        }
    }
}

/// One operation or transaction of one client, from its invocation to its reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Which client; only for people who read a report.
    pub client: u32,
    /// What was asked for.
    pub call: Call,
    /// When it was asked for, in nanoseconds since the origin of the history.
    pub invoked_ns: u64,
    /// When the reply came, in nanoseconds since the origin, and the reply. `None`: it never came, the operation is open
    /// for ever.
    pub reply: Option<(u64, Outcome)>,
}

/// What some clients did to one store. Times of all entries come from one clock.
///
/// Two entries are ordered when the reply of one is earlier than the invocation of the other; equal times leave them
/// concurrent, since a clock that shows the same reading twice does not tell which was first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History {
    entries: Vec<Entry>,
}

/// An entry that no clock can have produced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HistoryError {
    /// The reply is earlier than the invocation, both in nanoseconds.
    ReplyBeforeInvocation {
        /// Time of the invocation.
        invoked_ns: u64,
        /// Time of the reply.
        completed_ns: u64,
    },
}

impl fmt::Display for HistoryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let HistoryError::ReplyBeforeInvocation { invoked_ns, completed_ns } = self;
        write!(f, "an operation invoked at {invoked_ns} ns cannot have its reply at {completed_ns} ns")
    }
}

impl std::error::Error for HistoryError {}

impl History {
    /// A history in which nothing has happened.
    pub fn new() -> History {
        History::default()
    }

    /// Adds an entry; the order of additions means nothing. An entry with the reply [`Outcome::Unknown`] counts as one
    /// without reply.
    ///
    /// # Errors
    ///
    /// [`HistoryError::ReplyBeforeInvocation`]; the entry is not added.
    pub fn push(&mut self, mut entry: Entry) -> Result<(), HistoryError> {
        match entry.reply {
            Some((completed_ns, _)) if completed_ns < entry.invoked_ns => {
                return Err(HistoryError::ReplyBeforeInvocation {
                    invoked_ns: entry.invoked_ns,
                    completed_ns,
                });
            }
            Some((_, Outcome::Unknown)) => entry.reply = None,
            _ => {}
        }
        self.entries.push(entry);
        Ok(())
    }

    /// All entries, in no particular order.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing happened.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How many entries have no reply.
    pub fn open_len(&self) -> usize {
        self.entries.iter().filter(|entry| entry.reply.is_none()).count()
    }

    /// Takes over entries that are known to be in order in themselves, as the recorder's are.
    pub(super) fn from_recorded(entries: Vec<Entry>) -> History {
        History { entries }
    }
}
