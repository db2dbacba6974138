//! Shadow: an engine beside the live one, with the same data, that is asked what clients ask; then promoted or dropped.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::fs;
use std::path::Path;

use kvstore_client::{Client, Pipeline};
use tests::binaries;
use tests::engines::{self, Engine};
use tests::host::{Host, Options, fields};
use tests::on_each_engine;
use tests::show::{ask, show};
use tests::wait::wait_until;

on_each_engine!(
    a_shadow_sees_all_writes_and_is_promoted_with_them,
    a_shadow_that_answers_differently_is_told
);

const ENTRIES: usize = 1_000;

fn fill(client: &mut Client, value: &str) {
    let mut pipeline = Pipeline::new();
    for number in 0..ENTRIES {
        pipeline.add(&["SET", &format!("key:{number}"), value]);
    }
    assert!(client.run(&pipeline).unwrap().iter().all(Result::is_ok));
}

fn read(client: &mut Client) -> Vec<Option<Vec<u8>>> {
    let mut pipeline = Pipeline::new();
    for number in 0..ENTRIES {
        pipeline.add(&["GET", &format!("key:{number}")]);
    }
    client.run(&pipeline).unwrap().into_iter().map(|value| value.unwrap().into_bytes()).collect()
}

fn shadow(client: &mut Client, path: &Path, more: &str) -> String {
    ask(client, &format!("ENGINE SHADOW {} {more}", path.display()))
}

fn figure(host: &Host, name: &str) -> u64 {
    host.engine_info()[name].parse().unwrap()
}

fn a_shadow_sees_all_writes_and_is_promoted_with_them(from: Engine) {
    let host = Host::start(from);
    let mut client = host.client();
    for request in ["PROMOTE", "DROP"] {
        let reply = ask(&mut client, &format!("ENGINE {request}"));
        assert!(reply.starts_with("!ERR there is no shadow to "), "{reply}");
    }
    fill(&mut client, "before");
    let reply = shadow(&mut client, &binaries::memory_engine_other_build(), "SAMPLE 50");
    assert!(reply.contains("\"shadow\": \"memory\""), "{reply}");
    let info = host.engine_info();
    assert_eq!(
        (&*info["reload_phase"], &*info["generation"], &*info["engine"]),
        ("shadow", "1", from.name())
    );
    // Reads between writes, so that both engines are asked while they change.
    for round in 0..20 {
        fill(&mut client, &format!("round {round}"));
        ask(&mut client, &format!("DEL key:{round}"));
        read(&mut client);
    }
    wait_until("reads that are repeated", || figure(&host, "shadow_reads") > 500);
    let info = host.engine_info();
    assert_eq!((&*info["shadow_mismatches"], &*info["shadow_mismatches_last"]), ("0", "[]"));
    assert!(info["live_read_times_us"].contains("p99 ") && info["shadow_read_times_us"].contains("p99 "));
    // The last step of a histogram has all reads.
    for histogram in ["live_read_histogram_usec", "shadow_read_histogram_usec"].map(|name| &info[name]) {
        let all = histogram.trim_end_matches('}').rsplit(": ").next();
        assert_eq!(all, Some(&*info["shadow_reads"]), "{histogram}");
    }
    let reply = ask(&mut client, "ENGINE RELOAD");
    assert!(reply.starts_with("!BUSY a reload is under way (phase: shadow)"), "{reply}");
    let before = read(&mut client);
    let reply = fields(client.call(&["ENGINE", "PROMOTE"]).unwrap());
    assert_eq!(
        (&*reply["engine"], &*reply["generation"], &*reply["previous_library"]),
        ("memory", "2", "unmapped")
    );
    assert_eq!(read(&mut client), before);
    assert_eq!(host.engine_info()["reload_phase"], "idle");
}

fn a_shadow_that_answers_differently_is_told(from: Engine) {
    let host = Host::start(from);
    let (mut client, mut admin) = (host.client(), host.client());
    fill(&mut client, "v");
    let words = "const node *found = *find(engine, op->key, hash_of(op->key));";
    let odd = format!("{words} if (op->key.len == 3 && memcmp(op->key.data, \"odd\", 3) == 0) found = NULL;");
    let path = engines::changed("odd", words, &odd, host.dir());
    for _ in 0..2 {
        let reply = shadow(&mut admin, &path, "SAMPLE 100");
        assert!(reply.contains("\"shadow\": \"c-example\""), "{reply}");
        // Only now: what is there before is tried in the check, which would refuse the engine.
        client.set(b"odd", b"what is there").unwrap();
        wait_until("a mismatch", || {
            assert_eq!(client.get(b"odd").unwrap().as_deref(), Some(&b"what is there"[..]));
            figure(&host, "shadow_mismatches") > 0
        });
        let example = "\\\"odd\\\": live \\\"what is there\\\" of 13 bytes, shadow nothing";
        let info = host.engine_info();
        assert!(info["shadow_mismatches_last"].contains(example), "{}", info["shadow_mismatches_last"]);
        host.wait_for_log(&["the shadow answers differently: \"odd\"", "shadow nothing"]);
        assert_eq!(ask(&mut admin, "ENGINE DROP"), "OK");
        assert_eq!(ask(&mut client, "DEL odd"), "1");
        let info = host.engine_info();
        assert_eq!((&*info["reload_phase"], &*info["generation"]), ("idle", "1"));
        assert_eq!((&*info["reloads"], &*info["reloads_refused"]), ("0", "0"));
        host.wait_for_log(&["the candidate Live(c-example", "is closed, its library is unmapped"]);
    }
    read(&mut client);
}

#[test]
fn what_a_shadow_does_with_its_copy_is_neither_told_nor_counted() {
    let host = Host::start(Engine::Memory);
    let mut client = host.client();
    fill(&mut client, "v");
    let before = figure(&host, "operations");
    let reply = shadow(&mut client, &binaries::memory_engine_other_build(), "SAMPLE 0");
    assert!(reply.contains("\"shadow\": \"memory\""), "{reply}");
    assert_eq!(figure(&host, "operations"), before, "what was copied into the shadow");
    assert_eq!(ask(&mut client, "CONFIG SET notify-keyspace-events Ex"), "OK");
    let mut listener = host.connection();
    listener.send(b"SUBSCRIBE __keyevent@0__:expired\r\n").unwrap();
    assert!(show(&listener.receive().unwrap()).contains("subscribe"));
    // The shadow has removed what came before long before the last of them expires.
    for number in 0..10 {
        assert_eq!(ask(&mut client, &format!("SET brief:{number} v PX 100")), "OK");
        let told = show(&listener.receive().unwrap());
        assert!(told.contains(&format!("\"brief:{number}\"")), "{number}: {told}");
    }
    assert_eq!(host.info_number("expired_keys"), 10);
    let reply = ask(&mut client, "ENGINE PROMOTE");
    assert!(reply.contains("\"generation\": 2"), "{reply}");
    // What serves is told of and counted again.
    assert_eq!(ask(&mut client, "SET last v PX 20"), "OK");
    assert!(show(&listener.receive().unwrap()).contains("\"last\""));
    assert_eq!(host.info_number("expired_keys"), 11);
    assert!(figure(&host, "operations") > before);
}

#[test]
fn who_drops_a_shadow_that_hangs_is_told_so_and_no_reload_begins_before_it_returns() {
    let host = Host::start_with(Engine::Memory, &Options::config("drain_timeout_ms = 3000\n"));
    let (mut client, mut admin) = (host.client(), host.client());
    let (gate, inside) = (host.path("gate"), host.path("gate.inside"));
    let words = "kv_status kv_delete(kv_engine *engine, const kv_op *op, kv_error *error) {";
    let path = engines::that_waits(words, &gate, host.dir());
    let reply = shadow(&mut admin, &path, "");
    assert!(reply.contains("\"shadow\": \"c-example\""), "{reply}");
    fs::write(&gate, "").unwrap();
    client.set(b"k", b"v").unwrap();
    assert_eq!(ask(&mut client, "DEL k"), "1");
    wait_until("the copier in the shadow", || inside.exists());
    let reply = ask(&mut admin, "ENGINE DROP");
    assert_eq!(reply, "!ERR not all of it has ended: the migration does not get on; it was given up");
    let reply = ask(&mut admin, "ENGINE RELOAD");
    assert_eq!(reply, "!BUSY a step of a reload that was given up has not ended yet");
    assert_eq!(ask(&mut client, "SET k still-served"), "OK");
    fs::remove_file(&gate).unwrap();
    host.wait_for_log(&["the migration into Live(c-example", "that was given up has ended"]);
    host.wait_for_log(&["the candidate Live(c-example", "is closed, its library is unmapped"]);
}
