//! Table: every command, its arity, flags, keys and summary. Nothing else says these.

use super::{Handler, Keys, Spec, get, incr};

/// All commands, by name.
pub static COMMANDS: &[Spec] = &[
    Spec {
        name: "get",
        arity: 2,
        flags: &["readonly", "fast"],
        keys: Keys(1, 1, 1),
        group: "string",
        since: "1.0.0",
        summary: "Get the value of a key",
        handler: Handler::Data(get::plan),
    },
    Spec {
        name: "incr",
        arity: 2,
        flags: &["write", "denyoom", "fast"],
        keys: Keys(1, 1, 1),
        group: "string",
        since: "1.0.0",
        summary: "Increment the integer value of a key by one",
        handler: Handler::Data(incr::incr),
    },
];

/// The command of that name, in any case.
pub fn find(name: &[u8]) -> Option<&'static Spec> {
    COMMANDS.iter().find(|spec| spec.name.as_bytes().eq_ignore_ascii_case(name))
}
