//! Editor: the line that a person edits, with completion, hints and colours.
//!
//! rustyline, not reedline: it never asks the terminal where its cursor is (an answer that does not come, over a slow line or in a
//! pipe, would hang the prompt), shows hints as redis-cli does, lets messages be printed above the line while it is edited, and brings
//! a tenth of the dependencies.

use super::super::Failure;
use super::super::color::{Paint, Style};
use super::super::line::ranges;
use super::super::syntax::Catalogue;
use super::hint::Hint;
use super::{complete, hint, history};
use rustyline::completion::{Completer, Pair};
use rustyline::error::ReadlineError;
use rustyline::highlight::{CmdKind, Highlighter};
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::validate::Validator;
use rustyline::{ColorMode, CompletionType, Config, Context, Editor};
use std::borrow::Cow;
use std::io;
use std::path::PathBuf;

/// The editor and its history.
pub(super) struct LineEditor {
    pub(super) editor: Editor<Helper, FileHistory>,
    history_path: Option<PathBuf>,
}

pub(super) struct Helper {
    catalogue: Catalogue,
    paint: Paint,
}

impl LineEditor {
    pub(super) fn new(catalogue: Catalogue, paint: Paint) -> Result<Self, Failure> {
        let config = Config::builder()
            .max_history_size(history::LINES_MAX)
            .and_then(|config| config.history_ignore_dups(true))
            .map_err(failure)?
            .history_ignore_space(true)
            .completion_type(CompletionType::List)
            .completion_show_all_if_ambiguous(true)
            // Whether to colour is decided here: hints look faint without colours, too, as nobody could tell them from the line else.
            .color_mode(ColorMode::Forced)
            .build();
        let mut editor = Editor::with_config(config).map_err(failure)?;
        editor.set_helper(Some(Helper { catalogue, paint }));
        let history_path = history::path();
        if let Some(path) = &history_path
            && let Err(error) = editor.load_history(path)
            && path.exists()
        {
            log::warn!("cannot read the history {}: {error}", path.display());
        }
        Ok(Self { editor, history_path })
    }

    pub(super) fn catalogue(&self) -> Option<&Catalogue> {
        self.editor.helper().map(|helper| &helper.catalogue)
    }

    /// Keeps a line, in the file too, so that it outlives the session however that ends.
    pub(super) fn remember(&mut self, line: &str) {
        if line.trim().is_empty() || history::is_secret(line) {
            return;
        }
        let kept = self.editor.add_history_entry(line).unwrap_or(false);
        if let Some(path) = self.history_path.as_ref().filter(|_| kept)
            && let Err(error) = self.editor.append_history(path)
        {
            log::warn!("the history is not kept: {}: {error}", path.display());
            self.history_path = None;
        }
    }
}

pub(super) fn failure(error: ReadlineError) -> Failure {
    Failure::Input(match error {
        ReadlineError::Io(error) => error,
        ReadlineError::Errno(error) => error.into(),
        other => io::Error::other(other.to_string()),
    })
}

impl rustyline::Helper for Helper {}

/// Each line is whole: what is missing, the host says.
impl Validator for Helper {}

impl Completer for Helper {
    type Candidate = Pair;

    fn complete(&self, line: &str, pos: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<Pair>)> {
        Ok(complete::complete(&self.catalogue, line.get(..pos).unwrap_or_default()))
    }
}

impl Hinter for Helper {
    type Hint = Hint;

    fn hint(&self, line: &str, pos: usize, _: &Context<'_>) -> Option<Hint> {
        (pos == line.len()).then(|| hint::hint(&self.catalogue, line))?
    }
}

impl Highlighter for Helper {
    fn highlight<'l>(&self, line: &'l str, _: usize) -> Cow<'l, str> {
        let words = ranges(line);
        let texts: Vec<&str> = words.iter().filter_map(|range| line.get(range.clone())).collect();
        let named = self.catalogue.find(&texts).map_or(0, |(_, named)| named);
        let (mut painted, mut end) = (String::new(), 0);
        for (at, (range, text)) in words.iter().zip(&texts).enumerate() {
            let style = match text.chars().next() {
                _ if at < named => Style::Name,
                Some('"' | '\'') => Style::Text,
                _ => Style::Plain,
            };
            painted.push_str(line.get(end..range.start).unwrap_or_default());
            painted.push_str(&self.paint.paint(style, text));
            end = range.end;
        }
        painted.push_str(line.get(end..).unwrap_or_default());
        Cow::Owned(painted)
    }

    fn highlight_prompt<'b, 's: 'b, 'p: 'b>(&'s self, prompt: &'p str, default: bool) -> Cow<'b, str> {
        let state = prompt.find(['(', '[']).filter(|_| default && !prompt.starts_with('['));
        let Some((address, state)) = state.and_then(|at| prompt.split_at_checked(at)) else {
            return Cow::Borrowed(prompt);
        };
        let (state, end) = state.split_at_checked(state.len().saturating_sub(2)).unwrap_or((state, ""));
        Cow::Owned(format!("{address}{}{end}", self.paint.paint(Style::Number, state)))
    }

    fn highlight_hint<'h>(&self, hint: &'h str) -> Cow<'h, str> {
        Cow::Owned(format!("\x1b[2m{hint}\x1b[0m"))
    }

    fn highlight_char(&self, _: &str, _: usize, kind: CmdKind) -> bool {
        kind != CmdKind::MoveCursor
    }
}
