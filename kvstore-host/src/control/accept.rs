//! Accept: takes new clients and spreads them over the workers. Never stops, never spins.

use std::io::{self, Write};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::Control;
use crate::net::Message;
use crate::server::add;

/// How long to wait when the system has no room for another client.
const PAUSE: Duration = Duration::from_millis(100);

impl Control {
    /// Takes all clients that wait at a listener.
    pub(super) fn accept(&mut self, index: usize) {
        loop {
            let Some(listener) = self.listeners.get(index) else { return };
            let mut socket = match listener.accept() {
                Ok(socket) => socket,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // The client has hung up, or a signal came: the next one may be fine.
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted
                    ) =>
                {
                    continue;
                }
                Err(error) => {
                    log::error!("cannot accept a client on {listener}: {error}; trying again in {PAUSE:?}");
                    self.accept_again = Some(Instant::now() + PAUSE);
                    return;
                }
            };
            let server = &self.shared.server;
            if server.clients.len() >= server.settings.clients_max.load(Ordering::Relaxed) {
                add(&server.stats.connections_rejected, 1);
                // A new socket takes these few bytes; if it does not, the client sees only the end.
                let _ = socket.write(b"-ERR max number of clients reached\r\n");
                continue;
            }
            add(&server.stats.connections, 1);
            let worker = self.next_worker % self.workers.len().max(1);
            self.next_worker = worker + 1;
            if let Some((worker, _)) = self.workers.get(worker) {
                worker.send(Message::Connect(socket));
            }
        }
    }
}
