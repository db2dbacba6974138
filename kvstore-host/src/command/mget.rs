//! MGET: the values of several keys.

use super::{Context, Error, ReplyFn};
use crate::plugin::Plan;
use crate::protocol::Request;

pub(super) fn mget<'a>(plan: &mut Plan<'a>, request: Request<'a>, _: &Context<'_>) -> Result<ReplyFn, Error> {
    request.iter().skip(1).for_each(|key| plan.get(key));
    Ok(ReplyFn::new(|answers, reply| {
        let count = answers.all().len();
        reply.array(count);
        for op in 0..count {
            match answers.value(op) {
                Some(value) => reply.bulk(value),
                None => reply.null(),
            }
        }
    }))
}
