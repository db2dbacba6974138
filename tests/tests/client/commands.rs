//! Client commands: clients that are closed, paused or not answered, by themselves or by others, on every engine.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use kvstore_client::{Client, Connection, Error, encode_command};
use tests::engines::Engine;
use tests::host::Host;
use tests::on_each_engine;
use tests::show::{ask, expect, show};
use tests::wait::wait_until;

on_each_engine!(
    killed_clients,
    paused_writes,
    a_pause_of_all_and_a_reload_beside_it,
    replies_that_are_not_wanted
);

/// Requests, each a line of plain words, as they are sent.
fn encoded(lines: &[&str]) -> Vec<u8> {
    let mut bytes = Vec::new();
    lines.iter().for_each(|line| encode_command(&line.split_whitespace().collect::<Vec<_>>(), &mut bytes));
    bytes
}

/// Sends requests, and waits for no reply.
fn send(connection: &mut Connection, lines: &[&str]) {
    connection.send(&encoded(lines)).unwrap();
}

fn receive(connection: &mut Connection) -> String {
    show(&connection.receive().unwrap())
}

/// Waits until the host holds requests of so many clients back.
fn wait_until_held(admin: &mut Client, clients: usize) {
    wait_until(format!("requests of {clients} clients that wait"), || {
        let list = admin.call(&["CLIENT", "LIST"]).unwrap().into_bytes().unwrap();
        let list = String::from_utf8(list).unwrap();
        list.lines().filter(|line| !line.contains(" argv-mem=0 ")).count() == clients
    });
}

fn killed_clients(engine: Engine) {
    let host = Host::start(engine);
    let mut admin = host.client();
    for address in [host.tcp(), host.unix()] {
        let mut other = host.connection_to(&address);
        send(&mut other, &["CLIENT ID"]);
        let id = receive(&mut other);
        assert_eq!(ask(&mut admin, &format!("CLIENT KILL ID {id}")), "1");
        assert!(matches!(other.receive(), Err(Error::Closed | Error::Io { .. })));
        wait_until("it is gone", || ask(&mut admin, &format!("CLIENT LIST ID {id}")) == "\"\"");
        assert_eq!(ask(&mut admin, &format!("CLIENT KILL ID {id}")), "0");
    }
    // Who asks for its own end hears that it was granted; what stands behind it is not carried out.
    let mut own = host.connection();
    send(&mut own, &["CLIENT ID"]);
    let id = receive(&mut own);
    send(&mut own, &["SET before 1", &format!("CLIENT KILL ID {id} SKIPME no"), "SET behind 1"]);
    assert_eq!((receive(&mut own), receive(&mut own)), ("OK".to_owned(), "1".to_owned()));
    assert!(matches!(own.receive(), Err(Error::Closed)));
    expect(&mut admin, &[("EXISTS before", "1"), ("EXISTS behind", "0"), ("CLIENT KILL TYPE normal", "0")]);
}

fn paused_writes(engine: Engine) {
    let host = Host::start(engine);
    let mut admin = host.client();
    expect(&mut admin, &[("SET n 0", "OK"), ("CLIENT PAUSE 600000 WRITE", "OK")]);
    let lines = ["INCR n", "GET n", "MULTI", "INCR n", "EXEC"];
    let mut writers: Vec<Connection> = (0..8).map(|_| host.connection()).collect();
    writers.iter_mut().for_each(|writer| send(writer, &lines));
    wait_until_held(&mut admin, writers.len());
    // Messages wait with them, as in Redis: this one reaches who subscribes before the end of the pause.
    let mut publisher = host.connection();
    send(&mut publisher, &["PUBLISH channel message"]);
    wait_until_held(&mut admin, writers.len() + 1);
    let mut listener = host.connection();
    send(&mut listener, &["SUBSCRIBE channel"]);
    receive(&mut listener);
    // Reads go on, also in a transaction; nothing has been written.
    expect(
        &mut admin,
        &[
            ("GET n", "\"0\""),
            ("MULTI", "OK"),
            ("GET n", "QUEUED"),
            ("EXEC", "[\"0\"]"),
            ("CLIENT UNPAUSE", "OK"),
        ],
    );
    for writer in &mut writers {
        let replies: Vec<String> = (0..lines.len()).map(|_| receive(writer)).collect();
        assert_eq!((&*replies[2], &*replies[3]), ("OK", "QUEUED"), "{replies:?}");
    }
    expect(&mut admin, &[("GET n", "\"16\"")]);
    assert_eq!(receive(&mut publisher), "1");
}

fn a_pause_of_all_and_a_reload_beside_it(engine: Engine) {
    let host = Host::start(engine);
    let mut admin = host.client();
    expect(&mut admin, &[("SET n 0", "OK")]);
    let mut connection = host.connection();
    // What stands before it is answered. Nothing else is, not even UNPAUSE, as in Redis; the pause ends by itself.
    send(&mut connection, &["GET n", "CLIENT PAUSE 300 ALL", "INCR n", "GET n"]);
    assert_eq!((receive(&mut connection), receive(&mut connection)), ("\"0\"".to_owned(), "OK".to_owned()));
    assert_eq!((receive(&mut connection), receive(&mut connection)), ("1".to_owned(), "\"1\"".to_owned()));

    // The engine is replaced while writes wait; they go to the new one.
    expect(&mut admin, &[("CLIENT PAUSE 600000 WRITE", "OK")]);
    send(&mut connection, &["INCR n"]);
    wait_until_held(&mut admin, 1);
    assert!(!ask(&mut admin, "ENGINE RELOAD").starts_with('!'));
    expect(&mut admin, &[("GET n", "\"1\""), ("CLIENT UNPAUSE", "OK")]);
    assert_eq!(receive(&mut connection), "2");
    assert_eq!(host.engine_info()["generation"], "2");
}

fn replies_that_are_not_wanted(engine: Engine) {
    let host = Host::start(engine);
    let mut connection = host.connection();
    let mut said = |lines: &[&str], replies: &[&str]| {
        send(&mut connection, lines);
        // Whatever was left out, this is the next reply.
        send(&mut connection, &["ECHO end"]);
        for reply in replies.iter().chain(&["\"end\""]) {
            assert_eq!(receive(&mut connection), *reply, "{lines:?}");
        }
    };
    said(&["CLIENT REPLY SKIP", "PING", "PING"], &["PONG"]);
    said(&["CLIENT REPLY SKIP", "KEYS *", "DBSIZE"], &["0"]);
    said(&["CLIENT REPLY OFF", "SET a 1", "GET a", "NOSUCH", "KEYS *", "CLIENT REPLY ON"], &["OK"]);
    said(&["CLIENT REPLY SKIP", "CLIENT REPLY ON", "GET a"], &["OK", "\"1\""]);
    said(&["CLIENT REPLY OFF", "MULTI", "INCR a", "EXEC", "CLIENT REPLY ON", "GET a"], &["OK", "\"2\""]);
    said(&["CLIENT REPLY OFF", "CLIENT REPLY SKIP", "PING", "PING", "CLIENT REPLY ON"], &["OK"]);
}
