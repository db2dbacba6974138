//! Adopt: an engine takes over the state of another one where it lies in memory; every step of that may fail.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kvstore_client::Client;
use plugin_abi::raw::KV_CAP_ATOMIC;
use tests::binaries;
use tests::engines::Engine;
use tests::host::{Host, Options, fields};
use tests::show::{ask, expect};
use tests::variant::variant;
use tests::wait::wait_until;

/// A host with the engine of the zoo that can adopt, and fails as it is told.
fn start(options: &[&str]) -> Host {
    start_with(&binaries::example("accepted_adopts"), "", options)
}

fn start_with(engine: &Path, config: &str, options: &[&str]) -> Host {
    let dir = Arc::new(tempfile::tempdir().unwrap());
    let here = dir.path().display().to_string();
    let args = options.iter().map(|option| format!("--engine-opt={}", option.replace("DIR", &here)));
    let options = Options { args: args.collect(), ..Options::config(config) };
    Host::start_library(&dir, engine, &options)
}

/// Another build of that engine.
fn other(host: &Host) -> PathBuf {
    variant(&binaries::example("accepted_adopts"), &host.path("other.so"), |it| it.version[0] = b'2')
}

fn reload(client: &mut Client, path: &Path, more: &str) -> Result<BTreeMap<String, String>, String> {
    let path = path.to_str().unwrap();
    let words: Vec<&str> = ["ENGINE", "RELOAD", path].into_iter().chain(more.split_whitespace()).collect();
    match client.call(&words) {
        Ok(reply) => Ok(fields(reply)),
        Err(error) => Err(error.reply().unwrap_or_else(|| panic!("{error}")).to_string()),
    }
}

fn fill(client: &mut Client) {
    for number in 0..500 {
        client
            .set(format!("key:{number}").as_bytes(), format!("{number}").repeat(number).as_bytes())
            .unwrap();
    }
    client.set(b"", b"under the empty key").unwrap();
    client.set(b"large", &vec![b'x'; 3 << 20]).unwrap();
}

fn is_filled(client: &mut Client) {
    for number in 0..500 {
        let found = client.get(format!("key:{number}").as_bytes()).unwrap();
        assert!(
            found.is_some_and(|found| found == format!("{number}").repeat(number).into_bytes()),
            "key:{number}"
        );
    }
    assert_eq!(client.get(b"").unwrap().as_deref(), Some(&b"under the empty key"[..]));
    assert_eq!(client.get(b"large").unwrap().map(|value| value.len()), Some(3 << 20));
}

fn is_adopted(reply: &BTreeMap<String, String>) {
    assert!(reply["handoff"].starts_with("adopt: "), "{reply:?}");
    assert_eq!((&*reply["versions"], &*reply["previous_library"]), ("kept", "unmapped"), "{reply:?}");
    let number = |name: &str| reply[name].parse::<u64>().unwrap();
    assert!(
        number("regions") > 0 && number("bytes") > 3 << 20 && number("workers_stopped_us") > 0,
        "{reply:?}"
    );
}

#[test]
fn all_goes_along_and_back() {
    let other = |dir: &Path| {
        variant(&binaries::example("accepted_adopts"), &dir.join("2.so"), |it| it.version[0] = b'2')
    };
    goes_along_and_back(&start(&[]), other);
}

#[test]
fn all_goes_along_to_another_build_of_the_memory_engine_and_back() {
    goes_along_and_back(&Host::start(Engine::Memory), |_| binaries::memory_engine_other_build());
}

fn goes_along_and_back(host: &Host, other: impl FnOnce(&Path) -> PathBuf) {
    let mut client = host.client();
    fill(&mut client);
    expect(&mut client, &[("SET soon v PXAT 4102444800000", "OK"), ("SET a 1", "OK")]);
    let (mut one, mut changed) = (host.client(), host.client());
    expect(&mut one, &[("WATCH a", "OK"), ("MULTI", "OK"), ("INCR a", "QUEUED")]);
    expect(&mut changed, &[("WATCH soon", "OK"), ("MULTI", "OK"), ("GET a", "QUEUED")]);
    let before = host.engine_info();

    is_adopted(&reload(&mut client, &other(host.dir()), "").unwrap());
    is_filled(&mut client);
    let info = host.engine_info();
    assert_eq!((&*info["generation"], &*info["last_handoff"]), ("2", "adopt"));
    assert_ne!(info["digest"], before["digest"]);
    assert!(info["last_handoff_held_us"].parse::<u64>().unwrap() > 0);
    let end = " us; generation 1: unmapped";
    host.wait_for_log(&["reload done: generation 2 is ", "adopted, workers stopped for ", end]);
    expect(&mut client, &[("PEXPIRETIME soon", "4102444800000"), ("SET soon w KEEPTTL", "OK")]);

    is_adopted(&fields(client.call(&["ENGINE", "ROLLBACK"]).unwrap()));
    assert_eq!(host.engine_info()["digest"], before["digest"]);
    is_filled(&mut client);
    expect(&mut client, &[("GET soon", "\"w\""), ("PEXPIRETIME soon", "4102444800000")]);
    // What was watched before both is watched still.
    expect(&mut one, &[("EXEC", "[2]")]);
    expect(&mut changed, &[("EXEC", "nil")]);
    // What is stored, moved and removed from now on is in the same state.
    client.set(b"large", &vec![b'y'; 4 << 20]).unwrap();
    assert_eq!(client.get(b"large").unwrap().map(|value| value.len()), Some(4 << 20));
    expect(&mut client, &[("FLUSHALL", "OK"), ("DBSIZE", "0")]);
}

#[test]
fn what_expires_after_an_adopt_is_gone() {
    let host = start(&[]);
    let mut client = host.client();
    assert_eq!(ask(&mut client, "SET soon v PX 3000"), "OK");
    assert!(reload(&mut client, &other(&host), "").unwrap()["handoff"].starts_with("adopt"));
    wait_until("the expiry", || client.get(b"soon").unwrap().is_none());
}

#[test]
fn a_scan_under_way_sees_each_key_that_stays() {
    let host = start(&[]);
    let mut client = host.client();
    let keys: BTreeSet<Vec<u8>> = (0..600).map(|number| format!("key:{number}").into_bytes()).collect();
    keys.iter().for_each(|key| client.set(key, b"v").unwrap());
    let (mut admin, mut found, mut cursor, mut steps) = (host.client(), BTreeSet::new(), b"0".to_vec(), 0);
    loop {
        let reply = client.call(&[&b"SCAN"[..], &cursor, b"COUNT", b"100"]).unwrap().into_elements().unwrap();
        let [next, part] = <[_; 2]>::try_from(reply).unwrap();
        found.extend(part.into_elements().unwrap().into_iter().map(|key| key.into_bytes().unwrap()));
        (cursor, steps) = (next.into_bytes().unwrap(), steps + 1);
        if cursor == b"0" {
            break;
        }
        if steps == 3 {
            assert!(reload(&mut admin, &other(&host), "").unwrap()["handoff"].starts_with("adopt"));
        }
    }
    assert!(steps > 3 && found == keys, "{steps} steps, {} keys", found.len());
}

/// Stops the others when the test goes on, or fails.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Counts up until it is told to stop; each reply has to be the next number.
fn count(mut client: Client, stop: &AtomicBool) -> i64 {
    let mut last = 0;
    while !stop.load(Ordering::Relaxed) {
        let sum = client.call(&["INCR", "count"]).unwrap().as_integer().unwrap();
        assert_eq!(sum, last + 1, "nobody else counts");
        last = sum;
        // The check of an engine runs at the lowest priority: a client that takes the whole machine would keep it waiting.
        std::thread::park_timeout(Duration::from_millis(1));
    }
    last
}

#[test]
fn each_step_may_fail_and_clients_do_not_notice() {
    // Of the live engine, and of the candidate; what is said of it; and whether the data are copied then.
    let cases: [(&str, &str, &[&str], bool); 5] = [
        (
            "prepare:error",
            "",
            &["kv_handoff_prepare of engine 'adopts 1.0.0' failed: UNAVAILABLE", "no prepare on a Sat"],
            true,
        ),
        (
            "give:error",
            "",
            &["kv_handoff_give of engine 'adopts 1.0.0' failed: UNAVAILABLE", "no give on a Saturday"],
            true,
        ),
        (
            "",
            "open:error",
            &["kv_open of engine 'adopts 2.0.0' failed: UNAVAILABLE", "no open on a Saturday"],
            true,
        ),
        ("", "open:panic", &["kv_open of engine 'adopts 2.0.0' failed: PANIC", "no open on a Sunday"], false),
        (
            "abort:error",
            "open:error",
            &["kv_open of ", "; and kv_handoff_abort failed: UNAVAILABLE", "no abort"],
            false,
        ),
    ];
    for (giver, taker, why, copies) in cases {
        let giver_fails = format!("fail={giver}");
        let host = if giver.is_empty() { start(&[]) } else { start(&[&giver_fails]) };
        let mut client = host.client();
        fill(&mut client);
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let going = Stop(&stop);
            let counting = scope.spawn(|| count(host.client(), &stop));
            let fails = if taker.is_empty() { "OPTS".to_owned() } else { format!("OPTS fail={taker}") };
            let reply = reload(&mut client, &other(&host), &fails);
            if copies {
                let reply = reply.unwrap();
                assert!(reply["handoff"].starts_with("migrate: "), "{reply:?}");
                assert!(why.iter().all(|part| reply["handoff"].contains(part)), "{reply:?}");
                host.wait_for_log(&[
                    "reload done: generation 2",
                    "entries migrated",
                    "not handed over",
                    why[0],
                ]);
                assert_eq!(host.engine_info()["last_handoff"], "migrate");
            } else {
                let refusal = reply.unwrap_err();
                assert!(refusal.starts_with("ERR reload refused: "), "{refusal}");
                assert!(why.iter().all(|part| refusal.contains(part)), "{refusal}");
                host.wait_for_log(&["reload refused, generation 1 serves on", why[0]]);
                host.wait_for_log(&["the library of the candidate is unmapped"]);
            }
            let info = host.engine_info();
            let generation = if copies { "2" } else { "1" };
            assert_eq!((&*info["generation"], &*info["reload_phase"]), (generation, "idle"));
            is_filled(&mut client);
            // An abort that fails breaks the contract, and what comes after it is up to the engine.
            if !giver.starts_with("abort") {
                is_adopted(&reload(&mut client, &other(&host), "OPTS").unwrap());
                is_filled(&mut client);
            }
            drop(going);
            let last = counting.join().unwrap();
            assert_eq!(client.get(b"count").unwrap(), Some(last.to_string().into_bytes()));
        });
    }
}

/// An option that the state cannot follow: it takes a migration, as always when the data cannot stay where they lie.
#[test]
fn another_number_of_shards_comes_with_a_migration() {
    let host = Host::start(Engine::Memory);
    let mut client = host.client();
    fill(&mut client);
    let reply = fields(client.call(&["ENGINE", "RELOAD", "OPTS", "shards=8"]).unwrap());
    let why = "not handed over: kv_open of engine 'memory ";
    assert!(reply["handoff"].starts_with("migrate: ") && reply["handoff"].contains(why), "{reply:?}");
    assert!(reply["handoff"].contains("option 'shards': the state to adopt has 1024"), "{reply:?}");
    is_filled(&mut client);
    assert_eq!(host.engine_info()["options"], "[\"shards=8\"]");
    // Those of an engine that is refused do not become the last used ones.
    let refused = client.call(&["ENGINE", "RELOAD", "OPTS", "shards=7"]).unwrap_err().to_string();
    assert!(refused.contains("shards") && refused.matches("is not a power of two").count() == 2, "{refused}");
    is_adopted(&fields(client.call(&["ENGINE", "RELOAD"]).unwrap()));
    is_filled(&mut client);
}

#[test]
fn what_a_poisoned_engine_holds_is_checked_and_adopted() {
    for step in ["prepare", "give"] {
        let host = start(&[&format!("fail={step}:panic")]);
        let mut client = host.client();
        fill(&mut client);
        let refusal = reload(&mut client, &other(&host), "OPTS").unwrap_err();
        let why = format!("kv_handoff_{step} of engine 'adopts 1.0.0' failed: PANIC");
        assert!(refusal.contains(&why) && refusal.contains("on a Sunday"), "{refusal}");
        // It says itself that it does nothing any more, and a copy cannot leave it.
        let read = ask(&mut client, "GET key:1");
        assert!(read.contains("POISONED"), "{read}");
        let refusal = reload(&mut client, &other(&host), "MIGRATE OPTS").unwrap_err();
        assert!(refusal.contains("reading from the old engine failed: POISONED"), "{refusal}");
        let reply = reload(&mut client, &other(&host), "OPTS").unwrap();
        is_adopted(&reply);
        assert!(reply["handoff"].contains("has checked it"), "{reply:?}");
        is_filled(&mut client);
        client.set(b"a", b"1").unwrap();
    }
}

#[test]
fn while_a_step_hangs_requests_are_refused_and_nothing_is_lost() {
    for (giver, taker, call) in [
        ("fail=prepare:hang", "", "kv_handoff_prepare"),
        ("fail=give:hang", "", "kv_handoff_give"),
        ("", "fail=open:hang", "kv_open"),
        ("fail=abort:hang", "fail=open:error", "kv_handoff_abort"),
    ] {
        let (engine, options) = (binaries::example("accepted_adopts"), ["gate=DIR/gate", giver]);
        let host =
            start_with(&engine, "drain_timeout_ms = 1000\n", if giver.is_empty() { &[] } else { &options });
        let gate = host.path("gate");
        let mut client = host.client();
        fill(&mut client);
        std::fs::write(&gate, "").unwrap();
        let options = if taker.is_empty() {
            "OPTS".to_owned()
        } else {
            format!("OPTS {taker} gate={}", gate.display())
        };
        let refusal = reload(&mut client, &other(&host), &options).unwrap_err();
        assert!(refusal.contains(&format!("{call} has not succeeded; until it has")), "{refusal}");
        // The host answers, and says what the matter is.
        expect(&mut client, &[("PING", "PONG")]);
        for request in ["GET key:1", "SET a 1", "DBSIZE", "SCAN 0"] {
            let reply = ask(&mut client, request);
            assert!(
                reply.contains("UNAVAILABLE") && reply.contains("does not return from a handoff"),
                "{reply}"
            );
        }
        assert_eq!(host.engine_info()["reload_phase"], "stuck");
        let busy = reload(&mut client, &other(&host), "OPTS").unwrap_err();
        assert_eq!(busy, "BUSY a reload is under way (phase: stuck)");

        std::fs::remove_file(&gate).unwrap();
        wait_until("the end of the handoff", || host.engine_info()["reload_phase"] == "idle");
        let why = if giver.contains("abort") { "no open on a Saturday" } else { "it was called off" };
        host.wait_for_log(&["the handoff that was called off has returned (", why, "serves on"]);
        host.wait_for_log(&["the library of the candidate is unmapped"]);
        assert_eq!(host.engine_info()["generation"], "1");
        is_filled(&mut client);
        is_adopted(&reload(&mut client, &other(&host), "OPTS").unwrap());
        is_filled(&mut client);
    }
}

/// A worker that does not come back from the engine: the others must not wait for it, and nothing is handed over under its feet.
#[test]
fn a_worker_that_hangs_in_the_engine_calls_the_adopt_off() {
    let engine = binaries::example("accepted_adopts");
    let config = "drain_timeout_ms = 1000\nworkers = 2\n";
    let host = start_with(&engine, config, &["gate=DIR/gate", "fail=submit:hang"]);
    // Clients go to the worker that has the fewest, so these are on different ones.
    let (mut client, mut hangs) = (host.client(), host.connection());
    fill(&mut client);
    let mut info = || fields(client.call(&["ENGINE", "INFO"]).unwrap());
    let batches = info()["batches"].clone();
    let gate = host.path("gate");
    std::fs::write(&gate, "").unwrap();
    hangs.send(b"APPEND key:1 x\r\n").unwrap();
    wait_until("the batch that hangs", || info()["batches"] != batches);
    let refusal = reload(&mut client, &other(&host), "OPTS").unwrap_err();
    assert!(refusal.contains("what was under way did not end in time"), "{refusal}");
    host.wait_for_log(&["the library of the candidate is unmapped"]);
    // The other worker serves on, on the old engine.
    expect(&mut client, &[("GET key:2", "\"22\""), ("SET b 1", "OK"), ("DBSIZE", "503")]);
    let info = fields(client.call(&["ENGINE", "INFO"]).unwrap());
    assert_eq!((&*info["generation"], &*info["reload_phase"]), ("1", "idle"));

    std::fs::remove_file(&gate).unwrap();
    assert_eq!(hangs.receive().unwrap().as_integer(), Some(2));
    expect(&mut client, &[("GET key:1", "\"1x\""), ("SET key:1 1", "OK")]);
    is_adopted(&reload(&mut client, &other(&host), "OPTS").unwrap());
    is_filled(&mut client);
}

/// From the commit on the state is the new engine's: the handoff is not called off any more, and who asks has to wait.
#[test]
fn while_a_commit_hangs_requests_wait_and_nothing_is_lost() {
    for giver_hangs in [true, false] {
        let (engine, options) = (binaries::example("accepted_adopts"), ["gate=DIR/gate", "fail=commit:hang"]);
        let host = start_with(&engine, "drain_timeout_ms = 1000\n", if giver_hangs { &options } else { &[] });
        let (mut client, mut waits, mut admin) = (host.client(), host.connection(), host.connection());
        fill(&mut client);
        let gate = host.path("gate");
        std::fs::write(&gate, "").unwrap();
        let options =
            if giver_hangs { String::new() } else { format!(" fail=commit:hang gate={}", gate.display()) };
        let request = format!("ENGINE RELOAD {} OPTS{options}\r\n", other(&host).display());
        admin.send(request.as_bytes()).unwrap();
        host.wait_for_log(&["kv_handoff_commit does not return; everything is held back until"]);
        waits.send(b"APPEND key:1 x\r\n").unwrap();
        expect(&mut client, &[("PING", "PONG")]);
        let busy = reload(&mut client, &other(&host), "OPTS").unwrap_err();
        assert_eq!(busy, "BUSY a reload is under way (phase: adopt)");

        std::fs::remove_file(&gate).unwrap();
        is_adopted(&fields(admin.receive().unwrap()));
        assert_eq!(waits.receive().unwrap().as_integer(), Some(2));
        expect(&mut client, &[("GET key:1", "\"1x\""), ("SET key:1 1", "OK")]);
        is_filled(&mut client);
        assert_eq!(host.engine_info()["generation"], "2");
    }
}

#[test]
fn a_state_that_cannot_be_adopted_is_migrated() {
    let host = start(&[]);
    let mut client = host.client();
    let build = |name: &str, format: &[u8], versions: (u32, u32)| {
        variant(&binaries::example("accepted_adopts"), &host.path(name), |it| {
            it.state_format.fill(0);
            it.state_format[..format.len()].copy_from_slice(format);
            (it.state_version_min, it.state_version) = versions;
        })
    };
    fill(&mut client);
    let entries = client.count().unwrap();
    let mut goes = |path: &Path, more: &str, way: &str| {
        let reply = reload(&mut client, path, more).unwrap();
        assert!(reply["handoff"].starts_with(way), "{}: {reply:?}", path.display());
        assert_eq!(client.count().unwrap(), entries);
        is_filled(&mut client);
    };
    // An engine that says that it is further reads what is older, and not the other way round.
    goes(&build("further.so", b"adopts-log", (2, 3)), "", "adopt");
    goes(&binaries::example("accepted_adopts"), "", "migrate");
    goes(&build("much_further.so", b"adopts-log", (3, 3)), "", "migrate");
    goes(&build("other_format.so", b"adopts-tree", (2, 2)), "", "migrate");
    goes(&binaries::example("accepted_adopts"), "", "migrate");
    goes(&other(&host), "", "adopt");
    goes(&other(&host), "MIGRATE", "migrate");
    // To an engine that can only be migrated to, and back.
    goes(&Engine::Delayed.library(host.dir()), "", "migrate");
    goes(&other(&host), "", "migrate");
}

#[test]
fn a_rollback_migrates_where_the_older_engine_cannot_adopt() {
    let host = start(&[]);
    let mut client = host.client();
    let further =
        variant(&binaries::example("accepted_adopts"), &host.path("further.so"), |it| it.state_version = 3);
    fill(&mut client);
    // The identity of a build says which versions it may meet.
    let reply = reload(&mut client, &further, "").unwrap();
    assert!(reply["handoff"].starts_with("adopt: "), "{reply:?}");
    client.set(b"a", b"written since").unwrap();
    let reply = fields(client.call(&["ENGINE", "ROLLBACK"]).unwrap());
    assert!(reply["handoff"].starts_with("migrate: "), "{reply:?}");
    is_filled(&mut client);
    assert_eq!(client.get(b"a").unwrap().as_deref(), Some(&b"written since"[..]));
}

#[test]
fn an_adopt_waits_for_a_transaction_that_has_the_engine_to_itself() {
    let host = start(&[]);
    let mut client = host.client();
    fill(&mut client);
    let stop = AtomicBool::new(false);
    let other = other(&host);
    std::thread::scope(|scope| {
        let _going = Stop(&stop);
        scope.spawn(|| {
            let mut client = host.client();
            while !stop.load(Ordering::Relaxed) {
                std::thread::park_timeout(Duration::from_millis(1));
                expect(&mut client, &[("MULTI", "OK"), ("DBSIZE", "QUEUED"), ("KEYS none", "QUEUED")]);
                expect(&mut client, &[("EXEC", "[502 []]")]);
            }
        });
        for _ in 0..2 {
            is_adopted(&reload(&mut client, &other, "").unwrap());
        }
    });
    is_filled(&mut client);
}

#[test]
fn an_engine_without_expiry_and_versions_adopts_only_what_has_neither() {
    let plain = binaries::example("accepted_adopts_plain");
    let host = start_with(&plain, "", &[]);
    let mut client = host.client();
    fill(&mut client);
    let lacks = "!ERR engine 'adopts' cannot carry this out: it lacks EXPIRY";
    expect(&mut client, &[("SET a 1", "OK"), ("SET soon v EX 1000", lacks)]);
    // To one like it and back, and to one that could keep more.
    let requests = [
        format!("RELOAD {}", variant(&plain, &host.path("2.so"), |it| it.version[0] = b'2').display()),
        "ROLLBACK".to_owned(),
        format!("RELOAD {}", binaries::example("accepted_adopts").display()),
    ];
    for (request, count) in requests.iter().zip(2..) {
        let mut watching = host.client();
        expect(&mut watching, &[("WATCH a", "OK"), ("MULTI", "OK"), ("INCR a", "QUEUED")]);
        let reply = ask(&mut client, &format!("ENGINE {request}"));
        assert!(reply.contains("\"handoff\": \"adopt: ") && reply.contains("unmapped"), "{reply}");
        assert!(reply.contains("new: what is watched counts as changed"), "{reply}");
        expect(&mut watching, &[("EXEC", "nil"), ("INCR a", &count.to_string())]);
        is_filled(&mut client);
    }
    // What expires there would stay for ever here, so nothing is adopted on the way back.
    expect(&mut client, &[("SET soon v EX 1000", "OK")]);
    let refusal = reload(&mut client, &plain, "").unwrap_err();
    assert!(refusal.contains("1 entries expire, and engine 'adopts' lacks EXPIRY"), "{refusal}");
    expect(&mut client, &[("PERSIST soon", "1")]);
    let reply = reload(&mut client, &plain, "").unwrap();
    assert!(reply["handoff"].starts_with("migrate: "), "{reply:?}");
    expect(&mut client, &[("GET soon", "\"v\""), ("GET a", "\"4\"")]);
    is_filled(&mut client);
}

#[test]
fn what_is_watched_counts_as_changed_where_the_host_keeps_the_versions() {
    let dir = tempfile::tempdir().unwrap();
    let build = |name: &str, version| {
        variant(&binaries::example("accepted_adopts_by_calls"), &dir.path().join(name), |it| {
            it.version[0] = version;
            it.capabilities &= !KV_CAP_ATOMIC;
        })
    };
    let host = start_with(&build("one.so", b'1'), "", &[]);
    let mut client = host.client();
    assert_eq!(host.engine_info()["driven_by"], "calls, locked by key");
    expect(&mut client, &[("SET a 1", "OK"), ("WATCH a", "OK"), ("MULTI", "OK"), ("INCR a", "QUEUED")]);
    let reply = reload(&mut host.client(), &build("other.so", b'2'), "").unwrap();
    assert!(reply["handoff"].starts_with("adopt: "), "{reply:?}");
    assert_eq!(reply["versions"], "new: what is watched counts as changed");
    expect(&mut client, &[("EXEC", "nil"), ("INCR a", "2")]);
}
