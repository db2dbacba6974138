//! Flight: one batch between its submission and its last completion.

use plugin_abi::Status;
use plugin_abi::sdk::{Batch, BatchId, Error, Outcome};

use crate::store::Done;

/// How far an operation has come.
enum State {
    /// Not begun.
    Waiting,
    /// It had its effect; nobody knows yet.
    Done(Result<Done, Error>),
    /// Its completion is told.
    Completed,
}

/// One batch between its submission and its last completion.
pub(crate) struct Flight {
    batch: Batch,
    states: Vec<State>,
    left: usize,
}

impl Flight {
    pub(crate) fn new(batch: Batch) -> Self {
        let left = batch.len();
        Self { batch, states: (0..left).map(|_| State::Waiting).collect(), left }
    }

    pub(crate) fn batch(&self) -> &Batch {
        &self.batch
    }

    pub(crate) fn id(&self) -> BatchId {
        self.batch.id()
    }

    /// Whether everything is completed; then the batch is the host's again.
    pub(crate) fn landed(&self) -> bool {
        self.left == 0
    }

    /// Whether an operation has not begun.
    pub(crate) fn waits(&self, index: usize) -> bool {
        matches!(self.states[index], State::Waiting)
    }

    /// Keeps what came of an operation until its completion.
    pub(crate) fn done(&mut self, index: usize, what: Result<Done, Error>) {
        self.states[index] = State::Done(what);
    }

    /// Completes an operation that is done, and with it its neighbours that are, if `wide`.
    pub(crate) fn complete(&mut self, index: usize, wide: bool) {
        let done = |state: &State| matches!(state, State::Done(_));
        if !done(&self.states[index]) {
            return;
        }
        let before = self.states[..index].iter().rev().take_while(|state| wide && done(state)).count();
        let behind = self.states[index + 1..].iter().take_while(|state| wide && done(state)).count();
        self.complete_range(index - before, before + 1 + behind);
    }

    fn complete_range(&mut self, first: usize, count: usize) {
        let range = first..first + count;
        let outcomes: Vec<Outcome<'_>> = self.states[range.clone()]
            .iter()
            .filter_map(|state| match state {
                State::Done(Ok(done)) => Some(done.outcome()),
                State::Done(Err(error)) => Some(Outcome::Failed(error)),
                State::Waiting | State::Completed => None,
            })
            .collect();
        self.batch.complete_range(first, &outcomes);
        self.left -= count;
        for state in &mut self.states[range] {
            *state = State::Completed;
        }
    }

    /// Gives up what has not begun.
    pub(crate) fn give_up(&mut self, status: Status) {
        for index in 0..self.states.len() {
            if self.waits(index) {
                self.done(index, Err(status.into()));
                self.complete(index, false);
            }
        }
    }

    /// Completes all: what has not begun is cancelled.
    pub(crate) fn land(mut self) {
        self.give_up(Status::CANCELLED);
        for index in 0..self.states.len() {
            self.complete(index, true);
        }
    }
}
