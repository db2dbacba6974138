//! Control: the control thread, `control/job.rs` and its neighbours: carries actions out one by one, and feeds the machine what came of them.

use super::super::{Action, Event, Phase};
use super::copier::{Adopter, At, Copier, Recorder};
use super::explorer::{Kind, Nexts};
use super::world::{Changes, Generation, Hold, Live, Number, Stage, World};

/// Who waits for a reply of an ENGINE command.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) enum Asker {
    #[default]
    Nobody,
    Waits,
    Told,
}

/// `job::Done`: what a thread of a job has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Done {
    Checked(bool),
    Opened(bool),
    CaughtUp,
    Ready,
    Recorded,
    Migrated(Result<(), MigrateError>),
    Adopted(Result<(), NotAdopted>),
    Retired,
    Broken,
}

/// `migrate::MigrateError`, as far as it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum MigrateError {
    Cancelled,
    Read,
    Other,
}

/// `adopt::NotAdopted`: whether one of both engines has said that it cannot, and nothing else is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct NotAdopted {
    pub(super) refused: bool,
}

/// `job::Job`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Job {
    asker: Asker,
    cancelled: bool,
    cancelled_by: Asker,
    pub(super) live: Generation,
    pub(super) old: Generation,
    /// Whether the copier is in its hands.
    copier: bool,
    /// `Probation::until`: the engine before is to come back, as soon as its copier is near.
    wanted_back: bool,
}

impl World {
    /// Whether the machine is where it may stay for ever, and nobody waits.
    pub(super) fn rests(&self) -> bool {
        let phase = self.reload.phase();
        matches!(phase, Phase::Idle | Phase::Shadow | Phase::Probation | Phase::Lacking)
            && self.actions.is_empty()
            && self.job.is_none_or(|job| job.asker != Asker::Waits && !job.wanted_back)
    }

    /// `Control::reply`.
    fn reply(&mut self, asker: Asker) -> Asker {
        self.must(asker != Asker::Told, "somebody is answered twice");
        if asker == Asker::Waits { Asker::Told } else { asker }
    }

    fn job(&mut self) -> &mut Job {
        self.job.as_mut().expect("there is a job")
    }

    /// All that the control thread can do next.
    pub(super) fn control_steps(&self, nexts: &mut Nexts) {
        if let Some(action) = self.actions.first() {
            let mut world = *self;
            world.act_next();
            return nexts.add(Kind::Fair, name(*action), world);
        }
        let mut on = |kind, what, event| {
            let mut world = *self;
            world.event(event);
            nexts.add(kind, what, world);
        };
        let phase = self.reload.phase();
        let Some(job) = &self.job else {
            if !self.asked {
                on(Kind::Choice, "is asked for a reload", Event::Requested);
            }
            return self.takes_message(nexts);
        };
        if self.has_reached() {
            on(Kind::Fair, "sees that it is reached", self.reached());
        } else if let Some(mut world) = self.gives_up() {
            world.event(Event::TimedOut);
            nexts.add(Kind::Failure, "gives up waiting", world);
        }
        if !job.cancelled && !phase.is_live() && self.may_fail() {
            let mut world = *self;
            (world.job().cancelled, world.job().cancelled_by) = (true, Asker::Waits);
            world.event(Event::Cancelled);
            nexts.add(Kind::Failure, "is told to cancel", world);
        }
        self.takes_message(nexts);
        self.probation_steps(nexts);
    }

    /// `control/shadow.rs`, `control/probation.rs`: what somebody says of a shadow or an engine on probation, and what the control thread sees of it.
    fn probation_steps(&self, nexts: &mut Nexts) {
        let (phase, Some(job)) = (self.reload.phase(), self.job) else { return };
        let mut tells = |kind, what, asker, event| {
            let mut world = *self;
            (world.job().asker, world.job().wanted_back) = (asker, false);
            world.event(event);
            nexts.add(kind, what, world);
        };
        let (free, waits) = (job.asker == Asker::Nobody, Asker::Waits);
        if phase == Phase::Shadow && free && !job.cancelled {
            tells(Kind::Choice, "is told to promote", waits, Event::Promoted);
        }
        // `Control::decided`: not while the engine before is recorded; nor, a bound that `explored.rs` tells of, before it is known how that ended.
        let records = self.recorders.iter().any(Option::is_some) || self.messages[0].is_some();
        if phase != Phase::Probation && (phase != Phase::Lacking || records) {
            return;
        }
        if job.wanted_back {
            tells(Kind::Fair, "has the engine before come back", job.asker, Event::Regressed);
        }
        tells(Kind::Choice, "sees that its time is over, or the host stops", job.asker, Event::Passed);
        if free {
            tells(Kind::Choice, "is told to promote", waits, Event::Passed);
        }
        let mut wants = |what, asker| {
            let mut world = *self;
            (world.job().asker, world.job().wanted_back) = (asker, true);
            nexts.add(Kind::Choice, what, world);
        };
        if free {
            wants("is told to go back", waits);
        }
        if phase == Phase::Probation && !job.wanted_back {
            wants("sees that the new engine does badly", job.asker);
        }
    }

    /// `Control::look`: whether what the phase waits for has come.
    fn has_reached(&self) -> bool {
        let Some(job) = &self.job else { return false };
        let mut marks = self.workers.iter().map(|worker| worker.marks);
        match self.reload.phase() {
            Phase::Hold | Phase::Settle | Phase::Return | Phase::Doubt | Phase::Force => {
                self.all_held(Hold::Writes(self.last_hold))
            }
            Phase::HoldAll => self.adopter.is_some_and(Adopter::has_begun),
            Phase::Part | Phase::Drain => marks.all(|marks| {
                let passed = marks.seen >= job.live && marks.oldest >= job.live;
                passed && (marks.held < self.last_hold || marks.released >= self.last_hold)
            }),
            _ => false,
        }
    }

    /// `Holding::all_held`.
    pub(super) fn all_held(&self, hold: Hold) -> bool {
        self.workers.iter().all(|worker| worker.holds(hold))
    }

    /// `Control::reached`.
    fn reached(&self) -> Event {
        let lacks = self.copier.is_some_and(|copier| copier.left) || self.engines[1].changes.noted();
        if self.reload.phase() == Phase::Doubt && lacks { Event::Lacks } else { Event::Succeeded }
    }

    /// The rest of it, at the deadline: what is called off first. None: there is no deadline, or that cannot be called off any more.
    fn gives_up(&self) -> Option<Self> {
        let mut world = *self;
        let goes = match self.reload.phase() {
            _ if !self.reload.has_timeout() || !self.may_fail() => false,
            Phase::Adopt => world.adopter.as_mut().is_some_and(Adopter::call_off),
            Phase::Finish | Phase::Restore | Phase::Record => world.call_off(world.next),
            _ => true,
        };
        goes.then_some(world)
    }

    /// `Control::event`. What the machine does, and the first action, nobody sees one without the other.
    fn event(&mut self, mut event: Event) {
        let phase = self.reload.phase();
        if phase == Phase::HoldAll && matches!(event, Event::TimedOut | Event::Cancelled) {
            let begun = self.adopter.as_mut().is_some_and(|adopter| !adopter.call_off_hold());
            event = if begun { Event::Succeeded } else { event };
        }
        if event == Event::Requested {
            self.asked = true;
            self.job = Some(Job { asker: Asker::Waits, ..Job::default() });
        }
        if (phase, event) == (Phase::Lacking, Event::Regressed) {
            self.forced = true;
            self.history.forget();
        }
        self.actions = self.reload.on(event);
        self.moved = self.reload.phase() != phase;
        self.act_next();
    }

    /// Carries the next action out, if there is one. Behind the last one comes the rest of `Control::event`.
    fn act_next(&mut self) {
        if let Some((action, rest)) = self.actions.split_first() {
            self.actions = rest;
            self.act(*action);
        }
        if self.actions.is_empty() && std::mem::take(&mut self.moved) {
            self.acted();
        }
    }

    /// That rest, in another phase than before.
    fn acted(&mut self) {
        if self.reload.phase() == Phase::Idle {
            let Some(mut job) = self.job.take() else { return };
            job.cancelled_by = self.reply(job.cancelled_by);
            self.must(job.asker != Asker::Waits, "somebody is not answered");
            if let Some(adopter) = &mut self.adopter {
                adopter.dropped = true;
            }
            self.take_copier(job.copier);
        } else if self.job.is_some_and(|job| job.cancelled) {
            self.event(Event::Cancelled);
        }
    }

    /// `Control::done`, and `Control::too_late`.
    fn takes_message(&self, nexts: &mut Nexts) {
        let [Some(done), second, third] = self.messages else { return };
        let mut world = *self;
        world.messages = [second, third, None];
        if matches!(done, Done::Adopted(_)) && world.reload.phase() == Phase::HoldAll {
            world.reload.on(Event::Succeeded);
        }
        let Some(job) = &mut world.job else {
            let ended = matches!(done, Done::Migrated(_) | Done::Broken);
            if ended && world.stuck != 0 {
                world.drops = std::mem::take(&mut world.stuck);
            }
            if done == Done::Opened(true) {
                world.drops = 2;
            }
            return nexts.add(Kind::Fair, "is told of a step that was given up", world);
        };
        let phase = world.reload.phase();
        let event = match done {
            Done::Checked(true) if job.cancelled => Event::Failed,
            Done::Opened(true) if job.cancelled => {
                world.drops = 2;
                Event::Failed
            }
            Done::Checked(true) if self.wishes.adopts => Event::CanAdopt,
            Done::Opened(true) => {
                job.live = 2;
                Event::Succeeded
            }
            Done::CaughtUp if self.wishes.shadow => Event::InStep,
            Done::CaughtUp => Event::CaughtUp,
            Done::Adopted(Ok(())) => {
                (job.live, job.old) = (2, 1);
                Event::Succeeded
            }
            Done::Migrated(Ok(())) if phase == Phase::Finish && self.wishes.probation && !job.cancelled => {
                Event::OnProbation
            }
            Done::Checked(true) | Done::Ready | Done::Recorded | Done::Migrated(Ok(())) | Done::Retired => {
                Event::Succeeded
            }
            Done::Adopted(Err(not)) if not.refused => Event::Refused,
            // `not_equal`.
            Done::Migrated(Err(MigrateError::Read)) if phase.is_live() => Event::Unreadable,
            Done::Checked(false) | Done::Opened(false) | Done::Adopted(Err(_)) => Event::Failed,
            Done::Migrated(Err(_)) | Done::Broken => Event::Failed,
        };
        world.event(event);
        nexts.add(Kind::Fair, "is told what a thread has done", world);
    }

    /// What a thread sends to it.
    pub(super) fn send(&mut self, done: Done) {
        let free = self.messages.iter_mut().find(|message| message.is_none());
        *free.expect("there is room for what all threads say") = Some(done);
    }

    /// `NextManifest::call_off`.
    pub(super) fn call_off(&mut self, next: usize) -> bool {
        let stage = &mut self.nexts[next];
        let goes = matches!(stage, Stage::Written | Stage::CalledOff);
        if goes {
            *stage = Stage::CalledOff;
        }
        goes
    }

    /// `Copier::into_thread`: the word of the job's copier, if it has one, will not come any more.
    fn take_copier(&mut self, has_copier: bool) {
        if let Some(copier) = self.copier.as_mut().filter(|copier| has_copier && copier.at != At::Ended) {
            copier.dropped = true;
        }
    }

    fn follow(&mut self, generation: Generation, followed: bool) {
        self.engine(generation).changes = Changes { followed, ..Changes::default() };
    }

    fn unfollow(&mut self) {
        self.follow(self.current, false);
        match self.job().old {
            0 => {}
            old => self.follow(old, false),
        }
    }

    fn hold(&mut self, hold: fn(Number) -> Hold) {
        self.last_hold += 1;
        self.hold = hold(self.last_hold);
        self.wake_for(self.hold);
    }

    /// `Published::replace`.
    pub(super) fn replace(&mut self, generation: Generation) {
        self.previous = std::mem::replace(&mut self.current, generation);
    }

    /// `Control::act`.
    fn act(&mut self, action: Action) {
        match action {
            Action::Check => self.checks = true,
            Action::Open => {
                (self.opens, self.next) = (true, 0);
                self.nexts[0] = Stage::Written;
            }
            Action::Ready => self.adopter = Some(Adopter::default()),
            Action::HoldWrites => self.hold(Hold::Writes),
            Action::HoldAll => {
                self.last_hold += 1;
                self.adopter.iter_mut().for_each(|adopter| adopter.word = true);
            }
            Action::Adopted => {}
            Action::Suspend => self.suspended = true,
            Action::Resume => self.suspended = false,
            Action::Follow => self.follow(self.current, true),
            Action::FollowCandidate => {
                self.unfollow();
                let live = self.job().live;
                self.follow(live, true);
            }
            Action::Unfollow => self.unfollow(),
            Action::Migrate => {
                self.copier = Some(Copier::new(false));
                self.job().copier = true;
            }
            Action::Feed => {
                self.copier = Some(Copier::new(true));
                self.next = 1;
                self.job().copier = true;
            }
            Action::Finish => {
                if let Some(copier) = &mut self.copier {
                    copier.word = true;
                }
            }
            Action::StopCopier => self.take_copier(true),
            Action::Publish => {
                let live = self.job().live;
                self.job().old = self.current;
                self.replace(live);
            }
            Action::PublishOld => self.publish_old(),
            Action::Record => {
                // What the copier has prepared, unless that was called off.
                self.next += usize::from(self.nexts[self.next] != Stage::Written);
                let place = self.recorders.iter().position(Option::is_none);
                self.recorders[place.expect("two of them")] = Some(Recorder { next: self.next, puts: false });
            }
            Action::Release => self.release(),
            Action::DropCandidate => {
                let live = std::mem::take(&mut self.job().live);
                if live != 0 {
                    self.drops = live;
                    self.take_copier(true);
                }
            }
            Action::AbandonCandidate => {
                self.stuck = std::mem::take(&mut self.job().live);
                self.take_copier(true);
            }
            Action::AbandonFed => {
                self.stuck = self.job().old;
                self.take_copier(true);
            }
            Action::Retire => {
                self.previous = 0;
                self.retires = self.job().old;
                self.take_copier(true);
            }
            Action::AbandonOld => self.given_up = self.given_up.max(self.job().old),
            Action::Introduce | Action::Admit | Action::NotBack => {
                if action == Action::NotBack {
                    self.job().wanted_back = false;
                }
                let asker = std::mem::take(&mut self.job().asker);
                self.reply(asker);
            }
            Action::Accept | Action::Refuse => {
                let asker = self.job().asker;
                self.job().asker = self.reply(asker);
            }
        }
    }

    /// `Control::publish_old`, with `Live::again`.
    fn publish_old(&mut self) {
        let Job { live: new, old, .. } = *self.job();
        self.close(old);
        *self.live(new + 1) = Live::Open;
        self.replace(new + 1);
        (self.job().live, self.job().old) = (new + 1, new);
    }

    /// Whether a copier's thread is there still.
    pub(super) fn copies(&self) -> bool {
        self.copier.is_some_and(|copier| copier.at != At::Ended)
    }
}

/// What a step with an action is called in a path.
fn name(action: Action) -> &'static str {
    match action {
        Action::Follow => "acts: follow",
        Action::FollowCandidate => "acts: follow the candidate",
        Action::Unfollow => "acts: unfollow",
        Action::Migrate => "acts: migrate",
        Action::Feed => "acts: feed",
        Action::Publish => "acts: publish",
        Action::PublishOld => "acts: publish the old engine",
        Action::Release => "acts: release",
        Action::Retire => "acts: retire",
        Action::Record => "acts: record",
        Action::HoldWrites => "acts: hold writes",
        Action::HoldAll => "acts: hold all",
        _ => "acts",
    }
}
