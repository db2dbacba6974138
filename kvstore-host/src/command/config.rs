//! CONFIG: the settings by Redis' names, and the reset of the counters.

mod parameters;
mod rewrite;

use super::{Error, Session, container};
use crate::glob::{Case, matches};
use crate::protocol::{Request, Value};
use crate::server::Server;
use parameters::{Change, PARAMETERS, Parameter};
pub(super) use parameters::{memory_limit_bytes, memory_policy};

super::table::commands! { pub(super) static SUBCOMMANDS of "config" =
    "get"       -3 NO_KEYS [admin noscript loading stale] [] server "2.0.0" "Get the values of configuration parameters" "parameter [parameter ...]" => Session(get);
    "set"       -4 NO_KEYS [admin noscript loading stale] [] server "2.0.0" "Set configuration parameters to the given values" "parameter value [parameter value ...]" => Session(set);
    "rewrite"    2 NO_KEYS [admin noscript loading stale] [] server "2.8.0" "Rewrite the configuration file with the in memory configuration" "" => Keyspace { parse: rewrite::rewrite, writes: false };
    "resetstat"  2 NO_KEYS [admin noscript loading stale] [] server "2.0.0" "Reset the stats returned by INFO" "" => Session(resetstat);
    "help"       2 NO_KEYS [loading stale]                [] server "5.0.0" "Show helpful text about the different subcommands" "" => Session(help);
}

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
        let parameter = Parameter::find(name).ok_or_else(|| {
            let name = String::from_utf8_lossy(name);
            Error::text(format!("ERR Unknown option or number of arguments for CONFIG SET - '{name}'"))
        })?;
        if named.iter().any(|(other, _)| other.name == parameter.name) {
            refusal.get_or_insert_with(|| parameter.refuse("duplicate parameter"));
        }
        named.push((parameter, value));
    }
    if let Some(refusal) = refusal {
        return Err(refusal);
    }
    // All are checked before the first is changed.
    let changes: Vec<Change> = named
        .into_iter()
        .map(|(parameter, value)| parameter.parse(server, value))
        .collect::<Result<_, _>>()?;
    changes.into_iter().for_each(|change| change(server));
    Ok(Value::Ok)
}

/// Sets a parameter, as `CONFIG SET` does.
///
/// # Errors
/// There is none of that name, or it cannot have this value.
pub fn set_parameter(server: &Server, name: &str, value: &str) -> Result<(), Error> {
    let parameter = Parameter::find(name.as_bytes()).ok_or(Error::SYNTAX)?;
    parameter.parse(server, value.as_bytes())?(server);
    Ok(())
}

fn resetstat(_: &mut Session, server: &Server, _: Request<'_>) -> Result<Value, Error> {
    server.stats.reset();
    server.error_codes.reset();
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
            "REWRITE",
            "    Rewrite the configuration file.",
        ],
    ))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::PARAMETERS;
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
            (
                "CONFIG GET client-output-buffer-limit",
                "*2 $26 client-output-buffer-limit $76 normal 1073741824 0 0 slave 268435456 67108864 60 pubsub \
                 33554432 8388608 60",
            ),
            ("CONFIG SET client-output-buffer-limit \"pubsub 1mb 512kb 10 replica 1 2 3\"", "+OK"),
            ("CONFIG SET client-output-buffer-limit \"\"", "+OK"),
            ("CONFIG SET client-output-buffer-limit \"normal 1 2 3 normal 4 5 6\"", "+OK"),
            (
                "CONFIG GET client-output-buffer-limit",
                "*2 $26 client-output-buffer-limit $49 normal 4 5 6 slave 1 2 3 pubsub 1048576 524288 10",
            ),
            (
                "CONFIG SET client-output-buffer-limit \"master 0 0 0\"",
                "-ERR CONFIG SET failed (possibly related to argument 'client-output-buffer-limit') - Invalid client \
                 class specified in buffer limit configuration.",
            ),
            (
                "CONFIG SET client-output-buffer-limit \"normal 0 0\"",
                "-ERR CONFIG SET failed (possibly related to argument 'client-output-buffer-limit') - Wrong number of \
                 arguments in buffer limit configuration.",
            ),
            (
                "CONFIG SET client-output-buffer-limit \"pubsub 7 7 7 normal 0 0 -1\"",
                "-ERR CONFIG SET failed (possibly related to argument 'client-output-buffer-limit') - Error in hard, \
                 soft or soft_seconds setting in buffer limit configuration.",
            ),
            ("CONFIG GET notify-keyspace-events", "*2 $22 notify-keyspace-events $0"),
            ("CONFIG SET notify-keyspace-events KEA", "+OK"),
            ("CONFIG GET notify-keyspace-events", "*2 $22 notify-keyspace-events $3 AKE"),
            (
                "CONFIG SET notify-keyspace-events foo",
                "-ERR CONFIG SET failed (possibly related to argument 'notify-keyspace-events') - Invalid event class \
                 character. Use 'Ag$lshzxeKEtmdn'.",
            ),
            ("CONFIG SET notify-keyspace-events \"\"", "+OK"),
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
    fn what_the_engine_was_opened_with_is_told_and_stays() {
        let mut rig = Rig::new();
        let refused = |name: &str| {
            format!(
                "-ERR CONFIG SET failed (possibly related to argument '{name}') - the engine gets it when it is opened: \
                 ENGINE RELOAD OPTS {name}=..., with all other options, opens it anew and keeps the data"
            )
        };
        let none = "*4 $9 maxmemory $1 0 $16 maxmemory-policy $10 noeviction";
        rig.expect(&[
            ("CONFIG GET maxmemory*", none),
            ("CONFIG SET maxmemory 0 maxmemory-policy NoEviction", "+OK"),
            ("CONFIG SET maxmemory 100mb", &refused("maxmemory")),
            ("CONFIG SET maxmemory-policy allkeys-lru", &refused("maxmemory-policy")),
        ]);
        let option = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        rig.server
            .engine_options
            .set(&[option("maxmemory", "100Mb"), option("maxmemory-policy", "volatile-ttl")]);
        rig.expect(&[
            ("CONFIG GET maxmemory*", "*4 $9 maxmemory $9 104857600 $16 maxmemory-policy $12 volatile-ttl"),
            ("CONFIG SET maxmemory 100mb", "+OK"),
            ("CONFIG SET maxmemory 104857600 maxmemory-policy volatile-ttl", "+OK"),
            ("CONFIG SET maxmemory 0", &refused("maxmemory")),
        ]);
    }

    #[test]
    fn resetstat_sets_counters_to_0_but_not_those_of_the_engine() {
        let mut rig = Rig::new();
        rig.session.tally.open().hits = 5;
        rig.server.stats.output_bytes.add(5);
        rig.server.stats.batches.add(5);
        rig.expect(&[("CONFIG RESETSTAT", "+OK")]);
        assert_eq!(rig.server.tallies.sum().hits, 0);
        assert_eq!(rig.server.stats.output_bytes.get(), 0);
        assert_eq!(rig.server.stats.batches.get(), 5);
    }
}
