//! Reload: the steps from one engine to the next, as a state machine without I/O.
//!
//! It is told what happened and answers what to do next. Whoever carries the actions out (the control thread, or a test that explores all
//! orders of events) holds the library, the engines and the reply.

/// Where a reload stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Phase {
    /// There is none.
    #[default]
    Idle,
    /// The file is read, copied, and checked in a child process; then loaded.
    Check,
    /// `kv_open` runs.
    Open,
    /// Writes are to be held back, and those under way to end.
    Hold,
    /// The data go along.
    Copy,
    /// The new engine is live; the last calls on the old one end.
    Drain,
    /// `kv_close` runs, and the library is unloaded.
    Retire,
}

impl Phase {
    /// What people call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Check => "check",
            Self::Open => "open",
            Self::Hold => "hold",
            Self::Copy => "copy",
            Self::Drain => "drain",
            Self::Retire => "retire",
        }
    }
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// Somebody asks for a reload.
    Requested,
    /// What the phase does has succeeded: checked, opened, all writes held, copied, drained, retired.
    Succeeded,
    /// It has failed.
    Failed,
    /// It takes too long.
    TimedOut,
}

/// What is to be done, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Begin the check.
    Check,
    /// Open the candidate.
    Open,
    /// Ask all workers to hold writes back.
    HoldWrites,
    /// Copy the data.
    Copy,
    /// Make the candidate the live engine: the cutover.
    Publish,
    /// Let writes go on.
    ReleaseWrites,
    /// Close and unload the candidate, which was never live.
    DropCandidate,
    /// Leave the candidate to the thread that is stuck in it.
    AbandonCandidate,
    /// Close and unload the old engine.
    Retire,
    /// Leave the old engine open: calls on it do not end, or its `kv_close` does not.
    AbandonOld,
    /// Tell whoever asked that there is a new engine.
    Accept,
    /// Tell whoever asked why not.
    Refuse,
    /// Tell whoever asked that another reload is under way.
    RefuseBusy,
}

/// One reload at a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Reload {
    phase: Phase,
}

impl Reload {
    /// Where it stands.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Whether the phase ends by itself when it takes too long; a copy, when it does not get on. A check has limits of its own.
    pub fn has_timeout(&self) -> bool {
        matches!(self.phase, Phase::Open | Phase::Hold | Phase::Copy | Phase::Drain | Phase::Retire)
    }

    /// Takes an event. One that does not fit the phase came too late, and means nothing.
    pub fn on(&mut self, event: Event) -> &'static [Action] {
        use Action::*;
        let (next, actions): (Phase, &'static [Action]) = match (self.phase, event) {
            (Phase::Idle, Event::Requested) => (Phase::Check, &[Check]),
            (phase, Event::Requested) => (phase, &[RefuseBusy]),
            (Phase::Check, Event::Succeeded) => (Phase::Open, &[Open]),
            (Phase::Check, Event::Failed) => (Phase::Idle, &[Refuse]),
            (Phase::Open, Event::Succeeded) => (Phase::Hold, &[HoldWrites]),
            (Phase::Open, Event::Failed) => (Phase::Idle, &[Refuse]),
            (Phase::Open, Event::TimedOut) => (Phase::Idle, &[AbandonCandidate, Refuse]),
            (Phase::Hold, Event::Succeeded) => (Phase::Copy, &[Copy]),
            (Phase::Hold, Event::Failed | Event::TimedOut) => {
                (Phase::Idle, &[ReleaseWrites, DropCandidate, Refuse])
            }
            // Published before writes go on: the first one that does goes to the new engine.
            (Phase::Copy, Event::Succeeded) => (Phase::Drain, &[Publish, ReleaseWrites]),
            (Phase::Copy, Event::TimedOut) => (Phase::Idle, &[ReleaseWrites, AbandonCandidate, Refuse]),
            (Phase::Copy, Event::Failed) => (Phase::Idle, &[ReleaseWrites, DropCandidate, Refuse]),
            (Phase::Drain, Event::Succeeded) => (Phase::Retire, &[Retire]),
            (Phase::Drain | Phase::Retire, Event::TimedOut) => (Phase::Idle, &[AbandonOld, Accept]),
            (Phase::Retire, Event::Succeeded | Event::Failed) => (Phase::Idle, &[Accept]),
            (phase, _) => (phase, &[]),
        };
        self.phase = next;
        actions
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// What the actions do to the world, and what must always hold of it.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    struct World {
        reload: Reload,
        asked: bool,
        candidate: bool,
        copied: bool,
        held: bool,
        old: bool,
    }

    impl World {
        fn apply(mut self, event: Event) -> Self {
            let phase = self.reload.phase();
            if event == Event::Requested && phase == Phase::Idle {
                self.asked = true;
            }
            match (phase, event) {
                (Phase::Open, Event::Succeeded) => self.candidate = true,
                (Phase::Copy, Event::Succeeded) => {
                    assert!(self.held, "copied while writes went on");
                    self.copied = true;
                }
                (Phase::Retire, Event::Succeeded | Event::Failed) => self.old = false,
                _ => {}
            }
            for action in self.reload.on(event) {
                match action {
                    Action::Check | Action::Open | Action::Copy | Action::Retire => {}
                    Action::HoldWrites => {
                        assert!(!self.held);
                        self.held = true;
                    }
                    Action::ReleaseWrites => {
                        assert!(self.held);
                        self.held = false;
                    }
                    Action::Publish => {
                        assert!(self.candidate && self.copied && self.held, "published without its data");
                        (self.candidate, self.copied, self.old) = (false, false, true);
                    }
                    Action::DropCandidate => {
                        assert!(self.candidate);
                        self.candidate = false;
                    }
                    Action::AbandonCandidate => {
                        assert_eq!(self.candidate, phase == Phase::Copy, "a thread is stuck in it");
                        self.candidate = false;
                    }
                    Action::AbandonOld => {
                        assert!(self.old);
                        self.old = false;
                    }
                    Action::Accept | Action::Refuse => {
                        assert!(self.asked, "answered twice, or nobody");
                        self.asked = false;
                    }
                    Action::RefuseBusy => assert!(self.asked && event == Event::Requested),
                }
            }
            if self.reload.phase() == Phase::Idle {
                let Self { asked, candidate, held, old, .. } = self;
                assert!(!asked && !candidate && !held && !old, "something is left behind: {self:?}");
            }
            self
        }
    }

    #[test]
    fn every_order_of_events_leaves_nothing_behind() {
        let events = [Event::Requested, Event::Succeeded, Event::Failed, Event::TimedOut];
        let (mut seen, mut todo) = (HashSet::new(), vec![World::default()]);
        while let Some(world) = todo.pop() {
            if seen.insert(world) {
                todo.extend(events.map(|event| world.apply(event)));
            }
        }
        let phases: HashSet<Phase> = seen.iter().map(|world| world.reload.phase()).collect();
        assert_eq!(phases.len(), 7, "a phase that cannot be reached");
    }

    #[test]
    fn a_reload_goes_through_its_phases() {
        let mut reload = Reload::default();
        let mut phases = Vec::new();
        reload.on(Event::Requested);
        while reload.phase() != Phase::Idle {
            phases.push(reload.phase().name());
            reload.on(Event::Succeeded);
        }
        assert_eq!(phases, ["check", "open", "hold", "copy", "drain", "retire"]);
    }
}
