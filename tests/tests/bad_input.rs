//! Bad input: what no client should send or do. Each costs its own connection at most, has its reason in the log, and
//! leaves other clients served.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};

use kvstore_client::{Client, Pipeline, encode_command};
use tests::engines::Engine;
use tests::host::{Host, Options, patient};
use tests::on_each_engine;
use tests::show::{ask, expect, outcome};
use tests::wait::wait_until;

on_each_engine!(
    what_is_no_request_is_answered_and_closed,
    clients_that_hang_up_disturb_nobody,
    a_client_that_never_reads_is_bounded_and_closed,
    a_killed_host_starts_again,
);

const MIB: u64 = 1 << 20;

/// A connection without a client's knowledge of the protocol.
fn raw(host: &Host) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", host.port())).unwrap();
    stream.set_read_timeout(patient().reply).unwrap();
    stream
}

/// All that comes until the host closes the connection.
fn rest(mut stream: TcpStream) -> String {
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        Ok(_) => {}
        // The host did not read all that was sent: the system tells so by a reset.
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {}
        Err(error) => panic!("{error}"),
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

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
    let cases: [(&[u8], &str, &str); 12] = [
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
        // A web page that makes a browser send commands gets nothing, and its commands are not carried out.
        (
            b"POST / HTTP/1.1\r\nHost: localhost\r\n\r\nSET stolen yes\r\n",
            "",
            "Possible cross protocol scripting",
        ),
        (
            b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\nSET stolen yes\r\n",
            // What its first line asks for is answered, before the next one gives it away.
            "-ERR wrong number of arguments for 'get' command\r\n",
            "Possible cross protocol scripting",
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
    assert_eq!(ask(&mut old, "GET stolen"), "nil");
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
    declared_lengths_reserve_nothing(&host);
    served(&host, &mut old);
}

/// Many clients that declare much, within the limits, and send little.
fn declared_lengths_reserve_nothing(host: &Host) {
    let before = host.resident_bytes();
    let streams: Vec<TcpStream> = (0..32)
        .map(|_| {
            let mut stream = raw(host);
            stream.write_all(b"*1000000\r\n$3\r\nSET\r\n$1\r\na\r\n$536870912\r\nabc").unwrap();
            stream
        })
        .collect();
    wait_until("the host's reading", || host.info_number("connected_clients") > 32);
    let grown = host.resident_bytes().saturating_sub(before);
    assert!(grown < 32 * MIB, "{grown} bytes for 32 clients that sent some 50 bytes each");
    drop(streams);
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

fn a_client_that_never_reads_is_bounded_and_closed(engine: Engine) {
    const CLIENTS: usize = 4;
    const VALUE_LEN: usize = 4 << 20;
    // Some gigabytes of replies for each client.
    const REQUESTS: usize = 1_000;
    let host = Host::start_with(engine, &Options::config("output_stall_timeout_ms = 1500\nworkers = 2\n"));
    let mut old = host.client();
    old.set(b"big", &vec![b'x'; VALUE_LEN]).unwrap();
    let before = host.resident_bytes();
    let requests = "GET big\r\n".repeat(REQUESTS);
    let streams: Vec<TcpStream> = (0..CLIENTS)
        .map(|_| {
            let mut stream = raw(&host);
            stream.write_all(requests.as_bytes()).unwrap();
            stream
        })
        .collect();
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
    served(&host, &mut old);
    // What they held is given back.
    wait_until("the memory back", || host.resident_bytes() < before + bound / 2);
}

fn a_killed_host_starts_again(engine: Engine) {
    // Also its private copy of the engine stays behind; so it is made in this test's own directory.
    let dir = std::sync::Arc::new(tempfile::tempdir().unwrap());
    let library = engine.library(dir.path());
    let args = ["--engine", library.to_str().unwrap(), "--listen", "127.0.0.1:0", "--unix"];
    let socket = dir.path().join("host.sock");
    let mut options = Options::args(&args);
    options.args.push(socket.display().to_string());
    options.config = Some(format!("copies_dir = {:?}\n", dir.path().display().to_string()));
    let host = Host::start_in(std::sync::Arc::clone(&dir), &options);
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
    let host = Host::start_in(dir, &options);
    served(&host, &mut host.client());
    let mut connection = host.connection_to(&host.unix());
    let mut request = Vec::new();
    encode_command(&["PING"], &mut request);
    assert_eq!(connection.exchange(&request, 1).replies.len(), 1);
}
