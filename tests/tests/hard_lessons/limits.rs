//! Limits: what clients may make the host hold, and what numbers and patterns may make it do.

use std::io::{Read, Write};
use std::net::TcpStream;

use kvstore_client::Client;
use tests::engines::Engine;
use tests::host::{Host, Options};
use tests::on_each_engine;
use tests::show::{ask, expect, outcome};
use tests::wait::wait_until;
use tests::wire::raw;

on_each_engine!(memory_before_authentication_output, integer_overflow, glob_patterns);

const MIB: u64 = 1 << 20;

/// As many descriptors as the system grants: each client of a test needs one here as well.
fn raise_descriptor_limit() {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: a place for the answer, and then a valid limit.
    unsafe {
        assert_eq!(libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit), 0);
        limit.rlim_cur = limit.rlim_max;
        assert_eq!(libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit), 0);
    }
}

/// Clients that have sent these bytes, all of which the host has read.
fn clients_that_sent(host: &Host, count: usize, bytes: &[u8]) -> Vec<TcpStream> {
    let before = host.info_number("total_net_input_bytes");
    let streams: Vec<TcpStream> = (0..count)
        .map(|_| {
            let mut stream = raw(host);
            stream.write_all(bytes).unwrap();
            stream
        })
        .collect();
    let sent = (count * bytes.len()) as u64;
    wait_until("the host's reading", || host.info_number("total_net_input_bytes") >= before + sent);
    streams
}

/// Those that have come and are not seen by their worker yet count, too.
#[test]
fn a_burst_of_clients() {
    let host = Host::start_with(Engine::Memory, &Options::config("clients_max = 5\n"));
    let mut client = host.client();
    let streams: Vec<TcpStream> = (0..50).map(|_| raw(&host)).collect();
    wait_until("all of them", || ask(&mut client, "INFO stats").contains("rejected_connections:46"));
    drop(streams);
    wait_until("room", || ask(&mut client, "INFO clients").contains("connected_clients:1\\r"));
    expect(&mut host.client(), &[("PING", "PONG")]);
}

#[test]
fn declared_sizes() {
    const CLIENTS: usize = 1_000;
    raise_descriptor_limit();
    let host = Host::start(Engine::Memory);
    let before = host.resident_bytes();
    for declared in ["*3\r\n$3\r\nSET\r\n$1\r\na\r\n$536870912\r\nabc", "*1048576\r\n$536870912\r\n"] {
        let streams = clients_that_sent(&host, CLIENTS, declared.as_bytes());
        // What is asked here is read, too, and counts.
        wait_until("all clients", || host.info_number("connected_clients") > CLIENTS as u64);
        let grown = host.resident_bytes().saturating_sub(before);
        assert!(grown < 64 * MIB, "{} MiB for {CLIENTS} clients that sent some 40 bytes each", grown / MIB);
        drop(streams);
        wait_until("their end", || host.info_number("connected_clients") < 3);
    }
}

/// What a client sends costs a small multiple of itself, also as the parts of a request that never ends.
#[test]
fn memory_before_authentication() {
    const CLIENTS: usize = 4;
    let host = Host::start(Engine::Memory);
    let half_a_value =
        [b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$536870912\r\n".to_vec(), vec![b'x'; 8 << 20]].concat();
    let many_args = [b"*1048576\r\n".to_vec(), b"$0\r\n\r\n".repeat(1_000_000)].concat();
    let many_queued = [b"MULTI\r\n".to_vec(), b"SET a b\r\n".repeat(200_000)].concat();
    for (what, sent) in [("a value", half_a_value), ("arguments", many_args), ("a transaction", many_queued)]
    {
        let before = host.resident_bytes();
        let streams = clients_that_sent(&host, CLIENTS, &sent);
        let grown = host.resident_bytes().saturating_sub(before);
        let all = (CLIENTS * sent.len()) as u64;
        assert!(grown < 8 * all + 64 * MIB, "{} MiB for {} MiB of {what}", grown / MIB, all / MIB);
        expect(&mut host.client(), &[("PING", "PONG")]);
        drop(streams);
        wait_until("their end", || host.info_number("connected_clients") < 3);
    }
}

/// Who listens and never reads is closed when too much waits for it, and costs no more than that.
#[test]
fn memory_before_authentication_messages() {
    let host = Host::start(Engine::Memory);
    let mut client = host.client();
    let message = "x".repeat(1 << 20);
    for (listen, say) in
        [("SUBSCRIBE news", ["PUBLISH", "news"].as_slice()), ("MONITOR", ["ECHO"].as_slice())]
    {
        let before = host.resident_bytes();
        let from = host.log.len();
        let mut listener = raw(&host);
        listener.write_all(format!("{listen}\r\n").as_bytes()).unwrap();
        let mut told = [0; 5];
        listener.read_exact(&mut told).unwrap();
        let mut most = before;
        wait_until("the end of who does not read", || {
            client.call(&[say, &[message.as_str()]].concat()).unwrap();
            most = most.max(host.resident_bytes());
            host.log.find_after(from, &["closed: ", "client-output-buffer-limit allows"]).is_some()
        });
        // The limit is 32 MiB, in buffers that grow by doubling.
        assert!(most - before < 128 * MIB, "{listen}: {} MiB more than before", (most - before) / MIB);
    }
}

/// What a client watches takes work in proportion to it: with a look at all others for each key, this would not end.
#[test]
fn memory_before_authentication_watched() {
    let host = Host::start(Engine::Memory);
    let keys: Vec<String> = (0..200_000).map(|number| format!("key:{number}")).collect();
    let mut client = host.client();
    for _ in 0..2 {
        assert_eq!(outcome(client.call(&[&["WATCH".to_owned()], &keys[..]].concat())), "OK");
    }
    expect(&mut host.client(), &[("SET key:199999 changed", "OK")]);
    expect(&mut client, &[("MULTI", "OK"), ("GET key:0", "QUEUED"), ("EXEC", "nil")]);
}

/// A client that never reads is bounded, and closed in the end.
fn memory_before_authentication_output(engine: Engine) {
    const CLIENTS: usize = 4;
    const VALUE_LEN: usize = 4 << 20;
    // Some gigabytes of replies for each client.
    const REQUESTS: usize = 1_000;
    let host = Host::start_with(engine, &Options::config("output_stall_timeout_ms = 1500\nworkers = 2\n"));
    let mut old = host.client();
    old.set(b"big", &vec![b'x'; VALUE_LEN]).unwrap();
    let before = host.resident_bytes();
    let streams = clients_that_sent(&host, CLIENTS, "GET big\r\n".repeat(REQUESTS).as_bytes());
    let mut most = before;
    let mut closed = 0;
    wait_until("the end of those that do not read", || {
        most = most.max(host.resident_bytes());
        // Others are served all the while.
        expect(&mut old, &[("PING", "PONG"), ("STRLEN big", &VALUE_LEN.to_string())]);
        closed = host.log.text().matches("closed: it took none of its replies for ").count();
        closed == CLIENTS
    });
    // For each client the host has replies of some 16 MiB ready, in a buffer that grows by doubling.
    let bound = CLIENTS as u64 * 48 * MIB;
    assert!(most - before < bound, "{} MiB more than before", (most - before) / MIB);
    drop(streams);
    expect(&mut host.client(), &[("SET served yes", "OK"), ("GET served", "\"yes\"")]);
    // What they held is given back.
    wait_until("the memory back", || host.resident_bytes() < before + bound / 2);
}

/// Around each border between what fits a type and what does not.
const OFFSETS: [&str; 14] = [
    "1048576",
    "536870911",
    "536870912",
    "2147483647",
    "2147483648",
    "4294967295",
    "4294967296",
    "4294967297",
    "34359738368",
    "9223372036854775806",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
];

fn integer_overflow(engine: Engine) {
    let host = Host::start_with(engine, &Options::args(&["--value-len-max", "1048576"]));
    let mut client = host.client();
    let before = host.resident_bytes();
    expect(&mut client, &[("SET k abc", "OK"), ("SET n 9223372036854775807", "OK"), ("SET f 1e308", "OK")]);
    for offset in OFFSETS {
        for sign in ["", "-"] {
            for request in ["SETRANGE k @ x", "SETBIT k @8 1", "SETRANGE none @ x", "SETBIT none @8 1"] {
                let request = request.replace('@', &format!("{sign}{offset}"));
                let reply = ask(&mut client, &request);
                assert!(reply.starts_with("!ERR "), "{request}: {reply}");
            }
            for request in [
                "GETRANGE k @ @",
                "GETRANGE k 0 @",
                "SUBSTR k @ -1",
                "GETBIT k @",
                "BITCOUNT k @ @",
                "BITCOUNT k 0 @ BIT",
            ] {
                let request = request.replace('@', &format!("{sign}{offset}"));
                let reply = ask(&mut client, &request);
                assert!(reply.len() < 100 && !reply.contains("unknown command"), "{request}: {reply}");
            }
        }
    }
    expect(
        &mut client,
        &[
            ("GET k", "\"abc\""),
            ("EXISTS none", "0"),
            ("INCR n", "!ERR increment or decrement would overflow"),
            ("INCRBY n 9223372036854775807", "!ERR increment or decrement would overflow"),
            ("DECRBY n -9223372036854775808", "!ERR decrement would overflow"),
            ("INCRBYFLOAT f 1e5000", "!ERR value is not a valid float"),
            ("GET n", "\"9223372036854775807\""),
        ],
    );
    // A value grows to its limit, and not by a byte beyond.
    client.set(b"full", &vec![b'x'; 1 << 20]).unwrap();
    for request in
        ["APPEND full y", "SETRANGE full 1048575 xy", "SETRANGE full 1048576 y", "SETBIT full 8388608 1"]
    {
        let reply = ask(&mut client, request);
        assert!(reply.starts_with("!ERR "), "{request}: {reply}");
    }
    expect(&mut client, &[("SETRANGE full 1048575 y", "1048576"), ("STRLEN full", "1048576")]);
    if engine.expires() {
        for offset in OFFSETS.iter().filter(|offset| offset.len() > 18) {
            for request in [
                "EXPIRE k @",
                "PEXPIRE k @",
                "EXPIREAT k @",
                "SET k v EX @",
                "SET k v PX @",
                "GETEX k EX @",
                "SETEX k @ v",
            ] {
                let request = request.replace('@', offset);
                let reply = ask(&mut client, &request);
                assert!(reply.starts_with("!ERR "), "{request}: {reply}");
            }
        }
        expect(&mut client, &[("GET k", "\"abc\""), ("TTL k", "-1")]);
    }
    let grown = host.resident_bytes().saturating_sub(before);
    assert!(grown < 64 * MIB, "{} MiB for a few bytes", grown / MIB);
}

/// A pattern that takes too much is given up after a set number of steps, whatever it is for; others are served meanwhile.
fn glob_patterns(engine: Engine) {
    const TOO_MUCH: &str = "!ERR the pattern takes too much work to match";
    let host = Host::start(engine);
    let (mut client, mut other) = (host.client(), host.client());
    let key = "a".repeat(65_536);
    client.set(key.as_bytes(), b"v").unwrap();
    let quadratic = format!("*{}b", "a".repeat(30_000));
    let brackets = format!("*[{}]b", "x".repeat(60_000));
    let classic = format!("{}b", "a*".repeat(1_000));
    let stars = "*".repeat(1_000_000);
    let bracket = "[".repeat(1_000_000);
    let mut call = |args: &[&str]| {
        let reply = outcome(client.call(args));
        expect(&mut other, &[("PING", "PONG")]);
        reply
    };
    let lists: [&[&str]; 2] = [&["KEYS"], &["SCAN", "0", "COUNT", "1000", "MATCH"]];
    for command in lists {
        let with = |pattern| [command, &[pattern]].concat();
        assert_eq!(call(&with(&quadratic)), TOO_MUCH, "{command:?}");
        assert_eq!(call(&with(&brackets)), TOO_MUCH, "{command:?}");
        for pattern in [&classic, &bracket] {
            assert!(
                call(&with(pattern)).ends_with("[]") || call(&with(pattern)).ends_with("[]]"),
                "{command:?}"
            );
        }
        assert!(call(&with(&stars)).contains("aaaa"), "{command:?}");
    }
    for pattern in [&quadratic, &brackets, &classic, &stars, &bracket] {
        for command in [&["CONFIG", "GET"][..], &["COMMAND", "LIST", "FILTERBY", "PATTERN"]] {
            let reply = call(&[command, &[pattern]].concat());
            assert!(reply == TOO_MUCH || !reply.starts_with('!'), "{command:?}: {reply}");
        }
    }
    subscribers_by_pattern(&host, &mut other, &[&quadratic, &brackets, &classic, &stars, &bracket], &key);
}

/// Whoever publishes pays for the patterns of others, so each of these is bounded too.
fn subscribers_by_pattern(host: &Host, client: &mut Client, patterns: &[&String], channel: &str) {
    let mut subscribers: Vec<_> = patterns.iter().map(|pattern| (host.connection(), pattern)).collect();
    for (connection, pattern) in &mut subscribers {
        let mut request = Vec::new();
        kvstore_client::encode_command(&["PSUBSCRIBE", pattern.as_str()], &mut request);
        connection.send(&request).unwrap();
        connection.receive().unwrap();
    }
    let received = outcome(client.call(&["PUBLISH", channel, "message"]));
    assert_eq!(received, "1", "the million stars match");
    expect(client, &[("PING", "PONG"), ("PUBLISH a message", "1")]);
}
