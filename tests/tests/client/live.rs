//! The client's programs that look on while the host works: `watch`, `stat` and `monitor`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

use std::io::{BufRead, BufReader, Lines, Write};
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::Value;
use tests::binaries;
use tests::engines::Engine;
use tests::host::{Host, Options};
use tests::wait::wait_until;

/// A program that runs on; ended when it is dropped.
struct Live {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Live {
    fn start(host: &Host, args: &[&str]) -> Self {
        let mut command = Command::new(binaries::client());
        command.env_clear().env("KV_PORT", host.port().to_string()).args(args).stdin(Stdio::null());
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    fn line(&mut self) -> String {
        self.lines.next().unwrap().unwrap()
    }

    fn document(&mut self) -> Value {
        let line = self.line();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn watch_tells_what_happens_to_its_keys_and_no_other() {
    let host = Host::start(Engine::Memory);
    let mut client = host.client();
    client.set(b"colour", b"blue").unwrap();
    let mut watch = Live::start(&host, &["--json", "watch", "--interval-ms", "1", "none", "colour"]);
    let first = watch.document();
    assert_eq!(
        (&first["key"], &first["event"], &first["after"]["value"]),
        (&"colour".into(), &"is".into(), &"blue".into())
    );
    assert_eq!(watch.document()["after"], Value::Null);
    client.set(b"other", b"x").unwrap();
    for (words, event, value) in [
        (&["SET", "colour", "red"][..], "changed", Some("red")),
        (&["PEXPIREAT", "colour", "32503680000000"], "expire", Some("red")),
        (&["PERSIST", "colour"], "persist", Some("red")),
        (&["DEL", "colour"], "gone", None),
        (&["SET", "colour", "a b", "PXAT", "32503680000000"], "new", Some("a b")),
    ] {
        client.call(words).unwrap();
        let change = watch.document();
        assert_eq!(
            (change["key"].as_str(), change["event"].as_str()),
            (Some("colour"), Some(event)),
            "{change}"
        );
        assert_eq!(change["after"]["value"].as_str(), value, "{change}");
    }
}

#[test]
fn watch_follows_the_notifications_of_a_host_that_has_them_on() {
    let host = Host::start(Engine::Memory);
    let mut client = host.client();
    client.call(&["CONFIG", "SET", "notify-keyspace-events", "KA"]).unwrap();
    // Nothing would be seen in time by looking.
    let mut watch = Live::start(&host, &["--json", "watch", "--interval-ms", "3600000", "a b", "colour"]);
    assert_eq!((&watch.document()["after"], &watch.document()["after"]), (&Value::Null, &Value::Null));
    for (words, key, event, value) in [
        (&["SET", "colour", "red"][..], "colour", "set", Some("red")),
        (&["INCR", "a b"], "a b", "incrby", Some("1")),
        (&["PEXPIREAT", "colour", "32503680000000"], "colour", "expire", Some("red")),
        (&["APPEND", "colour", "dish"], "colour", "append", Some("reddish")),
        (&["DEL", "colour"], "colour", "del", None),
    ] {
        client.call(words).unwrap();
        let change = watch.document();
        assert_eq!((&change["key"], &change["event"]), (&key.into(), &event.into()), "{change}");
        assert_eq!(change["after"]["value"].as_str(), value, "{change}");
    }
}

#[test]
fn a_subscription_in_a_transaction_of_a_piped_session_is_queued() {
    let host = Host::start(Engine::Memory);
    let mut command = Command::new(binaries::client());
    command.env_clear().env("KV_PORT", host.port().to_string()).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"multi\nsubscribe news\nset k v\nexec\nget k\n").unwrap();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text, "OK\nQUEUED\nQUEUED\nsubscribe\nnews\n1\nOK\nv\n");
    assert!(output.status.success());
}

#[test]
fn monitor_shows_requests_of_any_length() {
    let host = Host::start(Engine::Memory);
    let mut client = host.client();
    let mut monitor = Live::start(&host, &["--json", "monitor"]);
    wait_until("a monitor listens", || {
        let list = client.call(&["CLIENT", "LIST"]).unwrap();
        String::from_utf8_lossy(list.as_bytes().unwrap()).contains("flags=O")
    });
    let long = "long ".repeat(1_000_000);
    client.call(&["SET", "k", &long]).unwrap();
    client.call(&["APPEND", "k", "\0\"é"]).unwrap();
    let next_of = |monitor: &mut Live, name: &str| loop {
        let seen = monitor.document();
        if seen["words"][0] == name {
            return seen;
        }
    };
    assert_eq!(next_of(&mut monitor, "SET")["words"], serde_json::json!(["SET", "k", long]));
    assert_eq!(next_of(&mut monitor, "APPEND")["words"][2], "\0\"é");
}

#[test]
fn watch_follows_a_host_through_a_restart() {
    let host = Host::start(Engine::Memory);
    host.client().set(b"k", b"before").unwrap();
    // A port that was given back could be somebody else's by then.
    let socket = host.path("host.sock").display().to_string();
    let mut watch = Live::start(&host, &["--unix", &socket, "watch", "--interval-ms", "5", "k"]);
    assert!(watch.line().ends_with("  k  is       \"before\""));
    let dir = host.shared_dir();
    host.stop();
    let _host = Host::start_library(&dir, &Engine::Memory.library(dir.path()), &Options::default());
    assert!(watch.line().ends_with("  k  gone     \"before\" -> (absent)"));
}

#[test]
fn stat_counts_what_the_host_does() {
    let host = Host::start(Engine::Memory);
    let mut client = host.client();
    client.set(b"k", b"v").unwrap();
    let mut stat = Live::start(&host, &["--json", "stat", "--interval-ms", "5"]);
    let first = stat.document();
    assert_eq!((first["keys"].as_u64(), first["engine"].as_str()), (Some(1), Some("memory")), "{first}");
    assert_eq!((first["generation"].as_u64(), &first["requests_per_second"]), (Some(1), &Value::Null));
    client.get(b"k").unwrap();
    let is_hit = |sample: &Value| sample["hits_percent"].as_f64() == Some(100.0);
    while !is_hit(&stat.document()) {}
    let mut few = Live::start(&host, &["stat", "-n", "2", "--interval-ms", "1"]);
    assert!(few.line().trim_start().starts_with("keys "));
    assert!(few.line().ends_with("memory (generation 1)") && few.line().contains("memory"));
    assert!(few.lines.next().is_none() && few.child.wait().unwrap().success());
}
