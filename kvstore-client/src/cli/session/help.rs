//! Help: what the session says about itself, and what the host says about a command.

use super::super::Failure;
use super::super::Output;
use super::super::color::Style;
use super::super::format::visible;
use super::super::syntax::{Catalogue, Entry, subcommands_text, text};

/// How a session is talked to.
pub(super) const GENERAL: &str = "\
A line is one request: words, separated by blanks. \"…\" keeps blanks and knows \\xHH \\n \\r \\t \\b \\a \\\" \\\\; '…' knows \\'.
help COMMAND explains a command of the host, help @GROUP lists those of a group, clear clears the screen.
exit or quit ends the session.";

const KEYS: &str = "\
TAB completes, the right arrow takes what is shown in grey, up and down walk through past lines, Ctrl-R searches them.
Ctrl-C drops the line, or breaks off what is under way; Ctrl-D on an empty line ends the session.";

/// Prints help about these words; about the session when there are none.
pub(super) fn print(about: &[String], catalogue: &Catalogue, output: &mut Output) -> Result<(), Failure> {
    match about {
        [] => {
            output.line(GENERAL)?;
            output.line(KEYS)?;
            let groups = groups(catalogue);
            if !groups.is_empty() {
                output.line(&format!("Groups: {}", groups.join(" ")))?;
            }
            Ok(())
        }
        [group] if group.starts_with('@') => group_members(group, catalogue, output),
        words => match catalogue.find(words) {
            Some((entry, len)) if len == words.len() => {
                command(&words.join(" ").to_uppercase(), entry, output)
            }
            _ => {
                output.line(&format!("The host says nothing about {}.", visible(words.join(" ").as_bytes())))
            }
        },
    }
}

fn groups(catalogue: &Catalogue) -> Vec<String> {
    let groups = catalogue.iter().map(|(_, entry)| &entry.group).filter(|group| !group.is_empty());
    let mut groups: Vec<_> = groups.map(|group| format!("@{}", visible(group.as_bytes()))).collect();
    groups.sort();
    groups.dedup();
    groups
}

fn group_members(group: &str, catalogue: &Catalogue, output: &mut Output) -> Result<(), Failure> {
    let wanted = group.trim_start_matches('@').to_lowercase();
    let members: Vec<_> =
        catalogue.iter().filter(|(_, entry)| entry.group.to_lowercase() == wanted).collect();
    if members.is_empty() {
        return output.line(&format!("The host has no group {}.", visible(group.as_bytes())));
    }
    let width = members.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    for (name, entry) in members {
        let name = output.paint().paint(Style::Name, &format!("{:width$}", name.to_uppercase()));
        output.line(&format!("{name}  {}", visible(entry.summary.as_bytes())))?;
    }
    Ok(())
}

fn command(name: &str, entry: &Entry, output: &mut Output) -> Result<(), Failure> {
    let arguments =
        if entry.subcommands.is_empty() { text(&entry.arguments) } else { subcommands_text(entry) };
    let name = output.paint().paint(Style::Name, &visible(name.as_bytes()));
    output.line(format!("{name} {}", visible(arguments.as_bytes())).trim_end())?;
    for (what, text) in [("summary", &entry.summary), ("since", &entry.since), ("group", &entry.group)] {
        if !text.is_empty() {
            let what = output.paint().paint(Style::Faint, &format!("{what:>9}:"));
            output.line(&format!("{what} {}", visible(text.as_bytes())))?;
        }
    }
    for (name, entry) in &entry.subcommands {
        let name = output.paint().paint(Style::Name, &format!("{:>11}", name.to_uppercase()));
        output.line(&format!("{name}  {}", visible(entry.summary.as_bytes())))?;
    }
    Ok(())
}
