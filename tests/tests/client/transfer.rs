//! Entries out of a live host on each engine, and back: the client's `export` and `import`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

use std::collections::BTreeMap;
use std::process::{Command, Output};

use kvstore_client::{Client, Pipeline, Value};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use tests::binaries;
use tests::engines::Engine;
use tests::host::Host;
use tests::on_each_engine;

on_each_engine!(all_entries_come_back_with_their_expiries, what_the_engine_lacks_is_told_with_its_line);

/// Far enough away not to come while a test runs.
const LATER_MS: i64 = 33_177_117_420_123;

/// Values and expiries by key; -1 for no expiry.
type Entries = BTreeMap<Vec<u8>, (Vec<u8>, i64)>;

fn client(host: &Host, args: &[&str]) -> Output {
    let mut command = Command::new(binaries::client());
    command.env_remove("KV_HOST").env("KV_PORT", host.port().to_string()).args(args).output().unwrap()
}

fn succeeds(host: &Host, args: &[&str]) -> String {
    let Output { status, stdout, stderr } = client(host, args);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(status.success() && stderr.is_empty(), "{args:?}: {status} {}", text(&stderr));
    text(&stdout)
}

/// Keys and values of any bytes, and of texts that JSON has to escape; half of them expire where the engine can.
fn random(count: usize, engine: Engine) -> Entries {
    let mut rng = SmallRng::seed_from_u64(11);
    let mut bytes = |len_max: usize| -> Vec<u8> {
        let len = rng.random_range(0..=len_max);
        if rng.random() {
            (0..len).map(|_| rng.random()).collect()
        } else {
            (0..len).map(|_| b"a\"\\\n\x7f "[rng.random_range(0..6)]).collect()
        }
    };
    let mut entries = Entries::new();
    while entries.len() < count {
        let expiry_ms = if engine.expires() && entries.len().is_multiple_of(2) {
            LATER_MS + entries.len() as i64
        } else {
            -1
        };
        entries.insert(bytes(24), (bytes(60), expiry_ms));
    }
    // One that fills a batch by itself.
    entries.insert(b"long".to_vec(), (vec![0xff; 9 << 20], -1));
    entries
}

fn set(client: &mut Client, entries: &Entries) {
    for portion in entries.iter().collect::<Vec<_>>().chunks(2_000) {
        let mut pipeline = Pipeline::new();
        for (key, (value, expiry_ms)) in portion {
            match expiry_ms {
                -1 => pipeline.add(&[b"SET", &key[..], value]),
                expiry_ms => {
                    pipeline.add(&[b"SET", &key[..], value, b"PXAT", expiry_ms.to_string().as_bytes()])
                }
            };
        }
        client.run(&pipeline).unwrap().into_iter().for_each(|result| _ = result.unwrap());
    }
}

fn read(client: &mut Client, keys: &[&Vec<u8>]) -> Entries {
    let mut entries = Entries::new();
    for portion in keys.chunks(2_000) {
        let mut pipeline = Pipeline::new();
        for key in portion {
            pipeline.add(&[b"GET", &key[..]]).add(&[b"PEXPIRETIME", &key[..]]);
        }
        let mut replies = client.run(&pipeline).unwrap().into_iter().map(Result::unwrap);
        for key in portion {
            let (value, Value::Integer(expiry_ms)) = (replies.next().unwrap(), replies.next().unwrap())
            else {
                panic!("no expiry")
            };
            entries.insert(key.to_vec(), (value.into_bytes().unwrap(), expiry_ms));
        }
    }
    entries
}

fn all_entries_come_back_with_their_expiries(engine: Engine) {
    let host = Host::start(engine);
    let mut direct = host.client();
    let count = if engine == Engine::Memory { 100_000 } else { 10_000 };
    let entries = random(count, engine);
    set(&mut direct, &entries);
    let file = host.path("all.jsonl").display().to_string();
    assert!(succeeds(&host, &["export", &file]).starts_with(&format!("{} entries (", count + 1)));
    direct.flush().unwrap();
    assert!(succeeds(&host, &["import", &file]).starts_with(&format!("{} entries imported in ", count + 1)));
    assert_eq!(direct.count().unwrap(), count as u64 + 1);
    let back = read(&mut direct, &entries.keys().collect::<Vec<_>>());
    // Not by assert_eq: nobody could read what it shows.
    let different = entries.iter().find(|(key, entry)| back.get(*key) != Some(entry));
    assert!(different.is_none(), "{:?}", different.map(|(key, _)| key));

    let again = succeeds(&host, &["--json", "import", "--existing", "keep", &file]);
    let again: serde_json::Value = serde_json::from_str(&again).unwrap();
    assert_eq!((again["imported"].as_u64(), again["kept"].as_u64()), (Some(0), Some(count as u64 + 1)));
    let one = succeeds(&host, &["export", "--match", "lon[g]", &file]);
    assert!(one.starts_with("1 entry (9437188 bytes)"), "{one}");
}

fn what_the_engine_lacks_is_told_with_its_line(engine: Engine) {
    let host = Host::start(engine);
    let file = host.path("expiring.jsonl");
    let lines = format!(
        "{{\"key\":\"a\",\"value\":\"1\"}}\n{{\"key\":\"b\",\"value\":\"2\",\"expiry_ms\":{LATER_MS}}}\n"
    );
    std::fs::write(&file, lines).unwrap();
    let output = client(&host, &["import", file.to_str().unwrap()]);
    let errors = String::from_utf8_lossy(&output.stderr);
    if engine.expires() {
        assert_eq!((output.status.code(), &*errors), (Some(0), ""));
    } else {
        assert_eq!(output.status.code(), Some(4));
        let text = "kvstore-client: line 2: ERR engine 'c-example' cannot carry this out: it lacks EXPIRY\n";
        assert_eq!(errors, text);
    }
    assert_eq!(host.client().count().unwrap(), if engine.expires() { 2 } else { 1 });
}
