//! Told: what other threads have for a worker: new clients, what came of work, orders.

use std::sync::Arc;
use std::time::Instant;

use mio::Token;

use super::{PoolDone, Worker};
use crate::command::Session;
use crate::command::pipeline::Pipeline;
use crate::net::connection::{Connection, Waiting};
use crate::net::socket::Socket;
use crate::net::{ConnectionId, Doorbell, Message};
use crate::plugin::Landed;
use crate::plugin::live::Execution;
use crate::protocol::Value;
use crate::pubsub::{Mailbox, Subscriber};
use crate::server::{ClientInfo, Order, Server};

impl Worker {
    /// Does what another thread asks for.
    pub(super) fn take(&mut self, message: Message) {
        match message {
            Message::Connect(socket) => self.connect(socket),
            Message::Landed { ticket, landed } => self.landed(ticket as usize, landed),
            Message::PoolDone { ticket, done } => self.pool_done(ticket as usize, done),
            Message::EngineReply { to, value } => self.controlled(to, |pipeline, session, server, output| {
                pipeline.finish_alone(&value, session, server, output);
            }),
            Message::Transacted { to, done } => self.controlled(to, |pipeline, session, server, output| {
                pipeline.finish_exclusive(done, session, server, output);
            }),
            Message::Order { to, order: Order::Kill } => {
                if let Some(connection) = self.connection(to) {
                    connection.kill();
                    self.drive_told(to.place);
                }
            }
            Message::Look => self.look(&Arc::clone(&self.shared)),
            Message::MoveOn(left, wanted) if wanted.strong_count() > 0 => self.leaves = Some(left),
            Message::MoveOn(..) => {}
            Message::Stop => self.stop(),
        }
    }

    /// Serves a connection outside of the turn's own round.
    fn drive_told(&mut self, place: usize) {
        let shared = Arc::clone(&self.shared);
        self.drive(place, &shared);
    }

    /// The control thread has done what a connection asked of it.
    fn controlled(
        &mut self,
        to: ConnectionId,
        finish: impl FnOnce(&mut Pipeline, &mut Session, &Server, &mut Vec<u8>),
    ) {
        let shared = Arc::clone(&self.shared);
        let Some(connection) = self.connection(to) else { return };
        connection.waiting = Waiting::No;
        connection.active = Instant::now();
        let Connection { pipeline, session, output, .. } = connection;
        finish(pipeline, session, &shared.server, output);
        self.drive_told(to.place);
    }

    fn connect(&mut self, mut socket: Socket) {
        let place = self.connections.next_place();
        if let Err(error) = socket.register(self.poll.registry(), Token(place)) {
            log::error!("cannot serve {}: {error}", socket.peer());
            return self.handle.disconnected();
        }
        let server = &self.shared.server;
        let now_ms = server.clock.now_ms();
        let (addr, laddr, local) = (socket.peer(), socket.local(), socket.is_local());
        let info = ClientInfo {
            addr,
            laddr,
            at: (self.index, place),
            fd: socket.fd(),
            unix: socket.is_unix(),
            resp: 2,
            multi: -1,
            since_ms: now_ms,
            active_ms: now_ms,
            ..ClientInfo::default()
        };
        let id = server.clients.add(info);
        let Some(entry) = server.clients.entry(id) else { return self.handle.disconnected() };
        let connection = ConnectionId { place, client: id };
        let bell = Doorbell { worker: self.handle.clone(), connection };
        let mailbox = Mailbox::new(id, Box::new(bell), Arc::clone(&server.settings.output_limits));
        let (subscriber, tally) = (Subscriber::new(mailbox), Arc::clone(&self.tally));
        let session = Session { id, local, subscriber, tally, ..Session::default() };
        self.connections.insert(Box::new(Connection::new(socket, session, entry, self.now)));
        self.drive_told(place);
    }

    fn landed(&mut self, place: usize, landed: Landed) {
        let shared = Arc::clone(&self.shared);
        let generation = self.connections.get_mut(place).and_then(|connection| match connection.waiting {
            Waiting::Work { generation, .. } => Some(generation),
            _ => None,
        });
        let execution = match generation.and_then(|generation| shared.published.find(generation)) {
            Some(live) if self.standby => {
                self.in_pool(&live, place, None, move |live, home, ticket| {
                    PoolDone::of(live.resume(landed, (&home, ticket)))
                });
                Execution::Later
            }
            Some(live) => {
                self.caller.enter(None);
                let execution = live.resume(landed, (&self.home, place as u64));
                self.caller.leave();
                execution
            }
            // It was so late that the generation was given up, and another one has come since; or its client is gone.
            None => landed.abandon(),
        };
        match execution {
            Execution::Done(work, outcomes) => self.pool_done(place, PoolDone::Work(work, outcomes)),
            Execution::Joined(joined) => joined.for_each(|(ticket, work, outcomes)| {
                self.pool_done(ticket as usize, PoolDone::Work(work, outcomes));
            }),
            Execution::Later => {}
        }
    }

    fn pool_done(&mut self, place: usize, done: PoolDone) {
        let shared = Arc::clone(&self.shared);
        let Some(connection) = self.connections.get_mut(place) else { return };
        let Waiting::Work { pending, generation, writes } =
            std::mem::replace(&mut connection.waiting, Waiting::No)
        else {
            return;
        };
        connection.active = self.now;
        let Connection { pipeline, session, output, .. } = &mut **connection;
        match (done, pending) {
            (PoolDone::Work(work, outcomes), Some(pending)) => {
                let time_ns = pipeline.time_ns(&shared.server);
                pipeline.finish(pending, work, &outcomes, time_ns, session, &shared.server, output);
            }
            (PoolDone::Value(value), _) => pipeline.finish_alone(&value, session, &shared.server, output),
            (PoolDone::Work(..), None) => {}
            (PoolDone::Broken, _) => {
                let error = Value::error("ERR internal error: the command failed, its outcome is unknown");
                pipeline.finish_alone(&error, session, &shared.server, output);
                session.closing = true;
            }
        }
        self.end(generation, writes);
        self.drive_told(place);
    }

    /// Takes what clients have sent so far, and nothing more.
    fn stop(&mut self) {
        // What was received is answered.
        self.shared.server.pause.end();
        self.look(&Arc::clone(&self.shared));
        for place in self.connections.taken() {
            if let Some(connection) = self.connections.get_mut(place) {
                connection.readable = true;
            }
            self.drive_told(place);
        }
        self.stopping = Some(self.now);
        for place in self.connections.taken() {
            if let Some(connection) = self.connections.get_mut(place) {
                connection.end_input();
            }
            self.drive_told(place);
        }
    }
}
