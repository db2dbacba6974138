//! Checks of the protocol: signs of life, errors, both versions, pipelines, inline lines.

use super::host::{Host, Trouble, bulk, ok, same, wants};
use super::{Check, check};
use kvstore_client::{Connection, Limits, Pipeline, Value};

pub(super) const CHECKS: &[Check] = &[
    check("answers PING and ECHO", signs_of_life),
    check("refuses an unknown command and goes on", unknown_command),
    check("refuses a wrong number of arguments and goes on", wrong_arity),
    check("speaks RESP2", |host| speaks(host, "2")),
    check("speaks RESP3", |host| speaks(host, "3")),
    check("reads inline lines with quotes", inline),
    check("keeps the order of a pipeline of 1,000", order),
    check("takes a pipeline of 16 MiB while its replies come back", long_pipeline),
];

fn signs_of_life(host: &mut Host) -> Result<(), Trouble> {
    host.expect(&["PING"], Value::Simple(b"PONG".to_vec()))?;
    host.expect(&["PING", "hello"], bulk("hello"))?;
    host.expect(&["ECHO", "a\r\nb"], bulk("a\r\nb"))
}

fn unknown_command(host: &mut Host) -> Result<(), Trouble> {
    host.expect_error(&["KVSTORE-TEST-NO-SUCH-COMMAND"], "ERR unknown command")?;
    host.expect(&["PING"], Value::Simple(b"PONG".to_vec()))
}

fn wrong_arity(host: &mut Host) -> Result<(), Trouble> {
    host.expect_error(&["GET"], "ERR wrong number of arguments")?;
    host.expect(&["PING"], Value::Simple(b"PONG".to_vec()))
}

fn speaks(host: &mut Host, version: &str) -> Result<(), Trouble> {
    let key = host.key(format!("resp{version}"));
    let hello = host.client().call(&["HELLO", version])?;
    let is_map = matches!(hello, Value::Map(_));
    wants(is_map == (version == "3"), || format!("HELLO {version}: unexpected kind of reply: {hello:?}"))?;
    host.expect(&[&b"GET"[..], &key], Value::Nil)?;
    host.expect(&[&b"SET"[..], &key, b"v"], ok())?;
    host.expect(&[&b"GET"[..], &key], bulk("v"))
}

fn inline(host: &mut Host) -> Result<(), Trouble> {
    let key = host.key("inline");
    let mut connection = raw(host)?;
    let name = String::from_utf8_lossy(&key).into_owned();
    connection.send(format!("SET {name} \"a b\\x00\"\r\nGET {name}\r\n").as_bytes())?;
    same("an inline SET", &connection.receive()?, &ok())?;
    same("an inline GET", &connection.receive()?, &bulk("a b\0"))
}

fn order(host: &mut Host) -> Result<(), Trouble> {
    let key = host.key("order");
    let mut pipeline = Pipeline::new();
    (0..1_000).for_each(|_| {
        pipeline.add(&[b"INCR", key.as_slice()]);
    });
    let expected: Vec<Value> = (1..=1_000).map(Value::Integer).collect();
    host.expect_all(&pipeline, &expected)
}

fn long_pipeline(host: &mut Host) -> Result<(), Trouble> {
    let key = host.key("long");
    let value = vec![b'v'; 256 * 1024];
    let (mut pipeline, mut expected) = (Pipeline::new(), Vec::new());
    for _ in 0..64 {
        pipeline.add(&[b"SET", key.as_slice(), &value]).add(&[b"GET", key.as_slice()]);
        expected.extend([ok(), bulk(&value)]);
    }
    host.expect_all(&pipeline, &expected)
}

fn raw(host: &Host) -> Result<Connection, Trouble> {
    let options = host.options();
    Ok(Connection::connect(&options.address(), options.wait(), Limits::default())?)
}
