//! OBJECT: how a value would be kept in Redis, and what is not counted here.

use plugin_abi::Status;

use super::{Answers, Context, Error, ReplyFn, Session, container};
use crate::plugin::Plan;
use crate::protocol::{Reply, Request, Value, parse_i64};
use crate::server::Server;

super::table::commands! { pub(super) static SUBCOMMANDS of "object" =
    "encoding" 3 OF_SUBCOMMAND(RO) [readonly] [keyspace] generic "2.2.3" "Inspect the internal encoding of a Redis object" "key" => Data(encoding);
    "freq"     3 OF_SUBCOMMAND(RO) [readonly] [keyspace] generic "4.0.0" "Get the logarithmic access frequency counter of a Redis object" "key" => Data(freq);
    "idletime" 3 OF_SUBCOMMAND(RO) [readonly] [keyspace] generic "2.2.3" "Get the time since a Redis object was last accessed" "key" => Data(idletime);
    "refcount" 3 OF_SUBCOMMAND(RO) [readonly] [keyspace] generic "2.2.3" "Get the number of references to the value of the key" "key" => Data(refcount);
    "help"     2 NO_KEYS [loading stale] [keyspace] generic "6.2.0" "Show helpful text about the different subcommands" "" => Session(help);
}

/// Digits and sign of the longest integer that Redis keeps as one.
const INTEGER_LEN_MAX: usize = 20;
/// Bytes of the longest text that Redis keeps in one piece with what it knows of it.
const EMBEDDED_LEN_MAX: usize = 44;

/// What Redis would make of a value that is set. What a value went through, as by APPEND, leaves no trace here.
fn encoding_of(value: &[u8]) -> &'static [u8] {
    if value.len() <= INTEGER_LEN_MAX && parse_i64(value).is_some() {
        b"int"
    } else if value.len() <= EMBEDDED_LEN_MAX {
        b"embstr"
    } else {
        b"raw"
    }
}

fn encoding<'a>(plan: &mut Plan<'a>, request: Request<'a>, _: &Context<'_>) -> Result<ReplyFn, Error> {
    plan.get(request.get(2).unwrap_or_default());
    Ok(ReplyFn::new(|answers, reply| match answers.value(0) {
        Some(value) => reply.bulk(encoding_of(value)),
        None => reply.null(),
    }))
}

/// Plans a question that has the same answer for each key that there is.
fn same_for_all<'a>(plan: &mut Plan<'a>, request: Request<'a>, answer: Value) -> ReplyFn {
    plan.get_no_value(request.get(2).unwrap_or_default());
    ReplyFn::new(move |answers: Answers<'_>, reply: &mut dyn Reply| {
        let found = answers.all().iter().any(|outcome| outcome.status == Status::OK);
        if found { answer.write(reply) } else { reply.null() }
    })
}

fn freq<'a>(plan: &mut Plan<'a>, request: Request<'a>, _: &Context<'_>) -> Result<ReplyFn, Error> {
    let refusal = Value::error(
        "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust.",
    );
    Ok(same_for_all(plan, request, refusal))
}

fn idletime<'a>(plan: &mut Plan<'a>, request: Request<'a>, context: &Context<'_>) -> Result<ReplyFn, Error> {
    Ok(same_for_all(plan, request, Error::lacks(context.engine, "times of access").into()))
}

/// No value is shared with another key.
fn refcount<'a>(plan: &mut Plan<'a>, request: Request<'a>, _: &Context<'_>) -> Result<ReplyFn, Error> {
    Ok(same_for_all(plan, request, Value::Integer(1)))
}

fn help(_: &mut Session, _: &Server, _: Request<'_>) -> Result<Value, Error> {
    Ok(container::help(
        "object",
        &[
            "ENCODING <key>",
            "    Return how Redis would represent the value associated with a <key>.",
            "FREQ <key>",
            "    Return an error: frequencies of access are not counted.",
            "IDLETIME <key>",
            "    Return an error: times of access are not kept.",
            "REFCOUNT <key>",
            "    Return the number of references of the value associated with the specified",
            "    <key>, which is 1.",
        ],
    ))
}

#[cfg(test)]
mod tests {
    use crate::command::testing::expect;

    #[test]
    fn as_redis() {
        let arity = |name| format!("-ERR wrong number of arguments for 'object|{name}' command");
        expect(&[
            ("OBJECT ENCODING none", "$-1"),
            ("OBJECT FREQ none", "$-1"),
            ("OBJECT IDLETIME none", "$-1"),
            ("OBJECT REFCOUNT none", "$-1"),
            ("SET k -9223372036854775808", "+OK"),
            ("OBJECT ENCODING k", "$3 int"),
            ("object encoding k", "$3 int"),
            ("SET k 9223372036854775808", "+OK"),
            ("OBJECT ENCODING k", "$6 embstr"),
            ("SET k 01", "+OK"),
            ("OBJECT ENCODING k", "$6 embstr"),
            ("SET k \"\"", "+OK"),
            ("OBJECT ENCODING k", "$6 embstr"),
            ("SET k 12345678901234567890123456789012345678901234", "+OK"),
            ("OBJECT ENCODING k", "$6 embstr"),
            ("SET k 123456789012345678901234567890123456789012345", "+OK"),
            ("OBJECT ENCODING k", "$3 raw"),
            ("OBJECT REFCOUNT k", ":1"),
            ("OBJECT IDLETIME k", "-ERR engine 'map' cannot carry this out: it lacks times of access"),
            ("OBJECT ENCODING", &arity("encoding")),
            ("OBJECT FREQ k x", &arity("freq")),
            ("OBJECT foo k", "-ERR unknown subcommand 'foo'. Try OBJECT HELP."),
            ("OBJECT", "-ERR wrong number of arguments for 'object' command"),
        ]);
        let mut rig = crate::command::testing::Rig::new();
        rig.expect(&[("SET k v", "+OK")]);
        assert!(rig.run("OBJECT FREQ k").starts_with("-ERR An LFU maxmemory policy is not selected, "));
        assert!(rig.run("OBJECT HELP").starts_with("*12 +OBJECT <subcommand> "));
    }
}
