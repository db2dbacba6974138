//! Accept: takes new clients and spreads them over the workers. Never stops, never spins.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::Control;
use crate::net::WorkerHandle;
use crate::net::worker::{self, name};
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
            let clients: usize = self.workers.iter().map(WorkerHandle::connections).sum();
            let clients_max = server.settings.clients_max.load(Ordering::Relaxed);
            if clients >= clients_max.min(self.configured.clients_room) {
                add(&server.stats.connections_rejected, 1);
                // A new socket takes these few bytes; if it does not, the client sees only the end.
                let _ = socket.write(b"-ERR max number of clients reached\r\n");
                continue;
            }
            add(&server.stats.connections, 1);
            let worker = self.choose_worker();
            self.next_worker = worker + 1;
            if let Some(worker) = self.workers.get(worker) {
                worker.connect(socket);
            }
        }
    }

    /// The worker that has the fewest clients. Who comes to one that does not return from the engine could not even ask what is wrong: where none returns, it is
    /// another one, which calls no engine itself.
    fn choose_worker(&mut self) -> usize {
        let standby = self.shared.holding.standby();
        if self.workers.len() == standby && (0..standby).all(|index| self.watchdog.is_stuck(index)) {
            match self.start_standby() {
                Ok(()) => log::warn!(
                    "no worker returns from the engine; new clients come to another one, {}",
                    name(standby)
                ),
                Err(error) => log::error!(
                    "no worker returns from the engine, and another one cannot be started: {error}"
                ),
            }
        }
        let load = |(index, worker): (usize, &WorkerHandle)| match index {
            stuck if self.watchdog.is_stuck(stuck) => usize::MAX,
            index if index == standby => usize::MAX - 1,
            _ => worker.connections(),
        };
        least(self.workers.iter().enumerate().map(load), self.next_worker)
    }

    fn start_standby(&mut self) -> io::Result<()> {
        let seed = worker::Seed::new()?;
        let handle = seed.handle();
        let worker = seed.grow(self.shared.holding.standby(), Arc::clone(&self.shared));
        self.shared.holding.admit_standby(self.shared.published.generation());
        worker.start()?;
        self.workers.push(handle);
        Ok(())
    }
}

/// The place of the least number; of several that are alike, the first one from `next` on, and then around.
fn least(numbers: impl ExactSizeIterator<Item = usize>, next: usize) -> usize {
    let count = numbers.len().max(1);
    let next = next % count;
    let alike = numbers.enumerate().min_by_key(|(place, number)| (*number, (place + count - next) % count));
    alike.map_or(0, |(place, _)| place)
}

#[cfg(test)]
mod tests {
    use super::least;

    #[test]
    fn clients_go_to_the_worker_that_has_the_fewest_and_else_in_turn() {
        let chosen = |loads: [usize; 3], next| least(loads.into_iter(), next);
        assert_eq!([0, 1, 2, 3].map(|next| chosen([5, 5, 5], next)), [0, 1, 2, 0]);
        assert_eq!((chosen([5, 5, 4], 0), chosen([4, 5, 4], 1), chosen([4, 5, 4], 3)), (2, 2, 0));
        assert_eq!(least([].into_iter(), 7), 0);
    }
}
