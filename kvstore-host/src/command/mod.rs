//! Command: what each command does, blind to the protocol and to the engine at hand.
//!
//! One command, or a small family, is one file: parse, plan, reply. [`table`] is the only place that lists them.

mod error;
mod get;
mod incr;
pub mod pipeline;
mod session;
pub mod table;

use std::sync::atomic::Ordering;

use plugin_abi::Identity;
use plugin_abi::raw::KV_CAP_EXPIRY;

pub use error::Error;
pub use session::{Session, Transaction, Watched};

use crate::plugin::{Answers, Keyspace, Plan};
use crate::protocol::{Reply, Request, Value};
use crate::server::Server;

/// Where a command's keys are among its arguments, as `COMMAND` tells it: first, last (negative: from the end) and step; all 0: it has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keys(pub i32, pub i32, pub i32);

/// All that is said about a command, in one place.
#[derive(Debug)]
pub struct Spec {
    /// Its name, in lower case.
    pub name: &'static str,
    /// How many arguments it takes, its name included; negative: at least so many.
    pub arity: i32,
    /// Flags as `COMMAND` tells them: `write`, `readonly`, `fast` …
    pub flags: &'static [&'static str],
    /// Where its keys are.
    pub keys: Keys,
    /// Group as `COMMAND DOCS` tells it: `string`, `generic`, `connection` …
    pub group: &'static str,
    /// Since which version of Redis; of kvstore for its own commands.
    pub since: &'static str,
    /// One sentence.
    pub summary: &'static str,
    /// What carries it out.
    pub handler: Handler,
}

/// Writes the reply to one request from what came of its operations.
pub type ReplyFn = fn(Answers<'_>, &mut dyn Reply);

/// Plans the operations of one request.
pub type PlanFn = for<'a> fn(&mut Plan<'a>, Request<'a>, &Context<'_>) -> Result<ReplyFn, Error>;

/// What carries a command out.
#[derive(Clone, Copy, Debug)]
pub enum Handler {
    /// Reads or writes entries: becomes operations, which go to the engine together with those of its neighbours.
    Data(PlanFn),
    /// Is about the connection or the server: answered at once.
    Session(fn(&mut Session, &Server, Request<'_>) -> Result<Value, Error>),
    /// Is about the whole keyspace: runs alone, and on another thread where the engine blocks. Not allowed in a transaction.
    Keyspace {
        /// Parses the request.
        parse: fn(Request<'_>) -> Result<Box<dyn KeyspaceTask>, Error>,
        /// Whether it changes entries.
        writes: bool,
    },
    /// MULTI, EXEC, DISCARD, WATCH and UNWATCH: see [`pipeline`].
    Transaction,
    /// ENGINE: goes to the control thread. Only for clients of the same machine.
    Engine,
}

/// A parsed command about the whole keyspace.
pub trait KeyspaceTask: Send {
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

/// The reply to a request of one update: what the update decided last.
pub(crate) fn updated(answers: Answers<'_>, reply: &mut dyn Reply) {
    match answers.all().first().and_then(|outcome| outcome.reply.as_ref()) {
        Some(value) => value.write(reply),
        None => reply.null(),
    }
}
