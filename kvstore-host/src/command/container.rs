//! Container: commands that consist of subcommands.

use super::{Error, Handler, Session, Spec};
use crate::protocol::{Request, Value};
use crate::server::Server;

/// Carries out the subcommand that the request names.
pub(super) fn run(
    command: &str,
    subcommands: &[Spec],
    session: &mut Session,
    server: &Server,
    request: Request<'_>,
) -> Result<Value, Error> {
    let name = request.get(1).ok_or_else(|| Error::arity(command))?;
    let found = subcommands.iter().find(|spec| spec.name.as_bytes().eq_ignore_ascii_case(name));
    match found.map(|spec| (spec, spec.handler)) {
        Some((spec, Handler::Session(answer))) => {
            spec.count_call();
            answer(session, server, request)
        }
        _ => Err(Error::unknown_subcommand(command, name)),
    }
}

/// The reply to HELP: a line each, the subcommands without indent, what they do with four spaces.
pub(super) fn help(command: &str, lines: &[&'static str]) -> Value {
    let title =
        format!("{} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:", command.to_ascii_uppercase());
    let last = ["HELP", "    Prints this help."];
    let lines = lines.iter().chain(&last).map(|&line| Value::Simple(line.into()));
    Value::Array(std::iter::once(Value::Simple(title.into())).chain(lines).collect())
}
