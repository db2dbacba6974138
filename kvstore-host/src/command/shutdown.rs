//! SHUTDOWN: ends the server in order, as SIGTERM does.

use super::save::make_durable;
use super::{Error, KeyspaceTask};
use crate::plugin::Keyspace;
use crate::protocol::{Request, Value};
use crate::server::Server;

/// NOW changes nothing, since there are no replicas to wait for; NOSAVE neither, since nothing is saved without being asked for.
pub(super) fn shutdown(request: Request<'_>) -> Result<Box<dyn KeyspaceTask>, Error> {
    let (mut nosave, mut save, mut now, mut force, mut abort) = (false, false, false, false, false);
    for option in request.iter().skip(1) {
        let found = match option.to_ascii_lowercase().as_slice() {
            b"nosave" => &mut nosave,
            b"save" => &mut save,
            b"now" => &mut now,
            b"force" => &mut force,
            b"abort" => &mut abort,
            _ => return Err(Error::SYNTAX),
        };
        *found = true;
    }
    match (abort, nosave || save || now || force) {
        _ if nosave && save => Err(Error::SYNTAX),
        (true, true) => Err(Error::SYNTAX),
        // It does not take long enough to be called off.
        (true, false) => Err(Error::new("ERR No shutdown in progress.")),
        (false, _) => Ok(Box::new(Shutdown { save, force })),
    }
}

struct Shutdown {
    save: bool,
    force: bool,
}

impl KeyspaceTask for Shutdown {
    fn blocks(&self) -> bool {
        self.save
    }

    fn run(&self, keyspace: &dyn Keyspace, server: &Server) -> Value {
        if self.save
            && let Err(error) = make_durable(keyspace, server)
        {
            log::error!("SHUTDOWN SAVE: {}", error.0);
            if !self.force {
                return Value::error("ERR Errors trying to SHUTDOWN. Check logs.");
            }
        }
        // As in Redis, who asks hears nothing but the end of the connection.
        if server.stop("SHUTDOWN") {
            Value::Nothing
        } else {
            Value::error("ERR this server is ended by the program that it is a part of")
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use crate::command::testing::Rig;

    #[test]
    fn the_server_is_stopped_unless_it_was_to_be_saved_and_cannot() {
        let mut rig = Rig::new();
        let stopped = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&stopped);
        rig.server.on_stop(move |why| {
            assert_eq!(why, "SHUTDOWN");
            count.fetch_add(1, Ordering::Relaxed);
        });
        rig.expect(&[
            ("SHUTDOWN foo", "-ERR syntax error"),
            ("SHUTDOWN abort", "-ERR No shutdown in progress."),
            ("SHUTDOWN save nosave", "-ERR syntax error"),
            ("SHUTDOWN abort now", "-ERR syntax error"),
            ("SHUTDOWN SAVE", "-ERR Errors trying to SHUTDOWN. Check logs."),
        ]);
        assert_eq!(stopped.load(Ordering::Relaxed), 0);
        rig.expect(&[("SHUTDOWN SAVE FORCE", ""), ("SHUTDOWN NOSAVE NOW", ""), ("shutdown", "")]);
        assert_eq!(stopped.load(Ordering::Relaxed), 3);
    }
}
