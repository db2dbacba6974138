//! ENGINE: its subcommands, and who may use them; the control thread carries them out.

use super::{Error, Session};
use crate::protocol::Request;

super::table::commands! { pub(super) static SUBCOMMANDS of "engine" =
    "reload"  -2 NO_KEYS [admin noscript loading stale] [] server "0.1.0" "Replace the live engine, with its data" "[path] [SHA256 hex] [MIGRATE] [PROBATION time] [OPTS option [option ...]]" => Engine;
    "shadow"  -3 NO_KEYS [admin noscript loading stale] [] server "0.1.0" "Keep an engine beside the live one, and compare them" "path [SHA256 hex] [SAMPLE percent] [OPTS option [option ...]]" => Engine;
    "promote"  2 NO_KEYS [admin noscript loading stale] [] server "0.1.0" "Make the shadow the live engine" "" => Engine;
    "drop"     2 NO_KEYS [admin noscript loading stale] [] server "0.1.0" "Close the shadow" "" => Engine;
    "cancel"   2 NO_KEYS [admin noscript loading stale] [] server "0.1.0" "Call off the reload that is under way" "" => Engine;
    "rollback" 2 NO_KEYS [admin noscript loading stale] [] server "0.1.0" "Go back to the engine before this one, with the data as they are now" "" => Engine;
    "info"     2 NO_KEYS [admin noscript loading stale] [] server "0.1.0" "Tell about the live engine, and about a reload under way" "" => Engine;
    "history"  2 NO_KEYS [admin noscript loading stale] [] server "0.1.0" "List the generations of engines, how they came, and what became of them" "" => Engine;
    "help"     2 NO_KEYS [loading stale]                [] server "0.1.0" "Show helpful text about the different subcommands" "" => Engine;
}

/// The arguments of ENGINE, for who may use it: whoever can load a library is master of the host.
pub(super) fn args(session: &Session, request: Request<'_>) -> Result<Vec<Vec<u8>>, Error> {
    if !session.local {
        return Err(Error::new(
            "NOPERM ENGINE commands are taken from this machine only: over loopback or the Unix socket",
        ));
    }
    Ok(request.iter().skip(1).map(<[u8]>::to_vec).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Requests;

    #[test]
    fn engine_commands_are_for_clients_of_this_machine() {
        let mut requests = Requests::new();
        requests.push([b"ENGINE".as_slice(), b"RELOAD", b"/evil.so"]);
        let request = requests.get(0, b"").unwrap();
        let ask = |local| args(&Session { local, ..Session::default() }, request);
        assert_eq!(ask(true).unwrap(), [b"RELOAD".to_vec(), b"/evil.so".to_vec()]);
        assert!(ask(false).unwrap_err().0.starts_with("NOPERM "));
        assert!(!Session::default().local, "a client is a stranger until its socket says otherwise");
    }
}
