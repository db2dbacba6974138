//! ROLE and WAIT: there are no replicas.

use super::{Error, Session};
use crate::protocol::{Request, Value, parse_i64};
use crate::server::Server;

pub(super) fn role(_: &mut Session, _: &Server, _: Request<'_>) -> Result<Value, Error> {
    Ok(Value::Array(vec![Value::text("master"), Value::Integer(0), Value::Array(Vec::new())]))
}

/// Nobody waits for replicas that cannot come: none has acknowledged anything, then as now.
pub(super) fn wait(_: &mut Session, _: &Server, request: Request<'_>) -> Result<Value, Error> {
    parse_i64(request.get(1).unwrap_or_default()).ok_or(Error::NOT_AN_INTEGER)?;
    let timeout = parse_i64(request.get(2).unwrap_or_default());
    match timeout.ok_or(Error::new("ERR timeout is not an integer or out of range"))? {
        ..0 => Err(Error::new("ERR timeout is negative")),
        _ => Ok(Value::Integer(0)),
    }
}

#[cfg(test)]
mod tests {
    use crate::command::testing::expect;

    #[test]
    fn as_redis_without_replicas() {
        expect(&[
            ("ROLE", "*3 $6 master :0 *0"),
            ("ROLE x", "-ERR wrong number of arguments for 'role' command"),
            ("WAIT 0 0", ":0"),
            ("WAIT 1 100", ":0"),
            ("WAIT x 0", "-ERR value is not an integer or out of range"),
            ("WAIT 1 x", "-ERR timeout is not an integer or out of range"),
            ("WAIT 1 -1", "-ERR timeout is negative"),
        ]);
    }
}
