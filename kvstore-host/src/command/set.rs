//! SET with all its options, and its older forms SETNX, SETEX, PSETEX and GETSET.

use plugin_abi::sdk::{Decision, Entry};

use super::expiry::{self, Expiry, Unit};
use super::get::value_of;
use super::{Context, Error, ReplyFn};
use crate::plugin::{Plan, Update};
use crate::protocol::{Request, Value};
use crate::pubsub::Event;

/// On what a write depends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Condition<'a> {
    Always,
    IfAbsent,
    IfPresent,
    /// There is an entry, and this is its value.
    IfEqual(&'a [u8]),
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
    condition: Condition<'a>,
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
        let free = |given| [Condition::Always, given].contains(&write.condition);
        if is(b"NX") && free(Condition::IfAbsent) {
            write.condition = Condition::IfAbsent;
        } else if is(b"XX") && free(Condition::IfPresent) {
            write.condition = Condition::IfPresent;
        } else if is(b"IFEQ")
            && free(Condition::Always)
            && let Some(value) = options.next()
        {
            write.condition = Condition::IfEqual(value);
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
            _ => {
                plan.update(key, self);
                return ReplyFn::Updated;
            }
        }
        ReplyFn::Ok
    }
}

impl Update for Write<'_> {
    fn decide(&mut self, current: Option<&Entry<'_>>) -> (Decision<'_>, Value) {
        let holds = match self.condition {
            Condition::Always => true,
            Condition::IfAbsent => current.is_none(),
            Condition::IfPresent => current.is_some(),
            Condition::IfEqual(value) => current.is_some_and(|entry| entry.value == value),
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

    fn stored(&self) -> &'static [Event] {
        if matches!(self.expiry, Expiry::At(_)) { &[Event::SET, Event::EXPIRE] } else { &[Event::SET] }
    }

    /// As if the new value had been there for a moment.
    fn removed(&self) -> &'static [Event] {
        &[Event::SET, Event::EXPIRE, Event::EXPIRED]
    }

    fn reads(&self) -> bool {
        self.answer == Answer::Old
    }

    fn value_len(&self) -> usize {
        self.value.len()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use plugin_abi::raw::KV_CAP_THREAD_SAFE;

    use crate::command::testing::{Rig, expect};
    use crate::pubsub::Classes;

    #[test]
    fn a_value_beyond_the_limit_is_refused_in_every_form() {
        let mut rig = Rig::new();
        rig.server.settings.value_len_max.store(4, Ordering::Relaxed);
        let refused = "-ERR value of 5 bytes is longer than 4 bytes";
        for events in ["", "KEAmn"] {
            rig.server.pubsub.classes.set(Classes::parse(events.as_bytes()).unwrap());
            rig.expect(&[
                ("SET k 1234", "+OK"),
                ("SET k 12345", refused),
                ("SET k 12345 EX 10", refused),
                ("SET k 12345 XX", refused),
                ("SET k 12345 NX", refused),
                ("SET k 12345 GET", refused),
                ("SET k 12345 KEEPTTL", refused),
                ("SET k 12345 IFEQ 1234", refused),
                ("SETNX n 12345", refused),
                ("SETEX k 10 12345", refused),
                ("GETSET k 12345", refused),
                ("MSET a 1 k 12345", refused),
                ("GET k", "$4 1234"),
                ("EXISTS n a", ":0"),
            ]);
        }
    }

    #[test]
    fn conditions_as_redis() {
        expect(&[
            ("SET k a", "+OK"),
            ("SET k b NX", "$-1"),
            ("SET k b XX", "+OK"),
            ("SET none b XX", "$-1"),
            ("EXISTS none", ":0"),
            ("SET new b nx", "+OK"),
            ("GET k", "$1 b"),
            ("SET k c GET", "$1 b"),
            ("SET fresh c GET", "$-1"),
            ("GET fresh", "$1 c"),
            ("SET k d NX GET", "$1 c"),
            ("GET k", "$1 c"),
            ("SET k d XX GET", "$1 c"),
            ("SET absent d XX GET", "$-1"),
            ("EXISTS absent", ":0"),
            ("SET absent d NX GET", "$-1"),
            ("GET absent", "$1 d"),
            ("SET k v NX XX", "-ERR syntax error"),
            ("SET k v XX NX", "-ERR syntax error"),
            ("SET k v NX NX", "$-1"),
            ("SET k v GET GET", "$1 d"),
        ]);
    }

    /// As Valkey 8.1 and Redis 8.4 have it.
    #[test]
    fn compare_and_set() {
        expect(&[
            ("SET k a IFEQ a", "$-1"),
            ("EXISTS k", ":0"),
            ("SET k a IFEQ \"\"", "$-1"),
            ("EXISTS k", ":0"),
            ("SET k a EX 100", "+OK"),
            ("SET k b IFEQ x", "$-1"),
            ("SET k b IFEQ A", "$-1"),
            ("GET k", "$1 a"),
            ("SET k b ifeq a KEEPTTL", "+OK"),
            ("TTL k", ":100"),
            ("SET k c IFEQ b PX 200000", "+OK"),
            ("TTL k", ":200"),
            ("SET k d IFEQ x GET", "$1 c"),
            ("GET k", "$1 c"),
            ("SET k d GET IFEQ c", "$1 c"),
            ("GET k", "$1 d"),
            ("TTL k", ":-1"),
            ("SET none d IFEQ d GET", "$-1"),
            ("EXISTS none", ":0"),
            ("SET k e IFEQ d PXAT 1", "+OK"),
            ("EXISTS k", ":0"),
            ("SET k v IFEQ", "-ERR syntax error"),
            ("SET k v IFEQ a NX", "-ERR syntax error"),
            ("SET k v XX IFEQ a", "-ERR syntax error"),
            ("SET k v IFEQ a IFEQ a", "-ERR syntax error"),
            ("SET k v IFEQ NX", "$-1"),
        ]);
    }

    #[test]
    fn expiry_as_redis() {
        expect(&[
            ("SET k v EX 100", "+OK"),
            ("TTL k", ":100"),
            ("SET k w KEEPTTL", "+OK"),
            ("TTL k", ":100"),
            ("SET k w", "+OK"),
            ("TTL k", ":-1"),
            ("SET k w KEEPTTL", "+OK"),
            ("TTL k", ":-1"),
            ("SET new w KEEPTTL", "+OK"),
            ("TTL new", ":-1"),
            ("SET k v PX 100000", "+OK"),
            ("TTL k", ":100"),
            ("SET k v EXAT 33177117420", "+OK"),
            ("EXPIRETIME k", ":33177117420"),
            ("SET k v PXAT 33177117420123", "+OK"),
            ("PEXPIRETIME k", ":33177117420123"),
            ("SET k v XX GET EX 100", "$1 v"),
            ("TTL k", ":100"),
            ("SET k v NX EX 5", "$-1"),
            ("TTL k", ":100"),
            ("SET k v EX 1 EX 200", "+OK"),
            ("TTL k", ":200"),
            ("SET k v EXAT 1", "+OK"),
            ("EXISTS k", ":0"),
            ("SET k v", "+OK"),
            ("SET k w PXAT 1 NX", "$-1"),
            ("SET k w PXAT 1 GET", "$1 v"),
            ("EXISTS k", ":0"),
            ("SET k w PXAT 1 XX", "$-1"),
        ]);
    }

    #[test]
    fn errors_as_redis() {
        expect(&[
            ("SET k v EX 0", "-ERR invalid expire time in 'set' command"),
            ("SET k v PX -1", "-ERR invalid expire time in 'set' command"),
            ("SET k v EXAT 0", "-ERR invalid expire time in 'set' command"),
            ("SET k v EX 9223372036854775807", "-ERR invalid expire time in 'set' command"),
            ("SET k v EX 9223372036854775", "-ERR invalid expire time in 'set' command"),
            ("SET k v PX 9223372036854775807", "-ERR invalid expire time in 'set' command"),
            ("SET k v EXAT 9223372036854776", "-ERR invalid expire time in 'set' command"),
            ("SET k v EX 9223372036854775808", "-ERR value is not an integer or out of range"),
            ("SET k v EX x", "-ERR value is not an integer or out of range"),
            ("SET k v EX 1.5", "-ERR value is not an integer or out of range"),
            ("SET k v NX EX x", "-ERR value is not an integer or out of range"),
            ("SET k v EX", "-ERR syntax error"),
            ("SET k v EX 1 PX 1", "-ERR syntax error"),
            ("SET k v EXAT 1 EX 1", "-ERR syntax error"),
            ("SET k v KEEPTTL EX 1", "-ERR syntax error"),
            ("SET k v EX 1 KEEPTTL", "-ERR syntax error"),
            ("SET k v KEEPTTL KEEPTTL", "+OK"),
            ("SET k v PERSIST", "-ERR syntax error"),
            ("SET k v EX x foo", "-ERR syntax error"),
            ("SET k v foo", "-ERR syntax error"),
            ("SET k", "-ERR wrong number of arguments for 'set' command"),
        ]);
    }

    #[test]
    fn older_forms_as_redis() {
        expect(&[
            ("SETNX k a", ":1"),
            ("SETNX k b", ":0"),
            ("GET k", "$1 a"),
            ("SETEX k 100 c", "+OK"),
            ("TTL k", ":100"),
            ("PSETEX k 200000 d", "+OK"),
            ("TTL k", ":200"),
            ("GETSET k e", "$1 d"),
            ("TTL k", ":-1"),
            ("GETSET none e", "$-1"),
            ("GET none", "$1 e"),
            ("SETEX k 0 v", "-ERR invalid expire time in 'setex' command"),
            ("SETEX k 9223372036854775807 v", "-ERR invalid expire time in 'setex' command"),
            ("SETEX k x v", "-ERR value is not an integer or out of range"),
            ("PSETEX k -1 v", "-ERR invalid expire time in 'psetex' command"),
            ("PSETEX k 1", "-ERR wrong number of arguments for 'psetex' command"),
            ("SETNX k", "-ERR wrong number of arguments for 'setnx' command"),
            ("GETSET k", "-ERR wrong number of arguments for 'getset' command"),
        ]);
    }

    #[test]
    fn an_engine_without_expiry_is_named() {
        let mut rig = Rig::new();
        rig.map.identity.capabilities = KV_CAP_THREAD_SAFE;
        let refusal = "-ERR engine 'map' cannot carry this out: it lacks EXPIRY";
        rig.expect(&[
            ("SET k v", "+OK"),
            ("SET k v EX 1", refusal),
            ("SET k v NX PX 1", refusal),
            ("SETEX k 1 v", refusal),
            ("PSETEX k 1 v", refusal),
            ("GETEX k EX 1", refusal),
            ("EXPIRE k 1", refusal),
            ("PEXPIREAT k 33177117420000 NX", refusal),
            ("GETEX k PERSIST", "$1 v"),
            ("SET k w KEEPTTL", "+OK"),
            ("GETSET k x", "$1 w"),
            ("TTL k", ":-1"),
            ("PEXPIRETIME k", ":-1"),
            ("PERSIST k", ":0"),
            // What is over already is removed, for which no expiry is needed.
            ("EXPIRE k -1", ":1"),
            ("EXISTS k", ":0"),
            ("SET k v PXAT 1", "+OK"),
            ("EXISTS k", ":0"),
        ]);
    }

    #[test]
    fn an_entry_is_gone_when_its_time_has_come() {
        let mut rig = Rig::new();
        rig.expect(&[("SET k v EX 10", "+OK"), ("SET stays v", "+OK"), ("TTL k", ":10")]);
        rig.server.clock.shift_ms(9_000);
        rig.expect(&[("TTL k", ":1"), ("EXISTS k stays", ":2")]);
        rig.server.clock.shift_ms(1_500);
        rig.expect(&[("GET k", "$-1"), ("TTL k", ":-2"), ("SET k v XX", "$-1"), ("DBSIZE", ":1")]);
    }
}
