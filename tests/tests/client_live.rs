//! The client's programs that look on while the host works: `watch`, `stat` and `monitor`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

use std::io::{BufRead, BufReader, Lines};
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::Value;
use tests::binaries;
use tests::engines::Engine;
use tests::host::Host;

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
fn watch_follows_a_host_through_a_restart() {
    let host = Host::start(Engine::Memory);
    host.client().set(b"k", b"before").unwrap();
    let mut watch = Live::start(&host, &["watch", "--interval-ms", "5", "k"]);
    assert!(watch.line().ends_with("  k  is       \"before\""));
    let (dir, port) = (host.shared_dir(), host.port());
    host.stop();
    let library = Engine::Memory.library(dir.path()).display().to_string();
    let address = format!("127.0.0.1:{port}");
    let options = tests::host::Options::args(&["--engine", &library, "--listen", &address]);
    let _host = Host::start_in(dir, &options);
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
