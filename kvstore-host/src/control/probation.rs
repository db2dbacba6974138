//! Probation: the engine that went live is watched for a time, while the one before is kept equal to it; that one comes back, with all that was written
//! since, when the new one fails or is slower than it was.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crossbeam::channel::bounded;
use hdrhistogram::Histogram;
use plugin_abi::Status;

use super::copier::Copier;
use super::job::{Done, Job};
use super::manifest::committed;
use super::{Asker, Control, ControlMessage, engine_command};
use crate::plugin::live::Live;
use crate::plugin::migrate::{MigrateError, Progress, can_leave, feed};
use crate::plugin::reload::{Event, Phase};
use crate::protocol::Value;
use crate::server::Server;

/// How often it is looked how the engine does.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);
/// Calls that a percentile is worth being compared for: so many are waited for.
const CALLS_MIN: u64 = 200;
/// It has to be too long so many times in a row: once may be the machine's fault, or that of the cutover.
const SLOW_MAX: u32 = 4;

/// What the server had counted at one moment.
#[derive(Clone, Debug)]
struct Counts {
    /// How long calls of all commands took, in nanoseconds.
    times_ns: Option<Histogram<u64>>,
    engine_errors: u64,
}

impl Counts {
    fn now(server: &Server) -> Self {
        let engine_errors = server.stats.engine_errors.load(Ordering::Relaxed);
        Self { times_ns: server.tallies.sum().times_ns(), engine_errors }
    }

    /// Which time 99 of 100 calls did not exceed, if there were enough of them.
    fn p99(&self) -> Option<Duration> {
        let times = self.times_ns.as_ref().filter(|times| times.len() >= CALLS_MIN)?;
        Some(Duration::from_nanos(times.value_at_quantile(0.99)))
    }

    /// The same of those since then.
    fn p99_since(&self, before: &Self) -> Option<Duration> {
        let mut times = self.times_ns.clone()?;
        if let Some(before) = &before.times_ns {
            // Refused where the counts were reset meanwhile.
            times.subtract(before).ok()?;
        }
        Self { times_ns: Some(times), ..*self }.p99()
    }
}

/// What is asked of the new engine: the one before comes back otherwise.
#[derive(Clone, Copy, Debug)]
struct Demands {
    /// Replies at most that tell of a failure of the engine.
    errors_max: u64,
    /// How many percent of what it was the 99th percentile of the commands' times may be; 0: any.
    latency_percent: u64,
    /// Times up to this long are never too long.
    latency_floor: Duration,
}

impl Demands {
    fn of(server: &Server) -> Self {
        let get = |setting: &AtomicU64| setting.load(Ordering::Relaxed);
        let settings = &server.settings;
        Self {
            errors_max: get(&settings.probation_errors_max),
            latency_percent: get(&settings.probation_latency_percent),
            latency_floor: Duration::from_micros(get(&settings.probation_latency_floor_us)),
        }
    }

    /// What is wrong with what the 99th percentile was and is.
    fn too_slow(self, was: Duration, is: Duration) -> Option<String> {
        let percent = u32::try_from(self.latency_percent).unwrap_or(u32::MAX);
        let most = (was.saturating_mul(percent) / 100).max(self.latency_floor);
        (self.latency_percent > 0 && is > most).then(|| {
            let [is, was, most] = [is, was, most].map(|time| time.as_micros());
            format!("99 of 100 commands took up to {is} us; before it was {was} us, and {most} us may be")
        })
    }
}

/// That of one reload.
pub(super) struct Probation {
    length: Duration,
    /// What was counted when the reload was asked for, just before the cutover, and when the new engine had taken over.
    counts: [Option<Counts>; 3],
    /// What was counted when times were last compared, and how many times in a row they were too long.
    compared: Option<Counts>,
    slow: u32,
    ends: Option<Instant>,
    next_look: Option<Instant>,
    /// What the last look found: errors of the engine, and the 99th percentile before and since.
    seen: (u64, Option<Duration>, Option<Duration>),
    /// Why the engine before comes back, or has.
    regression: Option<String>,
    /// It has.
    pub(super) came_back: bool,
}

impl Probation {
    pub(super) fn new(length: Duration, server: &Server) -> Self {
        Self {
            length,
            counts: [Some(Counts::now(server)), None, None],
            compared: None,
            slow: 0,
            ends: None,
            next_look: None,
            seen: (0, None, None),
            regression: None,
            came_back: false,
        }
    }

    /// The cutover is near.
    pub(super) fn note_before(&mut self, server: &Server) {
        self.counts[1] = Some(Counts::now(server));
    }

    fn begin(&mut self, server: &Server) {
        let now = Instant::now();
        self.counts[2] = Some(Counts::now(server));
        self.compared.clone_from(&self.counts[2]);
        (self.ends, self.next_look) = (Some(now + self.length), Some(now + LOOK_INTERVAL));
    }

    /// When there is something to do.
    pub(super) fn due(&self) -> Option<Instant> {
        self.ends.min(self.next_look)
    }

    /// Looks how the engine does. What is wrong, if anything is.
    fn look(&mut self, server: &Server) -> Option<String> {
        let now = Instant::now();
        if self.next_look.is_none_or(|at| at > now) {
            return None;
        }
        self.next_look = Some(now + LOOK_INTERVAL);
        let [Some(asked), Some(before), Some(since)] = &self.counts else { return None };
        let counts = Counts::now(server);
        let errors = counts.engine_errors.saturating_sub(since.engine_errors);
        // Where little was asked for since: what it was before, too.
        let was = before.p99_since(asked).or_else(|| before.p99());
        let is = self.compared.as_ref().and_then(|compared| counts.p99_since(compared));
        self.seen = (errors, was, is.or(self.seen.2));
        let demands = Demands::of(server);
        if errors > demands.errors_max {
            return Some(format!("{errors} requests failed in the engine, {} may", demands.errors_max));
        }
        let too_slow = demands.too_slow(was?, is?);
        self.compared = Some(counts);
        self.slow = if too_slow.is_some() { self.slow + 1 } else { 0 };
        too_slow.filter(|_| self.slow >= SLOW_MAX)
    }

    /// What `ENGINE INFO` tells.
    pub(super) fn told(&self) -> Vec<(&'static str, u64)> {
        let left = self.ends.map_or(self.length, |ends| ends.saturating_duration_since(Instant::now()));
        let mut all = vec![("probation_left_ms", left.as_millis() as u64), ("probation_errors", self.seen.0)];
        let times = [("probation_p99_before_us", self.seen.1), ("probation_p99_us", self.seen.2)];
        all.extend(times.into_iter().filter_map(|(name, time)| Some((name, time?.as_micros() as u64))));
        all
    }
}

impl Control {
    /// Keeps the engine before equal to the one that is live now.
    pub(super) fn feed(&mut self) {
        let Some(job) = &self.job else { return };
        let (Some(from), Some(to)) = (job.live.clone(), job.old.clone()) else { return };
        let (word, wait) = bounded(1);
        let progress = Arc::<Progress>::default();
        let done = self.next_manifest.clone();
        // It is to be ready when the engine comes back, and nobody should wait for the disk then.
        let next = self.manifest_of(&to.file, &to.options, from.generation + 1);
        self.next_manifest = next.clone();
        let (its_progress, handle) = (Arc::clone(&progress), self.seed.handle());
        let before = self.job.as_mut().and_then(|job| job.copier.take()).and_then(Copier::into_thread);
        let thread = self.on_thread("copy back to", move || {
            // How it ended is known.
            let _ = before.map(std::thread::JoinHandle::join);
            done.settle();
            if let Err(error) = next.prepare() {
                return Done::Broken(error);
            }
            let fed = feed(&from, &to, &its_progress, &wait, || handle.send(ControlMessage::Look));
            committed(&next, &to, Done::Migrated(fed))
        });
        if let Some(job) = &mut self.job {
            job.copier = Some(Copier::new(word, thread, progress));
        }
    }

    /// The new engine serves alone: tells whoever asked.
    pub(super) fn admit(&mut self) {
        let Some(job) = &mut self.job else { return };
        let Some(probation) = &mut job.probation else { return };
        // Once more, after a return that did not come to its end.
        if probation.ends.is_some() {
            return;
        }
        probation.begin(&self.shared.server);
        let verdict =
            format!("kept equal for {} ms, on probation of the new one", probation.length.as_millis());
        self.note_stopped();
        let Some(job) = &mut self.job else { return };
        let asker = job.asker.take();
        let (Some(live), Some(old)) = (&job.live, &job.old) else { return };
        self.history.set_state(old.generation, &verdict);
        self.history.handoff = Some((job.way(), job.stopped));
        log::info!("{live:?} is live, and on probation; {old:?} is {verdict}");
        let reply = engine_command::accepted(job, live, old, &verdict);
        self.reply(asker, reply);
    }

    /// Looks how the engine on probation does, and whether that is over.
    pub(super) fn look_at_probation(&mut self) {
        if self.reload.phase() != Phase::Probation {
            return;
        }
        let Some(job) = &mut self.job else { return };
        let Some(probation) = &mut job.probation else { return };
        if let Some(wrong) = probation.look(&self.shared.server) {
            self.come_back(None, wrong);
        } else if probation.ends.is_some_and(|at| at <= Instant::now()) {
            self.event(Event::Passed);
        }
    }

    /// Has the engine before come back.
    fn come_back(&mut self, asker: Asker, why: String) {
        let Some(job) = &mut self.job else { return };
        let Some(probation) = &mut job.probation else { return };
        log::warn!("the engine before comes back: {why}");
        probation.regression = Some(why);
        job.asker = asker;
        let number = job.number;
        self.done(number, Done::Regressed);
    }

    /// What a phase waits for has come. If the engine on probation cannot be read any more: whether the one before has all that was written to it.
    pub(super) fn reached(&mut self) -> Event {
        let phase = self.reload.phase();
        let Some(job) = self.job.as_mut().filter(|_| matches!(phase, Phase::Doubt | Phase::Force)) else {
            return Event::Succeeded;
        };
        let left = job.copier.as_ref().map_or(0, |copier| copier.progress().left.load(Ordering::Relaxed));
        let noted = job.live.as_ref().map_or(0, |live| live.changes_noted());
        let lacks = left + noted;
        if phase == Phase::Doubt && lacks > 0 {
            log::error!(
                "the engine before does not come back by itself: it lacks {lacks} keys that were written since. Until somebody decides, the new one \
                 refuses what it is asked. ENGINE ROLLBACK goes back without them; ENGINE PROMOTE drops the engine before, and ENGINE RELOAD may then \
                 adopt what the new one holds"
            );
            return Event::Lacks;
        }
        if let Some(probation) = &mut job.probation {
            let why = || "the new engine could not be read any more".to_owned();
            probation.regression.get_or_insert_with(why);
        }
        // The number that the new engine gave last cannot be asked for.
        job.migrated.versions = false;
        // Its copier would have, had it come to its end.
        if let Err(error) = self.next_manifest.commit() {
            log::error!("the manifest still names the engine that goes: {error}");
        }
        Event::Succeeded
    }

    /// Carries out a rollback where the engine before is kept equal. False: it is not.
    pub(super) fn rolls_back(&mut self, asker: Asker) -> bool {
        match self.reload.phase() {
            Phase::Probation | Phase::Lacking if self.job.as_ref().is_some_and(|job| job.asker.is_none()) => {
                self.come_back(asker, "ENGINE ROLLBACK".to_owned());
                true
            }
            _ => false,
        }
    }

    /// Ends the probation: the new engine stays. False: there is none.
    pub(super) fn passes(&mut self, asker: Asker) -> bool {
        match (self.reload.phase(), &mut self.job) {
            (Phase::Part | Phase::Probation | Phase::Lacking, Some(job)) if job.asker.is_none() => {
                job.asker = asker;
                self.event(Event::Passed);
                true
            }
            _ => false,
        }
    }

    /// Makes the engine before the live one again.
    pub(super) fn publish_old(&mut self) {
        let Some(job) = &mut self.job else { return };
        let (Some(new), Some(old)) = (job.live.clone(), job.old.clone()) else { return };
        let generation = new.generation + 1;
        // SAFETY: every worker has passed the cutover, and the copier has come to its end: nobody uses it under the old number.
        let Some(back) = (unsafe { old.again(generation) }) else { return };
        let back = Arc::new(back);
        if job.migrated.versions {
            back.keep_versions_of(&new);
        }
        self.shared.published.replace(Arc::clone(&back));
        self.shared.server.engine_options.set(&back.options);
        self.history.set_state(old.generation, &format!("came back as generation {generation}"));
        self.history.published(&back, &new);
        if let Some(probation) = &mut job.probation {
            probation.came_back = true;
            self.history.came_back.clone_from(&probation.regression);
        }
        job.stopped = Duration::ZERO;
        (job.live, job.old) = (Some(back), Some(new));
    }
}

/// The engine before could not be kept equal to the new one.
pub(super) fn not_equal(error: &MigrateError) -> Event {
    match error {
        MigrateError::Cancelled => Event::Failed,
        MigrateError::Read(failed) if matches!(failed.status, Status::PANIC | Status::POISONED) => {
            log::error!("the engine on probation cannot be read any more: {error}");
            Event::Unreadable
        }
        _ => {
            log::error!("the engine before cannot be kept equal; it does not come back: {error}");
            Event::Failed
        }
    }
}

/// That the engine before does not come back yet.
pub(super) fn not_back(job: &mut Job) -> Option<(Asker, Value)> {
    let why = "ERR the engine before does not come back yet: writes under way did not end in time";
    if let Some(probation) = &mut job.probation {
        probation.regression = None;
    }
    job.asker.take().map(|asker| (Some(asker), Value::error(why)))
}

/// Whether the data of an engine could be copied back from it.
pub(super) fn can_come_back(live: &Live) -> Result<(), String> {
    can_leave(live).map_err(|error| format!("it cannot be on probation: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_is_asked_not_to_be_much_slower() {
        let us = Duration::from_micros;
        let demands = Demands { errors_max: 2, latency_percent: 300, latency_floor: us(500) };
        assert_eq!(demands.too_slow(us(10), us(500)), None);
        assert_eq!(demands.too_slow(us(200), us(600)), None);
        assert!(demands.too_slow(us(10), us(501)).is_some_and(|why| why.contains("501 us")));
        assert!(demands.too_slow(us(200), us(601)).is_some());
        let any = Demands { latency_percent: 0, ..demands };
        assert_eq!(any.too_slow(us(1), us(1_000_000)), None);
    }
}
