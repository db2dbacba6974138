//! Migrate: data go from one engine to another while clients write whatever they like; and what ends it early leaves no trace.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc;
use std::thread;

use kvstore_client::{Client, Pipeline};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tests::binaries;
use tests::engines::Engine;
use tests::host::{Host, Options, fields};
use tests::on_each_engine;
use tests::show::{ask, show};
use tests::terminal::Terminal;
use tests::wait::wait_until;

on_each_engine!(
    every_pattern_of_writes_comes_along,
    a_flush_in_the_middle_leaves_what_came_after_it,
    a_migration_that_is_cancelled_leaves_no_trace,
    a_candidate_that_fails_in_the_middle_is_dropped,
);

pub(super) const ENTRIES: u32 = 3_000;

/// A host whose migrations may stand still for as long as a test needs.
fn start(engine: Engine) -> Host {
    Host::start_with(engine, &Options::config("drain_timeout_ms = 600000\n"))
}

/// The middle of a migration, which lasts until it is ended: the candidate waits with half of the entries in it.
struct Middle<'a> {
    host: &'a Host,
    gate: PathBuf,
    reload: mpsc::Receiver<Result<BTreeMap<String, String>, String>>,
}

/// Closes the gate at which a candidate with the answered option waits, with half of the entries in it.
fn close_gate(host: &Host) -> (PathBuf, String) {
    let gate = host.path("gate");
    std::fs::write(&gate, "").unwrap();
    _ = std::fs::remove_file(host.path("gate.inside"));
    let option = format!("wait_at={}:{}", ENTRIES / 2, gate.display());
    (gate, option)
}

fn wait_for_middle(host: &Host) {
    wait_until("the middle of a migration", || host.path("gate.inside").exists());
}

impl<'a> Middle<'a> {
    /// Begins a migration that will get there.
    fn begin(host: &'a Host) -> Self {
        let (gate, option) = close_gate(host);
        let reload = begin(host, &Engine::Delayed.library(host.dir()), &format!("MIGRATE OPTS {option}"));
        Self { host, gate, reload }
    }

    /// Waits until it is there.
    fn wait(&self) {
        wait_for_middle(self.host);
    }

    /// Ends it; the migration goes on. Its reply comes through the channel.
    fn end(self) -> mpsc::Receiver<Result<BTreeMap<String, String>, String>> {
        assert!(is_migrating(self.host));
        std::fs::remove_file(&self.gate).unwrap();
        self.reload
    }
}

pub(super) fn fill(client: &mut Client) {
    let mut pipeline = Pipeline::new();
    for number in 0..ENTRIES {
        pipeline.add(&["SET", &key(number), &format!("{number}")]);
    }
    assert!(client.run(&pipeline).unwrap().iter().all(Result::is_ok));
}

fn key(number: u32) -> String {
    format!("key:{number}")
}

/// Begins a reload; its reply comes through the channel.
fn begin(host: &Host, path: &Path, more: &str) -> mpsc::Receiver<Result<BTreeMap<String, String>, String>> {
    let (mut client, words) = (host.client(), format!("ENGINE RELOAD {} {more}", path.display()));
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let words: Vec<&str> = words.split_whitespace().collect();
        let reply = client.call(&words).map(fields).map_err(|error| error.to_string());
        _ = sender.send(reply);
    });
    receiver
}

fn is_migrating(host: &Host) -> bool {
    host.engine_info()["reload_phase"] == "migrate"
}

/// What is there: values and expiries.
pub(super) fn all(client: &mut Client) -> BTreeMap<Vec<u8>, (Option<Vec<u8>>, String)> {
    let keys: Vec<Vec<u8>> = client.scan(kvstore_client::ScanFilter::default()).map(Result::unwrap).collect();
    let mut pipeline = Pipeline::new();
    for key in &keys {
        pipeline.add(&[b"GET", key.as_slice()]).add(&[b"PEXPIRETIME", key.as_slice()]);
    }
    let replies = client.run(&pipeline).unwrap();
    let mut replies = replies.into_iter().map(Result::unwrap);
    keys.into_iter()
        .map(|key| {
            let value = replies.next().unwrap().into_bytes();
            (key, (value, show(&replies.next().unwrap())))
        })
        .collect()
}

/// A request of any kind that writes, on few keys among those that lie there, and on new ones.
pub(super) fn request(rng: &mut StdRng, expires: bool) -> Vec<String> {
    let mut any = || match rng.random_range(0..4) {
        0 => format!("new:{}", rng.random_range(0..50)),
        _ => key(rng.random_range(0..ENTRIES)),
    };
    let (one, other) = (any(), any());
    let number = rng.random_range(0..1_000_000);
    let line = match rng.random_range(0..if expires { 18 } else { 13 }) {
        0 | 1 => format!("SET {one} {number}"),
        2 => format!("DEL {one} {other}"),
        3 => format!("APPEND {one} {number}"),
        4 => format!("INCR {one}"),
        5 => format!("RENAME {one} {other}"),
        6 => format!("COPY {one} {other} REPLACE"),
        7 => format!("SETRANGE {one} 3 {number}"),
        8 => format!("GETDEL {one}"),
        9 => format!("MSET {one} {number} {other} {number}"),
        10 => format!("MULTI|SET {one} {number}|DEL {other}|INCR {one}|EXEC"),
        11 => format!("SETNX {one} {number}"),
        12 => format!("MULTI|KEYS nothing:*|SET {one} {number}|EXEC"),
        13 => format!("SET {one} {number} PXAT 4102444800{:03}", number % 1000),
        14 => format!("PEXPIREAT {one} 4102444800{:03}", number % 1000),
        15 => format!("PEXPIREAT {one} 1"),
        16 => format!("PERSIST {one}"),
        // When it goes depends on the time, so nothing else is asked of it.
        _ => format!("SET brief:{number} v PX 1"),
    };
    line.split('|').map(str::to_owned).collect()
}

fn every_pattern_of_writes_comes_along(from: Engine) {
    let mut rng = StdRng::seed_from_u64(tests::seed());
    // What nobody reloads answers the same.
    let (host, twin) = (start(from), Host::start(from));
    let (mut client, mut same) = (host.client(), twin.client());
    fill(&mut client);
    fill(&mut same);
    let middle = Middle::begin(&host);
    middle.wait();
    let info = host.engine_info();
    let entries: u32 = info["migrate_entries"].parse().unwrap();
    assert!((1..=ENTRIES / 2).contains(&entries), "{entries}");
    // The C example does not count.
    let total = if from == Engine::CExample { 0 } else { ENTRIES };
    assert_eq!(info["migrate_entries_total"], total.to_string());
    let mut write = |count: usize| {
        for _ in 0..count {
            for line in request(&mut rng, from.expires()) {
                assert_eq!(ask(&mut client, &line), ask(&mut same, &line), "{line}");
            }
        }
    };
    write(500);
    let reload = middle.end();
    // And on, while the other half goes along.
    let mut count = 500;
    while is_migrating(&host) && count < 3000 {
        write(20);
        count += 20;
    }
    let reply = reload.recv().unwrap().unwrap();
    assert!(reply["handoff"].starts_with("migrate: "), "{reply:?}");
    assert_ne!(reply["changes"], "0");
    // What was stored for a millisecond has to go on both.
    wait_until("the same on both", || all(&mut client) == all(&mut same));
    println!("{count} requests, {} entries, {reply:?}", all(&mut client).len());
    for number in 0..20 {
        let line = format!("APPEND {} x", key(number));
        assert_eq!(ask(&mut client, &line), ask(&mut same, &line));
    }
}

#[test]
fn the_client_shows_how_far_a_migration_is() {
    let host = start(Engine::Memory);
    fill(&mut host.client());
    let (gate, option) = close_gate(&host);
    let mut command = Command::new(binaries::client());
    command.args(["--port", &host.port().to_string(), "engine", "reload"]);
    command.arg(Engine::Delayed.library(host.dir())).args(["--migrate", "--opt", &option]);
    let mut terminal = Terminal::start(command.env("TERM", "xterm"), (24, 120));
    wait_for_middle(&host);
    terminal.wait_until("a bar", |screen| {
        let bar = screen.lines().find(|line| line.contains("/3,000 entries, "));
        bar.is_some_and(|bar| bar.starts_with('█') && bar.contains('░'))
    });
    std::fs::remove_file(&gate).unwrap();
    assert!(terminal.wait().success());
    terminal.wait_until("the reply instead", |screen| {
        screen.contains("migrate: ") && !screen.contains("/3,000 entries")
    });
}

fn a_flush_in_the_middle_leaves_what_came_after_it(from: Engine) {
    let host = start(from);
    let mut client = host.client();
    fill(&mut client);
    let middle = Middle::begin(&host);
    middle.wait();
    client.set(b"before", b"v").unwrap();
    for line in ["FLUSHALL", "SET between v", "MULTI", "SET between v", "FLUSHALL", "SET after:0 v", "EXEC"] {
        ask(&mut client, line);
    }
    for number in 0..50 {
        client.set(format!("after:{number}").as_bytes(), b"v").unwrap();
    }
    let reply = middle.end().recv().unwrap().unwrap();
    assert!(reply["entries"].parse::<u32>().unwrap() <= 50, "what was flushed is counted: {reply:?}");
    let found = all(&mut client);
    assert!(found.keys().all(|key| key.starts_with(b"after:")), "{} entries", found.len());
    assert_eq!(found.len(), 50);
}

/// The files of a library that this process has in memory, or open: those of private copies.
fn private_copies(host: &Host) -> Vec<String> {
    let maps = std::fs::read_to_string(format!("/proc/{}/maps", host.pid())).unwrap();
    let mut files: Vec<String> =
        maps.lines().filter_map(|line| line.split_whitespace().nth(5)).map(str::to_owned).collect();
    files.sort();
    files.dedup();
    files.retain(|file| file.contains(".so") && file.contains("kvstore"));
    files
}

fn a_migration_that_is_cancelled_leaves_no_trace(from: Engine) {
    let host = start(from);
    let (mut client, mut admin) = (host.client(), host.client());
    assert_eq!(ask(&mut admin, "ENGINE CANCEL"), "!ERR there is no reload to cancel");
    fill(&mut client);
    let before = (all(&mut client), private_copies(&host));
    for round in 1..=2 {
        let middle = Middle::begin(&host);
        match round {
            // Also before the data begin to go along.
            1 => wait_until("a reload", || host.engine_info()["reload_phase"] != "idle"),
            _ => middle.wait(),
        }
        // Who cancels is answered when the candidate has ended, and who comes second at once: then both were heard.
        let (sender, replies) = mpsc::channel();
        for _ in 0..2 {
            let (mut client, sender) = (host.client(), sender.clone());
            thread::spawn(move || sender.send(ask(&mut client, "ENGINE CANCEL")));
        }
        let first = replies.recv().unwrap();
        std::fs::remove_file(&middle.gate).unwrap();
        let both = [first, replies.recv().unwrap()];
        assert_eq!(both.iter().filter(|reply| *reply == "OK").count(), 1, "{both:?}");
        let refusal = middle.reload.recv().unwrap().unwrap_err();
        assert!(refusal.contains("reload refused: it was cancelled"), "{refusal}");
        let info = host.engine_info();
        assert_eq!((&*info["generation"], &*info["reload_phase"]), ("1", "idle"));
        assert_eq!(info["reloads_refused"], round.to_string());
        wait_until("the end of the candidate", || private_copies(&host) == before.1);
        host.wait_for_log(&[match round {
            // Not opened at all.
            1 => "the library of the candidate is unmapped",
            _ => "the candidate Live(delayed",
        }]);
    }
    assert_eq!(all(&mut client), before.0);
    let reply = begin(&host, &binaries::memory_engine_other_build(), "MIGRATE").recv().unwrap().unwrap();
    assert_eq!(reply["generation"], "2");
    assert_eq!(all(&mut client), before.0);
}

fn a_candidate_that_fails_in_the_middle_is_dropped(from: Engine) {
    let host = Host::start(from);
    let mut client = host.client();
    fill(&mut client);
    let options = format!("MIGRATE OPTS fail_at={}", ENTRIES / 2);
    let refusal = begin(&host, &Engine::Delayed.library(host.dir()), &options).recv().unwrap().unwrap_err();
    assert!(refusal.contains("writing to the new engine failed: UNAVAILABLE"), "{refusal}");
    host.wait_for_log(&["the candidate Live(delayed", "is closed, its library is unmapped"]);
    client.set(b"new", b"v").unwrap();
    assert_eq!(all(&mut client).len(), ENTRIES as usize + 1);
}
