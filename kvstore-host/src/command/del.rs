//! DEL, UNLINK, EXISTS, TOUCH and TYPE: what keys there are, and their removal.

use plugin_abi::Status;

use super::{Context, Error, ReplyFn};
use crate::plugin::{Answers, Plan};
use crate::protocol::{Reply, Request};

pub(super) fn del<'a>(plan: &mut Plan<'a>, request: Request<'a>, _: &Context<'_>) -> Result<ReplyFn, Error> {
    request.iter().skip(1).for_each(|key| plan.delete(key));
    Ok(Box::new(count_found))
}

pub(super) fn exists<'a>(
    plan: &mut Plan<'a>,
    request: Request<'a>,
    _: &Context<'_>,
) -> Result<ReplyFn, Error> {
    request.iter().skip(1).for_each(|key| plan.get_no_value(key));
    Ok(Box::new(count_found))
}

pub(super) fn type_<'a>(
    plan: &mut Plan<'a>,
    request: Request<'a>,
    _: &Context<'_>,
) -> Result<ReplyFn, Error> {
    plan.get_no_value(request.get(1).unwrap_or_default());
    Ok(Box::new(|answers, reply| reply.simple(if found(answers) == 0 { "none" } else { "string" })))
}

fn found(answers: Answers<'_>) -> usize {
    answers.all().iter().filter(|outcome| outcome.status == Status::OK).count()
}

fn count_found(answers: Answers<'_>, reply: &mut dyn Reply) {
    reply.integer(found(answers) as i64);
}
