//! PING, ECHO, AUTH, SELECT, TIME, RESET and QUIT: what is said between a client and the server, without any data.

use super::{Error, Session};
use crate::protocol::{Protocol, Request, Value, parse_i64};
use crate::server::Server;

pub(super) fn ping(_: &mut Session, _: &Server, request: Request<'_>) -> Result<Value, Error> {
    match (request.get(1), request.len()) {
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
        Ok(_) => Err(Error::new("ERR SELECT is not allowed in cluster mode")),
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
