//! Command: what each command does, blind to the protocol and to the engine at hand.
//!
//! One command, or a small family, is one file: parse, plan, reply. [`table`] is the only place that lists them.

mod append;
mod bit;
mod client;
mod config;
mod connection;
mod container;
mod copy;
mod cursor;
mod dbsize;
mod del;
mod delifeq;
mod engine;
mod error;
mod expire;
mod expiry;
mod get;
mod getex;
mod hello;
mod incr;
mod incrbyfloat;
mod info;
mod introspect;
mod keys;
mod latency;
mod lcs;
mod link;
mod memory;
mod mget;
mod module;
mod monitor;
mod mset;
mod msetnx;
mod object;
mod persist;
pub mod pipeline;
mod publish;
mod pubsub;
mod randomkey;
mod range;
mod rename;
mod replication;
mod save;
mod scan;
mod session;
mod set;
mod shutdown;
mod slowlog;
mod subscribe;
mod syntax;
pub mod table;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod told;
mod ttl;

use std::sync::atomic::{AtomicUsize, Ordering};

use plugin_abi::Identity;
use plugin_abi::raw::KV_CAP_EXPIRY;

pub use config::set_parameter;
pub use cursor::Cursors;
pub use error::Error;
pub use session::{Replies, Session, Transaction, Watched};

use crate::plugin::{Answers, Keyspace, Plan};
use crate::protocol::{Reply, Request, Value};
use crate::server::Server;

/// Where a command's keys are among its arguments, as `COMMAND` tells it: first, last (negative: from the end) and step; all 0: it has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keys(pub i32, pub i32, pub i32);

impl Keys {
    /// No keys.
    pub const NO_KEYS: Self = Self(0, 0, 0);
    /// One, the first argument.
    pub const ONE: Self = Self(1, 1, 1);
    /// Two, the first and the second argument.
    pub const TWO: Self = Self(1, 2, 1);
    /// One, the first argument of a subcommand.
    pub const OF_SUBCOMMAND: Self = Self(2, 2, 1);
    /// All arguments.
    pub const ALL: Self = Self(1, -1, 1);
    /// Every other argument; the others are values.
    pub const PAIRS: Self = Self(1, -1, 2);
}

/// All that is said about a command, in one place.
#[derive(Debug)]
pub struct Spec {
    /// Its name, in lower case.
    pub name: &'static str,
    /// The same; of a subcommand behind its command's name and a bar: `client|id`.
    pub full_name: &'static str,
    /// How many arguments it takes, its name included; negative: at least so many.
    pub arity: i32,
    /// Flags as `COMMAND` tells them: `write`, `readonly`, `fast` …
    pub flags: &'static [&'static str],
    /// Whether it can change an entry: one of the flags.
    writes: bool,
    /// Where its keys are.
    pub keys: Keys,
    /// What it does with them, in the words of Redis' key specifications: one row for each key, or one for all; none: see [`Spec::access`].
    access: &'static [&'static [&'static str]],
    /// Categories of access rules (`@` is left out) beside those that follow from its flags.
    pub categories: &'static [&'static str],
    /// Group as `COMMAND DOCS` tells it: `string`, `generic`, `connection` …
    pub group: &'static str,
    /// Since which version of Redis; of kvstore for its own commands.
    pub since: &'static str,
    /// One sentence.
    pub summary: &'static str,
    /// What stands behind its name, as in Redis' manual: `key value [NX|XX] [EX seconds]`. A word in capitals is itself, others are placeholders,
    /// `[…]` may be missing, `|` is one of, `[x ...]` is more of the same. Empty: nothing, or a subcommand.
    pub syntax: &'static str,
    /// What carries it out.
    pub handler: Handler,
    /// What may stand as its second argument; empty: anything.
    pub subcommands: &'static [Spec],
    /// By which its calls are counted.
    pub number: &'static Number,
}

/// A number that no other command has, given when it is first asked for.
#[derive(Debug)]
pub struct Number(AtomicUsize);

impl Number {
    const fn new() -> Self {
        Self(AtomicUsize::new(0))
    }

    /// The number: 0, 1, 2 …
    pub fn get(&self) -> usize {
        match self.0.load(Ordering::Relaxed) {
            0 => self.give(),
            number => number - 1,
        }
    }

    fn give(&self) -> usize {
        static GIVEN: AtomicUsize = AtomicUsize::new(0);
        let new = GIVEN.fetch_add(1, Ordering::Relaxed) + 1;
        // Where another thread was faster, its number holds and this one stays unused.
        self.0
            .compare_exchange(0, new, Ordering::Relaxed, Ordering::Relaxed)
            .map_or_else(|given| given, |_| new)
            - 1
    }
}

impl Spec {
    /// The keys in a request of this command.
    pub fn keys_of<'a>(&self, request: Request<'a>) -> impl Iterator<Item = &'a [u8]> + 'a {
        let Keys(first, last, step) = self.keys;
        let place = |place: i32| match usize::try_from(place) {
            Ok(place) => place,
            Err(_) => request.len().saturating_sub(place.unsigned_abs() as usize),
        };
        let (first, last) = (place(first), place(last));
        let count = if self.keys == Keys::NO_KEYS { 0 } else { (last + 1).saturating_sub(first) };
        request.skip(first).iter().take(count).step_by(place(step).max(1))
    }

    /// What it does with its key number `index` (0, 1 …), in the words of Redis' key specifications: `RO`, `RW`, `OW` or `RM` says whether
    /// the key's entry is read, changed, overwritten or removed; `access`, `update`, `insert` and `delete` what becomes of its value.
    pub fn access(&self, index: usize) -> &'static [&'static str] {
        match self.access.get(index).or(self.access.last()) {
            Some(access) => access,
            None if self.writes() => &["RW", "access", "update"],
            None => &["RO", "access"],
        }
    }

    /// Whether its keys are told one by one: they are used in different ways.
    pub fn keys_differ(&self) -> bool {
        self.access.len() > 1
    }

    /// Refuses a wrong number of arguments.
    ///
    /// # Errors
    /// In Redis' words.
    pub fn check_arity(&self, request: Request<'_>) -> Result<(), Error> {
        let fits = match usize::try_from(self.arity) {
            Ok(exactly) => request.len() == exactly,
            Err(_) => request.len() >= self.arity.unsigned_abs() as usize,
        };
        if fits { Ok(()) } else { Err(Error::arity(self.full_name)) }
    }

    /// Its subcommand of that name, in any case.
    pub fn subcommand(&self, name: &[u8]) -> Option<&'static Self> {
        self.subcommands.iter().find(|spec| spec.name.as_bytes().eq_ignore_ascii_case(name))
    }

    /// Whether it can change an entry.
    pub fn writes(&self) -> bool {
        self.writes
    }

    /// Whether a pause of writes holds it back: it can change an entry, or is a message, which Redis sends on to replicas as it does writes.
    pub fn waits_with_writes(&self) -> bool {
        self.writes() || matches!(self.name, "publish" | "spublish")
    }
}

/// Writes the reply to one request from what came of its operations.
pub enum ReplyFn {
    /// The value that its operation has read, or that there is none.
    Value,
    /// `OK`.
    Ok,
    /// What its update decided last; of several updates, which are linked, the last one.
    Updated,
    /// Anything else.
    Other(Box<OtherReplyFn>),
}

/// See [`ReplyFn::Other`].
type OtherReplyFn = dyn Fn(Answers<'_>, &mut dyn Reply) + Send;

impl ReplyFn {
    /// Writes it by this function. One that remembers nothing of the request costs no memory.
    pub fn new(write: impl Fn(Answers<'_>, &mut dyn Reply) + Send + 'static) -> Self {
        Self::Other(Box::new(write))
    }

    /// Whether what it writes depends on the operations alone, and in the same way as that of another one.
    #[inline]
    pub fn is_the_same(&self, other: &Self) -> bool {
        matches!(
            (self, other),
            (Self::Value, Self::Value) | (Self::Ok, Self::Ok) | (Self::Updated, Self::Updated)
        )
    }

    /// Writes the reply. No operation has failed.
    pub fn write(&self, answers: Answers<'_>, reply: &mut dyn Reply) {
        match self {
            Self::Value => match answers.value(0) {
                Some(value) => reply.bulk(value),
                None => reply.null(),
            },
            Self::Ok => reply.ok(),
            Self::Updated => match answers.all().last().and_then(|outcome| outcome.reply.as_ref()) {
                Some(value) => value.write(reply),
                None => reply.null(),
            },
            Self::Other(write) => write(answers, reply),
        }
    }
}

/// Plans the operations of one request.
pub type PlanFn = for<'a> fn(&mut Plan<'a>, Request<'a>, &Context<'_>) -> Result<ReplyFn, Error>;

/// Answers a request that is about the connection or the server.
pub type SessionFn = fn(&mut Session, &Server, Request<'_>) -> Result<Value, Error>;

/// What carries a command out.
#[derive(Clone, Copy, Debug)]
pub enum Handler {
    /// Reads or writes entries: becomes operations, which go to the engine together with those of its neighbours.
    Data(PlanFn),
    /// Is about the connection or the server: answered at once.
    Session(SessionFn),
    /// Changes what the client is sent without asking: runs alone, since its reply says where that begins or ends.
    Listen(ListenFn),
    /// Is about the whole keyspace: runs alone, and on another thread where the engine blocks. A transaction with one in it
    /// has the engine to itself.
    Keyspace {
        /// Parses the request.
        parse: fn(Request<'_>) -> Result<Box<dyn KeyspaceTask>, Error>,
        /// Whether it changes entries.
        writes: bool,
    },
    /// MULTI, EXEC, DISCARD, WATCH and UNWATCH: see [`pipeline`].
    Transaction,
    /// Nothing: one of its subcommands has to be named.
    Container,
    /// ENGINE: goes to the control thread. Only for clients of the same machine.
    Engine,
}

/// Carries out a command that changes what the client is sent without asking. It may reply any number of times.
pub type ListenFn = fn(&mut Session, &Server, Request<'_>, &mut dyn Reply);

/// A parsed command about the whole keyspace.
pub trait KeyspaceTask: Send {
    /// Whether it may block even where the engine does not, so that it has to run on another thread.
    fn blocks(&self) -> bool {
        false
    }

    /// Carries it out.
    fn run(&self, keyspace: &dyn Keyspace, server: &Server) -> Value;
}

/// What planning needs to know.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The time, in milliseconds since 1970 UTC.
    pub now_ms: i64,
    /// The live engine.
    pub engine: &'a Identity,
    /// Longest key in bytes.
    pub key_len_max: usize,
    /// Longest value in bytes.
    pub value_len_max: usize,
}

impl<'a> Context<'a> {
    /// The context of this moment.
    pub fn new(server: &Server, engine: &'a Identity) -> Self {
        let limit = |ours: usize, theirs: u64| ours.min(usize::try_from(theirs).unwrap_or(usize::MAX));
        Self {
            now_ms: server.clock.now_ms(),
            engine,
            key_len_max: limit(server.settings.key_len_max.load(Ordering::Relaxed), engine.key_len_max),
            value_len_max: limit(server.settings.value_len_max.load(Ordering::Relaxed), engine.value_len_max),
        }
    }

    /// Refuses a command that sets an expiry where the engine has none.
    ///
    /// # Errors
    /// Names the engine and the missing capability.
    pub fn require_expiry(&self) -> Result<(), Error> {
        if self.engine.has(KV_CAP_EXPIRY) { Ok(()) } else { Err(Error::lacks(self.engine, "EXPIRY")) }
    }
}
