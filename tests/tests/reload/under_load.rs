//! Reload under load: changes of engine of every kind while ten clients read and write, of which none may notice any.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};

use kvstore_client::{Client, Error, Pipeline, Protocol, Value};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tests::binaries;
use tests::engines::{Engine, changed};
use tests::host::{Host, fields};
use tests::linear::{self, History, Op, Outcome, Recorder};
use tests::on_each_engine;
use tests::show::{ask, show};
use tests::wait::wait_until;
use tests::zoo;

const RELOADS: usize = 24;
/// Changes of every kind.
const CHANGES: usize = 8;
const CLIENTS: u32 = 10;
/// Few, so that clients meet on them all the time: each client asks for any of them.
const KEYS: u32 = 14;
/// The last of the keys, on which there are transactions too.
const PAIR: [u32; 2] = [KEYS - 2, KEYS - 1];
/// One of so many clients sends transactions besides.
const TRANSACTIONS_BY: u32 = 3;
/// Entries beside those.
const ENTRIES: usize = 5_000;
/// Between two requests of a client, as long as replies come in time. The check of an engine runs at the lowest priority: clients that
/// take the whole machine would keep it waiting.
const PERIOD: Duration = Duration::from_millis(5);
/// Requests that go out together where a client sends pipelines.
const PIPELINE: usize = 16;

/// Wakes all clients when the reloads are over, or one of the threads has failed.
#[derive(Default)]
struct Stop {
    stopped: Mutex<bool>,
    changed: Condvar,
    failed: AtomicBool,
    /// What clients were told instead of what they had asked for.
    errors: Mutex<Vec<String>>,
}

impl Stop {
    fn stop(&self) {
        *self.stopped.lock().unwrap() = true;
        self.changed.notify_all();
    }

    fn note(&self, error: &Error) {
        self.errors.lock().unwrap().push(error.to_string());
    }

    /// Waits until `due`; whether to go on.
    fn pace(&self, due: Instant) -> bool {
        let left = due.saturating_duration_since(Instant::now());
        let stopped = self.stopped.lock().unwrap();
        !*self.changed.wait_timeout_while(stopped, left, |stopped| !*stopped).unwrap().0
    }
}

/// Stops the others when its thread panics.
struct Guard<'a>(&'a Stop);

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.failed.store(true, Ordering::Relaxed);
            self.0.stop();
        }
    }
}

on_each_engine!(
    cancels_promotions_and_rollbacks_are_not_noticed,
    an_engine_that_comes_back_by_itself_has_all_writes,
    none_comes_back_that_lacks_a_write,
);

#[test]
fn many_reloads_are_not_noticed() {
    let host = Host::start(Engine::Memory);
    let engines = [
        ("memory", binaries::memory_engine_other_build()),
        ("c-example", Engine::CExample.library(host.dir())),
        ("delayed", Engine::Delayed.library(host.dir())),
        ("memory", Engine::Memory.library(host.dir())),
    ];
    reloads_are_not_noticed(&host, RELOADS, |stop| reload_often(&host, &engines, None, stop));
}

#[test]
fn many_adopts_there_and_back_are_not_noticed() {
    let host = Host::start(Engine::Memory);
    let engines =
        [("memory", binaries::memory_engine_other_build()), ("memory", Engine::Memory.library(host.dir()))];
    reloads_are_not_noticed(&host, RELOADS, |stop| {
        reload_often(&host, &engines, Some("adopt: "), stop);
        let back = ask(&mut host.client(), "ENGINE ROLLBACK");
        assert!(back.contains("adopt: "), "{back}");
    });
}

fn cancels_promotions_and_rollbacks_are_not_noticed(from: Engine) {
    let host = Host::start(from);
    // Each is gone to, promoted, come back to by the return of a probation and by a copy, for one of the engines that this begins with.
    let engines = [Engine::Memory, Engine::Delayed, Engine::CExample].into_iter().cycle();
    let after = engines.skip_while(|engine| *engine != from).skip(1);
    let paths: Vec<PathBuf> = after.take(CHANGES).map(|engine| engine.library(host.dir())).collect();
    reloads_are_not_noticed(&host, CHANGES, |stop| {
        for (round, path) in paths.iter().enumerate() {
            if stop.failed.load(Ordering::Relaxed) {
                return;
            }
            change(&host, round, path.to_str().unwrap());
        }
    });
    assert_eq!(host.engine_info()["reload_phase"], "idle");
}

/// One of many ways to go, or not to go, from one engine to another.
fn change(host: &Host, round: usize, path: &str) {
    let mut admin = host.client();
    let mut ask = |line: &str| ask(&mut admin, line);
    match round % 4 {
        0 => {
            let moved = ask(&format!("ENGINE RELOAD {path} MIGRATE"));
            assert!(moved.contains("migrate: "), "{moved}");
        }
        1 => std::thread::scope(|scope| {
            // To one that takes so long that it cannot be there before it is cancelled.
            let slow = Engine::Delayed.library(host.dir());
            let slow = format!("ENGINE RELOAD {} MIGRATE OPTS delay_us=300000..300000", slow.display());
            let reload = scope.spawn(move || tests::show::ask(&mut host.client(), &slow));
            wait_until("a copy that has begun", || {
                let info = host.engine_info();
                info.get("migrate_entries").is_some_and(|entries| entries != "0") || reload.is_finished()
            });
            assert_eq!(ask("ENGINE CANCEL"), "OK");
            let refused = reload.join().unwrap();
            assert!(refused.contains("it was cancelled"), "{refused}");
        }),
        2 => {
            let shadow = ask(&format!("ENGINE SHADOW {path} SAMPLE 10"));
            assert!(shadow.contains("\"shadow\": "), "{shadow}");
            wait_until("reads on both", || host.engine_info()["shadow_reads"] != "0");
            let info = host.engine_info();
            assert_eq!(info["shadow_mismatches"], "0", "{}", info["shadow_mismatches_last"]);
            let end = if round % 8 == 2 { "ENGINE PROMOTE" } else { "ENGINE DROP" };
            let ended = ask(end);
            assert!(ended == "OK" || ended.contains("\"generation\": "), "{end}: {ended}");
        }
        _ => {
            // Every other time from a probation: then the engine before has been kept equal.
            if round % 8 == 3 {
                let moved = ask(&format!("ENGINE RELOAD {path} PROBATION 10m"));
                assert!(moved.contains("on probation"), "{moved}");
            }
            let back = ask("ENGINE ROLLBACK");
            assert!(back.contains("\"generation\": "), "{back}");
            assert_eq!(back.contains("return: "), round % 8 == 3, "{back}");
        }
    }
}

/// What an engine is left for: failures, of which clients are told, and times.
fn an_engine_that_comes_back_by_itself_has_all_writes(from: Engine) {
    let host = Host::start(from);
    let gate = host.path("gate");
    let words = "kv_status status = check(op, KV_OP_NO_VALUE, error);";
    let fails = format!(
        "static unsigned calls; if (access(\"{}\", F_OK) == 0 && ++calls % 16 == 0) return KV_STATUS_UNAVAILABLE;",
        gate.display()
    );
    let fails = changed("fails", words, &format!("{fails} {words}"), host.dir());
    let delayed = Engine::Delayed.library(host.dir());
    under_load(&host, |stop| {
        let reasons = [
            (&fails, "", ("10", "0"), "requests failed"),
            (&delayed, "OPTS delay_us=20000..20000", ("1000", "300"), "99 of 100 commands took"),
        ];
        for (library, options, (errors_max, percent), why) in reasons {
            let settings = format!("probation-errors-max {errors_max} probation-latency-percent {percent}");
            assert_eq!(ask(&mut host.client(), &format!("CONFIG SET {settings}")), "OK");
            put_on_probation(&host, library, options);
            fs::write(&gate, "").unwrap();
            wait_until("the engine before", || {
                host.engine_info()["reload_phase"] == "idle" || stop.failed.load(Ordering::Relaxed)
            });
            let info = host.engine_info();
            assert_eq!(
                (&*info["engine"], info["last_probation"].contains(why)),
                (from.name(), true),
                "{info:?}"
            );
        }
    });
}

/// Who panics can say no more; so it may be that the one before lacks what was written last. Then clients are refused, and nothing wrong is read.
fn none_comes_back_that_lacks_a_write(from: Engine) {
    let host = Host::start(from);
    let library = zoo::faulty("panics 20000", &host.path("panics.so"));
    ask(&mut host.client(), "CONFIG SET probation-latency-percent 0");
    under_load(&host, |stop| {
        put_on_probation(&host, &library, "");
        wait_until("what comes of the panic", || {
            let phase = &host.engine_info()["reload_phase"];
            phase == "idle" || phase == "lacking" || stop.failed.load(Ordering::Relaxed)
        });
        let info = host.engine_info();
        println!("{}: {}", info["reload_phase"], info["engine"]);
        if info["reload_phase"] == "idle" {
            assert_eq!((&*info["engine"], &*info["generation"]), (from.name(), "3"));
        }
    });
}

/// Reloads with a long probation, in which times are what they are where the machine has much to do.
fn put_on_probation(host: &Host, library: &Path, more: &str) {
    let moved = ask(&mut host.client(), &format!("ENGINE RELOAD {} PROBATION 10m {more}", library.display()));
    assert!(moved.contains("on probation"), "{moved}");
}

/// Lets clients read and write while engines change so many times.
fn reloads_are_not_noticed(host: &Host, times: usize, changes: impl FnOnce(&Stop)) {
    let (history, errors) = under_load(host, changes);
    assert_eq!(errors, [""; 0], "each request is answered as if nothing were");
    assert_eq!(history.open_len(), 0, "each request has its reply");
    // The clients were not idle while engines changed: each of them had a few requests for each change.
    assert!(history.len() > times * CLIENTS as usize * 2, "{} operations", history.len());
}

/// Lets clients read and write while engines change. What they did could have happened one after the other; of a request that failed, it is not known
/// whether it did. Answers the errors, too.
fn under_load(host: &Host, changes: impl FnOnce(&Stop)) -> (History, Vec<String>) {
    let seed = tests::seed();
    fill(&mut host.client());
    let recorder = Recorder::new();
    let stop = Stop::default();
    std::thread::scope(|scope| {
        for number in 0..CLIENTS {
            let (client, recording) = (client(host, number), recorder.client());
            let rng = StdRng::seed_from_u64(seed.wrapping_add(u64::from(number)));
            let stop = &stop;
            scope.spawn(move || {
                let _guard = Guard(stop);
                Load { client, recording, rng, number, written: 0, stop }.run();
            });
        }
        let _guard = Guard(&stop);
        changes(&stop);
        stop.stop();
    });
    let mut client = host.client();
    read_all(&mut client, recorder.client(), &stop);
    let filler = kvstore_client::ScanFilter { pattern: Some(b"filler:*".to_vec()), ..Default::default() };
    if host.engine_info()["reload_phase"] == "idle" {
        assert_eq!(client.scan(filler).map(Result::unwrap).collect::<BTreeSet<_>>().len(), ENTRIES);
    }
    let history = recorder.finish().unwrap();
    println!("{} operations", history.len());
    let verdict = linear::check(&history);
    assert!(verdict.is_ok(), "{verdict}");
    (history, stop.errors.into_inner().unwrap())
}

/// Entries that only lie there, so that copying takes a while in which clients have much to ask for.
fn fill(client: &mut Client) {
    let mut pipeline = Pipeline::new();
    for number in 0..ENTRIES {
        pipeline.add(&["SET", &format!("filler:{number}"), &"x".repeat(100)]);
    }
    assert!(client.run(&pipeline).unwrap().iter().all(Result::is_ok));
}

fn client(host: &Host, number: u32) -> Client {
    let address = if number.is_multiple_of(2) { host.tcp() } else { host.unix() };
    host.client_over(address, if number.is_multiple_of(3) { Protocol::Resp2 } else { Protocol::Resp3 })
}

/// Reloads these engines in turns; with `way`: each time in the way that begins so.
fn reload_often(host: &Host, engines: &[(&str, PathBuf)], way: Option<&str>, stop: &Stop) {
    let mut admin = host.client();
    for (round, (name, path)) in (1..=RELOADS).zip(engines.iter().cycle()) {
        if stop.failed.load(Ordering::Relaxed) {
            return;
        }
        let words = [&b"ENGINE"[..], b"RELOAD", path.as_os_str().as_encoded_bytes()];
        let reply = admin.call(&words).unwrap_or_else(|error| panic!("reload {round}: {error}"));
        let reply = fields(reply);
        let held = ["writes_held_us", "workers_stopped_us"];
        let held =
            held.map(|name| reply.get(name).map_or(String::new(), |number| format!("{name} {number}")));
        println!("{round}: {name} in {} ms, {}", reply["took_ms"], held.concat());
        assert!(way.is_none_or(|way| reply["handoff"].starts_with(way)), "{reply:?}");
        assert_eq!(reply["engine"], *name);
        assert_eq!(reply["generation"], (round + 1).to_string());
        assert!(reply["previous_library"].starts_with("unmapped"), "reload {round}: {reply:?}");
    }
    let info = fields(admin.call(&["ENGINE", "INFO"]).unwrap());
    assert_eq!((&*info["reloads"], &*info["reloads_refused"]), (&*RELOADS.to_string(), "0"));
    let list = admin.call(&["ENGINE", "HISTORY"]).unwrap().into_elements().unwrap();
    assert_eq!(list.len(), RELOADS + 1);
    for generation in list.into_iter().take(RELOADS).map(fields) {
        assert!(generation["state"].starts_with("unmapped"), "{generation:?}");
    }
}

/// What is there in the end is part of the history too: a write that was lost shows.
fn read_all(client: &mut Client, mut recording: linear::Client, stop: &Stop) {
    for key in (0..KEYS).map(key) {
        let token = recording.invoke(key.clone(), Op::Get);
        let found = client.get(&key).inspect_err(|error| stop.note(error));
        recording.complete(token, found.map_or(Outcome::Failed, Outcome::Value));
    }
}

fn key(number: u32) -> Vec<u8> {
    format!("key:{number}").into_bytes()
}

/// What is asked for, and in which words: the command, and what stands behind the key and the value.
type Choice = (Op, &'static [&'static str]);

const GET: Choice = (Op::Get, &["GET"]);
const INCR: Choice = (Op::Incr(1), &["INCR"]);

/// One client.
struct Load<'a> {
    client: Client,
    recording: linear::Client,
    rng: StdRng,
    number: u32,
    written: u64,
    stop: &'a Stop,
}

impl Load<'_> {
    fn run(&mut self) {
        let mut due = Instant::now();
        while self.stop.pace(due) {
            due = Instant::now() + PERIOD;
            match self.number {
                1 | 2 => {
                    self.requests(PIPELINE);
                    due += PERIOD * 8;
                }
                number if number.is_multiple_of(TRANSACTIONS_BY) && self.rng.random() => self.transaction(),
                _ => self.requests(1),
            }
        }
    }

    /// A value that nobody else writes, and that is a number.
    fn value(&mut self) -> Vec<u8> {
        self.written += 1;
        (u64::from(self.number + 1) * 1_000_000_000 + self.written * 1_000).to_string().into_bytes()
    }

    fn choose(&mut self) -> Choice {
        match self.rng.random_range(0..12) {
            0..4 => GET,
            4..6 => (Op::Set(self.value()), &["SET"]),
            6..8 => INCR,
            8 => (Op::Del, &["DEL"]),
            9 => (Op::SetNx(self.value()), &["SET", "NX"]),
            10 => (Op::SetNx(self.value()), &["SETNX"]),
            _ => (Op::GetDel, &["GETDEL"]),
        }
    }

    /// Requests that go out together.
    fn requests(&mut self, count: usize) {
        let mut pipeline = Pipeline::new();
        let mut chosen = Vec::new();
        for _ in 0..count {
            let key = key(self.rng.random_range(0..KEYS));
            let choice = self.choose();
            add(&mut pipeline, &key, &choice);
            chosen.push((key, choice.0));
        }
        let tokens: Vec<_> =
            chosen.iter().map(|(key, op)| self.recording.invoke(key.clone(), op.clone())).collect();
        let replies = self.client.run(&pipeline).unwrap();
        for ((token, (key, op)), reply) in tokens.into_iter().zip(&chosen).zip(replies) {
            let reply = reply.inspect_err(|error| self.stop.note(error));
            let outcome = reply.map_or_else(failed, |reply| outcome(op, reply));
            let outcome = outcome.unwrap_or_else(|reply| panic!("{op:?} of {}: {reply}", key.escape_ascii()));
            let has_no_effect = *op == Op::Get && outcome == Outcome::Unknown;
            self.recording.complete(token, if has_no_effect { Outcome::Failed } else { outcome });
        }
    }

    /// Requests on both keys of the pair, in one order of them or the other, as one step.
    fn transaction(&mut self) {
        let mut keys = PAIR.map(key);
        if self.rng.random() {
            keys.reverse();
        }
        let choices: Vec<Choice> = match self.rng.random_range(0..4) {
            0 => vec![GET, GET],
            1 => vec![INCR, INCR],
            2 => vec![(Op::Set(self.value()), &["SET"]), (Op::Set(self.value()), &["SET"])],
            // The last one sees what the first has done.
            _ => vec![self.choose(), self.choose(), GET],
        };
        let mut pipeline = Pipeline::new();
        pipeline.add(&["MULTI"]);
        let mut parts = Vec::new();
        for (key, choice) in keys.iter().cycle().zip(choices) {
            add(&mut pipeline, key, &choice);
            parts.push((key.to_vec(), choice.0));
        }
        pipeline.add(&["EXEC"]);
        let token = self.recording.invoke_multi(parts.clone());
        let exec = self.client.run(&pipeline).unwrap().pop().unwrap();
        let exec = exec.inspect_err(|error| self.stop.note(error));
        let outcome = exec.map_or_else(failed, |replies| {
            let replies = replies.into_elements().filter(|replies| replies.len() == parts.len());
            let each = parts.iter().zip(replies.ok_or("not a reply to each part")?);
            each.map(|((_, op), reply)| outcome(op, reply)).collect::<Result<_, _>>().map(Outcome::Multi)
        });
        self.recording.complete(token, outcome.unwrap_or_else(|reply| panic!("EXEC of {parts:?}: {reply}")));
    }
}

/// Adds the request for what was chosen.
fn add(pipeline: &mut Pipeline, key: &[u8], (op, words): &Choice) {
    let mut request: Vec<&[u8]> = vec![words[0].as_bytes(), key];
    if let Op::Set(value) | Op::SetNx(value) = op {
        request.push(value);
    }
    request.extend(words.iter().skip(1).map(|word| word.as_bytes()));
    pipeline.add(&request);
}

/// What an error says of a request: that it was not carried out, or that nobody knows.
fn failed(error: Error) -> Result<Outcome, String> {
    let error = error.to_string();
    let refused = ["UNAVAILABLE ", "TRYAGAIN ", "ERR the engine answered POISONED"];
    let known = refused.iter().any(|begin| error.starts_with(begin));
    Ok(if known { Outcome::Failed } else { Outcome::Unknown })
}

/// What a reply says, or what is wrong with it.
fn outcome(op: &Op, reply: Value) -> Result<Outcome, String> {
    let unexpected = Err(show(&reply));
    match (op, reply) {
        (Op::Get | Op::GetDel, Value::Nil) => Ok(Outcome::Value(None)),
        (Op::Get | Op::GetDel, Value::Bulk(value)) => Ok(Outcome::Value(Some(value))),
        (Op::Set(_), Value::Simple(_)) => Ok(Outcome::Done),
        (Op::SetNx(_), Value::Simple(_)) => Ok(Outcome::Flag(true)),
        (Op::SetNx(_), Value::Nil) => Ok(Outcome::Flag(false)),
        (Op::SetNx(_) | Op::Del, Value::Integer(number @ 0..=1)) => Ok(Outcome::Flag(number == 1)),
        (Op::Incr(_), Value::Integer(sum)) => Ok(Outcome::Int(sum)),
        _ => unexpected,
    }
}
