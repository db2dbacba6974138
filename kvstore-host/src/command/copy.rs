//! COPY: an entry is stored under another key as well.

use super::link::{Look, Put, Seen};
use super::{Context, Error, ReplyFn};
use crate::plugin::Plan;
use crate::protocol::{Request, Value, parse_i64};
use crate::pubsub::Event;

pub(super) fn copy<'a>(plan: &mut Plan<'a>, request: Request<'a>, _: &Context<'_>) -> Result<ReplyFn, Error> {
    let mut replaces = false;
    let mut options = request.skip(3).iter();
    while let Some(option) = options.next() {
        if option.eq_ignore_ascii_case(b"REPLACE") {
            replaces = true;
        } else if option.eq_ignore_ascii_case(b"DB")
            && let Some(database) = options.next()
        {
            only_database_0(database)?;
        } else {
            return Err(Error::SYNTAX);
        }
    }
    let (from, to) = (request.get(1).unwrap_or_default(), request.get(2).unwrap_or_default());
    if from == to {
        return Err(Error::new("ERR source and destination objects are the same"));
    }
    let seen = Seen::default();
    plan.update(from, Look(seen.clone()));
    let told = const { &[Event::generic("copy_to")] };
    plan.update(to, Put::new(seen, replaces, Value::Integer(0), Value::Integer(1), told));
    Ok(ReplyFn::Updated)
}

fn only_database_0(number: &[u8]) -> Result<(), Error> {
    let number = parse_i64(number).ok_or(Error::NOT_AN_INTEGER)?;
    match i32::try_from(number) {
        Ok(0) => Ok(()),
        Ok(_) => Err(Error::new("ERR DB index is out of range")),
        Err(_) => Err(Error::new("ERR value is out of range, value must between -2147483648 and 2147483647")),
    }
}

#[cfg(test)]
mod tests {
    use crate::command::testing::expect;

    #[test]
    fn as_redis() {
        let same = "-ERR source and destination objects are the same";
        expect(&[
            ("COPY none x", ":0"),
            ("EXISTS x", ":0"),
            ("SET a 1 PXAT 33177117420123", "+OK"),
            ("COPY a b", ":1"),
            ("MGET a b", "*2 $1 1 $1 1"),
            ("PEXPIRETIME b", ":33177117420123"),
            ("SET a 2", "+OK"),
            ("COPY a b", ":0"),
            ("COPY a b replace", ":1"),
            ("GET b", "$1 2"),
            ("TTL b", ":-1"),
            ("COPY none b REPLACE", ":0"),
            ("GET b", "$1 2"),
            ("COPY a b REPLACE DB 0 REPLACE", ":1"),
            ("COPY a a", same),
            ("COPY none none DB 0", same),
            ("COPY a b DB 1", "-ERR DB index is out of range"),
            ("COPY a b DB -1", "-ERR DB index is out of range"),
            ("COPY a b DB 2147483647", "-ERR DB index is out of range"),
            (
                "COPY a b DB 2147483648",
                "-ERR value is out of range, value must between -2147483648 and 2147483647",
            ),
            ("COPY a b DB 9223372036854775808", "-ERR value is not an integer or out of range"),
            ("COPY a b DB x", "-ERR value is not an integer or out of range"),
            ("COPY a b DB", "-ERR syntax error"),
            ("COPY a b foo", "-ERR syntax error"),
            ("COPY a", "-ERR wrong number of arguments for 'copy' command"),
        ]);
    }
}
