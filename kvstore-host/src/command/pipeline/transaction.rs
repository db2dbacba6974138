//! Transaction: MULTI, EXEC, DISCARD, WATCH and UNWATCH, which stand above single commands.

use super::reply::{Answer, Pending, Planned, Then, finish};
use super::take::{Taken, plan_checked, ready};
use super::{Exclusive, Step};
use crate::command::{Context, Error, Handler, Session, Spec, Transaction, Watched, table};
use crate::plugin::live::Live;
use crate::plugin::{Keyspace, Outcomes, Plan, Storage, Work};
use crate::protocol::{Encoder, Protocol, Reply, Request, Requests, Value};
use crate::server::{Server, add};

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

/// Bytes that a transaction's queue may hold.
const QUEUE_LEN_MAX: usize = 1 << 30;

pub(super) fn queue(session: &mut Session, spec: &'static Spec, request: Request<'_>) -> Taken {
    let Some(transaction) = &mut session.transaction else { return ready(Some(spec), Value::Null) };
    let refusal = match spec.handler {
        Handler::Transaction if spec.name == "watch" => {
            return ready(Some(spec), Error::new("ERR WATCH inside MULTI is not allowed"));
        }
        Handler::Engine => Some(Error::new(
            "ERR ENGINE is not allowed in a transaction: it goes to the control thread, which tells when it is done",
        )),
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
    Ok(Step::Work(work, Pending { planned: Vec::new(), then }))
}

pub(super) fn exec(
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
    let alone = |request: Request<'_>| {
        table::find(request.name()).is_some_and(|spec| matches!(spec.handler, Handler::Keyspace { .. }))
    };
    if queue.iter(&[]).any(alone) {
        return Step::Exclusive(Exclusive { queue, watched });
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
        requests.filter_map(|request| child(plan, request, context)).collect::<Vec<_>>()
    });
    let pending = Pending { planned, then: Then::Exec { checks: watched.len() } };
    if work.ops().is_empty() {
        finish(pending, &Outcomes::default(), session, server, out);
        return Step::Idle;
    }
    Step::Work(work, pending)
}

/// Plans one command of a transaction.
pub(super) fn child<'a>(plan: &mut Plan<'a>, request: Request<'a>, context: &Context<'_>) -> Option<Planned> {
    let spec = table::find(request.name())?;
    let answer = match spec.handler {
        Handler::Data(planner) => match plan_checked(plan, request, planner, context) {
            Ok((ops, reply)) => Answer::Ops(ops, reply),
            Err(error) => Answer::Ready(error.into()),
        },
        Handler::Session(run) => {
            let mut requests = Requests::new();
            requests.push(request.iter());
            Answer::Session(run, requests)
        }
        // UNWATCH: the watches are gone with EXEC anyway.
        _ => Answer::Ready(Value::Ok),
    };
    Some(Planned { spec: Some(spec), answer, protocol: Protocol::default() })
}

pub(super) fn finish_transaction(
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
                one.reply(outcomes, session, server, &mut encoder);
            }
        }
    }
}
