//! Watch: asks a host again and again what its reload is at, so that it is known when a migration began and when the engine changed.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use kvstore_client::Client;

use crate::host::fields;
use crate::wait::wait_for;

/// Between two looks: times of a watch are late by this at most, unless the host answers late.
const PERIOD: Duration = Duration::from_millis(4);

/// Something was otherwise than at the last look.
#[derive(Clone, Debug)]
struct Seen {
    at: Instant,
    generation: u64,
    phase: String,
}

/// What was seen so far.
#[derive(Debug, Default)]
pub(super) struct Watch(Mutex<Vec<Seen>>);

impl Watch {
    /// Looks until it is told to stop.
    ///
    /// # Errors
    /// The host does not answer.
    pub(super) fn run(&self, client: &mut Client, stop: &AtomicBool) -> Result<(), String> {
        let mut due = Instant::now();
        while !stop.load(Ordering::Relaxed) {
            let info =
                fields(client.call(&["ENGINE", "INFO"]).map_err(|error| format!("ENGINE INFO: {error}"))?);
            let generation = info.get("generation").and_then(|text| text.parse().ok()).unwrap_or_default();
            let phase = info.get("reload_phase").cloned().unwrap_or_default();
            let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let same = |last: &Seen| (last.generation, &last.phase) == (generation, &phase);
            if !seen.last().is_some_and(same) {
                seen.push(Seen { at: Instant::now(), generation, phase });
            }
            drop(seen);
            // No looks are made up for that were missed.
            due = (due + PERIOD).max(Instant::now());
            std::thread::park_timeout(due.saturating_duration_since(Instant::now()));
        }
        Ok(())
    }

    /// When this generation was published, and when its migration had begun before, if that was seen.
    pub(super) fn cutover(&self, generation: u64) -> (Instant, Option<Instant>) {
        wait_for(format!("generation {generation} in ENGINE INFO"), || {
            let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let at = seen.iter().find(|seen| seen.generation == generation)?.at;
            let migrates = |seen: &&Seen| seen.generation + 1 == generation && seen.phase == "migrate";
            Some((at, seen.iter().find(migrates).map(|seen| seen.at)))
        })
    }
}
