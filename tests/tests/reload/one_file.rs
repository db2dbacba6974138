//! The engine that keeps its entries in one locked file: checks beside it leave the file alone, and it can let go of it for another build.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

use std::fs;
use std::mem::ManuallyDrop;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use kvstore_client::Client;
use kvstore_host::plugin::file::{EngineFile, PrivateDir};
use kvstore_host::plugin::library::Library;
use plugin_abi::calls::{CallError, Calls, Event, HostServices, Instance, OpenOptions, State};
use plugin_abi::raw::*;
use plugin_abi::{Identity, Status};
use tests::binaries;
use tests::engines::Engine;
use tests::host::{Host, Options};
use tests::show::{ask, expect};
use tests::wait::wait_until;

use super::probation::Stop;

fn engine() -> std::path::PathBuf {
    binaries::example("accepted_one_file")
}

/// A host that serves from a file in its directory.
fn host_on_a_file() -> Host {
    start_in(&Arc::new(tempfile::tempdir().unwrap()), "")
}

/// The same in this directory, where a step of a handoff fails.
fn start_in(dir: &Arc<tempfile::TempDir>, fail: &str) -> Host {
    let file = format!("path={}", dir.path().join("data").display());
    let fail = format!("fail={fail}");
    Host::start_library(dir, &engine(), &Options::args(&["--engine-opt", &file, "--engine-opt", &fail]))
}

fn reload(host: &Host, options: &str) -> String {
    ask(&mut host.client(), &format!("ENGINE RELOAD {} {options}", engine().display()))
}

/// The bytes of a file, and when it was last written and changed.
fn looks(path: &Path) -> (Vec<u8>, [i64; 4]) {
    let metadata = fs::metadata(path).unwrap();
    let times = [metadata.mtime(), metadata.mtime_nsec(), metadata.ctime(), metadata.ctime_nsec()];
    (fs::read(path).unwrap(), times)
}

fn fill(client: &mut Client) {
    for i in 0..200 {
        client.set(format!("key {i}").as_bytes(), format!("value {i}").as_bytes()).unwrap();
    }
}

fn is_filled(client: &mut Client) {
    for i in 0..200 {
        let value = client.get(format!("key {i}").as_bytes()).unwrap();
        assert_eq!(value, Some(format!("value {i}").into_bytes()));
    }
    assert_eq!(ask(client, "DBSIZE"), "200");
}

#[test]
fn a_check_beside_it_leaves_the_file_as_it_is_and_does_not_wait_for_its_lock() {
    let host = host_on_a_file();
    let mut client = host.client();
    fill(&mut client);
    let before = looks(&host.path("data"));
    // The whole suite, as an operator may run it beside the host.
    let output = Command::new(binaries::host()).arg("check").arg(engine()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(looks(&host.path("data")) == before, "the check touched the file");
    // The check of a reload, which is refused when the file would be opened a second time.
    let reply = ask(&mut client, &format!("ENGINE RELOAD {} MIGRATE", engine().display()));
    assert!(reply.contains("LOCKED") && reply.contains("another instance has it open"), "{reply}");
    assert!(looks(&host.path("data")) == before, "the reload touched the file");
    is_filled(&mut client);
}

#[test]
fn its_data_move_to_another_engine_and_to_another_file() {
    let host = host_on_a_file();
    let mut client = host.client();
    fill(&mut client);
    let options = format!("OPTS path={}", host.path("other").display());
    for (engine, options) in
        [(engine(), options.as_str()), (Engine::Memory.library(host.dir()), ""), (engine(), &options)]
    {
        // What was in the file stays there: it is no place for a copy until it is removed.
        let _ = fs::remove_file(host.path("other"));
        let reply = ask(&mut client, &format!("ENGINE RELOAD {} {options}", engine.display()));
        assert!(reply.contains("unmapped") && reply.contains("migrate: "), "{reply}");
        is_filled(&mut client);
    }
}

#[test]
fn data_are_copied_only_to_where_there_are_none() {
    let host = host_on_a_file();
    let mut client = host.client();
    fill(&mut client);
    assert_eq!(ask(&mut client, "SET gone 1"), "OK");
    let memory = Engine::Memory.library(host.dir());
    assert!(ask(&mut client, &format!("ENGINE RELOAD {}", memory.display())).contains("unmapped"));
    assert_eq!(ask(&mut client, "DEL gone"), "1");
    // It would be there again.
    let reply = ask(&mut client, "ENGINE ROLLBACK");
    assert!(reply.contains("engine 'one-file' is not empty where it was opened"), "{reply}");
    is_filled(&mut client);
    // A copy that fails leaves nothing behind, so it can be tried again.
    let options = format!("OPTS path={}", host.path("other").display());
    client.call(&["EXPIRE", "key 199", "1000"]).unwrap();
    assert!(reload(&host, &options).contains("1 entries expire"));
    client.call(&["PERSIST", "key 199"]).unwrap();
    assert!(reload(&host, &options).contains("migrate: "));
    is_filled(&mut client);
}

#[test]
fn another_build_of_it_opens_the_file_again_while_clients_write() {
    let host = host_on_a_file();
    let mut client = host.client();
    fill(&mut client);
    // Its versions are the host's, and do not go along.
    let mut watching = host.client();
    expect(&mut watching, &[("WATCH a", "OK"), ("MULTI", "OK"), ("GET a", "QUEUED")]);
    let stop = AtomicBool::new(false);
    let written = std::thread::scope(|scope| {
        let _stopping = Stop(&stop);
        let writer = scope.spawn(|| {
            let (mut client, mut written) = (host.client(), 0);
            while !stop.load(Ordering::Relaxed) {
                written += 1;
                assert_eq!(ask(&mut client, "INCR written"), written.to_string());
            }
            written
        });
        for line in ["ENGINE RELOAD", "ENGINE RELOAD", "ENGINE ROLLBACK"] {
            let reply = ask(&mut host.client(), line);
            let way =
                "reopen: the same files, which the engine before has let go of; requests waited meanwhile";
            assert!(reply.contains(way) && reply.contains("unmapped"), "{reply}");
        }
        stop.store(true, Ordering::Relaxed);
        writer.join().unwrap()
    });
    assert_eq!(host.engine_info()["last_handoff"], "reopen");
    expect(&mut watching, &[("EXEC", "nil")]);
    assert_eq!(ask(&mut client, "DEL written"), "1");
    is_filled(&mut client);
    assert!(written > 3, "{written}");
    // All is in the file, and no other build holds it.
    let dir = host.shared_dir();
    host.kill();
    is_filled(&mut start_in(&dir, "").client());
}

#[test]
fn a_reopen_that_fails_leaves_the_file_with_the_engine_before() {
    for (fail, options) in [("prepare", String::new()), ("abort", "OPTS path=/nowhere/at/all".to_owned())] {
        let host = start_in(&Arc::new(tempfile::tempdir().unwrap()), fail);
        let mut client = host.client();
        fill(&mut client);
        let reply = reload(&host, &options);
        assert!(reply.starts_with("!ERR reload refused: "), "{reply}");
        let why = if fail == "prepare" { "no prepare on a Saturday" } else { "and stay there" };
        assert!(reply.contains(why), "{reply}");
        is_filled(&mut client);
        client.set(b"key 0", b"value 0").unwrap();
        // It can be tried again.
        let options = format!("OPTS path={}", host.path("data").display());
        assert!(reload(&host, &options).contains("reopen: "), "{fail}");
        is_filled(&mut client);
    }
}

#[test]
fn while_the_file_cannot_be_taken_back_requests_are_refused_and_then_all_is_there() {
    let host = start_in(&Arc::new(tempfile::tempdir().unwrap()), "give-up");
    let mut client = host.client();
    fill(&mut client);
    assert_eq!(ask(&mut client, "CONFIG SET drain-timeout-ms 1000"), "OK");
    fs::write(host.path("data.away"), "").unwrap();
    let reply = reload(&host, "OPTS path=/nowhere/at/all");
    assert!(reply.contains("kv_handoff_abort has not succeeded"), "{reply}");
    host.wait_for_log(&["kv_handoff_abort failed", "the file is away"]);
    for line in ["GET a", "SET a b"] {
        assert!(ask(&mut client, line).starts_with("!UNAVAILABLE"), "{line}");
    }
    fs::remove_file(host.path("data.away")).unwrap();
    wait_until("the file", || !ask(&mut client, "GET a").starts_with('!'));
    is_filled(&mut client);
    wait_until("the end", || host.engine_info()["reload_phase"] == "idle");
    let options = format!("OPTS path={}", host.path("data").display());
    assert!(reload(&host, &options).contains("reopen: "));
    is_filled(&mut client);
}

#[test]
fn what_was_acknowledged_outlives_a_kill() {
    let host = host_on_a_file();
    fill(&mut host.client());
    let (dir, file) = (host.shared_dir(), host.path("data"));
    host.kill();
    let whole = fs::read(&file).unwrap();
    // An interrupted write may leave a part of a record.
    fs::write(&file, [&whole[..], &whole[11..25]].concat()).unwrap();
    let host = start_in(&dir, "");
    is_filled(&mut host.client());
    host.client().set(b"k", b"v").unwrap();
    assert_eq!(ask(&mut host.client(), "DBSIZE"), "201");
}

/// Two builds of it, each loaded, and a directory for files.
struct Pair {
    dir: tempfile::TempDir,
    libraries: [ManuallyDrop<(Calls, Identity)>; 2],
}

struct Services;

impl HostServices for Services {
    fn log(&self, _level: u32, text: &str) {
        eprintln!("{text}");
    }

    fn now_ms(&self) -> i64 {
        0
    }

    fn monotonic_ns(&self) -> u64 {
        0
    }

    fn complete(&self, _batch: *mut KvBatch, _first: u32, _count: u32) {}

    fn event(&self, _event: Event<'_>) {}

    fn metric(&self, _name: &str, _kind: u32, _number: i64) {}
}

impl Pair {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let private = PrivateDir::create(Some(dir.path())).unwrap();
        let file = EngineFile::open(&engine()).unwrap();
        let libraries = [1, 2].map(|number| {
            let copy = private.copy(&file, number).unwrap();
            // SAFETY: an engine of this workspace, which stays loaded.
            let library = ManuallyDrop::new(unsafe { Library::load(copy) }.unwrap());
            ManuallyDrop::new((library.calls(), file.identity().clone()))
        });
        Self { dir, libraries }
    }

    fn open(&self, build: usize, fail: &str, state: Option<&State<'_>>) -> Result<Instance, CallError> {
        let path = self.dir.path().join("data").display().to_string();
        let pairs = [("path", path), ("fail", fail.to_owned())];
        let pairs = pairs.into_iter().filter(|(key, _)| state.is_none() || *key == "fail");
        let options = pairs.map(|(key, value)| (key.to_owned(), value)).collect();
        let (calls, identity) = &*self.libraries[build];
        let options = OpenOptions { options, scratch_dir: None };
        Instance::open(*calls, identity.clone(), Box::new(Services), &options, state)
    }
}

fn set(instance: &Instance, key: &[u8], value: &[u8]) -> Result<(), CallError> {
    let op = KvOp { value: KvBytes::new(value), ..KvOp::new(KV_OP_SET, key) };
    instance.session().set(&op).map(|_| ())
}

fn has(instance: &Instance, key: &[u8], wanted: &[u8]) -> bool {
    let mut same = false;
    // SAFETY: the engine lends the entry for this call.
    let look = |entry: &KvEntry| same = unsafe { entry.value.as_slice() } == wanted;
    instance.session().get(&KvOp::new(KV_OP_GET, key), look).unwrap();
    same
}

#[test]
fn the_file_goes_to_another_build_by_a_reopen() {
    let pair = Pair::new();
    let giver = pair.open(0, "", None).unwrap();
    set(&giver, b"k", b"v").unwrap();
    assert_eq!(pair.open(1, "", None).unwrap_err().status, Status::LOCKED);
    let session = giver.session();
    session.handoff_prepare(KV_HANDOFF_REOPEN).unwrap();
    let state = session.handoff_give().unwrap();
    assert_eq!((state.kind(), state.regions().unwrap().len()), (KV_HANDOFF_REOPEN, 0));
    let before = looks(&pair.dir.path().join("data"));
    let taker = pair.open(1, "", Some(&state)).unwrap();
    assert!(looks(&pair.dir.path().join("data")) == before, "written before the commit");
    session.handoff_commit();
    taker.session().handoff_commit();
    drop(session);
    giver.close().unwrap();
    assert!(has(&taker, b"k", b"v"));
    set(&taker, b"more", b"w").unwrap();
    taker.close().unwrap();
    let again = pair.open(0, "", None).unwrap();
    assert!(has(&again, b"k", b"v") && has(&again, b"more", b"w"));
    again.close().unwrap();
}

#[test]
fn a_reopen_that_is_called_off_takes_the_file_back() {
    let pair = Pair::new();
    let giver = pair.open(0, "", None).unwrap();
    set(&giver, b"k", b"v").unwrap();
    let session = giver.session();
    session.handoff_prepare(KV_HANDOFF_REOPEN).unwrap();
    let state = session.handoff_give().unwrap();
    let taker = pair.open(1, "", Some(&state)).unwrap();
    // While the taker has it, it cannot be taken back.
    assert_eq!(session.handoff_abort().unwrap_err().status, Status::LOCKED);
    taker.close().unwrap();
    session.handoff_abort().unwrap();
    drop(session);
    assert!(has(&giver, b"k", b"v"));
    set(&giver, b"k", b"w").unwrap();
    assert_eq!(pair.open(1, "", None).unwrap_err().status, Status::LOCKED);
    giver.close().unwrap();
}

#[test]
fn a_reopen_fails_at_its_steps_on_demand() {
    let pair = Pair::new();
    let giver = pair.open(0, "prepare", None).unwrap();
    set(&giver, b"k", b"v").unwrap();
    let refused = giver.session().handoff_prepare(KV_HANDOFF_REOPEN).unwrap_err();
    assert_eq!((refused.status, refused.text.as_str()), (Status::UNAVAILABLE, "no prepare on a Saturday"));
    set(&giver, b"k", b"w").unwrap();
    giver.close().unwrap();
    let giver = pair.open(0, "abort", None).unwrap();
    giver.session().handoff_prepare(KV_HANDOFF_REOPEN).unwrap();
    assert_eq!(giver.session().handoff_abort().unwrap_err().status, Status::UNAVAILABLE);
    giver.session().handoff_abort().unwrap();
    assert!(has(&giver, b"k", b"w"));
    giver.close().unwrap();
    // A state names a file that is there; nothing is made in its place.
    let giver = pair.open(0, "", None).unwrap();
    let session = giver.session();
    session.handoff_prepare(KV_HANDOFF_REOPEN).unwrap();
    let state = session.handoff_give().unwrap();
    fs::rename(pair.dir.path().join("data"), pair.dir.path().join("away")).unwrap();
    assert_eq!(pair.open(1, "", Some(&state)).unwrap_err().status, Status::UNAVAILABLE);
    assert!(!pair.dir.path().join("data").exists());
    fs::rename(pair.dir.path().join("away"), pair.dir.path().join("data")).unwrap();
    session.handoff_abort().unwrap();
    drop(session);
    assert!(has(&giver, b"k", b"w"));
    giver.close().unwrap();
}
