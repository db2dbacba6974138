//! Hint: what is shown in grey behind the cursor: the rest of a word, or the arguments that can follow.

use super::super::line::before_last;
use super::super::syntax::{Argument, Catalogue, Entry, rest, subcommands_text, text, tokens};
use super::complete::as_typed;

/// A text behind the cursor, and how much of it the right arrow takes over.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Hint {
    shown: String,
    taken_len: usize,
}

impl rustyline::hint::Hint for Hint {
    fn display(&self) -> &str {
        &self.shown
    }

    fn completion(&self) -> Option<&str> {
        self.shown.get(..self.taken_len).filter(|taken| !taken.is_empty())
    }
}

/// The hint for a line whose cursor stands at its end.
pub(super) fn hint(catalogue: &Catalogue, line: &str) -> Option<Hint> {
    let (words, start) = before_last(line)?;
    let partial = line.get(start..)?;
    if line.trim().is_empty() {
        return None;
    }
    let Some((entry, named)) = catalogue.find(&words) else {
        return words.is_empty().then(|| {
            name(catalogue.names(), partial, |name| catalogue.find(&[name]).map(|(entry, _)| entry))
        })?;
    };
    if !entry.subcommands.is_empty() {
        if words.len() > 1 {
            return None;
        }
        if partial.is_empty() {
            return shown("", subcommands_text(entry));
        }
        let names = entry.subcommands.keys().map(String::as_str);
        return name(names, partial, |name| entry.subcommands.get(&name.to_lowercase()));
    }
    arguments(&entry.arguments, words.get(named..).unwrap_or_default(), partial)
}

/// For the name of a command or subcommand that is being typed.
fn name<'a>(
    names: impl Iterator<Item = &'a str>,
    partial: &str,
    entry: impl Fn(&str) -> Option<&'a Entry>,
) -> Option<Hint> {
    let follows = |entry: &Entry| match entry.subcommands.is_empty() {
        true => text(&entry.arguments),
        false => subcommands_text(entry),
    };
    if let Some(entry) = entry(partial) {
        return shown(" ", follows(entry));
    }
    let lower = partial.to_lowercase();
    let mut fitting = names.filter(|name| name.starts_with(&lower));
    let only = fitting.next().filter(|_| fitting.next().is_none())?;
    completed(partial, only, &entry(only).map(follows).unwrap_or_default())
}

fn arguments(arguments: &[Argument], words: &[String], partial: &str) -> Option<Hint> {
    let before = rest(arguments, words)?;
    if partial.is_empty() {
        return shown("", text(&before));
    }
    // Part of one option only: the rest of that, and what follows it.
    let lower = partial.to_lowercase();
    let mut fitting = tokens(&before).into_iter().filter(|token| token.to_lowercase().starts_with(&lower));
    if let (Some(token), None) = (fitting.next(), fitting.next())
        && token.len() > partial.len()
    {
        let with: Vec<String> = words.iter().cloned().chain([token.clone()]).collect();
        let after = rest(arguments, &with).map(|rest| text(&rest)).unwrap_or_default();
        return completed(partial, &token, &after);
    }
    let with: Vec<String> = words.iter().cloned().chain([partial.to_owned()]).collect();
    shown(" ", text(&rest(arguments, &with)?))
}

fn shown(before: &str, text: String) -> Option<Hint> {
    (!text.is_empty()).then(|| Hint { shown: format!("{before}{text}"), taken_len: 0 })
}

fn completed(partial: &str, whole: &str, after: &str) -> Option<Hint> {
    let whole = as_typed(whole, partial);
    let missing = whole.get(partial.len()..).filter(|missing| !missing.is_empty())?;
    let shown = format!("{missing} {after}");
    Some(Hint { shown: shown.trim_end().to_owned(), taken_len: missing.len() })
}
