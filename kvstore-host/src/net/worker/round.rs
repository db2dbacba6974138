//! Round: single operations of several connections, handed to the engine together: the plugin boundary is crossed once for all of them, and each key is looked
//! up while others are on their way from memory.

use std::sync::Arc;

use super::Worker;
use crate::command::pipeline::{Pending, Replier};
use crate::net::Shared;
use crate::net::connection::Connection;
use crate::plugin::live::{Execution, JOINT_MAX, Live};
use crate::plugin::{Lent, Taker, Work};
use crate::server::Clock;

/// The connections whose work waits to be handed over together. They are not among the worker's connections meanwhile.
#[derive(Default)]
pub(super) struct Round {
    /// Whether works are gathered at the moment, or each is carried out at once.
    open: bool,
    /// The engine that they are for; none where nothing is gathered.
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
        let takes = self.open && live.joins(work) && pending.is_one_request();
        if takes && self.live.is_none() {
            self.live = Some(Arc::clone(live));
        }
        takes && self.live.as_ref().is_some_and(|own| Arc::ptr_eq(own, live))
    }

    /// Whether nothing is gathered.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.live.is_none()
    }

    /// Gathers the work of a connection, from which `read` bytes were read in this turn. Answers whether there are now as many as may be handed over together.
    #[inline]
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

/// Takes what came of the operations, one for each connection, and how long each took.
struct Repliers<'a> {
    all: Vec<(Option<Replier<'a>>, Option<u64>)>,
    clock: &'a Clock,
    /// When the last one was taken.
    last_ns: u64,
}

impl Taker for Repliers<'_> {
    fn take(&mut self, op: usize, lent: Lent<'_>) {
        if let Some((Some(replier), time_ns)) = self.all.get_mut(op) {
            replier.take(0, lent);
            let now_ns = self.clock.monotonic_ns();
            *time_ns = Some(now_ns.saturating_sub(self.last_ns));
            self.last_ns = now_ns;
        }
    }
}

impl Repliers<'_> {
    /// How long each took, now that all are done: those that were not taken have equal shares of what is left.
    fn times_ns(self) -> Vec<u64> {
        let others = self.all.iter().filter(|(_, time_ns)| time_ns.is_none()).count() as u64;
        let left_ns = self.clock.monotonic_ns().saturating_sub(self.last_ns);
        let share_ns = left_ns.checked_div(others).unwrap_or(0);
        self.all.into_iter().map(|(_, time_ns)| time_ns.unwrap_or(share_ns)).collect()
    }
}

impl Worker {
    /// Carries out what was gathered, and goes on with the connections. On the engine for which it was planned: this worker has not passed another one yet.
    pub(super) fn carry_out(&mut self, shared: &Arc<Shared>) {
        let Some(live) = self.round.live.take() else { return };
        let Round { open, works, mut gathered, .. } = std::mem::take(&mut self.round);
        let server = &shared.server;
        self.caller.enter(gathered.first().and_then(|gathered| gathered.pending.command()));
        let all = gathered.iter_mut().zip(&works).map(|(gathered, (_, work))| {
            let Connection { session, output, .. } = &mut *gathered.connection;
            (gathered.pending.replier(work.room(), session, server, output), None)
        });
        let (all, clock) = (all.collect(), &server.clock);
        let mut repliers = Repliers { all, clock, last_ns: clock.monotonic_ns() };
        let execution = live.execute_joint(works, &self.home, &mut repliers);
        self.caller.leave();
        let times_ns = repliers.times_ns();
        if let Execution::Joined(joined) = execution {
            let refused = joined.refused;
            for ((one, time_ns), (_, work, outcomes)) in gathered.drain(..).zip(times_ns).zip(joined) {
                let Gathered { place, mut connection, pending, read, .. } = one;
                if refused {
                    // Not too much by itself, perhaps.
                    self.execute(&live, (place, &mut connection), (work, pending), shared);
                } else {
                    let Connection { pipeline, session, output, .. } = &mut *connection;
                    pipeline.finish(pending, work, &outcomes, time_ns, session, server, output);
                }
                self.drive_on(place, connection, read, shared);
            }
        } else {
            for Gathered { place, mut connection, pending, writes, read } in gathered.drain(..) {
                self.wait_for_work(&mut connection, pending, live.generation, writes);
                self.drive_on(place, connection, read, shared);
            }
        }
        self.round = Round { open, gathered, ..Round::default() };
    }
}
