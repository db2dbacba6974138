//! Take: understands one request: plans its operations, answers it, queues it, or finds that it has to run alone.

use std::ops::Range;

use super::reply::Answer;
use super::transaction::{self, queue};
use crate::command::{
    Context, Error, Handler, KeyspaceTask, ListenFn, PlanFn, ReplyFn, Session, Spec, monitor, subscribe,
    table,
};
use crate::plugin::Plan;
use crate::plugin::holding::Hold;
use crate::protocol::{Request, Value};
use crate::server::Server;

/// A request that runs by itself.
pub(super) enum Alone {
    Keyspace(Box<dyn KeyspaceTask>, bool),
    Engine,
    Watch,
    Exec,
    Listen(ListenFn),
}

impl Alone {
    /// Whether its reply is sent also to a client that wants none: it is told what it subscribed to.
    pub(super) fn is_always_answered(&self, spec: &Spec) -> bool {
        matches!(self, Self::Listen(_)) && spec.flags.contains(&"pubsub")
    }
}

pub(super) enum Taken {
    /// Planned or answered.
    Answer(Option<&'static Spec>, Answer),
    /// Planned, and nothing else may go to the engine with it.
    Last(Option<&'static Spec>, Answer),
    /// Not planned: it comes after what was planned before it, or, if that is nothing, when it is no longer held back.
    NotNow,
    /// Not planned: it waits until the pause ends, and so does what stands behind it.
    Paused,
    /// Not planned.
    Alone(&'static Spec, Alone),
}

fn ready(spec: &'static Spec, result: Result<Value, Error>) -> Taken {
    Taken::Answer(Some(spec), Answer::Ready(result.unwrap_or_else(Value::from)))
}

/// Understands one request: plans its operations, answers it, queues it, or says that it has to run alone.
pub(super) fn take<'a>(
    plan: &mut Plan<'a>,
    request: Request<'a>,
    session: &mut Session,
    server: &Server,
    context: &Context<'_>,
    hold: Hold,
) -> Taken {
    let refuse = |session: &mut Session, spec, error: Error| {
        if let Some(transaction) = &mut session.transaction {
            transaction.broken = true;
        }
        Taken::Answer(spec, Answer::Refused(error))
    };
    let spec = match table::resolve(request) {
        Ok(spec) => spec,
        Err(error) => return refuse(session, None, error),
    };
    // A read that is put off is carried out again with all that stands behind it: only reads can be.
    let is_read = matches!(spec.handler, Handler::Data(_)) && !spec.writes();
    if plan.may_defer() && !is_read {
        return Taken::NotNow;
    }
    if let Err(error) = spec.check_arity(request) {
        if spec.name == "exec" {
            return Taken::Answer(Some(spec), Answer::Refused(transaction::abort(session, &error)));
        }
        return refuse(session, Some(spec), error);
    }
    if session.subscriber.listens()
        && let Err(error) = check_listener(session, spec)
    {
        return refuse(session, Some(spec), error);
    }
    let alone = |alone| {
        if !plan.is_empty() {
            return Taken::NotNow;
        }
        Taken::Alone(spec, alone)
    };
    if server.pause.get(&server.clock).is_some_and(|paused| paused.stops(waits_with_writes(spec, session))) {
        return Taken::Paused;
    }
    session.last_command = spec.full_name;
    if session.transaction.is_some()
        && !matches!(spec.full_name, "exec" | "discard" | "multi" | "quit" | "reset")
    {
        return Taken::Answer(Some(spec), queue(session, spec, request));
    }
    match spec.handler {
        Handler::Data(_) if hold.stops(spec.writes()) => Taken::NotNow,
        Handler::Data(planner) => match plan_checked(plan, request, planner, context) {
            // To others, a command on several keys happens at one moment, and fails as a whole.
            Ok((ops, _)) if ops.len() > 1 && ops.start > 0 => {
                plan.truncate(ops.start);
                Taken::NotNow
            }
            Ok((ops, reply)) if ops.len() > 1 => {
                plan.set_atomic();
                Taken::Last(Some(spec), Answer::Ops(ops, reply))
            }
            Ok((ops, reply)) => {
                plan.end_request(spec.writes());
                Taken::Answer(Some(spec), Answer::Ops(ops, reply))
            }
            Err(error) => ready(spec, Err(error)),
        },
        // To others it happens after all that stands before it.
        Handler::Session(_) if !plan.is_empty() => Taken::NotNow,
        Handler::Session(answer) => ready(spec, answer(session, server, request)),
        Handler::Keyspace { writes, .. } if hold.stops(writes) => Taken::NotNow,
        Handler::Keyspace { parse, writes } => match parse(request) {
            Ok(task) => alone(Alone::Keyspace(task, writes)),
            Err(error) => ready(spec, Err(error)),
        },
        Handler::Listen(run) => alone(Alone::Listen(run)),
        Handler::Engine => alone(Alone::Engine),
        // Its arity says that it takes an argument, and that was found to be a subcommand.
        Handler::Container => refuse(session, Some(spec), Error::arity(spec.name)),
        Handler::Transaction => match spec.name {
            "exec" | "watch" if hold.stops(spec.name == "exec") => Taken::NotNow,
            "exec" => alone(Alone::Exec),
            "watch" => alone(Alone::Watch),
            _ => ready(spec, Ok(transaction::change(session, spec))),
        },
    }
}

/// Whether a pause of writes holds a request of this command back, or, for EXEC, one of those that it carries out.
fn waits_with_writes(spec: &Spec, session: &Session) -> bool {
    spec.waits_with_writes()
        || (spec.name == "exec" && session.transaction.as_ref().is_some_and(|queued| queued.writes))
}

/// Refuses what a client that listens may not do.
fn check_listener(session: &mut Session, spec: &Spec) -> Result<(), Error> {
    if session.only_listens() && !subscribe::is_allowed_while_subscribed(spec) {
        let text = format!(
            "Can't execute '{}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context",
            spec.full_name
        );
        if spec.name == "exec" {
            session.transaction = None;
            return Err(Error::text(format!("EXECABORT Transaction discarded because of: {text}")));
        }
        return Err(Error::text(format!("ERR {text}")));
    }
    monitor::check_allowed(spec, session)
}

/// Plans a request, and takes its operations back when one of them is beyond a limit.
#[inline]
pub(in crate::command) fn plan_checked<'a>(
    plan: &mut Plan<'a>,
    request: Request<'a>,
    planner: PlanFn,
    context: &Context<'_>,
) -> Result<(Range<usize>, ReplyFn), Error> {
    let start = plan.len();
    match plan_within(plan, request, planner, context) {
        Ok(Some(reply)) => Ok((start..plan.len(), reply)),
        planned => {
            plan.truncate(start);
            Err(planned.err().unwrap_or_else(|| too_long(plan, context)))
        }
    }
}

/// Plans a request. None, and it is planned: one of its operations is beyond a limit.
#[inline]
pub(super) fn plan_within<'a>(
    plan: &mut Plan<'a>,
    request: Request<'a>,
    planner: PlanFn,
    context: &Context<'_>,
) -> Result<Option<ReplyFn>, Error> {
    plan.begin_request();
    let reply = planner(plan, request, context)?;
    let (key_len, value_len) = plan.longest();
    let fits = key_len <= context.key_len_max && value_len <= context.value_len_max;
    Ok(fits.then_some(reply))
}

#[cold]
fn too_long(plan: &Plan<'_>, context: &Context<'_>) -> Error {
    let (key_len, value_len) = plan.longest();
    let (what, len, max) = match key_len > context.key_len_max {
        true => ("key", key_len, context.key_len_max),
        false => ("value", value_len, context.value_len_max),
    };
    Error::text(format!("ERR {what} of {len} bytes is longer than {max} bytes"))
}
