//! Model: random commands through a real host, one at a time and in pipelines, answered as a map in order would.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

use std::collections::BTreeMap;

use kvstore_client::{Client, Pipeline, Protocol};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tests::engines::Engine;
use tests::host::Host;
use tests::on_each_engine;
use tests::show::outcome;

on_each_engine!(random_commands_one_at_a_time_and_in_pipelines);

const COMMANDS: usize = 6_000;
const PIPELINE_MAX: usize = 100;

type Bytes = Vec<u8>;

fn random_commands_one_at_a_time_and_in_pipelines(engine: Engine) {
    let host = Host::start(engine);
    let mut rng = StdRng::seed_from_u64(tests::seed());
    let mut model = Model::default();
    for protocol in [Protocol::Resp2, Protocol::Resp3] {
        let mut client = host.client_over(host.tcp(), protocol);
        let mut left = COMMANDS / 2;
        while left > 0 {
            let count = if rng.random() { 1 } else { rng.random_range(1..=PIPELINE_MAX).min(left) };
            left -= count;
            let requests: Vec<Vec<Bytes>> = (0..count).map(|_| random_request(&mut rng)).collect();
            let mut pipeline = Pipeline::new();
            for request in &requests {
                pipeline.add(request);
            }
            for (request, reply) in requests.iter().zip(client.run(&pipeline).unwrap()) {
                let shown = request.iter().map(|word| word.escape_ascii().to_string()).collect::<Vec<_>>();
                assert_eq!(outcome(reply), model.answer(request), "{}", shown.join(" "));
            }
        }
        compare(&model, &mut client);
    }
}

/// In the end, all entries are those of the model.
fn compare(model: &Model, client: &mut Client) {
    let mut keys: Vec<Bytes> = client.scan(Default::default()).map(Result::unwrap).collect();
    keys.sort();
    keys.dedup();
    assert_eq!(keys, model.0.keys().cloned().collect::<Vec<_>>());
    for (key, value) in &model.0 {
        assert_eq!(client.get(key).unwrap().as_ref(), Some(value), "{}", key.escape_ascii());
    }
}

/// Few keys, so that commands meet; among them an empty one and one that is no text.
fn random_key(rng: &mut StdRng) -> Bytes {
    match rng.random_range(0..20) {
        0 => Vec::new(),
        1 => vec![0, 255, b'\r', b'\n'],
        number => format!("key:{number}").into_bytes(),
    }
}

fn random_value(rng: &mut StdRng) -> Bytes {
    match rng.random_range(0..6) {
        0 => Vec::new(),
        1 => (0..rng.random_range(0..300)).map(|_| rng.random()).collect(),
        2 => vec![b'x'; rng.random_range(0..20_000)],
        3 => i64::MAX.to_string().into_bytes(),
        _ => rng.random_range(-100..100_i64).to_string().into_bytes(),
    }
}

fn random_request(rng: &mut StdRng) -> Vec<Bytes> {
    let (key, other, value) = (random_key(rng), random_key(rng), random_value(rng));
    let number = |rng: &mut StdRng| rng.random_range(-50..50_i64).to_string().into_bytes();
    let word = |text: &str| text.as_bytes().to_vec();
    match rng.random_range(0..22) {
        0..3 => vec![word("GET"), key],
        3 => vec![word("SET"), key, value],
        4 => vec![word("SET"), key, value, word("NX")],
        5 => vec![word("SET"), key, value, word("XX"), word("GET")],
        6 => vec![word("SETNX"), key, value],
        7 => vec![word("GETSET"), key, value],
        8 => vec![word("GETDEL"), key],
        9 => vec![word("DEL"), key, other],
        10 => vec![word("EXISTS"), key.clone(), other, key],
        11 => vec![word("MGET"), key, other],
        12 => vec![word("MSET"), key, value.clone(), other, value],
        13 => vec![word("INCR"), key],
        14 => vec![word("DECR"), key],
        15 => vec![word("INCRBY"), key, number(rng)],
        16 => vec![word("DECRBY"), key, number(rng)],
        17 => vec![word("APPEND"), key, value],
        18 => vec![word("STRLEN"), key],
        19 => vec![word("GETRANGE"), key, number(rng), number(rng)],
        20 => vec![word("TYPE"), key],
        _ => vec![word("DBSIZE")],
    }
}

/// What the host should hold.
#[derive(Default)]
struct Model(BTreeMap<Bytes, Bytes>);

fn bulk(value: Option<&Bytes>) -> String {
    value.map_or_else(|| "nil".to_owned(), |value| format!("\"{}\"", value.escape_ascii()))
}

impl Model {
    /// Carries a request out, and answers as Redis does.
    fn answer(&mut self, request: &[Bytes]) -> String {
        let name = std::str::from_utf8(&request[0]).unwrap();
        let Some(key) = request.get(1) else { return self.0.len().to_string() };
        let second = || request[2].clone();
        let before = self.0.get(key).cloned();
        match name {
            "GET" => bulk(before.as_ref()),
            "SET" => {
                let option = request.get(3).map(Vec::as_slice);
                let allowed = match option {
                    Some(b"NX") => before.is_none(),
                    Some(_) => before.is_some(),
                    None => true,
                };
                if allowed {
                    self.0.insert(key.clone(), second());
                }
                match request.get(4) {
                    Some(_) => bulk(before.as_ref()),
                    None => if allowed { "OK" } else { "nil" }.to_owned(),
                }
            }
            "SETNX" => {
                self.0.entry(key.clone()).or_insert_with(second);
                u8::from(before.is_none()).to_string()
            }
            "GETSET" => bulk(self.0.insert(key.clone(), second()).as_ref()),
            "GETDEL" => bulk(self.0.remove(key).as_ref()),
            "DEL" => request[1..].iter().filter(|key| self.0.remove(*key).is_some()).count().to_string(),
            "EXISTS" => request[1..].iter().filter(|key| self.0.contains_key(*key)).count().to_string(),
            "MGET" => {
                let all: Vec<_> = request[1..].iter().map(|key| bulk(self.0.get(key))).collect();
                format!("[{}]", all.join(" "))
            }
            "MSET" => {
                for pair in request[1..].chunks_exact(2) {
                    self.0.insert(pair[0].clone(), pair[1].clone());
                }
                "OK".to_owned()
            }
            "INCR" => self.add(key, 1),
            "DECR" => self.add(key, -1),
            "INCRBY" => self.add(key, number(&request[2])),
            "DECRBY" => self.add(key, -number(&request[2])),
            "APPEND" => {
                let value = self.0.entry(key.clone()).or_default();
                value.extend_from_slice(&request[2]);
                value.len().to_string()
            }
            "STRLEN" => before.map_or(0, |value| value.len()).to_string(),
            "GETRANGE" => bulk(Some(&range(&before.unwrap_or_default(), &request[2..]))),
            "TYPE" => before.map_or("none", |_| "string").to_owned(),
            other => panic!("the model knows no {other}"),
        }
    }

    fn add(&mut self, key: &Bytes, by: i64) -> String {
        let text = self.0.get(key).map_or("0", |value| std::str::from_utf8(value).unwrap_or_default());
        // Redis takes numbers only as it writes them.
        let Some(now) = text.parse::<i64>().ok().filter(|number| number.to_string() == text) else {
            return "!ERR value is not an integer or out of range".to_owned();
        };
        let Some(sum) = now.checked_add(by) else {
            return "!ERR increment or decrement would overflow".to_owned();
        };
        self.0.insert(key.clone(), sum.to_string().into_bytes());
        sum.to_string()
    }
}

fn number(text: &[u8]) -> i64 {
    std::str::from_utf8(text).unwrap().parse().unwrap()
}

/// Both ends count from the value's end when they are below 0, and belong to the range.
fn range(value: &[u8], ends: &[Bytes]) -> Bytes {
    let len = i64::try_from(value.len()).unwrap();
    let from_start = |end: i64| if end < 0 { (len + end).max(0) } else { end };
    let (start, end) = (number(&ends[0]), number(&ends[1]));
    if start < 0 && end < 0 && start > end {
        return Bytes::new();
    }
    let (start, end) = (from_start(start), from_start(end).min(len - 1));
    if start > end { Bytes::new() } else { value[start as usize..=end as usize].to_vec() }
}
