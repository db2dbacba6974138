//! Workers: those of `net/worker.rs`, each with one connection: what they do between two batches, with requests, and with flights.

use super::explorer::{Kind, Nexts};
use super::history::Effect;
use super::world::{Changes, Generation, Hold, NONE, Number, Op, World};

/// What came of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Outcome {
    Done,
    /// An error; it has taken no effect.
    Failed,
    /// An error; nobody knows, and it has taken effect.
    Unknown,
    /// PANIC: nobody can see whether it has, as from here on the engine answers POISONED.
    Panicked,
}

/// Where a request is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) enum Doing {
    #[default]
    Nothing,
    /// `Worker::step`: it has read what is held back, which is not this.
    Asked(Op),
    /// It has read which engine is live.
    Planned(Op, Generation),
    /// It was submitted, and not completed yet: `Waiting::Work`.
    Flying(Op, Generation),
    /// It has landed: the engine has completed it, and the worker does not know yet.
    Landed(Op, Generation, Outcome),
    /// It was completed before `kv_submit` returned.
    Carried(Op, Generation, Outcome),
}

impl Doing {
    pub(super) fn op(self) -> Option<Op> {
        match self {
            Self::Nothing => None,
            Self::Asked(op)
            | Self::Planned(op, _)
            | Self::Flying(op, _)
            | Self::Landed(op, ..)
            | Self::Carried(op, ..) => Some(op),
        }
    }

    /// Of which generation the worker has the engine in its hands.
    pub(super) fn generation(self) -> Option<Generation> {
        match self {
            Self::Nothing | Self::Asked(_) => None,
            Self::Planned(_, generation)
            | Self::Flying(_, generation)
            | Self::Landed(_, generation, _)
            | Self::Carried(_, generation, _) => Some(generation),
        }
    }

    /// Whether the worker is in the middle of a turn: it does not look.
    fn is_busy(self) -> bool {
        matches!(self, Self::Asked(_) | Self::Planned(..) | Self::Carried(..))
    }

    /// `Worker::under_way`.
    fn under_way(self) -> Option<(Op, Generation)> {
        match self {
            Self::Flying(op, generation) | Self::Landed(op, generation, _) => Some((op, generation)),
            _ => None,
        }
    }
}

/// `holding::WorkerMarks`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Marks {
    pub(super) seen: Generation,
    pub(super) oldest: Generation,
    pub(super) held: Number,
    pub(super) released: Number,
}

/// Whether a worker waits for something to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
enum Sleep {
    #[default]
    Awake,
    /// It has looked at the end of its turn, and has not told yet that it falls asleep.
    Falls,
    /// It sleeps, as `holding::AWAKE` and its neighbours tell: writes are under way, nothing that writes, nothing.
    Writes,
    Reads,
    Rests,
    /// It has woken, and looks before it does anything else.
    Woken,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Worker {
    pub(super) doing: Doing,
    pub(super) marks: Marks,
    /// In the middle of `Worker::look`: what was published, and held back.
    looks: Option<(Generation, Hold)>,
    asleep: Sleep,
    /// There is a message for it, which wakes it.
    told: bool,
}

impl Default for Worker {
    fn default() -> Self {
        let marks = Marks { seen: 1, oldest: NONE, held: 0, released: 0 };
        Self { doing: Doing::Nothing, marks, looks: None, asleep: Sleep::Awake, told: false }
    }
}

impl Worker {
    /// It sleeps, and holds back what is held back no longer.
    pub(super) fn sleeps_on(&self) -> bool {
        let asleep = matches!(self.asleep, Sleep::Writes | Sleep::Reads | Sleep::Rests);
        asleep && !self.told && self.marks.held != self.marks.released
    }

    /// `WorkerMarks::holds`.
    pub(super) fn holds(self, hold: Hold) -> bool {
        let rests = match hold {
            Hold::No => true,
            Hold::Writes(_) => matches!(self.asleep, Sleep::Reads | Sleep::Rests),
            Hold::All(_) => self.asleep == Sleep::Rests,
        };
        rests || self.marks.held >= hold.number()
    }
}

impl World {
    /// All that worker `at` can do next.
    pub(super) fn worker_steps(&self, at: usize, nexts: &mut Nexts) {
        if self.sleeps(at, nexts) {
            return;
        }
        let Worker { doing, looks, marks, asleep, .. } = self.workers[at];
        let woken = asleep == Sleep::Woken;
        let (mut whole, mut half) = (*self, *self);
        whole.looks(at);
        if looks.is_some() {
            half.look_on(at);
            nexts.add(Kind::Fair, "tells what it has seen", half);
        } else if woken || whole.workers[at].marks != marks {
            half.look(at);
            nexts.add(Kind::Fair, "looks, and tells what it has under way", half);
        }
        match doing {
            Doing::Flying(op, generation) if looks.is_none() || op.writes() => {
                self.executes(at, op, generation, true, nexts);
            }
            _ if looks.is_some() || woken => {}
            Doing::Nothing => self.asks(at, nexts),
            Doing::Asked(op) => {
                let doing = Doing::Planned(op, self.current);
                nexts.add(Kind::Fair, "reads which engine is live", self.with_doing(at, doing));
            }
            Doing::Planned(op, generation) => {
                self.executes(at, op, generation, false, nexts);
                if !self.is_out_of_reach(generation) {
                    let doing = Doing::Flying(op, generation);
                    nexts.add(Kind::Fair, "submits, to be completed later", self.with_doing(at, doing));
                }
            }
            Doing::Flying(..) => {}
            Doing::Landed(op, generation, outcome) => {
                // `told.rs`, landed: where the generation is not found, nothing is noted.
                let found = generation == self.current || generation == self.previous;
                let mut world = *self;
                if found {
                    world.note_changes(op, generation, outcome);
                }
                world.finish(at, op, outcome);
                nexts.add(Kind::Fair, "takes what has landed, and tells its client", world);
            }
            Doing::Carried(op, generation, outcome) => {
                let mut world = *self;
                world.note_changes(op, generation, outcome);
                world.finish(at, op, outcome);
                nexts.add(Kind::Fair, "tells its client", world);
            }
        }
    }

    /// The end of `Worker::turn`, `Worker::fall_asleep`, and what comes after `epoll_wait`. Answers whether it sleeps, or is about to.
    fn sleeps(&self, at: usize, nexts: &mut Nexts) -> bool {
        let Worker { doing, looks, asleep, told, .. } = self.workers[at];
        let mut world = *self;
        let worker = &mut world.workers[at];
        match asleep {
            Sleep::Awake => {
                // What has landed is taken first.
                let busy = doing.is_busy() || matches!(doing, Doing::Landed(..));
                if self.bounds.sleeps && looks.is_none() && !busy {
                    worker.asleep = Sleep::Falls;
                    world.looks(at);
                    nexts.add(Kind::Fair, "ends its turn", world);
                }
                return false;
            }
            Sleep::Woken => return false,
            Sleep::Falls => {
                let under_way = doing.under_way().filter(|(_, generation)| *generation > self.given_up);
                worker.asleep = match under_way {
                    Some((op, _)) if op.writes() => Sleep::Writes,
                    Some(_) => Sleep::Reads,
                    None => Sleep::Rests,
                };
                nexts.add(Kind::Fair, "falls asleep", world);
            }
            Sleep::Writes | Sleep::Reads | Sleep::Rests => {
                (worker.asleep, worker.told) = (Sleep::Woken, false);
                // Without a message, a client may wake it, or not.
                nexts.add(if told { Kind::Fair } else { Kind::Choice }, "wakes up", world);
            }
        }
        match doing {
            Doing::Flying(op, generation) if op.writes() => self.executes(at, op, generation, true, nexts),
            Doing::Flying(..) if !told => {
                let mut world = *self;
                world.workers[at].told = true;
                nexts.add(Kind::Fair, "is told that its read has landed", world);
            }
            _ => {}
        }
        true
    }

    /// `Shared::wake_for`.
    pub(super) fn wake_for(&mut self, hold: Hold) {
        let told = self.bounds.sleeps;
        self.workers.iter_mut().filter(|worker| !worker.holds(hold)).for_each(|worker| worker.told = told);
    }

    /// All of them are told that nothing is held back any more.
    pub(super) fn release(&mut self) {
        let told = self.bounds.sleeps;
        self.hold = Hold::No;
        self.workers.iter_mut().for_each(|worker| worker.told = told);
    }

    fn with_doing(&self, at: usize, doing: Doing) -> Self {
        let mut world = *self;
        world.workers[at].doing = doing;
        world
    }

    /// `Worker::look`, the point between two batches: looks, and tells what it has under way before it tells what it has seen.
    fn look(&mut self, at: usize) {
        let worker = &mut self.workers[at];
        let kept = worker.doing.under_way().filter(|(_, generation)| *generation > self.given_up);
        worker.marks.oldest = kept.map_or(NONE, |(_, generation)| generation);
        worker.looks = Some((self.current, self.hold));
        if worker.asleep == Sleep::Woken {
            worker.asleep = Sleep::Awake;
        }
    }

    /// The rest of it.
    fn look_on(&mut self, at: usize) {
        let worker = &mut self.workers[at];
        let Some((generation, hold)) = worker.looks.take() else { return };
        let (doing, marks) = (worker.doing.under_way(), &mut worker.marks);
        marks.seen = generation;
        // `WorkerMarks::note_end`.
        if marks.held != hold.number() {
            marks.released = marks.held;
        }
        let before = marks.held;
        marks.held = match hold {
            Hold::Writes(number) if doing.is_none_or(|(op, _)| !op.writes()) => number,
            Hold::All(number) if doing.is_none_or(|(_, generation)| generation <= self.given_up) => number,
            _ => marks.held,
        };
        // `Holding::tell_held`.
        if marks.held != before && self.all_held(hold) {
            self.adopter.iter_mut().for_each(|adopter| adopter.unpark(hold));
        }
    }

    /// Both at once, of a worker that can.
    pub(super) fn looks(&mut self, at: usize) {
        if !self.workers[at].doing.is_busy() {
            self.look(at);
            self.look_on(at);
        }
    }

    /// `Worker::step`, up to where it reads what is held back. What is held back is asked for later.
    fn asks(&self, at: usize, nexts: &mut Nexts) {
        let (all, own) = ((1 << self.bounds.keys) - 1, [2, 0][at]);
        let mut ops = vec![];
        ops.extend((0..self.bounds.keys).map(Op::Read).filter(|_| self.bounds.reads > 0));
        if self.bounds.writes > 0 {
            ops.extend([Op::Put(1, own), Op::Clear]);
            ops.extend((all > 1).then_some(Op::Put(all, own)));
        }
        for op in ops.into_iter().filter(|op| !self.hold.stops(op.writes())) {
            let mut world = self.with_doing(at, Doing::Asked(op));
            world.bounds.writes -= u8::from(op.writes());
            world.bounds.reads -= u8::from(!op.writes());
            let what = if op.writes() { "has a write, which is not held back" } else { "has a read" };
            nexts.add(Kind::Choice, what, world);
        }
    }

    /// `Live::instance` is none: it is told that the engine is out of reach.
    fn is_out_of_reach(&self, generation: Generation) -> bool {
        self.suspended && generation == 1
    }

    /// The engine carries a request out: within `Live::execute`, or later.
    fn executes(&self, at: usize, op: Op, generation: Generation, flies: bool, nexts: &mut Nexts) {
        let mut world = *self;
        if !flies && (self.is_out_of_reach(generation) || world.call(generation).panicked) {
            // UNAVAILABLE, POISONED: not carried out, and nothing to be noted of a panic.
            world.tell(at, op, None);
            return nexts.add(Kind::Fair, "is refused", world);
        }
        let Op::Read(key) = op else { return world.writes(at, op, generation, flies, nexts) };
        let value = world.call(generation).values[key];
        world.tell(at, op, Some(value));
        nexts.add(Kind::Fair, "reads, and tells its client", world);
    }

    fn writes(self, at: usize, op: Op, generation: Generation, flies: bool, nexts: &mut Nexts) {
        let outcomes = [
            (Outcome::Done, "the engine writes"),
            (Outcome::Failed, "the engine fails to write"),
            (Outcome::Unknown, "the engine writes, and tells of an error"),
            (Outcome::Panicked, "the engine panics"),
        ];
        for (outcome, what) in outcomes {
            let mut world = self;
            let kind = if outcome == Outcome::Done { Kind::Fair } else { Kind::Failure };
            let unknown = matches!(outcome, Outcome::Unknown | Outcome::Panicked);
            if kind == Kind::Failure && (!self.may_fail() || unknown && self.loses()) {
                continue;
            }
            let engine = world.call(generation);
            engine.panicked |= outcome == Outcome::Panicked;
            let effect = matches!(outcome, Outcome::Done | Outcome::Unknown);
            for key in (0..self.bounds.keys).filter(|_| effect) {
                if let Some(Effect::Write(value)) = op.effect_on(key) {
                    world.engine(generation).values[key] = value;
                }
            }
            let worker = &mut world.workers[at];
            worker.told |= flies && self.bounds.sleeps;
            worker.doing = match flies {
                true => Doing::Landed(op, generation, outcome),
                false => Doing::Carried(op, generation, outcome),
            };
            nexts.add(kind, what, world);
        }
    }

    /// Whether there is a write already of which nobody knows what came of it. There is one on a path.
    fn loses(&self) -> bool {
        use Outcome::{Panicked, Unknown};
        let loses = |worker: &Worker| {
            matches!(
                worker.doing,
                Doing::Landed(_, _, Unknown | Panicked) | Doing::Carried(_, _, Unknown | Panicked)
            )
        };
        self.lost.is_some() || self.workers.iter().any(loses)
    }

    /// `Live::note_changes`, and `Keyspace::clear`: before anybody is told. Nothing is noted of a write that has panicked.
    fn note_changes(&mut self, op: Op, generation: Generation, outcome: Outcome) {
        let changes = &mut self.engine(generation).changes;
        if !changes.followed || outcome == Outcome::Panicked {
            return;
        }
        let followed = changes.followed;
        match op {
            Op::Read(_) => {}
            Op::Put(keys, _) => changes.keys |= keys,
            Op::Clear => {
                let cleared = outcome == Outcome::Done;
                *changes = Changes { followed, keys: 0, cleared, unknown: !cleared };
            }
        }
    }

    /// `Pipeline::finish`: the client is told.
    fn finish(&mut self, at: usize, op: Op, outcome: Outcome) {
        match outcome {
            Outcome::Done => self.tell(at, op, Some(0)),
            Outcome::Failed => self.tell(at, op, None),
            Outcome::Unknown | Outcome::Panicked => {
                for key in 0..self.bounds.keys {
                    if op.effect_on(key).is_some() {
                        self.history.lose(key, at);
                    }
                }
                self.lost = Some(op);
                self.workers[at].doing = Doing::Nothing;
            }
        }
    }

    /// `None`: that it has taken no effect.
    fn tell(&mut self, at: usize, op: Op, effect: Option<u8>) {
        for key in (0..self.bounds.keys).filter(|key| op.effect_on(*key).is_some()) {
            let pending = self.pending(key);
            let fits = self.forced || self.history.told(key, &pending, at, effect);
            self.must(fits, "no order of all requests explains what clients were told");
        }
        self.workers[at].doing = Doing::Nothing;
    }
}
