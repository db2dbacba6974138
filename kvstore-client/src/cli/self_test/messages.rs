//! Checks of publish and subscribe: a message reaches who listens, in either protocol.

use super::host::{Host, Trouble, bulk, same, wants};
use super::{Check, check};
use kvstore_client::{Connection, Error, Limits, Value, encode_command};

pub(super) const CHECKS: &[Check] = &[
    check("sends messages to a subscriber in RESP2", |host| messages(host, "2")),
    check("sends messages to a subscriber in RESP3", |host| messages(host, "3")),
];

fn messages(host: &mut Host, version: &str) -> Result<(), Trouble> {
    let channel = host.name("news");
    let pattern = [&channel[..], b"*"].concat();
    let mut listener =
        Connection::connect(&host.options().address(), host.options().wait(), Limits::default())?;
    let mut requests = Vec::new();
    encode_command(&["HELLO", version], &mut requests);
    encode_command(&[&b"SUBSCRIBE"[..], &channel], &mut requests);
    encode_command(&[&b"PSUBSCRIBE"[..], &pattern], &mut requests);
    listener.send(&requests)?;
    if let Value::Error(reply) = listener.receive()? {
        return Err(Error::Reply(reply).into());
    }
    let mut next = |expected: Vec<Value>| match listener.receive()? {
        Value::Error(reply) => Err(Trouble::from(Error::Reply(reply))),
        message => {
            let expected = if version == "3" { Value::Push(expected) } else { Value::Array(expected) };
            same("a message", &message, &expected)
        }
    };
    next(vec![bulk("subscribe"), bulk(&channel), Value::Integer(1)])?;
    next(vec![bulk("psubscribe"), bulk(&pattern), Value::Integer(2)])?;
    let told = host.client().call(&[&b"PUBLISH"[..], &channel, b"a\r\nb"])?;
    wants(told == Value::Integer(2), || format!("PUBLISH: two subscriptions, and it told {told:?}"))?;
    next(vec![bulk("message"), bulk(&channel), bulk("a\r\nb")])?;
    next(vec![bulk("pmessage"), bulk(&pattern), bulk(&channel), bulk("a\r\nb")])
}
