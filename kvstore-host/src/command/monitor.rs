//! MONITOR: shows a client every command from here on; and what a command looks like to it.

use super::{Error, Session, Spec, hello, subscribe};
use crate::protocol::{Reply, Request};
use crate::pubsub::Monitors;
use crate::server::Server;

pub(super) fn monitor(session: &mut Session, server: &Server, _: Request<'_>, reply: &mut dyn Reply) {
    server.pubsub.monitors.add(&mut session.subscriber);
    subscribe::note(session, server);
    reply.ok();
}

/// The monitors that are shown what a client has done.
pub(super) struct Audience<'a> {
    monitors: &'a Monitors,
    from: String,
    now_us: i64,
}

impl<'a> Audience<'a> {
    /// Those of this moment, if there are any.
    pub(super) fn of(session: &Session, server: &'a Server) -> Option<Self> {
        let monitors = &server.pubsub.monitors;
        if !monitors.any() {
            return None;
        }
        let addr = server.clients.get(session.id).map(|client| client.addr).unwrap_or_default();
        // A socket of the system has no port, so its path is told.
        let from = addr.strip_suffix(":0").map(|path| format!("unix:{path}"));
        Some(Self { monitors, from: from.unwrap_or(addr), now_us: server.clock.now_us() })
    }

    /// Shows them a command, but not one for administrators.
    pub(super) fn show(&self, spec: &Spec, request: Request<'_>) {
        if !spec.flags.contains(&"admin") {
            self.monitors.show(&Monitors::line(self.now_us, &self.from, without_secrets(request)));
        }
    }
}

/// The arguments of a request, with those left out that nobody else may know.
pub(super) fn without_secrets<'a>(request: Request<'a>) -> impl Iterator<Item = &'a [u8]> + 'a {
    let secret = match request.name().to_ascii_lowercase().as_slice() {
        b"auth" => 1..request.len(),
        b"hello" => hello::secrets(request),
        _ => 0..0,
    };
    request
        .iter()
        .enumerate()
        .map(move |(place, arg)| if secret.contains(&place) { b"(redacted)" } else { arg })
}

/// Refuses what Redis refuses to a monitor, which it takes for a replica.
pub(super) fn check_allowed(spec: &Spec, session: &Session) -> Result<(), Error> {
    if session.subscriber.monitors() && (spec.waits_with_writes() || spec.flags.contains(&"readonly")) {
        return Err(Error::new("ERR Replica can't interact with the keyspace"));
    }
    Ok(())
}
