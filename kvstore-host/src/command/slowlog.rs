//! SLOWLOG: the requests that took long.

use super::{Error, Session, container};
use crate::protocol::{Request, Value, parse_i64};
use crate::server::{Server, SlowRequest};

super::table::commands! { pub(super) static SUBCOMMANDS of "slowlog" =
    "get"   -2 NO_KEYS [admin loading stale] [] server "2.2.12" "Get the slow log's entries" "[count]" => Session(get);
    "len"    2 NO_KEYS [admin loading stale] [] server "2.2.12" "Get the slow log's length" "" => Session(len);
    "reset"  2 NO_KEYS [admin loading stale] [] server "2.2.12" "Clear all entries from the slow log" "" => Session(reset);
    "help"   2 NO_KEYS [loading stale]       [] server "6.2.0" "Show helpful text about the different subcommands" "" => Session(help);
}

/// Entries that GET tells when it is not told how many.
const COUNT_DEFAULT: usize = 10;

fn get(_: &mut Session, server: &Server, request: Request<'_>) -> Result<Value, Error> {
    let count = match (request.get(2), request.len()) {
        (None, _) => COUNT_DEFAULT,
        (Some(count), 3) => match parse_i64(count) {
            Some(-1) => usize::MAX,
            Some(count) if count >= 0 => usize::try_from(count).unwrap_or(usize::MAX),
            _ => return Err(Error::new("ERR count should be greater than or equal to -1")),
        },
        _ => {
            let name = String::from_utf8_lossy(request.get(1).unwrap_or_default());
            return Err(Error::text(format!(
                "ERR unknown subcommand or wrong number of arguments for '{name}'. Try SLOWLOG HELP."
            )));
        }
    };
    let integer = |number: u64| Value::Integer(i64::try_from(number).unwrap_or(i64::MAX));
    let entry = |slow: SlowRequest| {
        Value::Array(vec![
            integer(slow.id),
            Value::Integer(slow.at_s),
            integer(slow.took_us),
            Value::Array(slow.args.into_iter().map(Value::Bulk).collect()),
            Value::text(slow.addr),
            Value::text(slow.name),
        ])
    };
    Ok(Value::Array(server.slowlog.newest(count).into_iter().map(entry).collect()))
}

fn len(_: &mut Session, server: &Server, _: Request<'_>) -> Result<Value, Error> {
    Ok(Value::Integer(server.slowlog.len() as i64))
}

fn reset(_: &mut Session, server: &Server, _: Request<'_>) -> Result<Value, Error> {
    server.slowlog.clear();
    Ok(Value::Ok)
}

fn help(_: &mut Session, _: &Server, _: Request<'_>) -> Result<Value, Error> {
    Ok(container::help(
        "slowlog",
        &[
            "GET [<count>]",
            "    Return top <count> entries from the slowlog (default: 10, -1 mean all).",
            "    Entries are made of:",
            "    id, timestamp, time in microseconds, arguments array, client IP and port,",
            "    client name",
            "    Requests of a pipeline that went to the engine together are one entry.",
            "LEN",
            "    Return the length of the slowlog.",
            "RESET",
            "    Reset the slowlog.",
        ],
    ))
}

#[cfg(test)]
mod tests {
    use crate::command::testing::{Rig, expect};
    use crate::server::SlowRequest;

    fn slow(name: &str) -> SlowRequest {
        SlowRequest {
            id: 0,
            at_s: 1_700_000_000,
            took_us: 12_345,
            args: vec![name.as_bytes().to_vec(), b"x".to_vec()],
            addr: "127.0.0.1:5000".to_owned(),
            name: "me".to_owned(),
        }
    }

    #[test]
    fn as_redis() {
        expect(&[
            ("SLOWLOG", "-ERR wrong number of arguments for 'slowlog' command"),
            ("SLOWLOG foo", "-ERR unknown subcommand 'foo'. Try SLOWLOG HELP."),
            ("SLOWLOG GET", "*0"),
            ("SLOWLOG GET -1", "*0"),
            ("SLOWLOG GET -2", "-ERR count should be greater than or equal to -1"),
            ("SLOWLOG GET x", "-ERR count should be greater than or equal to -1"),
            (
                "SLOWLOG GET 1 2",
                "-ERR unknown subcommand or wrong number of arguments for 'GET'. Try SLOWLOG HELP.",
            ),
            ("SLOWLOG LEN", ":0"),
            ("SLOWLOG LEN x", "-ERR wrong number of arguments for 'slowlog|len' command"),
            ("SLOWLOG RESET", "+OK"),
        ]);
    }

    #[test]
    fn the_newest_come_first_and_the_oldest_go() {
        let mut rig = Rig::new();
        for name in ["GET", "SET", "DEL"] {
            rig.server.slowlog.push(slow(name), 2);
        }
        rig.expect(&[
            ("SLOWLOG LEN", ":2"),
            ("SLOWLOG GET 1", "*1 *6 :2 :1700000000 :12345 *2 $3 DEL $1 x $14 127.0.0.1:5000 $2 me"),
            ("SLOWLOG GET 0", "*0"),
        ]);
        assert!(rig.run("SLOWLOG GET").starts_with("*2 *6 :2 "));
        rig.expect(&[("SLOWLOG RESET", "+OK"), ("SLOWLOG LEN", ":0")]);
        rig.server.slowlog.push(slow("GET"), 2);
        assert!(rig.run("SLOWLOG GET").starts_with("*1 *6 :3 "), "a number is not used twice");
    }
}
