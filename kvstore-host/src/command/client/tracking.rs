//! TRACKING, TRACKINGINFO, GETREDIR and CACHING: server assisted caching in clients, which is off.

use super::super::{Error, Session};
use crate::protocol::{Request, Value};
use crate::server::Server;

pub(super) fn tracking(_: &mut Session, _: &Server, request: Request<'_>) -> Result<Value, Error> {
    match request.get(2).unwrap_or_default().to_ascii_lowercase().as_slice() {
        b"on" => Err(Error::new(
            "ERR this server does not tell clients which of the keys that they read have changed",
        )),
        b"off" => Ok(Value::Ok),
        _ => Err(Error::SYNTAX),
    }
}

pub(super) fn info(_: &mut Session, _: &Server, _: Request<'_>) -> Result<Value, Error> {
    Ok(Value::Map(vec![
        (Value::text("flags"), Value::Set(vec![Value::text("off")])),
        (Value::text("redirect"), Value::Integer(-1)),
        (Value::text("prefixes"), Value::Array(Vec::new())),
    ]))
}

pub(super) fn getredir(_: &mut Session, _: &Server, _: Request<'_>) -> Result<Value, Error> {
    Ok(Value::Integer(-1))
}

pub(super) fn caching(_: &mut Session, _: &Server, request: Request<'_>) -> Result<Value, Error> {
    match request.get(2).unwrap_or_default().to_ascii_lowercase().as_slice() {
        b"yes" | b"no" => Err(Error::new(
            "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled",
        )),
        _ => Err(Error::SYNTAX),
    }
}

#[cfg(test)]
mod tests {
    use crate::command::testing::expect;

    #[test]
    fn as_redis_with_tracking_off() {
        expect(&[
            ("CLIENT GETREDIR", ":-1"),
            ("CLIENT TRACKINGINFO", "*6 $5 flags *1 $3 off $8 redirect :-1 $8 prefixes *0"),
            ("CLIENT TRACKING off", "+OK"),
            ("CLIENT TRACKING foo", "-ERR syntax error"),
            (
                "CLIENT TRACKING on",
                "-ERR this server does not tell clients which of the keys that they read have changed",
            ),
            (
                "CLIENT CACHING yes",
                "-ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode \
                 enabled",
            ),
            ("CLIENT CACHING x", "-ERR syntax error"),
        ]);
    }
}
