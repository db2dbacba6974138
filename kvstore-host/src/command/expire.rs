//! EXPIRE, PEXPIRE, EXPIREAT and PEXPIREAT: when a key is to be gone.

use plugin_abi::sdk::{Decision, Entry};

use super::expiry::{Expiry, Unit};
use super::{Context, Error, ReplyFn};
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
    Ok(ReplyFn::Updated)
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

#[cfg(test)]
mod tests {
    use crate::command::testing::expect;

    #[test]
    fn times_as_redis() {
        expect(&[
            ("EXPIRE none 10", ":0"),
            ("SET k v", "+OK"),
            ("EXPIRE k 100", ":1"),
            ("TTL k", ":100"),
            ("PEXPIRE k 200000", ":1"),
            ("TTL k", ":200"),
            ("EXPIREAT k 33177117420", ":1"),
            ("PEXPIRETIME k", ":33177117420000"),
            ("PEXPIREAT k 33177117420600", ":1"),
            ("EXPIRETIME k", ":33177117421"),
            ("GET k", "$1 v"),
            ("EXPIRE k 0", ":1"),
            ("EXISTS k", ":0"),
            ("SET k v", "+OK"),
            ("PEXPIRE k -9223372036854775808", ":1"),
            ("EXISTS k", ":0"),
            ("SET k v", "+OK"),
            ("EXPIREAT k 0", ":1"),
            ("EXISTS k", ":0"),
        ]);
    }

    #[test]
    fn conditions_as_redis() {
        expect(&[
            ("SET k v", "+OK"),
            ("EXPIRE k 100 XX", ":0"),
            ("EXPIRE k 100 GT", ":0"),
            ("EXPIRE k 100 XX LT", ":0"),
            ("EXPIRE k 100 LT", ":1"),
            ("EXPIRE k 100 NX", ":0"),
            ("EXPIRE k 50 GT", ":0"),
            ("EXPIRE k 200 LT", ":0"),
            ("EXPIRE k 200 gt", ":1"),
            ("EXPIRE k 150 XX GT", ":0"),
            ("EXPIRE k 150 XX LT", ":1"),
            ("TTL k", ":150"),
            ("EXPIRE k -1 NX", ":0"),
            ("EXPIRE k -1 GT", ":0"),
            ("PERSIST k", ":1"),
            ("EXPIRE k 10 NX NX", ":1"),
            ("EXPIREAT k 33177117420", ":1"),
            ("EXPIREAT k 33177117420 GT", ":0"),
            ("EXPIREAT k 33177117420 LT", ":0"),
            ("EXPIRE k -1 LT", ":1"),
            ("EXISTS k", ":0"),
        ]);
    }

    #[test]
    fn errors_as_redis() {
        expect(&[
            ("EXPIRE k 1 foo", "-ERR Unsupported option foo"),
            ("EXPIRE k x foo", "-ERR Unsupported option foo"),
            ("EXPIRE k 1 NX XX", "-ERR NX and XX, GT or LT options at the same time are not compatible"),
            ("EXPIRE k 1 NX GT LT", "-ERR NX and XX, GT or LT options at the same time are not compatible"),
            ("EXPIRE k 1 GT LT", "-ERR GT and LT options at the same time are not compatible"),
            ("EXPIRE k x", "-ERR value is not an integer or out of range"),
            ("EXPIRE k 9223372036854775807", "-ERR invalid expire time in 'expire' command"),
            ("EXPIRE k -9223372036854775808", "-ERR invalid expire time in 'expire' command"),
            ("EXPIRE k 9223372036854775", "-ERR invalid expire time in 'expire' command"),
            ("PEXPIRE k 9223372036854775807", "-ERR invalid expire time in 'pexpire' command"),
            ("EXPIREAT k 9223372036854776", "-ERR invalid expire time in 'expireat' command"),
            ("PEXPIREAT k 9223372036854775807", ":0"),
            ("PEXPIREAT k 9223372036854775808", "-ERR value is not an integer or out of range"),
            ("EXPIRE k", "-ERR wrong number of arguments for 'expire' command"),
            ("PEXPIREAT k", "-ERR wrong number of arguments for 'pexpireat' command"),
        ]);
    }
}
