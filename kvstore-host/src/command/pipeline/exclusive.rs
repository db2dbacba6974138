//! Exclusive: a transaction with commands about the whole keyspace in it, which no batch can hold. It has the engine to itself meanwhile.

use std::collections::BTreeMap;

use super::reply::{Answer, Planned};
use super::transaction::child;
use crate::command::{Context, Handler, Watched, table};
use crate::plugin::live::Live;
use crate::plugin::wait::execute_and_wait;
use crate::plugin::{Keyspace, Outcomes, Source, Storage, Work};
use crate::protocol::{Requests, Value};
use crate::server::Server;

/// Such a transaction.
pub struct Exclusive {
    pub(super) queue: Requests,
    pub(super) watched: BTreeMap<Vec<u8>, Watched>,
}

/// What came of it.
pub enum Transacted {
    /// A watched key had changed: nothing was carried out.
    Conflict,
    /// It could not be carried out, and changed nothing; or nobody knows.
    Failed(String),
    /// It was carried out, in these parts.
    Done(Vec<Part>),
}

/// Neighbours that went to the engine together, or one command about the whole keyspace.
pub struct Part {
    pub(super) planned: Vec<Planned>,
    pub(super) outcomes: Outcomes,
    /// Which holds the requests.
    pub(super) work: Work,
    /// How long it took, in nanoseconds.
    pub(super) time_ns: u64,
}

impl Exclusive {
    /// Carries it out, while nobody else uses the engine. Blocks.
    pub fn run(self, live: &Live, server: &Server) -> Transacted {
        let Self { queue, watched } = self;
        if watched.values().any(|watched| watched.generation < live.versions_since())
            || !unchanged(live, &watched)
        {
            return Transacted::Conflict;
        }
        let mut parts = Vec::new();
        let mut together = Requests::new();
        for request in queue.iter(&[]) {
            let Ok(spec) = table::resolve(request) else { continue };
            let Handler::Keyspace { parse, .. } = spec.handler else {
                together.push(request.iter());
                continue;
            };
            parts.extend(atomically(std::mem::take(&mut together), live, server));
            let began_ns = server.clock.monotonic_ns();
            let value = parse(request).map_or_else(Value::from, |task| task.run(live, server));
            let answer = Answer::Ready(value);
            let planned = vec![Planned { spec: Some(spec), answer, protocol: None, muted: false, count: 1 }];
            let mut storage = Storage::default();
            storage.requests.push(request.iter());
            let time_ns = server.clock.monotonic_ns().saturating_sub(began_ns);
            let (work, ()) = Work::plan(storage, |_, _| ());
            parts.push(Part { planned, work, outcomes: Outcomes::default(), time_ns });
        }
        parts.extend(atomically(together, live, server));
        Transacted::Done(parts)
    }
}

/// Whether the watched keys are as they were.
fn unchanged(live: &Live, watched: &BTreeMap<Vec<u8>, Watched>) -> bool {
    if watched.is_empty() {
        return true;
    }
    let mut storage = Storage::default();
    storage.requests.push(watched.keys().map(Vec::as_slice));
    let (work, ()) = Work::plan(storage, |plan, storage| {
        plan.set_atomic();
        if let Some(keys) = storage.requests.get(0, &[]) {
            keys.iter().zip(watched.values()).for_each(|(key, watched)| plan.expect(key, watched.version));
        }
    });
    let (_, outcomes) = execute_and_wait(live, work);
    outcomes.part(0, watched.len()).failure().is_none()
        && !outcomes.all().iter().any(|outcome| outcome.status == plugin_abi::Status::CONFLICT)
}

/// Carries neighbours out as one batch.
fn atomically(requests: Requests, live: &Live, server: &Server) -> Option<Part> {
    if requests.is_empty() {
        return None;
    }
    let began_ns = server.clock.monotonic_ns();
    let context = Context::new(server, live.identity());
    let (work, planned) = Work::plan(Source { buffer: Vec::new(), requests }.into(), |plan, storage| {
        plan.set_atomic();
        plan.tell_new(server.pubsub.classes.tells_new());
        let requests = storage.requests.iter(&[]);
        requests.filter_map(|request| child(plan, request, &context)).collect::<Vec<_>>()
    });
    let nothing = work.ops().is_empty();
    let (work, outcomes) = if nothing { (work, Outcomes::default()) } else { execute_and_wait(live, work) };
    let time_ns = server.clock.monotonic_ns().saturating_sub(began_ns);
    Some(Part { planned, work, outcomes, time_ns })
}
