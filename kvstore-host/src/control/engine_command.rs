//! ENGINE: its subcommands, and how their replies look.

use std::path::PathBuf;
use std::sync::atomic::Ordering;

use super::copier::Copier;
use super::job::{Job, Wishes};
use super::{Asker, Control, Source};
use crate::command::Error;
use crate::net::ConnectionId;
use crate::plugin::Keyspace;
use crate::plugin::live::Live;
use crate::protocol::Value;

const HELP: &[&str] = &[
    "ENGINE <subcommand> [<arg> ...]. Only for clients of this machine. Subcommands are:",
    "RELOAD [<path>] [MIGRATE] [OPTS <key>=<value> ...]",
    "    Replace the live engine by that in the file at <path> (default: the configured one), with its data.",
    "    It adopts them where they lie in memory, if both engines can, and else copies them while clients go on.",
    "    MIGRATE: it always copies them.",
    "    Without OPTS: the options last used with an engine of that name.",
    "CANCEL",
    "    Call off the reload that is under way. The live engine stays, and nothing is left of the other one.",
    "ROLLBACK",
    "    Go back to the engine before this one, with the data as they are now.",
    "INFO",
    "    Tell about the live engine, and about a reload under way.",
    "LIST",
    "    List the generations of engines, and what became of them.",
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
            ("list", []) => self.list(),
            ("cancel", []) => return self.cancel(asker),
            ("rollback", []) => return self.rollback(asker),
            ("reload", rest) => match parse_reload(rest) {
                Ok((path, wishes)) => return self.reload(asker, path, wishes),
                Err(error) => error.into(),
            },
            ("help" | "info" | "list" | "cancel" | "rollback", _) => {
                Error::arity(&format!("engine|{}", name.to_ascii_lowercase())).into()
            }
            _ => Error::text(format!("ERR unknown subcommand '{name}'. Try ENGINE HELP.")).into(),
        };
        self.reply(asker, value);
    }

    fn reload(&mut self, asker: Asker, path: Option<String>, wishes: Wishes) {
        let path = path.map_or_else(|| self.configured.engine.clone(), PathBuf::from);
        self.request(asker, Source::Path(path), wishes);
    }

    fn rollback(&mut self, asker: Asker) {
        match self.history.previous.clone() {
            Some((file, options)) => {
                let wishes = Wishes { options: Some(options), migrates: false };
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
        }
        if let Some((way, held)) = self.history.handoff {
            pairs.push(pair("last_handoff", Value::text(way)));
            pairs.push(pair("last_handoff_held_us", integer(held.as_micros() as u64)));
        }
        let before = self.history.generations.iter().rev().nth(1);
        if let Some(before) = before {
            pairs.push(pair("previous_generation", integer(before.number)));
            pairs.push(pair("previous_library", Value::text(&before.state)));
        }
        Value::Map(pairs)
    }

    fn list(&self) -> Value {
        let one = |generation: &super::history::Generation| {
            Value::Map(vec![
                pair("generation", integer(generation.number)),
                pair("engine", Value::text(&generation.engine)),
                pair("version", Value::text(&generation.version)),
                pair("path", Value::text(&generation.path)),
                pair("digest", Value::text(&generation.digest)),
                pair("state", Value::text(&generation.state)),
            ])
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
            let handoff = format!(
                "adopt: the state itself, where it lies in memory; requests waited meanwhile{checked}"
            );
            vec![
                pair("handoff", Value::text(handoff)),
                pair("versions", Value::text(versions(adopted.versions))),
                pair("regions", integer(adopted.regions as u64)),
                pair("bytes", integer(adopted.bytes)),
                pair("workers_stopped_us", integer(job.stopped.as_micros() as u64)),
            ]
        }
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

fn migrated(not_adopted: Option<&str>) -> String {
    let why = not_adopted.map_or_else(String::new, |why| format!("; not adopted: {why}"));
    format!("migrate: all entries, with their expiry, while clients went on{why}")
}

/// `[path] [MIGRATE] [OPTS key=value …]`
fn parse_reload(args: &[String]) -> Result<(Option<String>, Wishes), Error> {
    let is = |word: &str, arg: &String| arg.eq_ignore_ascii_case(word);
    let (path, rest) = match args.split_first() {
        Some((first, rest)) if !is("migrate", first) && !is("opts", first) => (Some(first.clone()), rest),
        _ => (None, args),
    };
    let (migrates, rest) = match rest.split_first() {
        Some((word, rest)) if is("migrate", word) => (true, rest),
        _ => (false, rest),
    };
    let options = match rest.split_first() {
        None => None,
        Some((word, pairs)) if is("opts", word) => {
            Some(pairs.iter().map(|pair| parse_option(pair)).collect::<Result<_, _>>()?)
        }
        Some(_) => return Err(Error::SYNTAX),
    };
    Ok((path, Wishes { options, migrates }))
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
    fn reload_takes_a_path_and_migrate_and_options_or_none_of_them() {
        let parse = |text: &str| {
            let args: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
            parse_reload(&args)
        };
        let option = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let wishes = |options, migrates| Wishes { options, migrates };
        assert_eq!(parse(""), Ok((None, wishes(None, false))));
        assert_eq!(parse("/a.so"), Ok((Some("/a.so".to_owned()), wishes(None, false))));
        assert_eq!(parse("opts"), Ok((None, wishes(Some(vec![]), false))));
        assert_eq!(parse("migrate"), Ok((None, wishes(None, true))));
        assert_eq!(
            parse("./migrate MIGRATE opts"),
            Ok((Some("./migrate".to_owned()), wishes(Some(vec![]), true)))
        );
        let options = Some(vec![option("x", "1"), option("y", "=")]);
        assert_eq!(parse("a OPTS x=1 y=="), Ok((Some("a".to_owned()), wishes(options, false))));
        assert_eq!(parse("a b"), Err(Error::SYNTAX));
        assert_eq!(parse("migrate a"), Err(Error::SYNTAX));
        assert!(parse("OPTS =1").is_err() && parse("OPTS x").is_err());
    }
}
