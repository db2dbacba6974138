//! GET, GETDEL and STRLEN: the value of a key, or its length.

use plugin_abi::sdk::{Decision, Entry};

use super::{Context, Error, ReplyFn, updated};
use crate::plugin::{Answers, Plan, Update};
use crate::protocol::{Reply, Request, Value};

pub(super) fn get<'a>(plan: &mut Plan<'a>, request: Request<'a>, _: &Context<'_>) -> Result<ReplyFn, Error> {
    plan.get(request.get(1).unwrap_or_default());
    Ok(Box::new(reply))
}

fn reply(answers: Answers<'_>, reply: &mut dyn Reply) {
    match answers.value(0) {
        Some(value) => reply.bulk(value),
        None => reply.null(),
    }
}

pub(super) fn getdel<'a>(
    plan: &mut Plan<'a>,
    request: Request<'a>,
    _: &Context<'_>,
) -> Result<ReplyFn, Error> {
    plan.update(request.get(1).unwrap_or_default(), Take);
    Ok(Box::new(updated))
}

struct Take;

impl Update for Take {
    fn decide(&mut self, current: Option<&Entry<'_>>) -> (Decision<'_>, Value) {
        (Decision::Remove, value_of(current))
    }
}

/// The entry's value as a reply.
pub(super) fn value_of(current: Option<&Entry<'_>>) -> Value {
    current.map_or(Value::Null, |entry| Value::Bulk(entry.value.to_vec()))
}

pub(super) fn strlen<'a>(
    plan: &mut Plan<'a>,
    request: Request<'a>,
    _: &Context<'_>,
) -> Result<ReplyFn, Error> {
    plan.get_no_value(request.get(1).unwrap_or_default());
    Ok(Box::new(|answers, reply| {
        reply.integer(answers.all().first().map_or(0, |outcome| outcome.value_len as i64));
    }))
}
