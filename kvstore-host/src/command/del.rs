//! DEL, UNLINK, EXISTS, TOUCH and TYPE: what keys there are, and their removal.

use plugin_abi::Status;

use super::{Context, Error, ReplyFn};
use crate::plugin::{Answers, Plan};
use crate::protocol::{Reply, Request};

pub(super) fn del<'a>(plan: &mut Plan<'a>, request: Request<'a>, _: &Context<'_>) -> Result<ReplyFn, Error> {
    request.iter().skip(1).for_each(|key| plan.delete(key));
    Ok(ReplyFn::new(count_found))
}

pub(super) fn exists<'a>(
    plan: &mut Plan<'a>,
    request: Request<'a>,
    _: &Context<'_>,
) -> Result<ReplyFn, Error> {
    request.iter().skip(1).for_each(|key| plan.get_no_value(key));
    Ok(ReplyFn::new(count_found))
}

pub(super) fn type_<'a>(
    plan: &mut Plan<'a>,
    request: Request<'a>,
    _: &Context<'_>,
) -> Result<ReplyFn, Error> {
    plan.get_no_value(request.get(1).unwrap_or_default());
    Ok(ReplyFn::new(|answers, reply| reply.simple(if found(answers) == 0 { "none" } else { "string" })))
}

fn found(answers: Answers<'_>) -> usize {
    answers.all().iter().filter(|outcome| outcome.status == Status::OK).count()
}

fn count_found(answers: Answers<'_>, reply: &mut dyn Reply) {
    reply.integer(found(answers) as i64);
}

#[cfg(test)]
mod tests {
    use crate::command::testing::expect;

    #[test]
    fn as_redis() {
        expect(&[
            ("MSET a 1 b 2 c 3", "+OK"),
            ("EXISTS a a none b", ":3"),
            ("TOUCH a a none", ":2"),
            ("TYPE a", "+string"),
            ("TYPE none", "+none"),
            ("DEL a a none", ":1"),
            ("UNLINK b b c none", ":2"),
            ("DEL none", ":0"),
            ("EXISTS a", ":0"),
            ("DEL", "-ERR wrong number of arguments for 'del' command"),
            ("UNLINK", "-ERR wrong number of arguments for 'unlink' command"),
            ("EXISTS", "-ERR wrong number of arguments for 'exists' command"),
            ("TOUCH", "-ERR wrong number of arguments for 'touch' command"),
            ("TYPE", "-ERR wrong number of arguments for 'type' command"),
        ]);
    }
}
