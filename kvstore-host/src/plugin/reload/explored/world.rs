//! World: what the model consists of. Its pieces have the names of what they stand for.

use super::super::{Action, Reload};
use super::control::{Done, Job};
use super::copier::{Adopter, Copier, Recorder};
use super::history::{Effect, History, Pending};
use super::workers::Worker;

/// Keys that a model has at most.
pub(super) const KEYS: usize = 2;
/// What each key has in the beginning.
pub(super) const FIRST: u8 = 1;
/// `holding::NONE`: no batch is under way.
pub(super) const NONE: u8 = u8::MAX;

/// A generation: 1 is live in the beginning, 2 is the candidate, and 3 is the engine of the first when it has come back.
pub(super) type Generation = u8;

/// Some of all keys.
pub(super) type Keys = u8;

/// What a client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Op {
    Read(usize),
    /// All of these keys get this value; 0 removes them.
    Put(Keys, u8),
    /// FLUSHALL.
    Clear,
}

impl Op {
    pub(super) fn writes(self) -> bool {
        !matches!(self, Self::Read(_))
    }

    pub(super) fn effect_on(self, key: usize) -> Option<Effect> {
        match self {
            Self::Read(read) => (read == key).then_some(Effect::Read),
            Self::Put(keys, value) => (keys & 1 << key != 0).then_some(Effect::Write(value)),
            Self::Clear => Some(Effect::Write(0)),
        }
    }
}

/// `plugin/changes.rs`: which keys were written since somebody follows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Changes {
    pub(super) followed: bool,
    pub(super) keys: Keys,
    pub(super) cleared: bool,
    pub(super) unknown: bool,
}

impl Changes {
    /// `Changes::noted`, as far as it matters: whether there are any.
    pub(super) fn noted(self) -> bool {
        self.keys != 0 || self.cleared || self.unknown
    }

    /// `Changes::take`.
    pub(super) fn take(&mut self) -> Self {
        std::mem::replace(self, Self { followed: self.followed, ..Self::default() })
    }
}

/// What a library holds. An engine that comes back under another generation is the same one, and keeps its changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Engine {
    pub(super) values: [u8; KEYS],
    /// It answers POISONED.
    pub(super) panicked: bool,
    pub(super) changes: Changes,
}

/// `plugin/live.rs`: what has become of the instance of one generation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) enum Live {
    /// It was not opened yet.
    #[default]
    Absent,
    Open,
    /// A handoff has begun: nobody else may call it.
    HandingOver,
    /// It was handed over: nothing but `kv_close` may come.
    HandedOver,
    /// It was closed, or taken by `Live::again`.
    Gone,
}

/// The number of a hold, higher than those before.
pub(super) type Number = u8;

/// `holding::Hold`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) enum Hold {
    #[default]
    No,
    Writes(Number),
    All(Number),
}

impl Hold {
    pub(super) fn stops(self, writes: bool) -> bool {
        match self {
            Self::No => false,
            Self::Writes(_) => writes,
            Self::All(_) => true,
        }
    }

    pub(super) fn number(self) -> Number {
        match self {
            Self::No => 0,
            Self::Writes(number) | Self::All(number) => number,
        }
    }
}

/// `state_dir/next.rs`: how far a manifest is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) enum Stage {
    #[default]
    Written,
    Committing,
    Committed,
    CalledOff,
}

/// Those of one reload: the candidate's, that which the copier prepares on probation, and those of the threads that record the engine before.
pub(super) const MANIFESTS: usize = 5;

/// How much may happen on one path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Bounds {
    pub(super) keys: usize,
    pub(super) writes: u8,
    /// Reads that take their time. Beside them, somebody reads each key in each world, and is told at once.
    pub(super) reads: u8,
    /// Errors, panics, steps that fail or take too long, and being called off.
    pub(super) failures: u8,
    /// Whether anything fails before the cutover.
    pub(super) fails_early: bool,
    /// Workers look at any time, and in two steps. Else they look as soon as they can, which hides little: who waits for them may be late itself.
    pub(super) looks_late: bool,
    /// Workers sleep when they have nothing to do, and are woken.
    pub(super) sleeps: bool,
}

/// How a reload is asked for: `job::Wishes`, and what the engines can do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Wishes {
    pub(super) adopts: bool,
    pub(super) shadow: bool,
    pub(super) probation: bool,
}

/// All of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct World {
    // `Control`: the machine, and which of its actions are still to be carried out.
    pub(super) reload: Reload,
    pub(super) actions: &'static [Action],
    /// The phase has changed with them.
    pub(super) moved: bool,
    pub(super) job: Option<Job>,
    /// `Control::stuck`: which engine is left to a copier that was given up.
    pub(super) stuck: Generation,
    /// What threads have sent to it.
    pub(super) messages: [Option<Done>; 3],
    /// A reload was asked for. There is one on each path.
    pub(super) asked: bool,
    /// Somebody has said that the engine before is to come back without what it lacks.
    pub(super) forced: bool,

    // The threads of its steps.
    pub(super) checks: bool,
    pub(super) opens: bool,
    pub(super) copier: Option<Copier>,
    pub(super) adopter: Option<Adopter>,
    pub(super) recorders: [Option<Recorder>; 2],
    /// What one closes for a retire, and others for a drop.
    pub(super) retires: Generation,
    pub(super) drops: Generation,

    // `Published`, `Holding`.
    pub(super) current: Generation,
    pub(super) previous: Generation,
    pub(super) given_up: Generation,
    pub(super) hold: Hold,
    /// `Control::last_hold`, and `Job::hold`: nobody else holds back.
    pub(super) last_hold: Number,

    pub(super) lives: [Live; 3],
    pub(super) suspended: bool,
    pub(super) engines: [Engine; 2],
    pub(super) workers: [Worker; 2],

    // The state directory: which engine a restart serves with, and the manifests to come.
    pub(super) manifest: usize,
    pub(super) nexts: [Stage; MANIFESTS],
    /// `Control::next_manifest`.
    pub(super) next: usize,

    pub(super) history: History,
    /// A write of which its client was told that nobody knows what came of it.
    pub(super) lost: Option<Op>,
    pub(super) wishes: Wishes,
    pub(super) bounds: Bounds,
    /// What must not be.
    pub(super) fault: Option<&'static str>,
}

impl World {
    pub(super) fn new(wishes: Wishes, bounds: Bounds) -> Self {
        let engine = |value| Engine { values: [value; KEYS], panicked: false, changes: Changes::default() };
        Self {
            reload: Reload::default(),
            actions: &[],
            moved: false,
            job: None,
            stuck: 0,
            messages: [None; 3],
            asked: false,
            forced: false,
            checks: false,
            opens: false,
            copier: None,
            adopter: None,
            recorders: [None; 2],
            retires: 0,
            drops: 0,
            current: 1,
            previous: 0,
            given_up: 0,
            hold: Hold::No,
            last_hold: 0,
            lives: [Live::Open, Live::Absent, Live::Absent],
            suspended: false,
            engines: [engine(FIRST), engine(0)],
            workers: [Worker::default(); 2],
            manifest: 0,
            nexts: [Stage::Written; MANIFESTS],
            next: 0,
            history: History::of(FIRST),
            lost: None,
            wishes,
            bounds,
            fault: None,
        }
    }

    /// Notes a fault unless this holds.
    pub(super) fn must(&mut self, holds: bool, fault: &'static str) {
        if !holds {
            self.fault.get_or_insert(fault);
        }
    }

    pub(super) fn live(&mut self, generation: Generation) -> &mut Live {
        &mut self.lives[usize::from(generation) - 1]
    }

    pub(super) fn engine(&mut self, generation: Generation) -> &mut Engine {
        &mut self.engines[usize::from(generation - 1) % 2]
    }

    /// Somebody calls the engine of a generation.
    pub(super) fn call(&mut self, generation: Generation) -> &mut Engine {
        let live = *self.live(generation);
        self.must(live != Live::HandingOver, "an engine is called while it hands its state over");
        self.must(live != Live::HandedOver, "an engine is called that was handed over");
        self.must(!matches!(live, Live::Absent | Live::Gone), "an engine is called that is not open");
        self.engine(generation)
    }

    /// Closes the engine of a generation, or takes its instance to go on with it as another one.
    pub(super) fn close(&mut self, generation: Generation) {
        let works = |worker: &Worker| worker.doing.generation() == Some(generation);
        let used = self.workers.iter().any(works);
        self.must(!used, "an engine is closed while a worker is in it, or a flight");
        let copies = self.copier.is_some_and(|copier| copier.uses(generation));
        self.must(!copies, "an engine is closed while a copier is in it");
        let live = *self.live(generation);
        self.must(matches!(live, Live::Open | Live::HandedOver), "an engine is closed that is not open");
        self.must(self.current != generation, "the live engine is closed");
        *self.live(generation) = Live::Gone;
    }

    /// Whether something may fail, or take too long.
    pub(super) fn may_fail(&self) -> bool {
        self.bounds.failures > 0 && (self.bounds.fails_early || self.current > 1)
    }

    /// What is pending on a key.
    pub(super) fn pending(&self, key: usize) -> Pending {
        let of = |op: Option<Op>| op.and_then(|op| op.effect_on(key));
        let [first, second] = self.workers.map(|worker| of(worker.doing.op()));
        [first, second, of(self.lost)]
    }

    /// What holds of each state.
    pub(super) fn check(&mut self) {
        let live = usize::from(self.current - 1) % 2;
        for key in 0..if self.forced { 0 } else { self.bounds.keys } {
            let pending = self.pending(key);
            // The host is killed now, and started again.
            let found = self.history.may_be(key, &pending, self.engines[self.manifest].values[key]);
            self.must(found, "a restart now would serve with an engine that lacks what a client was told of");
            let Engine { values, panicked, .. } = self.engines[live];
            let found = panicked || self.history.may_be(key, &pending, values[key]);
            self.must(found, "whoever reads now is told what cannot be");
        }
        if self.rests() {
            self.must(self.manifest == live, "the manifest does not name the live engine");
            self.must(self.hold == Hold::No, "something is held back for ever");
            let left = self.workers.iter().any(Worker::sleeps_on);
            self.must(!left, "a worker is not told that a hold has ended");
        }
        if self.rests() && self.job.is_none() {
            let followed = self.engines.iter().any(|engine| engine.changes.followed);
            self.must(!followed, "changes are noted, and nobody takes them");
            self.must(!self.suspended, "the live engine is out of reach for ever");
            let told = self.messages[0].is_none();
            let forgotten = (1..=3).find(|one| told && self.is_forgotten(*one));
            self.must(forgotten.is_none(), "an engine is left open, and nobody knows");
        }
    }

    /// An engine is open that is neither live, nor on its way to be closed, nor said to be left behind.
    fn is_forgotten(&self, one: Generation) -> bool {
        let known = [self.current, self.drops, self.stuck].contains(&one) || one <= self.given_up;
        self.lives[usize::from(one) - 1] == Live::Open && !known
    }
}
