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
    /// Number of the first request's command.
    pub fn command(&self) -> Option<usize> {
        self.planned.first().and_then(|planned| planned.spec).map(|spec| spec.number.get())
    }

    /// Whether it is of one request, which is only to be answered: to plan that again would be the same once more.
    pub fn is_one_request(&self) -> bool {
        let one = matches!(&*self.planned, [one] if one.count == 1 && !one.muted);
        one && matches!(self.then, Then::Reply)
    }

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

/// One request, understood; or several in a row of one command, each of one operation, which are answered in one way.
pub(super) struct Planned {
    pub(super) spec: Option<&'static Spec>,
    pub(super) answer: Answer,
    /// `None`: what the client speaks when it is answered.
    pub(super) protocol: Option<Protocol>,
    /// The client does not want the reply.
    pub(super) muted: bool,
    /// How many requests.
    pub(super) count: usize,
}

/// How many requests these are.
pub(super) fn requests_of(planned: &[Planned]) -> usize {
    planned.iter().map(|planned| planned.count).sum()
}

/// Forgets all but the first `count` requests.
pub(super) fn keep_first(planned: &mut Vec<Planned>, count: usize) {
    let mut left = count;
    planned.retain_mut(|one| {
        one.count = one.count.min(left);
        left -= one.count;
        one.count > 0
    });
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
    /// Where the next one is planned, and how many of those that are planned there are answered.
    next: (usize, usize),
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
        while let Some(one) = planned.get(self.next.0) {
            let ops = one.ops(self.next.1);
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

    /// The next one is written.
    #[inline]
    fn step(&mut self, one: &Planned) {
        self.count += 1;
        self.next.1 += 1;
        if self.next.1 == one.count {
            self.next = (self.next.0 + 1, 0);
        }
    }

    /// The next one is written, and says what was read.
    #[inline]
    fn step_read(&mut self, one: &Planned, hit: bool) {
        self.step(one);
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
        self.step(one);
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
    fn take(&mut self, op: usize, lent: Lent<'_>) {
        if !self.take_quickly(op, lent) {
            self.take_any(op, lent);
        }
    }
}

impl Replier<'_> {
    /// What nearly all operations need, and no more. False: it was not taken.
    #[inline(always)]
    fn take_quickly(&mut self, op: usize, lent: Lent<'_>) -> bool {
        let Self { planned, replies, room, start, server, out, .. } = self;
        let Some(one) = planned.get(replies.next.0) else { return false };
        let Planned { answer: Answer::Ops(ops, reply), protocol: Some(protocol), muted: false, .. } = one
        else {
            return false;
        };
        if replies.deferred || ops.is_empty() || server.pubsub.classes.any() {
            return false;
        }
        let mut encoder = Encoder::new(out, *protocol);
        match (reply, lent.status(), lent.value()) {
            (ReplyFn::Value, Status::OK, Some(value)) => {
                if room.fit(op, encoder.output_len() - *start, value.len()) != Fit::Fits {
                    return false;
                }
                encoder.bulk(value);
                replies.step_read(one, true);
            }
            (ReplyFn::Value, Status::NOT_FOUND, _) => {
                encoder.null();
                replies.step_read(one, false);
            }
            (ReplyFn::Ok, Status::OK, None) => {
                encoder.ok();
                replies.step(one);
            }
            _ => return false,
        }
        true
    }

    #[inline(never)]
    fn take_any(&mut self, op: usize, lent: Lent<'_>) {
        let Self { planned, replies, room, start, session, server, out } = self;
        if replies.deferred {
            return;
        }
        let one = loop {
            // Those before it ask for nothing of the engine.
            match planned.get(replies.next.0) {
                Some(one) => match &one.answer {
                    Answer::Ops(ops, _) if !ops.is_empty() => break one,
                    _ => replies.write(one, Answers::default(), session, server, out),
                },
                None => return,
            }
        };
        let (status, value) = (lent.status(), lent.value());
        let fit = value.map_or(Fit::Fits, |value| room.fit(op, out.len() - *start, value.len()));
        if fit == Fit::Deferred {
            replies.deferred = true;
            return;
        }
        if server.pubsub.classes.any() && fit == Fit::Fits && matches!(status, Status::OK | Status::NOT_FOUND)
        {
            lent.tell(&mut |event, key| server.pubsub.tell(event, key));
        }
        let outcome = lent.outcome(fit);
        replies.write(one, Answers::of_one(&outcome, value), session, server, out);
    }
}

impl Planned {
    /// The operations of its `index`-th request.
    fn ops(&self, index: usize) -> Range<usize> {
        match &self.answer {
            Answer::Ops(ops, _) if self.count == 1 => ops.clone(),
            Answer::Ops(ops, _) => ops.start + index..ops.start + index + 1,
            _ => 0..0,
        }
    }

    /// Takes in another request of the same command, whose only operation is the one behind its own, if it is answered in the same way.
    #[inline]
    pub(super) fn joined_by(&mut self, reply: &ReplyFn) -> bool {
        match &mut self.answer {
            Answer::Ops(ops, own) if own.is_the_same(reply) => {
                ops.end += 1;
                self.count += 1;
                true
            }
            _ => false,
        }
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
