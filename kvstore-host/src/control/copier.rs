//! Copier: the thread that copies the data of the live engine into the next one while clients go on, and what is known of it meanwhile.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;

use crossbeam::channel::{Sender, bounded};

use super::dropped::drop_candidate;
use super::job::Done;
use super::manifest::committed;
use super::{Control, ControlMessage};
use crate::plugin::migrate::{Progress, migrate};

/// How the control thread reaches it. When this is dropped, the copier ends early.
#[derive(Debug)]
pub(super) struct Copier {
    /// `None`: it is to end early.
    word: Option<Sender<()>>,
    /// What an engine may have left on it is gone when it has ended. `None`: it could not be started.
    thread: Option<JoinHandle<()>>,
    progress: Arc<Progress>,
    /// How far it was when it was last looked.
    seen: u64,
}

impl Copier {
    pub(super) fn new(word: Sender<()>, thread: Option<JoinHandle<()>>, progress: Arc<Progress>) -> Self {
        Self { word: Some(word), thread, progress, seen: 0 }
    }

    /// Has it copy the last changes: nobody writes any more.
    pub(super) fn finish(&self) {
        if let Some(word) = &self.word {
            // There is room for it.
            let _ = word.try_send(());
        }
    }

    /// Has it end early, if it has not ended yet.
    pub(super) fn stop(&mut self) {
        self.word = None;
    }

    /// The same; answers its thread, to be waited for.
    pub(super) fn into_thread(self) -> Option<JoinHandle<()>> {
        self.thread
    }

    /// How far it is.
    pub(super) fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Whether it has got on since this was last asked.
    pub(super) fn gets_on(&mut self) -> bool {
        let steps = self.progress.steps.load(Ordering::Relaxed);
        std::mem::replace(&mut self.seen, steps) != steps
    }
}

impl Control {
    /// Starts it.
    pub(super) fn migrate(&mut self) {
        let Some(job) = &self.job else { return };
        let Some(to) = job.live.clone() else { return };
        let (word, wait) = bounded(1);
        let progress = Arc::<Progress>::default();
        let from = self.shared.published.get();
        let (handle, number) = (self.seed.handle(), self.last_job);
        let caught_up = move || handle.send(ControlMessage::Done { job: number, done: Done::CaughtUp });
        let comparison = job.comparison.clone();
        let (next, its_progress) = (self.next_manifest.clone(), Arc::clone(&progress));
        let thread = self.on_thread("copy to", move || {
            let migrated = migrate(&from, &to, &its_progress, &wait, comparison.as_deref(), caught_up);
            committed(&next, &to, Done::Migrated(migrated))
        });
        if let Some(job) = &mut self.job {
            job.copier = Some(Copier::new(word, thread, progress));
        }
    }

    /// Whichever engine's changes are followed, they are not any more.
    pub(super) fn unfollow(&self) {
        self.shared.published.get().follow(false);
        self.job.iter().filter_map(|job| job.old.as_ref()).for_each(|old| old.follow(false));
    }

    /// That of the reload under way, if it has one.
    pub(super) fn copier(&mut self) -> Option<&mut Copier> {
        self.job.as_mut().and_then(|job| job.copier.as_mut())
    }

    /// A step ended after its job was given up.
    pub(super) fn too_late(&mut self, number: u64, done: Done) {
        // The copier that was left to itself has ended, or what comes before a handoff. What they, or somebody else, had told before says nothing of it.
        let ended = matches!(done, Done::Migrated(_) | Done::Broken(_) | Done::Ready);
        if let Some((_, live, thread)) = self.stuck.take_if(|(job, ..)| ended && *job == number) {
            match live {
                Some(live) => {
                    log::warn!("the migration into {live:?} that was given up has ended");
                    drop_candidate(live, thread);
                }
                None => log::warn!("what was to come before a handoff, and was given up, has ended"),
            }
        }
        if let Done::Opened(Ok(live)) = done {
            log::warn!("{live:?} was opened after it was given up; it is closed again");
            drop_candidate(live, None);
        }
    }
}
