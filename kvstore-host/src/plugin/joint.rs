//! Joint: works of one operation each, of several connections, which cross the plugin boundary together.

use plugin_abi::raw::KvOp;

use super::outcome::{Outcome, Outcomes};
use super::work::Work;

/// Works that are handed over together, each with its ticket.
pub(super) struct Joint {
    // What they point to is owned by the works, where it stays as it is.
    ops: Vec<KvOp>,
    works: Vec<(u64, Work)>,
}

// SAFETY: the operations point into the heap memory of the works, which moves along unchanged.
unsafe impl Send for Joint {}

impl Joint {
    /// Of these works.
    pub(super) fn new(works: Vec<(u64, Work)>) -> Self {
        debug_assert!(works.iter().all(|(_, work)| work.ops().len() == 1 && !work.atomic()));
        let mut ops = Vec::with_capacity(works.len());
        ops.extend(works.iter().flat_map(|(_, work)| work.ops()));
        Self { ops, works }
    }

    pub(super) fn ops(&self) -> &[KvOp] {
        &self.ops
    }

    /// When the last one was planned, in milliseconds since 1970 UTC, if that was told.
    pub(super) fn now_ms(&self) -> Option<i64> {
        self.works.iter().filter_map(|(_, work)| work.now_ms()).max()
    }

    pub(super) fn into_works(self) -> Vec<(u64, Work)> {
        self.works
    }
}

/// Joint works that are done, in the order in which they were handed over.
pub struct Joined {
    /// The engine refused all of it, and carried none of it out.
    pub refused: bool,
    works: std::vec::IntoIter<(u64, Work)>,
    outcomes: Outcomes,
    next: usize,
}

impl Joined {
    pub(super) fn new(works: Vec<(u64, Work)>, outcomes: Outcomes, refused: bool) -> Self {
        Self { refused, works: works.into_iter(), outcomes, next: 0 }
    }

    /// Whether the engine panicked in one of them, or had before.
    pub(super) fn have_panicked(&self) -> bool {
        self.outcomes.have_panicked()
    }

    /// The works that are still to be taken, with what came of the one operation of each, unless that was taken already.
    pub(super) fn works(&self) -> impl Iterator<Item = (&Work, Option<&Outcome>)> {
        let outcome = |at: usize| self.outcomes.all().get(at);
        (self.next..).zip(self.works.as_slice()).map(move |(at, (_, work))| (work, outcome(at)))
    }
}

impl Iterator for Joined {
    type Item = (u64, Work, Outcomes);

    /// A ticket, its work, and what came of that, unless it was taken already.
    fn next(&mut self) -> Option<Self::Item> {
        let (ticket, work) = self.works.next()?;
        self.next += 1;
        Some((ticket, work, self.outcomes.of_one(self.next - 1)))
    }
}
