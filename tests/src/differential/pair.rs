//! Pair: a connection to each of both servers, on which the same is sent and the replies are compared.

use super::generate::{Request, Step};
use super::judge::Judge;
use super::known::{Conflict, named};
use super::lines::{line, words};
use super::play::Difference;
use super::reply::Reply;
use super::server::{Until, Wire, encode};

/// A connection to each of both, and what is open on it.
#[derive(Debug)]
pub struct Pair {
    /// To our host.
    pub ours: Wire,
    /// To Redis.
    pub theirs: Wire,
    /// The requests of the transaction that is open.
    queue: Option<Vec<Request>>,
    /// Whether keys are watched, and whether one of them was absent when it came to be.
    watched: Option<bool>,
}

/// A request on its way.
struct Sent<'a> {
    step: usize,
    request: &'a Request,
    inline: bool,
    /// Whether it is queued, as far as can be told from the requests.
    in_transaction: bool,
    /// Whether our host has refused what it is known to refuse.
    refused: bool,
}

/// A request, and the replies to it that are not the same.
type Unlike = (Request, Reply, Reply);

/// What stands for a reply that did not come.
fn nothing() -> Reply {
    Reply::Line(b'-', b"(no reply)".to_vec())
}

/// Whether no transaction is open after this; an EXEC with arguments calls it off.
fn ends_transaction(request: &Request) -> bool {
    named(request, "exec") || request.len() == 1 && (named(request, "discard") || named(request, "reset"))
}

impl Pair {
    /// With nothing open.
    pub fn new(ours: Wire, theirs: Wire) -> Self {
        Self { ours, theirs, queue: None, watched: None }
    }

    /// How many of these steps go into one write: those that are joined to the first, but WATCH and an EXEC that may be called off
    /// stand alone or last, so that both servers can be brought to the same state after it.
    pub fn joined(&self, steps: &[Step]) -> usize {
        let Some(Step::Send { connection: first, .. }) = steps.first() else { return 1 };
        let mut count = 0;
        for step in steps {
            let Step::Send { connection, request, joined, .. } = step else { break };
            let watches = named(request, "watch");
            if count > 0 && (!joined || connection != first || watches) {
                break;
            }
            count += 1;
            if watches || self.watched.is_some() && named(request, "exec") {
                break;
            }
        }
        count
    }

    /// Sends a pipeline to both, and compares the replies. `look` is a connection to Redis for other questions.
    ///
    /// # Errors
    /// The first difference that is not known.
    pub fn send(
        &mut self,
        judge: &mut Judge,
        look: &mut Wire,
        steps: &[Step],
        at: usize,
    ) -> Result<(), Difference> {
        let mut sent = self.to_send(judge, steps, at);
        if self.queue.is_none()
            && let [Sent { request, .. }] = sent.as_slice()
            && named(request, "watch")
        {
            let keys = request.iter().skip(1);
            let absent = keys
                .map(|key| look.ask(&[b"EXISTS", key]))
                .any(|reply| reply == Reply::Line(b':', b"0".to_vec()));
            self.watched = Some(absent || self.watched.unwrap_or(false));
        }
        let ends = sent.iter().any(|sent| named(sent.request, "quit"));
        let replies = |count| if ends { Until::End } else { Until::Replies(count) };
        let answered = |sent: &Sent<'_>| !sent.request.is_empty();
        let count = sent.iter().filter(|sent| answered(sent)).count();

        let bytes: Vec<u8> = sent.iter().flat_map(|sent| encode(sent.request, sent.inline)).collect();
        let ours = self.ours.exchange(&bytes, replies(count));
        for (sent, reply) in sent.iter_mut().filter(|sent| answered(sent)).zip(&ours) {
            sent.refused = judge.refused(sent.request, reply);
        }

        let (mut bytes, mut looks) = (Vec::new(), Vec::new());
        for sent in &sent {
            if ["dbsize", "memory"].iter().any(|name| named(sent.request, name)) && !sent.in_transaction {
                // What was stored as expired already is counted and measured by Redis until somebody looks.
                looks.push(sent.step);
                bytes.extend(encode(&words("SCAN 0 COUNT 1000000"), false));
            }
            let instead = words("PING");
            bytes.extend(if sent.refused {
                encode(&instead, false)
            } else {
                encode(sent.request, sent.inline)
            });
        }
        let theirs = self.theirs.exchange(&bytes, replies(count + looks.len()));

        let (mut ours, mut theirs) = (ours.into_iter(), theirs.into_iter());
        for Sent { step, request, refused, .. } in sent.iter().filter(|sent| answered(sent)) {
            if looks.contains(step) {
                theirs.next();
            }
            let (one, other) = (ours.next(), theirs.next());
            // Both have closed the connection before, or this was asked of one only.
            if one.is_none() && other.is_none() || *refused {
                continue;
            }
            let (one, other) = (one.unwrap_or_else(nothing), other.unwrap_or_else(nothing));
            self.compare(judge, request, one, other)
                .map_err(|(request, one, other)| difference(*step, &line(&request), &[one], &[other]))?;
        }
        let last = at + steps.len() - 1;
        if ours.len() + theirs.len() > 0 {
            return Err(difference(
                last,
                "replies that nobody asked for",
                ours.as_slice(),
                theirs.as_slice(),
            ));
        }
        self.same_end(last)
    }

    fn to_send<'a>(&self, judge: &mut Judge, steps: &'a [Step], at: usize) -> Vec<Sent<'a>> {
        let (mut sent, mut in_transaction) = (Vec::new(), self.queue.is_some());
        for (place, step) in steps.iter().enumerate() {
            let Step::Send { request, inline, .. } = step else { continue };
            if in_transaction && judge.may_refuse(request) || judge.withholds(request) {
                continue;
            }
            sent.push(Sent { step: at + place, request, inline: *inline, in_transaction, refused: false });
            in_transaction =
                named(request, "multi") && request.len() == 1 || in_transaction && !ends_transaction(request);
        }
        sent
    }

    /// Both are closed, or none.
    fn same_end(&mut self, step: usize) -> Result<(), Difference> {
        if self.ours.closed == self.theirs.closed {
            return Ok(());
        }
        // One may only be quicker to say it.
        for wire in [&mut self.ours, &mut self.theirs] {
            if !wire.closed {
                wire.exchange(&[], Until::End);
            }
        }
        let shown = |wire: &Wire| {
            [Reply::Line(b'+', if wire.closed { b"closed".to_vec() } else { b"open".to_vec() })]
        };
        if self.ours.closed == self.theirs.closed {
            return Ok(());
        }
        Err(difference(step, "the connection", &shown(&self.ours), &shown(&self.theirs)))
    }

    /// Compares the replies to one request; to EXEC, those to the requests of its transaction.
    fn compare(
        &mut self,
        judge: &mut Judge,
        request: &Request,
        ours: Reply,
        theirs: Reply,
    ) -> Result<(), Unlike> {
        if self.queue.is_none()
            && theirs.error().is_none()
            && (named(request, "unwatch") || named(request, "reset"))
        {
            self.watched = None;
        }
        let Some(queue) = &mut self.queue else {
            if named(request, "multi") && theirs.is_status("OK") {
                self.queue = Some(Vec::new());
            }
            return one_by_one(judge, std::slice::from_ref(request), false, vec![ours], vec![theirs]);
        };
        if theirs.is_status("QUEUED") {
            queue.push(request.clone());
        } else if ends_transaction(request) {
            let queue = self.queue.take().unwrap_or_default();
            let watched = self.watched.take();
            if named(request, "exec") {
                return self.compare_exec(judge, request, &queue, watched, ours, theirs);
            }
        }
        one_by_one(judge, std::slice::from_ref(request), false, vec![ours], vec![theirs])
    }

    fn compare_exec(
        &mut self,
        judge: &mut Judge,
        request: &Request,
        queue: &[Request],
        watched: Option<bool>,
        mut ours: Reply,
        mut theirs: Reply,
    ) -> Result<(), Unlike> {
        if let Some(was_absent) = watched
            && ours.is_null() != theirs.is_null()
            && ours.error().is_none()
            && theirs.error().is_none()
            && judge.may_conflict(Conflict { was_absent, is_ours: ours.is_null() })
        {
            // As a client does then: once more, and nothing is watched any longer.
            let (behind, reply) =
                if ours.is_null() { (&mut self.ours, &mut ours) } else { (&mut self.theirs, &mut theirs) };
            let (multi, exec) = ([words("MULTI")], [words("EXEC")]);
            let all = multi.iter().chain(queue).chain(&exec);
            let bytes: Vec<u8> = all.flat_map(|request| encode(request, false)).collect();
            *reply = behind.exchange(&bytes, Until::Replies(queue.len() + 2)).pop().unwrap_or_else(nothing);
        }
        match (ours, theirs) {
            (Reply::Many(b'*', Some(ours)), Reply::Many(b'*', Some(theirs)))
                if ours.len() == queue.len() && theirs.len() == queue.len() =>
            {
                one_by_one(judge, queue, true, ours, theirs)
            }
            (ours, theirs) => {
                one_by_one(judge, std::slice::from_ref(request), false, vec![ours], vec![theirs])
            }
        }
    }
}

fn one_by_one(
    judge: &mut Judge,
    requests: &[Request],
    in_transaction: bool,
    ours: Vec<Reply>,
    theirs: Vec<Reply>,
) -> Result<(), Unlike> {
    for ((request, one), other) in requests.iter().zip(ours).zip(theirs) {
        if !judge.same(request, in_transaction, &one, &other) {
            return Err((request.clone(), one, other));
        }
    }
    Ok(())
}

fn difference(step: usize, asked: &str, ours: &[Reply], theirs: &[Reply]) -> Difference {
    let shown = |replies: &[Reply]| replies.iter().map(Reply::to_string).collect::<Vec<_>>().join(" ");
    Difference { step, asked: asked.to_owned(), ours: shown(ours), theirs: shown(theirs) }
}
