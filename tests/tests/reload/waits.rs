//! What a reload waits for: a transaction that has the engine to itself, however long that takes; calls that do not end, for a while.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use kvstore_client::{Connection, encode_command};
use tests::engines::{self, Engine};
use tests::host::{Host, Options, fields};
use tests::show::{ask, expect, show};
use tests::wait::wait_until;
use tests::zoo;

/// An engine of the zoo that waits while there is a file at the answered path.
fn gated(name: &str, dir: &Path) -> (PathBuf, PathBuf) {
    let gate = dir.join("gate");
    let library = zoo::accepted_with(name, dir, &[&format!("-DGATE=\"{}\"", gate.display())]);
    (library, gate)
}

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

/// Reads are not held back where data are copied, so they may still be in the old engine when the new one serves; here on all threads that there are for them.
#[test]
fn an_engine_whose_calls_do_not_end_is_left_open_and_its_reads_are_answered() {
    for more in ["MIGRATE", "PROBATION 10m"] {
        let dir = Arc::new(tempfile::tempdir().unwrap());
        let (library, gate) = gated("call_gated", dir.path());
        let config = Options::config("drain_timeout_ms = 500\nwatchdog_ms = 100\n");
        let host = Host::start_library(&dir, &library, &config);
        let (mut client, mut readers) = (host.client(), [(); 8].map(|()| host.connection()));
        client.set(b"k", b"v").unwrap();
        fs::write(&gate, "").unwrap();
        readers.iter_mut().for_each(|reader| send(reader, &["GET k"]));
        let hangs = |stuck: &str, number| stuck.contains(&format!("pool-{number} in get"));
        wait_until("the reads", || {
            let stuck = &host.engine_info()["calls_stuck"];
            (0..readers.len()).all(|number| hangs(stuck, number))
        });
        let memory = Engine::Memory.library(host.dir());
        let reply = ask(&mut client, &format!("ENGINE RELOAD {} {more}", memory.display()));
        assert!(reply.contains("\"previous_library\": \"kept: calls on it do not end\""), "{reply}");
        host.wait_for_log(&["generation 1 is kept: calls on it do not end"]);
        // There is no way back to it.
        let info = host.engine_info();
        assert_eq!((&*info["engine"], &*info["reload_phase"]), ("memory", "idle"));
        client.set(b"k", b"w").unwrap();
        assert_eq!(client.get(b"k").unwrap().as_deref(), Some(b"w".as_slice()));
        // Nor does anything wait for those threads.
        expect(&mut client, &[("MULTI", "OK"), ("DBSIZE", "QUEUED"), ("EXEC", "[1]")]);
        if more == "MIGRATE" {
            let log = host.stop();
            assert!(log.contains("engine closed, its library is unmapped"), "{log}");
            continue;
        }
        fs::remove_file(&gate).unwrap();
        for reader in &mut readers {
            assert_eq!(show(&reader.receive().unwrap()), "\"v\"");
            send(reader, &["GET k"]);
            assert_eq!(show(&reader.receive().unwrap()), "\"w\"");
        }
    }
}

#[test]
fn an_engine_that_does_not_open_in_time_is_given_up() {
    let host = Host::start_with(Engine::Memory, &Options::config("open_timeout_ms = 500\n"));
    let (library, gate) = gated("open_gated", host.dir());
    let mut client = host.client();
    client.set(b"k", b"v").unwrap();
    fs::write(&gate, "").unwrap();
    let mut reload = |library: &Path| ask(&mut client, &format!("ENGINE RELOAD {}", library.display()));
    let refusal = reload(&library);
    let why = "kv_open does not end; it was given up, and its thread is left behind";
    assert!(refusal.starts_with("!ERR reload refused: ") && refusal.contains(why), "{refusal}");
    // What is left behind is in nobody's way.
    let reply = reload(&Engine::Memory.library(host.dir()));
    assert!(reply.contains("\"generation\": 2"), "{reply}");
    fs::remove_file(&gate).unwrap();
    host.wait_for_log(&["Live(c-example", "was opened after it was given up; it is closed again"]);
    host.wait_for_log(&["the candidate Live(c-example", "unmapped"]);
    assert_eq!(host.engine_info()["engine"], "memory");
    assert_eq!(ask(&mut host.client(), "GET k"), "\"v\"");
}
