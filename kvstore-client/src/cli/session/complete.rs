//! Complete: the words that can stand where the cursor is: commands, subcommands, options, and libraries for ENGINE RELOAD.

use super::super::format::quoted;
use super::super::line::{before_last, split};
use super::super::syntax::{Catalogue, rest, tokens};
use rustyline::completion::Pair;
use std::path::Path;

/// What the session itself knows.
const OWN: [&str; 4] = ["clear", "exit", "help", "quit"];

/// Where the word under the cursor begins, and what it can become. `line` ends at the cursor.
pub(super) fn complete(catalogue: &Catalogue, line: &str) -> (usize, Vec<Pair>) {
    let Some((words, start)) = before_last(line) else { return (0, Vec::new()) };
    let partial = line.get(start..).unwrap_or_default();
    let pairs = match words.first() {
        Some(first) if takes_library(&words) => libraries(partial, first),
        Some(first) if first.eq_ignore_ascii_case("help") || first == "?" => {
            candidates(names(catalogue, words.get(1..).unwrap_or_default()), partial, first)
        }
        Some(first) => candidates(after(catalogue, &words), partial, first),
        None => {
            let own = OWN.into_iter().map(str::to_owned);
            candidates(names(catalogue, &[]).into_iter().chain(own).collect(), partial, partial)
        }
    };
    (start, pairs)
}

/// Writes `word` in the case that the user writes in.
pub(super) fn as_typed(word: &str, sample: &str) -> String {
    if sample.contains(|char: char| char.is_ascii_lowercase()) {
        word.to_lowercase()
    } else {
        word.to_uppercase()
    }
}

/// Commands, or the subcommands of one.
fn names(catalogue: &Catalogue, words: &[String]) -> Vec<String> {
    match (words, catalogue.find(words)) {
        ([], _) => catalogue.names().map(str::to_owned).collect(),
        ([_], Some((entry, _))) => entry.subcommands.keys().cloned().collect(),
        _ => Vec::new(),
    }
}

/// What can follow a command and some of its words.
fn after(catalogue: &Catalogue, words: &[String]) -> Vec<String> {
    let Some((entry, named)) = catalogue.find(words) else { return Vec::new() };
    if !entry.subcommands.is_empty() {
        return if words.len() == 1 { entry.subcommands.keys().cloned().collect() } else { Vec::new() };
    }
    let rest = rest(&entry.arguments, words.get(named..).unwrap_or_default());
    rest.map(|rest| tokens(&rest)).unwrap_or_default()
}

fn candidates(words: Vec<String>, partial: &str, sample: &str) -> Vec<Pair> {
    let sample = if partial.is_empty() { sample } else { partial };
    let lower = partial.to_lowercase();
    let fitting = words.into_iter().filter(|word| word.to_lowercase().starts_with(&lower));
    fitting
        .map(|word| {
            let display = as_typed(&word, sample);
            Pair { replacement: format!("{display} "), display }
        })
        .collect()
}

/// Whether the next word is the path of a library: that of an engine, or of a module of Redis.
fn takes_library(words: &[String]) -> bool {
    let is = |at: usize, name: &str| words.get(at).is_some_and(|word| word.eq_ignore_ascii_case(name));
    let engine = is(0, "ENGINE") && ["RELOAD", "SHADOW"].iter().any(|name| is(1, name));
    words.len() == 2 && (engine || (is(0, "MODULE") && is(1, "LOAD")))
}

/// Directories, and files that are libraries by their names.
fn libraries(partial: &str, sample: &str) -> Vec<Pair> {
    let typed = split(partial.as_bytes()).or_else(|_| split(format!("{partial}\"").as_bytes()));
    let typed = typed.ok().and_then(|mut words| words.pop()).unwrap_or_default();
    let typed = String::from_utf8_lossy(&typed).into_owned();
    let (dir, begin) =
        typed.rsplit_once('/').map_or(("", &*typed), |(dir, begin)| (&typed[..dir.len() + 1], begin));
    let place = if dir.is_empty() { Path::new(".") } else { Path::new(dir) };
    let mut pairs = Vec::new();
    for entry in std::fs::read_dir(place).into_iter().flatten().filter_map(Result::ok) {
        let Ok(name) = entry.file_name().into_string() else { continue };
        let is_dir = entry.path().is_dir();
        let hidden = name.starts_with('.') && !begin.starts_with('.');
        let is_library = name.ends_with(".so") || name.contains(".so.");
        if hidden || !name.starts_with(begin) || !(is_dir || is_library) {
            continue;
        }
        let end = if is_dir { "/" } else { "" };
        let path = format!("{dir}{name}{end}");
        let replacement = match quoted(path.as_bytes()) {
            // In a directory the quotes stay open.
            quoted if needs_quotes(&path) && is_dir => quoted.trim_end_matches('"').to_owned(),
            quoted if needs_quotes(&path) => format!("{quoted} "),
            _ if is_dir => path,
            _ => format!("{path} "),
        };
        pairs.push(Pair { display: format!("{name}{end}"), replacement });
    }
    pairs.sort_by(|one, other| one.display.cmp(&other.display));
    // Without a path, the host takes the one that it is configured with.
    if typed.is_empty() {
        pairs.extend(candidates(vec!["opts".to_owned()], partial, sample));
    }
    pairs
}

fn needs_quotes(path: &str) -> bool {
    path.contains(|char: char| char.is_whitespace() || char.is_control() || matches!(char, '"' | '\'' | '\\'))
}
