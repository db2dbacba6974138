//! GETEX: the value of a key, and a change of its expiry.

use plugin_abi::sdk::{Decision, Entry};

use super::expiry::{self, Expiry, Unit};
use super::get::{self, value_of};
use super::{Context, Error, ReplyFn};
use crate::plugin::{Plan, Update};
use crate::protocol::{Request, Value};

pub(super) fn getex<'a>(
    plan: &mut Plan<'a>,
    request: Request<'a>,
    context: &Context<'_>,
) -> Result<ReplyFn, Error> {
    let mut persist = false;
    let mut time = None;
    let mut options = request.skip(2).iter();
    while let Some(option) = options.next() {
        if option.eq_ignore_ascii_case(b"PERSIST") && time.is_none() {
            persist = true;
        } else if let Some(unit) = Unit::of_option(option)
            && let Some(text) = options.next()
            && !persist
            && time.is_none_or(|(given, _)| given == unit)
        {
            time = Some((unit, text));
        } else {
            return Err(Error::SYNTAX);
        }
    }
    let key = request.get(1).unwrap_or_default();
    let expiry = match time {
        None if !persist => return get::get(plan, request, context),
        None => Ok(Expiry::Never),
        // Redis looks for the key first: without one, a wrong time goes unnoticed.
        Some((unit, text)) => {
            expiry::parse(unit, text, context.now_ms, "getex").and_then(|at_ms| Expiry::at(at_ms, context))
        }
    };
    plan.update(key, GetEx(expiry));
    Ok(ReplyFn::Updated)
}

struct GetEx(Result<Expiry, Error>);

impl Update for GetEx {
    fn decide(&mut self, current: Option<&Entry<'_>>) -> (Decision<'_>, Value) {
        let Some(entry) = current else { return (Decision::Keep, Value::Null) };
        let decision = match &self.0 {
            Err(error) => return (Decision::Keep, error.clone().into()),
            Ok(Expiry::At(at_ms)) => Decision::SetExpiry(*at_ms),
            Ok(Expiry::Past) => Decision::Remove,
            Ok(Expiry::Never) if entry.expiry_ms != 0 => Decision::SetExpiry(0),
            Ok(Expiry::Never | Expiry::Kept) => Decision::Keep,
        };
        (decision, value_of(current))
    }

    fn reads(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use crate::command::testing::expect;

    #[test]
    fn as_redis() {
        expect(&[
            ("SET k v", "+OK"),
            ("GETEX k", "$1 v"),
            ("TTL k", ":-1"),
            ("GETEX k EX 100", "$1 v"),
            ("TTL k", ":100"),
            ("GETEX k", "$1 v"),
            ("TTL k", ":100"),
            ("GETEX k PERSIST", "$1 v"),
            ("TTL k", ":-1"),
            ("GETEX k PERSIST PERSIST", "$1 v"),
            ("GETEX k PX 100000", "$1 v"),
            ("TTL k", ":100"),
            ("GETEX k EXAT 33177117420", "$1 v"),
            ("EXPIRETIME k", ":33177117420"),
            ("GETEX k PXAT 33177117420000", "$1 v"),
            ("PEXPIRETIME k", ":33177117420000"),
            ("GETEX k EXAT 1", "$1 v"),
            ("GETEX k", "$-1"),
            ("GETEX k EX 0", "$-1"),
            ("GETEX k EX x", "$-1"),
            ("SET k v", "+OK"),
            ("GETEX k EX 0", "-ERR invalid expire time in 'getex' command"),
            ("GETEX k EX x", "-ERR value is not an integer or out of range"),
            ("GETEX k EX", "-ERR syntax error"),
            ("GETEX k EX 1 PERSIST", "-ERR syntax error"),
            ("GETEX k PERSIST EX 1", "-ERR syntax error"),
            ("GETEX k EX 1 PX 1", "-ERR syntax error"),
            ("GETEX k KEEPTTL", "-ERR syntax error"),
            ("GETEX k NX", "-ERR syntax error"),
            ("GETEX", "-ERR wrong number of arguments for 'getex' command"),
        ]);
    }
}
