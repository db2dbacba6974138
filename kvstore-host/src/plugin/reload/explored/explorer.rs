//! Explorer: visits each world that can be reached, once, breadth first, and looks whether there is a way on from each.

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::{BuildHasherDefault, Hash as _, Hasher};

use super::super::Phase;
use super::world::{Hold, World};

/// What kind of step it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    /// Whoever can take it does so some time.
    Fair,
    /// Somebody may ask for something, or not.
    Choice,
    /// Something fails, takes too long or is called off. There are so many on a path at most.
    Failure,
}

/// The steps that can be taken next.
pub(super) struct Nexts {
    who: &'static str,
    all: Vec<Next>,
}

struct Next {
    kind: Kind,
    who: &'static str,
    what: &'static str,
    world: World,
}

impl Nexts {
    /// Adds one.
    pub(super) fn add(&mut self, kind: Kind, what: &'static str, mut world: World) {
        if !world.bounds.looks_late {
            (0..2).for_each(|at| world.looks(at));
        }
        world.bounds.failures -= u8::from(kind == Kind::Failure);
        self.all.push(Next { kind, who: self.who, what, world });
    }
}

impl World {
    /// All that somebody can do next.
    fn steps(&self) -> Vec<Next> {
        let mut nexts = Nexts { who: "control", all: Vec::with_capacity(8) };
        self.control_steps(&mut nexts);
        nexts.who = "copier";
        self.copier_steps(&mut nexts);
        nexts.who = "thread";
        self.thread_steps(&mut nexts);
        for (at, who) in ["worker 0", "worker 1"].into_iter().enumerate() {
            nexts.who = who;
            self.worker_steps(at, &mut nexts);
        }
        nexts.all
    }
}

/// Makes 64 bits of a world, which stand for it: that two of a million have the same is as likely as one in thirty million.
#[derive(Default)]
struct Mixer(u64);

impl Hasher for Mixer {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u8(&mut self, byte: u8) {
        self.write_u64(u64::from(byte));
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(23) ^ word).wrapping_mul(0xd1b5_4a32_d192_ed03);
    }

    fn write_usize(&mut self, word: usize) {
        self.write_u64(word as u64);
    }

    fn write_isize(&mut self, word: isize) {
        self.write_u64(word as u64);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

fn print_of(world: &World) -> u64 {
    let mut mixer = Mixer::default();
    world.hash(&mut mixer);
    mixer.finish()
}

/// What was visited.
pub(super) struct Explored {
    pub(super) worlds: usize,
    pub(super) phases: HashSet<Phase>,
}

/// Visits all. Panics with the path to the first world with a fault, or from which fair steps lead nowhere.
pub(super) fn explore(first: World) -> Explored {
    let mut visited: HashMap<u64, u32, BuildHasherDefault<Mixer>> = HashMap::default();
    // From which world it was reached first, by which of its steps.
    let mut ways: Vec<(u32, u16)> = vec![(0, 0)];
    // Fair steps: where to, and from where.
    let mut fair: Vec<(u32, u32)> = Vec::new();
    let (mut todo, mut goals, mut phases) = (VecDeque::from([first]), Vec::new(), HashSet::new());
    visited.insert(print_of(&first), 0);
    let mut from = 0;
    while let Some(world) = todo.pop_front() {
        phases.insert(world.reload.phase());
        if world.rests() && world.hold == Hold::No {
            goals.push(from);
        }
        for (nth, next) in (0..).zip(world.steps()) {
            let new = u32::try_from(ways.len()).unwrap();
            let to = *visited.entry(print_of(&next.world)).or_insert(new);
            if next.kind == Kind::Fair {
                fair.push((to, from));
            }
            if to < new {
                continue;
            }
            ways.push((from, nth));
            let mut world = next.world;
            world.check();
            if let Some(fault) = world.fault {
                panic!("{fault}:\n{}", path(first, &ways, new));
            }
            todo.push_back(world);
        }
        from += 1;
    }
    if let Some(lost) = without_goal(ways.len(), goals, fair) {
        panic!("no way on, unless something fails or takes too long:\n{}", path(first, &ways, lost));
    }
    Explored { worlds: ways.len(), phases }
}

/// The first world from which fair steps lead to no goal.
fn without_goal(worlds: usize, goals: Vec<u32>, mut fair: Vec<(u32, u32)>) -> Option<u32> {
    fair.sort_unstable();
    let (mut reaches, mut todo) = (vec![false; worlds], goals);
    while let Some(to) = todo.pop() {
        if !std::mem::replace(&mut reaches[to as usize], true) {
            let first = fair.partition_point(|(other, _)| *other < to);
            let sources = fair[first..].iter().take_while(|(other, _)| *other == to);
            todo.extend(sources.map(|(_, source)| *source));
        }
    }
    reaches.iter().position(|reaches| !reaches).map(|lost| lost as u32)
}

/// The steps to a world, for people.
fn path(first: World, ways: &[(u32, u16)], mut to: u32) -> String {
    let mut steps = Vec::new();
    while to != 0 {
        let (from, nth) = ways[to as usize];
        steps.push(nth);
        to = from;
    }
    let (mut world, mut text) = (first, String::new());
    for nth in steps.into_iter().rev() {
        let before = world.reload.phase();
        let next = world.steps().swap_remove(usize::from(nth));
        world = next.world;
        text += &format!("  {before:?}: {} {}\n", next.who, next.what);
    }
    format!("{text}{world:#?}")
}
