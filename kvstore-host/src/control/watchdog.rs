//! Watchdog: looks at times whether a call of the engine does not return, and tells which.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Control;
use crate::command::table;
use crate::net::worker;
use crate::plugin::Keyspace;
use crate::server::Call;

/// What is known of the threads that call the engine.
pub(super) struct Watchdog {
    /// How long a call may take; zero: nobody looks.
    patience: Duration,
    next: Instant,
    seen: Vec<Seen>,
}

/// A thread, as it was when it was last looked at.
struct Seen {
    id: u64,
    name: String,
    /// The live engine, and its generation, when it was first seen in this call: another one may be live since.
    engine: Arc<str>,
    generation: u64,
    call: Option<Call>,
    /// When it was first seen in this call, and whether that was told.
    since: Instant,
    told: bool,
}

impl Seen {
    fn describe(&self) -> String {
        let number = self.call.and_then(|call| call.command);
        let command = table::all().find(|spec| Some(spec.number.get()) == number);
        format!(
            "{}: {} in {}",
            self.engine,
            self.name,
            command.map_or("what comes late, or a transaction", |spec| spec.full_name)
        )
    }
}

impl Watchdog {
    pub(super) fn new(patience: Duration) -> Self {
        Self { patience, next: Instant::now() + patience, seen: Vec::new() }
    }

    /// When it looks next.
    pub(super) fn due(&self) -> Option<Instant> {
        (!self.patience.is_zero()).then_some(self.next)
    }

    /// Whether this worker is in a call that does not return.
    pub(super) fn is_stuck(&self, worker: usize) -> bool {
        self.seen.iter().any(|seen| seen.told && seen.name == worker::name(worker))
    }

    /// Whether a call does not return that was first seen while this generation was live.
    pub(super) fn is_stuck_in(&self, generation: u64) -> bool {
        self.seen.iter().any(|seen| seen.told && seen.generation == generation)
    }

    /// The calls that do not return.
    pub(super) fn stuck(&self) -> impl Iterator<Item = String> + '_ {
        let text = |seen: &Seen| format!("{} for {} ms", seen.describe(), seen.since.elapsed().as_millis());
        self.seen.iter().filter(|seen| seen.told).map(text)
    }
}

impl Control {
    /// Looks, if it is time for it.
    pub(super) fn watch_calls(&mut self) {
        let now = Instant::now();
        let Some(due) = self.watchdog.due().filter(|due| *due <= now) else { return };
        let engine = self.shared.published.get();
        let generation = engine.generation;
        let engine: Arc<str> = format!("engine {}, generation {generation}", engine.identity().name).into();
        let Watchdog { patience, next, seen } = &mut self.watchdog;
        // Two looks in one call are at least so far apart, also when this thread was late.
        *next = due.max(now) + *patience;
        let mut before = std::mem::take(seen);
        self.shared.server.calls.look(|id, name, call| {
            let place = before.iter().position(|seen| seen.id == id);
            let known = place.map(|place| before.swap_remove(place));
            let (name, engine) = (name.to_owned(), Arc::clone(&engine));
            let new = Seen { id, name, generation, engine, call, since: now, told: false };
            seen.push(match known {
                Some(mut same) if call.is_some() && call == same.call => {
                    if !same.told {
                        same.told = true;
                        log::error!(
                            "{} has not returned for {} ms; clients of that thread wait for it. ENGINE commands are answered",
                            same.describe(),
                            same.since.elapsed().as_millis()
                        );
                    }
                    same
                }
                Some(other) if other.told => {
                    log::warn!("{} has returned, after {:?}", other.describe(), other.since.elapsed());
                    new
                }
                _ => new,
            });
        });
    }
}
