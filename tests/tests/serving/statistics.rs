//! Statistics: what the host tells of its commands and settings, and that redis-cli reads it.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::process::Command;

use kvstore_client::Client;
use tests::engines::Engine;
use tests::host::{Host, Options};
use tests::show::{ask, expect, show};
use tests::terminal::Terminal;

/// The fields of a line of INFO, by its name: `calls=2,usec=7`.
fn info_line(client: &mut Client, section: &str, name: &str) -> String {
    let info = client.call(&["INFO", section]).unwrap();
    let text = String::from_utf8_lossy(info.as_bytes().unwrap()).into_owned();
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name}:")).map(str::to_owned));
    line.unwrap_or_else(|| format!("no {name} in {text}"))
}

#[test]
fn a_pipeline_is_counted_by_request_and_noted_once_when_it_is_slow() {
    let host = Host::start(Engine::Memory);
    let mut client = host.client();
    expect(&mut client, &[("CONFIG SET slowlog-log-slower-than 0", "OK"), ("SLOWLOG RESET", "OK")]);
    let mut connection = host.connection();
    connection.send(b"SET a 1\r\nGET a\r\nGET a\r\n").unwrap();
    (0..3).for_each(|_| drop(connection.receive().unwrap()));
    let noted = ask(&mut client, "SLOWLOG GET 2");
    let whole = "[\"SET\" \"a\" \"1\" \"... (2 more requests of the same batch)\"]";
    assert!(noted.contains(whole), "{noted}");
    // EXEC is not noted, also not along with what was only queued.
    connection.send(b"MULTI\r\nSET quiet 1\r\n").unwrap();
    (0..2).for_each(|_| drop(connection.receive().unwrap()));
    connection.send(b"GET quiet\r\nEXEC\r\n").unwrap();
    (0..2).for_each(|_| drop(connection.receive().unwrap()));
    let noted = ask(&mut client, "SLOWLOG GET 10");
    assert!(!noted.contains("EXEC") && noted.contains("quiet"), "{noted}");

    expect(&mut client, &[("CONFIG RESETSTAT", "OK"), ("CONFIG SET slowlog-log-slower-than -1", "OK")]);
    connection
        .send(b"SET a x\r\nGET a\r\nGET none\r\nINCR a\r\nGET\r\nNOSUCH\r\nMULTI\r\nGET a\r\nEXEC\r\n")
        .unwrap();
    (0..9).for_each(|_| drop(connection.receive().unwrap()));
    let get = info_line(&mut client, "commandstats", "cmdstat_get");
    assert!(get.starts_with("calls=3,usec=") && get.ends_with(",rejected_calls=1,failed_calls=0"), "{get}");
    let incr = info_line(&mut client, "commandstats", "cmdstat_incr");
    assert!(incr.starts_with("calls=1,") && incr.ends_with(",rejected_calls=0,failed_calls=1"), "{incr}");
    assert!(info_line(&mut client, "commandstats", "cmdstat_exec").starts_with("calls=1,"));
    assert_eq!(info_line(&mut client, "errorstats", "errorstat_ERR"), "count=3");
    assert_eq!(info_line(&mut client, "stats", "total_error_replies"), "3");
    assert_eq!(info_line(&mut client, "stats", "keyspace_hits"), "2");
    assert_eq!(info_line(&mut client, "stats", "keyspace_misses"), "1");
    assert!(info_line(&mut client, "latencystats", "latency_percentiles_usec_get").starts_with("p50="));
    assert!(ask(&mut client, "LATENCY HISTOGRAM get").starts_with("{\"get\": {\"calls\": 3, "));
}

#[test]
fn a_store_that_is_full_says_so_or_makes_room_and_tells_it() {
    let limited = |policy: &str| {
        let policy = format!("maxmemory-policy={policy}");
        Host::start_with(
            Engine::Memory,
            &Options::args(&["--engine-opt", "maxmemory=200kb", "--engine-opt", &policy]),
        )
    };
    // 3,001 entries; the first error, if there is one.
    let fill = |client: &mut Client| {
        (0..=3000).find_map(|n| client.call(&["SET", &format!("key:{n}"), &"v".repeat(200)]).err())
    };
    let host = limited("noeviction");
    let mut client = host.client();
    let refused = fill(&mut client).unwrap().to_string();
    assert!(refused.contains("OOM command not allowed when used memory > 'maxmemory'."), "{refused}");
    expect(
        &mut client,
        &[("APPEND key:0 x", "!OOM command not allowed when used memory > 'maxmemory'."), ("DEL key:0", "1")],
    );
    assert_eq!(info_line(&mut client, "memory", "maxmemory"), (200 << 10).to_string());
    assert_eq!(info_line(&mut client, "memory", "maxmemory_policy"), "noeviction");
    assert_eq!(info_line(&mut client, "stats", "evicted_keys"), "0");

    let host = limited("allkeys-lru");
    let (mut client, mut listener) = (host.client(), host.connection());
    expect(&mut client, &[("CONFIG SET notify-keyspace-events Ee", "OK")]);
    listener.send(b"SUBSCRIBE __keyevent@0__:evicted\r\n").unwrap();
    drop(listener.receive().unwrap());
    assert!(fill(&mut client).is_none());
    let evicted: u64 = info_line(&mut client, "stats", "evicted_keys").parse().unwrap();
    let left: u64 = ask(&mut client, "DBSIZE").parse().unwrap();
    assert!(evicted > 1000 && evicted + left == 3001, "{evicted} evicted, {left} left");
    assert_eq!(info_line(&mut client, "memory", "maxmemory_policy"), "allkeys-lru");
    let message = show(&listener.receive().unwrap());
    assert!(message.contains(":evicted\" \"key:"), "{message}");
}

/// What a memory limit is tuned with: redis-cli sees the live engine's, is told how to change it, and that changes it.
#[test]
fn a_memory_limit_is_told_and_changed_by_a_reload_that_keeps_the_data() {
    let options = Options::args(&["--engine-opt", "maxmemory=50mb", "--engine-opt", "shards=8"]);
    let host = Host::start_with(Engine::Memory, &options);
    let cli = |line: &str| {
        let mut command = Command::new("redis-cli");
        let output = command.args(["-p", &host.port().to_string()]).args(line.split(' ')).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    };
    assert_eq!(cli("SET a 1"), "OK");
    assert_eq!(cli("CONFIG GET maxmemory*"), "maxmemory\n52428800\nmaxmemory-policy\nnoeviction");
    assert_eq!(cli("CONFIG SET maxmemory 50mb"), "OK");
    let refused = cli("CONFIG SET maxmemory-policy allkeys-lru");
    assert!(refused.contains("ENGINE RELOAD OPTS maxmemory-policy=..., with all other options"), "{refused}");
    let reloaded = cli("ENGINE RELOAD OPTS shards=8 maxmemory=1gb maxmemory-policy=allkeys-lru");
    assert!(reloaded.contains("handoff\nadopt"), "{reloaded}");
    assert_eq!(cli("CONFIG GET maxmemory*"), "maxmemory\n1073741824\nmaxmemory-policy\nallkeys-lru");
    let mut client = host.client();
    assert_eq!(info_line(&mut client, "memory", "maxmemory"), (1 << 30).to_string());
    expect(&mut client, &[("GET a", "\"1\"")]);
    let told = info_line(&mut client, "engine", "engine_stat_memory_limit_bytes");
    assert_eq!(told, (1 << 30).to_string(), "what the engine itself says");
}

#[test]
fn what_takes_long_is_a_spike_of_latency() {
    let host = Host::start_with(Engine::Delayed, &Options::args(&["--engine-opt", "delay_us=20000"]));
    let mut client = host.client();
    expect(
        &mut client,
        &[("CONFIG SET latency-monitor-threshold 5", "OK"), ("SET a 1", "OK"), ("GET a", "\"1\"")],
    );
    let latest = ask(&mut client, "LATENCY LATEST");
    assert!(latest.contains("\"command\"") && latest.contains("\"fast-command\""), "{latest}");
    assert!(ask(&mut client, "LATENCY DOCTOR").contains("- command: in "));
    assert!(ask(&mut client, "SLOWLOG GET").contains("[\"GET\" \"a\"]"));
}

#[test]
fn the_rewritten_configuration_is_read_at_the_next_start() {
    let text = "# Ours.\nidle_timeout_s = 100 # short\n";
    let host = Host::start_with(Engine::Memory, &Options::config(text));
    let set = "CONFIG SET timeout 200 maxclients 77 latency-tracking no slowlog-log-slower-than -1";
    expect(&mut host.client(), &[(set, "OK"), ("CONFIG REWRITE", "OK")]);
    let rewritten = std::fs::read_to_string(host.path("host.toml")).unwrap();
    assert!(rewritten.starts_with("# Ours.\nidle_timeout_s = 200 # short\n"), "{rewritten}");
    host.stop();
    let host = Host::start_with(Engine::Memory, &Options::config(&rewritten));
    let told =
        ask(&mut host.client(), "CONFIG GET timeout maxclients latency-tracking slowlog-log-slower-than");
    for value in ["\"timeout\": \"200\"", "\"maxclients\": \"77\"", "\"latency-tracking\": \"no\"", "\"-1\""]
    {
        assert!(told.contains(value), "{value} in {told}");
    }
}

/// redis-cli asks for COMMAND DOCS when it starts on a terminal, and shows hints made of the arguments told there.
#[test]
fn redis_cli_hints_at_arguments() {
    let host = Host::start(Engine::Memory);
    let mut command = Command::new("redis-cli");
    command.env("TERM", "xterm").env("HOME", host.dir()).args(["-p", &host.port().to_string()]);
    let mut terminal = Terminal::start(&mut command, (24, 160));
    terminal.expect_line(&format!("127.0.0.1:{}>", host.port()));
    for (typed, hint) in [
        ("EXPIRE ", "EXPIRE key seconds [NX|XX|GT|LT]"),
        ("CLIENT KILL ", "CLIENT KILL ip:port|[ID client-id]"),
        ("MSET a ", "MSET a value [key value ...]"),
    ] {
        terminal.type_in(typed);
        terminal.expect(hint);
        // Ctrl-U takes the line back.
        terminal.type_in("\u{15}");
    }
}
