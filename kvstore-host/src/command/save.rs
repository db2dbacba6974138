//! SAVE, BGSAVE and LASTSAVE: what was written is made durable, by an engine that can.

use std::sync::atomic::Ordering;

use plugin_abi::raw::KV_CAP_DURABLE;

use super::{Error, KeyspaceTask, Session};
use crate::plugin::Keyspace;
use crate::protocol::{Request, Value};
use crate::server::Server;

pub(super) fn save(_: Request<'_>) -> Result<Box<dyn KeyspaceTask>, Error> {
    Ok(Box::new(Save { done: || Value::Ok }))
}

/// BGSAVE hinders nobody but who asks for it, and answers when it is done. With SCHEDULE it does the same.
pub(super) fn bgsave(request: Request<'_>) -> Result<Box<dyn KeyspaceTask>, Error> {
    match (request.get(1), request.len()) {
        (None, _) => {}
        (Some(word), 2) if word.eq_ignore_ascii_case(b"SCHEDULE") => {}
        _ => return Err(Error::SYNTAX),
    }
    Ok(Box::new(Save { done: || Value::Simple("Background saving started".into()) }))
}

struct Save {
    done: fn() -> Value,
}

impl KeyspaceTask for Save {
    /// It waits for the disk.
    fn blocks(&self) -> bool {
        true
    }

    fn run(&self, keyspace: &dyn Keyspace, server: &Server) -> Value {
        make_durable(keyspace, server).map_or_else(Value::from, |()| (self.done)())
    }
}

/// Has the engine make durable what was written, and notes when.
pub(super) fn make_durable(keyspace: &dyn Keyspace, server: &Server) -> Result<(), Error> {
    if !keyspace.identity().has(KV_CAP_DURABLE) {
        return Err(Error::lacks(keyspace.identity(), "DURABLE"));
    }
    keyspace.sync()?;
    server.stats.saves.fetch_add(1, Ordering::Relaxed);
    server.stats.last_save_ms.store(server.clock.now_ms(), Ordering::Relaxed);
    Ok(())
}

/// As in Redis, what was there at the start counts as saved then.
pub(super) fn last_save_s(server: &Server) -> i64 {
    let saved_ms = server.stats.last_save_ms.load(Ordering::Relaxed);
    saved_ms.max(server.facts.start_ms).div_euclid(1_000)
}

pub(super) fn lastsave(_: &mut Session, server: &Server, _: Request<'_>) -> Result<Value, Error> {
    Ok(Value::Integer(last_save_s(server)))
}

#[cfg(test)]
mod tests {
    use plugin_abi::Status;
    use plugin_abi::raw::KV_CAP_DURABLE;

    use crate::command::testing::Rig;

    #[test]
    fn a_durable_engine_is_synced_and_another_one_is_named() {
        let mut rig = Rig::new();
        rig.server.facts.start_ms = 5_000;
        let refused = "-ERR engine 'map' cannot carry this out: it lacks DURABLE";
        rig.expect(&[
            ("SAVE x", "-ERR wrong number of arguments for 'save' command"),
            ("BGSAVE x", "-ERR syntax error"),
            ("SAVE", refused),
            ("BGSAVE", refused),
            ("LASTSAVE", ":5"),
        ]);
        rig.map.identity.capabilities |= KV_CAP_DURABLE;
        rig.expect(&[("SAVE", "+OK"), ("BGSAVE SCHEDULE", "+Background saving started")]);
        let last: i64 = rig.run("LASTSAVE").trim_start_matches(':').parse().unwrap();
        assert!(last > 1_700_000_000);
        assert!(rig.run("INFO persistence").contains("rdb_saves:2"));
        rig.map.failure = Some(Status::IO);
        assert!(rig.run("SAVE").starts_with("-UNKNOWN "));
    }
}
