//! The zoo beside live data: what is refused leaves the data as they are, what only live data show is refused too, and what gets past the check does
//! what is said here.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

use std::path::Path;
use std::sync::Arc;

use kvstore_client::Client;
use tests::engines::Engine;
use tests::host::{Host, Options, fields};
use tests::show::ask;
use tests::wait::wait_until;
use tests::zoo::{self, Animal};
use tests::{binaries, variant};

/// So many keys are in the hosts of these tests.
const KEYS: u32 = 100;

fn fill(client: &mut Client) {
    for i in 0..KEYS {
        client.set(format!("key:{i}").as_bytes(), format!("value {i}").as_bytes()).unwrap();
    }
}

fn is_filled(client: &mut Client) {
    for i in 0..KEYS {
        let value = client.get(format!("key:{i}").as_bytes()).unwrap();
        assert_eq!(value, Some(format!("value {i}").into_bytes()), "key:{i}");
    }
    assert_eq!(ask(client, "DBSIZE"), KEYS.to_string());
}

fn reload(client: &mut Client, path: &Path) -> String {
    ask(client, &format!("ENGINE RELOAD {}", path.display()))
}

/// Fails unless the reply is a refusal with all of these parts.
fn is_refusal(reply: &str, parts: &[&str]) {
    assert!(reply.contains("ERR reload refused: "), "{reply}");
    for part in parts {
        assert!(reply.contains(part), "{part:?} is not in {reply:?}");
    }
}

/// A host of one engine's library, with these options.
fn host_of(library: &Path, options: &Options) -> Host {
    Host::start_library(&Arc::new(tempfile::tempdir().unwrap()), library, options)
}

/// A live host refuses them all, one after the other; those that hang do so for the time that a step of a check may take.
fn are_refused_beside_live_data(animals: &[Animal]) {
    // The limit of what allocates without end is higher here: it may as well run into that of time.
    let own_words = |animal: &&Animal| animal.name != "allocates";
    let dir = tempfile::tempdir().unwrap();
    let host = Host::start(Engine::Memory);
    let mut client = host.client();
    fill(&mut client);
    for animal in animals.iter().filter(|animal| animal.args.is_empty()) {
        let reply = reload(&mut client, &animal.build(dir.path()));
        let expected = Some(animal).filter(own_words).map_or(&[][..], |animal| animal.expected);
        is_refusal(&reply, expected);
        is_filled(&mut client);
    }
    let info = host.engine_info();
    assert_eq!((info["generation"].as_str(), info["engine"].as_str()), ("1", "memory"));
}

#[test]
fn each_is_refused_by_a_live_host_and_its_data_stay() {
    let animals = zoo::all();
    // Several hosts, because some animals hang, those neighbours in the zoo.
    let hosts = 4;
    std::thread::scope(|scope| {
        for host in 0..hosts {
            let some: Vec<Animal> = animals.iter().skip(host).step_by(hosts).copied().collect();
            scope.spawn(move || are_refused_beside_live_data(&some));
        }
    });
}

#[test]
fn what_loses_live_data_is_refused_though_the_suite_finds_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let host = Host::start(Engine::Memory);
    let mut client = host.client();
    fill(&mut client);
    let loses_users = zoo::accepted("loses_users", dir.path());
    let cuts_values = zoo::accepted("cuts_values", dir.path());
    let short_keys = zoo::accepted("short_keys", dir.path());
    for (path, engine) in
        [(&loses_users, "c-example"), (&cuts_values, "c-example"), (&short_keys, "short-keys")]
    {
        let reply = reload(&mut client, path);
        assert!(reply.contains(engine) && reply.contains("; 100 live entries tried"), "{reply}");
        is_filled(&mut client);
        assert!(reload(&mut client, &binaries::memory_engine()).contains("\"memory\""));
    }
    client.set(b"user:1", b"secret word").unwrap();
    client.set(b"large", &vec![b'x'; 3_000_001]).unwrap();
    client.set(b"a key of 18 bytes.", b"v").unwrap();
    let sample = "the live data do not go into it; of a sample of them, entry ";
    let reply = reload(&mut client, &loses_users);
    is_refusal(&reply, &[sample, " of 103 (key of 6 bytes, value of 11) is lost"]);
    let reply = reload(&mut client, &cuts_values);
    is_refusal(&reply, &[sample, "(key of 5 bytes", "its value's length is 3000000, and was 3000001"]);
    let reply = reload(&mut client, &short_keys);
    is_refusal(&reply, &[sample, "(key of 18 bytes, value of 1) does not fit: the engine takes keys of 16 "]);
    // Nothing of the data is in the log.
    let log = host.log.text();
    assert!(!log.contains("secret word") && !log.contains("user:1") && !log.contains("a key of"), "{log}");
    assert_eq!(client.get(b"user:1").unwrap().as_deref(), Some(b"secret word".as_slice()));
    assert_eq!(ask(&mut client, "DBSIZE"), "103");
}

#[test]
fn the_sample_has_expiry_type_and_version_and_an_engine_without_expiry_is_not_refused_by_it() {
    let dir = tempfile::tempdir().unwrap();
    let host = Host::start(Engine::Memory);
    let mut client = host.client();
    fill(&mut client);
    ask(&mut client, "SET soon v PX 1");
    ask(&mut client, "SET later v EX 1000");
    // The delayed engine keeps expiry and versions.
    for library in [binaries::delayed_engine(), binaries::memory_engine()] {
        let reply = reload(&mut client, &library);
        assert!(reply.contains(" live entries tried"), "{reply}");
    }
    // The handoff says it, with a count.
    let reply = reload(&mut client, &binaries::c_example(dir.path()));
    is_refusal(&reply, &["1 entries expire, and engine 'c-example' lacks EXPIRY"]);
    ask(&mut client, "DEL later");
    is_filled(&mut client);
}

#[test]
fn a_sample_is_bounded() {
    let host = Host::start(Engine::Memory);
    let mut client = host.client();
    for i in 0..3_000 {
        client.set(format!("key:{i}").as_bytes(), b"v").unwrap();
    }
    let reply = reload(&mut client, &binaries::memory_engine());
    assert!(reply.contains("; 1000 live entries tried"), "{reply}");
    ask(&mut client, "FLUSHALL");
    for i in 0..10 {
        client.set(format!("key:{i}").as_bytes(), &vec![b'x'; 1 << 20]).unwrap();
    }
    // The fourth does not fit any more, with its key.
    let reply = reload(&mut client, &binaries::memory_engine());
    assert!(reply.contains("; 3 live entries tried"), "{reply}");
}

/// Nobody looks at an engine's answers once it is live, unless beside a shadow. The check finds what is wrong within two thousand calls of an instance.
#[test]
fn what_answers_wrongly_later_is_not_found() {
    let dir = tempfile::tempdir().unwrap();
    let library = zoo::accepted_with("wrong_later", dir.path(), &["-DAFTER=20000"]);
    let host = Host::start(Engine::Memory);
    let mut client = host.client();
    fill(&mut client);
    let reply = reload(&mut client, &library);
    assert!(reply.contains("c-example"), "{reply}");
    is_filled(&mut client);
    let mut asked = 0;
    while client.get(b"key:1").unwrap().as_deref() == Some(b"value 1".as_slice()) {
        asked += 1;
        assert!(asked < 20_000, "it never answers wrongly");
    }
}

/// Today the host and its data are lost.
#[test]
fn what_crashes_later_takes_the_host_along() {
    let dir = tempfile::tempdir().unwrap();
    let mut host = Host::start(Engine::Memory);
    let mut client = host.client();
    fill(&mut client);
    let library = zoo::accepted_with("crashes_later", dir.path(), &["-DAFTER=20000"]);
    assert!(reload(&mut client, &library).contains("c-example"));
    is_filled(&mut client);
    let mut asked = 0;
    while client.get(b"key:1").is_ok() {
        asked += 1;
        assert!(asked <= 20_000, "it never crashes");
    }
    use std::os::unix::process::ExitStatusExt;
    assert_eq!(host.wait().signal(), Some(libc::SIGILL));
}

/// Without PROBATION nobody rolls it back by itself; its state goes to an engine that checks it.
#[test]
fn what_panics_later_answers_with_errors_until_its_state_is_adopted() {
    let dir = tempfile::tempdir().unwrap();
    let good = binaries::example("accepted_adopts");
    let next = variant::variant(&good, &dir.path().join("next.so"), |it| it.version[0] = b'2');
    let library = zoo::faulty("panics 30000", &dir.path().join("panics.so"));
    for way in [format!("RELOAD {}", next.display()), "ROLLBACK".to_owned()] {
        let host = host_of(&good, &Options::default());
        let mut client = host.client();
        fill(&mut client);
        let reply = reload(&mut client, &library);
        assert!(reply.contains("adopt: "), "{reply}");
        let mut asked = 0;
        while ask(&mut client, "GET key:1") == "\"value 1\"" {
            asked += 1;
            assert!(asked <= 30_000, "it never panics");
        }
        assert!(ask(&mut client, "GET key:1").contains("POISONED"));
        assert_eq!(host.engine_info()["panicked"], "1");
        // A copy needs an engine that can be read.
        let reply = reload(&mut client, &binaries::memory_engine());
        is_refusal(&reply, &["POISONED"]);
        host.wait_for_log(&["the check goes without a sample of the live data", "POISONED"]);
        let reply = ask(&mut client, &format!("ENGINE {way}"));
        assert!(reply.contains("adopt: ") && reply.contains("has checked it"), "{reply}");
        is_filled(&mut client);
        assert_eq!(host.engine_info()["panicked"], "0");
    }
}

#[test]
fn what_pins_itself_is_served_and_said_to_stay() {
    let dir = tempfile::tempdir().unwrap();
    for (name, why) in [
        ("pins_itself", "pinned(unknown: the loader still lists it)"),
        ("unique", "pinned(its symbol zoo_only is STB_GNU_UNIQUE)"),
    ] {
        let host = Host::start(Engine::Memory);
        let mut client = host.client();
        fill(&mut client);
        let reply = reload(&mut client, &zoo::accepted(name, dir.path()));
        assert!(reply.contains("c-example"), "{reply}");
        host.wait_for_log(&[&format!("once loaded it stays in memory: {why}")]);
        is_filled(&mut client);
        let reply = reload(&mut client, &binaries::memory_engine());
        assert!(reply.contains("\"memory\"") && reply.contains(why), "{reply}");
        host.wait_for_log(&[&format!("generation 2: {why}")]);
        assert_eq!(host.engine_info()["previous_library"], why);
        is_filled(&mut client);
    }
}

#[test]
fn what_leaves_a_thread_behind_is_not_unmapped_under_it() {
    let dir = tempfile::tempdir().unwrap();
    let host = Host::start(Engine::Memory);
    let mut client = host.client();
    fill(&mut client);
    let library = zoo::accepted("leaves_thread_live", dir.path());
    let (good, delayed) = (Engine::Memory.library(host.dir()), Engine::Delayed.library(host.dir()));
    for _ in 0..2 {
        // The threads of the other engine, and what the host's own have left of it on their stacks, keep nothing.
        let stays = "pinned(not closed: thread \"stays\" still runs in it)";
        for (path, verdict) in [(&library, "unmapped"), (&delayed, stays), (&good, "unmapped")] {
            let reply = client.call(&["ENGINE", "RELOAD", path.to_str().unwrap()]).unwrap();
            assert_eq!(fields(reply)["previous_library"], verdict);
        }
    }
    is_filled(&mut client);
    assert!(host.stop().contains("its library is unmapped"));
}

/// A library that is there before the host takes the other keys: a thousand loads would take long.
#[test]
fn an_engine_is_not_loaded_when_thread_specific_keys_run_out() {
    let dir = tempfile::tempdir().unwrap();
    let taker = dir.path().join("taker.so");
    binaries::c_library(&binaries::root().join("tests/preload/keys.c"), &taker, &[]);
    let env = [("LD_PRELOAD", taker.display().to_string()), ("LEFT", "80".to_owned())];
    let env = env.map(|(name, value)| (name.to_owned(), value)).to_vec();
    let host = host_of(&binaries::memory_engine(), &Options { env, ..Options::default() });
    let mut client = host.client();
    fill(&mut client);
    let library = zoo::accepted("leaks_key", dir.path());
    let mut loads = 0;
    let refusal = loop {
        let reply = reload(&mut client, &library);
        if !reply.contains("c-example") {
            break reply;
        }
        loads += 1;
        assert!(loads <= 20, "it is loaded for ever");
    };
    is_refusal(
        &refusal,
        &["of the 1024 thread-specific keys of this process fewer than 64 are free", "restart the host"],
    );
    assert!(loads >= 5, "{loads} loads");
    is_filled(&mut client);
    host.wait_for_log(&["each time it is loaded it keeps 1 of the 1024 thread-specific keys"]);
    // Neither is one that leaks none; the engine that is there serves on.
    is_refusal(&reload(&mut client, &binaries::memory_engine()), &["fewer than 64 are free"]);
    client.set(b"k", b"v").unwrap();
    assert_eq!(client.get(b"k").unwrap().as_deref(), Some(b"v".as_slice()));
}

/// The live engine stays in its scan while a file is there: the look at its data is given up, and so is the reload; until the look has returned, no
/// other one is begun, so that nobody closes the engine meanwhile.
#[test]
fn a_live_engine_that_hangs_in_its_scan_calls_the_check_off() {
    let dir = tempfile::tempdir().unwrap();
    let gate = dir.path().join("gate");
    let path = format!("-DGATE=\"{}\"", gate.display());
    let library = zoo::accepted_with("scan_gated", dir.path(), &[&path]);
    let host = Host::start(Engine::Memory);
    let mut client = host.client();
    fill(&mut client);
    assert!(reload(&mut client, &library).contains("c-example"));
    std::fs::write(&gate, "").unwrap();
    let reply = reload(&mut client, &binaries::memory_engine());
    is_refusal(&reply, &["kv_scan of the live engine has not returned within"]);
    let reply = reload(&mut client, &binaries::memory_engine());
    is_refusal(&reply, &["asked for an earlier check, has not returned"]);
    std::fs::remove_file(&gate).unwrap();
    wait_until("the look that returns", || {
        !reload(&mut client, &binaries::memory_engine()).contains("has not returned")
    });
    assert_eq!(host.engine_info()["engine"], "memory");
    is_filled(&mut client);
}
