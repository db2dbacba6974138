//! Regressions: what was once broken, named after what it broke.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

use std::thread;

use kvstore_client::{Connection, Value};
use tests::engines::Engine;
use tests::host::Host;
use tests::on_each_engine;

on_each_engine!(
    a_pipeline_longer_than_its_output_room_is_answered_to_its_end,
    a_half_closed_client_gets_its_replies_and_the_end,
    writers_and_flushall_do_not_wait_for_each_other_for_ever
);

fn send(connection: &mut Connection, text: &str) {
    connection.send(text.as_bytes()).unwrap();
}

fn a_pipeline_longer_than_its_output_room_is_answered_to_its_end(engine: Engine) {
    let host = Host::start(engine);
    host.client().set(b"k", &[b'x'; 2000]).unwrap();
    let mut connection = host.connection();
    // More than is parsed at a time, and more replies than wait for a client.
    send(&mut connection, &"GET k\r\n".repeat(5000));
    for _ in 0..5000 {
        assert_eq!(connection.receive().unwrap(), Value::Bulk(vec![b'x'; 2000]));
    }
}

fn a_half_closed_client_gets_its_replies_and_the_end(engine: Engine) {
    let host = Host::start(engine);
    for round in 0..50 {
        let mut connection = host.connection();
        send(&mut connection, &format!("SET k {round}\r\nGET k\r\n"));
        connection.shutdown_write().unwrap();
        assert_eq!(connection.receive().unwrap(), Value::Simple(b"OK".to_vec()));
        assert_eq!(connection.receive().unwrap(), Value::Bulk(round.to_string().into_bytes()));
        assert!(connection.receive().is_err(), "the host closes as well");
    }
}

fn writers_and_flushall_do_not_wait_for_each_other_for_ever(engine: Engine) {
    let host = Host::start(engine);
    thread::scope(|scope| {
        for number in 0..4 {
            let mut client = host.client();
            scope.spawn(move || {
                for round in 0..300 {
                    if number == 0 {
                        client.call(&["FLUSHALL"]).unwrap();
                    } else {
                        client.call(&["INCR", &format!("k{}", round % 7)]).unwrap();
                    }
                }
            });
        }
    });
}

/// Replies that are put off are read again; nothing else may happen again with them.
#[test]
fn what_stands_behind_large_replies_happens_once() {
    let host = Host::start(Engine::Memory);
    let mut client = host.client();
    for key in ["a", "b", "c"] {
        client.set(key.as_bytes(), &vec![key.as_bytes()[0]; 10 << 20]).unwrap();
    }
    let mut connection = host.connection();
    send(
        &mut connection,
        "GET a\r\nGET b\r\nMULTI\r\nGET c\r\nINCR n\r\nEXEC\r\nGET a\r\nGET b\r\nINCR n\r\nGET n\r\nQUIT\r\n",
    );
    let large = |key: u8| Value::Bulk(vec![key; 10 << 20]);
    let simple = |text: &str| Value::Simple(text.as_bytes().to_vec());
    let expected = [
        large(b'a'),
        large(b'b'),
        simple("OK"),
        simple("QUEUED"),
        simple("QUEUED"),
        Value::Array(vec![large(b'c'), Value::Integer(1)]),
        large(b'a'),
        large(b'b'),
        Value::Integer(2),
        Value::Bulk(b"2".to_vec()),
        simple("OK"),
    ];
    for (number, expected) in expected.iter().enumerate() {
        let found = connection.receive().unwrap();
        assert!(found == *expected, "reply {number} is another one");
    }
}

/// However many writes stand among the reads of a pipeline, its replies do not pile up.
#[test]
fn a_pipeline_of_large_reads_and_writes_is_bounded() {
    let host = Host::start(Engine::Memory);
    let mut client = host.client();
    client.set(b"large", &vec![b'x'; 8 << 20]).unwrap();
    let before = host.resident_bytes();
    let mut connection = host.connection();
    send(&mut connection, &"GET large\r\nINCR n\r\n".repeat(100));
    let mut highest = 0;
    for _ in 0..100 {
        connection.receive().unwrap();
        connection.receive().unwrap();
        highest = highest.max(host.resident_bytes());
    }
    assert!(highest < before + (200 << 20), "{} MiB more", (highest - before) >> 20);
}
