//! Reload: what goes along, what is refused, and who may be in the middle of something meanwhile.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use kvstore_client::{Client, encode_command};
use tests::binaries;
use tests::engines::Engine;
use tests::host::{Host, Options, fields};
use tests::on_each_engine;
use tests::show::{ask, expect, outcome};
use tests::wait::wait_until;

on_each_engine!(data_go_along_to_each_other_engine, a_broken_file_leaves_the_old_engine_serving);

fn reload(client: &mut Client, path: &Path) -> Result<BTreeMap<String, String>, String> {
    reload_with(client, path, &[])
}

fn reload_with(client: &mut Client, path: &Path, more: &[&str]) -> Result<BTreeMap<String, String>, String> {
    let path = path.to_str().unwrap();
    let words: Vec<&str> = ["ENGINE", "RELOAD", path].iter().chain(more).copied().collect();
    match client.call(&words) {
        Ok(reply) => Ok(fields(reply)),
        Err(error) => Err(error.reply().unwrap_or_else(|| panic!("{error}")).to_string()),
    }
}

/// Values of many kinds and lengths, by key.
fn values() -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut values = BTreeMap::new();
    for number in 0..500_u32 {
        values.insert(
            format!("key:{number}").into_bytes(),
            number.to_string().repeat(number as usize).into_bytes(),
        );
    }
    values.insert(Vec::new(), b"under the empty key".to_vec());
    values.insert(b"empty".to_vec(), Vec::new());
    values.insert((0..=255).collect(), (0..=255).rev().collect());
    values.insert(b"large".to_vec(), vec![b'x'; 3 << 20]);
    values.insert(vec![b'k'; 64 << 10], b"under the longest key".to_vec());
    values
}

fn data_go_along_to_each_other_engine(from: Engine) {
    let host = Host::start(from);
    let mut client = host.client();
    let values = values();
    for (key, value) in &values {
        client.set(key, value).unwrap();
    }
    // From there to each other engine, and back.
    let others = Engine::ALL.into_iter().filter(|other| *other != from);
    let back = others.flat_map(|other| [other, from]);
    for (to, generation) in back.zip(2..) {
        let reply = reload(&mut client, &to.library(host.dir())).unwrap();
        assert_eq!((&*reply["engine"], &*reply["generation"]), (to.name(), &*generation.to_string()));
        assert_eq!(reply["entries"], values.len().to_string());
        assert_eq!(reply["previous_library"], "unmapped");
        assert_eq!(host.engine_info()["engine"], to.name());
        for (key, value) in &values {
            let found = client.get(key).unwrap();
            assert!(
                found.as_ref() == Some(value),
                "{}: {:?}",
                key.escape_ascii(),
                found.map(|found| found.len())
            );
        }
        assert_eq!(client.count().unwrap(), values.len() as u64);
    }
}

fn a_broken_file_leaves_the_old_engine_serving(engine: Engine) {
    let host = Host::start(engine);
    let mut client = host.client();
    client.set(b"a", b"1").unwrap();
    let broken = host.path("broken.so");
    std::fs::write(&broken, "just text").unwrap();
    for (path, reason) in [(&broken, "it looks like a text file"), (&host.path("missing.so"), "no such file")]
    {
        let refusal = reload(&mut client, path).unwrap_err();
        assert!(refusal.starts_with("ERR reload refused: ") && refusal.contains(reason), "{refusal}");
        host.wait_for_log(&["reload refused, generation 1 serves on", reason]);
    }
    let options = ["OPTS", "no-such-option=1"];
    let refusal = reload_with(&mut client, &engine.library(host.dir()), &options).unwrap_err();
    assert!(refusal.contains("unknown option") && refusal.contains("; known options: "), "{refusal}");
    let info = host.engine_info();
    assert_eq!((&*info["generation"], &*info["engine"]), ("1", engine.name()));
    assert_eq!((&*info["reloads"], &*info["reloads_refused"]), ("0", "3"));
    assert_eq!(client.get(b"a").unwrap().as_deref(), Some(&b"1"[..]));
    client.set(b"b", b"2").unwrap();
}

#[test]
fn expiries_go_along_and_are_refused_with_their_count_where_they_cannot() {
    let host = Host::start(Engine::Memory);
    let mut client = host.client();
    let expected: Vec<String> = (0..40).map(|number| (4_102_444_800_000_i64 + number).to_string()).collect();
    for (number, at) in expected.iter().enumerate() {
        assert_eq!(ask(&mut client, &format!("SET key:{number} v PXAT {at}")), "OK");
        client.set(format!("forever:{number}").as_bytes(), b"v").unwrap();
    }
    let kept = |client: &mut Client| {
        for (number, at) in expected.iter().enumerate() {
            assert_eq!(ask(client, &format!("PEXPIRETIME key:{number}")), *at);
            assert_eq!(ask(client, &format!("PEXPIRETIME forever:{number}")), "-1");
        }
    };
    reload(&mut client, &Engine::Delayed.library(host.dir())).unwrap();
    kept(&mut client);
    reload(&mut client, &binaries::memory_engine_other_build()).unwrap();
    kept(&mut client);

    let refusal = reload(&mut client, &Engine::CExample.library(host.dir())).unwrap_err();
    assert!(refusal.contains("40 entries expire, and engine 'c-example' lacks EXPIRY"), "{refusal}");
    host.wait_for_log(&["reload refused, generation 3 serves on", "40 entries expire"]);
    host.wait_for_log(&["the candidate Live(c-example", "unmapped"]);
    kept(&mut client);
    client.set(b"a", b"written after the refusal").unwrap();
    for number in 0..expected.len() {
        assert!(client.persist(format!("key:{number}").as_bytes()).unwrap());
    }
    let reply = reload(&mut client, &Engine::CExample.library(host.dir())).unwrap();
    assert_eq!(reply["entries"], "81");
    assert_eq!(client.get(b"a").unwrap().as_deref(), Some(&b"written after the refusal"[..]));
}

#[test]
fn what_expires_after_a_reload_is_gone() {
    let host = Host::start(Engine::Memory);
    let mut client = host.client();
    // Long enough to be there when it is copied, on any machine that is not stopped meanwhile.
    assert_eq!(ask(&mut client, "SET soon v PX 3000"), "OK");
    reload(&mut client, &binaries::memory_engine_other_build()).unwrap();
    wait_until("the expiry", || client.get(b"soon").unwrap().is_none());
    assert_eq!(client.count().unwrap(), 0);
}

#[test]
fn a_second_reload_during_a_first_is_told_busy() {
    let host = Host::start(Engine::Memory);
    let delayed = Engine::Delayed.library(host.dir());
    let mut first = host.connection();
    let mut request = Vec::new();
    encode_command(&["ENGINE", "RELOAD", delayed.to_str().unwrap()], &mut request);
    first.send(&request).unwrap();
    // Its check takes seconds; all else is answered meanwhile.
    wait_until("the first reload", || host.engine_info()["reload_phase"] == "check");
    let mut client = host.client();
    let refusal = reload(&mut client, &delayed).unwrap_err();
    assert_eq!(refusal, "BUSY a reload is under way (phase: check)");
    expect(&mut client, &[("SET a 1", "OK"), ("ENGINE ROLLBACK", "!ERR there is no engine before this one")]);
    assert_eq!(fields(first.receive().unwrap())["engine"], "delayed");
    expect(&mut client, &[("GET a", "\"1\"")]);
    assert_eq!(host.engine_info()["reloads"], "1");
}

#[test]
fn a_client_may_hang_up_in_the_middle_of_its_reload() {
    let host = Host::start(Engine::CExample);
    let library = Engine::Memory.library(host.dir());
    let mut connection = host.connection();
    let mut request = Vec::new();
    encode_command(&["ENGINE", "RELOAD", library.to_str().unwrap()], &mut request);
    connection.send(&request).unwrap();
    wait_until("the reload", || host.engine_info()["reload_phase"] != "idle");
    drop(connection);
    wait_until("the end of the reload", || host.engine_info()["engine"] == "memory");
    host.wait_for_log(&["reload done: generation 2 is memory"]);
}

#[test]
fn a_host_that_is_stopped_in_the_middle_of_a_reload_ends_in_order() {
    let host = Host::start(Engine::Memory);
    let library = Engine::Delayed.library(host.dir());
    let mut connection = host.connection();
    let mut request = Vec::new();
    encode_command(&["ENGINE", "RELOAD", library.to_str().unwrap()], &mut request);
    connection.send(&request).unwrap();
    wait_until("the reload", || host.engine_info()["reload_phase"] != "idle");
    let log = host.stop();
    assert!(log.contains("engine closed, its library is unmapped"), "{log}");
}

#[test]
fn sighup_reloads_the_configured_path() {
    let dir = tempfile::tempdir().unwrap();
    let current = dir.path().join("current.so");
    std::fs::copy(Engine::CExample.library(dir.path()), &current).unwrap();
    let config = format!("engine = {:?}\nlisten = [\"127.0.0.1:0\"]\n", current.to_str().unwrap());
    let host = Host::start_in(dir.into(), &Options::config(&config));
    let mut client = host.client();
    client.set(b"a", b"1").unwrap();
    let before = host.engine_info();
    assert_eq!((&*before["engine"], &*before["path"]), ("c-example", current.to_str().unwrap()));
    // Whoever installs a library puts it beside and renames; one that is written over in place is harmless too, as the
    // host runs a copy.
    std::fs::copy(Engine::Memory.library(host.dir()), &current).unwrap();
    host.signal(libc::SIGHUP);
    host.wait_for_log(&["SIGHUP: reloading", "current.so"]);
    host.wait_for_log(&["reload done: generation 2 is memory"]);
    assert_eq!(client.get(b"a").unwrap().as_deref(), Some(&b"1"[..]));
    assert_ne!(host.engine_info()["digest"], before["digest"]);
    // And the command without a path does the same.
    assert_eq!(fields(client.call(&["ENGINE", "RELOAD"]).unwrap())["generation"], "3");
}

#[test]
fn a_rollback_goes_back_with_the_data_as_they_are_now() {
    let host = Host::start(Engine::Memory);
    let mut client = host.client();
    let path = host.path("gone-soon.so");
    std::fs::copy(Engine::Delayed.library(host.dir()), &path).unwrap();
    client.set(b"a", b"1").unwrap();
    reload_with(&mut client, &path, &["OPTS", "delay_us=0..7", "seed=9"]).unwrap();
    assert_eq!(host.engine_info()["options"], "[\"delay_us=0..7\" \"seed=9\"]");
    expect(&mut client, &[("INCR a", "2"), ("SET b x", "OK")]);
    let reply = fields(client.call(&["ENGINE", "ROLLBACK"]).unwrap());
    assert_eq!(
        (&*reply["engine"], &*reply["generation"], &*reply["previous_library"]),
        ("memory", "3", "unmapped")
    );
    expect(&mut client, &[("INCR a", "3"), ("GET b", "\"x\"")]);
    // Back and forth: the bytes of the library and its options were kept, though its file is gone.
    std::fs::remove_file(&path).unwrap();
    let reply = fields(client.call(&["ENGINE", "ROLLBACK"]).unwrap());
    assert_eq!((&*reply["engine"], &*reply["generation"]), ("delayed", "4"));
    assert_eq!(host.engine_info()["options"], "[\"delay_us=0..7\" \"seed=9\"]");
    expect(&mut client, &[("INCR a", "4")]);
}

#[test]
fn options_are_remembered_by_the_engines_name() {
    let host = Host::start(Engine::CExample);
    let mut client = host.client();
    let (delayed, c) = (Engine::Delayed.library(host.dir()), Engine::CExample.library(host.dir()));
    reload_with(&mut client, &delayed, &["OPTS", "seed=5"]).unwrap();
    reload(&mut client, &c).unwrap();
    reload(&mut client, &delayed).unwrap();
    assert_eq!(host.engine_info()["options"], "[\"seed=5\"]");
    reload_with(&mut client, &delayed, &["OPTS"]).unwrap();
    assert_eq!(host.engine_info()["options"], "[]");
}

#[test]
fn watched_keys_outlive_a_reload_that_keeps_versions_and_count_as_changed_after_another() {
    let host = Host::start(Engine::Memory);
    let (mut one, mut other, mut admin) = (host.client(), host.client(), host.client());
    expect(&mut one, &[("SET a 1", "OK"), ("WATCH a", "OK")]);
    expect(&mut other, &[("WATCH a", "OK"), ("MULTI", "OK"), ("SET a other", "QUEUED")]);
    let reply = reload(&mut admin, &Engine::Delayed.library(host.dir())).unwrap();
    assert_eq!(reply["versions"], "kept");
    expect(&mut one, &[("MULTI", "OK"), ("INCR a", "QUEUED"), ("EXEC", "[2]")]);
    // The first one's change is one of the second one's watched key.
    expect(&mut other, &[("EXEC", "nil")]);

    expect(&mut one, &[("WATCH a", "OK"), ("MULTI", "OK"), ("INCR a", "QUEUED")]);
    let reply = reload(&mut admin, &Engine::CExample.library(host.dir())).unwrap();
    assert_eq!(reply["versions"], "new: what is watched counts as changed");
    expect(&mut one, &[("EXEC", "nil"), ("GET a", "\"2\"")]);
    expect(&mut one, &[("WATCH a", "OK"), ("MULTI", "OK"), ("INCR a", "QUEUED"), ("EXEC", "[3]")]);
    // From one without versions, whatever the next one has.
    for to in [binaries::c_example(host.dir()), Engine::Memory.library(host.dir())] {
        expect(&mut one, &[("WATCH a", "OK"), ("MULTI", "OK"), ("INCR a", "QUEUED")]);
        let reply = reload(&mut admin, &to).unwrap();
        assert_eq!(reply["versions"], "new: what is watched counts as changed");
        expect(&mut one, &[("EXEC", "nil"), ("GET a", "\"3\"")]);
    }
}

#[test]
fn a_rollback_is_refused_where_a_reload_would_be() {
    let host = Host::start(Engine::CExample);
    let mut client = host.client();
    reload(&mut client, &Engine::Memory.library(host.dir())).unwrap();
    expect(&mut client, &[("SET soon v EX 1000", "OK"), ("SET a 1", "OK")]);
    let refusal = ask(&mut client, "ENGINE ROLLBACK");
    assert!(refusal.starts_with("!ERR reload refused: "), "{refusal}");
    assert!(refusal.contains("1 entries expire, and engine 'c-example' lacks EXPIRY"), "{refusal}");
    expect(&mut client, &[("GET a", "\"1\""), ("PERSIST soon", "1")]);
    let reply = fields(client.call(&["ENGINE", "ROLLBACK"]).unwrap());
    assert_eq!(reply["engine"], "c-example");
    expect(&mut client, &[("GET a", "\"1\""), ("GET soon", "\"v\"")]);
}

#[test]
fn a_scan_under_way_sees_each_key_that_stays() {
    let host = Host::start(Engine::Memory);
    let mut client = host.client();
    let keys: BTreeSet<Vec<u8>> = (0..2_000).map(|number| format!("key:{number}").into_bytes()).collect();
    for key in &keys {
        client.set(key, b"v").unwrap();
    }
    let mut admin = host.client();
    let mut engines = [Engine::CExample, Engine::Delayed, Engine::Memory].into_iter();
    let (mut found, mut cursor, mut steps) = (BTreeSet::new(), b"0".to_vec(), 0);
    loop {
        let reply = client.call(&[&b"SCAN"[..], &cursor, b"COUNT", b"100"]).unwrap().into_elements().unwrap();
        let [next, part] = <[_; 2]>::try_from(reply).unwrap();
        found.extend(part.into_elements().unwrap().into_iter().map(|key| key.into_bytes().unwrap()));
        cursor = next.into_bytes().unwrap();
        steps += 1;
        if cursor == b"0" {
            break;
        }
        if steps % 5 == 0
            && let Some(engine) = engines.next()
        {
            reload(&mut admin, &engine.library(host.dir())).unwrap();
        }
    }
    assert!(engines.next().is_none(), "the scan went on over all reloads, in {steps} steps");
    assert_eq!(found, keys);
}

#[test]
fn reloads_are_told_in_words_that_people_and_programs_understand() {
    let host = Host::start(Engine::Memory);
    let mut client = host.client();
    expect(
        &mut client,
        &[
            ("ENGINE RELOAD a b", "!ERR syntax error"),
            ("ENGINE RELOAD OPTS novalue", "!ERR option 'novalue' is not of the form key=value"),
            ("ENGINE INFO x", "!ERR wrong number of arguments for 'engine|info' command"),
            ("MULTI", "OK"),
            ("ENGINE INFO", "!ERR Command not allowed inside a transaction"),
            ("DISCARD", "OK"),
        ],
    );
    reload(&mut client, &Engine::CExample.library(host.dir())).unwrap();
    let history = client.call(&["ENGINE", "HISTORY"]).unwrap().into_elements().unwrap();
    let history: Vec<_> = history.into_iter().map(fields).collect();
    let told = |name: &str| history.iter().map(|one| one[name].clone()).collect::<Vec<_>>();
    assert_eq!(told("state"), ["unmapped", "live"]);
    assert_eq!(told("handoff"), ["start", "migrate"]);
    let number = |name: &str, at: usize| history[at].get(name).map(|text| text.parse::<u64>().unwrap());
    assert!(number("since_ms", 0).unwrap() < number("since_ms", 1).unwrap(), "{history:?}");
    assert!(number("held_us", 0).is_none() && number("held_us", 1).unwrap() > 0, "{history:?}");
    let info = host.engine_info();
    assert_eq!((&*info["previous_generation"], &*info["previous_library"]), ("1", "unmapped"));
    let words = ["capabilities", "symbols", "driven_by", "check", "digest", "version"];
    assert!(words.iter().all(|word| !info[*word].is_empty()), "{info:?}");
    assert_eq!(outcome(client.call(&["ENGINE", "HELP"])).matches("RELOAD").count(), 1);
}

#[test]
fn a_host_whose_program_was_replaced_on_disk_still_reloads() {
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("kvstore-host");
    binaries::overwrite(&binaries::host(), &program).unwrap();
    let host =
        Host::start_with(Engine::Memory, &Options { program: Some(program.clone()), ..Options::default() });
    let mut client = host.client();
    client.set(b"k", b"v").unwrap();
    // As an upgrade does: what lies there now is another program, which knows nothing of a check.
    std::fs::remove_file(&program).unwrap();
    std::fs::copy("/bin/false", &program).unwrap();
    reload(&mut client, &binaries::memory_engine_other_build()).unwrap();
    assert_eq!(client.get(b"k").unwrap().as_deref(), Some(&b"v"[..]));
}
