//! Worker: one event loop with its connections. Reads, lets requests be carried out, writes; waits for nothing else.

mod late;
mod round;
mod thread;
mod told;

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, Sender, unbounded};
use crossbeam::epoch;
use mio::{Events, Poll, Token, Waker};

use super::connection::{Connection, End, Spare, Waiting};
use super::slab::Slab;
use super::{ConnectionId, Message, Shared, WorkerHandle};
use crate::command::pipeline::{Pending, Step};
use crate::plugin::holding::{self, Hold};
use crate::plugin::live::{Execution, Live};
use crate::plugin::{Home, Outcomes, Taker, Work};
use crate::protocol::Value;
use crate::server::{Caller, Peer, Tally};
use late::LATE_CHECK_INTERVAL;
use round::Round;

/// The token of a worker's waker; connections have their place as token.
const WAKER: Token = Token(usize::MAX);

/// What the thread of a worker is called.
pub fn name(index: usize) -> String {
    format!("worker-{index}")
}

/// What the pool did for a connection.
pub enum PoolDone {
    /// Work, carried out.
    Work(Work, Outcomes),
    /// The reply of a command about the whole keyspace.
    Value(Value),
    /// It panicked, and what it carried is lost.
    Broken,
}

impl PoolDone {
    /// What came of a work, unless the engine completes it later.
    fn of(execution: Execution) -> Option<Self> {
        match execution {
            Execution::Done(work, outcomes) => Some(Self::Work(work, outcomes)),
            _ => None,
        }
    }
}

/// One worker.
pub struct Worker {
    index: usize,
    /// It has the pool make all calls of the engine: it is there for when those do not return.
    standby: bool,
    shared: Arc<Shared>,
    poll: Poll,
    messages: Receiver<Message>,
    handle: WorkerHandle,
    home: Arc<dyn Home>,
    connections: Slab<Box<Connection>>,
    /// Where its commands are counted.
    tally: Arc<Tally>,
    /// Where its calls of the engine are noted.
    caller: Arc<Caller>,
    /// Connections with more to read than their turn allowed.
    again: Vec<usize>,
    /// Connections that wait for the end of a hold.
    held: Vec<ConnectionId>,
    /// Connections that wait for the end of a pause.
    pub(crate) paused: Vec<ConnectionId>,
    /// How many connections have replies waiting that their clients do not take.
    stalled: usize,
    /// Batches under way: generation, how many, how many of them write.
    pub(crate) under_way: Vec<(u64, usize, usize)>,
    /// What it has seen to be held back.
    hold: Hold,
    spare: Spare,
    /// Connections whose work is handed over together.
    round: Round,
    /// Bytes read and written in this turn.
    moved: (u64, u64),
    stopping: Option<Instant>,
    /// It is to go on on another thread, and to send this one there.
    leaves: Option<Sender<JoinHandle<()>>>,
    /// When it last looked for clients that are late.
    late_checked: Instant,
    /// When this round began.
    now: Instant,
    /// The same in milliseconds since 1970 UTC.
    now_ms: i64,
}

/// A worker that is not running yet: how others reach it, and what becomes the worker.
pub struct Seed {
    poll: Poll,
    messages: Receiver<Message>,
    handle: WorkerHandle,
}

impl Seed {
    /// Makes the event loop of a worker to be.
    ///
    /// # Errors
    /// The system has no more descriptors.
    pub fn new() -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
        let (sender, messages) = unbounded();
        Ok(Self { poll, messages, handle: WorkerHandle::new(sender, waker) })
    }

    /// How others reach the worker.
    pub fn handle(&self) -> WorkerHandle {
        self.handle.clone()
    }

    /// Becomes worker number `index`.
    pub fn grow(self, index: usize, shared: Arc<Shared>) -> Worker {
        let Self { poll, messages, handle } = self;
        shared.server.clients.add_worker(index, Arc::new(handle.clone()) as Arc<dyn Peer>);
        Worker {
            index,
            standby: index == shared.holding.standby(),
            tally: shared.server.tallies.add(),
            caller: shared.server.calls.add(name(index)),
            shared,
            poll,
            messages,
            home: Arc::new(handle.clone()),
            handle,
            connections: Slab::new(),
            again: Vec::new(),
            held: Vec::new(),
            paused: Vec::new(),
            stalled: 0,
            under_way: Vec::new(),
            hold: Hold::No,
            spare: Spare::default(),
            round: Round::default(),
            moved: (0, 0),
            stopping: None,
            leaves: None,
            late_checked: Instant::now(),
            now: Instant::now(),
            now_ms: 0,
        }
    }
}

impl Drop for Worker {
    /// From here on this worker holds nobody up, also when it ended by a panic.
    fn drop(&mut self) {
        if let Some(marks) = self.shared.holding.marks(self.index) {
            marks.leave();
        }
        self.handle.thread_id.store(0, Ordering::Relaxed);
        self.shared.holding.tell_held(self.shared.holding.hold());
        self.shared.control.look();
    }
}

impl Worker {
    /// One round: waits for something to do, at most for `at_most`, and does all of it. Answers whether there was anything.
    pub(crate) fn turn(&mut self, events: &mut Events, at_most: Option<Duration>) -> bool {
        let shared = &Arc::clone(&self.shared);
        self.fall_asleep(shared);
        let timeout = [self.timeout(), at_most].into_iter().flatten().min();
        let polled = self.poll.poll(events, timeout);
        shared.holding.marks(self.index).iter().for_each(|marks| marks.wake_up());
        if let Err(error) = polled {
            if error.kind() != io::ErrorKind::Interrupted {
                log::error!("worker {}: epoll failed: {error}", self.index);
            }
            return true;
        }
        (self.now, self.now_ms) = (Instant::now(), shared.server.clock.now_ms());
        // Each batch pins the epoch: inside of this that is cheap.
        let _pinned = epoch::pin();
        self.look(shared);
        let busy = !events.is_empty() || !self.again.is_empty();
        let mut woken = false;
        // One alone waits for nobody.
        self.round.set_open(events.iter().nth(1).is_some());
        for event in &*events {
            if event.token() == WAKER {
                woken = true;
                continue;
            }
            let place = event.token().0;
            if (event.is_readable() || event.is_read_closed())
                && let Some(connection) = self.connections.get_mut(place)
            {
                connection.readable = true;
                connection.half_closed |= event.is_read_closed();
            }
            self.drive(place, shared);
        }
        self.carry_out(shared);
        self.round.set_open(false);
        for place in std::mem::take(&mut self.again) {
            if let Some(connection) = self.connections.get_mut(place) {
                connection.again = false;
            }
            self.drive(place, shared);
        }
        if woken {
            self.take_messages(shared);
        }
        self.look(shared);
        let (read, written) = std::mem::take(&mut self.moved);
        shared.server.stats.input_bytes.add(read);
        shared.server.stats.output_bytes.add(written);
        self.close_late_ones();
        busy
    }

    /// Takes what others have told this worker, or have put into mailboxes: they have woken it for the first of it at least.
    fn take_messages(&mut self, shared: &Arc<Shared>) {
        while let Ok(message) = self.messages.try_recv() {
            self.take(message);
        }
        for id in self.handle.take_mail() {
            if self.connection(id).is_some() {
                self.drive(id.place, shared);
            }
        }
    }

    fn timeout(&self) -> Option<Duration> {
        if !self.again.is_empty() {
            return Some(Duration::ZERO);
        }
        let settings = &self.shared.server.settings;
        let ticks = self.stopping.is_some()
            || settings.idle_timeout_s.load(Ordering::Relaxed) != 0
            || self.stalled > 0;
        let server = &self.shared.server;
        let paused = server.pause.get(&server.clock).filter(|_| !self.paused.is_empty());
        [ticks.then_some(LATE_CHECK_INTERVAL), paused.map(|paused| paused.rest)].into_iter().flatten().min()
    }

    /// Notes that it waits for something to do, and what is under way: nobody has to wait for it meanwhile. Whoever has seen it awake just now waits for its
    /// word: so it looks again where something is held back, or goes on, of which it does not know.
    fn fall_asleep(&mut self, shared: &Arc<Shared>) {
        let Shared { published, holding, .. } = &**shared;
        let Some(marks) = holding.marks(self.index) else { return };
        let given_up = published.given_up();
        let live = || self.under_way.iter().filter(|(generation, ..)| *generation > given_up);
        marks.fall_asleep(live().next().is_some(), live().any(|(.., writes)| *writes > 0));
        if holding.hold() != self.hold {
            marks.wake_up();
            self.look(shared);
        }
    }

    /// The point between two batches: notes which engine and which hold this worker has seen.
    fn look(&mut self, shared: &Arc<Shared>) {
        let Shared { published, holding, .. } = &**shared;
        let Some(marks) = holding.marks(self.index) else { return };
        let (generation, hold) = (published.generation(), holding.hold());
        self.hold = hold;
        // Whoever reads that a generation was seen must not read what was under way before it was.
        let given_up = published.given_up();
        let kept = self.under_way.iter().map(|(generation, ..)| *generation).filter(|one| *one > given_up);
        let oldest = kept.min().unwrap_or(holding::NONE);
        // Who waits for the end of what is under way waits for that of an older generation.
        let drains = marks.oldest.load(Ordering::Relaxed) < generation;
        let mut news = holding::note(&marks.oldest, oldest) && drains;
        news |= marks.note_end(hold, || shared.server.clock.monotonic_ns());
        let live = || self.under_way.iter().filter(|(generation, ..)| *generation > given_up);
        let held = match hold {
            Hold::Writes(number) if live().all(|(.., writes)| *writes == 0) => number,
            Hold::All(number) if live().next().is_none() => number,
            _ => 0,
        };
        if held != 0 && holding::note(&marks.held, held) {
            news |= !holding.tell_held(hold);
        }
        // Whoever waits for all to have passed does not miss a hold that this one has seen.
        news |= holding::note(&marks.seen, generation);
        if news {
            shared.control.look();
        }
        let mut freed = if hold == Hold::No { std::mem::take(&mut self.held) } else { Vec::new() };
        if !self.paused.is_empty() && shared.server.pause.get(&shared.server.clock).is_none() {
            freed.append(&mut self.paused);
        }
        for id in freed {
            let freed = self.connection(id).map(|connection| connection.waiting = Waiting::No);
            if freed.is_some() {
                self.drive(id.place, shared);
            }
        }
    }

    fn connection(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        self.connections
            .get_mut(id.place)
            .map(Box::as_mut)
            .filter(|connection| connection.session.id == id.client)
    }

    fn begin(&mut self, generation: u64, writes: bool) {
        let place = self.under_way.iter().position(|(found, ..)| *found == generation);
        let place = place.unwrap_or_else(|| {
            self.under_way.push((generation, 0, 0));
            self.under_way.len() - 1
        });
        if let Some((_, all, writing)) = self.under_way.get_mut(place) {
            *all += 1;
            *writing += usize::from(writes);
        }
    }

    fn end(&mut self, generation: u64, writes: bool) {
        if let Some((_, all, writing)) = self.under_way.iter_mut().find(|(found, ..)| *found == generation) {
            *all -= 1;
            *writing -= usize::from(writes);
        }
        self.under_way.retain(|(_, all, _)| *all > 0);
    }

    /// Serves one connection as far as it goes: reads, carries out, writes.
    fn drive(&mut self, place: usize, shared: &Arc<Shared>) {
        let Some(mut connection) = self.connections.take(place) else { return };
        self.stalled -= usize::from(connection.stalled.is_some());
        connection.borrow(&mut self.spare);
        self.drive_on(place, connection, 0, shared);
    }

    /// Goes on with a connection from which `read` bytes were read in this turn.
    fn drive_on(
        &mut self,
        place: usize,
        mut connection: Box<Connection>,
        mut read: usize,
        shared: &Arc<Shared>,
    ) {
        loop {
            connection.take_mail();
            if connection.wants_input() && self.stopping.is_none() && read == 0 {
                read = connection.read();
                self.moved.0 += read as u64;
                if read > 0 {
                    connection.active = self.now;
                }
            }
            if !connection.is_free() {
                break;
            }
            if connection.pipeline.is_empty() && !connection.parse(&shared.limits()) {
                connection.tell_protocol_error();
                break;
            }
            if let Some(work) = self.step(&mut connection, place, shared) {
                if self.round.gather((place, connection), work, read) {
                    self.carry_out(shared);
                }
                return;
            }
            if connection.session.closing {
                break;
            }
        }
        if !self.round.is_empty() && shared.server.pause.get(&shared.server.clock).is_some() {
            // What came before a pause happens before that is told.
            self.carry_out(shared);
        }
        let written = connection.write(self.now);
        connection.limit_output(&shared.server.settings.output_limits, self.now);
        self.moved.1 += written as u64;
        connection.give_back(&mut self.spare);
        if read > 0 || written > 0 {
            connection.note((read > 0).then_some(self.now_ms));
        }
        let over = connection.over();
        let more = connection.wants_input() || connection.has_more();
        if let Some(end) = over {
            self.connections.vacate(place);
            return self.close(connection, &end);
        }
        self.stalled += usize::from(connection.stalled.is_some());
        if more && !std::mem::replace(&mut connection.again, more) {
            self.again.push(place);
        }
        self.connections.put_back(place, connection);
    }

    /// Carries out the next requests of a connection, or answers work that is to be carried out together with that of others.
    fn step(
        &mut self,
        connection: &mut Connection,
        place: usize,
        shared: &Arc<Shared>,
    ) -> Option<(Work, Pending)> {
        let server = &shared.server;
        let hold = shared.holding.hold();
        shared.published.with(|live| {
            let Connection { pipeline, session, output, .. } = connection;
            match pipeline.step(session, server, live, hold, output) {
                Step::Idle => {}
                Step::Work(work, pending) if !self.standby && self.round.takes(&work, &pending, live) => {
                    return Some((work, pending));
                }
                Step::Held => {
                    self.held.push(ConnectionId { place, client: connection.session.id });
                    connection.waiting = Waiting::Hold;
                }
                Step::Paused => {
                    self.paused.push(ConnectionId { place, client: connection.session.id });
                    connection.waiting = Waiting::Hold;
                }
                Step::Engine(args) => {
                    connection.waiting = Waiting::Control;
                    let from = ConnectionId { place, client: connection.session.id };
                    shared.control.engine_command(self.index, from, args);
                }
                Step::Exclusive(transaction) => {
                    connection.waiting = Waiting::Control;
                    let from = ConnectionId { place, client: connection.session.id };
                    shared.control.transaction(self.index, from, transaction);
                }
                Step::Work(work, pending) => {
                    // Those who ask for little do not wait for who asks for much.
                    self.carry_out(shared);
                    self.execute(live, (place, connection), (work, pending), shared);
                }
                Step::Keyspace { task, writes } if self.standby || live.blocks() || task.blocks() => {
                    let server = Arc::clone(server);
                    self.in_pool(live, place, pipeline.command(), move |live, _, _| {
                        Some(PoolDone::Value(task.run(&**live, &server)))
                    });
                    let generation = live.generation;
                    connection.waiting = Waiting::Work { pending: None, generation, writes };
                    self.begin(generation, writes);
                }
                Step::Keyspace { task, .. } => {
                    self.carry_out(shared);
                    self.caller.enter(pipeline.command());
                    let value = task.run(&**live, server);
                    self.caller.leave();
                    pipeline.finish_alone(&value, session, server, output);
                }
            }
            None
        })
    }

    /// Has a connection's work carried out.
    fn execute(
        &mut self,
        live: &Arc<Live>,
        (place, connection): (usize, &mut Connection),
        (work, mut pending): (Work, Pending),
        shared: &Arc<Shared>,
    ) {
        let (server, writes) = (&shared.server, work.writes());
        let Connection { pipeline, session, output, .. } = connection;
        let execution = if self.standby || live.execution_blocks() {
            self.in_pool(live, place, pending.command(), move |live, home, ticket| {
                PoolDone::of(live.execute(work, (&home, ticket), None))
            });
            Execution::Later
        } else {
            self.caller.enter(pending.command());
            let mut replier = pending.replier(work.room(), session, server, output);
            let taker = replier.as_mut().map(|replier| replier as &mut dyn Taker);
            let execution = live.execute(work, (&self.home, place as u64), taker);
            self.caller.leave();
            execution
        };
        match execution {
            Execution::Done(work, outcomes) => {
                let time_ns = pipeline.time_ns(server);
                pipeline.finish(pending, work, &outcomes, time_ns, session, server, output);
            }
            _ => self.wait_for_work(connection, pending, live.generation, writes),
        }
    }

    /// A connection's work comes back later.
    fn wait_for_work(
        &mut self,
        connection: &mut Connection,
        pending: Pending,
        generation: u64,
        writes: bool,
    ) {
        connection.waiting = Waiting::Work { pending: Some(pending), generation, writes };
        self.begin(generation, writes);
    }

    /// Runs something on the pool, and has its result sent to this worker.
    fn in_pool(
        &self,
        live: &Arc<Live>,
        place: usize,
        command: Option<usize>,
        run: impl FnOnce(&Arc<Live>, Arc<dyn Home>, u64) -> Option<PoolDone> + Send + 'static,
    ) {
        let (live, handle, home) = (Arc::clone(live), self.handle.clone(), Arc::clone(&self.home));
        let ticket = place as u64;
        self.shared.pool.run(command, move || {
            let run = AssertUnwindSafe(|| run(&live, home, ticket));
            let done = catch_unwind(run).unwrap_or(Some(PoolDone::Broken));
            drop(live);
            if let Some(done) = done {
                handle.send(Message::PoolDone { ticket, done });
            }
        });
    }

    fn close(&mut self, mut connection: Box<Connection>, end: &End) {
        if let Err(error) = connection.socket.deregister(self.poll.registry()) {
            log::debug!("epoll: {error}");
        }
        let (peer, id) = (connection.socket.peer(), connection.session.id);
        self.shared.server.pubsub.leave(&mut connection.session.subscriber);
        match end {
            End::Client => match connection.unfinished_len() {
                0 => log::debug!("client {id} {peer} closed"),
                bytes => log::info!(
                    "client {id} {peer} closed: it hung up in the middle of a request, {bytes} bytes of which had come"
                ),
            },
            End::Protocol(error) => log::warn!("client {id} {peer} closed: {error}"),
            End::Killed => log::info!("client {id} {peer} closed: CLIENT KILL"),
            End::Io(error) => log::info!("client {id} {peer} closed: {error}"),
            End::Late(text) => log::warn!("client {id} {peer} closed: {text}"),
        }
        // Who comes and goes during a long pause must not be kept until its end.
        if matches!(connection.waiting, Waiting::Hold) {
            self.held.retain(|held| held.client != id);
            self.paused.retain(|paused| paused.client != id);
        }
        self.shared.server.clients.remove(id);
        self.handle.disconnected();
    }
}
