//! MODULE and FUNCTION: there are neither; what tools ask on the way is answered.

use super::{Error, Session, container};
use crate::protocol::{Request, Value};
use crate::server::Server;

super::table::commands! { pub(super) static MODULE_SUBCOMMANDS of "module" =
    "list" 2 NO_KEYS [admin noscript] [] server "4.0.0" "List all modules loaded by the server" "" => Session(list);
    "help" 2 NO_KEYS [loading stale]  [] server "5.0.0" "Show helpful text about the different subcommands" "" => Session(module_help);
}

super::table::commands! { pub(super) static FUNCTION_SUBCOMMANDS of "function" =
    "flush" -2 NO_KEYS [write noscript] [scripting] scripting "7.0.0" "Deleting all functions" "[ASYNC|SYNC]" => Session(flush);
    "help"   2 NO_KEYS [loading stale]  [scripting] scripting "7.0.0" "Show helpful text about the different subcommands" "" => Session(function_help);
}

fn list(_: &mut Session, _: &Server, _: Request<'_>) -> Result<Value, Error> {
    Ok(Value::Array(Vec::new()))
}

fn module_help(_: &mut Session, _: &Server, _: Request<'_>) -> Result<Value, Error> {
    Ok(container::help("module", &["LIST", "    Return a list of loaded modules: there are none."]))
}

fn flush(_: &mut Session, _: &Server, request: Request<'_>) -> Result<Value, Error> {
    match (request.get(2).map(<[u8]>::to_ascii_lowercase).as_deref(), request.len()) {
        (None | Some(b"sync" | b"async"), ..=3) => Ok(Value::Ok),
        (_, ..=3) => Err(Error::new("ERR FUNCTION FLUSH only supports SYNC|ASYNC option")),
        _ => Err(Error::new(
            "ERR unknown subcommand or wrong number of arguments for 'flush'. Try FUNCTION HELP.",
        )),
    }
}

fn function_help(_: &mut Session, _: &Server, _: Request<'_>) -> Result<Value, Error> {
    Ok(container::help("function", &["FLUSH [ASYNC|SYNC]", "    Delete all the functions: there are none."]))
}

#[cfg(test)]
mod tests {
    use crate::command::testing::expect;

    #[test]
    fn as_redis_without_any() {
        expect(&[
            ("MODULE LIST", "*0"),
            ("MODULE LOAD x", "-ERR unknown subcommand 'LOAD'. Try MODULE HELP."),
            ("FUNCTION FLUSH", "+OK"),
            ("FUNCTION FLUSH async", "+OK"),
            ("FUNCTION FLUSH x", "-ERR FUNCTION FLUSH only supports SYNC|ASYNC option"),
            (
                "FUNCTION FLUSH async sync",
                "-ERR unknown subcommand or wrong number of arguments for 'flush'. Try FUNCTION HELP.",
            ),
            ("FUNCTION LIST", "-ERR unknown subcommand 'LIST'. Try FUNCTION HELP."),
        ]);
    }
}
