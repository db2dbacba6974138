//! The client library against a small server: commands, both protocols, lost connections, long pipelines.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test may stop at the first surprise, in its helpers too"
)]

mod support;

use kvstore_client::{
    Address, Backoff, Client, Connection, DecodeError, Error, Interrupt, Limits, Options, Pipeline, Protocol,
    ScanFilter, TimeToLive, Value, Wait,
};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use support::{Action, Server, is, text};

fn options() -> Options {
    let backoff = Backoff { retries: 3, first_ms: 1, max_ms: 2 };
    Options { backoff, ..Options::default() }
}

fn client(server: &Server) -> Client {
    Client::connect(server.address(), options()).unwrap()
}

/// Does `action` with the first request called `name` and answers all others.
fn once(name: &'static str, action: Action) -> impl Fn(&[Vec<u8>]) -> Action + Send + Sync {
    let action = std::sync::Mutex::new(Some(action));
    move |words| {
        let first = is(words, name).then(|| action.lock().unwrap().take()).flatten();
        first.unwrap_or(Action::Answer)
    }
}

#[test]
fn everyday_commands_have_types_in_both_protocols() {
    for protocol in [Protocol::Resp2, Protocol::Resp3] {
        let server = Server::start();
        let mut client = Client::connect(server.address(), Options { protocol, ..options() }).unwrap();
        assert_eq!(client.protocol(), protocol);
        client.ping().unwrap();
        assert_eq!(client.get(b"k").unwrap(), None);
        client.set(b"k", b"\0\r\n").unwrap();
        assert_eq!(client.get(b"k").unwrap().as_deref(), Some(&b"\0\r\n"[..]));
        assert_eq!(client.append(b"k", b"x").unwrap(), 4);
        assert_eq!(client.value_len(b"k").unwrap(), 4);
        assert_eq!(client.increment(b"n", -5).unwrap(), -5);
        client.set_many(&[(b"a", b"1"), (b"b", b"2")]).unwrap();
        let values = client.get_many(&[b"b", b"none", b"a"]).unwrap();
        assert_eq!(values, [Some(b"2".to_vec()), None, Some(b"1".to_vec())]);
        assert_eq!(client.exists(&[b"a", b"none"]).unwrap(), 1);
        assert_eq!(client.time_to_live(b"none").unwrap(), TimeToLive::Absent);
        assert_eq!(client.time_to_live(b"a").unwrap(), TimeToLive::Forever);
        assert!(client.expire(b"a", Duration::from_secs(100)).unwrap());
        assert!(matches!(client.time_to_live(b"a").unwrap(), TimeToLive::Left(left) if left.as_secs() > 50));
        assert!(client.persist(b"a").unwrap());
        client.set_for(b"c", b"3", Duration::from_secs(100)).unwrap();
        assert!(matches!(client.time_to_live(b"c").unwrap(), TimeToLive::Left(_)));
        let keys: Result<Vec<_>, _> = client.scan(ScanFilter::default()).collect();
        assert_eq!(keys.unwrap(), [b"a", b"b", b"c", b"k", b"n"]);
        assert_eq!(client.delete(&[b"a", b"b", b"none"]).unwrap(), 2);
        assert_eq!(client.count().unwrap(), 3);
        assert!(client.info(None).unwrap().contains("name:fake"));
        client.flush().unwrap();
        assert_eq!(server.store.lock().unwrap().len(), 0);
    }
}

#[test]
fn an_error_reply_is_typed_and_the_connection_goes_on() {
    let server = Server::start();
    let mut client = client(&server);
    client.set(b"k", b"x").unwrap();
    let Err(Error::Reply(reply)) = client.increment(b"k", 1) else { panic!("no error reply") };
    assert_eq!(reply.code, "ERR");
    assert_eq!(reply.message, "value is not an integer or out of range");
    assert_eq!(client.get(b"k").unwrap().as_deref(), Some(&b"x"[..]));
    assert!(matches!(client.delete(&[]), Ok(0)));
}

#[test]
fn a_host_without_resp3_is_spoken_to_in_resp2() {
    for refusal in ["-ERR unknown command 'HELLO'\r\n", "-NOPROTO unsupported protocol version\r\n"] {
        let server = Server::start_with(once("HELLO", Action::Say(refusal)));
        let mut client = client(&server);
        assert_eq!(client.protocol(), Protocol::Resp2);
        client.ping().unwrap();
    }
}

#[test]
fn a_host_that_takes_no_more_clients_is_heard() {
    let server = Server::start_with(|_| Action::Say("-ERR max number of clients reached\r\n"));
    let error = Client::connect(server.address(), options()).unwrap_err();
    assert!(
        matches!(&error, Error::Refused { reply, .. } if reply.message.contains("max number")),
        "{error}"
    );
}

#[test]
fn a_request_whose_reply_was_lost_is_not_repeated_and_its_outcome_is_unknown() {
    let server = Server::start_with(once("INCRBY", Action::CarryOutAndHangUp));
    let mut client = client(&server);
    let error = client.increment(b"n", 1).unwrap_err();
    assert!(matches!(&error, Error::OutcomeUnknown { cause } if matches!(**cause, Error::Closed)), "{error}");
    assert!(error.outcome_is_unknown());
    assert_eq!(
        client.get(b"n").unwrap().as_deref(),
        Some(&b"1"[..]),
        "carried out once, and connected again"
    );
    assert_eq!(client.increment(b"n", 1).unwrap(), 2);
}

#[test]
fn a_read_whose_reply_was_lost_is_repeated() {
    let server = Server::start_with(once("GET", Action::HangUp));
    let mut client = client(&server);
    client.set(b"k", b"v").unwrap();
    assert_eq!(client.get(b"k").unwrap().as_deref(), Some(&b"v"[..]));
    assert_eq!(server.requests(), ["SET k v", "GET k", "GET k"]);
}

#[test]
fn a_read_is_repeated_only_as_often_as_allowed() {
    let server = Server::start_with(|words| if is(words, "GET") { Action::HangUp } else { Action::Answer });
    let mut client = client(&server);
    assert!(matches!(client.get(b"k"), Err(Error::Closed)));
    assert_eq!(server.requests().len(), 4, "once, and three retries");
}

#[test]
fn a_host_that_hung_up_on_an_idle_client_costs_no_request_its_outcome() {
    let server = Server::start_with(once("PING", Action::AnswerAndHangUp));
    let mut client = client(&server);
    client.ping().unwrap();
    server.wait_for_hang_up();
    for number in 1..=3 {
        let result = client.increment(b"n", 1);
        assert!(matches!(result, Ok(sum) if sum == number), "{result:?}");
    }
}

#[test]
fn an_open_transaction_is_never_continued_on_another_connection() {
    let server = Server::start_with(once("PING", Action::HangUp));
    let mut client = client(&server);
    client.call(&["MULTI"]).unwrap();
    assert!(client.is_in_transaction());
    client.call(&["SET", "k", "v"]).unwrap();
    assert!(client.call_repeatable(&["PING"]).is_err(), "a repeat would be outside of the transaction");
    assert!(!client.is_in_transaction());
    assert_eq!(client.get(b"k").unwrap(), None);
}

#[test]
fn a_transaction_lost_while_idle_is_reported_before_anything_is_sent() {
    let server = Server::start_with(once("WATCH", Action::AnswerAndHangUp));
    let mut client = client(&server);
    client.call(&["WATCH", "k"]).unwrap();
    server.wait_for_hang_up();
    assert!(matches!(client.call(&["SET", "k", "v"]), Err(Error::TransactionLost)));
    assert_eq!(server.requests(), ["WATCH k"]);
    client.set(b"k", b"v").unwrap();
}

#[test]
fn silence_ends_in_a_timeout() {
    let server = Server::start_with(|words| if is(words, "HELLO") { Action::Answer } else { Action::Ignore });
    let reply = Some(Duration::from_millis(30));
    let wait = Wait { reply, ..Wait::default() };
    let mut client =
        Client::connect(server.address(), Options { wait, backoff: Backoff::NONE, ..options() }).unwrap();
    assert!(matches!(client.get(b"k"), Err(Error::Timeout { .. })));
    let error = client.set(b"k", b"v").unwrap_err();
    assert!(
        matches!(&error, Error::OutcomeUnknown { cause } if matches!(**cause, Error::Timeout { .. })),
        "{error}"
    );
}

#[test]
fn a_late_reply_is_never_taken_for_the_next_requests() {
    let server = Server::start_with(once("GET", Action::Ignore));
    let wait = Wait { reply: Some(Duration::from_millis(30)), ..Wait::default() };
    let options = Options { wait, backoff: Backoff::NONE, ..options() };
    let mut client = Client::connect(server.address(), options).unwrap();
    assert!(client.get(b"k").is_err());
    assert_eq!(text(client.call(&["ECHO", "mine"]).unwrap()), "mine");
}

#[test]
fn what_is_not_the_protocol_is_said_so() {
    let server = Server::start_with(once("GET", Action::Say("HTTP/1.1 400 Bad Request\r\n")));
    let mut client = client(&server);
    let error = client.get(b"k").unwrap_err();
    assert!(matches!(error, Error::Protocol { cause: DecodeError::UnknownType { kind: b'H' } }), "{error}");
    assert_eq!(client.get(b"k").unwrap(), None);
}

#[test]
fn a_pipeline_is_answered_in_order() {
    let server = Server::start();
    let mut pipeline = Pipeline::new();
    pipeline.add(&["SET", "k", "x"]).add(&["INCR", "k"]).add(&["GET", "k"]);
    let results = client(&server).run(&pipeline).unwrap();
    assert!(matches!(&results[0], Ok(Value::Simple(ok)) if ok == b"OK"));
    assert!(matches!(&results[1], Err(Error::Reply(reply)) if reply.code == "ERR"));
    assert!(matches!(&results[2], Ok(Value::Bulk(value)) if value == b"x"));
}

#[test]
fn a_pipeline_cut_in_the_middle_tells_what_is_known_of_each_request() {
    let server = Server::start_with(once("APPEND", Action::CarryOutAndHangUp));
    let mut pipeline = Pipeline::new();
    pipeline.add(&["INCR", "n"]).add(&["APPEND", "n", "0"]).add(&["INCR", "n"]);
    let results = client(&server).run(&pipeline).unwrap();
    assert!(matches!(results[0], Ok(Value::Integer(1))), "{results:?}");
    assert!(matches!(results[1], Err(Error::OutcomeUnknown { .. })), "{results:?}");
    assert!(matches!(results[2], Err(Error::OutcomeUnknown { .. })), "{results:?}");
    assert_eq!(server.store.lock().unwrap().value(b"n").as_deref(), Some(&b"10"[..]));
}

#[test]
fn a_long_pipeline_and_its_long_replies_do_not_wait_for_each_other() {
    let server = Server::start();
    let value = "v".repeat(64 * 1024);
    let mut pipeline = Pipeline::new();
    for _ in 0..512 {
        pipeline.add(&["ECHO", &value]);
    }
    let results = client(&server).run(&pipeline).unwrap();
    assert_eq!(results.len(), 512);
    assert!(results.into_iter().all(|result| result.unwrap().as_bytes() == Some(value.as_bytes())));
}

#[test]
fn a_long_raw_send_takes_the_replies_in_meanwhile() {
    let server = Server::start();
    let mut connection = Connection::connect(&server.address(), Wait::default(), Limits::default()).unwrap();
    let request = format!("*2\r\n$4\r\nECHO\r\n$65536\r\n{}\r\n", "v".repeat(65_536));
    connection.send(request.repeat(256).as_bytes()).unwrap();
    for _ in 0..256 {
        assert_eq!(text(connection.receive().unwrap()).len(), 65_536);
    }
}

#[test]
fn a_raw_connection_sends_and_receives_any_bytes() {
    let server = Server::start_with(once("PING", Action::Say("?!\0\r\n")));
    let mut connection = Connection::connect(&server.address(), Wait::default(), Limits::default()).unwrap();
    connection.send(b"PING\r").unwrap();
    connection.send(b"\n").unwrap();
    connection.shutdown_write().unwrap();
    let (mut received, mut buffer) = (Vec::new(), [0; 3]);
    while let len @ 1.. = connection.receive_raw(&mut buffer).unwrap() {
        received.extend_from_slice(&buffer[..len]);
    }
    assert_eq!(received, b"?!\0\r\n");
}

#[test]
fn pushes_are_kept_apart_from_replies() {
    let server =
        Server::start_with(once("GET", Action::Say(">2\r\n+news\r\n:1\r\n$1\r\nv\r\n>1\r\n+more\r\n")));
    let mut client = client(&server);
    assert_eq!(client.get(b"k").unwrap().as_deref(), Some(&b"v"[..]));
    client.ping().unwrap();
    let pushes = client.take_pushes();
    assert_eq!(pushes.len(), 2);
    assert_eq!(pushes[0], Value::Push(vec![Value::Simple(b"news".to_vec()), Value::Integer(1)]));
}

#[test]
fn a_reply_that_nobody_asked_for_makes_the_connection_unusable() {
    let server = Server::start_with(once("PING", Action::Say("+PONG\r\n+PONG\r\n")));
    let mut client = client(&server);
    client.ping().unwrap();
    assert_eq!(text(client.call_repeatable(&["ECHO", "mine"]).unwrap()), "mine");
}

#[test]
fn a_unix_socket_serves_as_well_and_may_come_later() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let address = Address::unix(&path);
    let error = Client::connect(address.clone(), options()).unwrap_err();
    assert!(matches!(error, Error::Connect { .. }), "{error}");
    let backoff = Backoff { retries: u32::MAX, first_ms: 1, max_ms: 5 };
    let retries = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let later = scope.spawn(|| {
            retries.fetch_add(1, Ordering::Relaxed);
            Client::new(address, Options { backoff, ..options() }).ping()
        });
        while retries.load(Ordering::Relaxed) == 0 {
            std::thread::yield_now();
        }
        let _server = Server::start_unix(&path);
        later.join().unwrap().unwrap();
    });
}

#[test]
fn nobody_there_is_an_error_that_names_the_address() {
    // A port that was chosen and given back could be somebody else's by then; this one is never given to who asks for any.
    let error = Client::connect(Address::tcp("127.0.0.1", 1), options()).unwrap_err();
    assert!(error.to_string().starts_with("cannot connect to 127.0.0.1:1: "), "{error}");
}

#[test]
fn a_request_that_was_not_sent_whole_is_repeated() {
    // This server reads a little and hangs up, so that a long request cannot have arrived whole; the second connection is served.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = Address::tcp("127.0.0.1", listener.local_addr().unwrap().port());
    let serving = std::thread::spawn(move || {
        let (mut first, _) = listener.accept().unwrap();
        first.read_exact(&mut [0; 1_000]).unwrap();
        drop(first);
        let (mut second, _) = listener.accept().unwrap();
        let mut len = 0;
        let mut buffer = vec![0; 1 << 20];
        while len < 64 << 20 {
            len += second.read(&mut buffer).unwrap();
        }
        std::io::Write::write_all(&mut second, b"+OK\r\n").unwrap();
    });
    let mut client = Client::new(address, Options { protocol: Protocol::Resp2, ..options() });
    client.set(b"k", &vec![b'v'; 64 << 20]).unwrap();
    serving.join().unwrap();
}

#[test]
fn a_wait_is_broken_off_by_an_interrupt_and_the_next_call_connects_anew() {
    let server = Server::start_with(|words| if is(words, "SLOW") { Action::Ignore } else { Action::Answer });
    let (read, write) = UnixStream::pair().unwrap();
    let interrupt = Some(Interrupt::new(read.try_clone().unwrap()));
    let options = Options { interrupt, ..Options::default() };
    let mut client = Client::connect(server.address(), options).unwrap();
    (&write).write_all(b"x").unwrap();
    let error = client.call(&["SLOW"]).unwrap_err();
    assert!(error.outcome_is_unknown() && error.to_string().contains("broken off"), "{error}");
    (&read).read_exact(&mut [0]).unwrap();
    assert_eq!(client.connections_opened(), 1);
    client.set(b"k", b"v").unwrap();
    assert_eq!(client.connections_opened(), 2);
}
