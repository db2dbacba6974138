//! Control: the thread that accepts clients, takes signals and ENGINE commands, and carries reloads out step by step.
//!
//! It never calls an engine itself, so it answers while an engine hangs: each blocking step runs on a thread made for it.

mod accept;
mod adopter;
mod copier;
mod dropped;
mod ended;
mod engine_command;
mod exclusive;
mod history;
mod job;
mod manifest;
mod probation;
mod rotation;
mod shadow;
mod signals;
mod urgent;
mod watch;
mod watchdog;

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, Sender, unbounded};
use mio::{Events, Poll, Token, Waker};

use crate::command::pipeline::{Exclusive, Transacted};
use crate::net::listener::Listener;
use crate::net::{ConnectionId, Message, Shared, WorkerHandle};
use crate::plugin::file::Digest;
use crate::plugin::holding::Hold;
use crate::plugin::lifecycle::{Nursery, Source};
use crate::plugin::live::Live;
use crate::plugin::reload::Reload;
use crate::plugin::state_dir::{NextManifest, StateDir};
use crate::protocol::Value;
use exclusive::{Asked, Exclusives};
use history::History;
use job::{Done, Job, Options, Wishes};
use signals::{Signal, Signals};
use watchdog::Watchdog;

pub use watch::Watch;

const WAKER: Token = Token(usize::MAX);
/// How long a stopping host waits for a reload to end, after its workers have ended.
const STOP_TIMEOUT: Duration = Duration::from_secs(60);

/// Who gets the reply of an ENGINE command.
type Asker = Option<(usize, ConnectionId)>;

/// What the control thread is told.
enum ControlMessage {
    /// An ENGINE command.
    Engine { worker: usize, from: ConnectionId, args: Vec<Vec<u8>> },
    /// A transaction that has to have the engine to itself.
    Exclusive(Asked),
    /// What came of it.
    Transacted(Transacted),
    /// A step of a job has ended.
    Done { job: u64, done: Done },
    /// The watched file has changed: to what.
    Changed(Digest),
    /// A client asks for the end: with what.
    Stop(&'static str),
    /// A worker has moved on.
    Look,
}

/// How other threads reach the control thread.
#[derive(Clone)]
pub struct ControlHandle {
    messages: Sender<ControlMessage>,
    waker: Arc<Waker>,
}

impl ControlHandle {
    fn send(&self, message: ControlMessage) {
        // A control thread that has ended needs to be told nothing.
        let _ = self.messages.send(message);
        if let Err(error) = self.waker.wake() {
            log::error!("cannot wake the control thread: {error}");
        }
    }

    /// Hands over the arguments of an ENGINE command.
    pub fn engine_command(&self, worker: usize, from: ConnectionId, args: Vec<Vec<u8>>) {
        self.send(ControlMessage::Engine { worker, from, args });
    }

    /// Hands over a transaction that has to have the engine to itself.
    pub fn transaction(&self, worker: usize, from: ConnectionId, transaction: Exclusive) {
        self.send(ControlMessage::Exclusive(Asked { worker, from, transaction }));
    }

    /// Ends the host in order; `name` is what asks for it.
    pub fn stop(&self, name: &'static str) {
        self.send(ControlMessage::Stop(name));
    }

    /// A worker has seen another generation or hold, or ended its last batch.
    pub fn look(&self) {
        self.send(ControlMessage::Look);
    }
}

/// A control thread that is not running yet.
pub struct Seed {
    poll: Poll,
    messages: Receiver<ControlMessage>,
    handle: ControlHandle,
    signals: Signals,
}

impl Seed {
    /// Makes its event loop, and takes the signals over.
    ///
    /// # Errors
    /// The system has no more descriptors.
    pub fn new() -> io::Result<Self> {
        let mut seed = Self::without_signals()?;
        seed.signals = Signals::new(seed.poll.registry())?;
        Ok(seed)
    }

    /// The same within another program, whose signals are its own business.
    ///
    /// # Errors
    /// The system has no more descriptors.
    pub fn without_signals() -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
        let (sender, messages) = unbounded();
        Ok(Self {
            poll,
            messages,
            handle: ControlHandle { messages: sender, waker },
            signals: Signals::none(),
        })
    }

    /// Does what a control thread would, in a host that never grows it and has one worker: nobody else is there, so a transaction has the
    /// engine to itself. ENGINE is refused.
    pub(crate) fn stand_in(&self, shared: &Shared, worker: &WorkerHandle) {
        while let Ok(message) = self.messages.try_recv() {
            match message {
                ControlMessage::Engine { from, .. } => {
                    let value = Value::error("ERR an embedded host keeps its engine");
                    worker.send(Message::EngineReply { to: from, value });
                }
                ControlMessage::Exclusive(Asked { from, transaction, .. }) => {
                    let done = transaction.run(&shared.published.get(), &shared.server);
                    worker.send(Message::Transacted { to: from, done });
                }
                _ => {}
            }
        }
    }

    /// How others reach the control thread.
    pub fn handle(&self) -> ControlHandle {
        self.handle.clone()
    }

    /// Becomes the control thread.
    pub fn grow(
        self,
        shared: Arc<Shared>,
        nursery: Arc<Nursery>,
        listeners: Vec<Listener>,
        workers: Vec<WorkerHandle>,
        configured: Configured,
    ) -> Control {
        let history = History::new(&shared.published.get(), shared.server.clock.now_ms());
        Control {
            watchdog: Watchdog::new(configured.watchdog),
            seed: self,
            shared,
            nursery,
            listeners,
            workers,
            configured,
            next_worker: 0,
            accept_again: None,
            stopping: None,
            reload: Reload::default(),
            job: None,
            stuck: None,
            last_job: 0,
            last_hold: 0,
            exclusives: Exclusives::default(),
            next_manifest: NextManifest::default(),
            changed: None,
            history,
        }
    }
}

/// What SIGHUP reloads, and a plain `ENGINE RELOAD`.
#[derive(Clone, Debug)]
pub struct Configured {
    /// The engine's file.
    pub engine: std::path::PathBuf,
    /// Options for it with which nothing was opened yet, because the host started with what served last.
    pub engine_opt: Options,
    /// How long `kv_open` and `kv_close` may take before they are given up.
    pub open_timeout: Duration,
    /// Where it is kept which engine serves.
    pub state_dir: Option<Arc<StateDir>>,
    /// For how many clients there are descriptors.
    pub clients_room: usize,
    /// Looks whether the engine's file changes.
    pub watch: Option<Watch>,
    /// After how long a call of the engine that has not returned is told; zero: never.
    pub watchdog: Duration,
}

impl Configured {
    /// The options for what is loaded from there, where it is not known with which it served last.
    fn options_for(&self, source: &Source) -> Option<Options> {
        match source {
            Source::File { path, .. } if *path == self.engine => Some(self.engine_opt.clone()),
            _ => None,
        }
    }
}

/// What is left of a job: its number, an engine that is dropped when its thread has ended, and that thread.
type Stuck = (u64, Option<Arc<Live>>, Option<JoinHandle<()>>);

/// The control thread.
pub struct Control {
    seed: Seed,
    shared: Arc<Shared>,
    nursery: Arc<Nursery>,
    listeners: Vec<Listener>,
    workers: Vec<WorkerHandle>,
    configured: Configured,
    next_worker: usize,
    accept_again: Option<Instant>,
    stopping: Option<Instant>,
    reload: Reload,
    job: Option<Job>,
    /// The thread of a step that was given up and has not ended, with the number of its job; and the engine that it is to be dropped with.
    stuck: Option<Stuck>,
    last_job: u64,
    last_hold: u64,
    exclusives: Exclusives,
    /// The manifest of the reload that is under way.
    next_manifest: NextManifest,
    /// What the watched file has changed to, until it is looked at.
    changed: Option<Digest>,
    history: History,
    watchdog: Watchdog,
}

impl Control {
    /// Serves until a signal ends it and all workers have ended. Answers whether the engine may be closed: nothing uses it any more.
    ///
    /// # Errors
    /// The listeners, or the engine's file, cannot be watched.
    pub fn run(mut self) -> io::Result<bool> {
        for (index, listener) in self.listeners.iter_mut().enumerate() {
            listener.register(self.seed.poll.registry(), Token(index))?;
        }
        if let Some(watch) = self.configured.watch.clone() {
            watch.start(self.seed.handle(), Arc::clone(&self.nursery))?;
        }
        let mut events = Events::with_capacity(256);
        loop {
            match self.seed.poll.poll(&mut events, self.timeout()) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
            let due = self.accept_again.take_if(|at| *at <= Instant::now()).is_some();
            for index in 0..self.listeners.len() {
                let ready = events.iter().any(|event| event.token() == Token(index));
                if ready || due {
                    self.accept(index);
                }
            }
            for signal in self.seed.signals.take() {
                match signal {
                    Signal::Stop(name) => self.stop(name),
                    Signal::Reload => {
                        log::info!("SIGHUP: reloading {}", self.configured.engine.display());
                        self.request(None, self.configured.engine.clone().into(), Wishes::default());
                    }
                }
            }
            while let Ok(message) = self.seed.messages.try_recv() {
                match message {
                    ControlMessage::Engine { worker, from, args } => self.engine_command(worker, from, &args),
                    ControlMessage::Exclusive(asked) => self.exclusives.ask(asked),
                    ControlMessage::Transacted(done) => self.transacted(done),
                    ControlMessage::Done { job, done } => self.done(job, done),
                    ControlMessage::Changed(digest) => self.changed = Some(digest),
                    ControlMessage::Stop(name) => self.stop(name),
                    ControlMessage::Look => {}
                }
            }
            self.look();
            self.look_at_probation();
            self.look_at_exclusives();
            self.look_at_change();
            self.watch_calls();
            if let Some(since) = self.stopping
                && self.workers.iter().all(WorkerHandle::has_ended)
                && (self.job.is_none() || since.elapsed() > STOP_TIMEOUT)
            {
                // Beyond the live generation: then no batch of it is under way either.
                let Shared { published, holding, .. } = &*self.shared;
                let quiet = self.job.is_none()
                    && self.stuck.is_none()
                    && !self.exclusives.under_way()
                    && holding.all_passed(published.generation() + 1);
                if !self.workers.iter().all(WorkerHandle::join) {
                    log::error!("a worker panicked");
                }
                return Ok(quiet);
            }
        }
    }

    fn timeout(&self) -> Option<Duration> {
        let now = Instant::now();
        let job = self.job.as_ref().and_then(|job| job.deadline);
        // A stopping worker's thread ends a moment after it has told so.
        let stop = self.stopping.map(|_| now + Duration::from_millis(20));
        let all = [
            self.accept_again,
            job,
            self.probation_due(),
            self.exclusives.deadline(),
            stop,
            self.watchdog.due(),
        ];
        let next = all.into_iter().flatten().min();
        next.map(|at| at.saturating_duration_since(now))
    }

    fn stop(&mut self, name: &str) {
        if self.stopping.is_some() {
            return;
        }
        log::info!("{name}: stopping; a second signal exits at once");
        self.stopping = Some(Instant::now());
        // Who has connected may have sent something, which is answered; the end of the listener would reset the connection.
        (0..self.listeners.len()).for_each(|index| self.accept(index));
        self.listeners.clear();
        self.accept_again = None;
        if self.job.is_some() && !self.reload.phase().is_live() {
            self.cancel(None);
        }
        for worker in &self.workers {
            worker.send(Message::Stop);
        }
    }

    /// Sends a reply, if somebody waits for it.
    fn reply(&self, asker: Asker, value: Value) {
        if let Some((worker, to)) = asker
            && let Some(worker) = self.workers.get(worker)
        {
            worker.send(Message::EngineReply { to, value });
        }
    }

    fn next_hold(&mut self) -> u64 {
        self.last_hold += 1;
        self.last_hold
    }

    /// Asks all workers to hold this back. Those that are asleep see it when they wake.
    fn hold_back(&self, hold: Hold) {
        self.shared.holding.hold_back(hold);
        self.shared.wake_for(hold, &self.workers);
    }

    /// Lets what is held back go on.
    fn release(&self) {
        self.shared.holding.release(self.shared.server.clock.monotonic_ns());
        self.workers.iter().for_each(|worker| worker.send(Message::Look));
    }

    fn drain_timeout(&self) -> Duration {
        Duration::from_millis(self.shared.server.settings.drain_timeout_ms.load(Ordering::Relaxed))
    }
}
