//! Pipeline: turns a client's requests into work, as many as can go to the engine together, and outcomes into replies.
//!
//! Also what stands above single commands: MULTI, EXEC, DISCARD, WATCH and UNWATCH. Does no I/O and calls no engine.

use std::ops::Range;

use super::{Context, Error, Handler, KeyspaceTask, ReplyFn, Session, Spec, Transaction, Watched, table};
use crate::plugin::live::Live;
use crate::plugin::{Keyspace, Outcomes, Plan, Storage, Work};
use crate::protocol::{Encoder, Protocol, Reply, Request, Value};
use crate::server::{Server, add};

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
    /// The next request writes, and writes are held back: come again later.
    Held,
}

/// What has to be known to write the replies when work is done.
pub struct Pending {
    planned: Vec<Planned>,
    then: Then,
}

/// One request, understood.
struct Planned {
    spec: Option<&'static Spec>,
    answer: Answer,
    protocol: Protocol,
}

enum Answer {
    Ready(Value),
    Ops(Range<usize>, ReplyFn),
}

enum Then {
    /// Write the replies one after the other.
    Reply,
    /// Write them as one array, if the first operations, which check watched keys, allow it.
    Exec { checks: usize },
    /// Watch these keys.
    Watch { keys: Vec<Vec<u8>>, generation: u64 },
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
    ///
    /// `held`: writes are held back.
    pub fn step(
        &mut self,
        session: &mut Session,
        server: &Server,
        live: &Live,
        held: bool,
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
                match take(plan, request, session, server, &context, held) {
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
            one.reply(&nothing, server, &mut Encoder::new(out, one.protocol));
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
            Alone::Engine => match engine_args(session, request) {
                Ok(args) => return Step::Engine(args),
                Err(error) => say(error.into()),
            },
            Alone::Watch => match watch(request, live) {
                Ok(step) => return step,
                Err(error) => say(error.into()),
            },
            Alone::Exec => return exec(session, server, live, context, out),
        }
        // Answered: what follows can go on.
        Step::Idle
    }
}

/// A request that runs by itself.
enum Alone {
    /// After what was planned before it; or, if that is nothing, when writes are no longer held back.
    NotNow,
    Keyspace(Box<dyn KeyspaceTask>, bool),
    Engine,
    Watch,
    Exec,
}

enum Taken {
    /// Planned or answered.
    Answer(Option<&'static Spec>, Answer),
    /// Planned, and nothing else may go to the engine with it.
    Last(Option<&'static Spec>, Answer),
    /// Not planned.
    Alone(Alone),
}

fn ready(spec: Option<&'static Spec>, value: impl Into<Value>) -> Taken {
    Taken::Answer(spec, Answer::Ready(value.into()))
}

/// Understands one request: plans its operations, answers it, queues it, or says that it has to run alone.
fn take<'a>(
    plan: &mut Plan<'a>,
    request: Request<'a>,
    session: &mut Session,
    server: &Server,
    context: &Context<'_>,
    held: bool,
) -> Taken {
    let refuse = |session: &mut Session, spec, error: Error| {
        if let Some(transaction) = &mut session.transaction {
            transaction.broken = true;
        }
        ready(spec, error)
    };
    let Some(spec) = table::find(request.name()) else {
        return refuse(session, None, super::error::unknown(request));
    };
    // A read that is put off is carried out again with all that stands behind it: only reads can be.
    let is_read = matches!(spec.handler, Handler::Data(_)) && !spec.writes();
    if plan.may_defer() && !is_read {
        return Taken::Alone(Alone::NotNow);
    }
    if let Err(error) = spec.check_arity(request) {
        return refuse(session, Some(spec), error);
    }
    let alone = |alone| {
        if !plan.is_empty() {
            return Taken::Alone(Alone::NotNow);
        }
        spec.count_call();
        Taken::Alone(alone)
    };
    session.last_command = spec.name;
    if session.transaction.is_some() && !matches!(spec.name, "exec" | "discard" | "multi" | "quit" | "reset")
    {
        return queue(session, spec, request);
    }
    match spec.handler {
        Handler::Data(_) if held && spec.writes() => Taken::Alone(Alone::NotNow),
        Handler::Data(planner) => match plan_checked(plan, request, planner, context) {
            // To others, a command on several keys happens at one moment, and fails as a whole.
            Ok((ops, _)) if ops.len() > 1 && ops.start > 0 => {
                plan.truncate(ops.start);
                Taken::Alone(Alone::NotNow)
            }
            Ok((ops, reply)) if ops.len() > 1 => {
                plan.set_atomic();
                Taken::Last(Some(spec), Answer::Ops(ops, reply))
            }
            Ok((ops, reply)) => {
                plan.end_request();
                Taken::Answer(Some(spec), Answer::Ops(ops, reply))
            }
            Err(error) => ready(Some(spec), error),
        },
        Handler::Session(answer) => match answer(session, server, request) {
            Ok(value) => ready(Some(spec), value),
            Err(error) => ready(Some(spec), error),
        },
        Handler::Keyspace { writes: true, .. } if held => Taken::Alone(Alone::NotNow),
        Handler::Keyspace { parse, writes } => match parse(request) {
            Ok(task) => alone(Alone::Keyspace(task, writes)),
            Err(error) => ready(Some(spec), error),
        },
        Handler::Engine => alone(Alone::Engine),
        Handler::Transaction => match spec.name {
            "exec" if held => Taken::Alone(Alone::NotNow),
            "exec" => alone(Alone::Exec),
            "watch" => alone(Alone::Watch),
            "unwatch" => {
                session.watched.clear();
                ready(Some(spec), Value::Ok)
            }
            "discard" => match session.transaction.take() {
                Some(_) => {
                    session.watched.clear();
                    ready(Some(spec), Value::Ok)
                }
                None => ready(Some(spec), Error::new("ERR DISCARD without MULTI")),
            },
            _ if session.transaction.is_some() => {
                ready(Some(spec), Error::new("ERR MULTI calls can not be nested"))
            }
            _ => {
                session.transaction = Some(Transaction::default());
                ready(Some(spec), Value::Ok)
            }
        },
    }
}

/// Plans a request, and takes its operations back when one of them is beyond a limit.
fn plan_checked<'a>(
    plan: &mut Plan<'a>,
    request: Request<'a>,
    planner: super::PlanFn,
    context: &Context<'_>,
) -> Result<(Range<usize>, ReplyFn), Error> {
    let start = plan.len();
    let planned = planner(plan, request, context).and_then(|reply| {
        let (key_len, value_len) = plan.longest_from(start);
        if key_len > context.key_len_max {
            return Err(Error::text(format!(
                "ERR key of {key_len} bytes is longer than {} bytes",
                context.key_len_max
            )));
        }
        if value_len > context.value_len_max {
            return Err(Error::text(format!(
                "ERR value of {value_len} bytes is longer than {} bytes",
                context.value_len_max
            )));
        }
        Ok((start..plan.len(), reply))
    });
    if planned.is_err() {
        plan.truncate(start);
    }
    planned
}

/// Bytes that a transaction's queue may hold.
const QUEUE_LEN_MAX: usize = 1 << 30;

fn queue(session: &mut Session, spec: &'static Spec, request: Request<'_>) -> Taken {
    let Some(transaction) = &mut session.transaction else { return ready(Some(spec), Value::Null) };
    let refusal = match spec.handler {
        Handler::Transaction if spec.name == "watch" => {
            return ready(Some(spec), Error::new("ERR WATCH inside MULTI is not allowed"));
        }
        Handler::Keyspace { .. } | Handler::Engine => Some(Error::text(format!(
            "ERR {} is not allowed in a transaction: it is about the whole keyspace or the server",
            spec.name.to_uppercase()
        ))),
        _ if transaction.queue.memory_size_bytes() > QUEUE_LEN_MAX => {
            Some(Error::new("ERR the transaction is too large"))
        }
        _ => None,
    };
    if let Some(error) = refusal {
        transaction.broken = true;
        return ready(Some(spec), error);
    }
    transaction.queue.push(request.iter());
    ready(Some(spec), Value::Simple("QUEUED".into()))
}

/// The arguments of ENGINE, for who may use it: whoever can load a library is master of the host.
fn engine_args(session: &Session, request: Request<'_>) -> Result<Vec<Vec<u8>>, Error> {
    if !session.local {
        return Err(Error::new(
            "NOPERM ENGINE commands are taken from this machine only: over loopback or the Unix socket",
        ));
    }
    Ok(request.iter().skip(1).map(<[u8]>::to_vec).collect())
}

fn watch(request: Request<'_>, live: &Live) -> Result<Step, Error> {
    if !live.can_watch() {
        return Err(Error::lacks(live.identity(), "VERSIONS"));
    }
    let keys: Vec<Vec<u8>> = request.iter().skip(1).map(<[u8]>::to_vec).collect();
    let mut storage = Storage::default();
    storage.requests.push(keys.iter().map(Vec::as_slice));
    let (work, ()) = Work::plan(storage, |plan, storage| {
        if let Some(keys) = storage.requests.get(0, &storage.buffer) {
            keys.iter().for_each(|key| plan.get_no_value(key));
        }
    });
    let then = Then::Watch { keys, generation: live.generation };
    Ok(Step::Work(work, Pending { planned: Vec::new(), then }))
}

fn exec(
    session: &mut Session,
    server: &Server,
    live: &Live,
    context: &Context<'_>,
    out: &mut Vec<u8>,
) -> Step {
    let protocol = session.protocol;
    let mut encoder = Encoder::new(out, protocol);
    add(&server.stats.commands, 1);
    let Some(Transaction { queue, broken }) = session.transaction.take() else {
        encoder.error("ERR EXEC without MULTI");
        return Step::Idle;
    };
    let watched = std::mem::take(&mut session.watched);
    if broken {
        encoder.error("EXECABORT Transaction discarded because of previous errors.");
        return Step::Idle;
    }
    if watched.iter().any(|watched| watched.generation < live.versions_since()) {
        encoder.null_array();
        return Step::Idle;
    }
    let mut storage = Storage { buffer: Vec::new(), requests: queue };
    let commands = storage.requests.len();
    storage.requests.push(watched.iter().map(|watched| watched.key.as_slice()));
    let (work, planned) = Work::plan(storage, |plan, storage| {
        plan.set_atomic();
        if let Some(keys) = storage.requests.get(commands, &storage.buffer) {
            keys.iter().zip(&watched).for_each(|(key, watched)| plan.expect(key, watched.version));
        }
        let requests = storage.requests.iter(&storage.buffer).take(commands);
        requests.filter_map(|request| child(plan, request, session, server, context)).collect::<Vec<_>>()
    });
    let pending = Pending { planned, then: Then::Exec { checks: watched.len() } };
    if work.ops().is_empty() {
        finish(pending, &Outcomes::default(), session, server, out);
        return Step::Idle;
    }
    Step::Work(work, pending)
}

/// Plans one command of a transaction.
fn child<'a>(
    plan: &mut Plan<'a>,
    request: Request<'a>,
    session: &mut Session,
    server: &Server,
    context: &Context<'_>,
) -> Option<Planned> {
    let spec = table::find(request.name())?;
    let answer = match spec.handler {
        Handler::Data(planner) => match plan_checked(plan, request, planner, context) {
            Ok((ops, reply)) => Answer::Ops(ops, reply),
            Err(error) => Answer::Ready(error.into()),
        },
        Handler::Session(answer) => {
            Answer::Ready(answer(session, server, request).unwrap_or_else(Value::from))
        }
        // UNWATCH: the watches are gone with EXEC anyway.
        _ => Answer::Ready(Value::Ok),
    };
    Some(Planned { spec: Some(spec), answer, protocol: session.protocol })
}

/// Writes the replies of work that is done. Answers how many requests at its end are to be carried out again.
fn finish(
    pending: Pending,
    outcomes: &Outcomes,
    session: &mut Session,
    server: &Server,
    out: &mut Vec<u8>,
) -> usize {
    if matches!(pending.then, Then::Reply) {
        let done = pending.planned.iter().take_while(|one| !one.deferred(outcomes)).count();
        for one in pending.planned.iter().take(done) {
            one.reply(outcomes, server, &mut Encoder::new(out, one.protocol));
        }
        return pending.planned.len() - done;
    }
    finish_transaction(pending, outcomes, session, server, out);
    0
}

fn finish_transaction(
    pending: Pending,
    outcomes: &Outcomes,
    session: &mut Session,
    server: &Server,
    out: &mut Vec<u8>,
) {
    match pending.then {
        Then::Reply => {}
        Then::Watch { keys, generation } => {
            add(&server.stats.commands, 1);
            let answers = outcomes.part(0, keys.len());
            let mut encoder = Encoder::new(out, session.protocol);
            if let Some(failed) = answers.failure() {
                return encoder.error(&Error::from(failed).0);
            }
            for (key, outcome) in keys.into_iter().zip(answers.all()) {
                // As it was when it was first watched.
                if session.watched.iter().any(|watched| watched.key == key) {
                    continue;
                }
                session.watched.push(Watched { key, generation, version: outcome.version });
            }
            encoder.ok();
        }
        Then::Exec { checks } => {
            let mut encoder = Encoder::new(out, session.protocol);
            let conflict = |status| status == plugin_abi::Status::CONFLICT;
            if outcomes.part(0, checks).all().iter().any(|outcome| conflict(outcome.status)) {
                return encoder.null_array();
            }
            let all = outcomes.part(0, outcomes.all().len()).all();
            let failed = |aborted: bool| {
                all.iter().find(|outcome| {
                    !matches!(outcome.status, plugin_abi::Status::OK | plugin_abi::Status::NOT_FOUND)
                        && (outcome.status == plugin_abi::Status::ABORTED) == aborted
                })
            };
            if let Some(failed) = failed(false).or_else(|| failed(true)) {
                return encoder.error(&Error::from(failed).0);
            }
            encoder.array(pending.planned.len());
            for one in &pending.planned {
                one.reply(outcomes, server, &mut encoder);
            }
        }
    }
}

/// Writes the reply of a request that ran by itself.
pub fn finish_alone(value: &Value, session: &Session, server: &Server, out: &mut Vec<u8>) {
    add(&server.stats.commands, 1);
    value.write(&mut Encoder::new(out, session.protocol));
}

impl Planned {
    fn deferred(&self, outcomes: &Outcomes) -> bool {
        match &self.answer {
            Answer::Ready(_) => false,
            Answer::Ops(ops, _) => outcomes.part(ops.start, ops.end).deferred(),
        }
    }

    fn reply(&self, outcomes: &Outcomes, server: &Server, encoder: &mut Encoder<'_>) {
        add(&server.stats.commands, 1);
        if let Some(spec) = self.spec {
            spec.count_call();
        }
        match &self.answer {
            Answer::Ready(value) => {
                if matches!(value, Value::Error(_)) {
                    add(&server.stats.errors, 1);
                }
                value.write(encoder);
            }
            Answer::Ops(ops, reply) => {
                let answers = outcomes.part(ops.start, ops.end);
                if self.spec.is_some_and(|spec| !spec.writes()) {
                    let hits =
                        answers.all().iter().filter(|one| one.status == plugin_abi::Status::OK).count();
                    add(&server.stats.hits, hits as u64);
                    add(&server.stats.misses, (answers.all().len() - hits) as u64);
                }
                match answers.failure() {
                    Some(failed) => {
                        add(&server.stats.errors, 1);
                        encoder.error(&Error::from(failed).0);
                    }
                    None => reply(answers, encoder),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Requests;

    #[test]
    fn engine_commands_are_for_clients_of_this_machine() {
        let mut requests = Requests::new();
        requests.push([b"ENGINE".as_slice(), b"RELOAD", b"/evil.so"]);
        let request = requests.get(0, b"").unwrap();
        let ask = |local| engine_args(&Session { local, ..Session::default() }, request);
        assert_eq!(ask(true).unwrap(), [b"RELOAD".to_vec(), b"/evil.so".to_vec()]);
        assert!(ask(false).unwrap_err().0.starts_with("NOPERM "));
        assert!(!Session::default().local, "a client is a stranger until its socket says otherwise");
    }
}
