//! TTL, PTTL, EXPIRETIME and PEXPIRETIME: when a key will be gone.

use plugin_abi::Status;

use super::{Context, Error, ReplyFn};
use crate::plugin::{Answers, Plan};
use crate::protocol::{Reply, Request};

pub(super) fn ttl<'a>(
    plan: &mut Plan<'a>,
    request: Request<'a>,
    context: &Context<'_>,
) -> Result<ReplyFn, Error> {
    let now_ms = context.now_ms;
    ask(plan, request, move |expiry_ms| to_seconds(left(expiry_ms, now_ms)))
}

pub(super) fn pttl<'a>(
    plan: &mut Plan<'a>,
    request: Request<'a>,
    context: &Context<'_>,
) -> Result<ReplyFn, Error> {
    let now_ms = context.now_ms;
    ask(plan, request, move |expiry_ms| left(expiry_ms, now_ms))
}

pub(super) fn expiretime<'a>(
    plan: &mut Plan<'a>,
    request: Request<'a>,
    _: &Context<'_>,
) -> Result<ReplyFn, Error> {
    ask(plan, request, to_seconds)
}

pub(super) fn pexpiretime<'a>(
    plan: &mut Plan<'a>,
    request: Request<'a>,
    _: &Context<'_>,
) -> Result<ReplyFn, Error> {
    ask(plan, request, |expiry_ms| expiry_ms)
}

/// Milliseconds left; 0 where the time passed between the engine's look at the clock and ours.
fn left(expiry_ms: i64, now_ms: i64) -> i64 {
    expiry_ms.saturating_sub(now_ms).max(0)
}

/// Rounded to the nearest second, as Redis does.
fn to_seconds(ms: i64) -> i64 {
    ms / 1000 + (ms % 1000 + 500) / 1000
}

/// Plans the question, answered with -2 for no entry, -1 for no expiry, else with what `tell` makes of the expiry.
fn ask<'a>(
    plan: &mut Plan<'a>,
    request: Request<'a>,
    tell: impl Fn(i64) -> i64 + Send + 'static,
) -> Result<ReplyFn, Error> {
    plan.get_no_value(request.get(1).unwrap_or_default());
    Ok(ReplyFn::new(move |answers: Answers<'_>, reply: &mut dyn Reply| {
        let entry = answers.all().first().filter(|outcome| outcome.status == Status::OK);
        reply.integer(match entry.map(|outcome| outcome.expiry_ms) {
            None => -2,
            Some(0) => -1,
            Some(expiry_ms) => tell(expiry_ms),
        });
    }))
}

#[cfg(test)]
mod tests {
    use crate::command::testing::{Rig, expect};

    #[test]
    fn as_redis() {
        expect(&[
            ("TTL none", ":-2"),
            ("PTTL none", ":-2"),
            ("EXPIRETIME none", ":-2"),
            ("PEXPIRETIME none", ":-2"),
            ("SET k v", "+OK"),
            ("TTL k", ":-1"),
            ("PTTL k", ":-1"),
            ("EXPIRETIME k", ":-1"),
            ("PEXPIRETIME k", ":-1"),
            ("PEXPIREAT k 33177117420499", ":1"),
            ("EXPIRETIME k", ":33177117420"),
            ("PEXPIREAT k 9223372036854775807", ":1"),
            ("EXPIRETIME k", ":9223372036854776"),
            ("PEXPIREAT k 33177117420500", ":1"),
            ("EXPIRETIME k", ":33177117421"),
            ("PEXPIRETIME k", ":33177117420500"),
            ("PEXPIREAT k 9223372036854775807", ":1"),
            ("PEXPIRETIME k", ":9223372036854775807"),
            ("PERSIST k", ":1"),
            ("PERSIST k", ":0"),
            ("PERSIST none", ":0"),
            ("TTL k", ":-1"),
            ("TTL", "-ERR wrong number of arguments for 'ttl' command"),
            ("PERSIST", "-ERR wrong number of arguments for 'persist' command"),
        ]);
    }

    #[test]
    fn what_is_left_is_told_to_the_millisecond() {
        let mut rig = Rig::new();
        rig.expect(&[("SET k v PX 100000", "+OK")]);
        let left: i64 = rig.run("PTTL k").strip_prefix(':').unwrap().parse().unwrap();
        assert!((90_000..=100_000).contains(&left));
        rig.server.clock.shift_ms(50_000);
        let later: i64 = rig.run("PTTL k").strip_prefix(':').unwrap().parse().unwrap();
        assert!((40_000..=left - 50_000).contains(&later));
    }
}
