//! State directory: what a host serves with after it was killed, and what it refuses to start with.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kvstore_client::Client;
use tempfile::TempDir;
use tests::engines::Engine;
use tests::host::{Host, Options, fields};
use tests::show::ask;
use tests::variant::of_version;

/// A directory with libraries and a state directory, in which hosts are started one after the other.
struct Place {
    dir: Arc<TempDir>,
}

impl Place {
    fn new() -> Self {
        Self { dir: Arc::new(tempfile::tempdir().unwrap()) }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn state(&self) -> PathBuf {
        self.path("state")
    }

    /// The manifest's text.
    fn manifest(&self) -> String {
        fs::read_to_string(self.state().join("manifest")).unwrap()
    }

    /// The copies of libraries that are kept.
    fn copies(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.state()).unwrap().map(|entry| entry.unwrap().path());
        entries.filter(|path| path.extension().is_some_and(|end| end == "so")).collect()
    }

    fn options(&self, args: &[&str]) -> Options {
        let state = self.state().display().to_string();
        let all = [&["--listen", "127.0.0.1:0", "--state-dir", &state][..], args].concat();
        Options::args(&all)
    }

    /// Starts a host that keeps its state here.
    fn start(&self, args: &[&str]) -> Host {
        Host::start_in(Arc::clone(&self.dir), &self.options(args))
    }

    fn start_with(&self, engine: &Path, args: &[&str]) -> Host {
        self.start(&[&["--engine", engine.to_str().unwrap()], args].concat())
    }

    /// What a host says that does not start.
    fn refusal(&self, args: &[&str]) -> String {
        let mut host = Host::spawn_in(Arc::clone(&self.dir), &self.options(args));
        assert_eq!(host.wait().code(), Some(1));
        host.log.text()
    }

    fn memory(&self) -> PathBuf {
        Engine::Memory.library(self.dir.path())
    }

    fn c_example(&self) -> PathBuf {
        Engine::CExample.library(self.dir.path())
    }

    /// The memory engine with another version: it adopts the state of any.
    fn memory_of_version(&self, version: &str) -> PathBuf {
        of_version(&self.memory(), &self.path(&format!("memory-{version}.so")), version)
    }
}

fn reload(client: &mut Client, path: &Path, more: &[&str]) {
    let words = [&["ENGINE", "RELOAD", path.to_str().unwrap()], more].concat();
    fields(client.call(&words).unwrap());
}

fn refused(client: &mut Client, path: &Path) -> String {
    let reply = ask(client, &format!("ENGINE RELOAD {}", path.display()));
    assert!(reply.contains("reload refused"), "{reply}");
    reply
}

#[test]
fn a_host_that_was_killed_serves_with_what_was_reloaded_last() {
    let place = Place::new();
    let (memory, c_example) = (place.memory(), place.c_example());
    let host = place.start_with(&memory, &["--engine-opt", "shards=8"]);
    assert_eq!(host.engine_info()["manifest"], "generation 1");
    host.kill();

    // Without any reload: the engine of the start, with its options.
    let host = place.start_with(&memory, &[]);
    let info = host.engine_info();
    assert_eq!((&*info["engine"], &*info["generation"]), ("memory", "1"));
    assert!(info["options"].contains("shards=8"), "{info:?}");
    // Copied, and then adopted.
    let mut client = host.client();
    reload(&mut client, &c_example, &[]);
    reload(&mut client, &memory, &["OPTS", "shards=16"]);
    let newer = place.memory_of_version("9.8.7");
    reload(&mut client, &newer, &[]);
    let info = host.engine_info();
    assert_eq!((&*info["last_handoff"], &*info["manifest"]), ("adopt", "generation 4"));
    let digest = info["digest"].clone();
    host.kill();

    // What it was loaded from does not matter any more.
    fs::remove_file(&newer).unwrap();
    let host = place.start_with(&c_example, &[]);
    let info = host.engine_info();
    assert_eq!((&*info["engine"], &*info["version"], &*info["generation"]), ("memory", "9.8.7", "4"));
    assert_eq!((&*info["digest"], &*info["path"]), (&*digest, newer.to_str().unwrap()));
    assert!(info["options"].contains("shards=16"), "{info:?}");
    assert_eq!(info["state_dir"], place.state().canonicalize().unwrap().display().to_string());
    host.wait_for_log(&["serving with what served last: generation 4, memory 9.8.7"]);
    host.wait_for_log(&["is not what served last, and is not used", "--ignore-manifest"]);
    // The flag still says what a plain reload takes.
    let mut client = host.client();
    client.set(b"k", b"v").unwrap();
    let reply = fields(client.call(&["ENGINE", "RELOAD"]).unwrap());
    assert_eq!((&*reply["engine"], &*reply["generation"]), ("c-example", "5"));
    assert_eq!(client.get(b"k").unwrap().as_deref(), Some(&b"v"[..]));
    host.stop();
    let host = place.start(&[]);
    assert_eq!(host.engine_info()["engine"], "c-example");
    assert_eq!(place.copies().len(), 1, "older copies are removed");
}

#[test]
fn a_rollback_is_kept_too() {
    let place = Place::new();
    let host = place.start_with(&place.memory(), &[]);
    let mut client = host.client();
    reload(&mut client, &place.c_example(), &[]);
    fields(client.call(&["ENGINE", "ROLLBACK"]).unwrap());
    host.kill();
    let info = place.start_with(&place.c_example(), &[]).engine_info();
    assert_eq!((&*info["engine"], &*info["generation"]), ("memory", "3"));
}

#[test]
fn the_operator_can_insist_on_the_engine_given() {
    let place = Place::new();
    let host = place.start_with(&place.memory(), &[]);
    reload(&mut host.client(), &place.memory(), &["MIGRATE"]);
    host.stop();
    let host = place.start_with(&place.c_example(), &["--ignore-manifest"]);
    let info = host.engine_info();
    assert_eq!((&*info["engine"], &*info["generation"]), ("c-example", "3"));
    host.wait_for_log(&["generation 2, memory", "not served with, as --ignore-manifest says so"]);
    host.stop();
    // From then on that is what served last.
    assert_eq!(place.start_with(&place.memory(), &[]).engine_info()["engine"], "c-example");
    assert_eq!(place.copies().len(), 1);
}

#[test]
fn what_is_configured_and_was_changed_is_told_and_not_used() {
    let place = Place::new();
    let library = place.path("engine.so");
    fs::copy(place.c_example(), &library).unwrap();
    place.start_with(&library, &[]).stop();
    fs::copy(place.memory(), &library).unwrap();
    let host = place.start_with(&library, &["--engine-opt", "shards=8"]);
    assert_eq!(host.engine_info()["engine"], "c-example");
    host.wait_for_log(&["has changed since it was loaded; what was loaded serves on"]);
    host.wait_for_log(&["the engine's options are those with which it served last"]);
}

#[test]
fn the_options_that_are_given_are_for_the_engine_that_is_given() {
    let place = Place::new();
    let (memory, c_example) = (place.memory(), place.c_example());
    place.start_with(&c_example, &[]).stop();
    let host = place.start_with(&memory, &["--engine-opt", "shards=8"]);
    host.wait_for_log(&["is not what served last, and is not used; ENGINE RELOAD changes to it"]);
    host.wait_for_log(&[
        "the engine's options are those with which it served last",
        "ENGINE RELOAD with OPTS",
    ]);
    let mut client = host.client();
    let changed = fields(client.call(&["ENGINE", "RELOAD"]).unwrap());
    assert_eq!((&*changed["engine"], &*host.engine_info()["options"]), ("memory", "[\"shards=8\"]"));
    // With which it served last counts more; and no other engine gets them.
    reload(&mut client, &memory, &["OPTS", "shards=16"]);
    reload(&mut client, &c_example, &[]);
    reload(&mut client, &memory, &[]);
    assert_eq!(host.engine_info()["options"], "[\"shards=16\"]");
}

#[test]
fn a_damaged_manifest_is_no_reason_to_serve_with_another_engine() {
    let place = Place::new();
    let memory = place.memory();
    let engine = ["--engine", memory.to_str().unwrap()];
    place.start(&engine).stop();
    let (path, good) = (place.state().join("manifest"), place.manifest());
    for (bad, told) in [
        (good.replacen("generation = 1", "generation = 2", 1), "it was changed"),
        (good.lines().take(3).collect::<Vec<_>>().join("\n"), "it was changed"),
        (String::new(), "it is empty"),
        ("engine = 7".to_owned(), "it has only one line"),
        (good.replacen("manifest 1,", "manifest 9,", 1), "format 9, accepted is 1"),
    ] {
        fs::write(&path, &bad).unwrap();
        let said = place.refusal(&engine);
        assert!(said.contains(told) && said.contains("--ignore-manifest"), "{said}");
        assert_eq!(place.manifest(), bad, "nothing was changed");
        assert_eq!(place.copies().len(), 1, "nor removed");
    }
    // The way out that it names.
    let host = place.start(&[&engine[..], &["--ignore-manifest"]].concat());
    assert_eq!(host.engine_info()["manifest"], "generation 1");
    host.stop();
    assert_eq!(place.start(&engine).engine_info()["engine"], "memory");
}

#[test]
fn a_damaged_or_missing_copy_is_no_reason_to_serve_with_another_engine() {
    let place = Place::new();
    let memory = place.memory();
    let engine = ["--engine", memory.to_str().unwrap()];
    place.start(&engine).stop();
    let copy = place.copies().remove(0);
    let mut bytes = fs::read(&copy).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&copy, bytes).unwrap();
    let said = place.refusal(&engine);
    assert!(said.contains("the kept library is damaged: its SHA-256 is"), "{said}");
    fs::remove_file(&copy).unwrap();
    let said = place.refusal(&engine);
    assert!(said.contains("there is no such file") && said.contains("--ignore-manifest"), "{said}");
}

#[test]
fn two_hosts_do_not_share_a_directory() {
    let place = Place::new();
    let memory = place.memory();
    let first = place.start_with(&memory, &[]);
    let said = place.refusal(&["--engine", memory.to_str().unwrap()]);
    assert!(said.contains(&format!("in use by another host (process {})", first.pid())), "{said}");
    first.kill();
    place.start_with(&memory, &[]);
}

#[test]
fn the_directory_is_for_the_host_alone() {
    let place = Place::new();
    let memory = place.memory();
    let mode = |mode| fs::set_permissions(place.state(), fs::Permissions::from_mode(mode)).unwrap();
    place.start_with(&memory, &[]).stop();
    assert_eq!(fs::metadata(place.state()).unwrap().mode() & 0o7777, 0o700);
    mode(0o777);
    let said = place.refusal(&["--engine", memory.to_str().unwrap()]);
    assert!(said.contains("everybody can write to it (mode 0777)"), "{said}");
}

/// A reload that copies, and one that adopts.
fn each_way(place: &Place) -> [PathBuf; 2] {
    [place.c_example(), place.memory_of_version("9.8.7")]
}

#[test]
fn a_manifest_that_cannot_be_written_refuses_the_reload_before_anything_is_held_back() {
    let place = Place::new();
    let host = place.start_with(&place.memory(), &[]);
    let mut client = host.client();
    client.set(b"k", b"v").unwrap();
    let away = place.path("away");
    for path in each_way(&place) {
        fs::rename(place.state(), &away).unwrap();
        let reply = refused(&mut client, &path);
        assert!(reply.contains("writing the copy of the library"), "{reply}");
        fs::rename(&away, place.state()).unwrap();
        assert_eq!(client.get(b"k").unwrap().as_deref(), Some(&b"v"[..]));
        let info = host.engine_info();
        assert_eq!((&*info["generation"], &*info["manifest"]), ("1", "generation 1"));
    }
    // The same goes once there is room.
    reload(&mut client, &place.c_example(), &[]);
    assert_eq!(host.engine_info()["manifest"], "generation 2");
}

#[test]
fn a_manifest_that_cannot_be_put_in_its_place_refuses_the_reload_and_the_data_stay() {
    let place = Place::new();
    let host = place.start_with(&place.memory(), &[]);
    let mut client = host.client();
    client.set(b"k", b"v").unwrap();
    let (manifest, kept) = (place.state().join("manifest"), place.path("kept"));
    for path in each_way(&place) {
        fs::rename(&manifest, &kept).unwrap();
        fs::create_dir(&manifest).unwrap();
        let reply = refused(&mut client, &path);
        assert!(reply.contains("putting the next manifest in its place"), "{reply}");
        fs::remove_dir(&manifest).unwrap();
        fs::rename(&kept, &manifest).unwrap();
        client.set(b"after", b"written").unwrap();
        assert_eq!(client.get(b"k").unwrap().as_deref(), Some(&b"v"[..]));
        assert_eq!(host.engine_info()["generation"], "1");
    }
    host.kill();
    let host = place.start(&[]);
    assert_eq!((&*host.engine_info()["engine"], place.copies().len()), ("memory", 1));
}

#[test]
fn without_a_state_directory_nothing_is_kept_and_an_engine_has_to_be_given() {
    let host = Host::start(Engine::Memory);
    let info = host.engine_info();
    assert!(["state_dir", "manifest", "watch"].iter().all(|name| !info.contains_key(*name)), "{info:?}");
    let dir = Arc::new(tempfile::tempdir().unwrap());
    let mut host = Host::spawn_in(dir, &Options::args(&["--listen", "127.0.0.1:0"]));
    assert_eq!(host.wait().code(), Some(1));
    assert!(host.log.text().contains("give --engine PATH"), "{}", host.log.text());
}
