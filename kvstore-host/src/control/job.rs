//! Job: one reload under way: carries out the actions of the state machine, and feeds it what came of them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::adopter::{Adopter, Taken};
use super::copier::Copier;
use super::dropped::{drop_candidate, unload_candidate};
use super::manifest::called_off;
use super::probation::{Probation, can_come_back, not_equal};
use super::{Asker, Control, ControlMessage};
use crate::fail_point;
use crate::net::Message;
use crate::plugin::adopt::{Adopted, Handoff, NotAdopted};
use crate::plugin::holding::Hold;
use crate::plugin::lifecycle::{Retired, Source, retire};
use crate::plugin::live::{Candidate, Live};
use crate::plugin::migrate::{MigrateError, Migrated, can_leave};
use crate::plugin::reload::{Action, Event, Phase};
use crate::plugin::shadow::Comparison;
use crate::plugin::state_dir::StateDir;
use crate::plugin::threads;
use crate::protocol::Value;

/// Options of an engine.
pub(super) type Options = Vec<(String, String)>;

/// How a reload is to be carried out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Wishes {
    /// The options of the engine; `None`: those last used with its name.
    pub(super) options: Option<Options>,
    /// Migrate the data, also where they could be adopted.
    pub(super) migrates: bool,
    /// Keep the candidate beside the live engine, and repeat so many of a million reads on both.
    pub(super) shadow: Option<u64>,
    /// Watch it for so long when it is live, and keep the engine before equal to it meanwhile.
    pub(super) probation: Option<Duration>,
}

/// What a thread of a job has done.
pub(super) enum Done {
    Checked(Result<Box<Candidate>, String>),
    Opened(Result<Arc<Live>, String>),
    /// What is left to copy is little.
    CaughtUp,
    /// Somebody wants the shadow to become the live engine.
    Promoted,
    /// The manifest names the engine before again.
    Recorded,
    Migrated(Result<Migrated, MigrateError>),
    /// It waits for the word to hand the state over.
    Ready,
    Adopted(Result<Taken, Box<NotAdopted>>),
    Retired(Retired),
    /// The thread could not be started, or panicked.
    Broken(String),
}

/// One reload.
pub(super) struct Job {
    pub(super) number: u64,
    pub(super) asker: Asker,
    pub(super) source: Source,
    pub(super) deadline: Option<Instant>,
    pub(super) since: Instant,
    options: Option<Options>,
    /// The data are to be migrated, also where they could be adopted.
    migrates: bool,
    /// What is compared, where the candidate is to be a shadow.
    pub(super) comparison: Option<Arc<Comparison>>,
    /// What is seen of the new engine, where it is to be on probation.
    pub(super) probation: Option<Probation>,
    candidate: Option<Box<Candidate>>,
    pub(super) live: Option<Arc<Live>>,
    pub(super) old: Option<Arc<Live>>,
    /// What it holds back, or has held back last.
    hold: Hold,
    /// When workers were asked to hold back, on the server's clock, in nanoseconds.
    pub(super) held_since_ns: u64,
    pub(super) adopter: Option<Adopter>,
    pub(super) copier: Option<Copier>,
    /// The thread that has the manifest name the engine before, until it has told what came of it.
    pub(super) recorder: Option<JoinHandle<()>>,
    /// It is not wanted any more, and who said so.
    pub(super) cancelled: bool,
    cancelled_by: Asker,
    /// From the moment when workers were asked to hold back, before the first one stopped, until the last one went on.
    pub(super) stopped: Duration,
    pub(super) migrated: Migrated,
    /// How the state is to be handed over, where it is.
    pub(super) handoff: Option<Handoff>,
    /// What was handed over, where it was.
    pub(super) adopted: Option<Adopted>,
    /// Why it was not, though both engines had said that they can.
    pub(super) not_adopted: Option<String>,
    /// Why it is refused.
    pub(super) problem: String,
    /// A thread is left behind in the candidate.
    pub(super) abandoned: bool,
    /// What became of the old engine.
    pub(super) old_verdict: String,
}

impl Control {
    /// Asks for a reload. Without options, those last used with that engine's name.
    pub(super) fn request(&mut self, asker: Asker, source: Source, wishes: Wishes) {
        let refused = if self.stopping.is_some() {
            Some("ERR the host is stopping".to_owned())
        } else if self.stuck.is_some() {
            Some("BUSY a step of a reload that was given up has not ended yet".to_owned())
        } else if self.job.is_some() {
            Some(format!("BUSY a reload is under way (phase: {})", self.reload.phase().name()))
        } else {
            None
        };
        if let Some(text) = refused {
            log::warn!("reload of {source} refused: {text}");
            self.reply(asker, Value::error(text));
        } else {
            self.last_job += 1;
            self.job = Some(Job {
                number: self.last_job,
                asker,
                source,
                deadline: None,
                since: Instant::now(),
                options: wishes.options,
                migrates: wishes.migrates || wishes.shadow.is_some() || wishes.probation.is_some(),
                probation: wishes.probation.map(|length| Probation::new(length, &self.shared.server)),
                comparison: wishes.shadow.map(|share| Arc::new(Comparison::new(share))),
                candidate: None,
                live: None,
                old: None,
                hold: Hold::No,
                held_since_ns: 0,
                adopter: None,
                copier: None,
                recorder: None,
                cancelled: false,
                cancelled_by: None,
                stopped: Duration::ZERO,
                handoff: None,
                adopted: None,
                not_adopted: None,
                migrated: Migrated::default(),
                problem: String::new(),
                abandoned: false,
                old_verdict: String::new(),
            });
            self.event(Event::Requested);
        }
    }

    /// Takes what a thread of a job has done.
    pub(super) fn done(&mut self, number: u64, done: Done) {
        let Some(job) = self.job.as_mut().filter(|job| job.number == number) else {
            return self.too_late(number, done);
        };
        if matches!(done, Done::Adopted(_)) && self.reload.phase() == Phase::HoldAll {
            // It had begun by itself, and there is nothing to do for that.
            fail_point::reach("HoldAll Succeeded");
            self.reload.on(Event::Succeeded);
        }
        if matches!(done, Done::Recorded | Done::Broken(_)) {
            job.recorder = None;
        }
        // What holds back next.
        let holds = match done {
            Done::Migrated(Err(_)) => self.reload.phase() == Phase::Probation,
            _ if job.cancelled => false,
            Done::Opened(_) | Done::Ready | Done::Promoted => true,
            Done::CaughtUp => job.comparison.is_none(),
            _ => false,
        };
        if holds && self.exclusives.under_way() {
            // It is there in time; how long the transaction takes is not its fault.
            job.deadline = None;
            return self.exclusives.postpone(number, done);
        }
        let event = match done {
            // What could not be given up has ended; nothing else is begun.
            Done::Checked(Ok(candidate)) if job.cancelled => {
                unload_candidate(*candidate);
                Event::Failed
            }
            Done::Opened(Ok(live)) if job.cancelled => {
                drop_candidate(live, None);
                Event::Failed
            }
            Done::Checked(Ok(candidate)) => {
                let live = self.shared.published.get();
                job.handoff = candidate.way_from(&live).filter(|_| !job.migrates);
                match can_leave(&live) {
                    Err(error) if job.handoff.is_none() => {
                        unload_candidate(*candidate);
                        job.problem = error.to_string();
                        Event::Failed
                    }
                    _ => {
                        job.candidate = Some(candidate);
                        if job.handoff.is_some() { Event::CanAdopt } else { Event::Succeeded }
                    }
                }
            }
            Done::Ready | Done::Recorded => Event::Succeeded,
            Done::CaughtUp if job.comparison.is_some() => Event::InStep,
            Done::CaughtUp => {
                let server = &self.shared.server;
                job.probation.iter_mut().for_each(|probation| probation.note_before(server));
                Event::CaughtUp
            }
            Done::Promoted => Event::Promoted,
            Done::Adopted(Ok(Taken { live, old, adopted, held_since_ns })) => {
                (job.live, job.old, job.adopted) = (Some(live), Some(old), Some(adopted));
                job.held_since_ns = held_since_ns;
                Event::Succeeded
            }
            Done::Opened(Ok(live)) => match can_come_back(&live) {
                Err(problem) if job.probation.is_some() => {
                    drop_candidate(live, None);
                    job.problem = problem;
                    Event::Failed
                }
                _ => {
                    job.live = Some(live);
                    Event::Succeeded
                }
            },
            Done::Migrated(Ok(migrated)) if self.reload.phase() == Phase::Finish => {
                job.migrated = migrated;
                let watched = job.probation.is_some() && !job.cancelled;
                if watched { Event::OnProbation } else { Event::Succeeded }
            }
            Done::Migrated(Ok(back)) => {
                job.migrated.versions = back.versions;
                Event::Succeeded
            }
            Done::Retired(retired) => {
                job.old_verdict = retired.verdict.to_string();
                if let Some(error) = retired.close_error {
                    job.old_verdict = format!("{}; kv_close failed: {error}", job.old_verdict);
                }
                Event::Succeeded
            }
            Done::Checked(Err(problem)) | Done::Opened(Err(problem)) => {
                job.problem = problem;
                Event::Failed
            }
            Done::Adopted(Err(not)) => {
                let NotAdopted { problem, candidate, refused } = *not;
                job.candidate = candidate.map(Box::new);
                job.options = job.candidate.as_ref().map(|candidate| candidate.options.clone());
                job.not_adopted = refused.then(|| problem.clone());
                job.problem = problem;
                if refused { Event::Refused } else { Event::Failed }
            }
            Done::Broken(problem) if self.reload.phase() == Phase::Retire => {
                job.old_verdict = format!("kept: {problem}");
                Event::Failed
            }
            Done::Broken(problem) => {
                job.problem = problem;
                Event::Failed
            }
            Done::Migrated(Err(error)) if self.reload.phase().is_live() => not_equal(job, &error),
            Done::Migrated(Err(error)) => {
                // Where it was called off, that was said already.
                if error != MigrateError::Cancelled {
                    job.problem = error.to_string();
                }
                Event::Failed
            }
        };
        self.event(event);
    }

    /// Sees whether the job can go on: workers have moved, or time has passed.
    pub(super) fn look(&mut self) {
        let timeout = self.drain_timeout();
        let Some(job) = &mut self.job else { return };
        // While writes are held back, the time is limited however it gets on.
        let copies = matches!(self.reload.phase(), Phase::Migrate | Phase::Shadow);
        if copies && job.copier.as_mut().is_some_and(Copier::gets_on) {
            job.deadline = Some(Instant::now() + timeout);
        }
        let holding = &self.shared.holding;
        let reached = match self.reload.phase() {
            Phase::Hold | Phase::Settle | Phase::Return | Phase::Doubt | Phase::Force => {
                holding.all_held(job.hold)
            }
            Phase::HoldAll => job.begun().is_some(),
            Phase::Part | Phase::Drain => {
                let passed = |live: &Arc<Live>| holding.all_passed(live.generation);
                job.live.as_ref().is_some_and(passed) && holding.all_released(job.hold.number())
            }
            _ => false,
        };
        if reached {
            let event = self.reached();
            self.event(event);
        } else if self.reload.has_timeout() && job.deadline.is_some_and(|at| at <= Instant::now()) {
            if self.reload.phase() == Phase::Adopt && !job.call_off(timeout) {
                return;
            }
            let commits = matches!(self.reload.phase(), Phase::Finish | Phase::Restore | Phase::Record);
            if commits && !called_off(&self.next_manifest, job) {
                return;
            }
            self.event(Event::TimedOut);
        }
    }

    pub(super) fn event(&mut self, event: Event) {
        let phase = self.reload.phase();
        let adopter = self.job.as_ref().and_then(|job| job.adopter.as_ref());
        let ends = phase == Phase::HoldAll && matches!(event, Event::TimedOut | Event::Cancelled);
        // What has begun by itself meanwhile is not called off as if it had not.
        let begun = ends && adopter.is_some_and(|adopter| !adopter.call_off_hold(&self.shared.holding));
        let event = if begun { Event::Succeeded } else { event };
        fail_point::reach(format_args!("{phase:?} {event:?}"));
        let actions = self.reload.on(event);
        if event == Event::TimedOut
            && let Some(job) = &mut self.job
        {
            job.problem = match phase {
                Phase::Open | Phase::Ready => {
                    let what = if phase == Phase::Open { "kv_open" } else { "what comes before a handoff" };
                    let or = |dir: &Arc<StateDir>| format!(", or writing to {},", dir.path().display());
                    let dir = self.configured.state_dir.as_ref().map_or_else(String::new, or);
                    format!("{what}{dir} does not end; it was given up, and its thread is left behind")
                }
                Phase::Migrate
                | Phase::Shadow
                | Phase::Finish
                | Phase::Cancel
                | Phase::Restore
                | Phase::Cease => "the migration does not get on; it was given up".to_owned(),
                Phase::Part => "calls on it did not end in time".to_owned(),
                // Said before, if there is one.
                Phase::Adopt | Phase::Drain | Phase::Retire => std::mem::take(&mut job.problem),
                Phase::HoldAll => "what was under way did not end in time".to_owned(),
                _ => "writes under way did not end in time".to_owned(),
            };
            job.old_verdict = match phase {
                Phase::Part | Phase::Drain => "kept: calls on it do not end".to_owned(),
                Phase::Restore | Phase::Cease => {
                    "kept: a thread does not return from copying back to it".to_owned()
                }
                _ => "kept: its kv_close does not return".to_owned(),
            };
        }
        for action in actions {
            self.act(*action);
            fail_point::reach(format_args!("{action:?}: done"));
        }
        let timeout = match self.reload.phase() {
            Phase::Open | Phase::Ready | Phase::Retire => self.configured.open_timeout,
            _ => self.drain_timeout(),
        };
        if self.reload.phase() != phase
            && let Some(job) = &mut self.job
        {
            let since = job.begun().filter(|_| self.reload.phase() == Phase::Adopt);
            job.deadline = self.reload.has_timeout().then(|| since.unwrap_or_else(Instant::now) + timeout);
            log::debug!("reload of {}: {}", job.source, self.reload.phase().name());
        }
        if self.reload.phase() == Phase::Idle {
            self.forget_manifest();
            if let Some(mut job) = self.job.take() {
                // It may be in the live engine.
                if phase == Phase::Ready && event != Event::Failed && job.handoff == Some(Handoff::Reopen) {
                    self.stuck = Some((job.number, None, job.adopter.take().and_then(Adopter::into_thread)));
                }
                let reply = match (&job.old, job.abandoned) {
                    (Some(_), _) => Value::error("ERR it was too late to cancel the reload: it is done"),
                    (None, true) => Value::error(format!("ERR not all of it has ended: {}", job.problem)),
                    (None, false) => Value::Ok,
                };
                self.reply(job.cancelled_by, reply);
            }
        } else if self.reload.phase() != phase {
            let phase = self.reload.phase();
            if self.job.as_ref().is_some_and(|job| job.cancelled) {
                self.event(Event::Cancelled);
            }
            if self.reload.phase() == phase {
                // What the new phase waits for may have come already.
                self.look();
            }
        }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Check => self.check(),
            Action::Open => self.open(),
            Action::Ready => self.ready(),
            Action::HoldWrites => self.hold_writes(),
            Action::HoldAll => {
                let hold = Hold::All(self.next_hold());
                let Some(job) = &mut self.job else { return };
                job.hold = hold;
                job.adopter.iter().for_each(|adopter| adopter.begin(hold));
            }
            Action::Adopted => {
                self.note_published();
                // One that has come meanwhile is not known to the thread that has let go.
                let standby = self.workers.get(self.shared.holding.standby());
                standby.iter().for_each(|worker| worker.send(Message::Look));
            }
            // A handoff was called off: nobody else calls that engine now, and nobody will before it has returned.
            Action::Suspend => self.shared.published.get().set_suspended(true),
            Action::Resume => {
                self.shared.published.get().set_suspended(false);
                let problem = self.job.as_ref().map_or("", |job| &job.problem);
                log::warn!(
                    "the handoff that was called off has returned ({problem}); the old engine serves on"
                );
            }
            Action::Follow => self.shared.published.get().follow(true),
            // Writes are held back: nothing is missed by either.
            Action::FollowCandidate => {
                self.unfollow();
                self.job.iter().filter_map(|job| job.live.as_ref()).for_each(|live| live.follow(true));
            }
            Action::Feed => self.feed(),
            Action::Admit => self.admit(),
            Action::NotBack => self.not_back(),
            Action::Record => self.record(),
            Action::PublishOld => self.publish_old(),
            Action::Unfollow => self.unfollow(),
            Action::Migrate => self.migrate(),
            Action::Finish => self.copier().iter().for_each(|copier| copier.finish()),
            Action::StopCopier => self.copier().into_iter().for_each(Copier::stop),
            Action::Publish => self.publish(),
            Action::Release => self.release(),
            Action::DropCandidate => {
                // A thread that still waits for the word to hand over unloads it itself.
                let Some(job) = &mut self.job else { return };
                if let Some(live) = job.live.take() {
                    drop_candidate(live, job.copier.take().and_then(Copier::into_thread));
                }
                job.candidate.take().into_iter().for_each(|candidate| unload_candidate(*candidate));
            }
            // A thread is stuck in it, and tells `too_late` if it ever returns.
            Action::AbandonCandidate => {
                let Some(job) = &mut self.job else { return };
                job.abandoned = true;
                let copier = job.copier.take().and_then(Copier::into_thread);
                self.stuck = job.live.take().map(|live| (job.number, Some(live), copier));
            }
            Action::AbandonFed => {
                let Some(job) = &mut self.job else { return };
                let copier = job.copier.take().and_then(Copier::into_thread);
                self.stuck = job.old.clone().map(|old| (job.number, Some(old), copier));
            }
            Action::Retire => self.retire(),
            Action::AbandonOld | Action::Accept => self.settle_old(action),
            Action::Refuse => self.refuse(),
            Action::Introduce => self.introduce(),
        }
    }

    fn hold_writes(&mut self) {
        let hold = Hold::Writes(self.next_hold());
        let Some(job) = &mut self.job else { return };
        job.held_since_ns = self.shared.server.clock.monotonic_ns();
        job.hold = hold;
        self.hold_back(hold);
    }

    /// Runs a blocking step on a thread made for it.
    pub(super) fn on_thread(
        &self,
        name: &str,
        run: impl FnOnce() -> Done + Send + 'static,
    ) -> Option<JoinHandle<()>> {
        let (handle, job) = (self.seed.handle(), self.last_job);
        let broken = {
            let (handle, name) = (handle.clone(), name.to_owned());
            move |why: &str| {
                let done = Done::Broken(format!("the thread to {name} the engine {why}"));
                handle.send(ControlMessage::Done { job, done });
            }
        };
        let told = broken.clone();
        let run = move || match catch_unwind(AssertUnwindSafe(run)) {
            Ok(done) => handle.send(ControlMessage::Done { job, done }),
            Err(_) => told("panicked"),
        };
        let thread = threads::spawn(name, run);
        thread.map_err(|error| broken(&format!("cannot be started: {error}"))).ok()
    }

    fn check(&self) {
        let Some(job) = &self.job else { return };
        let (nursery, source) = (Arc::clone(&self.nursery), job.source.clone());
        let live = (self.shared.published.get(), self.shared.server.clock.now_ms());
        let prepare = move || nursery.prepare(&source, Some(&live), Vec::new());
        self.on_thread("check", move || Done::Checked(prepare().map(Box::new)));
    }

    /// The engine that was checked, with its options.
    pub(super) fn take_candidate(&mut self) -> Option<Box<Candidate>> {
        let job = self.job.as_mut()?;
        let mut candidate = job.candidate.take()?;
        let name = &candidate.file.identity().name;
        let given = job.options.take();
        let last = || self.history.options.get(name).cloned();
        candidate.options =
            given.or_else(last).or_else(|| self.configured.options_for(&job.source)).unwrap_or_default();
        Some(candidate)
    }

    fn open(&mut self) {
        let Some(candidate) = self.take_candidate() else { return };
        let (nursery, server) = (Arc::clone(&self.nursery), Arc::clone(&self.shared.server));
        let generation = self.shared.published.generation() + 1;
        let next = self.next_manifest(&candidate, generation);
        self.on_thread("open", move || Done::Opened(nursery.open(*candidate, generation, &server, &next)));
    }

    /// Calls the reload off that is under way, as soon as that can be done.
    pub(super) fn cancel(&mut self, asker: Asker) {
        let Some(job) = &mut self.job else {
            return self.reply(asker, Value::error("ERR there is no reload to cancel"));
        };
        if job.cancelled {
            return self.reply(asker, Value::error("BUSY the reload is being cancelled already"));
        }
        if self.reload.phase().is_live() {
            let why =
                "ERR the new engine is live: ENGINE ROLLBACK goes back, ENGINE PROMOTE ends its probation";
            return self.reply(asker, Value::error(why));
        }
        (job.cancelled, job.cancelled_by) = (true, asker);
        job.problem = "it was cancelled".to_owned();
        self.event(Event::Cancelled);
    }

    fn publish(&mut self) {
        let Some(job) = &mut self.job else { return };
        let Some(live) = job.live.clone() else { return };
        let old = self.shared.published.get();
        if job.migrated.versions {
            live.keep_versions_of(&old);
        }
        self.shared.published.replace(live);
        job.old = Some(old);
        self.note_published();
    }

    /// Notes that another engine is live.
    fn note_published(&mut self) {
        let Some(job) = &self.job else { return };
        let (Some(live), Some(old)) = (&job.live, &job.old) else { return };
        self.shared.server.engine_options.set(&live.options);
        self.history.published(live, old, job.way(), self.shared.server.clock.now_ms());
    }

    fn retire(&mut self) {
        self.note_stopped();
        let Some(job) = &mut self.job else { return };
        let Some(old) = job.old.clone() else { return };
        self.shared.published.forget_previous();
        let next = self.next_manifest.clone();
        let copier = job.copier.take().and_then(Copier::into_thread);
        let adopter = job.adopter.take().and_then(Adopter::into_thread);
        let rotation = self.rotation();
        self.on_thread("retire", move || {
            // How they ended is known. What an engine has left on them goes with them.
            copier.into_iter().chain(adopter).for_each(|thread| _ = thread.join());
            next.settle();
            // SAFETY: every worker has passed the cutover, and no batch of this generation is under way; nobody can
            // pin it any more.
            Done::Retired(rotation.unpin(unsafe { retire(&old) }))
        });
    }
}
