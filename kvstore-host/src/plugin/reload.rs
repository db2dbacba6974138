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
    /// Writes are to be held back, and those under way to end, so that none is missed from here on.
    Hold,
    /// The data are copied while clients go on, and what has changed is copied again.
    Migrate,
    /// The candidate is kept equal to the live engine, and compared with it, until somebody promotes or drops it.
    Shadow,
    /// Writes are to be held back once more, and those under way to end.
    Settle,
    /// The last changes are copied.
    Finish,
    /// The copier is to end early.
    Cancel,
    /// A thread gets ready to hand the state over: for an engine that can adopt it, instead of opening and copying.
    Ready,
    /// Everything is to be held back, and what is under way to end.
    HoldAll,
    /// The state goes over: prepare, give, open, commit.
    Adopt,
    /// The handoff was called off, and has not returned: nobody may call the old engine until it does.
    Stuck,
    /// The new engine is live and is to be on probation; the last calls on the old one end.
    Part,
    /// The new engine is watched, and the old one kept equal to it, until that is over or the old one comes back.
    Probation,
    /// Writes are to be held back, and those under way to end: the old engine comes back.
    Return,
    /// The last changes are copied back.
    Restore,
    /// The new engine cannot be read any more. Writes are to be held back, and those under way to end: then it is known whether the old one lacks any.
    Doubt,
    /// It does, or nobody knows; somebody has to say what is to be done.
    Lacking,
    /// Somebody has said that the old engine is to come back without them. Writes are to be held back, as far as they end.
    Force,
    /// The manifest is to name the old engine again.
    Record,
    /// Probation is over; the copier is to end.
    Cease,
    /// The new engine is live; the last calls on the old one end.
    Drain,
    /// `kv_close` runs, and the library is unloaded.
    Retire,
}

impl Phase {
    /// Whether the candidate serves already, and the engine before may come back.
    pub fn is_live(self) -> bool {
        use Phase::*;
        matches!(self, Part | Probation | Return | Restore | Doubt | Lacking | Force | Record | Cease)
    }

    /// What people call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Check => "check",
            Self::Open => "open",
            Self::Hold | Self::HoldAll => "hold",
            Self::Migrate => "migrate",
            Self::Shadow => "shadow",
            Self::Settle | Self::Finish => "settle",
            Self::Part | Self::Probation => "probation",
            Self::Return | Self::Restore | Self::Force | Self::Record => "return",
            Self::Doubt => "doubt",
            Self::Lacking => "lacking",
            Self::Cease => "cease",
            Self::Cancel => "cancel",
            Self::Ready => "ready",
            Self::Adopt => "adopt",
            Self::Stuck => "stuck",
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
    /// What the phase does has succeeded: checked, opened, held, copied, ready, committed, drained, retired.
    Succeeded,
    /// What is left to copy is little.
    CaughtUp,
    /// The same, and the candidate is to stay a shadow.
    InStep,
    /// The shadow is to become the live engine.
    Promoted,
    /// The last changes are copied, and the new engine is to be on probation.
    OnProbation,
    /// It has done well.
    Passed,
    /// It has not: the old engine is to come back.
    Regressed,
    /// It cannot be read any more.
    Unreadable,
    /// The old engine lacks some of what was written to it.
    Lacks,
    /// Checked, and the candidate can adopt the state of the live engine.
    CanAdopt,
    /// It has failed. Of a handoff: the state is the old engine's, which works as before.
    Failed,
    /// The same of a handoff that one of both engines has refused: the data may be copied.
    Refused,
    /// It takes too long. Of a handoff: it was called off before its commit, and will not commit any more.
    TimedOut,
    /// It is not wanted any more. Where nothing can be given up, it is told again in a later phase.
    Cancelled,
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
    /// Note from here on what is written to the old engine.
    Follow,
    /// Note it no longer.
    Unfollow,
    /// Start the thread that copies the data.
    Migrate,
    /// Have it copy the last changes.
    Finish,
    /// Have it end early.
    StopCopier,
    /// Make the candidate the live engine: the cutover.
    Publish,
    /// Note from here on what is written to the candidate instead.
    FollowCandidate,
    /// Start the thread that keeps the old engine equal to the new one.
    Feed,
    /// Tell whoever asked that there is a new engine, and for how long it is on probation.
    Admit,
    /// Tell whoever asked that the old engine does not come back (yet).
    NotBack,
    /// Have the manifest name the old engine.
    Record,
    /// Make the old engine the live one again; the one that was on probation is the old one from here on.
    PublishOld,
    /// Leave the old engine to the thread that is stuck while it keeps it equal.
    AbandonFed,
    /// Start the thread that will hand the state over.
    Ready,
    /// Have the thread that is ready ask all workers to hold everything back, and hand the state over as soon as they do. When the candidate has it, that
    /// thread makes it the live engine, and lets go on what is held back.
    HoldAll,
    /// Note that it has.
    Adopted,
    /// Let what is held back go on.
    Release,
    /// Answer for the old engine that it is out of reach, without calling it.
    Suspend,
    /// Call the old engine again.
    Resume,
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
    /// Tell whoever asked that the shadow is there.
    Introduce,
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

    /// Whether the phase ends by itself when it takes too long; where data are copied, when that does not get on. A check has limits of its own.
    pub fn has_timeout(&self) -> bool {
        use Phase::*;
        !matches!(self.phase, Idle | Check | Stuck | Probation | Lacking)
    }

    /// Takes an event. One that does not fit the phase came too late, and means nothing.
    pub fn on(&mut self, event: Event) -> &'static [Action] {
        use Action::*;
        let (next, actions): (Phase, &'static [Action]) = match (self.phase, event) {
            (Phase::Idle, Event::Requested) => (Phase::Check, &[Check]),
            (Phase::Check, Event::Succeeded) => (Phase::Open, &[Open]),
            (Phase::Check, Event::CanAdopt) => (Phase::Ready, &[Ready]),
            (Phase::Check | Phase::Ready, Event::Failed) => (Phase::Idle, &[Refuse]),
            (Phase::Open, Event::Succeeded) => (Phase::Hold, &[HoldWrites]),
            (Phase::Open, Event::Failed) => (Phase::Idle, &[Refuse]),
            (Phase::Open, Event::TimedOut) => (Phase::Idle, &[AbandonCandidate, Refuse]),
            (Phase::Hold, Event::Succeeded) => (Phase::Migrate, &[Follow, Release, Migrate]),
            (Phase::Hold, Event::Failed | Event::TimedOut | Event::Cancelled) => {
                (Phase::Idle, &[Release, DropCandidate, Refuse])
            }
            (Phase::Migrate, Event::CaughtUp) => (Phase::Settle, &[HoldWrites]),
            (Phase::Migrate, Event::InStep) => (Phase::Shadow, &[Introduce]),
            (Phase::Shadow, Event::Promoted) => (Phase::Settle, &[HoldWrites]),
            (Phase::Migrate | Phase::Shadow, Event::Failed) => {
                (Phase::Idle, &[Unfollow, DropCandidate, Refuse])
            }
            (Phase::Migrate | Phase::Shadow, Event::Cancelled) => (Phase::Cancel, &[StopCopier]),
            (Phase::Settle, Event::Succeeded) => (Phase::Finish, &[Finish]),
            (Phase::Settle, Event::TimedOut | Event::Cancelled) => (Phase::Cancel, &[Release, StopCopier]),
            // Published before writes go on: the first one that does goes to the new engine.
            (Phase::Finish, Event::Succeeded) => (Phase::Drain, &[Publish, Unfollow, Release]),
            // What is written from here on is copied back, once nobody calls the old engine any more.
            (Phase::Finish, Event::OnProbation) => (Phase::Part, &[FollowCandidate, Publish, Release]),
            (Phase::Part, Event::Succeeded) => (Phase::Probation, &[Feed, Admit]),
            (Phase::Part, Event::TimedOut) => (Phase::Idle, &[Unfollow, AbandonOld, Accept]),
            (Phase::Probation, Event::Passed) => (Phase::Cease, &[StopCopier]),
            (Phase::Probation, Event::Regressed) => (Phase::Return, &[HoldWrites]),
            (Phase::Return, Event::Succeeded) => (Phase::Restore, &[Finish]),
            (Phase::Return, Event::TimedOut) => (Phase::Probation, &[Release, NotBack]),
            (Phase::Restore | Phase::Record, Event::Succeeded) => {
                (Phase::Drain, &[PublishOld, Unfollow, Release])
            }
            (Phase::Probation, Event::Unreadable) => (Phase::Doubt, &[HoldWrites]),
            (Phase::Return | Phase::Restore, Event::Unreadable) => (Phase::Doubt, &[]),
            (Phase::Doubt, Event::Succeeded) => (Phase::Record, &[Record]),
            (Phase::Doubt, Event::Lacks | Event::TimedOut)
            | (Phase::Record, Event::Failed | Event::TimedOut) => (Phase::Lacking, &[Release, NotBack]),
            (Phase::Lacking, Event::Regressed) => (Phase::Force, &[HoldWrites]),
            // A call that does not end is left to its engine.
            (Phase::Force, Event::Succeeded | Event::TimedOut) => (Phase::Record, &[Record]),
            (Phase::Lacking, Event::Passed) => (Phase::Drain, &[Unfollow]),
            // The old engine is not equal any more.
            (Phase::Probation, Event::Failed)
            | (Phase::Cease, Event::Succeeded | Event::Failed | Event::Unreadable) => {
                (Phase::Drain, &[Unfollow])
            }
            (Phase::Return | Phase::Restore, Event::Failed) => (Phase::Drain, &[Release, Unfollow]),
            (Phase::Cease, Event::TimedOut) => (Phase::Idle, &[Unfollow, AbandonFed, Accept]),
            (Phase::Restore, Event::TimedOut) => (Phase::Idle, &[Release, Unfollow, AbandonFed, Accept]),
            (Phase::Settle | Phase::Finish, Event::Failed) => {
                (Phase::Idle, &[Release, Unfollow, DropCandidate, Refuse])
            }
            (Phase::Finish, Event::TimedOut) => (Phase::Idle, &[Release, Unfollow, AbandonCandidate, Refuse]),
            (Phase::Cancel, Event::Succeeded | Event::Failed) => {
                (Phase::Idle, &[Unfollow, DropCandidate, Refuse])
            }
            (Phase::Migrate | Phase::Shadow | Phase::Cancel, Event::TimedOut) => {
                (Phase::Idle, &[Unfollow, AbandonCandidate, Refuse])
            }
            (Phase::Ready, Event::Succeeded) => (Phase::HoldAll, &[HoldAll]),
            // Its thread unloads the candidate as soon as it can.
            (Phase::Ready, Event::TimedOut | Event::Cancelled) => (Phase::Idle, &[Refuse]),
            // The handoff has begun by itself.
            (Phase::HoldAll, Event::Succeeded) => (Phase::Adopt, &[]),
            (Phase::HoldAll, Event::Failed | Event::TimedOut | Event::Cancelled) => {
                (Phase::Idle, &[Release, DropCandidate, Refuse])
            }
            (Phase::Adopt, Event::Succeeded) => (Phase::Drain, &[Adopted]),
            (Phase::Adopt, Event::Failed) => (Phase::Idle, &[Release, DropCandidate, Refuse]),
            (Phase::Adopt, Event::Refused) => (Phase::Open, &[Release, Open]),
            // The thread may be in either engine, and both look at the state. Whoever asks is told so instead of waiting.
            (Phase::Adopt, Event::TimedOut) => (Phase::Stuck, &[Suspend, Release, Refuse]),
            (Phase::Stuck, Event::Failed | Event::Refused) => (Phase::Idle, &[Resume, DropCandidate]),
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
mod explored;
#[cfg(test)]
mod tests;
