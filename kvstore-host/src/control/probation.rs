//! Probation: the engine that went live is watched for a time, while the one before is kept equal to it; that one comes back, with all that was written
//! since, when the new one fails or is slower than it was.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam::channel::bounded;
use hdrhistogram::Histogram;

use super::copier::Copier;
use super::job::{Done, Job};
use super::manifest::committed;
use super::{Asker, Control, engine_command};
use crate::plugin::live::Live;
use crate::plugin::migrate::{MigrateError, Progress, can_leave, feed};
use crate::plugin::panicked;
use crate::plugin::reload::{Event, Phase};
use crate::protocol::Value;
use crate::server::Server;

/// How often it is looked how the engine does.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);
/// Calls that a percentile is worth being compared for: so many are waited for.
const CALLS_MIN: u64 = 200;
/// How often it is looked whether its copier is near, when the engine before is to come back.
const NEAR_INTERVAL: Duration = Duration::from_millis(5);
/// How long it is left alone when it could not come back.
const NOT_BACK_INTERVAL: Duration = Duration::from_secs(60);
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

    fn calls(&self) -> u64 {
        self.times_ns.as_ref().map_or(0, Histogram::len)
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
    /// What was counted when the reload was asked for, and just before the cutover.
    asked: Counts,
    before: Option<Counts>,
    /// What was counted when the new engine had taken over, and when times were last compared; and how many times in a row they were too long.
    since: Option<Counts>,
    compared: Option<Counts>,
    slow: u32,
    ends: Option<Instant>,
    next_look: Option<Instant>,
    /// What the last look found: errors of the engine, and the 99th percentile before and since.
    seen: (u64, Option<Duration>, Option<Duration>),
    /// Why the engine before is to come back, or has; and until when that waits for its copier.
    regression: Option<String>,
    until: Option<Instant>,
    /// It has.
    pub(super) came_back: bool,
}

impl Probation {
    pub(super) fn new(length: Duration, server: &Server) -> Self {
        Self {
            length,
            asked: Counts::now(server),
            before: None,
            since: None,
            compared: None,
            slow: 0,
            ends: None,
            next_look: None,
            seen: (0, None, None),
            regression: None,
            until: None,
            came_back: false,
        }
    }

    /// The cutover is near.
    pub(super) fn note_before(&mut self, server: &Server) {
        self.before = Some(Counts::now(server));
    }

    fn begin(&mut self, server: &Server) {
        let now = Instant::now();
        self.since = Some(Counts::now(server));
        self.compared.clone_from(&self.since);
        (self.ends, self.next_look) = (Some(now + self.length), Some(now + LOOK_INTERVAL));
    }

    /// When there is something to do.
    fn due(&self) -> Option<Instant> {
        match self.until {
            Some(_) => Some(Instant::now() + NEAR_INTERVAL),
            // When its time is over and it cannot pass, it is looked at as before.
            None => {
                let ends = self.ends.filter(|at| *at > Instant::now());
                [ends, self.next_look].into_iter().flatten().min()
            }
        }
    }

    /// Whether it has begun.
    pub(super) fn has_begun(&self) -> bool {
        self.since.is_some()
    }

    /// What came of it, where it has ended with this problem, if with any. An error: the engine before was to come back, and has not.
    pub(super) fn verdict(&self, problem: &str) -> Result<String, String> {
        match &self.regression {
            Some(why) if self.came_back => Ok(format!("the engine before came back: {why}")),
            Some(why) => Err(format!("the engine before does not come back ({why}): {problem}")),
            None if !problem.is_empty() => Ok(format!("the engine before was not kept equal: {problem}")),
            None => Ok("the new engine stayed".to_owned()),
        }
    }

    /// Looks how the engine does. What is wrong, if anything is.
    fn look(&mut self, server: &Server) -> Option<String> {
        let now = Instant::now();
        if self.next_look.is_none_or(|at| at > now) {
            return None;
        }
        self.next_look = Some(now + LOOK_INTERVAL);
        let (before, since, compared) =
            (self.before.as_ref()?, self.since.as_mut()?, self.compared.as_mut()?);
        let counts = Counts::now(server);
        // Less than before: somebody has reset them.
        if counts.engine_errors < since.engine_errors {
            since.engine_errors = 0;
        }
        if counts.calls() < compared.calls() {
            compared.times_ns = None;
        }
        let errors = counts.engine_errors - since.engine_errors;
        // Where little was asked for since: what it was before, too.
        let was = before.p99_since(&self.asked).or_else(|| before.p99());
        let is = counts.p99_since(compared);
        self.seen = (errors, was, is.or(self.seen.2));
        let demands = Demands::of(server);
        if errors > demands.errors_max {
            return Some(format!("{errors} requests failed in the engine, {} may", demands.errors_max));
        }
        let too_slow = demands.too_slow(was?, is?);
        *compared = counts;
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
        let its_progress = Arc::clone(&progress);
        let before = self.job.as_mut().and_then(|job| job.copier.take()).and_then(Copier::into_thread);
        let thread = self.on_thread("copy back to", move || {
            // How it ended is known.
            let _ = before.map(JoinHandle::join);
            done.settle();
            if let Err(error) = next.prepare() {
                return Done::Broken(error);
            }
            let fed = feed(&from, &to, &its_progress, &wait);
            committed(&next, &to, Done::Migrated(fed))
        });
        if let Some(job) = &mut self.job {
            job.copier = Some(Copier::new(word, thread, progress));
        }
    }

    /// The new engine serves alone: tells whoever asked.
    pub(super) fn admit(&mut self) {
        self.note_stopped();
        let Some(job) = &mut self.job else { return };
        let Some(probation) = &mut job.probation else { return };
        probation.begin(&self.shared.server);
        let verdict =
            format!("kept equal for {} ms, on probation of the new one", probation.length.as_millis());
        let asker = job.asker.take();
        let (Some(live), Some(old)) = (&job.live, &job.old) else { return };
        self.history.set_state(old.generation, &verdict);
        self.history.set_held(job.stopped);
        log::info!("{live:?} is live, and on probation; {old:?} is {verdict}");
        let reply = engine_command::accepted(job, live, old, &verdict);
        self.reply(asker, reply);
    }

    /// When there is something to look at.
    pub(super) fn probation_due(&self) -> Option<Instant> {
        let probation = self.job.as_ref().and_then(|job| job.probation.as_ref());
        match self.reload.phase() {
            Phase::Probation => probation?.due(),
            _ => None,
        }
    }

    /// Looks how the engine on probation does, whether that is over, and whether the engine before can come back.
    pub(super) fn look_at_probation(&mut self) {
        let phase = self.reload.phase();
        if !matches!(phase, Phase::Probation | Phase::Lacking) {
            return;
        }
        let (timeout, stopping) = (self.drain_timeout(), self.stopping.is_some());
        let Some(job) = &mut self.job else { return };
        let Some(probation) = &mut job.probation else { return };
        let now = Instant::now();
        let over = phase == Phase::Probation && probation.ends.is_some_and(|at| at <= now);
        if job.recorder.is_some() {
            return;
        }
        // Who is in a call that does not return has not done well, nor who has panicked: of that its copier tells.
        let fails = |live: &Arc<Live>| self.watchdog.is_stuck_in(live.generation) || live.has_panicked();
        let passes = || !job.live.as_ref().is_some_and(fails);
        if stopping || over && probation.regression.is_none() && passes() {
            return self.event(Event::Passed);
        }
        if phase == Phase::Probation
            && probation.regression.is_none()
            && let Some(why) = probation.look(&self.shared.server)
        {
            log::warn!("the engine before comes back: {why}");
            probation.come_back(why, timeout);
        }
        let Some(until) = probation.until else { return };
        let near =
            || job.copier.as_ref().is_some_and(|copier| copier.progress().near.load(Ordering::Relaxed));
        // What is left to be copied is copied while everybody waits.
        if (phase == Phase::Lacking || near() || until <= now) && !self.exclusives.under_way() {
            probation.until = None;
            self.event(Event::Regressed);
        }
    }

    /// What a phase waits for has come. If the engine on probation cannot be read any more: whether the one before has all that was written to it.
    pub(super) fn reached(&mut self) -> Event {
        let phase = self.reload.phase();
        let Some(job) = self.job.as_mut().filter(|_| phase == Phase::Doubt) else { return Event::Succeeded };
        let lag = job.lag_keys();
        if lag > 0 {
            job.problem = format!("it lacks {lag} keys that were written since");
            return Event::Lacks;
        }
        if let Some(probation) = &mut job.probation {
            probation.regression.get_or_insert_with(|| job.problem.clone());
        }
        Event::Succeeded
    }

    /// The engine before does not come back, or not yet.
    pub(super) fn not_back(&mut self) {
        let lacking = self.reload.phase() == Phase::Lacking;
        let Some(job) = &mut self.job else { return };
        let Some(probation) = &mut job.probation else { return };
        // Each try holds writes back: not again for a while.
        (probation.regression, probation.until) = (None, None);
        probation.next_look = Some(Instant::now() + NOT_BACK_INTERVAL);
        let why = std::mem::take(&mut job.problem);
        let asker = job.asker.take();
        log::error!("the engine before does not come back: {why}");
        if lacking {
            log::error!(
                "the new engine cannot be read and goes on as it is, until somebody decides. ENGINE ROLLBACK goes back without what the engine before \
                 lacks; ENGINE PROMOTE drops the engine before, and ENGINE RELOAD may then adopt what the new one holds"
            );
        }
        self.reply(asker, Value::error(format!("ERR the engine before does not come back: {why}")));
    }

    /// Has the manifest name the engine before, though it may lack something.
    pub(super) fn record(&mut self) {
        let Some(job) = &mut self.job else { return };
        let (Some(from), Some(to)) = (job.live.clone(), job.old.clone()) else { return };
        // The number that the new engine gave last cannot be asked for.
        job.migrated.versions = false;
        // What its copier has prepared, unless that was called off.
        let is_written = self.next_manifest.is_written();
        if !is_written {
            self.next_manifest = self.manifest_of(&to.file, &to.options, from.generation + 1);
        }
        let next = self.next_manifest.clone();
        let recorder = self.on_thread("record", move || {
            let written = if is_written { Ok(()) } else { next.prepare() };
            match written.and_then(|()| next.commit_copied(&to)) {
                Ok(()) => Done::Recorded,
                Err(error) => Done::Broken(error),
            }
        });
        if let Some(job) = &mut self.job {
            job.recorder = recorder;
        }
    }

    /// The job, if it can be decided now whether the engine before comes back.
    fn decided(&mut self) -> Option<&mut Job> {
        let may = matches!(self.reload.phase(), Phase::Probation | Phase::Lacking);
        let free = |job: &&mut Job| may && job.asker.is_none() && job.recorder.is_none();
        self.job.as_mut().filter(free)
    }

    /// Carries out a rollback where the engine before is kept equal. False: it is not.
    pub(super) fn rolls_back(&mut self, asker: Asker) -> bool {
        let timeout = self.drain_timeout();
        let Some(job) = self.decided() else { return false };
        let Some(probation) = &mut job.probation else { return false };
        job.asker = asker;
        if probation.regression.is_none() {
            probation.come_back("ENGINE ROLLBACK".to_owned(), timeout);
        }
        true
    }

    /// Ends the probation: the new engine stays. False: there is none.
    pub(super) fn passes(&mut self, asker: Asker) -> bool {
        let Some(job) = self.decided() else { return false };
        job.asker = asker;
        job.probation.iter_mut().for_each(|probation| (probation.regression, probation.until) = (None, None));
        self.event(Event::Passed);
        true
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
        if let Some(probation) = &mut job.probation {
            probation.came_back = true;
        }
        self.history.published(&back, &new, job.way(), self.shared.server.clock.now_ms());
        job.stopped = Duration::ZERO;
        (job.live, job.old) = (Some(back), Some(new));
    }
}

impl Job {
    /// How many keys were written to the new engine that the one before does not have yet, or at least whether there are any.
    pub(super) fn lag_keys(&self) -> u64 {
        let left = self.copier.as_ref().map_or(0, |copier| copier.progress().left.load(Ordering::Relaxed));
        left + self.live.as_ref().map_or(0, |live| live.changes_noted())
    }
}

impl Probation {
    /// The engine before is to come back, as soon as its copier is near, or when that takes too long.
    fn come_back(&mut self, why: String, timeout: Duration) {
        (self.regression, self.until) = (Some(why), Some(Instant::now() + timeout));
    }
}

/// The engine before is not kept equal to the new one any more.
pub(super) fn not_equal(job: &mut Job, error: &MigrateError) -> Event {
    match error {
        MigrateError::Cancelled => {}
        MigrateError::Read(error) => {
            let why = if panicked(error.status) { "has panicked" } else { "cannot be read" };
            job.problem = format!("the new engine {why}: {error}");
            log::error!("{}", job.problem);
            return Event::Unreadable;
        }
        MigrateError::Write(error) => job.problem = format!("writing to it failed: {error}"),
        MigrateError::TooFast => job.problem = "clients write faster than it takes it".to_owned(),
        _ => job.problem = error.to_string(),
    }
    Event::Failed
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
