//! Transaction: MULTI, EXEC, DISCARD, WATCH and UNWATCH, which stand above single commands.

use super::reply::{Answer, Pending, Planned, Replies, Then};
use super::take::plan_checked;
use super::{Exclusive, Step};
use crate::command::{Context, Error, Handler, Session, Spec, Transaction, Watched, table};
use crate::plugin::live::Live;
use crate::plugin::{Keyspace, Outcomes, Plan, Source, Storage, Work};
use crate::protocol::{Request, Requests, Value};
use crate::server::Server;

/// Carries out MULTI, DISCARD or UNWATCH: they change the session only.
pub(super) fn change(session: &mut Session, spec: &Spec) -> Value {
    match spec.name {
        "multi" if session.transaction.is_some() => Value::error("ERR MULTI calls can not be nested"),
        "multi" => {
            session.transaction = Some(Transaction::default());
            Value::Ok
        }
        "discard" if session.transaction.is_none() => Value::error("ERR DISCARD without MULTI"),
        _ => {
            session.transaction = None;
            session.watched.clear();
            Value::Ok
        }
    }
}

/// Ends the transaction because its EXEC itself is wrong.
pub(super) fn abort(session: &mut Session, error: &Error) -> Error {
    session.transaction = None;
    session.watched.clear();
    let reason = error.0.strip_prefix("ERR ").unwrap_or(&error.0);
    Error::text(format!("EXECABORT Transaction discarded because of: {reason}"))
}

/// Bytes that a transaction's queue may hold.
const QUEUE_LEN_MAX: usize = 1 << 30;

/// Takes a request into the transaction.
pub(super) fn queue(session: &mut Session, spec: &'static Spec, request: Request<'_>) -> Answer {
    let Some(transaction) = &mut session.transaction else { return Answer::Ready(Value::Null) };
    let refusal = match spec.handler {
        Handler::Transaction if spec.name == "watch" => {
            return Answer::Ready(Value::error("ERR WATCH inside MULTI is not allowed"));
        }
        // ENGINE goes to the control thread, which tells when it is done.
        Handler::Engine => Some(Error::new("ERR Command not allowed inside a transaction")),
        _ if spec.flags.contains(&"no_multi") => {
            Some(Error::new("ERR Command not allowed inside a transaction"))
        }
        _ if transaction.queue.memory_size_bytes() > QUEUE_LEN_MAX => {
            Some(Error::new("ERR the transaction is too large"))
        }
        _ => None,
    };
    if let Some(error) = refusal {
        transaction.broken = true;
        return Answer::Refused(error);
    }
    transaction.writes |= spec.waits_with_writes();
    transaction.queue.push(request.iter());
    Answer::Queued
}

/// Plans a look at the keys to be watched.
pub(super) fn watch(request: Request<'_>, live: &Live) -> Result<Step, Error> {
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
    Ok(Step::Work(work, Pending { planned: Vec::new(), then, replies: Replies::default() }))
}

/// Plans the commands of a transaction; `Err`: the reply, if they are not to be carried out.
pub(super) fn exec(
    session: &mut Session,
    server: &Server,
    live: &Live,
    context: &Context<'_>,
) -> Result<Step, Value> {
    let Some(Transaction { queue, broken, .. }) = session.transaction.take() else {
        return Err(Value::error("ERR EXEC without MULTI"));
    };
    let watched = std::mem::take(&mut session.watched);
    if broken {
        return Err(Value::error("EXECABORT Transaction discarded because of previous errors."));
    }
    if watched.values().any(|watched| watched.generation < live.versions_since()) {
        return Err(Value::NullArray);
    }
    let alone = |request: Request<'_>| {
        table::resolve(request).is_ok_and(|spec| matches!(spec.handler, Handler::Keyspace { .. }))
    };
    if queue.iter(&[]).any(alone) {
        return Ok(Step::Exclusive(Exclusive { queue, watched }));
    }
    let mut storage = Storage::from(Source { buffer: Vec::new(), requests: queue });
    let commands = storage.requests.len();
    storage.requests.push(watched.keys().map(Vec::as_slice));
    let (work, planned) = Work::plan(storage, |plan, storage| {
        plan.set_atomic();
        plan.tell_new(server.pubsub.classes.tells_new());
        if let Some(keys) = storage.requests.get(commands, &storage.buffer) {
            keys.iter().zip(watched.values()).for_each(|(key, watched)| plan.expect(key, watched.version));
        }
        let requests = storage.requests.iter(&storage.buffer).take(commands);
        requests.filter_map(|request| child(plan, request, context)).collect::<Vec<_>>()
    });
    let then = Then::Exec { checks: watched.len() };
    Ok(Step::Work(work, Pending { planned, then, replies: Replies::default() }))
}

/// Plans one command of a transaction.
pub(super) fn child<'a>(plan: &mut Plan<'a>, request: Request<'a>, context: &Context<'_>) -> Option<Planned> {
    let spec = table::resolve(request).ok()?;
    let answer = match spec.handler {
        Handler::Data(planner) => match plan_checked(plan, request, planner, context) {
            Ok((ops, reply)) => Answer::Ops(ops, reply),
            Err(error) => Answer::Ready(error.into()),
        },
        Handler::Session(run) => Answer::Session(run, copied(request)),
        Handler::Listen(run) if spec.name != "monitor" => Answer::Listen(run, copied(request)),
        Handler::Listen(_) => {
            Answer::Ready(Value::error("ERR MONITOR isn't allowed for DENY BLOCKING client"))
        }
        // UNWATCH: the watches are gone with EXEC anyway.
        _ => Answer::Ready(Value::Ok),
    };
    Some(Planned { spec: Some(spec), answer, protocol: None, muted: false, count: 1 })
}

fn copied(request: Request<'_>) -> Box<Requests> {
    let mut requests = Requests::new();
    requests.push(request.iter());
    Box::new(requests)
}

/// Watches keys as they are.
pub(super) fn watched(
    keys: Vec<Vec<u8>>,
    generation: u64,
    outcomes: &Outcomes,
    session: &mut Session,
) -> Value {
    let answers = outcomes.part(0, keys.len());
    if let Some(failed) = answers.failure() {
        return Error::from(failed).into();
    }
    for (key, outcome) in keys.into_iter().zip(answers.all()) {
        // As it was when it was first watched.
        session.watched.entry(key).or_insert(Watched { generation, version: outcome.version });
    }
    Value::Ok
}

/// Why a transaction was not carried out, if it was not: a watched key has changed, or the engine failed.
pub(super) fn refusal(checks: usize, outcomes: &Outcomes) -> Option<Value> {
    let conflict = |status| status == plugin_abi::Status::CONFLICT;
    if outcomes.part(0, checks).all().iter().any(|outcome| conflict(outcome.status)) {
        return Some(Value::NullArray);
    }
    let failed = |aborted: bool| {
        outcomes.all().iter().find(|outcome| {
            !matches!(outcome.status, plugin_abi::Status::OK | plugin_abi::Status::NOT_FOUND)
                && (outcome.status == plugin_abi::Status::ABORTED) == aborted
        })
    };
    failed(false).or_else(|| failed(true)).map(|failed| Error::from(failed).into())
}
