//! Exclusive: a transaction with commands about the whole keyspace in it, which no batch can hold. It has the engine to itself meanwhile.

use super::reply::{Answer, Planned};
use super::transaction::child;
use crate::command::{Context, Handler, Session, Watched, table};
use crate::plugin::copy::execute_and_wait;
use crate::plugin::live::Live;
use crate::plugin::{Keyspace, Outcomes, Storage, Work};
use crate::protocol::{Encoder, Protocol, Reply, Requests, Value};
use crate::server::Server;

/// Such a transaction.
pub struct Exclusive {
    pub(super) queue: Requests,
    pub(super) watched: Vec<Watched>,
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
    planned: Vec<Planned>,
    outcomes: Outcomes,
}

impl Exclusive {
    /// Carries it out, while nobody else uses the engine. Blocks.
    pub fn run(self, live: &Live, server: &Server) -> Transacted {
        let Self { queue, watched } = self;
        if watched.iter().any(|watched| watched.generation < live.versions_since())
            || !unchanged(live, &watched)
        {
            return Transacted::Conflict;
        }
        let mut parts = Vec::new();
        let mut together = Requests::new();
        for request in queue.iter(&[]) {
            let Some(spec) = table::find(request.name()) else { continue };
            let Handler::Keyspace { parse, .. } = spec.handler else {
                together.push(request.iter());
                continue;
            };
            parts.extend(atomically(std::mem::take(&mut together), live, server));
            let value = parse(request).map_or_else(Value::from, |task| task.run(live, server));
            let planned =
                Planned { spec: Some(spec), answer: Answer::Ready(value), protocol: Protocol::default() };
            parts.push(Part { planned: vec![planned], outcomes: Outcomes::default() });
        }
        parts.extend(atomically(together, live, server));
        Transacted::Done(parts)
    }
}

/// Whether the watched keys are as they were.
fn unchanged(live: &Live, watched: &[Watched]) -> bool {
    if watched.is_empty() {
        return true;
    }
    let mut storage = Storage::default();
    storage.requests.push(watched.iter().map(|watched| watched.key.as_slice()));
    let (work, ()) = Work::plan(storage, |plan, storage| {
        plan.set_atomic();
        if let Some(keys) = storage.requests.get(0, &[]) {
            keys.iter().zip(watched).for_each(|(key, watched)| plan.expect(key, watched.version));
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
    let context = Context::new(server, live.identity());
    let (work, planned) = Work::plan(Storage { buffer: Vec::new(), requests }, |plan, storage| {
        plan.set_atomic();
        let requests = storage.requests.iter(&[]);
        requests.filter_map(|request| child(plan, request, &context)).collect::<Vec<_>>()
    });
    let outcomes = if work.ops().is_empty() { Outcomes::default() } else { execute_and_wait(live, work).1 };
    Some(Part { planned, outcomes })
}

impl Transacted {
    /// Writes the replies.
    pub fn finish(self, session: &mut Session, server: &Server, out: &mut Vec<u8>) {
        let mut encoder = Encoder::new(out, session.protocol);
        match self {
            Self::Conflict => encoder.null_array(),
            Self::Failed(text) => encoder.error(&text),
            Self::Done(parts) => {
                encoder.array(parts.iter().map(|part| part.planned.len()).sum());
                for Part { planned, outcomes } in parts {
                    for one in planned {
                        one.reply(&outcomes, session, server, &mut encoder);
                    }
                }
            }
        }
    }
}
