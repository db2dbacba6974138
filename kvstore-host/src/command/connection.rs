//! PING, ECHO, AUTH, SELECT, TIME, RESET and QUIT: what is said between a client and the server, without any data.

use super::{Error, Session, subscribe};
use crate::protocol::{Protocol, Request, Value, parse_i64};
use crate::server::Server;

pub(super) fn ping(session: &mut Session, _: &Server, request: Request<'_>) -> Result<Value, Error> {
    match (request.get(1), request.len()) {
        // In the form of a message, as is all else that such a client is sent.
        (text, 1 | 2) if session.only_listens() => {
            let text = Value::Bulk(text.unwrap_or_default().to_vec());
            Ok(Value::Array(vec![Value::text("pong"), text]))
        }
        (None, _) => Ok(Value::Simple("PONG".into())),
        (Some(text), 2) => Ok(Value::Bulk(text.to_vec())),
        _ => Err(Error::arity("ping")),
    }
}

pub(super) fn echo(_: &mut Session, _: &Server, request: Request<'_>) -> Result<Value, Error> {
    Ok(Value::Bulk(request.get(1).unwrap_or_default().to_vec()))
}

pub(super) fn auth(_: &mut Session, _: &Server, request: Request<'_>) -> Result<Value, Error> {
    match (request.get(1), request.len()) {
        (Some(user), 3) => check_user(user).map(|()| Value::Ok),
        (_, 2) => Err(Error::new(
            "ERR AUTH <password> called without any password configured for the default user. Are you sure your \
             configuration is correct?",
        )),
        _ => Err(Error::SYNTAX),
    }
}

/// The only user is `default`, who has no password: any will do, as in Redis.
pub(super) fn check_user(user: &[u8]) -> Result<(), Error> {
    if user == b"default" {
        Ok(())
    } else {
        Err(Error::new("WRONGPASS invalid username-password pair or user is disabled."))
    }
}

pub(super) fn select(_: &mut Session, _: &Server, request: Request<'_>) -> Result<Value, Error> {
    let index = parse_i64(request.get(1).unwrap_or_default()).ok_or(Error::NOT_AN_INTEGER)?;
    match i32::try_from(index) {
        Ok(0) => Ok(Value::Ok),
        Ok(_) => Err(Error::new("ERR DB index is out of range")),
        Err(_) => Err(Error::text(format!(
            "ERR value is out of range, value must between {} and {}",
            i32::MIN,
            i32::MAX
        ))),
    }
}

pub(super) fn time(_: &mut Session, server: &Server, _: Request<'_>) -> Result<Value, Error> {
    let now_us = server.clock.now_us();
    let part = |number: i64| Value::text(number.to_string());
    Ok(Value::Array(vec![part(now_us.div_euclid(1_000_000)), part(now_us.rem_euclid(1_000_000))]))
}

pub(super) fn reset(session: &mut Session, server: &Server, _: Request<'_>) -> Result<Value, Error> {
    session.transaction = None;
    session.watched.clear();
    session.protocol = Protocol::default();
    server.pubsub.leave(&mut session.subscriber);
    subscribe::note(session, server);
    server.clients.update(session.id, |client| {
        client.name.clear();
        client.resp = Protocol::default().version();
    });
    Ok(Value::Simple("RESET".into()))
}

pub(super) fn quit(session: &mut Session, _: &Server, _: Request<'_>) -> Result<Value, Error> {
    session.closing = true;
    Ok(Value::Ok)
}

#[cfg(test)]
mod tests {
    use crate::command::testing::{Rig, expect};
    use crate::command::{Transaction, Watched};
    use crate::protocol::Protocol;

    #[test]
    fn as_redis() {
        expect(&[
            ("PING", "+PONG"),
            ("PING \"a b\"", "$3 a b"),
            ("PING a b", "-ERR wrong number of arguments for 'ping' command"),
            ("ECHO a", "$1 a"),
            ("ECHO", "-ERR wrong number of arguments for 'echo' command"),
            ("SELECT 0", "+OK"),
            ("SELECT x", "-ERR value is not an integer or out of range"),
            (
                "SELECT 99999999999",
                "-ERR value is out of range, value must between -2147483648 and 2147483647",
            ),
            (
                "AUTH x",
                "-ERR AUTH <password> called without any password configured for the default user. Are you sure your \
                 configuration is correct?",
            ),
            ("AUTH default x", "+OK"),
            ("AUTH u x", "-WRONGPASS invalid username-password pair or user is disabled."),
            ("AUTH a b c", "-ERR syntax error"),
            ("AUTH", "-ERR wrong number of arguments for 'auth' command"),
            ("TIME x", "-ERR wrong number of arguments for 'time' command"),
            ("RESET x", "-ERR wrong number of arguments for 'reset' command"),
            ("RESET", "+RESET"),
        ]);
    }

    #[test]
    fn there_is_one_keyspace_as_in_a_cluster() {
        let mut rig = Rig::new();
        rig.expect(&[
            ("SELECT 1", "-ERR DB index is out of range"),
            ("SELECT -1", "-ERR DB index is out of range"),
        ]);
    }

    #[test]
    fn quit_and_exit_close() {
        for line in ["QUIT", "exit", "QUIT now"] {
            let mut rig = Rig::new();
            rig.expect(&[(line, "+OK")]);
            assert!(rig.session.closing);
        }
    }

    #[test]
    fn time_is_the_clocks() {
        let mut rig = Rig::new();
        rig.server.clock.shift_ms(1_000_000_000_000);
        let before_ms = rig.server.clock.now_ms();
        let reply = rig.run("TIME");
        let words: Vec<&str> = reply.split(' ').collect();
        let (seconds, microseconds): (i64, i64) = (words[2].parse().unwrap(), words[4].parse().unwrap());
        let ms = seconds * 1000 + microseconds / 1000;
        assert!((before_ms..=rig.server.clock.now_ms()).contains(&ms) && microseconds < 1_000_000);
    }

    #[test]
    fn reset_forgets_what_the_client_said() {
        let mut rig = Rig::new();
        rig.run("HELLO 3 SETNAME me");
        rig.session.transaction = Some(Transaction::default());
        rig.session.watched.insert(Vec::new(), Watched { generation: 1, version: 1 });
        rig.expect(&[("RESET", "+RESET"), ("CLIENT GETNAME", "$-1")]);
        assert!(rig.session.transaction.is_none() && rig.session.watched.is_empty());
        assert_eq!(rig.session.protocol, Protocol::Resp2);
        assert_eq!(rig.server.clients.get(rig.session.id).unwrap().resp, 2);
    }
}
