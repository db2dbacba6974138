//! Pipeline: turns a client's requests into work, as many as can go to the engine together, and outcomes into replies.
//!
//! Does no I/O and calls no engine.

mod account;
mod exclusive;
mod quick;
mod reply;
mod take;
mod transaction;

use super::{Context, KeyspaceTask, Session, Spec, engine};
use crate::plugin::holding::Hold;
use crate::plugin::live::Live;
use crate::plugin::{Keyspace, Outcomes, Storage, Work};
use crate::protocol::{Encoder, Reply, Value};
use crate::server::Server;
use exclusive::Part;
pub use exclusive::{Exclusive, Transacted};
use quick::Quick;
pub use reply::{Pending, Replier};
use reply::{Planned, Replies, Then, keep_first, requests_of};
#[cfg(test)]
pub(super) use take::plan_checked;
use take::{Alone, Taken, take};

/// Operations that go to the engine in one call at most.
const OPS_MAX: usize = 1024;

/// Kinds of requests, one after the other, for which memory is kept.
const PLANNED_KEPT_MAX: usize = 1024;

/// What is to be done next for a client.
pub enum Step {
    /// Nothing: all requests are answered.
    Idle,
    /// Carry this out, and then let [`Pipeline::finish`] write the replies.
    Work(Work, Pending),
    /// Let this look at the whole keyspace, and then let [`Pipeline::finish_alone`] write its reply.
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
    /// The next request waits until the pause of clients ends.
    Paused,
}

/// Memory that pipelines use in turns.
#[derive(Default)]
pub struct Spare {
    /// For requests.
    pub storage: Storage,
    planned: Vec<Planned>,
}

/// The requests of a client that are still to be carried out.
#[derive(Default)]
pub struct Pipeline {
    input: Storage,
    next: usize,
    /// Empty: memory for what is planned next.
    planned: Vec<Planned>,
    /// When the batch began that is under way, on the server's clock.
    began_ns: u64,
    /// The request that runs by itself.
    alone: Option<Single>,
}

/// A request that runs by itself.
#[derive(Debug)]
struct Single {
    spec: &'static Spec,
    muted: bool,
}

impl Pipeline {
    /// Whether all requests are taken, so that more can be [given](Self::give).
    pub fn is_empty(&self) -> bool {
        self.next >= self.input.requests.len()
    }

    /// Number of the command that runs by itself, if one does.
    pub fn command(&self) -> Option<usize> {
        self.alone.as_ref().map(|single| single.spec.number.get())
    }

    /// Gives requests, after all earlier ones are taken.
    pub fn give(&mut self, input: Storage) {
        debug_assert!(self.is_empty());
        (self.input, self.next) = (input, 0);
    }

    /// Borrows memory, while it has no requests.
    pub fn borrow(&mut self, spare: Spare) {
        debug_assert!(self.is_empty());
        (self.input, self.planned) = (spare.storage, spare.planned);
    }

    /// Gives it back, while it has no requests.
    pub fn give_back(&mut self) -> Spare {
        Spare { storage: self.reclaim(), planned: std::mem::take(&mut self.planned) }
    }

    /// Writes the replies of work that is done, which took `time_ns`, and takes the work's memory back.
    #[allow(clippy::too_many_arguments, reason = "what was carried out, and where its replies go")]
    pub fn finish(
        &mut self,
        pending: Pending,
        work: Work,
        outcomes: &Outcomes,
        time_ns: u64,
        session: &mut Session,
        server: &Server,
        out: &mut Vec<u8>,
    ) {
        let Pending { mut planned, then, mut replies } = pending;
        match then {
            Then::Reply => {
                replies.write_rest(&planned, &work, outcomes, session, server, out);
                let requests = requests_of(&planned);
                let first = self.next - requests;
                self.input = work.into_storage();
                if replies.count < requests {
                    // What is deferred, and all behind it, is carried out again.
                    self.next = first + replies.count;
                    keep_first(&mut planned, replies.count);
                }
                account::note(time_ns, &planned, &replies, (&self.input, first), session, server);
                self.keep(planned);
            }
            Then::Watch { keys, generation } => {
                let value = transaction::watched(keys, generation, outcomes, session);
                self.finish_alone(&value, session, server, out);
            }
            Then::Exec { checks } => {
                if let Some(value) = transaction::refusal(checks, outcomes) {
                    return self.finish_alone(&value, session, server, out);
                }
                let start = out.len();
                Encoder::new(out, session.protocol).array(requests_of(&planned));
                let replies = Replies::of_all(&planned, &work, outcomes, session, server, out);
                let storage = work.into_storage();
                account::note(time_ns, &planned, &replies, (&storage, 0), session, server);
                self.end_alone(start, session, server, out);
            }
        }
    }

    /// Writes the replies of a transaction that had the engine to itself.
    pub fn finish_exclusive(
        &mut self,
        done: Transacted,
        session: &mut Session,
        server: &Server,
        out: &mut Vec<u8>,
    ) {
        match done {
            Transacted::Conflict => self.finish_alone(&Value::NullArray, session, server, out),
            Transacted::Failed(text) => self.finish_alone(&Value::error(text), session, server, out),
            Transacted::Done(parts) => {
                let start = out.len();
                Encoder::new(out, session.protocol)
                    .array(parts.iter().map(|part| requests_of(&part.planned)).sum());
                for Part { planned, work, outcomes, time_ns } in parts {
                    let replies = Replies::of_all(&planned, &work, &outcomes, session, server, out);
                    account::note(time_ns, &planned, &replies, (work.source(), 0), session, server);
                }
                self.end_alone(start, session, server, out);
            }
        }
    }

    /// Writes the reply of a request that ran by itself.
    pub fn finish_alone(&mut self, value: &Value, session: &Session, server: &Server, out: &mut Vec<u8>) {
        let start = out.len();
        value.write(&mut Encoder::new(out, session.protocol));
        self.end_alone(start, session, server, out);
    }

    /// Ends a request that ran by itself and whose reply is written, from `start` on.
    fn end_alone(&mut self, start: usize, session: &Session, server: &Server, out: &mut Vec<u8>) {
        let Some(Single { spec, muted }) = self.alone.take() else { return };
        let request = self.input.requests.get(self.next.saturating_sub(1), &self.input.buffer);
        account::note_alone(self.time_ns(server), spec, request, session, server);
        if account::note_error(out.get(start..).unwrap_or_default(), server) {
            session.tally.open().of(spec.number.get()).failed += 1;
        }
        if muted {
            out.truncate(start);
        }
    }

    /// Keeps the memory of what is answered.
    fn keep(&mut self, mut planned: Vec<Planned>) {
        planned.clear();
        planned.shrink_to(PLANNED_KEPT_MAX);
        self.planned = planned;
    }

    /// How long the batch has taken that is under way, in nanoseconds.
    pub fn time_ns(&self, server: &Server) -> u64 {
        server.clock.monotonic_ns().saturating_sub(self.began_ns)
    }

    /// Memory of the requests that it has, or keeps for more, in bytes.
    pub fn memory_size_bytes(&self) -> usize {
        self.input.buffer.capacity() + self.input.requests.memory_size_bytes()
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
        self.began_ns = server.clock.monotonic_ns();
        let first = self.next;
        let mut taken = first;
        let ops_max = OPS_MAX.min(usize::try_from(live.identity().batch_len_max).unwrap_or(usize::MAX));
        let (input, spare) = (std::mem::take(&mut self.input), std::mem::take(&mut self.planned));
        let (work, (planned, stop)) = Work::plan(input, |plan, storage| {
            plan.tell_new(server.pubsub.classes.tells_new());
            plan.at(context.now_ms);
            let mut planned = spare;
            let mut stop = Stop::End;
            let mut quick = Quick::of(session, server, hold);
            let mut requests = storage.requests.iter_from(taken, &storage.buffer);
            while !session.closing
                && plan.len() < ops_max
                && let Some(request) = requests.next()
            {
                if let Some(quick) = &mut quick
                    && quick.take(plan, request, session, &context, &mut planned)
                {
                    taken += 1;
                    continue;
                }
                let protocol = session.protocol;
                let replies = session.replies;
                session.replies.begin();
                let (spec, answer, last) = match take(plan, request, session, server, &context, hold) {
                    Taken::Answer(spec, answer) => (spec, answer, false),
                    Taken::Last(spec, answer) => (spec, answer, true),
                    Taken::NotNow => {
                        session.replies = replies;
                        stop = Stop::Held;
                        break;
                    }
                    Taken::Paused => {
                        session.replies = replies;
                        stop = Stop::Paused;
                        break;
                    }
                    Taken::Alone(spec, alone) => {
                        let muted = session.replies.end() && !alone.is_always_answered(spec);
                        stop = Stop::Alone(alone, Single { spec, muted });
                        taken += 1;
                        break;
                    }
                };
                // What a command changes of the protocol holds for its own reply already (HELLO).
                let protocol = Some(if last { protocol } else { session.protocol });
                planned.push(Planned { spec, answer, protocol, muted: session.replies.end(), count: 1 });
                taken += 1;
                if last {
                    break;
                }
                quick = Quick::of(session, server, hold);
            }
            (planned, stop)
        });
        self.next = taken;
        if !work.ops().is_empty() {
            return Step::Work(work, Pending { planned, then: Then::Reply, replies: Replies::default() });
        }
        let nothing = Outcomes::default();
        let replies = Replies::of_all(&planned, &work, &nothing, session, server, out);
        self.input = work.into_storage();
        if !planned.is_empty() {
            account::note(self.time_ns(server), &planned, &replies, (&self.input, first), session, server);
        }
        self.keep(planned);
        match stop {
            Stop::End => Step::Idle,
            Stop::Held => Step::Held,
            Stop::Paused => Step::Paused,
            Stop::Alone(alone, single) => {
                self.began_ns = server.clock.monotonic_ns();
                self.alone = Some(single);
                self.run_alone(alone, session, server, live, &context, out)
            }
        }
    }

    /// Takes one request that nothing else goes together with.
    fn run_alone(
        &mut self,
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
        let planned = match alone {
            Alone::Keyspace(task, writes) => return Step::Keyspace { task, writes },
            Alone::Engine => match engine::args(session, request) {
                Ok(args) => return Step::Engine(args),
                Err(error) => Err(error.into()),
            },
            Alone::Watch => transaction::watch(request, live).map_err(Value::from),
            Alone::Exec => transaction::exec(session, server, live, context),
            Alone::Listen(run) => {
                let start = out.len();
                run(session, server, request, &mut Encoder::new(out, session.protocol));
                self.end_alone(start, session, server, out);
                return Step::Idle;
            }
        };
        match planned {
            Ok(Step::Work(work, pending)) if work.ops().is_empty() => {
                let time_ns = self.time_ns(server);
                self.finish(pending, work, &Outcomes::default(), time_ns, session, server, out);
            }
            Ok(step) => return step,
            Err(value) => self.finish_alone(&value, session, server, out),
        }
        // Answered: what follows can go on.
        Step::Idle
    }
}

/// Why no more requests were taken.
enum Stop {
    /// There is none, or there are enough.
    End,
    /// The next one has to wait.
    Held,
    /// The next one has to wait until the pause of clients ends.
    Paused,
    /// The last one runs by itself.
    Alone(Alone, Single),
}
