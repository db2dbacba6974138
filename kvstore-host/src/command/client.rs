//! CLIENT: what the server knows of its clients, and what they tell about themselves.

mod kill;
mod list;
mod pause;
mod tracking;

use super::{Error, Replies, Session, container};
use crate::protocol::{Request, Value};
use crate::server::Server;

super::table::commands! { pub(super) static SUBCOMMANDS of "client" =
    "caching"      3 NO_KEYS [noscript loading stale]       [connection] connection "6.0.0" "Instruct the server about tracking or not keys in the next request" "YES|NO" => Session(tracking::caching);
    "getname"      2 NO_KEYS [noscript loading stale]       [connection] connection "2.6.9" "Get the current connection name" "" => Session(getname);
    "getredir"     2 NO_KEYS [noscript loading stale]       [connection] connection "6.0.0" "Get tracking notifications redirection client ID if any" "" => Session(tracking::getredir);
    "help"         2 NO_KEYS [loading stale]                [connection] connection "5.0.0" "Show helpful text about the different subcommands" "" => Session(help);
    "id"           2 NO_KEYS [noscript loading stale]       [connection] connection "5.0.0" "Returns the client ID for the current connection" "" => Session(id);
    "info"         2 NO_KEYS [noscript loading stale]       [connection] connection "6.2.0" "Returns information about the current client connection." "" => Session(list::info);
    "kill"        -3 NO_KEYS [admin noscript loading stale] [connection] connection "2.4.0" "Kill the connection of a client" "ip:port|[ID client-id] [TYPE NORMAL|MASTER|SLAVE|REPLICA|PUBSUB] [USER username] [ADDR ip:port] [LADDR ip:port] [SKIPME YES|NO]" => Session(kill::kill);
    "list"        -2 NO_KEYS [admin noscript loading stale] [connection] connection "2.4.0" "Get the list of client connections" "[TYPE NORMAL|MASTER|REPLICA|PUBSUB] [ID client-id [client-id ...]]" => Session(list::list);
    "no-evict"     3 NO_KEYS [admin noscript loading stale] [connection] connection "7.0.0" "Set client eviction mode for the current connection" "ON|OFF" => Session(no_evict);
    "no-touch"     3 NO_KEYS [noscript loading stale]       [connection] connection "7.2.0" "Set whether the current connection alters the access time of keys" "ON|OFF" => Session(no_touch);
    "pause"       -3 NO_KEYS [admin noscript loading stale] [connection] connection "2.9.50" "Stop processing commands from clients for some time" "timeout [WRITE|ALL]" => Session(pause::pause);
    "reply"        3 NO_KEYS [noscript loading stale]       [connection] connection "3.2.0" "Instruct the server whether to reply to commands" "ON|OFF|SKIP" => Session(reply);
    "setinfo"      4 NO_KEYS [noscript loading stale]       [connection] connection "7.2.0" "Set information specific to the client or connection" "LIB-NAME libname|LIB-VER libver" => Session(setinfo);
    "setname"      3 NO_KEYS [noscript loading stale]       [connection] connection "2.6.9" "Set the current connection name" "connection-name" => Session(setname);
    "tracking"    -3 NO_KEYS [noscript loading stale]       [connection] connection "6.0.0" "Enable or disable server assisted client side caching support" "ON|OFF" => Session(tracking::tracking);
    "trackinginfo" 2 NO_KEYS [noscript loading stale]       [connection] connection "6.2.0" "Return information about server assisted client side caching for the current connection" "" => Session(tracking::info);
    "unblock"     -3 NO_KEYS [admin noscript loading stale] [connection] connection "5.0.0" "Unblock a client blocked in a blocking command from a different connection" "client-id [TIMEOUT|ERROR]" => Session(pause::unblock);
    "unpause"      2 NO_KEYS [admin noscript loading stale] [connection] connection "6.2.0" "Resume processing of clients that were paused" "" => Session(pause::unpause);
}

fn id(session: &mut Session, _: &Server, _: Request<'_>) -> Result<Value, Error> {
    Ok(Value::Integer(session.id as i64))
}

fn getname(session: &mut Session, server: &Server, _: Request<'_>) -> Result<Value, Error> {
    let name = server.clients.get(session.id).map(|client| client.name).filter(|name| !name.is_empty());
    Ok(name.map_or(Value::Null, Value::text))
}

fn setname(session: &mut Session, server: &Server, request: Request<'_>) -> Result<Value, Error> {
    let name = checked_name(request.get(2).unwrap_or_default())?;
    server.clients.update(session.id, |client| client.name = name);
    Ok(Value::Ok)
}

/// A name that a client may have: it stands in the lines of CLIENT LIST between spaces.
pub(super) fn checked_name(name: &[u8]) -> Result<String, Error> {
    graphic(name).ok_or(Error::new("ERR Client names cannot contain spaces, newlines or special characters."))
}

fn graphic(text: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(text).ok()?;
    text.bytes().all(|byte| byte.is_ascii_graphic()).then(|| text.to_owned())
}

fn setinfo(session: &mut Session, server: &Server, request: Request<'_>) -> Result<Value, Error> {
    let option = request.get(2).unwrap_or_default();
    let is_name = option.eq_ignore_ascii_case(b"LIB-NAME");
    let shown = String::from_utf8_lossy(option);
    if !is_name && !option.eq_ignore_ascii_case(b"LIB-VER") {
        return Err(Error::text(format!("ERR Unrecognized option '{shown}'")));
    }
    let Some(text) = graphic(request.get(3).unwrap_or_default()) else {
        return Err(Error::text(format!(
            "ERR {shown} cannot contain spaces, newlines or special characters."
        )));
    };
    server.clients.update(session.id, |client| {
        *(if is_name { &mut client.lib_name } else { &mut client.lib_ver }) = text;
    });
    Ok(Value::Ok)
}

/// No client is ever evicted, so this is only shown.
fn no_evict(session: &mut Session, server: &Server, request: Request<'_>) -> Result<Value, Error> {
    let on = is_on(request)?;
    server.clients.update(session.id, |client| client.no_evict = on);
    Ok(Value::Ok)
}

/// No access is noted, so either way is how it is.
fn no_touch(_: &mut Session, _: &Server, request: Request<'_>) -> Result<Value, Error> {
    is_on(request).map(|_| Value::Ok)
}

fn is_on(request: Request<'_>) -> Result<bool, Error> {
    match request.get(2).unwrap_or_default().to_ascii_lowercase().as_slice() {
        b"on" => Ok(true),
        b"off" => Ok(false),
        _ => Err(Error::SYNTAX),
    }
}

fn reply(session: &mut Session, _: &Server, request: Request<'_>) -> Result<Value, Error> {
    session.replies = match request.get(2).unwrap_or_default().to_ascii_lowercase().as_slice() {
        b"on" => Replies::On,
        b"off" => Replies::Off,
        b"skip" if session.replies == Replies::Off => Replies::Off,
        b"skip" => Replies::SkipNext,
        _ => return Err(Error::SYNTAX),
    };
    Ok(Value::Ok)
}

fn help(_: &mut Session, _: &Server, _: Request<'_>) -> Result<Value, Error> {
    Ok(container::help(
        "client",
        &[
            "CACHING (YES|NO)",
            "    Enable/disable tracking of the keys for next command in OPTIN/OPTOUT modes.",
            "GETREDIR",
            "    Return the client ID we are redirecting to when tracking is enabled.",
            "GETNAME",
            "    Return the name of the current connection.",
            "ID",
            "    Return the ID of the current connection.",
            "INFO",
            "    Return information about the current client connection.",
            "KILL <ip:port>",
            "    Kill connection made from <ip:port>.",
            "KILL <option> <value> [<option> <value> [...]]",
            "    Kill connections. Options are:",
            "    * ADDR (<ip:port>|<unixsocket>:0)",
            "      Kill connections made from the specified address",
            "    * LADDR (<ip:port>|<unixsocket>:0)",
            "      Kill connections made to specified local address",
            "    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)",
            "      Kill connections by type.",
            "    * USER <username>",
            "      Kill connections authenticated by <username>.",
            "    * SKIPME (YES|NO)",
            "      Skip killing current connection (default: yes).",
            "LIST [options ...]",
            "    Return information about client connections. Options:",
            "    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)",
            "      Return clients of specified type.",
            "    * ID <client-id> [<client-id> ...]",
            "      Return clients of these IDs.",
            "UNPAUSE",
            "    Stop the current client pause, resuming traffic.",
            "PAUSE <timeout> [WRITE|ALL]",
            "    Suspend all, or just write, clients for <timeout> milliseconds.",
            "REPLY (ON|OFF|SKIP)",
            "    Control the replies sent to the current connection.",
            "SETINFO <option> <value>",
            "    Set client meta attr. Options are:",
            "    * LIB-NAME: the client lib name.",
            "    * LIB-VER: the client lib version.",
            "SETNAME <name>",
            "    Assign the name <name> to the current connection.",
            "UNBLOCK <clientid> [TIMEOUT|ERROR]",
            "    Unblock the specified blocked client. No command here blocks its client.",
            "TRACKING (ON|OFF)",
            "    Server assisted client side caching: it is off, and cannot be turned on.",
            "TRACKINGINFO",
            "    Report tracking status for the current connection.",
            "NO-EVICT (ON|OFF)",
            "    Protect current client connection from eviction.",
            "NO-TOUCH (ON|OFF)",
            "    Taken, and changes nothing: the last access of keys is not kept.",
        ],
    ))
}

#[cfg(test)]
mod tests {
    use crate::command::testing::{Rig, expect};

    #[test]
    fn as_redis() {
        expect(&[
            ("CLIENT", "-ERR wrong number of arguments for 'client' command"),
            ("CLIENT foo", "-ERR unknown subcommand 'foo'. Try CLIENT HELP."),
            ("CLIENT foo bar", "-ERR unknown subcommand 'foo'. Try CLIENT HELP."),
            ("CLIENT ID x", "-ERR wrong number of arguments for 'client|id' command"),
            ("CLIENT GETNAME", "$-1"),
            ("CLIENT SETNAME me", "+OK"),
            ("client getname", "$2 me"),
            (
                "CLIENT SETNAME \"a b\"",
                "-ERR Client names cannot contain spaces, newlines or special characters.",
            ),
            ("CLIENT GETNAME", "$2 me"),
            ("CLIENT SETNAME \"\"", "+OK"),
            ("CLIENT GETNAME", "$-1"),
            ("CLIENT SETNAME", "-ERR wrong number of arguments for 'client|setname' command"),
            ("CLIENT NO-EVICT on", "+OK"),
            ("CLIENT NO-EVICT x", "-ERR syntax error"),
            ("CLIENT NO-EVICT", "-ERR wrong number of arguments for 'client|no-evict' command"),
        ]);
    }

    #[test]
    fn what_came_with_redis_7_2_is_taken_too() {
        let mut rig = Rig::new();
        rig.expect(&[
            ("CLIENT SETINFO LIB-NAME redis-py", "+OK"),
            ("CLIENT SETINFO lib-ver 8.1.0", "+OK"),
            (
                "CLIENT SETINFO lib-ver \"8 1\"",
                "-ERR lib-ver cannot contain spaces, newlines or special characters.",
            ),
            ("CLIENT SETINFO foo 1", "-ERR Unrecognized option 'foo'"),
            ("CLIENT NO-TOUCH off", "+OK"),
        ]);
        assert!(
            rig.run("CLIENT INFO").ends_with("lib-name=redis-py lib-ver=8.1.0"),
            "{}",
            rig.run("CLIENT INFO")
        );
    }
}
