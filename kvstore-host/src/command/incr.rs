//! INCR, DECR, INCRBY, DECRBY: adds to a value that is an integer in decimal.

use plugin_abi::sdk::{Decision, Entry};

use super::{Context, Error, ReplyFn};
use crate::plugin::{Plan, Update};
use crate::protocol::{Request, Value, parse_i64, push_i64};
use crate::pubsub::Event;

pub(super) fn incr<'a>(plan: &mut Plan<'a>, request: Request<'a>, _: &Context<'_>) -> Result<ReplyFn, Error> {
    Ok(add(plan, request, 1))
}

pub(super) fn decr<'a>(plan: &mut Plan<'a>, request: Request<'a>, _: &Context<'_>) -> Result<ReplyFn, Error> {
    Ok(add(plan, request, -1))
}

pub(super) fn incrby<'a>(
    plan: &mut Plan<'a>,
    request: Request<'a>,
    _: &Context<'_>,
) -> Result<ReplyFn, Error> {
    let delta = parse_i64(request.get(2).unwrap_or_default()).ok_or(Error::NOT_AN_INTEGER)?;
    Ok(add(plan, request, delta))
}

pub(super) fn decrby<'a>(
    plan: &mut Plan<'a>,
    request: Request<'a>,
    _: &Context<'_>,
) -> Result<ReplyFn, Error> {
    let by = parse_i64(request.get(2).unwrap_or_default()).ok_or(Error::NOT_AN_INTEGER)?;
    let delta = by.checked_neg().ok_or(Error::new("ERR decrement would overflow"))?;
    Ok(add(plan, request, delta))
}

fn add<'a>(plan: &mut Plan<'a>, request: Request<'a>, delta: i64) -> ReplyFn {
    plan.update(request.get(1).unwrap_or_default(), Add { delta, digits: Vec::new() });
    ReplyFn::Updated
}

struct Add {
    delta: i64,
    digits: Vec<u8>,
}

impl Update for Add {
    fn decide(&mut self, current: Option<&Entry<'_>>) -> (Decision<'_>, Value) {
        let sum = match current.map_or(Some(0), |entry| parse_i64(entry.value)) {
            None => Err(Error::NOT_AN_INTEGER),
            Some(number) => number.checked_add(self.delta).ok_or(Error::OVERFLOW),
        };
        match sum {
            Err(error) => (Decision::Keep, error.into()),
            Ok(sum) => {
                self.digits.clear();
                push_i64(&mut self.digits, sum);
                let expiry_ms = current.map_or(0, |entry| entry.expiry_ms);
                let entry = Entry { value: &self.digits, expiry_ms, ..Entry::default() };
                (Decision::Replace(entry), Value::Integer(sum))
            }
        }
    }

    fn stored(&self) -> &'static [Event] {
        const { &[Event::string("incrby")] }
    }
}

#[cfg(test)]
mod tests {
    use crate::command::testing::expect;

    #[test]
    fn as_redis() {
        expect(&[
            ("INCR n", ":1"),
            ("INCR n", ":2"),
            ("GET n", "$1 2"),
            ("INCRBY n 40", ":42"),
            ("INCRBY n -50", ":-8"),
            ("DECR n", ":-9"),
            ("DECRBY n 11", ":-20"),
            ("DECRBY n -20", ":0"),
            ("DECR new", ":-1"),
            ("SET n 9223372036854775807", "+OK"),
            ("INCR n", "-ERR increment or decrement would overflow"),
            ("GET n", "$19 9223372036854775807"),
            ("DECRBY n -1", "-ERR increment or decrement would overflow"),
            ("SET n -9223372036854775808", "+OK"),
            ("DECR n", "-ERR increment or decrement would overflow"),
            ("DECRBY n -9223372036854775808", "-ERR decrement would overflow"),
            ("INCRBY n -9223372036854775808", "-ERR increment or decrement would overflow"),
            ("INCRBY n 9223372036854775808", "-ERR value is not an integer or out of range"),
            ("INCRBY n x", "-ERR value is not an integer or out of range"),
            ("INCRBY n 1.5", "-ERR value is not an integer or out of range"),
            ("INCRBY n +1", "-ERR value is not an integer or out of range"),
            ("SET n x", "+OK"),
            ("INCR n", "-ERR value is not an integer or out of range"),
            ("SET n \" 1\"", "+OK"),
            ("INCR n", "-ERR value is not an integer or out of range"),
            ("SET n \"\"", "+OK"),
            ("INCR n", "-ERR value is not an integer or out of range"),
            ("SET n 01", "+OK"),
            ("INCR n", "-ERR value is not an integer or out of range"),
            ("SET n 5 EX 100", "+OK"),
            ("INCR n", ":6"),
            ("TTL n", ":100"),
            ("INCR", "-ERR wrong number of arguments for 'incr' command"),
            ("DECRBY n", "-ERR wrong number of arguments for 'decrby' command"),
        ]);
    }
}
