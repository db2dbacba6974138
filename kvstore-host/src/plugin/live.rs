//! Live: one generation: an open engine, its library, and the way in which work is carried out on it.

mod keyspace;

use std::cell::UnsafeCell;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use plugin_abi::calls::{CallError, Instance, OpenOptions, State};
use plugin_abi::raw::*;
use plugin_abi::{Identity, Status};

use super::changes::Changes;
use super::file::EngineFile;
use super::flight::{self, Cargo, Home, Landed, Taker};
use super::joint::{Joined, Joint};
use super::library::Library;
use super::locked::{self, Stripes};
use super::outcome::{Outcome, Outcomes};
use super::services::Services;
use super::versioned::{Emulation, Next};
use super::work::Work;
use crate::server::Server;

/// Works that are handed over together at most: no client waits for many others, and engines look up about so many keys together.
pub const JOINT_MAX: usize = 16;

/// After so many batches that were complete when the engine returned it is expected to go on so.
const PROMPT: u32 = 64;
/// It is not.
const LATE: u32 = u32::MAX;

/// How work is carried out, by what the engine can do.
enum Driver {
    /// It takes batches with updates: all of it is handed over as it is.
    Native,
    /// It takes batches and has versions: updates are reads and conditional writes.
    Versioned,
    /// It has get, set and delete: the host locks by key.
    Locked(Stripes),
}

impl Driver {
    fn of(symbols: &[&str], identity: &Identity) -> Self {
        let batches = symbols.contains(&"kv_submit") && identity.has(KV_CAP_ATOMIC);
        if batches && symbols.contains(&"kv_update") {
            Self::Native
        } else if batches && identity.has(KV_CAP_VERSIONS) {
            Self::Versioned
        } else {
            Self::Locked(Stripes::new())
        }
    }
}

/// What came of handing work over.
pub enum Execution {
    /// It is done.
    Done(Work, Outcomes),
    /// So are works that were handed over together.
    Joined(Joined),
    /// It comes home later.
    Later,
}

impl Execution {
    /// Whether the engine panicked in it, or had before.
    fn has_panicked(&self) -> bool {
        match self {
            Self::Done(_, outcomes) => outcomes.have_panicked(),
            Self::Joined(joined) => joined.have_panicked(),
            Self::Later => false,
        }
    }
}

/// What is next for work that came back.
enum Advance {
    /// Nothing: it is done.
    Done(Execution),
    /// Another round, atomic or not.
    Again(Cargo, bool),
}

/// One generation.
pub struct Live {
    /// Its number: 1, 2, 3 … of published engines.
    pub generation: u64,
    /// The file that it was loaded from, with its bytes: for a rollback after the library is unmapped.
    pub file: Arc<EngineFile>,
    /// The options that it was opened with.
    pub options: Vec<(String, String)>,
    /// What the check found, in a line.
    pub check: String,
    // The oldest generation whose versions are still those of this one.
    versions_since: AtomicU64,
    // A call of a handoff does not return: nobody may call it meanwhile.
    suspended: AtomicBool,
    panicked: AtomicBool,
    // What it does, and what it tells, is for clients: it is published, and not replaced.
    serves: Arc<AtomicBool>,
    changes: Arc<Changes>,
    identity: Identity,
    symbols: Vec<&'static str>,
    driver: Driver,
    // Taken out by `retire`, when nobody can reach it any more.
    instance: UnsafeCell<Option<Instance>>,
    library: Mutex<Option<Library>>,
    // How many batches were complete when the engine returned, up to PROMPT; LATE once one was not.
    prompt: AtomicU32,
    server: Arc<Server>,
}

// SAFETY: the instance is Sync; it is taken out only by `retire`, whose caller knows that nobody else is left.
unsafe impl Sync for Live {}
// SAFETY: as above.
unsafe impl Send for Live {}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Live({} {}, generation {})", self.identity.name, self.identity.version, self.generation)
    }
}

/// A library that passed the check and is loaded, ready to be opened.
pub struct Candidate {
    /// The loaded library.
    pub library: Library,
    /// The file that it was loaded from.
    pub file: Arc<EngineFile>,
    /// What the check found, in a line.
    pub check: String,
    /// The options to open it with.
    pub options: Vec<(String, String)>,
}

impl Live {
    /// Opens an engine as this generation, with the state that another one gives, if there is one. Blocks as long as `kv_open` does.
    ///
    /// # Errors
    /// What `kv_open` said. The library is handed back, to be unloaded.
    pub fn open(
        candidate: Candidate,
        generation: u64,
        server: &Arc<Server>,
        state: Option<&State<'_>>,
    ) -> Result<Self, Box<(CallError, Library)>> {
        let Candidate { library, file, check, options } = candidate;
        let identity = file.identity().clone();
        let changes = Arc::<Changes>::default();
        let serves = Arc::<AtomicBool>::default();
        let services =
            Services::new(&identity.name, Arc::clone(server), Arc::clone(&changes), Arc::clone(&serves));
        let open = OpenOptions { options: options.clone(), scratch_dir: None };
        let calls = library.calls();
        let instance = match Instance::open(calls, identity.clone(), Box::new(services), &open, state) {
            Ok(instance) => instance,
            Err(error) => return Err(Box::new((error, library))),
        };
        let symbols = calls.optional_symbols();
        let driver = Driver::of(&symbols, &identity);
        Ok(Self {
            generation,
            versions_since: AtomicU64::new(generation),
            suspended: AtomicBool::new(false),
            panicked: AtomicBool::new(false),
            serves,
            changes,
            file,
            options,
            check,
            identity,
            symbols,
            driver,
            instance: UnsafeCell::new(Some(instance)),
            library: Mutex::new(Some(library)),
            prompt: AtomicU32::new(0),
            server: Arc::clone(server),
        })
    }

    /// The open instance; `None` while it is suspended, and after it was retired.
    pub fn instance(&self) -> Option<&Instance> {
        if self.suspended.load(Ordering::Acquire) {
            return None;
        }
        // SAFETY: taken out only by `retire`, whose caller knows that nobody else is left.
        unsafe { (*self.instance.get()).as_ref() }
    }

    /// Has all that would be carried out answered with UNAVAILABLE, until it is told that this is over. While it is told, nobody calls the engine.
    pub fn set_suspended(&self, suspended: bool) {
        self.suspended.store(suspended, Ordering::Release);
    }

    /// Whether clients are served with it. What it tells of expiries and evictions, and what it is called for, counts from here on, or no longer.
    pub(super) fn set_serves(&self, serves: bool) {
        self.serves.store(serves, Ordering::Relaxed);
    }

    /// Begins or ends to note which keys are written, so that another engine can be kept equal to this one. Begins while no write is under way.
    pub fn follow(&self, follow: bool) {
        self.changes.follow(follow);
    }

    /// How many writes are noted that whoever follows has not taken yet; all entries removed at once count as one.
    pub fn changes_noted(&self) -> u64 {
        self.changes.noted()
    }

    /// Whether it has answered that it panicked: nobody can read it any more. What it carried out until then is among the changes, where somebody follows them.
    pub fn has_panicked(&self) -> bool {
        self.panicked.load(Ordering::Acquire)
    }

    #[cold]
    fn note_panic(&self) {
        if !self.panicked.swap(true, Ordering::AcqRel) && self.serves.load(Ordering::Relaxed) {
            log::error!(
                "{self:?} has panicked, and refuses all that it is asked for; an engine that can adopt its state can take its place (ENGINE RELOAD, \
                 ENGINE ROLLBACK), or the one that is kept on probation"
            );
        }
    }

    pub(super) fn changes(&self) -> &Changes {
        &self.changes
    }

    /// Operations of clients so far: they grow as long as anybody asks the engine for anything.
    pub(super) fn operations(&self) -> u64 {
        self.server.stats.operations.get()
    }

    /// Notes the keys that work has, or may have, written, before anybody is told what came of it.
    #[inline]
    fn note_changes(&self, execution: &Execution) {
        if self.changes.are_followed() {
            let note = |work: &Work, outcomes: &[Outcome]| {
                let panicked = outcomes.iter().any(Outcome::has_panicked);
                let wrote =
                    |op| !panicked || !work.atomic() && !outcomes.get(op).is_some_and(Outcome::has_panicked);
                // SAFETY: the operations of a work point into it.
                unsafe {
                    self.changes.note(work.ops(), wrote);
                    self.changes.note_reads(work.ops());
                }
            };
            match execution {
                Execution::Done(work, outcomes) => note(work, outcomes.all()),
                Execution::Joined(joined) => {
                    joined
                        .works()
                        .for_each(|(work, outcome)| note(work, outcome.map_or(&[], std::slice::from_ref)));
                }
                Execution::Later => {}
            }
        }
        if execution.has_panicked() {
            self.note_panic();
        }
    }

    /// Whether calls other than batches have to be made from the pool.
    pub fn blocks(&self) -> bool {
        self.identity.has(KV_CAP_BLOCKING)
    }

    /// Whether `execute` may block, so that it has to be called from the pool.
    pub fn execution_blocks(&self) -> bool {
        self.blocks() && matches!(self.driver, Driver::Locked(_))
    }

    /// What a person calls the driver.
    pub fn driver_name(&self) -> &'static str {
        match self.driver {
            Driver::Native => "batches",
            Driver::Versioned => "batches, updates by version",
            Driver::Locked(_) if self.identity.has(KV_CAP_THREAD_SAFE) => "calls, locked by key",
            Driver::Locked(_) => "calls, one at a time",
        }
    }

    /// The oldest generation whose versions are still those of this one: what was watched before it has changed.
    pub fn versions_since(&self) -> u64 {
        self.versions_since.load(Ordering::Acquire)
    }

    /// The versions came along from the generation before.
    pub fn keep_versions_of(&self, before: &Self) {
        self.versions_since.store(before.versions_since(), Ordering::Release);
    }

    /// Whether keys can be watched.
    pub fn can_watch(&self) -> bool {
        matches!(self.driver, Driver::Locked(_)) || self.identity.has(KV_CAP_VERSIONS)
    }

    /// Whether the engine itself keeps the versions by which keys are watched.
    pub fn keeps_versions(&self) -> bool {
        !matches!(self.driver, Driver::Locked(_)) && self.identity.has(KV_CAP_VERSIONS)
    }

    /// Hands work over. What is not done at once comes to `home` with its ticket, and goes on with [`Live::resume`].
    /// What is done at once and in order goes to `taker`, if it is given and the work is not atomic, and is missing in the outcomes.
    pub fn execute(
        &self,
        work: Work,
        home: (&Arc<dyn Home>, u64),
        taker: Option<&mut dyn Taker>,
    ) -> Execution {
        let execution = self.hand_over(work, home, taker);
        self.note_changes(&execution);
        execution
    }

    #[inline]
    fn hand_over(&self, work: Work, home: (&Arc<dyn Home>, u64), taker: Option<&mut dyn Taker>) -> Execution {
        let Some(instance) = self.instance() else {
            let outcomes = self.all_unavailable(work.ops().len());
            return Execution::Done(work, outcomes);
        };
        let batch_len_max = self.identity.batch_len_max;
        if work.ops().len() as u64 > batch_len_max && !matches!(self.driver, Driver::Locked(_)) {
            let text = format!("{} operations; the engine takes {batch_len_max} at a time", work.ops().len());
            let outcomes = flight::all_failed(work.ops().len(), Status::TOO_LARGE, &text);
            return Execution::Done(work, outcomes);
        }
        match &self.driver {
            Driver::Locked(stripes) => {
                // Without kv_submit each operation crosses by itself.
                self.count_calls(work.ops().len(), work.ops().len());
                let (work, outcomes) = locked::run(instance, stripes, work);
                Execution::Done(work, outcomes)
            }
            Driver::Versioned if work.has_updates() => {
                self.submit(instance, Cargo::Emulated(Emulation::new(work)), false, home, None)
            }
            _ => {
                let atomic = work.atomic();
                let taker = taker.filter(|_| !atomic);
                self.submit(instance, Cargo::Direct(work), atomic, home, taker)
            }
        }
    }

    /// Goes on with work whose flight has landed.
    pub fn resume(&self, landed: Landed, home: (&Arc<dyn Home>, u64)) -> Execution {
        let done = match self.instance() {
            None => landed.abandon(),
            Some(instance) => match Self::advance(instance, landed) {
                Advance::Done(done) => done,
                Advance::Again(cargo, atomic) => self.submit(instance, cargo, atomic, home, None),
            },
        };
        self.note_changes(&done);
        done
    }

    /// Takes what has landed, and says what is next.
    fn advance(instance: &Instance, landed: Landed) -> Advance {
        let Landed { cargo, outcomes, refused, pinned } = landed;
        if let Some(flight) = pinned {
            flight.release(&instance.session());
        }
        match cargo {
            Cargo::Direct(work) => Advance::Done(Execution::Done(work, outcomes)),
            Cargo::Joint(joint) => {
                Advance::Done(Execution::Joined(Joined::new(joint.into_works(), outcomes, refused)))
            }
            Cargo::Emulated(mut emulation) => match emulation.advance(&outcomes) {
                Next::Submit { atomic } => Advance::Again(Cargo::Emulated(emulation), atomic),
                Next::Done => {
                    let (work, outcomes) = emulation.finish();
                    Advance::Done(Execution::Done(work, outcomes))
                }
            },
        }
    }

    /// Submits, and goes on as long as the engine completes at once.
    fn submit(
        &self,
        instance: &Instance,
        mut cargo: Cargo,
        mut atomic: bool,
        home: (&Arc<dyn Home>, u64),
        mut taker: Option<&mut dyn Taker>,
    ) -> Execution {
        loop {
            self.count_calls(1, cargo.len());
            let now_ms = cargo.now_ms().unwrap_or_else(|| self.server.clock.now_ms());
            let landed = flight::submit(&instance.session(), cargo, atomic, now_ms, home, taker.take());
            self.note_promptness(landed.is_some());
            match landed.map(|landed| Self::advance(instance, landed)) {
                None => return Execution::Later,
                Some(Advance::Done(done)) => return done,
                Some(Advance::Again(next, all_or_none)) => (cargo, atomic) = (next, all_or_none),
            }
        }
    }

    /// Whether works of one operation each are to be [handed over together](Self::execute_joint). Not where one that takes its time would keep the others
    /// waiting: only with an engine that has completed each of its batches before `kv_submit` returned, and quite a few of them.
    pub fn joins(&self, work: &Work) -> bool {
        let prompt = self.prompt.load(Ordering::Relaxed) == PROMPT;
        prompt
            && work.ops().len() == 1
            && !work.atomic()
            && match &self.driver {
                Driver::Native => true,
                Driver::Versioned => !work.has_updates(),
                Driver::Locked(_) => false,
            }
            && self.identity.batch_len_max >= JOINT_MAX as u64
    }

    /// Hands works over together, at most [`JOINT_MAX`] of those that it [joins](Self::joins), each with a ticket. What is not done at once comes to `home`
    /// together, with the first ticket. What is done at once and in order goes to `taker`, and is missing in the outcomes.
    pub fn execute_joint(
        &self,
        works: Vec<(u64, Work)>,
        home: &Arc<dyn Home>,
        taker: &mut dyn Taker,
    ) -> Execution {
        let ticket = works.first().map_or(0, |(ticket, _)| *ticket);
        match self.instance() {
            Some(instance) => {
                let cargo = Cargo::Joint(Joint::new(works));
                let execution = self.submit(instance, cargo, false, (home, ticket), Some(taker));
                self.note_changes(&execution);
                execution
            }
            None => {
                let outcomes = self.all_unavailable(works.len());
                Execution::Joined(Joined::new(works, outcomes, false))
            }
        }
    }

    /// Notes whether a batch was complete when the engine returned.
    fn note_promptness(&self, complete: bool) {
        match self.prompt.load(Ordering::Relaxed) {
            LATE => {}
            _ if !complete => self.prompt.store(LATE, Ordering::Relaxed),
            PROMPT => {}
            // Others may count, or be late, at the same time: then this one does not count.
            batches => {
                let _ =
                    self.prompt.compare_exchange(batches, batches + 1, Ordering::Relaxed, Ordering::Relaxed);
            }
        }
    }

    fn count_calls(&self, batches: usize, ops: usize) {
        if self.serves.load(Ordering::Relaxed) {
            self.server.stats.batches.add(batches as u64);
            self.server.stats.operations.add(ops as u64);
        }
    }

    /// The same engine as another, newer generation. `None` if it was retired.
    ///
    /// # Safety
    /// As for [`retire`](Self::retire).
    pub unsafe fn again(&self, generation: u64) -> Option<Self> {
        // SAFETY: nobody else is left, says the caller.
        let instance = unsafe { (*self.instance.get()).take() }?;
        let library = self.library.lock().unwrap_or_else(PoisonError::into_inner).take();
        Some(Self {
            generation,
            versions_since: AtomicU64::new(generation),
            suspended: AtomicBool::new(false),
            panicked: AtomicBool::new(self.has_panicked()),
            serves: Arc::clone(&self.serves),
            changes: Arc::clone(&self.changes),
            file: Arc::clone(&self.file),
            options: self.options.clone(),
            check: self.check.clone(),
            identity: self.identity.clone(),
            symbols: self.symbols.clone(),
            driver: Driver::of(&self.symbols, &self.identity),
            instance: UnsafeCell::new(Some(instance)),
            library: Mutex::new(library),
            prompt: AtomicU32::new(0),
            server: Arc::clone(&self.server),
        })
    }

    /// Closes the engine and hands its library back, to be unloaded. Blocks as long as `kv_close` does.
    ///
    /// # Safety
    /// Nobody uses this generation any more, and nobody will: no worker has it pinned, no flight of it is under way.
    ///
    /// # Errors
    /// What `kv_close` said, beside the library.
    pub unsafe fn retire(&self) -> (Result<(), CallError>, Option<Library>) {
        // SAFETY: nobody else is left, says the caller.
        let instance = unsafe { (*self.instance.get()).take() };
        let closed = instance.map_or(Ok(()), Instance::close);
        let library = self.library.lock().unwrap_or_else(PoisonError::into_inner).take();
        (closed, library)
    }

    fn all_unavailable(&self, ops: usize) -> Outcomes {
        let CallError { status, text } = self.unavailable();
        flight::all_failed(ops, status, &text)
    }

    fn unavailable(&self) -> CallError {
        let text = match self.suspended.load(Ordering::Acquire) {
            true => "the engine does not return from a handoff",
            false => "the engine is closed",
        };
        CallError { status: Status::UNAVAILABLE, text: text.to_owned() }
    }
}
