//! EXPIRE, PEXPIRE, EXPIREAT and PEXPIREAT: when a key is to be gone.

use plugin_abi::sdk::{Decision, Entry};

use super::expiry::{Expiry, Unit};
use super::{Context, Error, ReplyFn, updated};
use crate::plugin::{Plan, Update};
use crate::protocol::{Request, Value, parse_i64};

pub(super) fn expire<'a>(
    plan: &mut Plan<'a>,
    request: Request<'a>,
    context: &Context<'_>,
) -> Result<ReplyFn, Error> {
    expire_in(plan, request, context, Unit::Seconds, "expire")
}

pub(super) fn pexpire<'a>(
    plan: &mut Plan<'a>,
    request: Request<'a>,
    context: &Context<'_>,
) -> Result<ReplyFn, Error> {
    expire_in(plan, request, context, Unit::Milliseconds, "pexpire")
}

pub(super) fn expireat<'a>(
    plan: &mut Plan<'a>,
    request: Request<'a>,
    context: &Context<'_>,
) -> Result<ReplyFn, Error> {
    expire_in(plan, request, context, Unit::UnixSeconds, "expireat")
}

pub(super) fn pexpireat<'a>(
    plan: &mut Plan<'a>,
    request: Request<'a>,
    context: &Context<'_>,
) -> Result<ReplyFn, Error> {
    expire_in(plan, request, context, Unit::UnixMilliseconds, "pexpireat")
}

/// The options: on what the new expiry depends. An entry without expiry counts as one that expires after all others.
#[derive(Clone, Copy, Debug, Default)]
struct Conditions {
    nx: bool,
    xx: bool,
    gt: bool,
    lt: bool,
}

impl Conditions {
    fn parse(request: Request<'_>) -> Result<Self, Error> {
        let mut conditions = Self::default();
        for option in request.skip(3).iter() {
            let is = |name: &[u8]| option.eq_ignore_ascii_case(name);
            if is(b"NX") {
                conditions.nx = true;
            } else if is(b"XX") {
                conditions.xx = true;
            } else if is(b"GT") {
                conditions.gt = true;
            } else if is(b"LT") {
                conditions.lt = true;
            } else {
                let option = String::from_utf8_lossy(option);
                return Err(Error::text(format!("ERR Unsupported option {option}")));
            }
        }
        let Self { nx, xx, gt, lt } = conditions;
        if nx && (xx || gt || lt) {
            return Err(Error::new("ERR NX and XX, GT or LT options at the same time are not compatible"));
        }
        if gt && lt {
            return Err(Error::new("ERR GT and LT options at the same time are not compatible"));
        }
        Ok(conditions)
    }

    fn hold(self, current_ms: i64, at_ms: i64) -> bool {
        let never = current_ms == 0;
        !(self.nx && !never
            || self.xx && never
            || self.gt && (never || at_ms <= current_ms)
            || self.lt && (!never && at_ms >= current_ms))
    }
}

fn expire_in<'a>(
    plan: &mut Plan<'a>,
    request: Request<'a>,
    context: &Context<'_>,
    unit: Unit,
    command: &str,
) -> Result<ReplyFn, Error> {
    let conditions = Conditions::parse(request)?;
    let time = parse_i64(request.get(2).unwrap_or_default()).ok_or(Error::NOT_AN_INTEGER)?;
    let at_ms = unit.at_ms(time, context.now_ms).ok_or_else(|| Error::invalid_expire_time(command))?;
    let past = Expiry::at(at_ms, context)? == Expiry::Past;
    plan.update(request.get(1).unwrap_or_default(), Expire { conditions, at_ms, past });
    Ok(Box::new(updated))
}

struct Expire {
    conditions: Conditions,
    at_ms: i64,
    past: bool,
}

impl Update for Expire {
    fn decide(&mut self, current: Option<&Entry<'_>>) -> (Decision<'_>, Value) {
        let held = current.is_some_and(|entry| self.conditions.hold(entry.expiry_ms, self.at_ms));
        let decision = match held {
            false => Decision::Keep,
            true if self.past => Decision::Remove,
            true => Decision::SetExpiry(self.at_ms),
        };
        (decision, Value::Integer(held.into()))
    }
}
