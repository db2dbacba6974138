//! Session: what the server remembers of one client between two requests.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::protocol::{Protocol, Requests};
use crate::pubsub::Subscriber;
use crate::server::Tally;

/// What is known of a key that a client watches, as it was then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watched {
    /// Generation of the engine that told the version.
    pub generation: u64,
    /// The entry's version then; 0: there was none.
    pub version: u64,
}

/// A transaction that is being put together.
#[derive(Debug, Default)]
pub struct Transaction {
    /// The requests queued since MULTI.
    pub queue: Requests,
    /// One of them waits when writes do.
    pub writes: bool,
    /// A request was refused when it was queued, so EXEC will refuse all.
    pub broken: bool,
}

/// Which of its requests a client wants to be answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Replies {
    /// All.
    #[default]
    On,
    /// None.
    Off,
    /// Not the next one.
    SkipNext,
    /// Not the one that is carried out.
    Skip,
}

impl Replies {
    /// Whether none is left out, neither now nor next.
    pub(super) fn are_all_sent(self) -> bool {
        self == Self::On
    }

    /// A request begins.
    pub(super) fn begin(&mut self) {
        if *self == Self::SkipNext {
            *self = Self::Skip;
        }
    }

    /// A request is carried out. Whether its reply is left out.
    pub(super) fn end(&mut self) -> bool {
        let muted = *self != Self::On;
        if *self == Self::Skip {
            *self = Self::On;
        }
        muted
    }
}

/// One client's state. Knows nothing of its socket.
#[derive(Debug, Default)]
pub struct Session {
    /// The client's number.
    pub id: u64,
    /// Which protocol it speaks.
    pub protocol: Protocol,
    /// Whether it is on this machine: came over loopback or the Unix socket.
    pub local: bool,
    /// Between MULTI and EXEC.
    pub transaction: Option<Transaction>,
    /// What it watches.
    pub watched: BTreeMap<Vec<u8>, Watched>,
    /// What it listens to.
    pub subscriber: Subscriber,
    /// Full name of its last command.
    pub last_command: &'static str,
    /// Which requests are answered.
    pub replies: Replies,
    /// Where its commands are counted.
    pub tally: Arc<Tally>,
    /// To be closed when its replies are written.
    pub closing: bool,
}

impl Session {
    /// Whether all that it is sent are messages: it subscribed to something, and its protocol cannot tell them from replies.
    pub fn only_listens(&self) -> bool {
        self.protocol == Protocol::Resp2 && self.subscriber.subscribes()
    }
}
