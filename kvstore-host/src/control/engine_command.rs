//! ENGINE: its subcommands, and how their replies look.

use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::copier::Copier;
use super::job::{Job, Wishes};
use super::{Asker, Control, Source};
use crate::command::Error;
use crate::net::ConnectionId;
use crate::plugin::adopt::Handoff;
use crate::plugin::file::Digest;
use crate::plugin::live::Live;
use crate::plugin::shadow::{Compared, Times};
use crate::plugin::{ALL_READS, Keyspace};
use crate::protocol::Value;

/// Of a million reads of clients, so many are repeated on a shadow: one percent.
const SAMPLE_SHARE: u64 = ALL_READS / 100;

/// A day.
const PROBATION_MAX_MS: u64 = 24 * 3_600_000;

const HELP: &[&str] = &[
    "ENGINE <subcommand> [<arg> ...]. Only for clients of this machine. Subcommands are:",
    "RELOAD [<path>] [SHA256 <hex>] [MIGRATE] [PROBATION <time>] [OPTS <key>=<value> ...]",
    "    Replace the live engine by that in the file at <path> (default: the configured one), with its data.",
    "    It adopts them where they lie in memory, or opens the files again in which they lie, if both engines can; else it copies them",
    "    while clients go on.",
    "    SHA256: it is refused unless the file has this digest, of 64 hexadecimal digits. MIGRATE: it always copies them.",
    "    PROBATION: for so long (500ms, 30s, 5m) the engine before is kept equal to the new one. It comes back by itself, with all that was",
    "    written since, if requests fail in the new one or take much longer (CONFIG GET probation-*). It always copies them.",
    "    Without OPTS: the options last used with an engine of that name.",
    "SHADOW <path> [SHA256 <hex>] [SAMPLE <percent>] [OPTS <key>=<value> ...]",
    "    Keep the engine at <path> beside the live one, with the same data, and repeat a share of the reads on it (default: 1 percent).",
    "    INFO tells whether it answers the same, and how fast.",
    "PROMOTE",
    "    Make the shadow the live engine; or end the probation of the live one: it stays.",
    "DROP",
    "    Close the shadow.",
    "CANCEL",
    "    Call off the reload that is under way. The live engine stays, and nothing is left of the other one.",
    "ROLLBACK",
    "    Go back to the engine before this one, with the data as they are now.",
    "INFO",
    "    Tell about the live engine, and about a reload under way.",
    "HISTORY",
    "    List the generations of engines: since when, how the data came to them, for how long requests waited, and what became of them.",
    "HELP",
    "    Print this help.",
];

impl Control {
    /// Carries out an ENGINE command; `args` begin with the subcommand.
    pub(super) fn engine_command(&mut self, worker: usize, from: ConnectionId, args: &[Vec<u8>]) {
        let asker = Some((worker, from));
        let args: Vec<String> = args.iter().map(|arg| String::from_utf8_lossy(arg).into_owned()).collect();
        let (name, rest) = args.split_first().map_or(("", &[][..]), |(name, rest)| (name.as_str(), rest));
        let value = match (name.to_ascii_lowercase().as_str(), rest) {
            ("help", []) => Value::Array(HELP.iter().map(|line| Value::Simple((*line).into())).collect()),
            ("info", []) => self.info(),
            ("history", []) => self.history(),
            ("shadow", rest) => match parse_shadow(rest) {
                Ok(asked) => return self.reload(asker, asked),
                Err(error) => error.into(),
            },
            ("promote", []) => return self.promote(asker),
            ("drop", []) => return self.drop_shadow(asker),
            ("cancel", []) => return self.cancel(asker),
            ("rollback", []) => return self.rollback(asker),
            ("reload", rest) => match parse_reload(rest) {
                Ok(asked) => return self.reload(asker, asked),
                Err(error) => error.into(),
            },
            ("help" | "info" | "history" | "promote" | "drop" | "cancel" | "rollback", _) => {
                Error::arity(&format!("engine|{}", name.to_ascii_lowercase())).into()
            }
            _ => Error::text(format!("ERR unknown subcommand '{name}'. Try ENGINE HELP.")).into(),
        };
        self.reply(asker, value);
    }

    fn reload(&mut self, asker: Asker, asked: Reload) {
        let path = asked.path.map_or_else(|| self.configured.engine.clone(), PathBuf::from);
        self.request(asker, Source::File { path, digest: asked.digest }, asked.wishes);
    }

    fn rollback(&mut self, asker: Asker) {
        if self.rolls_back(asker) {
            return;
        }
        match self.history.previous.clone() {
            Some((file, options)) => {
                let wishes = Wishes { options: Some(options), ..Wishes::default() };
                self.request(asker, Source::Kept(file), wishes);
            }
            None => self.reply(asker, Value::error("ERR there is no engine before this one")),
        }
    }

    fn info(&self) -> Value {
        let live = self.shared.published.get();
        let identity = live.identity();
        let stats = &self.shared.server.stats;
        let count = |counter: &std::sync::atomic::AtomicU64| integer(counter.load(Ordering::Relaxed));
        let words = |words: Vec<&str>| Value::Array(words.into_iter().map(Value::text).collect());
        let shown = |(key, value): &(String, String)| match key.ends_with("_secret") {
            true => Value::text(format!("{key}=(hidden)")),
            false => Value::text(format!("{key}={value}")),
        };
        let options = live.options.iter().map(shown).collect();
        let mut pairs = vec![
            pair("generation", integer(live.generation)),
            pair("engine", Value::text(&identity.name)),
            pair("version", Value::text(&identity.version)),
            pair("path", Value::text(live.file.path().display().to_string())),
            pair("digest", Value::text(live.file.digest().to_string())),
            pair("options", Value::Array(options)),
            pair("capabilities", words(identity.capability_names())),
            pair("symbols", words(live.symbols())),
            pair("driven_by", Value::text(live.driver_name())),
            pair("check", Value::text(&live.check)),
            pair("batches", integer(stats.batches.get())),
            pair("operations", integer(stats.operations.get())),
            pair("reloads", count(&stats.reloads)),
            pair("reloads_refused", count(&stats.reloads_refused)),
            pair("panicked", integer(u64::from(live.has_panicked()))),
            pair("calls_stuck", Value::Array(self.watchdog.stuck().map(Value::text).collect())),
            pair("reload_phase", Value::text(self.reload.phase().name())),
        ];
        pairs.extend(self.kept().into_iter().map(|(name, text)| pair(name, Value::text(text))));
        if let Some(job) = &self.job {
            pairs.push(pair("reload_of", Value::text(job.source.to_string())));
            pairs.push(pair("reload_running_ms", integer(job.since.elapsed().as_millis() as u64)));
            if let Some(progress) = job.copier.as_ref().map(Copier::progress) {
                pairs.push(pair("migrate_entries", count(&progress.entries)));
                pairs.push(pair("migrate_entries_total", count(&progress.total)));
                pairs.push(pair("migrate_changes", count(&progress.changes)));
            }
            if let Some(probation) = &job.probation {
                let told = probation.told().into_iter().chain([("probation_lag_keys", job.lag_keys())]);
                pairs.extend(told.map(|(name, number)| pair(name, integer(number))));
            }
            if let Some(comparison) = &job.comparison {
                pairs.extend(compared(&comparison.look()));
            }
        }
        if let Some(what) = &self.history.probation {
            pairs.push(pair("last_probation", Value::text(what)));
        }
        let last = self.history.generations.back();
        if let Some(way) = last.and_then(|last| last.handoff) {
            pairs.push(pair("last_handoff", Value::text(way)));
        }
        if let Some(held) = last.and_then(|last| last.held) {
            pairs.push(pair("last_handoff_held_us", integer(held.as_micros() as u64)));
        }
        let before = self.history.generations.iter().rev().nth(1);
        if let Some(before) = before {
            pairs.push(pair("previous_generation", integer(before.number)));
            pairs.push(pair("previous_library", Value::text(&before.state)));
        }
        Value::Map(pairs)
    }

    fn history(&self) -> Value {
        let one = |generation: &super::history::Generation| {
            let mut pairs = vec![
                pair("generation", integer(generation.number)),
                pair("engine", Value::text(&generation.engine)),
                pair("version", Value::text(&generation.version)),
                pair("path", Value::text(&generation.path)),
                pair("digest", Value::text(&generation.digest)),
                pair("since_ms", Value::Integer(generation.since_ms)),
                pair("handoff", Value::text(generation.handoff.unwrap_or("start"))),
            ];
            pairs.extend(generation.held.map(|held| pair("held_us", integer(held.as_micros() as u64))));
            pairs.push(pair("state", Value::text(&generation.state)));
            Value::Map(pairs)
        };
        Value::Array(self.history.generations.iter().map(one).collect())
    }
}

fn pair(name: &str, value: Value) -> (Value, Value) {
    (Value::text(name), value)
}

fn integer(number: u64) -> Value {
    Value::Integer(i64::try_from(number).unwrap_or(i64::MAX))
}

/// The reply to a reload that has succeeded.
pub(super) fn accepted(job: &Job, live: &Live, old: &Live, old_verdict: &str) -> Value {
    let identity = live.identity();
    let mut pairs = vec![
        pair("generation", integer(live.generation)),
        pair("engine", Value::text(&identity.name)),
        pair("version", Value::text(&identity.version)),
        pair("check", Value::text(&live.check)),
    ];
    let versions = |kept| if kept { "kept" } else { "new: what is watched counts as changed" };
    pairs.extend(match job.adopted {
        Some(adopted) => {
            let checked = if adopted.suspect {
                "; the new engine has checked it, as the old one had panicked"
            } else {
                ""
            };
            let what = match adopted.handoff {
                Handoff::Adopt => "the state itself, where it lies in memory",
                Handoff::Reopen => "the same files, which the engine before has let go of",
            };
            let handoff = format!("{}: {what}; requests waited meanwhile{checked}", adopted.handoff.name());
            let mut all = vec![
                pair("handoff", Value::text(handoff)),
                pair("versions", Value::text(versions(adopted.versions))),
            ];
            if adopted.handoff == Handoff::Adopt {
                all.push(pair("regions", integer(adopted.regions as u64)));
                all.push(pair("bytes", integer(adopted.bytes)));
            }
            all.push(pair("workers_stopped_us", integer(job.stopped.as_micros() as u64)));
            all
        }
        None if job.has_come_back() => vec![
            pair("handoff", Value::text("return: it was kept equal; writes waited for the last of it")),
            pair("versions", Value::text(versions(job.migrated.versions))),
            pair("writes_held_us", integer(job.stopped.as_micros() as u64)),
        ],
        None => vec![
            pair("handoff", Value::text(migrated(job.not_adopted.as_deref()))),
            pair("versions", Value::text(versions(job.migrated.versions))),
            pair("entries", integer(job.migrated.entries)),
            pair("bytes", integer(job.migrated.bytes)),
            pair("changes", integer(job.migrated.changes)),
            pair("writes_held_us", integer(job.stopped.as_micros() as u64)),
        ],
    });
    pairs.extend([
        pair("took_ms", integer(job.since.elapsed().as_millis() as u64)),
        pair("previous_generation", integer(old.generation)),
        pair("previous_library", Value::text(old_verdict)),
    ]);
    Value::Map(pairs)
}

/// The reply to a shadow that is there.
pub(super) fn introduced(job: &Job, shadow: &Live) -> Value {
    let identity = shadow.identity();
    Value::Map(vec![
        pair("shadow", Value::text(&identity.name)),
        pair("version", Value::text(&identity.version)),
        pair("check", Value::text(&shadow.check)),
        pair("took_ms", integer(job.since.elapsed().as_millis() as u64)),
    ])
}

/// What a shadow has come to.
fn compared(compared: &Compared) -> Vec<(Value, Value)> {
    let examples = compared.examples.iter().map(Value::text).collect();
    let times = |Times { p50_us, p99_us, p999_us, max_us, .. }: &Times| {
        Value::text(format!("p50 {p50_us:.1}, p99 {p99_us:.1}, p99.9 {p999_us:.1}, longest {max_us:.1}"))
    };
    // As in the reply of LATENCY HISTOGRAM.
    let histogram = |Times { steps, .. }: &Times| {
        Value::Map(steps.iter().map(|(at_us, reads)| (integer(*at_us), integer(*reads))).collect())
    };
    let [live, shadow] = &compared.times;
    vec![
        pair("shadow_reads", integer(compared.reads)),
        pair("shadow_mismatches", integer(compared.mismatches)),
        pair("shadow_mismatches_last", Value::Array(examples)),
        pair("live_read_times_us", times(live)),
        pair("shadow_read_times_us", times(shadow)),
        pair("live_read_histogram_usec", histogram(live)),
        pair("shadow_read_histogram_usec", histogram(shadow)),
    ]
}

fn migrated(not_adopted: Option<&str>) -> String {
    let why = not_adopted.map_or_else(String::new, |why| format!("; not handed over: {why}"));
    format!("migrate: all entries, with their expiry, while clients went on{why}")
}

/// What a reload is asked to do.
#[derive(Debug, PartialEq, Eq)]
struct Reload {
    /// The engine's file; `None`: the configured one.
    path: Option<String>,
    /// The digest that it has to have.
    digest: Option<Digest>,
    wishes: Wishes,
}

/// `[path] [SHA256 hex] [MIGRATE] [OPTS key=value …]`
fn parse_reload(args: &[String]) -> Result<Reload, Error> {
    parse(args).and_then(|reload| match reload.wishes.shadow {
        None => Ok(reload),
        Some(_) => Err(Error::SYNTAX),
    })
}

/// The same, with what a shadow is asked for besides.
fn parse(args: &[String]) -> Result<Reload, Error> {
    let is = |word: &str, arg: &String| arg.eq_ignore_ascii_case(word);
    let (path, mut rest) = match args.split_first() {
        Some((first, rest))
            if !["sha256", "migrate", "probation", "opts"].iter().any(|word| is(word, first)) =>
        {
            (Some(first.clone()), rest)
        }
        _ => (None, args),
    };
    let mut reload = Reload { path, digest: None, wishes: Wishes::default() };
    while let Some((word, behind)) = rest.split_first() {
        rest = match behind.split_first() {
            Some((text, behind)) if is("sha256", word) && reload.digest.is_none() => {
                let wrong = || {
                    Error::new("ERR syntax error: SHA256 is followed by a digest of 64 hexadecimal digits")
                };
                reload.digest = Some(Digest::parse(text).ok_or_else(wrong)?);
                behind
            }
            Some((text, behind)) if is("sample", word) && reload.wishes.shadow.is_none() => {
                reload.wishes.shadow = Some(parse_share(text)?);
                behind
            }
            Some((text, behind)) if is("probation", word) && reload.wishes.probation.is_none() => {
                reload.wishes.probation = Some(parse_time(text)?);
                behind
            }
            _ if is("migrate", word) && !reload.wishes.migrates => {
                reload.wishes.migrates = true;
                behind
            }
            _ if is("opts", word) => {
                let pairs = behind.iter().map(|pair| parse_option(pair));
                reload.wishes.options = Some(pairs.collect::<Result<_, _>>()?);
                &[]
            }
            _ => return Err(Error::SYNTAX),
        };
    }
    Ok(reload)
}

/// `path [SHA256 hex] [SAMPLE percent] [OPTS key=value …]`
fn parse_shadow(args: &[String]) -> Result<Reload, Error> {
    let mut shadow = parse(args)?;
    let Wishes { migrates, probation, .. } = shadow.wishes;
    if shadow.path.is_none() || migrates || probation.is_some() {
        return Err(Error::SYNTAX);
    }
    shadow.wishes.shadow.get_or_insert(SAMPLE_SHARE);
    Ok(shadow)
}

/// Of a million reads, so many are a share in percent: at least one, where it is not 0.
fn parse_share(text: &str) -> Result<u64, Error> {
    let wrong = || Error::new("ERR syntax error: SAMPLE is followed by a number from 0 to 100");
    let percent: f64 =
        text.parse().ok().filter(|percent| (0.0..=100.0).contains(percent)).ok_or_else(wrong)?;
    let share = (percent / 100.0 * ALL_READS as f64).round() as u64;
    Ok(if percent > 0.0 { share.max(1) } else { 0 })
}

/// A whole number and its unit.
fn parse_time(text: &str) -> Result<Duration, Error> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let ms = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => 0,
    };
    let time = number.parse::<u64>().ok().and_then(|number| number.checked_mul(ms)).filter(|ms| *ms > 0);
    let wrong = "ERR syntax error: PROBATION is followed by a time such as 500ms, 30s or 5m, at most 24h";
    time.filter(|ms| *ms <= PROBATION_MAX_MS).map(Duration::from_millis).ok_or_else(|| Error::new(wrong))
}

/// `key=value`
fn parse_option(text: &str) -> Result<(String, String), Error> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(Error::text(format!("ERR option '{text}' is not of the form key=value"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reload_takes_a_path_and_a_digest_and_migrate_and_options_or_none_of_them() {
        let parse = |text: &str| {
            let args: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
            parse_reload(&args)
        };
        let option = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let reload = |path: &str, options, migrates| {
            let path = Some(path.to_owned()).filter(|path| !path.is_empty());
            Ok(Reload { path, digest: None, wishes: Wishes { options, migrates, ..Wishes::default() } })
        };
        assert_eq!(parse(""), reload("", None, false));
        assert_eq!(parse("/a.so"), reload("/a.so", None, false));
        assert_eq!(parse("opts"), reload("", Some(vec![]), false));
        assert_eq!(parse("migrate"), reload("", None, true));
        assert_eq!(parse("./migrate MIGRATE opts"), reload("./migrate", Some(vec![]), true));
        let options = Some(vec![option("x", "1"), option("y", "=")]);
        assert_eq!(parse("a OPTS x=1 y=="), reload("a", options, false));
        for wrong in ["a b", "a SAMPLE 1", "migrate a", "a migrate migrate", "a sha256", "sha256"] {
            assert_eq!(parse(wrong), Err(Error::SYNTAX), "{wrong}");
        }
        assert!(parse("OPTS =1").is_err() && parse("OPTS x").is_err());
        let digest = Digest::of(b"abc");
        for pinned in [format!("a SHA256 {digest} migrate"), format!("a migrate sha256 {digest}")] {
            let mut wanted = reload("a", None, true).unwrap();
            wanted.digest = Some(digest);
            assert_eq!(parse(&pinned), Ok(wanted), "{pinned}");
        }
        for wrong in ["x", "ba7816bf", &format!("{digest}0"), &format!("{digest}").replace('b', "g")] {
            let text = parse(&format!("a sha256 {wrong}")).unwrap_err().0;
            assert!(text.starts_with("ERR syntax error") && text.contains("64 hexadecimal digits"), "{text}");
        }
    }

    #[test]
    fn a_shadow_takes_a_path_and_a_share_of_reads() {
        let parse = |text: &str| {
            let args: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
            parse_shadow(&args).map(|asked| (asked.path, asked.wishes.shadow, asked.wishes.options))
        };
        let path = Some("/a.so".to_owned());
        assert_eq!(parse("/a.so"), Ok((path.clone(), Some(10_000), None)));
        assert_eq!(parse("/a.so SAMPLE 100"), Ok((path.clone(), Some(1_000_000), None)));
        assert_eq!(parse("/a.so sample 0 OPTS"), Ok((path.clone(), Some(0), Some(vec![]))));
        let options = Some(vec![("sample".to_owned(), "x".to_owned())]);
        assert_eq!(parse("/a.so SAMPLE 0.5 OPTS sample=x"), Ok((path.clone(), Some(5_000), options)));
        assert_eq!(parse("/a.so SAMPLE 75"), Ok((path.clone(), Some(750_000), None)));
        assert_eq!(parse("/a.so SAMPLE 0.0000001"), Ok((path, Some(1), None)));
        for wrong in [
            "",
            "a MIGRATE",
            "a b",
            "a SAMPLE",
            "a SAMPLE x",
            "a SAMPLE 101",
            "a SAMPLE NaN",
            "a SAMPLE OPTS",
            "a SAMPLE 1 SAMPLE 1",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
