//! DBSIZE, FLUSHALL and FLUSHDB: the number of all entries, and their removal.

use super::{Error, KeyspaceTask};
use crate::plugin::Keyspace;
use crate::protocol::{Request, Value};
use crate::server::Server;

pub(super) fn dbsize(_: Request<'_>) -> Result<Box<dyn KeyspaceTask>, Error> {
    Ok(Box::new(Count))
}

struct Count;

impl KeyspaceTask for Count {
    fn run(&self, keyspace: &dyn Keyspace, _: &Server) -> Value {
        match keyspace.count() {
            Ok(count) => Value::Integer(i64::try_from(count).unwrap_or(i64::MAX)),
            Err(error) => Error::from(error).into(),
        }
    }
}

/// FLUSHALL and FLUSHDB, which are the same where there is one keyspace. ASYNC is taken and changes nothing: how long a
/// removal takes is up to the engine.
pub(super) fn flush(request: Request<'_>) -> Result<Box<dyn KeyspaceTask>, Error> {
    match (request.get(1), request.len()) {
        (None, _) => Ok(Box::new(Clear)),
        (Some(mode), 2) if mode.eq_ignore_ascii_case(b"SYNC") || mode.eq_ignore_ascii_case(b"ASYNC") => {
            Ok(Box::new(Clear))
        }
        _ => Err(Error::SYNTAX),
    }
}

struct Clear;

impl KeyspaceTask for Clear {
    fn run(&self, keyspace: &dyn Keyspace, _: &Server) -> Value {
        match keyspace.clear() {
            Ok(()) => Value::Ok,
            Err(error) => Error::from(error).into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::command::testing::expect;

    #[test]
    fn as_redis() {
        expect(&[
            ("DBSIZE", ":0"),
            ("MSET a 1 b 2", "+OK"),
            ("DBSIZE", ":2"),
            ("FLUSHALL foo", "-ERR syntax error"),
            ("FLUSHALL SYNC SYNC", "-ERR syntax error"),
            ("DBSIZE", ":2"),
            ("FLUSHALL", "+OK"),
            ("DBSIZE", ":0"),
            ("SET a 1", "+OK"),
            ("FLUSHDB ASYNC", "+OK"),
            ("DBSIZE", ":0"),
            ("SET a 1", "+OK"),
            ("FLUSHALL sync", "+OK"),
            ("DBSIZE", ":0"),
            ("DBSIZE x", "-ERR wrong number of arguments for 'dbsize' command"),
        ]);
    }
}
