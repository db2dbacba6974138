//! Container: what commands that consist of subcommands have in common.

use crate::protocol::Value;

/// The reply to HELP: a line each, the subcommands without indent, what they do with four spaces.
pub(super) fn help(command: &str, lines: &[&'static str]) -> Value {
    let title =
        format!("{} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:", command.to_ascii_uppercase());
    let last = ["HELP", "    Prints this help."];
    let lines = lines.iter().chain(&last).map(|&line| Value::Simple(line.into()));
    Value::Array(std::iter::once(Value::Simple(title.into())).chain(lines).collect())
}
