//! RENAME and RENAMENX: an entry moves to another key.

use super::link::{Put, Seen, Take, Taken};
use super::{Answers, Context, Error, ReplyFn};
use crate::plugin::Plan;
use crate::protocol::{Reply, Request, Value};
use crate::pubsub::Event;

const NO_SUCH_KEY: Error = Error::new("ERR no such key");

pub(super) fn rename<'a>(
    plan: &mut Plan<'a>,
    request: Request<'a>,
    _: &Context<'_>,
) -> Result<ReplyFn, Error> {
    Ok(move_entry(plan, request, true, Value::Ok))
}

pub(super) fn renamenx<'a>(
    plan: &mut Plan<'a>,
    request: Request<'a>,
    _: &Context<'_>,
) -> Result<ReplyFn, Error> {
    Ok(move_entry(plan, request, false, Value::Integer(1)))
}

fn move_entry<'a>(plan: &mut Plan<'a>, request: Request<'a>, replaces: bool, done: Value) -> ReplyFn {
    let (from, to) = (request.get(1).unwrap_or_default(), request.get(2).unwrap_or_default());
    if from == to {
        // It stays where it is; all that is asked is whether there is one.
        plan.get_no_value(from);
        let there = if replaces { Value::Ok } else { Value::Integer(0) };
        return ReplyFn::new(move |answers: Answers<'_>, reply: &mut dyn Reply| {
            let found = answers.all().iter().any(|outcome| outcome.status == plugin_abi::Status::OK);
            if found { there.write(reply) } else { reply.error(&NO_SUCH_KEY.0) }
        });
    }
    let (seen, mut unless) = (Seen::default(), None);
    if !replaces {
        let taken = Taken::default();
        plan.update(to, taken.look(true));
        unless = Some(taken);
    }
    let told = const { &[Event::generic("rename_from")] };
    plan.update(from, Take { seen: seen.clone(), unless, told });
    let told = const { &[Event::generic("rename_to")] };
    plan.update(to, Put::new(seen, replaces, NO_SUCH_KEY.into(), done, told));
    ReplyFn::Updated
}

#[cfg(test)]
mod tests {
    use crate::command::testing::expect;

    #[test]
    fn as_redis() {
        expect(&[
            ("RENAME none x", "-ERR no such key"),
            ("RENAME none none", "-ERR no such key"),
            ("RENAMENX none x", "-ERR no such key"),
            ("RENAMENX none none", "-ERR no such key"),
            ("SET a 1 PXAT 33177117420123", "+OK"),
            ("SET b 2", "+OK"),
            ("RENAME a a", "+OK"),
            ("RENAMENX a a", ":0"),
            ("RENAMENX a b", ":0"),
            ("MGET a b", "*2 $1 1 $1 2"),
            ("RENAMENX none b", "-ERR no such key"),
            ("GET b", "$1 2"),
            ("RENAME a b", "+OK"),
            ("MGET a b", "*2 $-1 $1 1"),
            ("PEXPIRETIME b", ":33177117420123"),
            ("RENAMENX b c", ":1"),
            ("PEXPIRETIME c", ":33177117420123"),
            ("SET d 4", "+OK"),
            ("RENAME d c", "+OK"),
            ("TTL c", ":-1"),
            ("SET \"\" empty", "+OK"),
            ("RENAME \"\" e", "+OK"),
            ("GET e", "$5 empty"),
            ("RENAME a", "-ERR wrong number of arguments for 'rename' command"),
            ("RENAMENX a b c", "-ERR wrong number of arguments for 'renamenx' command"),
        ]);
    }
}
