//! Explored: the state machine together with what it directs, in every order of their steps.
//!
//! The machine is the real one. All else is a model, a value that is copied for each step that can be taken next; each value is visited once. There
//! are no threads and no engine. The pieces have the names of what they stand for:
//!
//! | piece | stands for |
//! |---|---|
//! | `explored/control.rs` | `control/job.rs`, `control/probation.rs`: actions, one by one, and the events that come of them |
//! | `explored/workers.rs` | `net/worker.rs`, `plugin/live.rs`: a request's way from hold to reply, what is noted of it, and the marks |
//! | `explored/copier.rs` | `plugin/migrate.rs`, `plugin/adopt.rs`, and the threads of other steps |
//! | `explored/world.rs` | `plugin/published.rs`, `plugin/holding.rs`, `plugin/changes.rs`, `state_dir/next.rs`, and what engines hold |
//! | `explored/history.rs` | what clients were told, for each key |
//! | `explored/explorer.rs` | the search |
//!
//! What holds in each world:
//!
//! - One order of all requests explains what clients were told, what one would be told who reads now, and what a restart would find that goes by the
//!   manifest. Not any more once somebody has said that an engine is to come back without what it lacks.
//! - No engine is called that was closed or handed over, or is being handed over; none is closed while a worker, a flight or a copier is in it.
//! - Who asked is answered once.
//! - Where the machine may stay, nothing is held back, the manifest names the live engine, and in the end nothing is left behind.
//! - There is a way to such a place on which nothing fails or takes too long.
//!
//! Bounds: one reload; two workers with a request each at a time; one or two keys; so many writes, slow reads and failures on a path as each test says.
//! A failure is an error or a panic of an engine, a thread that fails or is given up, a manifest that cannot be put in its place, or ENGINE CANCEL. Of one
//! write at most nobody knows whether it took effect, and one that panics is seen by nobody. Left out: the second look of a worker that falls asleep (here a
//! message wakes it), a worker that comes later, expiry and versions, transactions that have the engine to themselves, the comparison of a shadow, reopen, power
//! failures, and what is decided in phase `lacking` after a thread has ended that was to have the manifest name the engine before, and was given up, and before
//! the control thread takes what it has said.

mod control;
mod copier;
mod explorer;
mod history;
mod workers;
mod world;

use std::collections::HashSet;

use super::Phase;
use explorer::explore;
use world::{Bounds, Wishes, World};

const MIGRATE: Wishes = Wishes { adopts: false, shadow: false, probation: false };
const ONE_WRITE: Bounds =
    Bounds { keys: 1, writes: 1, reads: 0, failures: 1, fails_early: true, looks_late: false, sleeps: false };
const TWO_WRITES: Bounds = Bounds { writes: 2, ..ONE_WRITE };
/// With a slow read, which may be on the engine before for long.
const SLOW_READ: Bounds = Bounds { reads: 1, ..ONE_WRITE };
/// Nothing fails, on two keys.
const TWO_KEYS: Bounds = Bounds { keys: 2, failures: 0, ..TWO_WRITES };
/// Workers look, and tell what they have seen, whenever they like.
const LATE: Bounds = Bounds { looks_late: true, ..ONE_WRITE };
/// The same, and they sleep.
const SLEEPING: Bounds = Bounds { sleeps: true, ..LATE };

fn failing(failures: u8, bounds: Bounds) -> Bounds {
    Bounds { failures, ..bounds }
}

/// Explores all of these, and looks whether there are so many phases in them.
fn every_order(wishes: Wishes, bounds: &[Bounds], phases: usize) {
    let mut seen = HashSet::<Phase>::new();
    for bounds in bounds {
        let explored = explore(World::new(wishes, *bounds));
        eprintln!("{} worlds: {wishes:?}, {bounds:?}", explored.worlds);
        seen.extend(explored.phases);
    }
    assert_eq!(seen.len(), phases, "{seen:?}");
}

#[test]
fn a_migration_in_every_order_of_steps_loses_nothing() {
    let sleeping = [SLEEPING, Bounds { writes: 0, reads: 1, ..SLEEPING }].map(|it| failing(0, it));
    every_order(MIGRATE, &[&[TWO_WRITES, SLOW_READ, TWO_KEYS, failing(0, LATE)], &sleeping[..]].concat(), 10);
}

#[test]
fn a_shadow_in_every_order_of_steps_has_all_when_it_is_promoted() {
    every_order(Wishes { shadow: true, ..MIGRATE }, &[ONE_WRITE, TWO_KEYS], 11);
}

#[test]
fn an_adopt_in_every_order_of_steps_loses_nothing() {
    let slow = failing(0, Bounds { reads: 1, ..SLEEPING });
    let all = [TWO_WRITES, SLOW_READ, failing(2, ONE_WRITE), LATE, SLEEPING, slow, TWO_KEYS];
    every_order(Wishes { adopts: true, ..MIGRATE }, &all, 14);
}

#[test]
fn a_probation_in_every_order_of_steps_ends_with_an_engine_that_has_all() {
    // What fails before the cutover fails as in a migration.
    let mut all = [failing(2, ONE_WRITE), TWO_WRITES, SLOW_READ, LATE, TWO_KEYS];
    all.iter_mut().for_each(|bounds| bounds.fails_early = false);
    every_order(Wishes { probation: true, ..MIGRATE }, &all, 18);
}
