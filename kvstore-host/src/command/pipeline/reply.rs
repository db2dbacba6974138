//! Reply: what was planned for each request, and how it is answered when the work is done.

use std::ops::Range;

use super::account::note_error;
use crate::command::{Error, ListenFn, ReplyFn, Session, SessionFn, Spec};
use crate::plugin::{Outcomes, Work};
use crate::protocol::{Encoder, Protocol, Reply, Requests, Value};
use crate::server::Server;

/// What has to be known to write the replies when work is done.
pub struct Pending {
    pub(super) planned: Vec<Planned>,
    pub(super) then: Then,
}

/// One request, understood.
pub(super) struct Planned {
    pub(super) spec: Option<&'static Spec>,
    pub(super) answer: Answer,
    /// `None`: what the client speaks when it is answered.
    pub(super) protocol: Option<Protocol>,
    /// The client does not want the reply.
    pub(super) muted: bool,
}

pub(super) enum Answer {
    /// Carried out.
    Ready(Value),
    /// Not carried out.
    Refused(Error),
    /// To be carried out with EXEC.
    Queued,
    /// Planned as these operations.
    Ops(Range<usize>, ReplyFn),
    /// To be carried out when the replies before it are written: a request of a transaction that is about the connection or the server.
    Session(SessionFn, Box<Requests>),
    /// The same for one that changes what the client is sent without asking.
    Listen(ListenFn, Box<Requests>),
}

pub(super) enum Then {
    /// Write the replies one after the other.
    Reply,
    /// Write them as one array, if the first operations, which check watched keys, allow it.
    Exec { checks: usize },
    /// Watch these keys.
    Watch { keys: Vec<Vec<u8>>, generation: u64 },
}

/// Writes the replies of requests that were carried out together.
pub(super) fn reply_all(
    planned: &[Planned],
    work: &Work,
    outcomes: &Outcomes,
    session: &mut Session,
    server: &Server,
    out: &mut Vec<u8>,
) {
    for one in planned {
        let start = out.len();
        one.reply(work, outcomes, session, server, out);
        if note_error(out.get(start..).unwrap_or_default(), server)
            && let Some(spec) = one.spec
        {
            let mut tally = session.tally.open();
            let figures = tally.of(spec.number.get());
            match one.answer {
                Answer::Refused(_) => figures.rejected += 1,
                _ => figures.failed += 1,
            }
        }
        if one.muted {
            out.truncate(start);
        }
    }
}

impl Planned {
    pub(super) fn deferred(&self, outcomes: &Outcomes) -> bool {
        match &self.answer {
            Answer::Ops(ops, _) => outcomes.part(ops.start, ops.end).deferred(),
            _ => false,
        }
    }

    fn reply(
        &self,
        work: &Work,
        outcomes: &Outcomes,
        session: &mut Session,
        server: &Server,
        out: &mut Vec<u8>,
    ) {
        if let Answer::Session(run, requests) = &self.answer {
            let result = requests.get(0, &[]).map(|request| run(session, server, request));
            let value = result.map_or(Value::Null, |result| result.unwrap_or_else(Value::from));
            return value.write(&mut Encoder::new(out, session.protocol));
        }
        if let Answer::Listen(run, requests) = &self.answer {
            let encoder = &mut Encoder::new(out, session.protocol);
            requests.iter(&[]).for_each(|request| run(session, server, request, encoder));
            return;
        }
        let mut encoder = Encoder::new(out, self.protocol.unwrap_or(session.protocol));
        match &self.answer {
            Answer::Ready(value) => value.write(&mut encoder),
            Answer::Refused(error) => encoder.error(&error.0),
            Answer::Queued => encoder.simple("QUEUED"),
            Answer::Session(..) | Answer::Listen(..) => {}
            Answer::Ops(ops, reply) => {
                let answers = outcomes.part(ops.start, ops.end);
                match answers.failure() {
                    Some(failed) => encoder.error(&Error::from(failed).0),
                    None => {
                        if server.pubsub.classes.any() {
                            work.tell(ops.clone(), outcomes, &mut |event, key| {
                                server.pubsub.tell(event, key)
                            });
                        }
                        reply(answers, &mut encoder);
                    }
                }
            }
        }
    }
}
