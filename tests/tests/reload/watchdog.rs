//! Watchdog: a call of the engine that does not return is named, and whoever asks what is wrong gets an answer meanwhile.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::fs;

use kvstore_client::{Connection, encode_command};
use tests::engines::{self, Engine};
use tests::host::{Host, Options};
use tests::show::{ask, show};
use tests::wait::wait_until;

#[test]
fn a_call_that_does_not_return_is_named_while_others_are_served() {
    let options = Options { args: ["--workers", "2"].map(str::to_owned).to_vec(), ..Options::default() };
    let host = Host::start_with(
        Engine::Memory,
        &Options { config: Some("watchdog_ms = 50\n".to_owned()), ..options },
    );
    let gate = host.path("gate");
    let library = engines::that_waits(
        "kv_status kv_delete(kv_engine *engine, const kv_op *op, kv_error *error) {",
        &gate,
        host.dir(),
    );
    let reply = ask(&mut host.client(), &format!("ENGINE RELOAD {}", library.display()));
    assert!(reply.contains("c-example"), "{reply}");
    assert_eq!(host.engine_info()["calls_stuck"], "[]");

    fs::write(&gate, "").unwrap();
    let mut stuck = host.connection();
    let mut request = Vec::new();
    encode_command(&["DEL", "k"], &mut request);
    stuck.send(&request).unwrap();
    host.wait_for_log(&["ERROR", "engine c-example, generation 2: worker-", "in del has not returned for"]);
    // Each of these is a new client: it comes to the other worker.
    for _ in 0..8 {
        let calls = &host.engine_info()["calls_stuck"];
        assert!(
            calls.contains("in del for ") && calls.contains("engine c-example, generation 2: worker-"),
            "{calls}"
        );
    }
    fs::remove_file(&gate).unwrap();
    assert_eq!(show(&stuck.receive().unwrap()), "0");
    host.wait_for_log(&["WARN", "in del has returned, after "]);
    wait_until("nothing that is stuck", || host.engine_info()["calls_stuck"] == "[]");
}

#[test]
fn where_no_worker_returns_another_one_answers_and_changes_the_engine_later() {
    let args = ["--workers", "1"].map(str::to_owned).to_vec();
    let config = Some("watchdog_ms = 50\ndrain_timeout_ms = 300\n".to_owned());
    let host = Host::start_with(Engine::Memory, &Options { args, config, ..Options::default() });
    let gate = host.path("gate");
    let waits = engines::that_waits(
        "kv_status kv_delete(kv_engine *engine, const kv_op *op, kv_error *error) {",
        &gate,
        host.dir(),
    );
    host.client().set(b"kept", b"yes").unwrap();
    ask(&mut host.client(), &format!("ENGINE RELOAD {}", waits.display()));

    fs::write(&gate, "").unwrap();
    let send = |connection: &mut Connection, words: &[&str]| {
        let mut request = Vec::new();
        encode_command(words, &mut request);
        connection.send(&request).unwrap();
    };
    let request = |words: &[&str]| {
        let mut connection = host.connection();
        send(&mut connection, words);
        connection
    };
    let mut stuck = request(&["DEL", "k"]);
    host.wait_for_log(&["ERROR", "worker-0 in del has not returned for"]);
    assert!(host.engine_info()["calls_stuck"].contains("worker-0 in del for "));
    host.wait_for_log(&[
        "WARN",
        "no worker returns from the engine; new clients come to another one, worker-1",
    ]);
    // What asks for the engine waits for it, and keeps nobody else from being answered.
    let (mut waiting, mut counting) = (request(&["DEL", "kept"]), request(&["DBSIZE"]));
    let mut client = host.client();
    assert_eq!(ask(&mut client, "PING"), "PONG");
    let memory = Engine::Memory.library(host.dir());
    let refused = ask(&mut client, &format!("ENGINE RELOAD {}", memory.display()));
    assert!(refused.contains("reload refused"), "{refused}");

    fs::remove_file(&gate).unwrap();
    assert_eq!(
        (show(&stuck.receive().unwrap()), show(&waiting.receive().unwrap())),
        ("0".into(), "1".into())
    );
    wait_until("nothing that is stuck", || host.engine_info()["calls_stuck"] == "[]");
    counting.receive().unwrap();
    assert_eq!(ask(&mut client, "SET back yes"), "OK");
    // What only that worker has under way is waited for, too.
    fs::write(&gate, "").unwrap();
    send(&mut waiting, &["DEL", "kept"]);
    wait_until("a call that is stuck", || host.engine_info()["calls_stuck"].contains("pool-"));
    let refused = ask(&mut host.client(), &format!("ENGINE RELOAD {} MIGRATE", memory.display()));
    assert!(refused.contains("writes under way did not end in time"), "{refused}");
    fs::remove_file(&gate).unwrap();
    assert_eq!(show(&waiting.receive().unwrap()), "0");
    // Both workers pass the cutover, that of this client too.
    let reply = ask(&mut client, &format!("ENGINE RELOAD {}", memory.display()));
    assert!(reply.contains("unmapped"), "{reply}");
    assert_eq!(
        (ask(&mut client, "GET back"), ask(&mut host.client(), "EXISTS kept back")),
        ("\"yes\"".into(), "1".into())
    );
    // This client and those that waited are that worker's.
    assert!(ask(&mut client, "INFO threads").contains("io_thread_1:clients=3"));
}
