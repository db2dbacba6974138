//! `export` and `import` against a small server: what they write, read, refuse and report.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test may stop at the first surprise, in its helpers too"
)]

mod support;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use support::{Action, Server, is};

const LATER_MS: i64 = 33_177_117_420_123;

fn program(server: &Server, words: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kvstore-client"));
    command.env_clear().env("KV_PORT", server.port.to_string()).args(words.split(' '));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Standard output, standard error and exit code of a run with this input, figures of time left out.
fn run(server: &Server, words: &str, input: &str) -> (String, String, i32) {
    let mut child = program(server, words).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let output = std::thread::scope(|scope| {
        // The program may end before it has read everything.
        scope.spawn(move || stdin.write_all(input.as_bytes()));
        child.wait_with_output().unwrap()
    });
    (timeless(&output.stdout), timeless(&output.stderr), output.status.code().unwrap())
}

fn timeless(text: &[u8]) -> String {
    let line = |line: &str| match serde_json::from_str(line) {
        Ok(serde_json::Value::Object(mut summary)) if summary.contains_key("seconds") => {
            summary.remove("seconds");
            serde_json::Value::Object(summary).to_string() + "\n"
        }
        _ => match line.split_once(" in 0.") {
            Some((start, rest)) => start.to_owned() + rest.split_once(" s").unwrap().1,
            None => line.to_owned(),
        },
    };
    std::str::from_utf8(text).unwrap().split_inclusive('\n').map(line).collect()
}

fn put(server: &Server, key: &[u8], value: &[u8], expiry_ms: Option<i64>) {
    server.store.lock().unwrap().put(key, value.to_vec(), expiry_ms);
}

fn value(server: &Server, key: &str) -> Option<String> {
    server.store.lock().unwrap().value(key.as_bytes()).map(|value| String::from_utf8(value).unwrap())
}

fn names(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// A terminal, from both its sides.
fn terminal() -> (File, File) {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
    (File::from(master), File::options().read(true).write(true).open(name).unwrap())
}

const LINES: &str = "\
{\"key\":\"a\",\"value\":\"é\\n\"}
{\"key\":\"b\",\"value_base64\":\"/wA=\",\"expiry_ms\":33177117420123}
{\"key_base64\":\"/w==\",\"value\":\"\"}
";

#[test]
fn an_export_is_what_the_documentation_says() {
    let server = Server::start();
    put(&server, b"a", "é\n".as_bytes(), None);
    put(&server, b"b", b"\xff\0", Some(LATER_MS));
    put(&server, b"\xff", b"", None);
    put(&server, b"gone", b"", Some(1));
    let (out, err, code) = run(&server, "export", "");
    assert_eq!((out.as_str(), code), (LINES, 0));
    assert_eq!(err, "3 entries (8 bytes) exported\n");
    let first = LINES.lines().next().unwrap();
    assert_eq!(run(&server, "export --match a -", "").0.trim_end(), first);
    let (out, err, code) = run(&server, "export --json --pipeline 1", "");
    assert_eq!((out.as_str(), code), (LINES, 0));
    assert_eq!(err, "{\"bytes\":8,\"entries\":3,\"left_out\":0}\n");
}

#[test]
fn a_file_is_written_beside_and_takes_its_place_in_the_end() {
    let server = Server::start();
    put(&server, b"a", "é\n".as_bytes(), None);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("out.jsonl");
    let words = format!("export {}", path.display());
    assert_eq!(run(&server, &words, ""), ("1 entry (4 bytes) exported\n".to_owned(), String::new(), 0));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), format!("{}\n", LINES.lines().next().unwrap()));
    assert_eq!(names(directory.path()), ["out.jsonl"]);

    // A host that hangs up: the file of before is still there, and nothing else.
    let server = Server::start_with(|words| if is(words, "GET") { Action::HangUp } else { Action::Answer });
    put(&server, b"b", b"", None);
    let (out, err, code) = run(&server, &words, "");
    assert_eq!((out.as_str(), code), ("", 3), "{err}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), format!("{}\n", LINES.lines().next().unwrap()));
    assert_eq!(names(directory.path()), ["out.jsonl"]);

    let (_, err, code) = run(&server, "export /no/such/directory/file", "");
    assert!(err.starts_with("kvstore-client: /no/such/directory/file: "), "{err}");
    assert_eq!(code, 5);
}

#[test]
fn an_interrupt_waits_for_no_reply_and_leaves_no_half_file() {
    let asked = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&asked);
    let server = Server::start_with(move |words| {
        let hangs = is(words, "STRLEN");
        seen.fetch_or(hangs, Ordering::AcqRel);
        if hangs { Action::Ignore } else { Action::Answer }
    });
    put(&server, b"a", b"1", None);
    let directory = tempfile::tempdir().unwrap();
    let words = format!("--reply-timeout-ms 0 export {}/out", directory.path().display());
    let child = program(&server, &words).spawn().unwrap();
    while !asked.load(Ordering::Acquire) {
        std::thread::yield_now();
    }
    assert!(names(directory.path())[0].starts_with("out."));
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(5));
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "kvstore-client: interrupted\n");
    assert_eq!(names(directory.path()), Vec::<String>::new());
}

#[test]
fn keys_of_other_types_are_named_and_counted() {
    let server = Server::start_with(|words| match words.get(1).map(Vec::as_slice) {
        Some(b"list") if is(words, "STRLEN") => Action::Say("-WRONGTYPE Operation against a key\r\n"),
        // It becomes a list after its length was asked for.
        Some(b"became") if is(words, "GET") => Action::Say("-WRONGTYPE Operation against a key\r\n"),
        Some(b"list" | b"became") if is(words, "TYPE") => Action::Say("+list\r\n"),
        _ => Action::Answer,
    });
    for key in ["a", "became", "list"] {
        put(&server, key.as_bytes(), b"1", None);
    }
    let (out, err, code) = run(&server, "export", "");
    assert_eq!((out.as_str(), code), ("{\"key\":\"a\",\"value\":\"1\"}\n", 4));
    let named = "left out: \"list\" is a list\nleft out: \"became\" is a list\n";
    assert_eq!(err, format!("{named}1 entry (2 bytes) exported, 2 keys that hold no strings left out\n"));
    let (_, err, code) = run(&server, "--json export", "");
    let summary = "{\"bytes\":2,\"entries\":1,\"left_out\":2}";
    assert_eq!(
        err,
        format!(
            "{{\"left_out\":\"list\",\"type\":\"list\"}}\n{{\"left_out\":\"became\",\"type\":\"list\"}}\n{summary}\n"
        )
    );
    assert_eq!(code, 4);
    run(&server, "export --strings-only", "");
    assert!(server.requests().iter().any(|request| request == "SCAN 0 COUNT 512 TYPE string"));
}

#[test]
fn no_value_comes_with_the_expiry_of_another() {
    let asked = AtomicUsize::new(0);
    let server = Server::start_with(move |words| {
        // The expiry before the first reading of the value is not the one after it.
        let first = is(words, "PEXPIRETIME") && asked.fetch_add(1, Ordering::Relaxed) == 0;
        if first { Action::Say(":5\r\n") } else { Action::Answer }
    });
    put(&server, b"a", b"1", Some(LATER_MS));
    let (out, ..) = run(&server, "export", "");
    assert_eq!(out, "{\"key\":\"a\",\"value\":\"1\",\"expiry_ms\":33177117420123}\n");
    assert_eq!(server.requests().iter().filter(|request| request.as_str() == "GET a").count(), 2);
}

#[test]
fn an_import_sets_what_the_lines_say() {
    let server = Server::start();
    put(&server, b"a", b"old", Some(LATER_MS));
    let input = format!("\n{}  \r\n", LINES.replace('\n', "\r\n"));
    assert_eq!(run(&server, "import", &input), ("3 entries imported\n".to_owned(), String::new(), 0));
    assert_eq!(run(&server, "export", "").0, LINES);
    // Without a line's end at the end, and from a file.
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "{\"key\":\"a\",\"value\":\"2\"}").unwrap();
    let words = format!("--json import {}", file.path().display());
    let summary = "{\"expired\":0,\"imported\":1,\"kept\":0,\"refused\":0,\"unknown\":0,\"wrong\":0}\n";
    let (out, err, code) = run(&server, &words, "");
    assert_eq!((out.as_str(), err.as_str(), code), (summary, "", 0));
    assert_eq!(value(&server, "a").as_deref(), Some("2"));
}

#[test]
fn what_is_there_is_kept_on_demand_and_what_has_expired_changes_nothing() {
    let server = Server::start();
    put(&server, b"a", b"old", None);
    put(&server, b"c", b"old", None);
    let input = format!("{LINES}{{\"key\":\"c\",\"value\":\"new\",\"expiry_ms\":5}}\n");
    let (out, err, code) = run(&server, "import --existing keep", &input);
    assert_eq!(
        (out.as_str(), err.as_str(), code),
        ("2 entries imported, 1 kept as they were, 1 had expired\n", "", 0)
    );
    assert_eq!(value(&server, "a").as_deref(), Some("old"));
    assert_eq!(value(&server, "c").as_deref(), Some("old"));
}

#[test]
fn an_import_stops_at_the_first_wrong_line_and_says_which() {
    let server = Server::start();
    let input = "{\"key\":\"a\",\"value\":\"1\"}\n\n{\"key\":\"b\"}\n{\"key\":\"c\",\"value\":\"1\"}\n";
    let (out, err, code) = run(&server, "import", input);
    assert_eq!((out.as_str(), code), ("1 entry imported, 1 wrong\n", 5));
    assert_eq!(err, "kvstore-client: line 3 is no entry: neither value nor value_base64 is there\n");
    assert_eq!(server.requests(), ["SET a 1"]);
    let (out, err, code) =
        run(&server, "import --keep-going --line-len-max 30", &format!("{input}{}\n", "x".repeat(31)));
    assert_eq!((out.as_str(), code), ("2 entries imported, 2 wrong\n", 5));
    assert!(
        err.contains("line 3 is no entry") && err.contains("line 5 is no entry: it is longer than 30 bytes"),
        "{err}"
    );
    let (_, err, code) = run(&server, "import /no/such/file", "");
    assert!(err.starts_with("kvstore-client: /no/such/file: ") && code == 5, "{err}");
    let (_, err, code) = run(&server, "import /", "");
    assert!(err.starts_with("kvstore-client: /: ") && code == 5, "{err}");
}

#[test]
fn an_import_tells_what_the_host_refuses() {
    let server = Server::start_with(|words| {
        let big = words.get(2).is_some_and(|value| value == b"big");
        if big { Action::Say("-ERR value is too large\r\n") } else { Action::Answer }
    });
    let line = |key: &str, value: &str| format!("{{\"key\":\"{key}\",\"value\":\"{value}\"}}\n");
    let input = [line("a", "1"), line("b", "big"), line("c", "1")].concat();
    let (out, err, code) = run(&server, "import --pipeline 1", &input);
    assert_eq!((out.as_str(), code), ("1 entry imported, 1 refused\n", 4));
    assert_eq!(err, "kvstore-client: line 2: ERR value is too large\n");
    assert_eq!(value(&server, "c"), None);
    let (out, err, code) = run(&server, "import --keep-going", &input);
    assert_eq!((out.as_str(), code), ("2 entries imported, 1 refused\n", 4));
    assert_eq!(err, "kvstore-client: line 2: ERR value is too large\n");
}

#[test]
fn an_import_knows_what_it_does_not_know() {
    let hung_up = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&hung_up);
    let server = Server::start_with(move |words| {
        let first = is(words, "SET") && words[1] == b"b" && count.fetch_add(1, Ordering::Relaxed) == 0;
        if first { Action::CarryOutAndHangUp } else { Action::Answer }
    });
    let input = "{\"key\":\"a\",\"value\":\"1\"}\n{\"key\":\"b\",\"value\":\"1\"}\n";
    let (out, err, code) = run(&server, "import --existing keep --retries 3", input);
    assert_eq!((out.as_str(), code), ("1 entry imported, 1 with unknown outcome\n", 3), "{err}");
    assert!(
        err.starts_with("kvstore-client: line 2: whether the request was carried out is unknown: "),
        "{err}"
    );
    // To set an entry twice does no harm, so that a lost connection is none, either.
    hung_up.store(0, Ordering::Relaxed);
    let (out, err, code) = run(&server, "import --retries 3", input);
    assert_eq!((out.as_str(), err.as_str(), code), ("2 entries imported\n", "", 0));
}

#[test]
fn whoever_writes_a_line_at_a_time_gets_it_imported_at_once() {
    let server = Server::start();
    let mut child = program(&server, "import").spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    for number in 0..3 {
        writeln!(stdin, "{{\"key\":\"{number}\",\"value\":\"1\"}}").unwrap();
        while value(&server, &number.to_string()).is_none() {
            std::thread::yield_now();
        }
    }
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty());
}

#[test]
fn a_bar_on_the_terminal_leaves_the_output_alone() {
    let server = Server::start();
    for number in 0..5_000 {
        put(&server, format!("{number:04}").as_bytes(), b"1", None);
    }
    let (expected, ..) = run(&server, "export", "");
    let (mut terminal, stderr) = terminal();
    let mut child =
        program(&server, "export --pipeline 50").env("TERM", "xterm").stderr(stderr).spawn().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let (shown, out) = std::thread::scope(|scope| {
        let shown = scope.spawn(|| {
            let mut shown = Vec::new();
            // The end of a terminal that nobody else holds is an error.
            let _ = terminal.read_to_end(&mut shown);
            String::from_utf8_lossy(&shown).into_owned()
        });
        let mut out = String::new();
        stdout.read_to_string(&mut out).unwrap();
        assert!(child.wait().unwrap().success());
        drop(child);
        (shown.join().unwrap(), out)
    });
    assert!(out == expected);
    assert!(shown.contains("/5,000 entries, "), "{shown:?}");
    assert!(shown.contains("5000 entries (25000 bytes) exported in "), "{shown:?}");
}
