//! Round: single operations of several connections, handed to the engine together: the plugin boundary is crossed once for all of them, and each key is looked
//! up while others are on their way from memory.

use std::sync::Arc;

use super::Worker;
use crate::command::pipeline::{Pending, Replier};
use crate::net::Shared;
use crate::net::connection::{Connection, Waiting};
use crate::plugin::live::{Execution, JOINT_MAX, Live};
use crate::plugin::{Lent, Taker, Work};

/// The connections whose work waits to be handed over together. They are not among the worker's connections meanwhile.
#[derive(Default)]
pub(super) struct Round {
    /// Whether works are gathered at the moment, or each is carried out at once.
    open: bool,
    /// The engine that they are for; none before the first one.
    live: Option<Arc<Live>>,
    works: Vec<(u64, Work)>,
    gathered: Vec<Gathered>,
}

/// A connection, and what is to be done with it when its work is done.
struct Gathered {
    place: usize,
    connection: Box<Connection>,
    pending: Pending,
    /// Whether its work can change an entry.
    writes: bool,
    /// Bytes that were read from it in this turn.
    read: usize,
}

impl Round {
    /// Gathers works from now on, or no longer.
    pub(super) fn set_open(&mut self, open: bool) {
        self.open = open;
    }

    /// Whether this is work to be gathered, which is for that engine. It says for which, so that all that is gathered is for one.
    pub(super) fn takes(&mut self, work: &Work, pending: &Pending, live: &Arc<Live>) -> bool {
        let takes = self.open && live.joins(work) && pending.is_only_answered();
        if takes && self.live.is_none() {
            self.live = Some(Arc::clone(live));
        }
        takes && self.live.as_ref().is_some_and(|own| Arc::ptr_eq(own, live))
    }

    /// Gathers the work of a connection, from which `read` bytes were read in this turn. Answers whether there are now as many as may be handed over together.
    pub(super) fn gather(
        &mut self,
        (place, connection): (usize, Box<Connection>),
        (work, pending): (Work, Pending),
        read: usize,
    ) -> bool {
        let writes = work.writes();
        if self.works.is_empty() {
            self.works.reserve(JOINT_MAX);
        }
        self.works.push((place as u64, work));
        self.gathered.push(Gathered { place, connection, pending, writes, read });
        self.works.len() >= JOINT_MAX
    }
}

/// Takes what came of the operations, one for each connection.
struct Repliers<'a>(Vec<Option<Replier<'a>>>);

impl Taker for Repliers<'_> {
    fn take(&mut self, op: usize, lent: Lent<'_>) {
        if let Some(Some(replier)) = self.0.get_mut(op) {
            replier.take(0, lent);
        }
    }
}

impl Worker {
    /// Carries out what was gathered, and goes on with the connections. On the engine for which it was planned: this worker has not passed another one yet.
    pub(super) fn carry_out(&mut self, shared: &Arc<Shared>) {
        let Round { open, live, works, mut gathered } = std::mem::take(&mut self.round);
        if let Some(live) = live.filter(|_| !works.is_empty()) {
            let server = &shared.server;
            let began_ns = server.clock.monotonic_ns();
            let repliers = gathered.iter_mut().zip(&works).map(|(gathered, (_, work))| {
                let Connection { session, output, .. } = &mut *gathered.connection;
                gathered.pending.replier(work.room(), session, server, output)
            });
            let mut repliers = Repliers(repliers.collect());
            let execution = live.execute_joint(works, &self.home, &mut repliers);
            let time_ns = server.clock.monotonic_ns().saturating_sub(began_ns) / gathered.len() as u64;
            if let Execution::Joined(joined) = execution {
                for (one, (_, work, outcomes)) in gathered.drain(..).zip(joined) {
                    let Gathered { place, mut connection, pending, read, .. } = one;
                    let Connection { pipeline, session, output, .. } = &mut *connection;
                    pipeline.finish(pending, work, &outcomes, time_ns, session, server, output);
                    self.drive_on(place, connection, read, shared);
                }
            } else {
                let generation = live.generation;
                for Gathered { place, mut connection, pending, writes, read } in gathered.drain(..) {
                    connection.waiting = Waiting::Work { pending: Some(pending), generation, writes };
                    self.begin(generation, writes);
                    self.drive_on(place, connection, read, shared);
                }
            }
        }
        self.round = Round { open, gathered, ..Round::default() };
    }
}
