//! Probation: the engine before is kept equal to the one that went live, and comes back with all that was written since: when somebody says so, or by
//! itself when the new one fails or is slow.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use kvstore_client::{Client, Error, Pipeline};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tests::binaries;
use tests::engines::{Engine, changed, that_waits};
use tests::host::{Host, Options, fields};
use tests::on_each_engine;
use tests::show::ask;
use tests::wait::wait_until;
use tests::zoo;

use super::migrate::{ENTRIES, all, fill, request};

on_each_engine!(a_rollback_on_probation_has_all_that_was_written, an_engine_that_does_well_stays);

/// A host that compares no times: here the machine may be slow.
fn start(engine: Engine) -> Host {
    Host::start_with(engine, &Options::config("probation_latency_percent = 0\n"))
}

fn reload(host: &Host, library: &Path, more: &str) -> BTreeMap<String, String> {
    let line = format!("ENGINE RELOAD {} {more}", library.display());
    let words: Vec<&str> = line.split_whitespace().collect();
    fields(host.client().call(&words).unwrap())
}

/// Random requests, whose answers are those of a host that nobody reloads.
struct Twin {
    host: Host,
    rng: StdRng,
    expires: bool,
}

impl Twin {
    fn start(of: &Host, from: Engine) -> Self {
        let host = Host::start(from);
        fill(&mut of.client());
        fill(&mut host.client());
        Self { host, rng: StdRng::seed_from_u64(tests::seed()), expires: from.expires() }
    }

    fn write(&mut self, client: &mut Client, count: usize) {
        let mut same = self.host.client();
        for _ in 0..count {
            for line in request(&mut self.rng, self.expires) {
                assert_eq!(ask(client, &line), ask(&mut same, &line), "{line}");
            }
        }
    }

    fn is_same(&self, client: &mut Client) {
        // What was stored for a millisecond has to go on both.
        wait_until("the same on both", || all(client) == all(&mut self.host.client()));
    }
}

fn a_rollback_on_probation_has_all_that_was_written(from: Engine) {
    let host = start(from);
    let mut client = host.client();
    let mut twin = Twin::start(&host, from);
    let reply = reload(&host, &binaries::memory_engine_other_build(), "PROBATION 10m");
    assert_eq!((&*reply["engine"], &*reply["generation"]), ("memory", "2"));
    assert!(reply["previous_library"].starts_with("kept equal for 600000 ms"), "{reply:?}");
    let info = host.engine_info();
    assert_eq!((&*info["reload_phase"], &*info["probation_errors"]), ("probation", "0"));
    assert!(info["probation_left_ms"].parse::<u64>().unwrap() > 0);
    for line in ["ENGINE RELOAD", "ENGINE CANCEL"] {
        assert!(ask(&mut client, line).starts_with('!'), "{line}");
    }
    twin.write(&mut client, 500);
    ask(&mut client, "FLUSHALL");
    ask(&mut twin.host.client(), "FLUSHALL");
    twin.write(&mut client, 500);
    let reply = fields(client.call(&["ENGINE", "ROLLBACK"]).unwrap());
    assert_eq!(
        (&*reply["engine"], &*reply["generation"], &*reply["previous_library"]),
        (from.name(), "3", "unmapped")
    );
    twin.is_same(&mut client);
    twin.write(&mut client, 100);
    twin.is_same(&mut client);
    let info = host.engine_info();
    assert_eq!(
        (&*info["reload_phase"], &*info["last_probation"]),
        ("idle", "the engine before came back: ENGINE ROLLBACK")
    );
    // It can be replaced, and gone back to, like any other.
    let reply = reload(&host, &binaries::memory_engine_other_build(), "");
    assert_eq!((&*reply["generation"], &*reply["previous_library"]), ("4", "unmapped"));
    twin.is_same(&mut client);
}

fn an_engine_that_does_well_stays(from: Engine) {
    let host = start(from);
    let mut client = host.client();
    let mut twin = Twin::start(&host, from);
    reload(&host, &binaries::memory_engine_other_build(), "PROBATION 200ms");
    while host.engine_info()["reload_phase"] != "idle" {
        twin.write(&mut client, 20);
    }
    let info = host.engine_info();
    assert_eq!((&*info["engine"], &*info["generation"]), ("memory", "2"));
    assert_eq!(info["previous_library"], "unmapped");
    twin.is_same(&mut client);
    // The other end of it: somebody has seen enough.
    reload(&host, &from.library(host.dir()), "PROBATION 10m");
    twin.write(&mut client, 20);
    let reply = fields(client.call(&["ENGINE", "PROMOTE"]).unwrap());
    assert_eq!((&*reply["generation"], &*reply["previous_library"]), ("3", "unmapped"));
    twin.is_same(&mut client);
    assert_eq!(host.engine_info()["last_probation"], "the new engine stayed");
}

fn has_come_back(host: &Host, why: &str) {
    wait_until("the engine before", || host.engine_info()["reload_phase"] == "idle");
    let info = host.engine_info();
    assert_eq!((&*info["engine"], &*info["generation"]), ("memory", "3"));
    assert!(info["last_probation"].contains(why), "{}", info["last_probation"]);
    assert_eq!(info["previous_library"], "unmapped");
}

#[test]
fn an_engine_in_which_requests_fail_is_left_with_all_that_was_written() {
    let host = start(Engine::Memory);
    let mut client = host.client();
    fill(&mut client);
    ask(&mut client, "CONFIG SET probation-errors-max 0");
    // Some read after the entries and the last one that is written.
    let options = format!("PROBATION 10m OPTS fail_at={} delay_us=0..1", ENTRIES + 100);
    reload(&host, &Engine::Delayed.library(host.dir()), &options);
    ask(&mut client, "SET since 1");
    let mut asked = 0;
    while ask(&mut client, "GET since") == "\"1\"" {
        asked += 1;
        assert!(asked < 1_000, "none fails");
    }
    has_come_back(&host, "1 requests failed in the engine, 0 may");
    assert_eq!(ask(&mut client, "GET since"), "\"1\"");
    assert_eq!(ask(&mut client, "DBSIZE"), format!("{}", ENTRIES + 1));
}

/// Has the clients stop, also when the test fails.
pub(super) struct Stop<'a>(pub(super) &'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn an_engine_that_is_slow_is_left_with_all_that_was_written() {
    let host = Host::start(Engine::Memory);
    let mut client = host.client();
    fill(&mut client);
    // What it was before.
    (0..300).for_each(|_| _ = ask(&mut client, "INCR before"));
    reload(&host, &Engine::Delayed.library(host.dir()), "PROBATION 10m OPTS delay_us=20000..20000");
    let stop = AtomicBool::new(false);
    let written = thread::scope(|scope| {
        let run = |number: u32| {
            let (mut client, stop) = (host.client(), &stop);
            scope.spawn(move || {
                let key = format!("count:{number}");
                let mut written = 0;
                while !stop.load(Ordering::Relaxed) {
                    written += 1;
                    assert_eq!(ask(&mut client, &format!("INCR {key}")), written.to_string());
                }
                (key, written)
            })
        };
        let clients: Vec<_> = (0..4).map(run).collect();
        let stopping = Stop(&stop);
        has_come_back(&host, "99 of 100 commands took up to ");
        drop(stopping);
        clients.into_iter().map(|client| client.join().unwrap()).collect::<Vec<_>>()
    });
    for (key, count) in written {
        assert_eq!(ask(&mut host.client(), &format!("GET {key}")), format!("\"{count}\""));
    }
}

#[test]
fn an_engine_that_panics_is_left_where_the_one_before_has_all_that_was_written() {
    let host = start(Engine::Memory);
    let mut client = host.client();
    fill(&mut client);
    ask(&mut client, "CONFIG SET probation-errors-max 1000000");
    reload(&host, &zoo::faulty("panics 30000", &host.path("panics.so")), "PROBATION 10m");
    ask(&mut client, "SET since 1");
    let mut asked = 0;
    while ask(&mut client, "GET since") == "\"1\"" {
        asked += 1;
        assert!(asked < 40_000, "it does not panic");
    }
    // Whoever asks meanwhile is refused.
    wait_until("a write that is taken", || ask(&mut client, "SET more 1") == "OK");
    has_come_back(&host, "the new engine has panicked");
    assert_eq!(ask(&mut client, "GET since"), "\"1\"");
    assert_eq!(ask(&mut client, "DBSIZE"), format!("{}", ENTRIES + 2));
}

#[test]
fn a_write_in_which_an_engine_panics_is_none_that_the_one_before_lacks() {
    let host = start(Engine::Memory);
    let mut client = host.client();
    fill(&mut client);
    ask(&mut client, "CONFIG SET probation-errors-max 1000000");
    reload(&host, &zoo::faulty("panics at boom", &host.path("panics.so")), "PROBATION 10m");
    assert_eq!(ask(&mut client, "SET since 1"), "OK");
    wait_until("the copy of it", || host.engine_info()["probation_lag_keys"] == "0");
    assert!(ask(&mut client, "SET boom 1").starts_with("!UNKNOWN the engine answered PANIC"));
    // Whoever asks meanwhile is refused.
    wait_until("a write that is taken", || ask(&mut client, "SET more 1") == "OK");
    has_come_back(&host, "the new engine has panicked");
    assert_eq!(ask(&mut client, "GET since"), "\"1\"");
    assert_eq!(ask(&mut client, "DBSIZE"), format!("{}", ENTRIES + 2));
}

#[test]
fn an_engine_that_panics_once_is_left_though_nobody_asks_for_more() {
    let host = start(Engine::Memory);
    let mut client = host.client();
    fill(&mut client);
    ask(&mut client, "CONFIG SET probation-errors-max 1000000");
    let gate = host.path("gate");
    let words = "uint32_t from = 0, lent = 0;";
    let scans = format!("if (access(\"{}\", F_OK) == 0) return KV_STATUS_PANIC;", gate.display());
    let scans = changed("scans", words, &format!("{scans} {words}"), host.dir());
    for (round, request, engine) in [(1, "GET boom", that_booms(host.dir())), (2, "DBSIZE", scans)] {
        let _ = fs::remove_file(&gate);
        reload(&host, &engine, "PROBATION 10m");
        fs::write(&gate, "").unwrap();
        assert_eq!(ask(&mut client, &format!("SET since:{round} 1")), "OK");
        wait_until("the copy of it", || host.engine_info()["probation_lag_keys"] == "0");
        let reply = ask(&mut client, request);
        assert!(reply.contains("the engine answered PANIC"), "{reply}");
        host.wait_for_log(&[&format!("generation {}) has panicked, and refuses", round * 2)]);
        wait_until("the engine before", || host.engine_info()["reload_phase"] == "idle");
        let info = host.engine_info();
        assert_eq!((&*info["engine"], &*info["panicked"]), ("memory", "0"));
        let why = "the engine before came back: the new engine has panicked";
        assert!(info["last_probation"].starts_with(why), "{}", info["last_probation"]);
        assert_eq!(ask(&mut client, &format!("GET since:{round}")), "\"1\"");
    }
    assert_eq!(ask(&mut client, "DBSIZE"), (ENTRIES + 2).to_string());
}

/// The C example, which panics when the key `boom` is touched; built in `dir`.
pub(super) fn that_booms(dir: &Path) -> PathBuf {
    let words = "static kv_status check(const kv_op *op, uint32_t known_flags, kv_error *error) {";
    let panics = "static int poisoned; if (poisoned) return KV_STATUS_POISONED;
        if (op->key.len == 4 && memcmp(op->key.data, \"boom\", 4) == 0) { poisoned = 1; return KV_STATUS_PANIC; }";
    changed("boom", words, &format!("{words} {panics}"), dir)
}

/// Has it panic right behind ten writes, so that nobody can read them.
pub(super) fn boom(client: &mut Client) -> Result<(), Error> {
    let mut pipeline = Pipeline::new();
    (0..10).for_each(|number| _ = pipeline.add(&["SET", &format!("lost:{number}"), "1"]));
    pipeline.add(&["SET", "boom", "1"]);
    let replies = client.run(&pipeline)?;
    assert_eq!(replies.iter().filter(|reply| reply.is_ok()).count(), 10);
    Ok(())
}

/// A host with an engine on probation that has just panicked, at a moment at which the one before lacked ten keys.
fn that_lacks_ten() -> (Host, Client) {
    let host = start(Engine::Memory);
    let mut client = host.client();
    fill(&mut client);
    ask(&mut client, "CONFIG SET probation-errors-max 1000000");
    reload(&host, &that_booms(host.dir()), "PROBATION 10m");
    boom(&mut client).unwrap();
    wait_until("somebody's word", || host.engine_info()["reload_phase"] == "lacking");
    host.wait_for_log(&["does not come back: it lacks 10 keys"]);
    (host, client)
}

#[test]
fn an_engine_that_lacks_what_was_written_comes_back_only_when_somebody_says_so() {
    let (host, mut client) = that_lacks_ten();
    // Nothing of this does anything, to either engine.
    for line in ["FLUSHALL", "SET more 1", "GET key:1", "ENGINE RELOAD", "ENGINE CANCEL"] {
        assert!(ask(&mut client, line).starts_with('!'), "{line}");
    }
    let reply = fields(client.call(&["ENGINE", "ROLLBACK"]).unwrap());
    assert_eq!((&*reply["engine"], &*reply["generation"]), ("memory", "3"));
    assert_eq!(ask(&mut client, "DBSIZE"), ENTRIES.to_string());
    assert_eq!(ask(&mut client, "SET more 1"), "OK");
    has_come_back(&host, "ENGINE ROLLBACK");
}

#[test]
fn an_engine_that_lacks_what_was_written_goes_when_somebody_says_so() {
    let (host, mut client) = that_lacks_ten();
    let reply = fields(client.call(&["ENGINE", "PROMOTE"]).unwrap());
    assert_eq!((&*reply["engine"], &*reply["previous_library"]), ("c-example", "unmapped"));
    assert_eq!(host.engine_info()["reload_phase"], "idle");
    let (host, _client) = that_lacks_ten();
    assert!(host.stop().contains("the new engine stayed"));
}

#[test]
fn what_cannot_be_read_for_a_while_is_copied_later() {
    let config = Options::config("probation_latency_percent = 0\ndrain_timeout_ms = 1000\n");
    let host = Host::start_with(Engine::Memory, &config);
    let mut client = host.client();
    fill(&mut client);
    let gate = host.path("gate");
    let words = "kv_status status = check(op, KV_OP_NO_VALUE, error);";
    let fails = format!("if (access(\"{}\", F_OK) == 0) return KV_STATUS_UNAVAILABLE;", gate.display());
    reload(&host, &changed("fails", words, &format!("{fails} {words}"), host.dir()), "PROBATION 10m");
    for way in ["later", "never"] {
        fs::write(&gate, "").unwrap();
        assert_eq!(ask(&mut client, "SET since 1"), "OK");
        wait_until("a read that failed", || host.engine_info()["probation_lag_keys"] == "1");
        assert_eq!(host.engine_info()["reload_phase"], "probation");
        if way == "later" {
            fs::remove_file(&gate).unwrap();
            wait_until("the copy", || host.engine_info()["probation_lag_keys"] == "0");
        }
    }
    // While it is so, it cannot come back by itself.
    let reply = ask(&mut client, "ENGINE ROLLBACK");
    assert!(reply.contains("does not come back: it lacks 1 keys"), "{reply}");
    assert_eq!(host.engine_info()["reload_phase"], "lacking");
    assert_eq!(ask(&mut client, "SET more 1"), "OK");
    let reply = fields(client.call(&["ENGINE", "ROLLBACK"]).unwrap());
    assert_eq!((&*reply["engine"], &*reply["generation"]), ("memory", "3"));
    assert_eq!(ask(&mut client, "DBSIZE"), (ENTRIES + 1).to_string());
}

#[test]
fn an_engine_that_could_not_come_back_in_time_goes_all_the_same() {
    let config = Options::config("probation_latency_percent = 0\ndrain_timeout_ms = 1000\n");
    let host = Host::start_with(Engine::Memory, &config);
    // Each on a worker of its own.
    let (mut client, mut other) = (host.client(), host.client());
    let gate = host.path("gate");
    let words = "kv_status kv_set(kv_engine *engine, const kv_op *op, uint64_t *version, kv_error *error) {";
    reload(&host, &that_waits(words, &gate, host.dir()), "PROBATION 10m");
    fs::write(&gate, "").unwrap();
    thread::scope(|scope| {
        let set = scope.spawn(|| ask(&mut other, "SET a 1"));
        wait_until("a write that hangs", || host.path("gate.inside").exists());
        let reply = ask(&mut client, "ENGINE ROLLBACK");
        assert!(reply.contains("does not come back: writes under way did not end in time"), "{reply}");
        fs::remove_file(&gate).unwrap();
        assert_eq!(set.join().unwrap(), "OK");
    });
    let reply = fields(client.call(&["ENGINE", "PROMOTE"]).unwrap());
    assert_eq!(reply["previous_library"], "unmapped");
    assert_eq!(ask(&mut client, "GET a"), "\"1\"");
}

#[test]
fn an_engine_that_hangs_does_not_pass() {
    let config = "probation_latency_percent = 0\nwatchdog_ms = 100\n";
    let host = Host::start_with(Engine::Memory, &Options::config(config));
    let (mut client, mut other, gate) = (host.client(), host.client(), host.path("gate"));
    let flags = ["-DIN_SET", &format!("-DGATE=\"{}\"", gate.display())];
    reload(&host, &zoo::accepted_with("call_gated", host.dir(), &flags), "PROBATION 5s");
    assert_eq!(ask(&mut client, "SET a 1"), "OK");
    fs::write(&gate, "").unwrap();
    thread::scope(|scope| {
        let set = scope.spawn(|| ask(&mut other, "SET b 1"));
        host.wait_for_log(&["engine c-example, generation 2: pool-", "set has not returned for "]);
        wait_until("the end of the time", || host.engine_info()["probation_left_ms"] == "0");
        // Whoever has told that has looked whether it passes before it tells more.
        assert_eq!(host.engine_info()["reload_phase"], "probation");
        fs::remove_file(&gate).unwrap();
        assert_eq!(set.join().unwrap(), "OK");
    });
    wait_until("the end of the probation", || host.engine_info()["reload_phase"] == "idle");
    assert_eq!(host.engine_info()["engine"], "c-example");
    assert_eq!(ask(&mut client, "GET b"), "\"1\"");
}

#[test]
fn a_host_that_stops_ends_a_probation() {
    let host = start(Engine::Memory);
    reload(&host, &Engine::CExample.library(host.dir()), "PROBATION 10m");
    assert!(host.stop().contains("the new engine stayed"));
}

#[test]
fn times_of_a_probation_are_checked() {
    let host = Host::start(Engine::Memory);
    let mut client = host.client();
    for wrong in ["", "0s", "1", "s", "25h", "-1s", "1s PROBATION 1s", "99999999999999999999s"] {
        let reply = ask(&mut client, &format!("ENGINE RELOAD PROBATION {wrong}"));
        assert!(reply.starts_with("!ERR syntax error"), "{wrong}: {reply}");
    }
    let reply = ask(&mut client, "ENGINE SHADOW /a.so PROBATION 1s");
    assert!(reply.starts_with("!ERR syntax error"), "{reply}");
}
