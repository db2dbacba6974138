//! Error: what a client is told when a command cannot be carried out, its code first, in Redis' words where it has some.

use std::borrow::Cow;

use plugin_abi::calls::CallError;
use plugin_abi::{Effect, Identity, Status};

use crate::plugin::{LEFT_OUT, Outcome};
use crate::protocol::{Request, Value};

/// Bytes of a client's words that an error quotes.
const QUOTED_LEN_MAX: usize = 128;

/// How the words of an engine's failure begin.
const FAILURE: &str = "the engine answered ";
/// Statuses that tell that something is wrong with the engine, not with what it was asked, nor with who else asks.
const FAULTS: [Status; 8] = [
    Status::PANIC,
    Status::POISONED,
    Status::IO,
    Status::UNKNOWN,
    Status::CORRUPT,
    Status::UNAVAILABLE,
    Status::TIMEOUT,
    Status::LOCKED,
];

/// As much of `text` as is quoted: Redis prints it as C does, up to a NUL.
fn quote(text: &[u8], len_max: usize) -> &[u8] {
    let end = text.iter().take(len_max).position(|&byte| byte == 0).unwrap_or(text.len().min(len_max));
    text.get(..end).unwrap_or_default()
}

/// An error reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error(pub Cow<'static, str>);

impl Error {
    /// Not the arguments that the command takes.
    pub const SYNTAX: Self = Self::new("ERR syntax error");
    /// An argument or a value that has to be an integer of 64 bits.
    pub const NOT_AN_INTEGER: Self = Self::new("ERR value is not an integer or out of range");
    /// A sum beyond 64 bits.
    pub const OVERFLOW: Self = Self::new("ERR increment or decrement would overflow");
    /// A value that would be longer than a value may be.
    pub const TOO_LONG: Self = Self::new("ERR string exceeds maximum allowed size (proto-max-bulk-len)");

    /// A time that expiry options give, beyond what can be.
    pub fn invalid_expire_time(command: &str) -> Self {
        Self::text(format!("ERR invalid expire time in '{command}' command"))
    }

    /// A command has no subcommand of this name; the command's name in lower case.
    pub fn unknown_subcommand(command: &str, name: &[u8]) -> Self {
        let name = String::from_utf8_lossy(quote(name, QUOTED_LEN_MAX));
        Self::text(format!("ERR unknown subcommand '{name}'. Try {} HELP.", command.to_ascii_uppercase()))
    }

    /// An error of a constant text, its code first.
    pub const fn new(text: &'static str) -> Self {
        Self(Cow::Borrowed(text))
    }

    /// An error of any text, its code first.
    pub fn text(text: impl Into<String>) -> Self {
        Self(Cow::Owned(text.into()))
    }

    /// A wrong number of arguments; the name in lower case, a subcommand behind a bar.
    pub fn arity(command: &str) -> Self {
        Self::text(format!("ERR wrong number of arguments for '{command}' command"))
    }

    /// The engine lacks a capability or symbol that the command needs.
    pub fn lacks(engine: &Identity, capability: &str) -> Self {
        Self::text(format!("ERR engine '{}' cannot carry this out: it lacks {capability}", engine.name))
    }

    /// An engine's failure. The code tells a client library what it may do: TRYAGAIN and UNAVAILABLE had no effect, UNKNOWN may have had one.
    pub fn failure(status: Status, message: &str) -> Self {
        let code = match status {
            Status::FULL => return Self::new("OOM command not allowed when used memory > 'maxmemory'."),
            Status::RETRY | Status::CONFLICT | Status::ABORTED => "TRYAGAIN",
            Status::UNAVAILABLE | Status::TIMEOUT | Status::CANCELLED => "UNAVAILABLE",
            Status::READ_ONLY => "READONLY",
            // Also one that this version does not know.
            _ if status.effect() == Effect::Unknown => "UNKNOWN",
            _ => "ERR",
        };
        let colon = if message.is_empty() { "" } else { ": " };
        Self::text(format!("{code} {FAILURE}{status}{colon}{message}"))
    }

    /// Whether an error's text is that of a [`failure`](Self::failure) which is the engine's fault.
    pub fn is_fault(text: &[u8]) -> bool {
        let words = text.splitn(2, |byte| *byte == b' ').nth(1);
        let status = words.and_then(|words| words.strip_prefix(FAILURE.as_bytes()));
        let name = status.and_then(|status| status.split(|byte| *byte == b' ').next());
        name.is_some_and(|name| {
            FAULTS.iter().filter_map(|fault| fault.name()).any(|fault| fault.as_bytes() == name)
        })
    }
}

impl From<&Outcome> for Error {
    fn from(outcome: &Outcome) -> Self {
        if outcome.left_out {
            return Self::new(LEFT_OUT);
        }
        Self::failure(outcome.status, &outcome.message)
    }
}

impl From<Error> for Value {
    fn from(error: Error) -> Self {
        Self::Error(error.0)
    }
}

impl From<CallError> for Error {
    fn from(error: CallError) -> Self {
        Self::failure(error.status, &error.text)
    }
}

/// No command of this name. Quotes the start of what was sent, as much of it as Redis does.
pub(super) fn unknown(request: Request<'_>) -> Error {
    let mut args = Vec::new();
    for arg in request.skip(1).iter() {
        if args.len() >= QUOTED_LEN_MAX {
            break;
        }
        let quoted = quote(arg, QUOTED_LEN_MAX - args.len());
        args.push(b'\'');
        args.extend_from_slice(quoted);
        args.extend_from_slice(b"' ");
    }
    let name = String::from_utf8_lossy(quote(request.name(), QUOTED_LEN_MAX));
    let args = String::from_utf8_lossy(&args);
    Error::text(format!("ERR unknown command '{name}', with args beginning with: {args}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_may_try_again_only_what_had_no_effect() {
        for status in Status::ALL.iter().copied().filter(|status| status.0 < 0).chain([Status(-999)]) {
            let text = Error::failure(status, "why").0;
            let vague = status.effect() == Effect::Unknown;
            assert_eq!(text.starts_with("UNKNOWN the engine answered "), vague, "{status}: {text}");
        }
    }
}
