//! GET, GETDEL and STRLEN: the value of a key, or its length.

use plugin_abi::sdk::{Decision, Entry};

use super::{Context, Error, ReplyFn};
use crate::plugin::{Plan, Update};
use crate::protocol::{Request, Value};

pub(super) fn get<'a>(plan: &mut Plan<'a>, request: Request<'a>, _: &Context<'_>) -> Result<ReplyFn, Error> {
    plan.get(request.get(1).unwrap_or_default());
    Ok(ReplyFn::Value)
}

pub(super) fn getdel<'a>(
    plan: &mut Plan<'a>,
    request: Request<'a>,
    _: &Context<'_>,
) -> Result<ReplyFn, Error> {
    plan.update(request.get(1).unwrap_or_default(), Take);
    Ok(ReplyFn::Updated)
}

struct Take;

impl Update for Take {
    fn decide(&mut self, current: Option<&Entry<'_>>) -> (Decision<'_>, Value) {
        (Decision::Remove, value_of(current))
    }

    fn reads(&self) -> bool {
        true
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
    Ok(ReplyFn::new(|answers, reply| {
        reply.integer(answers.all().first().map_or(0, |outcome| outcome.value_len as i64));
    }))
}

#[cfg(test)]
mod tests {
    use plugin_abi::Status;

    use crate::command::testing::{Rig, expect};

    #[test]
    fn as_redis() {
        expect(&[
            ("GET k", "$-1"),
            ("SET k \"a\\x00b\"", "+OK"),
            ("GET k", "$3 a\0b"),
            ("get k", "$3 a\0b"),
            ("STRLEN k", ":3"),
            ("STRLEN none", ":0"),
            ("GETDEL k", "$3 a\0b"),
            ("GETDEL k", "$-1"),
            ("SET k \"\"", "+OK"),
            ("GET k", "$0"),
            ("STRLEN k", ":0"),
            ("SET \"\" v", "+OK"),
            ("GET \"\"", "$1 v"),
            ("GET", "-ERR wrong number of arguments for 'get' command"),
            ("GET a b", "-ERR wrong number of arguments for 'get' command"),
            ("GETDEL", "-ERR wrong number of arguments for 'getdel' command"),
            ("STRLEN", "-ERR wrong number of arguments for 'strlen' command"),
        ]);
    }

    #[test]
    fn in_resp3_there_is_one_null() {
        expect(&[("HELLO 3 x", "-ERR Syntax error in HELLO option 'x'"), ("GET k", "$-1")]);
        let mut rig = Rig::new();
        rig.run("HELLO 3");
        rig.expect(&[("GET k", "_"), ("GETDEL k", "_"), ("MGET k k", "*2 _ _")]);
    }

    #[test]
    fn an_engine_that_fails_is_no_missing_key() {
        let mut rig = Rig::new();
        rig.map.failure = Some(Status::UNAVAILABLE);
        let said = "-UNAVAILABLE the engine answered UNAVAILABLE (out of reach for now)";
        for line in ["GET k", "MGET a b", "SET k v", "DEL a b", "INCR k", "TTL k", "EXISTS k", "DBSIZE"] {
            assert_eq!(rig.run(line), said, "{line}");
        }
        for line in ["KEYS *", "SCAN 0", "FLUSHALL"] {
            assert_eq!(rig.run(line), said, "{line}");
        }
    }
}
