//! Adopter: the thread that hands the state of the live engine over. It is there, with all that takes time done, before anything is held back.
//!
//! From the moment when everybody is held back to the one when all go on, it does all by itself: each change from one thread to another is a time
//! for which everybody waits.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam::channel::{Sender, bounded};
use plugin_abi::raw::KV_CAP_DURABLE;

use super::dropped::unload_candidate;
use super::job::{Done, Job};
use super::urgent::{self, Urgent};
use super::{Control, ControlMessage};
use crate::fail_point;
use crate::net::{Message, Shared, WorkerHandle};
use crate::plugin::Keyspace;
use crate::plugin::adopt::{Adopted, Handoff, Progress, adopt, way};
use crate::plugin::holding::{Hold, Holding};
use crate::plugin::live::{Candidate, Live};
use crate::plugin::threads;

/// An engine that has the state, and is published already.
pub(super) struct Taken {
    pub(super) live: Arc<Live>,
    /// The engine before.
    pub(super) old: Arc<Live>,
    pub(super) adopted: Adopted,
    /// When it began to hold back, on the server's clock, in nanoseconds.
    pub(super) held_since_ns: u64,
}

/// How the control thread reaches it. When this is dropped before the word was given, the thread unloads the candidate; when it is dropped after the handoff, the
/// thread ends.
#[derive(Debug)]
pub(super) struct Adopter {
    word: Sender<Hold>,
    progress: Arc<Progress>,
    /// `None`: it could not be started.
    thread: Option<JoinHandle<()>>,
}

impl Adopter {
    /// Gives the word to hold back, with this hold, and then to hand over.
    pub(super) fn begin(&self, hold: Hold) {
        // There is room for it, and the thread waits.
        let _ = self.word.try_send(hold);
    }

    /// When all was held back, so that it has begun to hand over; `None`: it has not.
    pub(super) fn begun(&self) -> Option<Instant> {
        self.progress.begun()
    }

    /// Calls it off if it has not begun to hand over: the thread holds nothing back any more, and unloads the candidate. False: it has begun.
    pub(super) fn call_off_hold(&self, holding: &Holding) -> bool {
        holding.call_off(|| self.progress.call_off_hold())
    }

    /// Its thread, to be waited for.
    pub(super) fn into_thread(self) -> Option<JoinHandle<()>> {
        self.thread
    }

    /// Calls the handoff off, unless it has come to its commit; answers which call it is in.
    pub(super) fn call_off(&self) -> Option<&'static str> {
        self.progress.call_off()
    }
}

impl Job {
    /// When its handoff has begun.
    pub(super) fn begun(&self) -> Option<Instant> {
        self.adopter.as_ref().and_then(Adopter::begun)
    }

    /// Calls a handoff off that does not return. False: it has committed already, and ends by itself.
    pub(super) fn call_off(&mut self, timeout: Duration) -> bool {
        let call = self.adopter.as_ref().and_then(Adopter::call_off);
        // The manifest may fail yet, and then the files may not be had back.
        self.deadline = Some(Instant::now() + timeout);
        match call {
            Some(call) => {
                self.problem = format!(
                    "{call} has not succeeded; until it has, what would go to the engine is answered with UNAVAILABLE"
                );
            }
            None => log::error!(
                "the manifest is not put in its place, or kv_handoff_commit does not return; everything is held back until that has ended"
            ),
        }
        call.is_some()
    }
}

impl Candidate {
    /// The way in which it can take the state of this engine over, as both say.
    pub(super) fn way_from(&self, live: &Live) -> Option<Handoff> {
        let symbols = self.library.calls().optional_symbols();
        way((live.identity(), &live.symbols()), (self.file.identity(), &symbols))
    }
}

/// Holds everything back, and waits until that is so. Answers when that began; `None`: it was called off.
fn hold_back(shared: &Shared, workers: &[WorkerHandle], hold: Hold, progress: &Progress) -> Option<u64> {
    let (holding, since_ns) = (&shared.holding, shared.server.clock.monotonic_ns());
    if !holding.hold_back_and_wait(hold, || !progress.is_called_off()) {
        return None;
    }
    fail_point::reach("holds back");
    shared.wake_for(hold, workers);
    while !holding.all_held(hold) && !progress.is_called_off() {
        thread::park();
    }
    progress.begin().then_some(since_ns)
}

/// The cutover: clients go on with the engine that has the state.
fn publish(
    shared: &Shared,
    workers: &[WorkerHandle],
    live: &Arc<Live>,
    old: &Live,
    Adopted { versions, .. }: Adopted,
) {
    if versions {
        live.keep_versions_of(old);
    }
    shared.published.replace(Arc::clone(live));
    fail_point::reach("published");
    shared.holding.release(shared.server.clock.monotonic_ns());
    workers.iter().for_each(|worker| worker.send(Message::Look));
}

impl Control {
    /// Starts the thread that will hand over.
    pub(super) fn ready(&mut self) {
        let Some(candidate) = self.take_candidate() else { return };
        let Some(handoff) = self.job.as_ref().and_then(|job| job.handoff) else { return };
        let (word, wait) = bounded::<Hold>(1);
        let progress = Arc::<Progress>::default();
        if let Some(job) = &mut self.job {
            job.adopter = Some(Adopter { word, progress: Arc::clone(&progress), thread: None });
        }
        let (handle, job) = (self.seed.handle(), self.last_job);
        // Where it is left behind, it keeps nothing of that.
        let (shared, workers) = (Arc::downgrade(&self.shared), self.workers.clone());
        let giver = self.shared.published.get();
        let manifest = self.next_manifest(&candidate, giver.generation + 1);
        let tell = move |done| handle.send(ControlMessage::Done { job, done });
        let broken = tell.clone();
        let run = move || {
            if let Err(error) = manifest.prepare() {
                unload_candidate(*candidate);
                return tell(Done::Broken(error));
            }
            if handoff == Handoff::Reopen && giver.identity().has(KV_CAP_DURABLE) {
                // So that little is left for when everybody waits. What fails here fails there again, and is said there.
                _ = giver.sync();
            }
            tell(Done::Ready);
            let (Ok(hold), Some(shared)) = (wait.recv(), shared.upgrade()) else {
                return unload_candidate(*candidate);
            };
            // Until this one ends: when the workers have gone on for sure.
            let _urgent = Urgent::new(workers.iter().filter_map(WorkerHandle::thread_id));
            urgent::hurry();
            let Some(held_since_ns) = hold_back(&shared, &workers, hold, &progress) else {
                return unload_candidate(*candidate);
            };
            let generation = giver.generation + 1;
            let adopted =
                adopt(handoff, &giver, *candidate, generation, &shared.server, &progress, &manifest);
            // Nothing here may panic: the giver must not be called any more.
            let taken = adopted.map(|(live, adopted)| {
                let (live, old) = (Arc::new(live), giver);
                publish(&shared, &workers, &live, &old, adopted);
                Taken { live, old, adopted, held_since_ns }
            });
            shared.holding.wait_no_more();
            drop(shared);
            let done = taken.is_ok();
            tell(Done::Adopted(taken));
            if done {
                // What its end does to the memory of the process would keep the workers waiting. Who retires the giver joins it.
                _ = wait.recv();
            }
        };
        let told = broken.clone();
        let run = move || {
            if catch_unwind(AssertUnwindSafe(run)).is_err() {
                told(Done::Broken("the thread that hands the state over panicked".to_owned()));
            }
        };
        match threads::spawn("adopt", run) {
            Ok(thread) => {
                if let Some(adopter) = self.job.as_mut().and_then(|job| job.adopter.as_mut()) {
                    adopter.thread = Some(thread);
                }
            }
            Err(error) => {
                let why = format!("the thread that hands the state over cannot be started: {error}");
                broken(Done::Broken(why));
            }
        }
    }
}
