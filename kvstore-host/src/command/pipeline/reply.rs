//! Reply: what was planned for each request, and how it is answered when the work is done.

use std::ops::Range;

use super::transaction::finish_transaction;
use crate::command::{Error, ReplyFn, Session, SessionFn, Spec};
use crate::plugin::Outcomes;
use crate::protocol::{Encoder, Protocol, Reply, Requests, Value};
use crate::server::{Server, add};

/// What has to be known to write the replies when work is done.
pub struct Pending {
    pub(super) planned: Vec<Planned>,
    pub(super) then: Then,
}

/// One request, understood.
pub(super) struct Planned {
    pub(super) spec: Option<&'static Spec>,
    pub(super) answer: Answer,
    pub(super) protocol: Protocol,
}

pub(super) enum Answer {
    Ready(Value),
    Ops(Range<usize>, ReplyFn),
    /// To be carried out when the replies before it are written: a request of a transaction that is about the connection or the server.
    Session(SessionFn, Requests),
}

pub(super) enum Then {
    /// Write the replies one after the other.
    Reply,
    /// Write them as one array, if the first operations, which check watched keys, allow it.
    Exec { checks: usize },
    /// Watch these keys.
    Watch { keys: Vec<Vec<u8>>, generation: u64 },
}

/// Writes the replies of work that is done. Answers how many requests at its end are to be carried out again.
pub(super) fn finish(
    pending: Pending,
    outcomes: &Outcomes,
    session: &mut Session,
    server: &Server,
    out: &mut Vec<u8>,
) -> usize {
    if matches!(pending.then, Then::Reply) {
        let done = pending.planned.iter().take_while(|one| !one.deferred(outcomes)).count();
        for one in pending.planned.iter().take(done) {
            one.reply(outcomes, session, server, &mut Encoder::new(out, one.protocol));
        }
        return pending.planned.len() - done;
    }
    finish_transaction(pending, outcomes, session, server, out);
    0
}

/// Writes the reply of a request that ran by itself.
pub fn finish_alone(value: &Value, session: &Session, server: &Server, out: &mut Vec<u8>) {
    add(&server.stats.commands, 1);
    value.write(&mut Encoder::new(out, session.protocol));
}

impl Planned {
    pub(super) fn deferred(&self, outcomes: &Outcomes) -> bool {
        match &self.answer {
            Answer::Ready(_) | Answer::Session(..) => false,
            Answer::Ops(ops, _) => outcomes.part(ops.start, ops.end).deferred(),
        }
    }

    pub(super) fn reply(
        &self,
        outcomes: &Outcomes,
        session: &mut Session,
        server: &Server,
        encoder: &mut Encoder<'_>,
    ) {
        add(&server.stats.commands, 1);
        if let Some(spec) = self.spec {
            spec.count_call();
        }
        match &self.answer {
            Answer::Ready(value) => answer(value, server, encoder),
            Answer::Session(run, requests) => {
                let value = requests.get(0, &[]).map(|request| run(session, server, request));
                answer(
                    &value.map_or(Value::Null, |value| value.unwrap_or_else(Value::from)),
                    server,
                    encoder,
                );
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

fn answer(value: &Value, server: &Server, encoder: &mut Encoder<'_>) {
    if matches!(value, Value::Error(_)) {
        add(&server.stats.errors, 1);
    }
    value.write(encoder);
}
