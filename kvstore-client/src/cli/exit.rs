//! Exit: the exit codes, and which replies mean that nothing was found.

use kvstore_client::Value;
use std::process::ExitCode;

/// How the program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    Done = 0,
    NotFound = 1,
    Usage = 2,
    NoConnection = 3,
    ErrorReply = 4,
    Local = 5,
}

pub(crate) const HELP: &str = "\
Output: as redis-cli shows it on a terminal; in a pipe each string, number or element on a line of its own, nil as an
empty line, an error reply on standard error. --raw gives the bytes of a string and nothing else. --json gives one document
per reply: bytes that are not UTF-8 become {\"base64\": \"…\"}, errors {\"error\": {\"code\": …, \"message\": …}}, without a code
when the connection failed. In a session
all replies go to standard output, a line at least for each: (nil), (empty array), (error) ….

Exit codes:
  0  ok
  1  not found: the reply is nil, or 0 from delete, exists, expire or persist, or -2 from ttl, or none from type
  2  usage
  3  cannot connect, or the connection was lost
  4  the host answered with an error (in a session through a pipe: to any line), `test` found a failure, or `export` left keys out
  5  standard input or output or a file failed (a closed output pipe is no failure), or a line of an `import` is wrong

Options go before the command: set, append, mset, raw, and words that are no command of this program take all words after
them as they are. A value `-` of set and append is read from standard input, to its last byte.";

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Whether the reply to `command` says that there was nothing.
pub(crate) fn is_not_found(command: &[u8], reply: &Value) -> bool {
    let name = command.to_ascii_uppercase();
    match (&*name, reply) {
        (_, Value::Nil) => true,
        (b"DEL" | b"UNLINK" | b"EXISTS" | b"TOUCH", Value::Integer(0)) => true,
        (b"EXPIRE" | b"PEXPIRE" | b"EXPIREAT" | b"PEXPIREAT" | b"PERSIST", Value::Integer(0)) => true,
        (b"TTL" | b"PTTL" | b"EXPIRETIME" | b"PEXPIRETIME", Value::Integer(-2)) => true,
        (b"TYPE", reply) => reply.as_bytes() == Some(b"none"),
        (b"MGET", Value::Array(values)) => values.iter().all(Value::is_nil),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_found_depends_on_the_command() {
        let simple = |text: &str| Value::Simple(text.into());
        for (command, reply, expected) in [
            ("get", Value::Nil, true),
            ("get", Value::Bulk(vec![]), false),
            ("DEL", Value::Integer(0), true),
            ("del", Value::Integer(2), false),
            ("ttl", Value::Integer(-2), true),
            ("ttl", Value::Integer(-1), false),
            ("ttl", Value::Integer(0), false),
            ("incr", Value::Integer(0), false),
            ("dbsize", Value::Integer(0), false),
            ("type", simple("none"), true),
            ("type", simple("string"), false),
            ("mget", Value::Array(vec![Value::Nil, Value::Nil]), true),
            ("mget", Value::Array(vec![Value::Nil, Value::Bulk(vec![])]), false),
            ("keys", Value::Array(vec![]), false),
        ] {
            assert_eq!(is_not_found(command.as_bytes(), &reply), expected, "{command} {reply:?}");
        }
    }
}
