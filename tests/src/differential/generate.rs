//! Generate: random scripts of requests from two connections, with edge values and mistakes among them.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};

use super::grammar::{GRAMMAR, NODES, Row};
use super::syntax::in_any_case;

/// A request: its words.
pub type Request = Vec<Vec<u8>>;

/// When every round begins, in milliseconds since 1970 UTC: not on a whole second.
pub const START_MS: i64 = 1_900_000_000_123;

/// How many connections a script uses.
pub const CONNECTIONS: usize = 2;

/// The longest value that both servers take, in bytes.
pub const VALUE_LEN_MAX: usize = 1 << 20;

/// More keys than there ever are.
pub const ALL: &str = "100000";

/// One step of a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Something is sent.
    Send {
        /// By this connection.
        connection: usize,
        /// What is asked.
        request: Request,
        /// As a line of words, as a person types it, where it can be.
        inline: bool,
        /// In one write with the step before, if that is the same connection's.
        joined: bool,
    },
    /// The shared clock moves on by so many milliseconds.
    Clock(i64),
}

/// Makes the script of one round: the same for the same seed, round and number of requests.
pub fn script(seed: u64, round: u64, requests: usize) -> Vec<Step> {
    let mut rng = StdRng::seed_from_u64(seed ^ round.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mut steps = Vec::new();
    let mut left = requests;
    while left > 0 {
        if rng.random_range(0..12) == 0 {
            let step_ms = [1, 1, 499, 999, 1_000, 1_001, 5_000, 100_000];
            steps.push(Step::Clock(*step_ms.choose(&mut rng).unwrap_or(&1)));
        }
        let connection = usize::from(rng.random_range(0..3) == 0);
        let count = if rng.random() { 1 } else { rng.random_range(1..=40).min(left) };
        left -= count;
        for place in 0..count {
            let request = random_request(&mut rng);
            let inline = rng.random_range(0..12) == 0;
            steps.push(Step::Send { connection, request, inline, joined: place > 0 });
        }
    }
    steps
}

fn random_row(rng: &mut StdRng) -> usize {
    let total: u32 = GRAMMAR.iter().map(|row| row.weight).sum();
    let mut left = rng.random_range(0..total);
    for (at, row) in GRAMMAR.iter().enumerate() {
        match left.checked_sub(row.weight) {
            Some(rest) => left = rest,
            None => return at,
        }
    }
    0
}

/// A request, most often one that its command takes.
fn random_request(rng: &mut StdRng) -> Request {
    if rng.random_range(0..400) == 0 {
        return Vec::new();
    }
    let mut request = well_formed(rng);
    if rng.random_range(0..9) == 0 {
        spoil(rng, &mut request);
    }
    request
}

fn well_formed(rng: &mut StdRng) -> Request {
    let at = random_row(rng);
    let Row { name, .. } = GRAMMAR[at];
    let mut request: Request = name.split('|').map(|part| in_any_case(rng, part)).collect();
    NODES[at].generate(rng, &mut request, &mut argument);
    request
}

/// Makes a mistake.
fn spoil(rng: &mut StdRng, request: &mut Request) {
    let at = rng.random_range(0..request.len());
    match rng.random_range(0..8) {
        0 => drop(request.remove(at)),
        1 => request.push(edge(rng)),
        2 => request.insert(at, edge(rng)),
        3 | 4 => request[at] = edge(rng),
        5 => request.extend_from_within(at..),
        6 => {
            let other = rng.random_range(0..request.len());
            request.swap(at, other);
        }
        _ => request.push(request[at].clone()),
    }
}

/// Something that is seldom right, wherever it stands.
fn edge(rng: &mut StdRng) -> Vec<u8> {
    match rng.random_range(0..10) {
        0 => Vec::new(),
        1 | 2 => pick(rng, INTEGERS),
        3 => pick(rng, FLOATS),
        4 | 5 => pick(rng, WORDS),
        6 => random_key(rng),
        7 => (0..rng.random_range(0..200)).map(|_| rng.random()).collect(),
        8 => b"nosuch".to_vec(),
        _ => well_formed(rng).swap_remove(0),
    }
}

fn pick(rng: &mut StdRng, texts: &[&str]) -> Vec<u8> {
    texts.choose(rng).copied().unwrap_or_default().into()
}

/// Integers at and beyond the edges of their types, and what only looks like one.
const INTEGERS: &[&str] = &[
    "0",
    "1",
    "-1",
    "2",
    "7",
    "8",
    "9",
    "10",
    "-0",
    "+1",
    "01",
    " 1",
    "1 ",
    "1x",
    "0x10",
    "1e3",
    "1.0",
    "--1",
    "-",
    "127",
    "128",
    "255",
    "256",
    "65535",
    "65536",
    "1048575",
    "1048576",
    "1048577",
    "8388607",
    "8388608",
    "536870911",
    "536870912",
    "2147483647",
    "2147483648",
    "-2147483648",
    "-2147483649",
    "4294967295",
    "4294967296",
    "4503599627370496",
    "9223372036854775",
    "9223372036854776",
    "9007199254740993",
    "-9223372036854775",
    "9223372036854775806",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775807",
    "-9223372036854775808",
    "-9223372036854775809",
    "18446744073709551615",
    "18446744073709551616",
    "-18446744073709551615",
    "99999999999999999999999",
];

const FLOATS: &[&str] = &[
    "0.1",
    "-0.1",
    "0.5",
    "1.5",
    "3.0",
    "3.14159265358979323846",
    "1e-7",
    "1e-17",
    "1e-18",
    "5e-324",
    "1e17",
    "1e18",
    "1e21",
    "1e300",
    "-1e300",
    "1.7976931348623157e308",
    "1e309",
    "1e4000",
    "1e4932",
    "1e5000",
    "-1e5000",
    "1e-5000",
    "nan",
    "NaN",
    "-nan",
    "inf",
    "-inf",
    "+inf",
    "infinity",
    "Infinity",
    "0x1p3",
    "0xa",
    "1e",
    "e1",
    ".5",
    "5.",
    ".",
    "-.5",
    "+.5",
    " 1.5",
    "1.5 ",
    "1,5",
    "1_000",
    "0.000000000000000001",
    "12345678901234567890.5",
    "9223372036854775807.5",
    "-0.0",
    "00.5",
    "10.10",
    "1.0e2",
    "2.5e-3",
];

const WORDS: &[&str] = &[
    "NX",
    "XX",
    "GET",
    "EX",
    "PX",
    "EXAT",
    "PXAT",
    "KEEPTTL",
    "PERSIST",
    "GT",
    "LT",
    "MATCH",
    "COUNT",
    "TYPE",
    "BYTE",
    "BIT",
    "LEN",
    "IDX",
    "MINMATCHLEN",
    "WITHMATCHLEN",
    "REPLACE",
    "DB",
    "SYNC",
    "ASYNC",
    "AUTH",
    "SETNAME",
    "HELP",
];

/// An argument of one of the grammar's kinds.
fn argument(rng: &mut StdRng, kind: &str, out: &mut Request) {
    let small =
        |rng: &mut StdRng, range: std::ops::Range<i64>| rng.random_range(range).to_string().into_bytes();
    let often = rng.random_range(0..8) != 0;
    let one = match kind {
        "key" => random_key(rng),
        "value" => random_value(rng),
        "text" => match rng.random_range(0..4) {
            0 => random_value(rng),
            _ => format!("name{}", rng.random_range(0..100)).into_bytes(),
        },
        "float" if rng.random() => format!("{}", rng.random_range(-1000..1000) as f64 / 8.0).into_bytes(),
        "float" if rng.random() => pick(rng, FLOATS),
        "int" | "float" if often => small(rng, -100..100),
        "seconds" if often => small(rng, 1..20),
        "ms" if often => small(rng, 1..20_000),
        "unix-s" if often => (START_MS / 1000 + rng.random_range(-5..300)).to_string().into_bytes(),
        "unix-ms" if often => (START_MS + rng.random_range(-2_000..100_000)).to_string().into_bytes(),
        "offset" if often => small(rng, -12..40),
        "offset" if rng.random_range(0..8) == 0 => {
            small(rng, VALUE_LEN_MAX as i64 - 30..VALUE_LEN_MAX as i64 + 3)
        }
        "bit-offset" if often => small(rng, 0..200),
        "bit" if often => small(rng, 0..2),
        "db" | "cursor" if often => b"0".to_vec(),
        "protocol" if often => small(rng, 2..4),
        "all" => ALL.into(),
        "type" => pick(rng, &["string", "STRING", "list", "hash", "nosuch", ""]),
        "pattern" => random_pattern(rng),
        "section" => pick(rng, &["server", "memory", "all", "everything", "Stats", "keyspace"]),
        "setting" => {
            pick(rng, &["maxmemory", "databases", "save", "appendonly", "proto-max-bulk-len", "timeout"])
        }
        "name" => GRAMMAR[random_row(rng)].name.into(),
        "command" => return out.extend(well_formed(rng)),
        _ => pick(rng, INTEGERS),
    };
    out.push(one);
}

/// Few keys, so that requests meet; among them an empty one, one that is no text, and long ones.
fn random_key(rng: &mut StdRng) -> Vec<u8> {
    match rng.random_range(0..120) {
        0 => Vec::new(),
        1 => vec![0, 255, b'\r', b'\n', b'"', b' '],
        2 => vec![b'k'; 64 * 1024 - rng.random_range(0..2)],
        3 => vec![b'*'; 300],
        4 => b"*".to_vec(),
        number => format!("k{}", number % 16).into_bytes(),
    }
}

fn random_value(rng: &mut StdRng) -> Vec<u8> {
    match rng.random_range(0..40) {
        0..3 => Vec::new(),
        3..10 => pick(rng, INTEGERS),
        10..14 => pick(rng, FLOATS),
        14..24 => rng.random_range(-1000..1000_i64).to_string().into_bytes(),
        24..30 => (0..rng.random_range(0..70)).map(|_| rng.random()).collect(),
        30..33 => (0..rng.random_range(30..60)).map(|_| b"abc"[rng.random_range(0..3)]).collect(),
        33 => vec![b'x'; rng.random_range(0..20_000)],
        34 if rng.random_range(0..10) == 0 => vec![b'y'; VALUE_LEN_MAX - rng.random_range(0..2)],
        _ => pick(rng, &["foo", "barbar", "hello world", "ohmytext", "mynewtext", "\0", "\u{e9}t\u{e9}"]),
    }
}

fn random_pattern(rng: &mut StdRng) -> Vec<u8> {
    match rng.random_range(0..4) {
        0 => b"*".to_vec(),
        1 => random_key(rng),
        2 => pick(
            rng,
            &[
                "k?", "k*", "?", "k[0-4]", "k[^0-4]", "k[5-1]", "k\\1", "*k*1*", "k[", "k[1", "k[1-", "\\",
                "k\\", "[]", "[^]", "[k", "k[\\]]", "k[1-9\\", "**", "*?*", "K1", "k1[0-5]", "[a-z]1?",
                "k[-1]", "k[^", "",
            ],
        ),
        _ => (0..rng.random_range(0..8)).map(|_| b"k01*?[]^-\\"[rng.random_range(0..10)]).collect(),
    }
}
