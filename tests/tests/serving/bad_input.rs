//! Bad input: what no client should send or do. Each costs its own connection at most, has its reason in the log, and
//! leaves other clients served.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};

use kvstore_client::{Client, Pipeline, encode_command};
use tests::engines::Engine;
use tests::host::{Host, Options};
use tests::on_each_engine;
use tests::show::{ask, expect, outcome};
use tests::wait::wait_until;
use tests::wire::{raw, rest};

on_each_engine!(
    what_is_no_request_is_answered_and_closed,
    clients_that_hang_up_disturb_nobody,
    a_killed_host_starts_again,
);

/// A client that was there before is served as before, and so is a new one.
fn served(host: &Host, old: &mut Client) {
    expect(old, &[("SET served yes", "OK"), ("GET served", "\"yes\"")]);
    expect(&mut host.client(), &[("GET served", "\"yes\""), ("DEL served", "1")]);
}

fn what_is_no_request_is_answered_and_closed(engine: Engine) {
    let host = Host::start(engine);
    let mut old = host.client();
    let long_line = vec![b'a'; 70_000];
    let many = format!("*{}\r\n", 3_000_000);
    let cases: [(&[u8], &str, &str); 10] = [
        // A bulk longer than a value may be, to the length of which nobody waits.
        (
            b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$3221225472\r\nabc",
            "-ERR Protocol error: invalid bulk length\r\n",
            "invalid bulk length",
        ),
        (b"*2\r\n$-5\r\n", "-ERR Protocol error: invalid bulk length\r\n", "invalid bulk length"),
        (b"*1\r\n+PING\r\n", "-ERR Protocol error: expected '$', got '+'\r\n", "expected '$', got '+'"),
        (b"*nonsense\r\n", "-ERR Protocol error: invalid multibulk length\r\n", "invalid multibulk length"),
        (many.as_bytes(), "-ERR Protocol error: invalid multibulk length\r\n", "invalid multibulk length"),
        (
            b"*99999999999999999999999\r\n",
            "-ERR Protocol error: invalid multibulk length\r\n",
            "invalid multibulk length",
        ),
        (&long_line, "-ERR Protocol error: too big inline request\r\n", "too big inline request"),
        (b"SET a \"b\r\n", "-ERR Protocol error: unbalanced quotes in request\r\n", "unbalanced quotes"),
        (b"SET a 'b'c\r\n", "-ERR Protocol error: unbalanced quotes in request\r\n", "unbalanced quotes"),
        // What came before is answered.
        (
            b"PING\r\nECHO x\r\n*1\r\n!\r\n",
            "+PONG\r\n$1\r\nx\r\n-ERR Protocol error: expected '$', got '!'\r\n",
            "got '!'",
        ),
    ];
    for (sent, answer, reason) in cases {
        let from = host.log.len();
        let mut stream = raw(&host);
        // The host may close before all of it is sent.
        let _ = stream.write_all(sent);
        let shown = sent[..sent.len().min(60)].escape_ascii().to_string();
        let got = rest(stream);
        assert_eq!(got, answer, "{shown}");
        host.wait_for_log_after(from, &["WARN", " closed: ", reason]);
        served(&host, &mut old);
    }
    // Requests that are well-formed and mean nothing cost not even the connection.
    let mut connection = host.client();
    for garbage in [&b"\x00\xff\xfe"[..], b"$5", b"%%%", b"\x1b[2J"] {
        let reply = outcome(connection.call(&[garbage]));
        assert!(reply.starts_with("!ERR unknown command '"), "{reply}");
    }
    let words: Vec<String> = (0..10_000).map(|number| number.to_string()).collect();
    let with = |name: &str| [&[name.to_owned()], &words[..]].concat();
    assert!(outcome(connection.call(&with("NOSUCH"))).starts_with("!ERR unknown command 'NOSUCH'"));
    assert!(outcome(connection.call(&with("GET"))).starts_with("!ERR wrong number of arguments"));
    assert_eq!(outcome(connection.call(&with("MSET"))), "OK");
    assert_eq!(outcome(connection.call(&with("EXISTS"))), "5000");
    assert_eq!(outcome(connection.call(&with("DEL"))), "5000");
    served(&host, &mut old);
}

fn clients_that_hang_up_disturb_nobody(engine: Engine) {
    let host = Host::start(engine);
    let mut old = host.client();
    let half = b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$5\r\nhal";
    let from = host.log.len();
    raw(&host).write_all(half).unwrap();
    host.wait_for_log_after(from, &["closed: it hung up in the middle of a request"]);
    served(&host, &mut old);
    assert_eq!(ask(&mut old, "GET a"), "nil");

    // A client that sends, says that it will send no more, and reads on, gets all its replies.
    let mut stream = raw(&host);
    stream.write_all(b"PING\r\nSET a 1\r\nGET a\r\n").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(rest(stream), "+PONG\r\n+OK\r\n$1\r\n1\r\n");

    // One that takes a part of its replies and is gone.
    old.set(b"big", &vec![b'x'; 1 << 20]).unwrap();
    for _ in 0..3 {
        let from = host.log.len();
        let mut stream = raw(&host);
        stream.write_all("GET big\r\n".repeat(200).as_bytes()).unwrap();
        let mut part = vec![0; 100_000];
        stream.read_exact(&mut part).unwrap();
        drop(stream);
        // Unread bytes make the system send a reset: its text is the reason.
        host.wait_for_log_after(from, &["closed: ", "os error"]);
        served(&host, &mut old);
    }

    let descriptors = || std::fs::read_dir(format!("/proc/{}/fd", host.pid())).unwrap().count();
    let before = descriptors();
    for number in 0..1_000 {
        let stream = raw(&host);
        if number % 3 == 0 {
            (&stream).write_all(b"PING\r\n").unwrap();
        }
    }
    wait_until("the end of 1,000 connections", || descriptors() <= before + 1);
    wait_until("the end of 1,000 clients", || host.info_number("connected_clients") == 2);
    served(&host, &mut old);
}

fn a_killed_host_starts_again(engine: Engine) {
    // Also its private copy of the engine stays behind; so it is made in this test's own directory.
    let dir = std::sync::Arc::new(tempfile::tempdir().unwrap());
    let library = engine.library(dir.path());
    let socket = dir.path().join("host.sock");
    let options = Options::config(&format!("copies_dir = {:?}\n", dir.path().display().to_string()));
    let host = Host::start_library(&dir, &library, &options);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let mut client = host.client_over(host.unix(), kvstore_client::Protocol::Resp3);
            let stop = &stop;
            scope.spawn(move || {
                let mut pipeline = Pipeline::new();
                (0..16).for_each(|number| {
                    pipeline.add(&["INCR", &number.to_string()]);
                });
                while !stop.load(Ordering::Relaxed) {
                    let replies = client.run(&pipeline);
                    if !replies.is_ok_and(|replies| replies.iter().all(Result::is_ok)) {
                        break;
                    }
                }
            });
        }
        wait_until("some load", || host.info_number("total_commands_processed") > 1_000);
        host.kill();
        stop.store(true, Ordering::Relaxed);
    });
    assert!(socket.exists(), "a host that is killed leaves its socket's file behind");
    assert!(UnixStream::connect(&socket).is_err());
    let host = Host::start_library(&dir, &library, &options);
    served(&host, &mut host.client());
    let mut connection = host.connection_to(&host.unix());
    let mut request = Vec::new();
    encode_command(&["PING"], &mut request);
    assert_eq!(connection.exchange(&request, 1).replies.len(), 1);
}
