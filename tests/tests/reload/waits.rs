//! A reload that waits for a transaction which has the engine to itself, however long that takes.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

use std::fs;
use std::time::{Duration, Instant};

use kvstore_client::{Connection, encode_command};
use tests::engines::{self, Engine};
use tests::host::{Host, Options, fields};
use tests::show::{ask, show};
use tests::wait::wait_until;

fn send(connection: &mut Connection, lines: &[&str]) {
    let mut requests = Vec::new();
    for line in lines {
        encode_command(&line.split(' ').collect::<Vec<_>>(), &mut requests);
    }
    connection.send(&requests).unwrap();
}

#[test]
fn a_transaction_may_take_longer_than_an_engine_to_open() {
    let host = Host::start_with(Engine::Memory, &Options::config("open_timeout_ms = 1000\n"));
    let gate = host.path("gate");
    let inside = host.path("gate.inside");
    let library = engines::that_waits("uint32_t from = 0, lent = 0;", &gate, host.dir());
    let mut client = host.client();
    let reply = ask(&mut client, &format!("ENGINE RELOAD {}", library.display()));
    assert!(reply.contains("c-example"), "{reply}");
    client.set(b"k", b"v").unwrap();

    fs::write(&gate, "").unwrap();
    let (mut transaction, mut reload) = (host.connection(), host.connection());
    send(&mut transaction, &["MULTI", "KEYS *", "EXEC"]);
    // Only then: the check of a reload looks at the live data, too.
    wait_until("the transaction that scans", || inside.exists());
    let memory = Engine::Memory.library(host.dir());
    send(&mut reload, &[&format!("ENGINE RELOAD {}", memory.display())]);
    wait_until("the engine that is opened", || host.engine_info()["reload_phase"] == "open");
    let since = Instant::now();
    wait_until("more time than an engine has to open", || {
        assert_eq!(host.engine_info()["reload_phase"], "open");
        since.elapsed() > Duration::from_millis(1500)
    });
    fs::remove_file(&gate).unwrap();
    let replies = [(); 3].map(|()| show(&transaction.receive().unwrap()));
    assert_eq!(replies, ["OK", "QUEUED", "[[\"k\"]]"]);
    assert_eq!(fields(reload.receive().unwrap())["engine"], "memory");
    assert_eq!(client.get(b"k").unwrap().as_deref(), Some(b"v".as_slice()));
}
