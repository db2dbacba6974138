//! Tests: the state machine by itself, in every order of events.

use std::collections::HashSet;

use super::*;

/// Which engine has the state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
enum Owner {
    #[default]
    Old,
    /// The handoff is under way: the old engine's, but nobody may call it.
    BetweenThem,
    New,
}

/// What is held back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
enum Held {
    #[default]
    Nothing,
    Writes,
    All,
}

/// What the actions do to the world, and what must always hold of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct World {
    reload: Reload,
    asked: bool,
    /// The shadow was told of: who ends it is told of that, if anybody does.
    introduced: bool,
    /// A library is loaded that is not live: as an open engine, or with the thread that will hand the state over to it.
    candidate: bool,
    /// It is noted what is written to the old engine, by somebody who copies it.
    followed: bool,
    copying: bool,
    copied: bool,
    held: Held,
    suspended: bool,
    owner: Owner,
    /// The new engine is published, and the old one not retired yet.
    old: bool,
}

impl World {
    /// Whether this can happen now: a handoff that was called off does not commit, and one that has not begun does not end.
    fn can(&self, event: Event) -> bool {
        !(self.reload.phase() == Phase::Stuck && event == Event::Succeeded)
    }

    fn apply(mut self, event: Event) -> Self {
        let phase = self.reload.phase();
        if event == Event::Requested && phase == Phase::Idle {
            self.asked = true;
        }
        match (phase, event) {
            (Phase::Open, Event::Succeeded) => self.candidate = true,
            (Phase::Finish, Event::Succeeded | Event::OnProbation)
            | (Phase::Restore | Phase::Record, Event::Succeeded) => {
                assert_ne!(self.held, Held::Nothing, "copied while writes went on");
                (self.copied, self.copying) = (true, false);
            }
            (
                Phase::Probation | Phase::Return | Phase::Restore | Phase::Cease,
                Event::Failed | Event::Unreadable,
            )
            | (Phase::Cease, Event::Succeeded) => self.copying = false,
            (Phase::Probation | Phase::Lacking, Event::Regressed) => self.asked = true,
            (
                Phase::Migrate | Phase::Shadow | Phase::Settle | Phase::Finish | Phase::Cancel,
                Event::Failed,
            )
            | (Phase::Cancel, Event::Succeeded) => self.copying = false,
            (Phase::HoldAll, Event::Succeeded) => {
                assert!(self.candidate && self.held == Held::All, "handed over while it was called");
                self.owner = Owner::BetweenThem;
            }
            (Phase::Adopt, Event::Succeeded) => self.owner = Owner::New,
            (Phase::Adopt | Phase::Stuck, Event::Failed) => self.owner = Owner::Old,
            (Phase::Adopt | Phase::Stuck, Event::Refused) => {
                self.owner = Owner::Old;
                // It is opened once more, and is there when that has succeeded.
                self.candidate = phase == Phase::Stuck;
            }
            (Phase::Retire, Event::Succeeded | Event::Failed) => self.old = false,
            (Phase::Ready, Event::Failed | Event::TimedOut | Event::Cancelled) => self.candidate = false,
            _ => {}
        }
        for action in self.reload.on(event) {
            self.act(*action, phase);
        }
        let reachable = self.held != Held::All && !self.suspended;
        assert!(self.owner != Owner::BetweenThem || !reachable, "called during a handoff: {self:?}");
        let lasts = matches!(self.reload.phase(), Phase::Shadow | Phase::Probation | Phase::Lacking);
        assert!(!lasts || !self.asked, "somebody waits for an answer: {self:?}");
        if self.reload.phase() == Phase::Idle {
            assert_eq!(self, Self::default(), "something is left behind");
        }
        self
    }

    fn act(&mut self, action: Action, phase: Phase) {
        match action {
            Action::Check | Action::Open | Action::Retire => {}
            Action::NotBack => self.asked = false,
            Action::Record => assert!(self.held == Held::Writes && !self.copying, "it is copied still"),
            Action::Follow => {
                assert!(self.held == Held::Writes && !self.followed, "a write under way is missed");
                self.followed = true;
            }
            Action::Unfollow => {
                assert!(self.followed, "ended before it began");
                self.followed = false;
            }
            Action::Migrate => {
                assert!(self.followed && self.candidate);
                self.copying = true;
            }
            Action::Finish => assert!(self.copying && self.held == Held::Writes, "not the last changes"),
            Action::StopCopier => assert!(self.copying && self.held == Held::Nothing),
            Action::Ready => self.candidate = true,
            Action::HoldWrites | Action::HoldAll => {
                assert_eq!(self.held, Held::Nothing);
                self.held = if action == Action::HoldAll { Held::All } else { Held::Writes };
            }
            // What its thread has done: published, and let go.
            Action::Adopted => {
                assert!(self.held == Held::All && self.owner == Owner::New && self.candidate);
                (self.owner, self.held) = (Owner::Old, Held::Nothing);
                (self.candidate, self.old) = (false, true);
            }
            Action::Release => {
                assert_ne!(self.held, Held::Nothing);
                assert_ne!(self.owner, Owner::New, "the live engine has lost its state");
                self.held = Held::Nothing;
            }
            Action::Suspend => self.suspended = true,
            Action::Resume => {
                assert!(self.suspended && self.owner == Owner::Old);
                self.suspended = false;
            }
            Action::Publish => {
                assert!(
                    self.candidate && self.held == Held::Writes && self.copied,
                    "published without its data"
                );
                assert!(!self.copying && self.owner == Owner::Old, "somebody copies into the live engine");
                (self.candidate, self.copied, self.old) = (false, false, true);
            }
            Action::FollowCandidate => {
                assert!(self.followed && self.candidate && self.held == Held::Writes);
            }
            Action::Feed => {
                assert!(self.followed && self.old && !self.copying, "a write is missed");
                self.copying = true;
            }
            Action::PublishOld => {
                assert!(self.held == Held::Writes && self.copied && self.old && !self.copying);
                self.copied = false;
            }
            Action::AbandonFed => {
                assert!(self.old && self.copying, "no thread is stuck in it");
                (self.old, self.copying) = (false, false);
            }
            Action::DropCandidate => {
                assert!(self.candidate && self.owner == Owner::Old && !self.copying);
                self.candidate = false;
            }
            Action::AbandonCandidate => {
                assert_eq!(self.candidate, phase != Phase::Open, "a thread is stuck in it");
                (self.candidate, self.copying) = (false, false);
            }
            Action::AbandonOld => {
                assert!(self.old);
                self.old = false;
            }
            Action::Accept | Action::Refuse | Action::Introduce | Action::Admit => {
                assert!(self.asked || self.introduced, "answered twice, or nobody");
                (self.asked, self.introduced) = (false, matches!(action, Action::Introduce | Action::Admit));
            }
        }
    }
}

#[test]
fn every_order_of_events_leaves_nothing_behind() {
    use Event::*;
    let (mut seen, mut todo) = (HashSet::new(), vec![World::default()]);
    while let Some(world) = todo.pop() {
        if seen.insert(world) {
            let events = [
                Requested,
                CanAdopt,
                Succeeded,
                CaughtUp,
                InStep,
                Promoted,
                OnProbation,
                Passed,
                Regressed,
                Unreadable,
                Lacks,
                Failed,
                Refused,
                TimedOut,
                Cancelled,
            ];
            todo.extend(events.into_iter().filter(|event| world.can(*event)).map(|event| world.apply(event)));
        }
    }
    let phases: HashSet<Phase> = seen.iter().map(|world| world.reload.phase()).collect();
    assert_eq!(phases.len(), 24, "a phase that cannot be reached");
}

/// The phases of a reload in which this is what comes of the check and of an adopt, and all else succeeds.
fn phases(checked: Event, adopted: Event) -> Vec<&'static str> {
    let mut reload = Reload::default();
    let mut phases = Vec::new();
    reload.on(Event::Requested);
    while reload.phase() != Phase::Idle {
        phases.push(reload.phase().name());
        reload.on(match reload.phase() {
            Phase::Check => checked,
            Phase::Adopt => adopted,
            Phase::Migrate => Event::CaughtUp,
            _ => Event::Succeeded,
        });
    }
    phases
}

#[test]
fn a_reload_goes_through_its_phases() {
    let succeeded = Event::Succeeded;
    assert_eq!(
        phases(succeeded, succeeded),
        ["check", "open", "hold", "migrate", "settle", "settle", "drain", "retire"]
    );
    let adopted = phases(Event::CanAdopt, succeeded);
    assert_eq!(adopted, ["check", "ready", "hold", "adopt", "drain", "retire"]);
    let refused = phases(Event::CanAdopt, Event::Refused);
    assert_eq!(
        refused,
        ["check", "ready", "hold", "adopt", "open", "hold", "migrate", "settle", "settle", "drain", "retire"]
    );
}
