//! The store of the test server, and what one connection does to it.

use super::{Words, glob};
use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

struct Entry {
    value: Vec<u8>,
    /// In milliseconds since 1970.
    expiry: Option<i64>,
    version: u64,
}

#[derive(Default)]
pub(crate) struct Store {
    entries: BTreeMap<Vec<u8>, Entry>,
    version: u64,
}

/// What one connection holds.
#[derive(Default)]
pub(super) struct Session {
    resp3: bool,
    queue: Option<Vec<Words>>,
    refused: bool,
    watched: Vec<(Vec<u8>, Option<u64>)>,
}

impl Store {
    pub(crate) fn len(&mut self) -> usize {
        let now = now_ms();
        self.entries.retain(|_, entry| entry.expiry.is_none_or(|expiry| expiry > now));
        self.entries.len()
    }

    pub(crate) fn value(&mut self, key: &[u8]) -> Option<Vec<u8>> {
        self.entry(key).map(|entry| entry.value.clone())
    }

    pub(crate) fn put(&mut self, key: &[u8], value: Vec<u8>, expiry: Option<i64>) {
        self.version += 1;
        self.entries.insert(key.to_vec(), Entry { value, expiry, version: self.version });
    }

    fn entry(&mut self, key: &[u8]) -> Option<&mut Entry> {
        let now = now_ms();
        if self.entries.get(key).is_some_and(|entry| entry.expiry.is_some_and(|expiry| expiry <= now)) {
            self.entries.remove(key);
        }
        self.entries.get_mut(key)
    }

    fn version(&mut self, key: &[u8]) -> Option<u64> {
        self.entry(key).map(|entry| entry.version)
    }
}

impl Session {
    pub(super) fn answer(&mut self, words: &[Vec<u8>], store: &mut Store, out: &mut Vec<u8>) {
        let name = words.first().map(|word| word.to_ascii_uppercase()).unwrap_or_default();
        let name = String::from_utf8_lossy(&name).into_owned();
        match (name.as_str(), &mut self.queue) {
            ("EXEC", None) => error("ERR EXEC without MULTI", out),
            ("EXEC", queue) => {
                let queue = queue.take().unwrap();
                let unchanged = self.watched.drain(..).all(|(key, version)| store.version(&key) == version);
                if std::mem::take(&mut self.refused) {
                    error("EXECABORT Transaction discarded because of previous errors.", out);
                } else if unchanged {
                    header('*', queue.len(), out);
                    queue.iter().for_each(|words| self.answer(words, store, out));
                } else {
                    self.nil(out);
                }
            }
            ("DISCARD", queue) => {
                *queue = None;
                ok(out);
            }
            (_, Some(queue)) if is_arity_right(&name, words.len()) => {
                queue.push(words.to_vec());
                simple("QUEUED", out);
            }
            (_, queue) if !is_arity_right(&name, words.len()) => {
                self.refused = queue.is_some();
                error(&format!("ERR wrong number of arguments for '{}' command", name.to_lowercase()), out);
            }
            _ => self.carry_out(&name, words, store, out),
        }
    }

    fn carry_out(&mut self, name: &str, words: &[Vec<u8>], store: &mut Store, out: &mut Vec<u8>) {
        let arguments = words.get(1..).unwrap_or_default();
        let key = arguments.first().map(Vec::as_slice).unwrap_or_default();
        let second = arguments.get(1).map(Vec::as_slice).unwrap_or_default();
        match name {
            "HELLO" => {
                self.resp3 = key == b"3";
                header(if self.resp3 { '%' } else { '*' }, if self.resp3 { 1 } else { 2 }, out);
                bulk(b"proto", out);
                integer(if self.resp3 { 3 } else { 2 }, out);
            }
            "PING" if arguments.is_empty() => simple("PONG", out),
            "PING" | "ECHO" => bulk(key, out),
            "INFO" => bulk(b"# Server\r\nname:fake\r\n", out),
            "ENGINE" => bulk(&words.join(&b' '), out),
            "MULTI" => {
                self.queue = Some(Vec::new());
                ok(out);
            }
            "WATCH" => {
                self.watched.push((key.to_vec(), store.version(key)));
                ok(out);
            }
            "GET" => self.optional(store.value(key), out),
            "SET" => self.set(key, second, &arguments[2..], store, out),
            "MSET" => {
                arguments.chunks(2).for_each(|pair| store.put(&pair[0], pair[1].clone(), None));
                ok(out);
            }
            "MGET" => {
                header('*', arguments.len(), out);
                arguments.iter().for_each(|key| self.optional(store.value(key), out));
            }
            "DEL" => integer(
                arguments.iter().filter(|key| store.entries.remove(*key).is_some()).count() as i64,
                out,
            ),
            "EXISTS" => {
                integer(arguments.iter().filter(|key| store.entry(key).is_some()).count() as i64, out)
            }
            "STRLEN" => integer(store.value(key).map_or(0, |value| value.len() as i64), out),
            "TYPE" => simple(if store.entry(key).is_some() { "string" } else { "none" }, out),
            "APPEND" => {
                let value = [&store.value(key).unwrap_or_default(), second].concat();
                integer(value.len() as i64, out);
                store.put(key, value, None);
            }
            "INCR" => add(key, 1, store, out),
            "DECR" => add(key, -1, store, out),
            "INCRBY" => add(key, number(second), store, out),
            "DECRBY" => add(key, -number(second), store, out),
            "DBSIZE" => integer(store.len() as i64, out),
            "FLUSHALL" => {
                store.entries.clear();
                ok(out);
            }
            "KEYS" => keys(key, store, out),
            "SCAN" => {
                header('*', 2, out);
                bulk(b"0", out);
                let pattern = arguments.iter().position(|word| word == b"MATCH").map(|at| &arguments[at + 1]);
                keys(pattern.map_or(b"*", Vec::as_slice), store, out);
            }
            "TTL" => integer(milliseconds(key, store).map_or_else(|none| none, |ms| (ms + 500) / 1_000), out),
            "PEXPIRETIME" => {
                let entry = store.entry(key);
                integer(entry.map_or(-2, |entry| entry.expiry.unwrap_or(-1)), out);
            }
            "PTTL" => integer(milliseconds(key, store).unwrap_or_else(|none| none), out),
            "EXPIRE" | "PEXPIRE" => {
                let unit = if name == "EXPIRE" { 1_000 } else { 1 };
                let entry = store.entry(key);
                integer(i64::from(entry.is_some()), out);
                if let Some(entry) = entry {
                    entry.expiry = Some(after(number(second) * unit));
                }
            }
            "PERSIST" => {
                let expiry = store.entry(key).and_then(|entry| entry.expiry.take());
                integer(i64::from(expiry.is_some()), out);
            }
            _ => error(&format!("ERR unknown command '{name}', with args beginning with: "), out),
        }
    }

    fn set(&self, key: &[u8], value: &[u8], options: &[Vec<u8>], store: &mut Store, out: &mut Vec<u8>) {
        let at = |name: &str| options.iter().position(|option| option.eq_ignore_ascii_case(name.as_bytes()));
        let has = |name: &str| at(name).is_some();
        if has("NX") && has("XX") {
            return error("ERR syntax error", out);
        }
        let old = store.value(key);
        if (has("NX") && old.is_some()) || (has("XX") && old.is_none()) {
            return self.nil(out);
        }
        let expiry = match (at("EX"), at("PX"), at("PXAT")) {
            (Some(at), ..) => Some(after(number(&options[at + 1]) * 1_000)),
            (_, Some(at), _) => Some(after(number(&options[at + 1]))),
            (.., Some(at)) => Some(number(&options[at + 1])),
            _ if has("KEEPTTL") => store.entry(key).and_then(|entry| entry.expiry),
            _ => None,
        };
        store.put(key, value.to_vec(), expiry);
        if has("GET") { self.optional(old, out) } else { ok(out) }
    }

    fn optional(&self, value: Option<Vec<u8>>, out: &mut Vec<u8>) {
        match value {
            Some(value) => bulk(&value, out),
            None => self.nil(out),
        }
    }

    fn nil(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(if self.resp3 { b"_\r\n" } else { b"$-1\r\n" });
    }
}

/// The words of an inline line, with double quotes and `\xHH`.
pub(super) fn inline_words(line: &[u8]) -> Words {
    let text = std::str::from_utf8(line).unwrap().trim_end();
    let mut words = Words::new();
    for (at, part) in text.split('"').enumerate() {
        if at % 2 == 0 {
            words.extend(part.split_whitespace().map(|word| word.as_bytes().to_vec()));
        } else {
            words.push(part.replace("\\x00", "\0").into_bytes());
        }
    }
    words
}

fn is_arity_right(name: &str, words: usize) -> bool {
    match name {
        "GET" | "INCR" | "DECR" | "STRLEN" | "TTL" | "PTTL" | "PERSIST" | "TYPE" | "KEYS" => words == 2,
        "APPEND" | "INCRBY" | "DECRBY" => words == 3,
        "SET" => words >= 3,
        "MSET" => words >= 3 && words % 2 == 1,
        _ => true,
    }
}

fn add(key: &[u8], by: i64, store: &mut Store, out: &mut Vec<u8>) {
    let old = store.value(key).unwrap_or_else(|| b"0".to_vec());
    let Some(old) = std::str::from_utf8(&old).ok().and_then(|text| text.parse::<i64>().ok()) else {
        return error("ERR value is not an integer or out of range", out);
    };
    let Some(sum) = old.checked_add(by) else {
        return error("ERR increment or decrement would overflow", out);
    };
    store.put(key, sum.to_string().into_bytes(), None);
    integer(sum, out);
}

fn keys(pattern: &[u8], store: &mut Store, out: &mut Vec<u8>) {
    let keys: Vec<_> = store.entries.keys().filter(|key| glob::matches(pattern, key)).collect();
    header('*', keys.len(), out);
    keys.into_iter().for_each(|key| bulk(key, out));
}

fn milliseconds(key: &[u8], store: &mut Store) -> Result<i64, i64> {
    let expiry = store.entry(key).ok_or(-2)?.expiry.ok_or(-1)?;
    Ok(expiry - now_ms())
}

fn after(milliseconds: i64) -> i64 {
    now_ms() + milliseconds
}

fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64
}

fn number(text: &[u8]) -> i64 {
    std::str::from_utf8(text).unwrap().parse().unwrap()
}

fn header(kind: char, len: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(format!("{kind}{len}\r\n").as_bytes());
}

fn bulk(bytes: &[u8], out: &mut Vec<u8>) {
    header('$', bytes.len(), out);
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
}

fn integer(number: i64, out: &mut Vec<u8>) {
    out.extend_from_slice(format!(":{number}\r\n").as_bytes());
}

fn simple(text: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(format!("+{text}\r\n").as_bytes());
}

fn error(text: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(format!("-{text}\r\n").as_bytes());
}

fn ok(out: &mut Vec<u8>) {
    simple("OK", out);
}
