//! Color: whether output is coloured, and in which colours.

use super::Options;
use std::io::{self, IsTerminal};

/// When to colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Color {
    /// On a terminal, unless NO_COLOR is set or TERM is dumb
    Auto,
    /// With types and colours as on a terminal, in a pipe too
    Always,
    /// Not at all
    Never,
}

/// What a piece of text is, which says how it looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    Plain,
    /// Bytes of an entry.
    Text,
    Number,
    /// A name: of a command, a key, a section.
    Name,
    /// What only says of what kind the rest is.
    Faint,
    /// What is new or good.
    Good,
    Error,
}

/// A brush that paints or does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Paint {
    on: bool,
}

impl Paint {
    /// No colours.
    #[cfg(test)]
    pub(crate) const OFF: Self = Self { on: false };
    /// Colours.
    #[cfg(test)]
    pub(crate) const ON: Self = Self { on: true };

    /// As the options, the environment and standard output want it.
    pub(crate) fn new(options: &Options) -> Self {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let dumb = set("TERM").is_some_and(|term| term == "dumb");
        let auto = || io::stdout().is_terminal() && set("NO_COLOR").is_none() && !dumb;
        Self { on: options.color == Color::Always || (options.color == Color::Auto && auto()) }
    }

    /// The text as it looks in this style.
    pub(crate) fn paint(self, style: Style, text: &str) -> String {
        let code = match style {
            Style::Text | Style::Good => "32",
            Style::Number => "36",
            Style::Name => "1;34",
            Style::Faint => "2",
            Style::Error => "31",
            Style::Plain => "",
        };
        if self.on && !code.is_empty() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}
