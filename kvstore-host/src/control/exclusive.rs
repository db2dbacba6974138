//! Exclusive: lets one transaction at a time have the engine to itself: hold everything back, run it on the pool, let go.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use super::job::Done;
use super::{Control, ControlMessage};
use crate::command::pipeline::{Exclusive, Transacted};
use crate::net::{ConnectionId, Message};
use crate::plugin::holding::Hold;
use crate::plugin::reload::Phase;

/// Who asked for a transaction, and what it is.
pub(super) struct Asked {
    pub(super) worker: usize,
    pub(super) from: ConnectionId,
    pub(super) transaction: Exclusive,
}

/// Whose turn it is.
enum Turn {
    Nobodys,
    /// What is under way has to end first.
    Holding {
        hold: Hold,
        deadline: Instant,
        asked: Asked,
    },
    Running {
        worker: usize,
        from: ConnectionId,
    },
}

/// The transactions that wait, and the one that runs.
pub(super) struct Exclusives {
    waiting: VecDeque<Asked>,
    turn: Turn,
    /// The step that a reload came to meanwhile, and how the reload is numbered: it holds back next.
    opened: Option<(u64, Done)>,
}

impl Default for Exclusives {
    fn default() -> Self {
        Self { waiting: VecDeque::new(), turn: Turn::Nobodys, opened: None }
    }
}

impl Exclusives {
    pub(super) fn ask(&mut self, asked: Asked) {
        self.waiting.push_back(asked);
    }

    /// Whether the engine is, or is about to be, in the hands of a transaction.
    pub(super) fn under_way(&self) -> bool {
        !matches!(self.turn, Turn::Nobodys)
    }

    /// Keeps a step of a reload until the transaction is done.
    pub(super) fn postpone(&mut self, number: u64, done: Done) {
        self.opened = Some((number, done));
    }

    /// Until when what is under way may take to end.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match &self.turn {
            Turn::Holding { deadline, .. } => Some(*deadline),
            _ => None,
        }
    }
}

impl Control {
    /// Sees whether a transaction can begin, or has waited for too long.
    pub(super) fn look_at_exclusives(&mut self) {
        let shared = Arc::clone(&self.shared);
        let holding = &shared.holding;
        // A handoff holds back, and lets go, by itself.
        let hands_over = matches!(self.reload.phase(), Phase::HoldAll | Phase::Adopt);
        if !self.exclusives.under_way()
            && !hands_over
            && holding.hold() == Hold::No
            && let Some(asked) = self.exclusives.waiting.pop_front()
        {
            let (hold, deadline) = (Hold::All(self.next_hold()), Instant::now() + self.drain_timeout());
            self.exclusives.turn = Turn::Holding { hold, deadline, asked };
            self.hold_back(hold);
        }
        let Turn::Holding { hold, deadline, .. } = self.exclusives.turn else { return };
        let (ready, late) = (holding.all_held(hold), deadline <= Instant::now());
        if !ready && !late {
            return;
        }
        let turn = std::mem::replace(&mut self.exclusives.turn, Turn::Nobodys);
        let Turn::Holding { asked: Asked { worker, from, transaction }, .. } = turn else { return };
        self.exclusives.turn = Turn::Running { worker, from };
        if ready {
            let handle = self.seed.handle();
            self.shared.pool.run(None, move || {
                let run = AssertUnwindSafe(|| transaction.run(&shared.published.get(), &shared.server));
                let done = catch_unwind(run).unwrap_or_else(|_| {
                    Transacted::Failed(
                        "ERR internal error: the transaction failed, its outcome is unknown".to_owned(),
                    )
                });
                handle.send(ControlMessage::Transacted(done));
            });
        } else {
            let text = "BUSY what is under way did not end within drain-timeout-ms; nothing was carried out";
            self.transacted(Transacted::Failed(text.to_owned()));
        }
    }

    /// A transaction has ended: lets everybody go on, and tells who asked for it.
    pub(super) fn transacted(&mut self, done: Transacted) {
        self.release();
        if let Turn::Running { worker, from } = std::mem::replace(&mut self.exclusives.turn, Turn::Nobodys)
            && let Some(worker) = self.workers.get(worker)
        {
            worker.send(Message::Transacted { to: from, done });
        }
        if let Some((number, done)) = self.exclusives.opened.take() {
            self.done(number, done);
        }
    }
}
