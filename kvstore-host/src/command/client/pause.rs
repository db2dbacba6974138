//! PAUSE, UNPAUSE and UNBLOCK: clients that are to wait, and that need not any more.

use super::super::{Error, Session};
use crate::protocol::{Request, Value, parse_i64};
use crate::server::Server;

/// Requests wait from now on; those of who asks too.
pub(super) fn pause(_: &mut Session, server: &Server, request: Request<'_>) -> Result<Value, Error> {
    let timeout = parse_i64(request.get(2).unwrap_or_default());
    let all = match request.get(3).map(<[u8]>::to_ascii_lowercase).as_deref() {
        _ if request.len() > 4 => return Err(Error::SYNTAX),
        None | Some(b"all") => true,
        Some(b"write") => false,
        Some(_) => return Err(Error::new("ERR CLIENT PAUSE mode must be WRITE or ALL")),
    };
    let timeout = timeout.ok_or(Error::new("ERR timeout is not an integer or out of range"))?;
    let timeout_ms = u64::try_from(timeout).map_err(|_| Error::new("ERR timeout is negative"))?;
    server.pause.begin(&server.clock, timeout_ms, all);
    Ok(Value::Ok)
}

pub(super) fn unpause(_: &mut Session, server: &Server, _: Request<'_>) -> Result<Value, Error> {
    server.pause.end();
    server.clients.look();
    Ok(Value::Ok)
}

/// No command blocks its client, so there is never one to be let go.
pub(super) fn unblock(_: &mut Session, _: &Server, request: Request<'_>) -> Result<Value, Error> {
    match request.get(3).map(<[u8]>::to_ascii_lowercase).as_deref() {
        None | Some(b"timeout" | b"error") if request.len() <= 4 => {}
        Some(_) if request.len() == 4 => {
            return Err(Error::new("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR"));
        }
        _ => return Err(Error::SYNTAX),
    }
    parse_i64(request.get(2).unwrap_or_default()).ok_or(Error::NOT_AN_INTEGER)?;
    Ok(Value::Integer(0))
}

#[cfg(test)]
mod tests {
    use crate::command::testing::{Rig, expect};

    #[test]
    fn as_redis() {
        expect(&[
            ("CLIENT PAUSE", "-ERR wrong number of arguments for 'client|pause' command"),
            ("CLIENT PAUSE x", "-ERR timeout is not an integer or out of range"),
            ("CLIENT PAUSE -1", "-ERR timeout is negative"),
            ("CLIENT PAUSE 1 foo", "-ERR CLIENT PAUSE mode must be WRITE or ALL"),
            ("CLIENT UNPAUSE x", "-ERR wrong number of arguments for 'client|unpause' command"),
            ("CLIENT UNPAUSE", "+OK"),
            ("CLIENT UNBLOCK 1", ":0"),
            ("CLIENT UNBLOCK 1 error", ":0"),
            ("CLIENT UNBLOCK x", "-ERR value is not an integer or out of range"),
            ("CLIENT UNBLOCK 1 foo", "-ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR"),
        ]);
    }

    #[test]
    fn a_pause_is_of_all_requests_or_of_writes() {
        let mut rig = Rig::new();
        rig.expect(&[("CLIENT PAUSE 100000 WRITE", "+OK")]);
        assert!(rig.server.pause.get(&rig.server.clock).is_some_and(|paused| !paused.all));
        rig.expect(&[("CLIENT PAUSE 1000", "+OK")]);
        assert!(rig.server.pause.get(&rig.server.clock).is_some_and(|paused| paused.all));
        rig.expect(&[("CLIENT UNPAUSE", "+OK")]);
        assert!(rig.server.pause.get(&rig.server.clock).is_none());
    }
}
