//! CLIENT: what the server knows of its clients, and what they tell about themselves.

use std::fmt::Write;

use super::{Error, Session, container};
use crate::protocol::{Request, Value, parse_i64};
use crate::server::{ClientInfo, Server};

super::table::commands! { pub(super) static SUBCOMMANDS of "client" =
    "id"       2 NO_KEYS [noscript loading stale]       [connection] connection "5.0.0" "Returns the client ID for the current connection" "" => Session(id);
    "getname"  2 NO_KEYS [noscript loading stale]       [connection] connection "2.6.9" "Get the current connection name" "" => Session(getname);
    "setname"  3 NO_KEYS [noscript loading stale]       [connection] connection "2.6.9" "Set the current connection name" "connection-name" => Session(setname);
    "setinfo"  4 NO_KEYS [noscript loading stale]       [connection] connection "7.2.0" "Set information specific to the client or connection" "LIB-NAME libname|LIB-VER libver" => Session(setinfo);
    "info"     2 NO_KEYS [noscript loading stale]       [connection] connection "6.2.0" "Returns information about the current client connection." "" => Session(info);
    "list"    -2 NO_KEYS [admin noscript loading stale] [connection] connection "2.4.0" "Get the list of client connections" "[TYPE NORMAL|MASTER|REPLICA|PUBSUB] [ID client-id [client-id ...]]" => Session(list);
    "no-evict" 3 NO_KEYS [admin noscript loading stale] [connection] connection "7.0.0" "Set client eviction mode for the current connection" "ON|OFF" => Session(on_or_off);
    "no-touch" 3 NO_KEYS [noscript loading stale]       [connection] connection "7.2.0" "Set whether the current connection alters the access time of keys" "ON|OFF" => Session(on_or_off);
    "help"     2 NO_KEYS [loading stale]                [connection] connection "5.0.0" "Show helpful text about the different subcommands" "" => Session(help);
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

fn info(session: &mut Session, server: &Server, _: Request<'_>) -> Result<Value, Error> {
    let clients: Vec<ClientInfo> = server.clients.get(session.id).into_iter().collect();
    Ok(lines(&clients, server))
}

fn list(_: &mut Session, server: &Server, request: Request<'_>) -> Result<Value, Error> {
    let is = |arg, name: &[u8]| request.get(arg).is_some_and(|arg| arg.eq_ignore_ascii_case(name));
    let mut clients = server.clients.list();
    if is(2, b"TYPE") && request.len() == 4 {
        let name = request.get(3).unwrap_or_default();
        let is_one_of = |names: &[&str]| names.iter().any(|one| name.eq_ignore_ascii_case(one.as_bytes()));
        if is_one_of(&["master", "replica", "slave", "pubsub"]) {
            clients.clear();
        } else if !is_one_of(&["normal"]) {
            let name = String::from_utf8_lossy(name);
            return Err(Error::text(format!("ERR Unknown client type '{name}'")));
        }
    } else if is(2, b"ID") && request.len() > 3 {
        let ids: Option<Vec<i64>> = request.skip(3).iter().map(parse_i64).collect();
        let ids = ids.ok_or(Error::new("ERR Invalid client ID"))?;
        let known = |id| u64::try_from(id).ok().and_then(|id| server.clients.get(id));
        clients = ids.into_iter().filter_map(known).collect();
    } else if request.len() > 2 {
        return Err(Error::SYNTAX);
    }
    Ok(lines(&clients, server))
}

/// One line for each client, with those of Redis' fields that say something here.
fn lines(clients: &[ClientInfo], server: &Server) -> Value {
    let now_ms = server.clock.now_ms();
    let mut text = String::new();
    for client in clients {
        let age_s = now_ms.saturating_sub(client.since_ms).max(0) / 1000;
        let idle_s = now_ms.saturating_sub(client.active_ms).max(0) / 1000;
        let flags = if client.multi >= 0 { "x" } else { "N" };
        let ClientInfo { id, addr, laddr, name, lib_name, lib_ver, cmd, resp, multi, watch, .. } = client;
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "id={id} addr={addr} laddr={laddr} name={name} age={age_s} idle={idle_s} flags={flags} db=0 sub=0 psub=0 \
             ssub=0 multi={multi} watch={watch} cmd={cmd} user=default redir=-1 resp={resp} lib-name={lib_name} \
             lib-ver={lib_ver}"
        );
    }
    Value::Verbatim { format: "txt".into(), text: text.into_bytes() }
}

/// NO-EVICT and NO-TOUCH: no client is ever evicted, and no access is noted, so either way is how it is.
fn on_or_off(_: &mut Session, _: &Server, request: Request<'_>) -> Result<Value, Error> {
    let mode = request.get(2).unwrap_or_default();
    if mode.eq_ignore_ascii_case(b"ON") || mode.eq_ignore_ascii_case(b"OFF") {
        Ok(Value::Ok)
    } else {
        Err(Error::SYNTAX)
    }
}

fn help(_: &mut Session, _: &Server, _: Request<'_>) -> Result<Value, Error> {
    Ok(container::help(
        "client",
        &[
            "GETNAME",
            "    Return the name of the current connection.",
            "ID",
            "    Return the ID of the current connection.",
            "INFO",
            "    Return information about the current client connection.",
            "LIST [options ...]",
            "    Return information about client connections. Options:",
            "    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)",
            "      Return clients of specified type.",
            "    * ID <client-id> [<client-id> ...]",
            "      Return clients of these IDs.",
            "NO-EVICT (ON|OFF)",
            "    Protect current client connection from eviction.",
            "NO-TOUCH (ON|OFF)",
            "    Taken, and changes nothing: the last access of keys is not kept.",
            "SETINFO <option> <value>",
            "    Set client meta attr. Options are:",
            "    * LIB-NAME: the client lib name.",
            "    * LIB-VER: the client lib version.",
            "SETNAME <name>",
            "    Assign the name <name> to the current connection.",
        ],
    ))
}

#[cfg(test)]
mod tests {
    use crate::command::testing::{Rig, expect};
    use crate::server::ClientInfo;

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
            ("CLIENT LIST foo", "-ERR syntax error"),
            ("CLIENT LIST TYPE", "-ERR syntax error"),
            ("CLIENT LIST TYPE x", "-ERR Unknown client type 'x'"),
            ("CLIENT LIST TYPE replica", "$0"),
            ("CLIENT LIST ID", "-ERR syntax error"),
            ("CLIENT LIST ID x", "-ERR Invalid client ID"),
            ("CLIENT LIST ID 0 -1", "$0"),
            ("CLIENT LIST ID 9223372036854775807", "$0"),
            ("CLIENT LIST TYPE normal ID 1", "-ERR syntax error"),
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

    #[test]
    fn clients_are_listed_by_line() {
        let mut rig = Rig::new();
        let other = rig.server.clients.add(ClientInfo { addr: "other".to_owned(), ..ClientInfo::default() });
        rig.run("CLIENT SETNAME me");
        rig.server.clock.shift_ms(3_500);
        let all = rig.run("CLIENT LIST");
        let lines: Vec<&str> = all.lines().collect();
        assert_eq!(lines.len(), 2);
        assert!(
            lines[0]
                .contains("id=1 addr=127.0.0.1:5000 laddr=127.0.0.1:8080 name=me age=3 idle=3 flags=N db=0"),
            "{all}"
        );
        assert!(lines[1].starts_with(&format!("id={other} addr=other ")), "{all}");
        assert_eq!(rig.run(&format!("CLIENT LIST ID {other} 77")).lines().count(), 1);
        assert_eq!(rig.run("CLIENT LIST TYPE normal").lines().count(), 2);
        assert_eq!(rig.run("CLIENT ID"), ":1");
        rig.run("HELLO 3");
        assert!(rig.run("CLIENT INFO").starts_with("=") && rig.run("CLIENT INFO").contains("txt:id=1 "));
        assert!(rig.run("CLIENT HELP").starts_with("*25 +CLIENT <subcommand> [<arg> [value] [opt] ...]."));
    }
}
