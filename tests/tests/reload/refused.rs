//! Reloads that are refused because of what the engine that is left can do; it serves on.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

use std::fs;

use tests::binaries;
use tests::engines::Engine;
use tests::host::Host;
use tests::show::ask;

/// The C example with its source changed, so that it can do less, or says that others can do more.
fn swap_in(host: &Host, change: impl Fn(&str) -> String, flags: &[&str]) -> kvstore_client::Client {
    let source = binaries::root().join("kvstore-engine/c-example/engine.c");
    let (changed, library) = (host.path("changed.c"), host.path("changed.so"));
    fs::write(&changed, change(&fs::read_to_string(source).unwrap())).unwrap();
    binaries::c_library(&changed, &library, flags);
    let mut client = host.client();
    client.set(b"k", b"v").unwrap();
    let reply = ask(&mut client, &format!("ENGINE RELOAD {}", library.display()));
    assert!(reply.contains("c-example"), "{reply}");
    client
}

/// Wherever it is to go: by a reload, and back to the engine before.
fn leaving_is_refused(host: &Host, client: &mut kvstore_client::Client, why: &str) {
    let to = |engine: Engine| format!("RELOAD {}", engine.library(host.dir()).display());
    for request in [to(Engine::Memory), to(Engine::CExample), "ROLLBACK".to_owned()] {
        let reply = ask(client, &format!("ENGINE {request}"));
        assert!(reply.contains("reload refused") && reply.contains(why), "{request}: {reply}");
        client.set(b"k", request.as_bytes()).unwrap();
        assert_eq!(client.get(b"k").unwrap().as_deref(), Some(request.as_bytes()));
    }
    host.wait_for_log(&["reload refused", why]);
    assert_eq!(host.engine_info()["reloads_refused"], "3");
}

#[test]
fn data_cannot_leave_an_engine_without_scan() {
    let host = Host::start(Engine::Memory);
    let mut client = swap_in(&host, str::to_owned, &["-Dkv_scan=not_exported_as_kv_scan"]);
    leaving_is_refused(&host, &mut client, "the data cannot leave engine 'c-example': it has no kv_scan");
    assert!(ask(&mut client, "DBSIZE").contains("kv_scan"));
    assert!(ask(&mut client, "KEYS *").contains("kv_scan"));
}

#[test]
fn data_are_not_copied_from_under_the_writes_of_others() {
    let host = Host::start(Engine::Memory);
    let says = |source: &str| source.replace("KV_CAP_SCRATCH", "KV_CAP_SCRATCH | KV_CAP_EXTERNAL_WRITERS");
    let mut client = swap_in(&host, says, &[]);
    leaving_is_refused(&host, &mut client, "others than this host can write to engine 'c-example'");
}
