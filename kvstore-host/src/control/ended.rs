//! Ended: how a reload has ended is noted, and whoever asked for it is told.

use std::time::Duration;

use super::job::Job;
use super::{Control, engine_command};
use crate::plugin::Keyspace as _;
use crate::plugin::adopt::{Adopted, Handoff};
use crate::plugin::migrate::Migrated;
use crate::plugin::reload::Action;
use crate::protocol::Value;
use crate::server::add;

impl Job {
    /// How the data went along.
    pub(super) fn way(&self) -> &'static str {
        match self.adopted {
            Some(adopted) => adopted.handoff.name(),
            None if self.has_come_back() => "return",
            None => "migrate",
        }
    }

    /// Whether the engine before serves again, after a probation.
    pub(super) fn has_come_back(&self) -> bool {
        self.probation.as_ref().is_some_and(|probation| probation.came_back)
    }

    /// How the data went along, with figures, for the log.
    pub(super) fn told(&self) -> String {
        match self.adopted {
            None if self.has_come_back() => {
                format!("it has come back, writes held back for {} us", self.stopped.as_micros())
            }
            Some(Adopted { handoff: Handoff::Reopen, .. }) => {
                format!("reopened, workers stopped for {} us", self.stopped.as_micros())
            }
            Some(Adopted { regions, bytes, .. }) => format!(
                "{regions} regions of {bytes} bytes adopted, workers stopped for {} us",
                self.stopped.as_micros()
            ),
            None => {
                let why = self
                    .not_adopted
                    .iter()
                    .map(|why| format!(", not handed over: {why}"))
                    .collect::<String>();
                let Migrated { entries, changes, .. } = self.migrated;
                format!(
                    "{entries} entries migrated, {changes} of them again as they had changed, writes held back for {} us{why}",
                    self.stopped.as_micros()
                )
            }
        }
    }
}

impl Control {
    /// Notes how long workers were stopped: those that have gone on, as all have unless the old engine is abandoned.
    pub(super) fn note_stopped(&mut self) {
        if let Some(job) = self.job.as_mut().filter(|job| job.stopped.is_zero()) {
            let stopped_ns = self.shared.holding.released_ns().saturating_sub(job.held_since_ns);
            job.stopped = Duration::from_nanos(stopped_ns);
        }
    }

    /// Notes what became of the old engine, and tells whoever asked.
    pub(super) fn settle_old(&mut self, action: Action) {
        self.note_stopped();
        let Some(job) = &self.job else { return };
        let (Some(live), Some(old)) = (&job.live, &job.old) else { return };
        self.history.set_state(old.generation, &job.old_verdict);
        if action == Action::AbandonOld {
            self.shared.published.give_up(old.generation);
            // Those that call it may never come back.
            self.shared.pool.add_threads();
            log::error!("generation {} is {}", old.generation, job.old_verdict);
            return;
        }
        add(&self.shared.server.stats.reloads, 1);
        log::info!(
            "reload done: generation {} is {} {} from {}; {}; generation {}: {}",
            live.generation,
            live.identity().name,
            live.identity().version,
            live.file.path().display(),
            job.told(),
            old.generation,
            job.old_verdict,
        );
        self.history.set_held(job.stopped);
        let mut reply = engine_command::accepted(job, live, old, &job.old_verdict);
        if let Some(probation) = job.probation.as_ref().filter(|it| it.has_begun() || !job.cancelled) {
            let verdict = probation.verdict(&job.problem);
            match &verdict {
                Ok(verdict) => log::info!("{verdict}"),
                Err(verdict) => {
                    log::error!("{verdict}");
                    reply = Value::error(format!("ERR {verdict}"));
                }
            }
            self.history.probation = Some(verdict.unwrap_or_else(|verdict| verdict));
        }
        self.reply(job.asker, reply);
    }

    /// Tells whoever asked why not.
    pub(super) fn refuse(&mut self) {
        let Some(job) = &self.job else { return };
        if job.cancelled && !job.abandoned && job.comparison.is_some() && job.asker.is_none() {
            return log::info!("the shadow of {} is dropped", job.source);
        }
        add(&self.shared.server.stats.reloads_refused, 1);
        let mut problem = job.problem.clone();
        if let Some(why) = &job.not_adopted {
            problem += &format!("; the data were to be copied, because {why}");
        }
        log::error!("reload refused, generation {} serves on: {problem}", self.shared.published.generation());
        self.reply(job.asker, Value::error(format!("ERR reload refused: {problem}")));
    }
}
