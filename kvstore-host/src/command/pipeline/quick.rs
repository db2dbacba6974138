//! Quick: the short way for what nearly all requests are: a command on one key from a client that only asks and is answered.

use super::reply::{Answer, Planned};
use super::take::plan_within;
use crate::command::{Context, Handler, Keys, PlanFn, Session, Spec, table};
use crate::plugin::Plan;
use crate::plugin::holding::Hold;
use crate::protocol::Request;
use crate::server::Server;

/// Takes requests one after the other, as long as nothing has to be asked of the session.
pub(super) struct Quick {
    /// The command before, the word of its name, and what plans it: most requests are like their neighbours.
    last: Option<(u64, &'static Spec, PlanFn)>,
    /// The command of what was planned last, if this has planned it.
    planned: Option<&'static Spec>,
}

impl Quick {
    /// For a session as it is; none where more has to be asked of it than this does.
    pub(super) fn of(session: &Session, server: &Server, hold: Hold) -> Option<Self> {
        let quick = session.transaction.is_none()
            && !session.subscriber.listens()
            && session.replies.are_all_sent()
            && hold == Hold::No
            && server.pause.get(&server.clock).is_none();
        quick.then_some(Self { last: None, planned: None })
    }

    /// Takes a request as `take` does. False: it was not, and goes the long way.
    #[inline]
    pub(super) fn take<'a>(
        &mut self,
        plan: &mut Plan<'a>,
        request: Request<'a>,
        session: &mut Session,
        context: &Context<'_>,
        planned: &mut Vec<Planned>,
    ) -> bool {
        let Some((spec, planner)) = self.command(request) else { return false };
        if spec.check_arity(request).is_err() || (plan.may_defer() && spec.writes()) {
            return false;
        }
        let op = plan.len();
        let reply = plan_within(plan, request, planner, context).ok().flatten();
        let Some(reply) = reply.filter(|_| plan.len() == op + 1) else {
            plan.truncate(op);
            return false;
        };
        plan.end_request(spec.writes());
        if self.planned.is_some_and(|planned| std::ptr::eq(planned, spec))
            && let Some(last) = planned.last_mut()
            && last.joined_by(&reply)
        {
            return true;
        }
        self.planned = Some(spec);
        session.last_command = spec.full_name;
        let (protocol, answer) = (Some(session.protocol), Answer::Ops(op..plan.len(), reply));
        planned.push(Planned { spec: Some(spec), answer, protocol, muted: false, count: 1 });
        true
    }

    /// The command, if it is one on one key.
    #[inline]
    fn command(&mut self, request: Request<'_>) -> Option<(&'static Spec, PlanFn)> {
        let (name, word) = (request.name(), table::word(request.name()));
        if let Some((last, spec, planner)) = self.last
            && last == word
            && table::has_name(spec, name)
        {
            return Some((spec, planner));
        }
        let spec = table::find(name)?;
        let Handler::Data(planner) = spec.handler else { return None };
        if spec.keys != Keys(1, 1, 1) {
            return None;
        }
        self.last = Some((word, spec, planner));
        Some((spec, planner))
    }
}
