//! HELLO: agrees on a protocol, and introduces client and server to each other.

use std::ops::Range;

use super::connection::check_user;
use super::{Error, Session, client, info};
use crate::protocol::{Protocol, Request, Value, parse_i64};
use crate::server::Server;

pub(super) fn hello(session: &mut Session, server: &Server, request: Request<'_>) -> Result<Value, Error> {
    let protocol = match request.get(1) {
        None => session.protocol,
        Some(version) => {
            let version = parse_i64(version)
                .ok_or(Error::new("ERR Protocol version is not an integer or out of range"))?;
            Protocol::from_version(version).ok_or(Error::new("NOPROTO unsupported protocol version"))?
        }
    };
    let mut name = None;
    let mut options = request.skip(2).iter();
    while let Some(option) = options.next() {
        if option.eq_ignore_ascii_case(b"AUTH") && options.len() >= 2 {
            check_user(options.next().unwrap_or_default())?;
            options.next();
        } else if option.eq_ignore_ascii_case(b"SETNAME") && options.len() >= 1 {
            name = Some(client::checked_name(options.next().unwrap_or_default())?);
        } else {
            let option = String::from_utf8_lossy(option);
            return Err(Error::text(format!("ERR Syntax error in HELLO option '{option}'")));
        }
    }
    session.protocol = protocol;
    server.clients.update(session.id, |client| {
        client.resp = protocol.version();
        if let Some(name) = name {
            client.name = name;
        }
    });
    let fields = [
        ("server", Value::text("kvstore")),
        ("version", Value::text(info::REDIS_VERSION)),
        ("proto", Value::Integer(protocol.version())),
        ("id", Value::Integer(session.id as i64)),
        ("mode", Value::text("standalone")),
        ("role", Value::text("master")),
        ("modules", Value::Array(Vec::new())),
    ];
    Ok(Value::Map(fields.into_iter().map(|(name, value)| (Value::text(name), value)).collect()))
}

/// Where a name and a password stand among its arguments.
pub(super) fn secrets(request: Request<'_>) -> Range<usize> {
    match request.iter().position(|arg| arg.eq_ignore_ascii_case(b"AUTH")) {
        Some(place) => place + 1..place + 3,
        None => 0..0,
    }
}

#[cfg(test)]
mod tests {
    use crate::command::testing::{Rig, expect};

    #[test]
    fn errors_as_redis() {
        expect(&[
            ("HELLO 5", "-NOPROTO unsupported protocol version"),
            ("HELLO 1", "-NOPROTO unsupported protocol version"),
            ("HELLO x", "-ERR Protocol version is not an integer or out of range"),
            ("HELLO 3 foo", "-ERR Syntax error in HELLO option 'foo'"),
            ("HELLO 3 AUTH default", "-ERR Syntax error in HELLO option 'AUTH'"),
            ("HELLO 3 SETNAME", "-ERR Syntax error in HELLO option 'SETNAME'"),
            ("HELLO 3 AUTH u x", "-WRONGPASS invalid username-password pair or user is disabled."),
            (
                "HELLO 3 SETNAME \"a b\"",
                "-ERR Client names cannot contain spaces, newlines or special characters.",
            ),
            ("GET k", "$-1"),
        ]);
    }

    #[test]
    fn the_reply_speaks_the_protocol_that_was_asked_for() {
        let mut rig = Rig::new();
        let fields = |map, proto| {
            format!(
                "{map} $6 server $7 kvstore $7 version $6 7.0.15 $5 proto :{proto} $2 id :1 $4 mode $10 standalone \
                 $4 role $6 master $7 modules *0"
            )
        };
        rig.expect(&[
            ("HELLO", &fields("*14", 2)),
            ("HELLO 3 AUTH default any SETNAME me", &fields("%7", 3)),
            ("HELLO", &fields("%7", 3)),
            ("GET k", "_"),
            ("CLIENT GETNAME", "$2 me"),
            ("HELLO 2", &fields("*14", 2)),
            ("GET k", "$-1"),
        ]);
    }
}
