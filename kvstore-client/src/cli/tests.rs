//! Tests of the command line: which words become which request.

use super::*;

fn words(line: &str) -> Vec<String> {
    let line: Vec<OsString> =
        ["kvstore-client"].into_iter().chain(line.split(' ')).map(OsString::from).collect();
    let words = match parse(&line).unwrap().command {
        Some(Command::Data(data)) => data.words().unwrap(),
        Some(Command::Raw(raw)) => raw.words(),
        Some(Command::Engine(engine)) => engine.words(),
        Some(Command::Other(words)) => words.into_iter().map(data::bytes).collect(),
        command => panic!("no request: {command:?}"),
    };
    words.into_iter().map(|word| String::from_utf8(word).unwrap()).collect()
}

#[test]
fn the_definition_of_the_command_line_is_sound() {
    Cli::command().debug_assert();
}

/// A line with a digest in it.
fn pinned(line: &str) -> String {
    line.replace('#', &"0f".repeat(32))
}

#[test]
fn commands_become_requests() {
    for (line, request) in [
        ("get k", "GET k"),
        ("GET k", "GET k"),
        ("set k v", "SET k v"),
        ("put k v", "SET k v"),
        ("PUT k v", "SET k v"),
        ("set k -5", "SET k -5"),
        ("set k --json", "SET k --json"),
        ("set k v EX 10 NX", "SET k v EX 10 NX"),
        ("delete a b", "DEL a b"),
        ("del a", "DEL a"),
        ("exists a a", "EXISTS a a"),
        ("mget a b", "MGET a b"),
        ("mset a 1 b -2", "MSET a 1 b -2"),
        ("incr k", "INCR k"),
        ("incr k -5", "INCRBY k -5"),
        ("decr k", "DECR k"),
        ("decr k 5", "DECRBY k 5"),
        ("append k -x", "APPEND k -x"),
        ("strlen k", "STRLEN k"),
        ("expire k 10", "EXPIRE k 10"),
        ("expire k -1", "EXPIRE k -1"),
        ("expire --ms k 10 nx", "PEXPIRE k 10 nx"),
        ("ttl k", "TTL k"),
        ("ttl k --ms", "PTTL k"),
        ("persist k", "PERSIST k"),
        ("type k", "TYPE k"),
        ("keys a*", "KEYS a*"),
        ("keys", "KEYS *"),
        ("dbsize", "DBSIZE"),
        ("flush", "FLUSHALL"),
        ("ping", "PING"),
        ("ping hello", "PING hello"),
        ("get -- -k", "GET -k"),
        ("get k --json", "GET k"),
        ("raw get --json -h", "get --json -h"),
        ("raw test", "test"),
        ("object encoding --k", "object encoding --k"),
        ("PEXPIRE k 5", "PEXPIRE k 5"),
        ("ENGINE RELOAD x OPTS a=b", "ENGINE RELOAD x OPTS a=b"),
        ("--json incrby k -5", "incrby k -5"),
        ("engine reload a.so --probation 30s", "ENGINE RELOAD a.so PROBATION 30s"),
        (&pinned("engine reload a.so --migrate --sha256 #"), &pinned("ENGINE RELOAD a.so SHA256 # MIGRATE")),
        ("engine shadow a.so --sample 2.5 --opt x=1", "ENGINE SHADOW a.so SAMPLE 2.5 OPTS x=1"),
        ("engine promote", "ENGINE PROMOTE"),
        ("engine drop", "ENGINE DROP"),
        ("engine cancel", "ENGINE CANCEL"),
    ] {
        let request: Vec<_> = request.split(' ').collect();
        assert_eq!(words(line), request, "{line}");
    }
}

#[test]
fn what_makes_no_sense_is_refused() {
    for line in [
        "engine reload a.so --sha256 0f",
        "get",
        "get a b",
        "set k",
        "incr k x",
        "expire k soon",
        "expire k 1 maybe",
        "engine",
        "bench --rate 0",
        "bench --read-share 2",
        "bench --requests 5 --duration 1",
        "--json --raw ping",
        "--port x ping",
        "GET",
    ] {
        let line: Vec<OsString> =
            ["kvstore-client"].into_iter().chain(line.split(' ')).map(OsString::from).collect();
        assert!(parse(&line).is_err(), "{line:?}");
    }
}
