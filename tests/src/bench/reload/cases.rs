//! Cases: reloads beside an open loop, and what it felt near cutovers and at other times of the same run.

use std::path::Path;
use std::time::{Duration, Instant};

use super::Settings;
use super::rig::{Builds, Reloaded, Rig, during, pause};
use crate::bench::figures::{Figure, figure};
use crate::bench::open_loop::OpenLoop;
use crate::bench::process::{Processors, resident_bytes};
use crate::bench::record::{Record, Span};
use crate::bench::spread::Spread;
use crate::binaries;

/// What stands in place of a figure of migrations none of which was seen under way.
const TOO_SHORT: &str = "too short to be seen";

/// For how long a worker may be stopped by an adopt, in microseconds.
const STOP_US_MAX: f64 = 1_000.0;

/// What a quantile may be, in milliseconds, by the highest one of the control windows.
#[derive(Clone, Copy)]
struct Reach {
    text: &'static str,
    most: fn(f64) -> f64,
}

const NEAR: Reach = Reach { text: "within 1 ms of control", most: |control| control + 1.0 };
const TWICE: Reach = Reach { text: "at most twice the control's", most: |control| control * 2.0 };

impl Reach {
    /// What lies between the two controls is noise, so the higher one counts.
    fn judged(self, ms: f64, control: [f64; 2]) -> &'static str {
        outcome(ms <= (self.most)(control[0].max(control[1])))
    }
}

fn outcome(is_reached: bool) -> &'static str {
    if is_reached { "; reached" } else { "; missed" }
}

/// What a case has seen.
struct Run {
    name: String,
    reloads: Vec<Reloaded>,
    record: Record,
    /// Times near cutovers, and two sets of as many others.
    windows: Vec<Span>,
    control: [Vec<Span>; 2],
    /// What a hypervisor took away of all processors' time meanwhile.
    stolen_percent: f64,
}

/// Adopts under load.
pub(super) fn adopt(settings: &Settings) -> Result<Vec<Figure>, String> {
    let rig = Rig::start(settings, settings.keys)?;
    let targets = [&*rig.builds.other, &*rig.builds.memory];
    let run = run(&rig, settings, "adopt", &targets)?;
    if let Some(other) = run.reloads.iter().find(|reload| !reload.adopted) {
        return Err(format!("not adopted: {other:?}"));
    }
    let mut figures = run.windows("p99.9", NEAR);
    figures.push(run.stops());
    figures.extend(run.others());
    Ok(figures)
}

/// Migrations, first without and then under load.
pub(super) fn migrate(settings: &Settings) -> Result<Vec<Figure>, String> {
    let rig = Rig::start(settings, settings.keys)?;
    let targets = [&*rig.builds.format, &*rig.builds.memory];
    let mut client = rig.client()?;
    let idle = rig.watched(|watch| {
        targets.iter().map(|path| rig.reload(&mut client, watch, path)).collect::<Result<Vec<_>, _>>()
    })?;
    let run = run(&rig, settings, "migrate", &targets)?;
    if let Some(other) = run.reloads.iter().chain(&idle).find(|reload| reload.adopted) {
        return Err(format!("not migrated: {other:?}"));
    }
    let mut figures = run.windows("p99", TWICE);
    let spans: Vec<Span> =
        run.reloads.iter().filter_map(|reload| Some(reload.migrating?..reload.cutover)).collect();
    figures.push(run.compared("p99 of requests due during whole migrations", 99.0, &spans, Some(TWICE)));
    let share = Spread::of(spans.iter().map(|span| run.record.share_answered(span)));
    let share = share.map_or_else(|| TOO_SHORT.to_owned(), |spread| format!("{spread:.3}"));
    figures.push(run.figure("answered during a migration, as a share of what was due", share, "1"));
    figures.push(run.figure("writes held back, µs", run.held(), ""));
    for (who, reloads, reach) in
        [("nobody asks for anything", &idle, "at least 1,000"), ("under load", &run.reloads, "")]
    {
        let what = format!("thousand entries copied per second, {who}");
        figures.push(run.figure(&what, copied(reloads), reach));
    }
    figures.extend(run.others());
    Ok(figures)
}

/// Very many reloads of both kinds, one after the other.
pub(super) fn mixed(settings: &Settings) -> Result<Vec<Figure>, String> {
    let rig = Rig::start(settings, settings.few_keys)?;
    let Builds { memory, other, format, format_other } = &rig.builds;
    let mut client = rig.client()?;
    let mut load = rig.open(settings)?;
    let (plan, offered) = rig.offered(&mut load, settings, true)?;
    let early = (settings.mixed_reloads / 10).clamp(1, 100);
    let mut sizes = Vec::new();
    let (reloads, record) = rig.watched(|watch| {
        during(&mut load, &plan, || {
            let targets = [other, format, format_other, memory].into_iter().cycle();
            let mut reloads = Vec::new();
            for (number, path) in (1..=settings.mixed_reloads).zip(targets) {
                reloads.push(rig.reload(&mut client, watch, path)?);
                if [early, settings.mixed_reloads].contains(&number) {
                    sizes.push(size(&rig, number)?);
                }
            }
            Ok(reloads)
        })
    })?;
    let adopted = reloads.iter().filter(|reload| reload.adopted).count();
    let name = format!("{} reloads in turns, {} keys, {offered}", reloads.len(), settings.few_keys);
    let mut figures = checked(&rig, &name, &load, &record)?;
    let unmapped = reloads.iter().filter(|reload| reload.unmapped).count();
    let row = |what: &str, measured: String, reach| figure(format!("{name}: {what}"), measured, reach);
    figures.push(row("adopted, migrated", format!("{adopted}, {}", reloads.len() - adopted), ""));
    figures.push(row("old libraries not unmapped", (reloads.len() - unmapped).to_string(), "0"));
    figures.push(row("resident memory, and mappings", sizes.join("; "), "no growth"));
    figures.push(row("p99.9 and longest of all requests, ms", quantiles(&record), ""));
    Ok(figures)
}

/// The library is overwritten where it lies, and reloaded.
pub(super) fn overwrite_in_place(settings: &Settings) -> Result<Vec<Figure>, String> {
    let rig = Rig::start(settings, settings.few_keys)?;
    let (path, mut client) = (rig.in_place(), rig.client()?);
    let mut load = rig.open(settings)?;
    let (plan, offered) = rig.offered(&mut load, settings, true)?;
    let (reloads, record) = rig.watched(|watch| {
        during(&mut load, &plan, || {
            let sources = [&rig.builds.other, &rig.builds.memory].into_iter().cycle().take(settings.reloads);
            let each = sources.map(|source| {
                binaries::overwrite(source, &path)?;
                rig.reload(&mut client, watch, &path)
            });
            each.collect::<Result<Vec<_>, String>>()
        })
    })?;
    let name = format!("library overwritten by cp while mapped, {} keys, {offered}", settings.few_keys);
    let mut figures = vec![figure(
        format!("{name}: reloads, all done by the same process"),
        reloads.len().to_string(),
        "no crash",
    )];
    figures.extend(checked(&rig, &name, &load, &record)?);
    Ok(figures)
}

/// Reloads these in turns, with time for control windows between.
fn run(rig: &Rig, settings: &Settings, way: &str, targets: &[&Path]) -> Result<Run, String> {
    let (mut load, mut client, window) = (rig.open(settings)?, rig.client()?, settings.window);
    let (plan, offered) = rig.offered(&mut load, settings, false)?;
    let mut control = [Vec::new(), Vec::new()];
    let before = Processors::now();
    let (reloads, record) = rig.watched(|watch| {
        during(&mut load, &plan, || {
            pause(window * 2);
            let mut reloads = Vec::new();
            for (number, path) in (0..settings.reloads).zip(targets.iter().cycle()) {
                // Neither set is always the one right before a reload.
                for set in [number % 2, 1 - number % 2] {
                    let from = Instant::now();
                    pause(window * 2);
                    control[set].push(from..from + window * 2);
                }
                reloads.push(rig.reload(&mut client, watch, path)?);
                pause(window * 2);
            }
            Ok(reloads)
        })
    })?;
    let stolen_percent = Processors::now().stolen_percent_since(before);
    let windows = reloads.iter().map(|reload| reload.cutover - window..reload.cutover + window).collect();
    let name = format!(
        "{way}, {} keys, {} reloads, {} connections, {offered}",
        settings.keys, settings.reloads, settings.connections
    );
    Ok(Run { name, reloads, record, windows, control, stolen_percent })
}

impl Run {
    fn figure(&self, what: &str, measured: impl Into<String>, reach: &'static str) -> Figure {
        figure(format!("{}: {what}", self.name), measured, reach)
    }

    /// A quantile of the requests due in these times, and of those due in the control windows.
    fn compared(&self, what: &str, percent: f64, spans: &[Span], reach: Option<Reach>) -> Figure {
        let text = reach.map_or("", |reach| reach.text);
        if spans.is_empty() {
            return self.figure(&format!("{what}, ms"), TOO_SHORT, text);
        }
        let ms = |spans: &[Span]| self.record.due_in(spans).value_at_percentile(percent) as f64 / 1e3;
        let [one, other] = [ms(&self.control[0]), ms(&self.control[1])];
        let judged = reach.map_or("", |reach| reach.judged(ms(spans), [one, other]));
        let noise = (one - other).abs();
        let measured = format!("{:.2}; control {one:.2} and {other:.2}, noise {noise:.2}{judged}", ms(spans));
        self.figure(&format!("{what}, ms"), measured, text)
    }

    /// Quantiles near cutovers, of which the one of this name is to reach something.
    fn windows(&self, judged: &str, reach: Reach) -> Vec<Figure> {
        let rows = [("median", 50.0), ("p99", 99.0), ("p99.9", 99.9), ("longest", 100.0)];
        let row = |(name, percent)| {
            let reach = (name == judged).then_some(reach);
            self.compared(&format!("{name} of requests due near a cutover"), percent, &self.windows, reach)
        };
        rows.map(row).into()
    }

    /// For how long workers, or writes, waited.
    fn held(&self) -> String {
        let spread = Spread::of(self.reloads.iter().map(|reload| reload.held_us));
        spread.map_or_else(String::new, |spread| format!("{spread:.0}"))
    }

    /// For how long adopts stopped workers, and how many did so for too long.
    fn stops(&self) -> Figure {
        let longer = self.reloads.iter().filter(|reload| reload.held_us >= STOP_US_MAX).count();
        let measured = format!("{}; {longer} longer{}", self.held(), outcome(longer == 0));
        self.figure("workers stopped, µs", measured, "all under 1,000")
    }

    /// What else is worth to be known of a run.
    fn others(&self) -> Vec<Figure> {
        let unmapped = self.reloads.iter().filter(|reload| reload.unmapped).count();
        vec![
            self.figure("replies that were errors, or wrong", errors(&self.record), "0"),
            self.figure("old libraries not unmapped", (self.reloads.len() - unmapped).to_string(), "0"),
            self.figure("the load's own lateness, p99.9 and longest, ms", lateness(&self.record), ""),
            self.figure(
                "taken by the hypervisor, % of all processors",
                format!("{:.1}", self.stolen_percent),
                "",
            ),
        ]
    }
}

/// Entries per second of migrations, in thousands.
fn copied(reloads: &[Reloaded]) -> String {
    let rate = |reload: &Reloaded| {
        let took: Duration = reload.cutover - reload.migrating?;
        Some(reload.entries as f64 / took.as_secs_f64() / 1e3)
    };
    let spread = Spread::of(reloads.iter().filter_map(rate));
    spread.map_or_else(|| TOO_SHORT.to_owned(), |spread| format!("{spread:.0}"))
}

/// Errors, and writes that are not there or there twice.
fn checked(rig: &Rig, name: &str, load: &OpenLoop, record: &Record) -> Result<Vec<Figure>, String> {
    let mut client = rig.client()?;
    let (mut written, mut lost, mut extra) = (0, 0, 0);
    for (key, grown) in load.counters() {
        let found = client.get(&key).map_err(|error| error.to_string())?;
        let found =
            found.and_then(|text| String::from_utf8(text).ok()?.parse::<u64>().ok()).unwrap_or_default();
        written += grown;
        lost += grown.saturating_sub(found);
        extra += found.saturating_sub(grown);
    }
    let lost = format!("{lost}, {extra} of {written}");
    Ok(vec![
        figure(format!("{name}: replies that were errors, or wrong"), errors(record), "0"),
        figure(format!("{name}: writes lost, and done twice"), lost, "0, 0"),
    ])
}

fn errors(record: &Record) -> String {
    let first = record.first_error.as_ref().map_or_else(String::new, |first| format!(", the first: {first}"));
    format!("{} of {}{first}", record.errors, record.operations)
}

fn lateness(record: &Record) -> String {
    let late = &record.late;
    format!("{:.2}, {:.2}", late.value_at_percentile(99.9) as f64 / 1e3, late.max() as f64 / 1e3)
}

fn quantiles(record: &Record) -> String {
    let all = &record.all;
    format!("{:.2}, {:.2}", all.value_at_percentile(99.9) as f64 / 1e3, all.max() as f64 / 1e3)
}

/// What the host takes after so many reloads.
fn size(rig: &Rig, number: usize) -> Result<String, String> {
    let path = format!("/proc/{}/maps", rig.host.pid());
    let maps = std::fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    let mib = resident_bytes(rig.host.pid()) as f64 / f64::from(1 << 20);
    Ok(format!("after {number}: {mib:.1} MiB, {}", maps.lines().count()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_judged_by_the_higher_control() {
        for (reach, ms, judged) in [
            (NEAR, 5.0, "; reached"),
            (NEAR, 5.1, "; missed"),
            (TWICE, 8.0, "; reached"),
            (TWICE, 8.1, "; missed"),
        ] {
            assert_eq!(reach.judged(ms, [4.0, 2.0]), judged, "{}: {ms}", reach.text);
            assert_eq!(reach.judged(ms, [2.0, 4.0]), judged, "{}: {ms}", reach.text);
        }
    }
}
