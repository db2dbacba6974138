//! The zoo of broken engines, each driven through `kvstore-host check`: refused with a message of its own.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use kvstore_host::plugin::check::{CheckProblem, Depth, Limits, check as check_in_child};
use kvstore_host::plugin::file::{EngineFile, PrivateDir};
use tests::{binaries, engines, zoo};

/// Runs a check with temporary files in `dir`, and short limits, so that what hangs does not do so for long.
fn check(engine: &Path, dir: &Path) -> Output {
    check_with(engine, dir, &[])
}

/// The same with environment variables.
fn check_with(engine: &Path, dir: &Path, variables: &[(&str, &Path)]) -> Output {
    check_asked(engine, dir, variables, &[])
}

/// The same with more arguments, in which `DIR` stands for the directory.
fn check_asked(engine: &Path, dir: &Path, variables: &[(&str, &Path)], args: &[&str]) -> Output {
    let copies = dir.join("copies");
    std::fs::create_dir_all(&copies).unwrap();
    let output = Command::new(binaries::host())
        .arg("check")
        .arg(engine)
        .args(["--short", "--step-timeout-ms", "2000", "--memory-limit-mib", "128", "--copy-dir"])
        .arg(&copies)
        .args(args.iter().map(|arg| if *arg == "DIR" { dir.as_os_str() } else { arg.as_ref() }))
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    // Also a child that was killed leaves nothing behind.
    let left: Vec<_> = std::fs::read_dir(&copies).unwrap().flatten().map(|entry| entry.path()).collect();
    assert!(left.is_empty(), "left behind: {left:?}");
    output
}

#[test]
fn each_is_refused_for_its_own_reason() {
    let dir = tempfile::tempdir().unwrap();
    let mut seen = BTreeMap::new();
    for animal in zoo::all() {
        let path = animal.build(dir.path());
        let output = check_asked(&path, dir.path(), &[], animal.args);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{}: {text}", animal.name);
        let refusal = text.lines().find_map(|line| line.strip_prefix("refused: ")).unwrap_or_default();
        assert!(refusal.starts_with(&path.display().to_string()), "{}: {text}", animal.name);
        for expected in animal.expected {
            assert!(refusal.contains(expected), "{}: {expected:?} is not in {refusal:?}", animal.name);
        }
        println!("{refusal}");
        // The operator knows nothing of the private copy.
        assert!(!refusal.contains("kvstore-host-"), "{}: {refusal}", animal.name);
        let message = refusal.replace(&path.display().to_string(), "PATH");
        if let Some(other) = seen.insert(message, animal.name) {
            panic!("{} is refused with the words for {other}: {refusal}", animal.name);
        }
    }
}

#[test]
fn good_engines_are_accepted() {
    let dir = tempfile::tempdir().unwrap();
    for engine in [binaries::c_example(dir.path()), binaries::memory_engine()] {
        let output = check(&engine, dir.path());
        let text = String::from_utf8_lossy(&output.stdout);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{text}{errors}");
        assert!(text.contains(" 0 failed"), "{text}");
        assert!(text.contains("after dlclose   unmapped"), "{text}");
        assert!(!text.contains("thread-specific keys"), "{text}");
    }
}

#[test]
fn data_are_limited_not_addresses_and_a_trial_has_the_lowest_priority() {
    let dir = tempfile::tempdir().unwrap();
    let output = check(&zoo::accepted("reserves", dir.path()), dir.path());
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{text}{}", String::from_utf8_lossy(&output.stderr));
}

/// Who waits for a child that `vfork` has made looks like one that waits for a disk.
#[test]
fn waiting_for_a_disk_is_not_hanging() {
    let dir = tempfile::tempdir().unwrap();
    let open = "*engine = calloc(1, sizeof **engine);";
    let waits = "static int waited; if (!waited++ && vfork() == 0) { sleep(3); _exit(0); }";
    let output = check(&engines::changed("waits", open, &format!("{waits} {open}"), dir.path()), dir.path());
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{text}{}", String::from_utf8_lossy(&output.stderr));
}

/// Before the step in which it does so has taken too long.
#[test]
fn what_computes_for_ever_is_ended() {
    let dir = tempfile::tempdir().unwrap();
    let open = "*engine = calloc(1, sizeof **engine);";
    let busy =
        engines::changed("busy", open, "for (volatile unsigned long steps = 0;;) steps++;", dir.path());
    let file = EngineFile::open(&busy).unwrap();
    let copy = PrivateDir::create(Some(dir.path())).unwrap().copy(&file, 1).unwrap();
    let limits = Limits { step_timeout_ms: 600_000, processor_time_s: 1, ..Limits::SHORT };
    let refusal = check_in_child(&binaries::host(), &file, &copy, Depth::Short, &limits, None).unwrap_err();
    assert_eq!(refusal.problem, CheckProblem::Busy { step: "kv_open".to_owned(), limit_s: 1 });
    assert!(refusal.to_string().contains("1 s"), "{refusal}");
}

#[test]
fn what_an_engine_prints_is_not_taken_for_the_report() {
    let dir = tempfile::tempdir().unwrap();
    let output = check(&zoo::accepted("chatty", dir.path()), dir.path());
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("accepted: ") && !text.contains("hello"), "{text}");
}

#[test]
fn an_engine_without_scratch_is_not_opened() {
    let dir = tempfile::tempdir().unwrap();
    let output = check(&zoo::accepted("no_scratch", dir.path()), dir.path());
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("accepted: identity, file and loading checked; not opened"), "{text}");
}

#[test]
fn what_will_not_be_unmapped_is_warned_of() {
    let dir = tempfile::tempdir().unwrap();
    let output = check(&zoo::accepted("pinned", dir.path()), dir.path());
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let warning = "once loaded it stays in memory: pinned(a thread-local destructor of it is registered on a living thread)";
    assert!(text.contains(warning), "{text}");
}

#[test]
fn a_thread_specific_key_that_is_kept_is_warned_of() {
    let dir = tempfile::tempdir().unwrap();
    let output = check(&zoo::accepted("leaks_key", dir.path()), dir.path());
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let warning =
        "each time it is loaded it keeps 1 of the 1024 thread-specific keys of the process for good";
    assert!(text.contains(warning), "{text}");
}

#[test]
fn what_an_engine_forks_is_ended_with_the_check() {
    let dir = tempfile::tempdir().unwrap();
    let pids = dir.path().join("pids");
    let engine = zoo::accepted("forks", dir.path());
    let output = check_with(&engine, dir.path(), &[("ZOO_PID_FILE", &pids)]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    // None are written where the check was faster than the forked process.
    for pid in std::fs::read_to_string(pids).unwrap_or_default().lines() {
        let patience = Instant::now() + Duration::from_secs(60);
        while !has_ended(pid) {
            assert!(Instant::now() < patience, "process {pid} still runs");
            std::thread::yield_now();
        }
    }
}

/// Whether a process has ended; whoever adopted it may not have reaped it yet.
fn has_ended(pid: &str) -> bool {
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else { return true };
    stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with(['Z', 'X']))
}

#[test]
fn the_report_is_a_document_on_demand() {
    let dir = tempfile::tempdir().unwrap();
    let wrong = zoo::all().into_iter().find(|animal| animal.name == "wrong_answers").unwrap();
    let check = |engine: &Path| {
        let mut command = Command::new(binaries::host());
        let output = command.args(["check", "--json", "--short"]).arg(engine).output().unwrap();
        let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(document["accepted"].as_bool(), Some(output.status.success()), "{document}");
        assert_eq!(document["refused"].is_null(), output.stderr.is_empty(), "{document}");
        document
    };
    let good = check(&binaries::c_example(dir.path()));
    assert_eq!((good["engine"].as_str(), good["tests"]["failed"].as_u64()), (Some("c-example"), Some(0)));
    assert_eq!(good["capabilities"]["kv_scan"].as_bool(), Some(true));
    assert_eq!(good["capabilities"]["EXPIRY"].as_bool(), Some(false));
    let bad = check(&wrong.build(dir.path()));
    let failures = bad["tests"]["failures"].as_array().unwrap().len() as u64;
    assert!(failures > 0 && bad["tests"]["failed"].as_u64() == Some(failures), "{bad}");
    let none = check(&dir.path().join("none.so"));
    assert!(none["refused"].as_str().unwrap().contains("there is no such file"), "{none}");
}
