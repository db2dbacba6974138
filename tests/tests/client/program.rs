//! The client's program against a live host on each engine: its self-test, its benchmark, and the commands for engines.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

use std::io::Write;
use std::process::{Command, Stdio};

use kvstore_client::Pipeline;
use serde_json::Value;
use tests::binaries;
use tests::engines::Engine;
use tests::host::Host;
use tests::on_each_engine;
use tests::show;
use tests::terminal::Terminal;

on_each_engine!(the_self_test_passes_and_cleans_up, benchmarks_report, engines_are_changed, exit_codes_tell);

/// What a run printed, and its exit code.
struct Ran {
    out: String,
    errors: String,
    code: i32,
}

fn run(host: &Host, args: &[&str]) -> Ran {
    run_with(host, args, "")
}

fn run_with(host: &Host, args: &[&str], input: &str) -> Ran {
    let mut command = Command::new(binaries::client());
    command.env_remove("KV_HOST").env("KV_PORT", host.port().to_string()).args(args);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ran { out: text(&output.stdout), errors: text(&output.stderr), code: output.status.code().unwrap() }
}

fn the_self_test_passes_and_cleans_up(engine: Engine) {
    let host = Host::start(engine);
    host.client().set(b"mine", b"stays").unwrap();
    let socket = host.path("host.sock").display().to_string();
    for args in [&["test"][..], &["--resp", "2", "test"], &["--unix", &socket, "test"]] {
        let Ran { out, errors, code } = run(&host, args);
        assert_eq!((code, &*errors), (0, ""), "{out}");
        let score = out.lines().last().unwrap_or_default();
        assert!(score.contains(" ok, 0 FAILED, "), "{out}");
        assert_eq!(score.ends_with(" 0 unsupported"), engine.expires(), "{out}");
    }
    let mut client = host.client();
    assert_eq!(client.count().unwrap(), 1, "its keys are gone");
    assert_eq!(client.get(b"mine").unwrap().as_deref(), Some(&b"stays"[..]));
}

fn benchmarks_report(engine: Engine) {
    let host = Host::start(engine);
    let bench = |more: &[&str]| {
        let args = [&["--json", "bench", "-n", "3000", "-c", "4", "-k", "100"], more].concat();
        let Ran { out, errors, code } = run(&host, &args);
        assert_eq!((code, &*errors), (0, ""), "{out}");
        serde_json::from_str::<Value>(&out).unwrap_or_else(|error| panic!("{error}: {out}"))
    };
    for more in [&["-P", "16", "--load"][..], &["--rate", "20000", "-P", "8"], &["--distribution", "zipfian"]]
    {
        let report = bench(more);
        let counts = ["replies", "errors", "lost", "unfinished"].map(|name| report[name].as_u64());
        assert_eq!(counts, [Some(3_000), Some(0), Some(0), Some(0)], "{report}");
        let expected = if more.contains(&"--rate") { "open" } else { "closed" };
        assert_eq!(report["loop"], expected);
    }
    let Ran { out, code, .. } = run(&host, &["bench", "-n", "1000", "-c", "2"]);
    assert_eq!(code, 0);
    assert!(out.contains("1000 replies in ") && out.contains(" 0 errors, 0 lost, 0 unfinished"), "{out}");
}

fn engines_are_changed(engine: Engine) {
    let host = Host::start(engine);
    let other = if engine == Engine::Memory { Engine::CExample } else { Engine::Memory };
    let library = other.library(host.dir()).display().to_string();
    let succeeds = |args: &[&str]| {
        let Ran { out, errors, code } = run(&host, args);
        assert_eq!((code, &*errors), (0, ""), "{args:?}: {out}");
        out
    };
    assert!(succeeds(&["engine", "info"]).contains(engine.name()));
    assert_eq!(succeeds(&["set", "kept", "yes"]), "OK\n");
    assert!(succeeds(&["engine", "reload", &library]).contains(other.name()));
    assert_eq!(succeeds(&["get", "kept"]), "yes\n");
    let info: Value = serde_json::from_str(&succeeds(&["--json", "engine", "info"])).unwrap();
    assert_eq!((info["engine"].as_str(), info["generation"].as_i64()), (Some(other.name()), Some(2)));
    assert_eq!(info["previous_library"].as_str(), Some("unmapped"));
    assert!(succeeds(&["engine", "rollback"]).contains(engine.name()));
    assert!(succeeds(&["engine", "history"]).contains("unmapped"));
    assert!(succeeds(&["engine", "help"]).contains("RELOAD"));
    assert_eq!(succeeds(&["get", "kept"]), "yes\n");
    let refused = run(&host, &["engine", "reload", "/does/not/exist.so"]);
    assert_eq!(refused.code, 4);
    assert!(refused.errors.contains("there is no such file"), "{}", refused.errors);
}

#[test]
fn a_migration_shows_how_far_it_is_and_of_how_much_where_the_engine_counts() {
    for engine in [Engine::Memory, Engine::CExample] {
        let host = Host::start(engine);
        let mut client = host.client();
        let mut pipeline = Pipeline::new();
        for number in 0..10_000 {
            pipeline.add(&["SET", &format!("key:{number}"), "v"]);
        }
        assert!(client.run(&pipeline).unwrap().iter().all(Result::is_ok));
        // So slow that it is not there before it is cancelled.
        let slow = Engine::Delayed.library(host.dir()).display().to_string();
        let mut command = Command::new(binaries::client());
        command.env("TERM", "xterm-256color").env("KV_PORT", host.port().to_string());
        command.args(["engine", "reload", &slow, "--opt", "delay_us=500000..500000"]);
        let terminal = Terminal::start(&mut command, (24, 120));
        let counts = engine == Engine::Memory;
        let total = if counts { "/10,000" } else { "" };
        terminal.wait_until("some of it", |screen| {
            let before = screen.lines().find_map(|row| row.split_once(" entries, ")).map_or("", |row| row.0);
            let number = before.split(' ').next_back().unwrap_or_default().strip_suffix(total);
            // A number without another one behind it.
            number.and_then(|number| number.replace(',', "").parse().ok()).is_some_and(|done: u64| done > 0)
        });
        assert_eq!(show::ask(&mut client, "ENGINE CANCEL"), "OK");
        terminal.expect("it was cancelled");
        assert!(!terminal.text().contains(" entries, "), "{}", terminal.text());
    }
}

fn exit_codes_tell(engine: Engine) {
    let host = Host::start(engine);
    for (args, out, code) in [
        (&["set", "a", "1"][..], "OK\n", 0),
        (&["get", "a"], "1\n", 0),
        (&["incr", "a", "41"], "42\n", 0),
        (&["get", "none"], "\n", 1),
        (&["delete", "none"], "0\n", 1),
        (&["get"], "", 2),
        (&["-p", "1", "ping"], "", 3),
        (&["nosuch"], "", 4),
        (&["scan"], "a\n", 0),
    ] {
        let ran = run(&host, args);
        assert_eq!((&*ran.out, ran.code), (out, code), "{args:?}: {}", ran.errors);
        assert_eq!(ran.errors.is_empty(), code < 2, "{args:?}: {}", ran.errors);
    }
    let session = run_with(&host, &[], "set b 'two words'\nget b\nget none\n");
    assert_eq!((&*session.out, session.code), ("OK\ntwo words\n(nil)\n", 0), "{}", session.errors);
}
