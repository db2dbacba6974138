//! RANDOMKEY: any key, each about as likely as the others.

use super::{Error, KeyspaceTask};
use crate::plugin::Keyspace;
use crate::protocol::{Request, Value};
use crate::server::Server;

pub(super) fn randomkey(_: Request<'_>) -> Result<Box<dyn KeyspaceTask>, Error> {
    Ok(Box::new(Any))
}

struct Any;

impl KeyspaceTask for Any {
    fn run(&self, keyspace: &dyn Keyspace, _: &Server) -> Value {
        match keyspace.random() {
            Ok(key) => key.map_or(Value::Null, Value::Bulk),
            Err(error) => Error::from(error).into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use plugin_abi::Status;

    use crate::command::testing::{Rig, expect};

    #[test]
    fn as_redis() {
        expect(&[
            ("RANDOMKEY", "$-1"),
            ("SET \"\" v", "+OK"),
            ("RANDOMKEY", "$0"),
            ("DEL \"\"", ":1"),
            ("SET k v", "+OK"),
            ("RANDOMKEY", "$1 k"),
            ("RANDOMKEY x", "-ERR wrong number of arguments for 'randomkey' command"),
        ]);
        let mut rig = Rig::new();
        rig.map.failure = Some(Status::IO);
        assert!(rig.run("RANDOMKEY").starts_with("-UNKNOWN "));
    }
}
