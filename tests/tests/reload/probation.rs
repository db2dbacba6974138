//! Probation: the engine before is kept equal to the one that went live, and comes back with all that was written since: when somebody says so, or by
//! itself when the new one fails or is slow.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use kvstore_client::Client;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tests::binaries;
use tests::engines::Engine;
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
    assert_eq!((&*info["reload_phase"], &*info["last_return"]), ("idle", "ENGINE ROLLBACK"));
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
    assert!(!host.engine_info().contains_key("last_return"));
}

fn has_come_back(host: &Host, why: &str) {
    wait_until("the engine before", || host.engine_info()["reload_phase"] == "idle");
    let info = host.engine_info();
    assert_eq!((&*info["engine"], &*info["generation"]), ("memory", "3"));
    assert!(info["last_return"].contains(why), "{}", info["last_return"]);
    assert_eq!(info["previous_library"], "unmapped");
}

#[test]
fn an_engine_in_which_requests_fail_is_left_with_all_that_was_written() {
    let host = start(Engine::Memory);
    let mut client = host.client();
    fill(&mut client);
    ask(&mut client, "CONFIG SET probation-errors-max 0");
    // The entries, the last one that is written, and then some reads.
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
struct Stop<'a>(&'a AtomicBool);

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
    reload(&host, &zoo::faulty("panics 30000", &host.path("panics.so")), "PROBATION 10m");
    ask(&mut client, "SET since 1");
    let mut asked = 0;
    while ask(&mut client, "GET since") == "\"1\"" {
        asked += 1;
        assert!(asked < 40_000, "it does not panic");
    }
    // Its copier finds that out by itself, or by the next change; whoever asks meanwhile is refused.
    wait_until("a write that is taken", || ask(&mut client, "SET more 1") == "OK");
    has_come_back(&host, "");
    assert_eq!(ask(&mut client, "GET since"), "\"1\"");
    assert_eq!(ask(&mut client, "DBSIZE"), format!("{}", ENTRIES + 2));
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
