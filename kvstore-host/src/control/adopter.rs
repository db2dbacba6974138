//! Adopter: the thread that hands the state of the live engine over. It is there, with all that takes time done, before anything is held back.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use crossbeam::channel::{Sender, bounded};
use plugin_abi::raw::KV_CAP_DURABLE;

use super::dropped::unload_candidate;
use super::job::Done;
use super::{Control, ControlMessage};
use crate::plugin::Keyspace;
use crate::plugin::adopt::{Handoff, Progress, adopt, way};
use crate::plugin::live::{Candidate, Live};

/// How the control thread reaches it. When this is dropped before the word was given, the thread unloads the candidate; afterwards it ends.
#[derive(Debug)]
pub(super) struct Adopter {
    word: Sender<()>,
    progress: Arc<Progress>,
    /// `None`: it could not be started.
    thread: Option<JoinHandle<()>>,
}

impl Adopter {
    /// Gives the word.
    pub(super) fn begin(&mut self) {
        // There is room for it, and the thread waits.
        let _ = self.word.try_send(());
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

impl Candidate {
    /// The way in which it can take the state of this engine over, as both say.
    pub(super) fn way_from(&self, live: &Live) -> Option<Handoff> {
        let symbols = self.library.calls().optional_symbols();
        way((live.identity(), &live.symbols()), (self.file.identity(), &symbols))
    }
}

impl Control {
    /// Starts the thread that will hand over.
    pub(super) fn ready(&mut self) {
        let Some(candidate) = self.take_candidate() else { return };
        let Some(handoff) = self.job.as_ref().and_then(|job| job.handoff) else { return };
        let (word, wait) = bounded(1);
        let progress = Arc::<Progress>::default();
        if let Some(job) = &mut self.job {
            job.adopter = Some(Adopter { word, progress: Arc::clone(&progress), thread: None });
        }
        let (handle, job) = (self.seed.handle(), self.last_job);
        let server = Arc::clone(&self.shared.server);
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
            if wait.recv().is_err() {
                return unload_candidate(*candidate);
            }
            let generation = giver.generation + 1;
            let adopted = adopt(handoff, &giver, *candidate, generation, &server, &progress, &manifest);
            drop(giver);
            let done = adopted.is_ok();
            tell(Done::Adopted(adopted.map(|(live, adopted)| (Arc::new(live), adopted))));
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
        match thread::Builder::new().name("adopt".to_owned()).spawn(run) {
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
