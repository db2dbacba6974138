//! Commands: every one that the host lists, with arguments that nobody would give it.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::net::Shutdown;
use std::sync::Arc;

use kvstore_client::{Client, Value, encode_command};
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use tests::binaries;
use tests::engines::Engine;
use tests::host::{Host, Options};
use tests::on_each_engine;
use tests::show::{expect, outcome};
use tests::wire::{raw, rest};

on_each_engine!(reachable_asserts);

/// A command or subcommand, as `COMMAND` tells of it.
struct Listed {
    /// Its name, and behind it that of the subcommand.
    words: Vec<String>,
    /// Words of a request, the name's included; negative: at least so many.
    arity: i64,
    /// Whether it has keys at places that are always the same.
    has_keys: bool,
}

impl Listed {
    fn is(&self, names: &[&str]) -> bool {
        names.contains(&&*self.words.join("|"))
    }
}

fn listed(client: &mut Client) -> Vec<Listed> {
    let mut all = Vec::new();
    let Ok(Value::Array(mut rest)) = client.call(&["COMMAND"]) else { panic!("COMMAND lists nothing") };
    while let Some(Value::Array(fields)) = rest.pop() {
        let words = fields[0].as_bytes().unwrap().split(|&byte| byte == b'|');
        let words = words.map(|word| String::from_utf8(word.to_vec()).unwrap()).collect();
        let (Value::Integer(arity), Value::Integer(first_key)) = (&fields[1], &fields[3]) else {
            panic!("{fields:?}")
        };
        all.push(Listed { words, arity: *arity, has_keys: *first_key > 0 });
        if let Value::Array(subcommands) = &fields[9] {
            rest.extend(subcommands.iter().cloned());
        }
    }
    assert!(all.len() > 60, "{}", all.len());
    all
}

/// A request of this command with these arguments: as many as it takes, or some more, or one less.
fn request(command: &Listed, args: &[&[u8]], random: &mut SmallRng) -> Vec<Vec<u8>> {
    let least = usize::try_from(command.arity.abs()).unwrap();
    let most = if command.arity < 0 { least + 6 } else { least };
    let len = random.random_range(least.saturating_sub(1).max(command.words.len())..=most);
    let mut words: Vec<Vec<u8>> = command.words.iter().map(|word| word.clone().into_bytes()).collect();
    while words.len() < len {
        words.push(args.choose(random).unwrap().to_vec());
    }
    words
}

/// Numbers around all borders, what only looks like a number, patterns, formats, and what no text is.
const EDGES: [&[u8]; 44] = [
    b"",
    b"0",
    b"-0",
    b"1",
    b"-1",
    b"7",
    b"2147483647",
    b"2147483648",
    b"-2147483648",
    b"-2147483649",
    b"4294967295",
    b"4294967296",
    b"9223372036854775807",
    b"9223372036854775808",
    b"-9223372036854775808",
    b"-9223372036854775809",
    b"18446744073709551615",
    b"18446744073709551616",
    b"1e308",
    b"1e400",
    b"-1e400",
    b"1e-400",
    b"nan",
    b"NaN",
    b"inf",
    b"-Inf",
    b"infinity",
    b"0x10",
    b" 1",
    b"1 ",
    b"+1",
    b"1.5",
    b"00",
    b"\0",
    b"\xff\xfe\x80",
    b"\r\n",
    b"*",
    b"**?[^",
    b"[\\",
    b"%s%n%d",
    b"{",
    b"key",
    b"other",
    &[b'a'; 300],
];

/// Options of all kinds.
const OPTIONS: [&[u8]; 34] = [
    b"EX",
    b"PX",
    b"EXAT",
    b"PXAT",
    b"NX",
    b"XX",
    b"GT",
    b"LT",
    b"GET",
    b"KEEPTTL",
    b"PERSIST",
    b"IFEQ",
    b"MATCH",
    b"COUNT",
    b"TYPE",
    b"string",
    b"IDX",
    b"LEN",
    b"MINMATCHLEN",
    b"WITHMATCHLEN",
    b"REPLACE",
    b"DB",
    b"ASYNC",
    b"SYNC",
    b"BIT",
    b"BYTE",
    b"FILTERBY",
    b"PATTERN",
    b"SAMPLES",
    b"HELP",
    b"SETNAME",
    b"LIB-NAME",
    b"OPTS",
    b"everything",
];

/// The host lives, whatever it is asked, and answers.
fn reachable_asserts(engine: Engine) {
    let host = Host::start_with(engine, &Options::args(&["--value-len-max", "1048576"]));
    let mut old = host.client();
    expect(&mut old, &[("SET key 9223372036854775807", "OK"), ("SET f 1e4932", "OK")]);
    for (line, reply) in [
        ("MSETNX twice 1 twice 2", "1"),
        ("GET twice", "\"2\""),
        ("MSETNX new 1 twice 3 new 2", "0"),
        ("MSET twice 4 twice 5", "OK"),
        ("DEL twice twice", "1"),
        ("INCRBYFLOAT f 1e4932", "!ERR increment would produce NaN or Infinity"),
        ("INCRBYFLOAT f inf", "!ERR increment would produce NaN or Infinity"),
        ("INCRBYFLOAT f nan", "!ERR value is not a valid float"),
        ("INCRBYFLOAT key -inf", "!ERR increment would produce NaN or Infinity"),
        ("RENAME key key", "OK"),
        ("COPY key key", "!ERR source and destination objects are the same"),
        ("LCS key key IDX", "{\"matches\": [[[0 18] [0 18]]], \"len\": 19}"),
    ] {
        expect(&mut old, &[(line, reply)]);
    }
    let args = [&EDGES[..], &OPTIONS].concat();
    let mut random = SmallRng::seed_from_u64(7);
    // They end the host, or hold all clients up, as they should.
    let commands = listed(&mut old);
    let meant = ["shutdown", "client|pause"];
    for command in commands.iter().filter(|command| !command.is(&meant)) {
        let mut sent = Vec::new();
        for _ in 0..25 {
            encode_command(&request(command, &args, &mut random), &mut sent);
        }
        let mut stream = raw(&host);
        // The host closes after QUIT and its like.
        let _ = stream.write_all(&sent);
        let _ = stream.shutdown(Shutdown::Write);
        rest(stream);
        let reply = outcome(old.call(&["PING"]));
        assert_eq!(reply, "PONG", "{:?}", command.words);
    }
    let log = host.stop();
    assert!(!log.contains("panicked"), "{log}");
}

/// What a command does is what its row in the table lets access rules know of it: an engine that tells of each key that it is asked for
/// hears of none that COMMAND GETKEYS leaves out, and of each that it names.
#[test]
fn access_rules_and_key_extraction() {
    let dir = Arc::new(tempfile::tempdir().unwrap());
    let told = dir.path().join("told");
    let engine = binaries::example("accepted_tells_keys");
    let options = Options::args(&["--engine-opt", &format!("tell={}", told.display())]);
    let host = Host::start_library(&dir, &engine, &options);
    let mut client = host.client();
    let commands = listed(&mut client);
    let mut random = SmallRng::seed_from_u64(11);
    // Those behind the first two never have an entry.
    let keys: [&[u8]; 4] = [b"key-0", b"key-1", b"key-2", b"key-3"];
    let args: Vec<&[u8]> = [&keys[..], &keys, &[b"1", b"0", b"100", b"5"], &OPTIONS[..12]].concat();
    // They end the connection or the host, or make of the connection something else.
    let others = [
        "shutdown",
        "quit",
        "exit",
        "monitor",
        "subscribe",
        "psubscribe",
        "client|kill",
        "client|reply",
        "client|pause",
        "multi",
    ];
    for command in commands.iter().filter(|command| !command.is(&others)) {
        let mut exact = 0;
        for round in 0..400 {
            if exact == 3 || (round == 5 && !command.has_keys) {
                break;
            }
            expect(&mut client, &[("RESET", "RESET"), ("MSET key-0 10 key-1 10", "OK")]);
            client.call(&["DEL", "key-2", "key-3"]).unwrap();
            let words = request(command, &args, &mut random);
            let declared =
                match client.call(&[&[b"COMMAND".to_vec(), b"GETKEYS".to_vec()], &words[..]].concat()) {
                    Ok(Value::Array(keys)) => {
                        keys.iter().map(|key| key.as_bytes().unwrap().escape_ascii().to_string()).collect()
                    }
                    _ => BTreeSet::new(),
                };
            fs::write(&told, "").unwrap();
            let refused = client.call(&words).is_err();
            let touched: BTreeSet<String> =
                fs::read_to_string(&told).unwrap().lines().map(str::to_owned).collect();
            let shown =
                words.iter().map(|word| word.escape_ascii().to_string()).collect::<Vec<_>>().join(" ");
            assert!(touched.is_subset(&declared), "{shown}: touches {touched:?}, tells of {declared:?}");
            exact += usize::from(!refused && touched == declared);
        }
        // WATCH notes versions that the host itself keeps for such an engine.
        let silent = command.is(&["watch"]);
        assert!(exact > 0 || !command.has_keys || silent, "{:?} never does what it is for", command.words);
    }
}
