//! Net: sockets and event loops. One worker per thread, each with its own epoll and its own connections.

mod connection;
pub mod listener;
mod slab;
pub mod socket;
pub mod worker;

use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::thread::JoinHandle;

use crossbeam::channel::Sender;
use mio::Waker;

use crate::command::pipeline::Transacted;
use crate::control::ControlHandle;
use crate::plugin::Landed;
use crate::plugin::holding::{Hold, Holding};
use crate::plugin::pool::Pool;
use crate::plugin::published::Published;
use crate::protocol::{Limits, Value};
use crate::pubsub::Bell;
use crate::server::{Order, Peer, Server, lock};
use socket::Socket;

/// What all workers use together.
pub struct Shared {
    /// Settings, counters, clock, clients.
    pub server: Arc<Server>,
    /// The live engine.
    pub published: Published,
    /// What is held back, for the next one.
    pub holding: Holding,
    /// Threads for calls that may block.
    pub pool: Pool,
    /// The control thread.
    pub control: ControlHandle,
}

impl Shared {
    /// What a client may send, as it is set now.
    pub(crate) fn limits(&self) -> Limits {
        let settings = &self.server.settings;
        let (key, value) =
            (settings.key_len_max.load(Ordering::Relaxed), settings.value_len_max.load(Ordering::Relaxed));
        let bulk_len_max = key.max(value);
        let defaults = Limits::default();
        let request_len_max = defaults.request_len_max.max(bulk_len_max.saturating_mul(2));
        Limits { bulk_len_max, request_len_max, ..defaults }
    }

    /// Wakes those of all workers, in their order, that do not hold this back yet.
    pub(crate) fn wake_for(&self, hold: Hold, workers: &[WorkerHandle]) {
        let awake = workers.iter().enumerate().filter(|(index, _)| !self.holding.is_held(*index, hold));
        awake.for_each(|(_, worker)| worker.send(Message::Look));
    }
}

/// Names a connection of a worker: its place, and the client's number, since places are used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionId {
    /// Its place among the worker's connections.
    pub place: usize,
    /// The client's number.
    pub client: u64,
}

/// What a worker is told by other threads.
pub enum Message {
    /// A new client.
    Connect(Socket),
    /// A flight has landed.
    Landed {
        /// Which connection it is for.
        ticket: u64,
        /// What landed.
        landed: Landed,
    },
    /// A job of the pool is done.
    PoolDone {
        /// Which connection it is for.
        ticket: u64,
        /// What came of it.
        done: worker::PoolDone,
    },
    /// The reply to an ENGINE command.
    EngineReply {
        /// Whose it is.
        to: ConnectionId,
        /// What it is.
        value: Value,
    },
    /// What came of a transaction that had the engine to itself.
    Transacted {
        /// Whose it is.
        to: ConnectionId,
        /// What came of it.
        done: Transacted,
    },
    /// Do something about a client.
    Order {
        /// Which one.
        to: ConnectionId,
        /// What.
        order: Order,
    },
    /// Something changed about the engine, the hold or the pause: look.
    Look,
    /// Go on on another thread, and send the one before there, as it ends; not if nobody wants it any more.
    MoveOn(Sender<JoinHandle<()>>, Weak<()>),
    /// Finish what was received, and end.
    Stop,
}

/// How other threads reach a worker.
#[derive(Clone)]
pub struct WorkerHandle {
    messages: Sender<Message>,
    /// Connections with something new in their mailbox.
    mail: Arc<Mutex<Vec<ConnectionId>>>,
    waker: Arc<Waker>,
    /// Connections that it has, or is about to have.
    connections: Arc<AtomicUsize>,
    /// The thread that it runs on, once it does.
    thread: Arc<Mutex<Option<JoinHandle<()>>>>,
    /// That thread's number in the system, or 0.
    thread_id: Arc<AtomicI32>,
}

impl WorkerHandle {
    /// A handle that sends into this channel and wakes this loop.
    pub fn new(messages: Sender<Message>, waker: Arc<Waker>) -> Self {
        Self {
            messages,
            mail: Arc::default(),
            waker,
            connections: Arc::default(),
            thread: Arc::default(),
            thread_id: Arc::default(),
        }
    }

    /// Gives the worker a client.
    pub fn connect(&self, socket: Socket) {
        self.connections.fetch_add(1, Ordering::Relaxed);
        self.send(Message::Connect(socket));
    }

    /// A connection of the worker is closed.
    fn disconnected(&self) {
        self.connections.fetch_sub(1, Ordering::Relaxed);
    }

    /// How many connections the worker has, those included that it was given and has not seen yet.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// Tells the worker something and wakes it.
    pub fn send(&self, message: Message) {
        // A worker that has ended needs to be told nothing.
        let _ = self.messages.send(message);
        self.wake();
    }

    fn wake(&self) {
        if let Err(error) = self.waker.wake() {
            log::error!("cannot wake a worker: {error}");
        }
    }

    /// Notes which thread it runs on from here on, and answers which one it was before.
    fn runs_on(&self, thread: JoinHandle<()>) -> Option<JoinHandle<()>> {
        lock(&self.thread).replace(thread)
    }

    /// The number of that thread in the system; `None`: it does not run.
    pub fn thread_id(&self) -> Option<i32> {
        Some(self.thread_id.load(Ordering::Relaxed)).filter(|id| *id != 0)
    }

    /// Whether it has ended.
    pub fn has_ended(&self) -> bool {
        lock(&self.thread).as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Waits until it has ended. False: by a panic.
    pub fn join(&self) -> bool {
        let thread = lock(&self.thread).take();
        thread.is_none_or(|thread| thread.join().is_ok())
    }

    /// The connections with something new in their mailbox, each once.
    fn take_mail(&self) -> Vec<ConnectionId> {
        std::mem::take(&mut *lock(&self.mail))
    }
}

/// Wakes the worker of a connection.
struct Doorbell {
    worker: WorkerHandle,
    connection: ConnectionId,
}

impl Bell for Doorbell {
    /// One call of the system for all connections of a worker, until it looks.
    fn ring(&self) {
        let mut mail = lock(&self.worker.mail);
        let first = mail.is_empty();
        mail.push(self.connection);
        drop(mail);
        if first {
            self.worker.wake();
        }
    }
}

impl std::fmt::Debug for Doorbell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Doorbell({:?})", self.connection)
    }
}

impl crate::plugin::Home for WorkerHandle {
    fn landed(&self, ticket: u64, landed: Landed) {
        self.send(Message::Landed { ticket, landed });
    }
}

impl Peer for WorkerHandle {
    fn order(&self, place: usize, client: u64, order: Order) {
        self.send(Message::Order { to: ConnectionId { place, client }, order });
    }

    fn look(&self) {
        self.send(Message::Look);
    }
}
