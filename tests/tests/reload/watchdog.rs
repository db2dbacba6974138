//! Watchdog: a call of the engine that does not return is named, and whoever asks what is wrong gets an answer meanwhile.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::fs;

use kvstore_client::encode_command;
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
