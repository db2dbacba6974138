//! GET: the value of a key.

use super::{Context, Error, ReplyFn};
use crate::plugin::{Answers, Plan};
use crate::protocol::{Reply, Request};

pub(super) fn plan<'a>(plan: &mut Plan<'a>, request: Request<'a>, _: &Context<'_>) -> Result<ReplyFn, Error> {
    plan.get(request.get(1).unwrap_or_default());
    Ok(reply)
}

fn reply(answers: Answers<'_>, reply: &mut dyn Reply) {
    match answers.value(0) {
        Some(value) => reply.bulk(value),
        None => reply.null(),
    }
}
