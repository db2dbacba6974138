//! SET with all its options, and its older forms SETNX, SETEX, PSETEX and GETSET.

use plugin_abi::sdk::{Decision, Entry};

use super::expiry::{self, Expiry, Unit};
use super::get::value_of;
use super::{Context, Error, ReplyFn, updated};
use crate::plugin::{Plan, Update};
use crate::protocol::{Request, Value};

/// On what a write depends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Condition {
    Always,
    IfAbsent,
    IfPresent,
}

/// What a write answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    /// OK, or no value where the condition does not hold.
    Ok,
    /// 1, or 0 where the condition does not hold.
    Number,
    /// What was there before.
    Old,
}

struct Write<'a> {
    value: &'a [u8],
    condition: Condition,
    expiry: Expiry,
    answer: Answer,
}

pub(super) fn set<'a>(
    plan: &mut Plan<'a>,
    request: Request<'a>,
    context: &Context<'_>,
) -> Result<ReplyFn, Error> {
    let value = request.get(2).unwrap_or_default();
    let mut write = Write { value, condition: Condition::Always, expiry: Expiry::Never, answer: Answer::Ok };
    let mut time = None;
    let mut options = request.skip(3).iter();
    while let Some(option) = options.next() {
        let is = |name: &[u8]| option.eq_ignore_ascii_case(name);
        if is(b"NX") && write.condition != Condition::IfPresent {
            write.condition = Condition::IfAbsent;
        } else if is(b"XX") && write.condition != Condition::IfAbsent {
            write.condition = Condition::IfPresent;
        } else if is(b"GET") {
            write.answer = Answer::Old;
        } else if is(b"KEEPTTL") && time.is_none() {
            write.expiry = Expiry::Kept;
        } else if let Some(unit) = Unit::of_option(option)
            && let Some(text) = options.next()
            && write.expiry != Expiry::Kept
            && time.is_none_or(|(given, _)| given == unit)
        {
            time = Some((unit, text));
        } else {
            return Err(Error::SYNTAX);
        }
    }
    if let Some((unit, text)) = time {
        write.expiry = Expiry::at(expiry::parse(unit, text, context.now_ms, "set")?, context)?;
    }
    Ok(write.plan(plan, request))
}

pub(super) fn setnx<'a>(
    plan: &mut Plan<'a>,
    request: Request<'a>,
    _: &Context<'_>,
) -> Result<ReplyFn, Error> {
    let value = request.get(2).unwrap_or_default();
    let write =
        Write { value, condition: Condition::IfAbsent, expiry: Expiry::Never, answer: Answer::Number };
    Ok(write.plan(plan, request))
}

pub(super) fn setex<'a>(
    plan: &mut Plan<'a>,
    request: Request<'a>,
    context: &Context<'_>,
) -> Result<ReplyFn, Error> {
    with_expiry(plan, request, context, Unit::Seconds, "setex")
}

pub(super) fn psetex<'a>(
    plan: &mut Plan<'a>,
    request: Request<'a>,
    context: &Context<'_>,
) -> Result<ReplyFn, Error> {
    with_expiry(plan, request, context, Unit::Milliseconds, "psetex")
}

fn with_expiry<'a>(
    plan: &mut Plan<'a>,
    request: Request<'a>,
    context: &Context<'_>,
    unit: Unit,
    command: &str,
) -> Result<ReplyFn, Error> {
    let at_ms = expiry::parse(unit, request.get(2).unwrap_or_default(), context.now_ms, command)?;
    let value = request.get(3).unwrap_or_default();
    let expiry = Expiry::at(at_ms, context)?;
    Ok(Write { value, condition: Condition::Always, expiry, answer: Answer::Ok }.plan(plan, request))
}

pub(super) fn getset<'a>(
    plan: &mut Plan<'a>,
    request: Request<'a>,
    _: &Context<'_>,
) -> Result<ReplyFn, Error> {
    let value = request.get(2).unwrap_or_default();
    let write = Write { value, condition: Condition::Always, expiry: Expiry::Never, answer: Answer::Old };
    Ok(write.plan(plan, request))
}

impl<'a> Write<'a> {
    /// Plans the least that does it: most writes need not know what was there.
    fn plan(self, plan: &mut Plan<'a>, request: Request<'a>) -> ReplyFn {
        let key = request.get(1).unwrap_or_default();
        match (self.condition, self.answer, self.expiry) {
            (Condition::Always, Answer::Ok, Expiry::Never) => plan.set(key, self.value, 0),
            (Condition::Always, Answer::Ok, Expiry::At(at_ms)) => plan.set(key, self.value, at_ms),
            (Condition::Always, Answer::Ok, Expiry::Past) => plan.delete(key),
            _ => {
                plan.update(key, self);
                return Box::new(updated);
            }
        }
        Box::new(|_, reply| reply.ok())
    }
}

impl Update for Write<'_> {
    fn decide(&mut self, current: Option<&Entry<'_>>) -> (Decision<'_>, Value) {
        let holds = match self.condition {
            Condition::Always => true,
            Condition::IfAbsent => current.is_none(),
            Condition::IfPresent => current.is_some(),
        };
        let expiry_ms = match self.expiry {
            Expiry::At(at_ms) => Some(at_ms),
            Expiry::Never => Some(0),
            Expiry::Kept => Some(current.map_or(0, |entry| entry.expiry_ms)),
            Expiry::Past => None,
        };
        let decision = match expiry_ms {
            _ if !holds => Decision::Keep,
            None => Decision::Remove,
            Some(expiry_ms) => Decision::Replace(Entry { value: self.value, expiry_ms, ..Entry::default() }),
        };
        let answer = match self.answer {
            Answer::Old => value_of(current),
            Answer::Number => Value::Integer(holds.into()),
            Answer::Ok if holds => Value::Ok,
            Answer::Ok => Value::Null,
        };
        (decision, answer)
    }
}
