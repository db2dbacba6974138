//! CONFIG: the settings by Redis' names, those that can change live, and the reset of the counters.

use std::sync::atomic::Ordering;

use super::{Error, Session, container};
use crate::glob::{Case, matches};
use crate::protocol::{Request, Value};
use crate::server::Server;

super::table::commands! { pub(super) static SUBCOMMANDS of "config" =
    "get"       -3 NO_KEYS [admin noscript loading stale] [] server "2.0.0" "Get the values of configuration parameters" "parameter [parameter ...]" => Session(get);
    "set"       -4 NO_KEYS [admin noscript loading stale] [] server "2.0.0" "Set configuration parameters to the given values" "parameter value [parameter value ...]" => Session(set);
    "resetstat"  2 NO_KEYS [admin noscript loading stale] [] server "2.0.0" "Reset the stats returned by INFO" "" => Session(resetstat);
    "help"       2 NO_KEYS [loading stale]                [] server "5.0.0" "Show helpful text about the different subcommands" "" => Session(help);
}

/// A parameter: what it is, and how it can change.
struct Parameter {
    name: &'static str,
    get: fn(&Server) -> String,
    change: Change,
}

enum Change {
    /// Not while the server runs.
    Never,
    /// A number from the first to the second.
    Number(u64, u64, fn(&Server, u64)),
    /// The same, where units of memory are taken: `1mb`.
    Bytes(u64, u64, fn(&Server, u64)),
}

const fn fixed(name: &'static str, get: fn(&Server) -> String) -> Parameter {
    Parameter { name, get, change: Change::Never }
}

macro_rules! setting {
    ($name:literal, $field:ident, $change:ident($min:expr, $max:expr)) => {
        Parameter {
            name: $name,
            get: |server| server.settings.$field.load(Ordering::Relaxed).to_string(),
            change: Change::$change($min, $max, |server, number| {
                server.settings.$field.store(number as _, Ordering::Relaxed);
            }),
        }
    };
}

const _: () = assert!(usize::BITS == u64::BITS, "a setting of either type holds the other's numbers");

/// Values and keys of more bytes than this cannot be told in a reply's length.
const LEN_MAX: u64 = i64::MAX as u64;
const TIMEOUT_MAX: u64 = i32::MAX as u64;

/// All parameters, by name. What Redis has and this server does not is told as it is: off.
static PARAMETERS: &[Parameter] = &[
    fixed("appendonly", |_| "no".to_owned()),
    fixed("cluster-enabled", |_| "no".to_owned()),
    fixed("databases", |_| "1".to_owned()),
    setting!("drain-timeout-ms", drain_timeout_ms, Number(0, TIMEOUT_MAX)),
    fixed("io-threads", |server| server.facts.workers.max(1).to_string()),
    setting!("key-len-max", key_len_max, Bytes(1, LEN_MAX)),
    setting!("maxclients", clients_max, Number(1, u32::MAX as u64)),
    fixed("maxmemory", |_| "0".to_owned()),
    fixed("maxmemory-policy", |_| "noeviction".to_owned()),
    setting!("output-stall-timeout-ms", output_stall_timeout_ms, Number(0, TIMEOUT_MAX)),
    fixed("port", |server| server.facts.tcp_port.to_string()),
    setting!("proto-max-bulk-len", value_len_max, Bytes(1, LEN_MAX)),
    fixed("requirepass", |_| String::new()),
    fixed("save", |_| String::new()),
    setting!("timeout", idle_timeout_s, Number(0, TIMEOUT_MAX)),
    fixed("unixsocket", |server| server.facts.unix_socket.clone().unwrap_or_default()),
];

fn get(_: &mut Session, server: &Server, request: Request<'_>) -> Result<Value, Error> {
    let mut found = Vec::new();
    for parameter in PARAMETERS {
        for pattern in request.skip(2).iter() {
            let matched = matches(pattern, parameter.name.as_bytes(), Case::Insensitive);
            if matched.map_err(|error| Error::text(format!("ERR {error}")))? {
                found.push((Value::text(parameter.name), Value::text((parameter.get)(server))));
                break;
            }
        }
    }
    Ok(Value::Map(found))
}

fn set(_: &mut Session, server: &Server, request: Request<'_>) -> Result<Value, Error> {
    if !request.len().is_multiple_of(2) {
        return Err(Error::SYNTAX);
    }
    let mut named: Vec<(&Parameter, &[u8])> = Vec::new();
    let mut args = request.skip(2).iter();
    let mut refusal = None;
    while let (Some(name), Some(value)) = (args.next(), args.next()) {
        let known = PARAMETERS.iter().find(|one| one.name.as_bytes().eq_ignore_ascii_case(name));
        let parameter = known.ok_or_else(|| {
            let name = String::from_utf8_lossy(name);
            Error::text(format!("ERR Unknown option or number of arguments for CONFIG SET - '{name}'"))
        })?;
        if named.iter().any(|(other, _)| other.name == parameter.name) {
            refusal.get_or_insert_with(|| failed(parameter, "duplicate parameter"));
        }
        named.push((parameter, value));
    }
    if let Some(refusal) = refusal {
        return Err(refusal);
    }
    // All are checked before the first is changed.
    let mut changes = Vec::new();
    for (parameter, value) in named {
        match parameter.change {
            Change::Number(min, max, apply) => {
                let number = parse_number(value)
                    .ok_or_else(|| failed(parameter, "argument couldn't be parsed into an integer"))?;
                changes.push((apply, in_bounds(parameter, number, min, max)?));
            }
            Change::Bytes(min, max, apply) => {
                let bytes =
                    parse_bytes(value).ok_or_else(|| failed(parameter, "argument must be a memory value"))?;
                changes.push((apply, in_bounds(parameter, i128::from(bytes), min, max)?));
            }
            // Tools write what is there already; that is no change.
            Change::Never if (parameter.get)(server).as_bytes().eq_ignore_ascii_case(value) => {}
            Change::Never => return Err(failed(parameter, "can't set immutable config")),
        }
    }
    changes.into_iter().for_each(|(apply, number)| apply(server, number));
    Ok(Value::Ok)
}

fn failed(parameter: &Parameter, reason: &str) -> Error {
    Error::text(format!(
        "ERR CONFIG SET failed (possibly related to argument '{}') - {reason}",
        parameter.name
    ))
}

fn in_bounds(parameter: &Parameter, number: i128, min: u64, max: u64) -> Result<u64, Error> {
    u64::try_from(number)
        .ok()
        .filter(|number| (min..=max).contains(number))
        .ok_or_else(|| failed(parameter, &format!("argument must be between {min} and {max} inclusive")))
}

fn parse_number(text: &[u8]) -> Option<i128> {
    crate::protocol::parse_i64(text).map(i128::from)
}

/// A number of bytes: digits and a unit of 1000s (`k`, `m`, `g`) or of 1024s (`kb`, `mb`, `gb`).
fn parse_bytes(text: &[u8]) -> Option<u64> {
    let digits_len = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(digits_len);
    let units: [(&[u8], u64); 8] = [
        (b"", 1),
        (b"b", 1),
        (b"k", 1000),
        (b"kb", 1 << 10),
        (b"m", 1_000_000),
        (b"mb", 1 << 20),
        (b"g", 1_000_000_000),
        (b"gb", 1 << 30),
    ];
    let (_, factor) = units.into_iter().find(|(name, _)| unit.eq_ignore_ascii_case(name))?;
    std::str::from_utf8(digits).ok()?.parse::<u64>().ok()?.checked_mul(factor)
}

fn resetstat(_: &mut Session, server: &Server, _: Request<'_>) -> Result<Value, Error> {
    server.stats.reset();
    server.tallies.reset();
    Ok(Value::Ok)
}

fn help(_: &mut Session, _: &Server, _: Request<'_>) -> Result<Value, Error> {
    Ok(container::help(
        "config",
        &[
            "GET <pattern>",
            "    Return parameters matching the glob-like <pattern> and their values.",
            "SET <directive> <value>",
            "    Set the configuration <directive> to <value>.",
            "RESETSTAT",
            "    Reset statistics reported by the INFO command.",
        ],
    ))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::{PARAMETERS, parse_bytes};
    use crate::command::testing::{Rig, expect};

    #[test]
    fn as_redis() {
        expect(&[
            ("CONFIG", "-ERR wrong number of arguments for 'config' command"),
            ("CONFIG foo", "-ERR unknown subcommand 'foo'. Try CONFIG HELP."),
            ("CONFIG GET", "-ERR wrong number of arguments for 'config|get' command"),
            ("CONFIG GET save", "*2 $4 save $0"),
            ("CONFIG GET appendonly", "*2 $10 appendonly $2 no"),
            ("CONFIG GET APPEND*LY", "*2 $10 appendonly $2 no"),
            ("CONFIG GET maxmemory maxmemory", "*2 $9 maxmemory $1 0"),
            ("CONFIG GET proto-max-bulk-len", "*2 $18 proto-max-bulk-len $9 536870912"),
            ("CONFIG GET nosuch", "*0"),
            ("CONFIG SET save \"\"", "+OK"),
            ("CONFIG SET appendonly no", "+OK"),
            ("CONFIG SET timeout 10 maxclients 99", "+OK"),
            ("CONFIG GET timeout", "*2 $7 timeout $2 10"),
            ("CONFIG GET maxclients", "*2 $10 maxclients $2 99"),
            (
                "CONFIG SET timeout 20 maxclients 0",
                "-ERR CONFIG SET failed (possibly related to argument 'maxclients') - argument must be between 1 and \
                 4294967295 inclusive",
            ),
            ("CONFIG GET timeout", "*2 $7 timeout $2 10"),
            ("CONFIG SET timeout 0 maxclients 10000", "+OK"),
            (
                "CONFIG SET timeout -1",
                "-ERR CONFIG SET failed (possibly related to argument 'timeout') - argument must be between 0 and \
                 2147483647 inclusive",
            ),
            (
                "CONFIG SET timeout x",
                "-ERR CONFIG SET failed (possibly related to argument 'timeout') - argument couldn't be parsed into an \
                 integer",
            ),
            (
                "CONFIG SET timeout 1 timeout 1",
                "-ERR CONFIG SET failed (possibly related to argument 'timeout') - duplicate parameter",
            ),
            (
                "CONFIG SET unixsocket x",
                "-ERR CONFIG SET failed (possibly related to argument 'unixsocket') - can't set immutable config",
            ),
            (
                "CONFIG SET proto-max-bulk-len x",
                "-ERR CONFIG SET failed (possibly related to argument 'proto-max-bulk-len') - argument must be a memory \
                 value",
            ),
            ("CONFIG SET proto-max-bulk-len 1mb", "+OK"),
            ("CONFIG GET proto-max-bulk-len", "*2 $18 proto-max-bulk-len $7 1048576"),
            ("CONFIG SET proto-max-bulk-len 512Mb", "+OK"),
            ("CONFIG GET proto-max-bulk-len", "*2 $18 proto-max-bulk-len $9 536870912"),
            ("CONFIG SET foo bar", "-ERR Unknown option or number of arguments for CONFIG SET - 'foo'"),
            (
                "CONFIG SET timeout 1 foo bar",
                "-ERR Unknown option or number of arguments for CONFIG SET - 'foo'",
            ),
            ("CONFIG SET timeout 1 timeout", "-ERR syntax error"),
            ("CONFIG SET timeout", "-ERR wrong number of arguments for 'config|set' command"),
            ("CONFIG RESETSTAT x", "-ERR wrong number of arguments for 'config|resetstat' command"),
            ("CONFIG RESETSTAT", "+OK"),
        ]);
    }

    #[test]
    fn settings_take_effect_and_what_is_fixed_stays() {
        let mut rig = Rig::new();
        rig.server.facts.tcp_port = 8080;
        rig.expect(&[
            ("CONFIG SET key-len-max 1k drain-timeout-ms 7", "+OK"),
            ("CONFIG GET key-len-max", "*2 $11 key-len-max $4 1000"),
            ("CONFIG GET p?rt", "*2 $4 port $4 8080"),
            ("CONFIG SET port 8080", "+OK"),
            (
                "CONFIG SET port 81",
                "-ERR CONFIG SET failed (possibly related to argument 'port') - can't set immutable config",
            ),
        ]);
        assert_eq!(rig.server.settings.key_len_max.load(Ordering::Relaxed), 1000);
        assert_eq!(rig.server.settings.drain_timeout_ms.load(Ordering::Relaxed), 7);
        rig.run("HELLO 3");
        assert!(rig.run("CONFIG GET *").starts_with(&format!("%{} $10 appendonly $2 no ", PARAMETERS.len())));
    }

    #[test]
    fn resetstat_sets_counters_to_0_but_not_those_of_the_engine() {
        let mut rig = Rig::new();
        rig.session.tally.open().hits = 5;
        rig.server.stats.output_bytes.store(5, Ordering::Relaxed);
        rig.server.stats.batches.store(5, Ordering::Relaxed);
        rig.expect(&[("CONFIG RESETSTAT", "+OK")]);
        assert_eq!(rig.server.tallies.sum().hits, 0);
        assert_eq!(rig.server.stats.output_bytes.load(Ordering::Relaxed), 0);
        assert_eq!(rig.server.stats.batches.load(Ordering::Relaxed), 5);
    }

    #[test]
    fn units_of_memory() {
        for (text, bytes) in [
            ("0", Some(0)),
            ("7b", Some(7)),
            ("2K", Some(2000)),
            ("2kb", Some(2048)),
            ("3m", Some(3_000_000)),
            ("3MB", Some(3 << 20)),
            ("1g", Some(1_000_000_000)),
            ("1gb", Some(1 << 30)),
            ("", None),
            ("mb", None),
            ("1tb", None),
            ("-1", None),
            ("1.5mb", None),
            ("18446744073709551615gb", None),
            ("18446744073709551616", None),
        ] {
            assert_eq!(parse_bytes(text.as_bytes()), bytes, "{text:?}");
        }
    }
}
