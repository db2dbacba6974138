//! Syntax: which commands the host has and how they are written, as it says itself in COMMAND DOCS.

mod docs;
mod rest;
mod show;

pub(crate) use rest::{rest, tokens};
pub(crate) use show::{subcommands_text, text};

use std::collections::BTreeMap;

/// All commands of a host, by name in small letters. Empty when it does not tell them.
#[derive(Debug, Default)]
pub(crate) struct Catalogue {
    commands: BTreeMap<String, Entry>,
}

/// A command or a subcommand.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) summary: String,
    pub(crate) since: String,
    pub(crate) group: String,
    pub(crate) arguments: Vec<Argument>,
    /// By name in small letters.
    pub(crate) subcommands: BTreeMap<String, Entry>,
}

/// An argument of a command, as COMMAND DOCS describes it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Argument {
    /// The name that is shown.
    pub(crate) name: String,
    /// The word that stands before it, or alone.
    pub(crate) token: Option<String>,
    pub(crate) kind: Kind,
    pub(crate) optional: bool,
    /// It can be repeated,
    pub(crate) multiple: bool,
    /// and then each time with its token.
    pub(crate) multiple_token: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A word of the user's.
    #[default]
    Value,
    /// The token and nothing else.
    PureToken,
    /// One of these.
    OneOf(Vec<Argument>),
    /// All of these.
    Block(Vec<Argument>),
}

impl Catalogue {
    /// Names of all commands, in small letters and in order.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.commands.keys().map(String::as_str)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.commands.iter().map(|(name, entry)| (name.as_str(), entry))
    }

    /// The command that begins these words, or its subcommand, and how many of the words name it.
    pub(crate) fn find<W: AsRef<str>>(&self, words: &[W]) -> Option<(&Entry, usize)> {
        let lower = |at: usize| words.get(at).map(|word: &W| word.as_ref().to_ascii_lowercase());
        let command = self.commands.get(&lower(0)?)?;
        let subcommand = lower(1).and_then(|name| command.subcommands.get(&name));
        Some(subcommand.map_or((command, 1), |subcommand| (subcommand, 2)))
    }
}
