//! Reply: what was planned for each request, and how it is answered when the work is done.

use std::ops::Range;

use plugin_abi::Status;

use super::account::note_error;
use crate::command::{Error, ListenFn, ReplyFn, Session, SessionFn, Spec};
use crate::plugin::{Answers, Fit, Lent, Outcomes, Room, Taker, Work};
use crate::protocol::{Encoder, Protocol, Reply, Requests, Value};
use crate::server::Server;

/// What has to be known to write the replies when work is done.
pub struct Pending {
    pub(super) planned: Vec<Planned>,
    pub(super) then: Then,
    pub(super) replies: Replies,
}

impl Pending {
    /// Answers requests while their work is carried out, if they are answered one by one. Their work is that of `room`, and their replies go to `out`.
    pub fn replier<'a>(
        &'a mut self,
        room: Room,
        session: &'a mut Session,
        server: &'a Server,
        out: &'a mut Vec<u8>,
    ) -> Option<Replier<'a>> {
        let Self { planned, then, replies } = self;
        let start = out.len();
        matches!(then, Then::Reply).then_some(Replier { planned, replies, room, start, session, server, out })
    }
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

/// How far the replies of requests that are carried out together are written.
#[derive(Default)]
pub(super) struct Replies {
    /// How many of the requests are answered.
    pub(super) count: usize,
    /// Reads among them that found an entry.
    pub(super) hits: u64,
    /// Those that found none.
    pub(super) misses: u64,
    /// The next read, and all that stands behind it, is carried out again.
    deferred: bool,
}

impl Replies {
    /// Writes those of all requests, whose work is done.
    pub(super) fn of_all(
        planned: &[Planned],
        work: &Work,
        outcomes: &Outcomes,
        session: &mut Session,
        server: &Server,
        out: &mut Vec<u8>,
    ) -> Self {
        let mut replies = Self::default();
        replies.write_rest(planned, work, outcomes, session, server, out);
        replies
    }

    /// Writes those that are not written yet, up to the first that is deferred; the work is done.
    pub(super) fn write_rest(
        &mut self,
        planned: &[Planned],
        work: &Work,
        outcomes: &Outcomes,
        session: &mut Session,
        server: &Server,
        out: &mut Vec<u8>,
    ) {
        while let Some(one) = planned.get(self.count) {
            let ops = one.ops();
            let answers = outcomes.part(ops.start, ops.end);
            if !ops.is_empty() && (self.deferred || answers.deferred()) {
                break;
            }
            if server.pubsub.classes.any() && answers.failure().is_none() {
                work.tell(ops, outcomes, &mut |event, key| server.pubsub.tell(event, key));
            }
            self.write(one, answers, session, server, out);
        }
    }

    /// The next one is written, and says what was read.
    fn count_read(&mut self, hit: bool) {
        self.count += 1;
        self.hits += u64::from(hit);
        self.misses += u64::from(!hit);
    }

    /// Writes the next one.
    fn write(
        &mut self,
        one: &Planned,
        answers: Answers<'_>,
        session: &mut Session,
        server: &Server,
        out: &mut Vec<u8>,
    ) {
        self.count += 1;
        let start = out.len();
        one.reply(answers, session, server, out);
        if let (Answer::Ops(..), Some(spec)) = (&one.answer, one.spec)
            && !spec.writes()
        {
            let all = answers.all();
            let hits = all.iter().filter(|one| one.status == Status::OK).count();
            self.hits += hits as u64;
            self.misses += (all.len() - hits) as u64;
        }
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

/// Answers requests of one operation each, or none, as soon as the engine has carried out one after the other.
pub struct Replier<'a> {
    planned: &'a [Planned],
    replies: &'a mut Replies,
    room: Room,
    /// How long the output was before.
    start: usize,
    session: &'a mut Session,
    server: &'a Server,
    out: &'a mut Vec<u8>,
}

impl Taker for Replier<'_> {
    fn take(&mut self, lent: Lent<'_>) {
        let Self { planned, replies, room, start, session, server, out } = self;
        if replies.deferred {
            return;
        }
        let (one, reply) = loop {
            // Those before it ask for nothing of the engine.
            match planned.get(replies.count) {
                Some(one) => match &one.answer {
                    Answer::Ops(ops, reply) if !ops.is_empty() => break (one, reply),
                    _ => replies.write(one, Answers::default(), session, server, out),
                },
                None => return,
            }
        };
        let fit = lent.fit(*room, out.len() - *start);
        if fit == Fit::Deferred {
            replies.deferred = true;
            return;
        }
        let status = lent.status();
        if server.pubsub.classes.any() && fit == Fit::Fits && matches!(status, Status::OK | Status::NOT_FOUND)
        {
            lent.tell(&mut |event, key| server.pubsub.tell(event, key));
        }
        // What most commands answer needs no more than this.
        let mut encoder = Encoder::new(out, one.protocol.unwrap_or(session.protocol));
        match (reply, status, lent.value()) {
            _ if one.muted || fit != Fit::Fits => {}
            (ReplyFn::Value, Status::OK, Some(value)) => {
                encoder.bulk(value);
                return replies.count_read(true);
            }
            (ReplyFn::Value, Status::NOT_FOUND, _) => {
                encoder.null();
                return replies.count_read(false);
            }
            (ReplyFn::Ok, Status::OK, _) => {
                encoder.ok();
                replies.count += 1;
                return;
            }
            _ => {}
        }
        let outcome = lent.outcome(fit);
        replies.write(one, Answers::of_one(&outcome, lent.value()), session, server, out);
    }
}

impl Planned {
    /// Its operations.
    fn ops(&self) -> Range<usize> {
        if let Answer::Ops(ops, _) = &self.answer { ops.clone() } else { 0..0 }
    }

    fn reply(&self, answers: Answers<'_>, session: &mut Session, server: &Server, out: &mut Vec<u8>) {
        let mut encoder = Encoder::new(out, self.protocol.unwrap_or(session.protocol));
        match &self.answer {
            Answer::Ops(_, reply) => match answers.failure() {
                Some(failed) => encoder.error(&Error::from(failed).0),
                None => reply.write(answers, &mut encoder),
            },
            Answer::Ready(value) => value.write(&mut encoder),
            Answer::Refused(error) => encoder.error(&error.0),
            Answer::Queued => encoder.simple("QUEUED"),
            Answer::Session(run, requests) => {
                let result = requests.get(0, &[]).map(|request| run(session, server, request));
                let value = result.map_or(Value::Null, |result| result.unwrap_or_else(Value::from));
                // It may have changed the protocol.
                value.write(&mut Encoder::new(out, session.protocol));
            }
            Answer::Listen(run, requests) => {
                requests.iter(&[]).for_each(|request| run(session, server, request, &mut encoder));
            }
        }
    }
}
