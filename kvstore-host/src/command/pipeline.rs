//! Pipeline: turns a client's requests into work, as many as can go to the engine together, and outcomes into replies.
//!
//! Does no I/O and calls no engine.

mod exclusive;
mod reply;
mod take;
mod transaction;

use super::{Context, KeyspaceTask, Session, engine};
use crate::plugin::live::Live;
use crate::plugin::published::Hold;
use crate::plugin::{Keyspace, Outcomes, Storage, Work};
use crate::protocol::{Encoder, Value};
use crate::server::{Server, add};
pub use exclusive::{Exclusive, Transacted};
pub use reply::{Pending, finish_alone};
use reply::{Planned, Then, finish};
use take::{Alone, Taken, take};

/// Operations that go to the engine in one call at most.
const OPS_MAX: usize = 1024;

/// What is to be done next for a client.
pub enum Step {
    /// Nothing: all requests are answered.
    Idle,
    /// Carry this out, and then let [`Pipeline::finish`] write the replies.
    Work(Work, Pending),
    /// Let this look at the whole keyspace, and then let [`finish_alone`] write its reply.
    Keyspace {
        /// What to do.
        task: Box<dyn KeyspaceTask>,
        /// Whether it changes entries.
        writes: bool,
    },
    /// Hand these arguments of ENGINE to the control thread, and write its reply.
    Engine(Vec<Vec<u8>>),
    /// Hand this transaction to the control thread, which lets it have the engine to itself, and write its replies.
    Exclusive(Exclusive),
    /// The next request is held back: come again later.
    Held,
}

/// The requests of a client that are still to be carried out.
#[derive(Debug, Default)]
pub struct Pipeline {
    input: Storage,
    next: usize,
}

impl Pipeline {
    /// Whether all requests are taken, so that more can be [given](Self::give).
    pub fn is_empty(&self) -> bool {
        self.next >= self.input.requests.len()
    }

    /// Gives requests, after all earlier ones are taken.
    pub fn give(&mut self, input: Storage) {
        debug_assert!(self.is_empty());
        (self.input, self.next) = (input, 0);
    }

    /// Writes the replies of work that is done, and takes the work's memory back.
    pub fn finish(
        &mut self,
        pending: Pending,
        work: Work,
        outcomes: &Outcomes,
        session: &mut Session,
        server: &Server,
        out: &mut Vec<u8>,
    ) {
        if matches!(pending.then, Then::Reply) {
            self.input = work.into_storage();
        }
        self.next -= finish(pending, outcomes, session, server, out);
    }

    /// The storage, to be used again, when all requests are taken.
    pub fn reclaim(&mut self) -> Storage {
        self.next = 0;
        std::mem::take(&mut self.input)
    }

    /// Takes as many requests as go together. What can be answered at once, ahead of all work, goes to `out`.
    pub fn step(
        &mut self,
        session: &mut Session,
        server: &Server,
        live: &Live,
        hold: Hold,
        out: &mut Vec<u8>,
    ) -> Step {
        if self.is_empty() || session.closing {
            return Step::Idle;
        }
        let context = Context::new(server, live.identity());
        let mut taken = self.next;
        let ops_max = OPS_MAX.min(usize::try_from(live.identity().batch_len_max).unwrap_or(usize::MAX));
        let input = std::mem::take(&mut self.input);
        let (work, (planned, stop)) = Work::plan(input, |plan, storage| {
            let mut planned = Vec::new();
            let mut stop = None;
            while let Some(request) = storage.requests.get(taken, &storage.buffer) {
                if session.closing || plan.len() >= ops_max {
                    break;
                }
                let protocol = session.protocol;
                match take(plan, request, session, server, &context, hold) {
                    Taken::Answer(spec, answer) => {
                        // What a command changes of the protocol holds for its own reply already (HELLO).
                        let protocol = if session.protocol == protocol { protocol } else { session.protocol };
                        planned.push(Planned { spec, answer, protocol });
                    }
                    Taken::Last(spec, answer) => {
                        planned.push(Planned { spec, answer, protocol });
                        taken += 1;
                        break;
                    }
                    Taken::Alone(alone) => {
                        stop = Some(alone);
                        break;
                    }
                }
                taken += 1;
            }
            (planned, stop)
        });
        self.next = taken;
        if !work.ops().is_empty() {
            return Step::Work(work, Pending { planned, then: Then::Reply });
        }
        let nothing = Outcomes::default();
        for one in &planned {
            one.reply(&nothing, session, server, &mut Encoder::new(out, one.protocol));
        }
        self.input = work.into_storage();
        match stop {
            None => Step::Idle,
            Some(Alone::NotNow) => Step::Held,
            Some(alone) => {
                self.next += 1;
                self.alone(alone, session, server, live, &context, out)
            }
        }
    }

    /// Takes one request that nothing else goes together with.
    fn alone(
        &self,
        alone: Alone,
        session: &mut Session,
        server: &Server,
        live: &Live,
        context: &Context<'_>,
        out: &mut Vec<u8>,
    ) -> Step {
        let Some(request) = self.input.requests.get(self.next - 1, &self.input.buffer) else {
            return Step::Idle;
        };
        let mut say = |value: Value| {
            add(&server.stats.commands, 1);
            value.write(&mut Encoder::new(out, session.protocol));
        };
        match alone {
            Alone::NotNow => {}
            Alone::Keyspace(task, writes) => return Step::Keyspace { task, writes },
            Alone::Engine => match engine::args(session, request) {
                Ok(args) => return Step::Engine(args),
                Err(error) => say(error.into()),
            },
            Alone::Watch => match transaction::watch(request, live) {
                Ok(step) => return step,
                Err(error) => say(error.into()),
            },
            Alone::Exec => return transaction::exec(session, server, live, context, out),
        }
        // Answered: what follows can go on.
        Step::Idle
    }
}
