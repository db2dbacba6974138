//! SCAN: all keys, a part at a time.

use super::keys::Matching;
use super::{Error, KeyspaceTask};
use crate::plugin::Keyspace;
use crate::protocol::{Request, Value, parse_i64};
use crate::server::Server;

/// Keys that one call looks at where no COUNT is given.
const COUNT: u32 = 10;
/// Keys that one call looks at at most: a larger COUNT would stall others, and clients go on by the cursor anyway.
const COUNT_MAX: u32 = 100_000;
/// Times that one call asks the engine, which may answer with fewer keys than it was asked for.
const STEPS_MAX: u32 = 10;

struct Scan {
    cursor: u64,
    count: u32,
    pattern: Option<Vec<u8>>,
    /// Whether keys of strings are asked for, which all are.
    strings: bool,
}

pub(super) fn scan(request: Request<'_>) -> Result<Box<dyn KeyspaceTask>, Error> {
    let cursor = parse_cursor(request.get(1).unwrap_or_default()).ok_or(Error::new("ERR invalid cursor"))?;
    let mut scan = Scan { cursor, count: COUNT, pattern: None, strings: true };
    let mut options = request.skip(2).iter();
    while let Some(option) = options.next() {
        let value = options.next().ok_or(Error::SYNTAX)?;
        if option.eq_ignore_ascii_case(b"COUNT") {
            let count = parse_i64(value).ok_or(Error::NOT_AN_INTEGER)?;
            if count < 1 {
                return Err(Error::SYNTAX);
            }
            scan.count = u32::try_from(count).unwrap_or(COUNT_MAX).min(COUNT_MAX);
        } else if option.eq_ignore_ascii_case(b"MATCH") {
            scan.pattern = Some(value.to_vec());
        } else if option.eq_ignore_ascii_case(b"TYPE") {
            scan.strings = value.eq_ignore_ascii_case(b"string");
        } else {
            return Err(Error::SYNTAX);
        }
    }
    Ok(Box::new(scan))
}

/// Reads a number as C's `strtoul` does, which Redis takes: with a sign, and nothing at all is 0.
fn parse_cursor(text: &[u8]) -> Option<u64> {
    // To Redis it ends at the first zero byte.
    let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
    if text.is_empty() {
        return Some(0);
    }
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    Some(if negative { number.wrapping_neg() } else { number })
}

impl KeyspaceTask for Scan {
    fn run(&self, keyspace: &dyn Keyspace, server: &Server) -> Value {
        if !self.strings {
            return answer(0, Vec::new());
        }
        let generation = keyspace.generation();
        let mut cursor = server.cursors.cursor(generation, self.cursor);
        let mut matching = self.pattern.as_deref().map(Matching::new);
        let (mut keys, mut seen, mut failure) = (Vec::new(), 0, None);
        for _ in 0..STEPS_MAX {
            let step = keyspace.scan(&mut cursor, self.count - seen, &mut |key| {
                seen += 1;
                match matching.as_mut().map_or(Ok(true), |matching| matching.take(key)) {
                    Ok(true) => keys.push(Value::Bulk(key.to_vec())),
                    Ok(false) => {}
                    Err(error) => failure = Some(error),
                }
            });
            if let Err(error) = step {
                return Error::from(error).into();
            }
            if let Some(error) = failure {
                return error.into();
            }
            if cursor.is_empty() || seen >= self.count {
                break;
            }
        }
        answer(server.cursors.number(generation, &cursor), keys)
    }
}

fn answer(cursor: u64, keys: Vec<Value>) -> Value {
    Value::Array(vec![Value::text(cursor.to_string()), Value::Array(keys)])
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{COUNT_MAX, parse_cursor};
    use crate::command::testing::{Rig, expect};

    #[test]
    fn as_redis() {
        expect(&[
            ("SCAN 0", "*2 $1 0 *0"),
            ("SET k v", "+OK"),
            ("SCAN 0", "*2 $1 0 *1 $1 k"),
            ("SCAN 0 MATCH *", "*2 $1 0 *1 $1 k"),
            ("SCAN 0 MATCH x*", "*2 $1 0 *0"),
            ("SCAN 0 MATCH K COUNT 5 TYPE string", "*2 $1 0 *0"),
            ("SCAN 0 count 100 match [k] type STRING", "*2 $1 0 *1 $1 k"),
            ("SCAN 0 TYPE list", "*2 $1 0 *0"),
            ("SCAN 0 TYPE nosuch", "*2 $1 0 *0"),
            ("SCAN \"\"", "*2 $1 0 *1 $1 k"),
            ("SCAN +0", "*2 $1 0 *1 $1 k"),
            ("SCAN \"\\x00x\"", "*2 $1 0 *1 $1 k"),
            ("SCAN \"0\\x00x\"", "*2 $1 0 *1 $1 k"),
            ("SCAN \"x\\x00\"", "-ERR invalid cursor"),
            ("SCAN x", "-ERR invalid cursor"),
            ("SCAN 0x", "-ERR invalid cursor"),
            ("SCAN \" 0\"", "-ERR invalid cursor"),
            ("SCAN -", "-ERR invalid cursor"),
            ("SCAN 18446744073709551616", "-ERR invalid cursor"),
            ("SCAN x COUNT 0", "-ERR invalid cursor"),
            ("SCAN 0 COUNT", "-ERR syntax error"),
            ("SCAN 0 COUNT 0", "-ERR syntax error"),
            ("SCAN 0 COUNT -1", "-ERR syntax error"),
            ("SCAN 0 COUNT x", "-ERR value is not an integer or out of range"),
            ("SCAN 0 COUNT 9223372036854775808", "-ERR value is not an integer or out of range"),
            ("SCAN 0 COUNT 9223372036854775807", "*2 $1 0 *1 $1 k"),
            ("SCAN 0 MATCH", "-ERR syntax error"),
            ("SCAN 0 foo x", "-ERR syntax error"),
            ("SCAN", "-ERR wrong number of arguments for 'scan' command"),
        ]);
    }

    #[test]
    fn a_cursor_is_read_as_by_c() {
        assert_eq!(parse_cursor(b"18446744073709551615"), Some(u64::MAX));
        assert_eq!(parse_cursor(b"-1"), Some(u64::MAX));
        assert_eq!(parse_cursor(b"007"), Some(7));
        assert_eq!(parse_cursor(b"7 "), None);
        assert_eq!(parse_cursor(b"+-7"), None);
    }

    /// The cursor and the keys of a reply.
    fn page(rig: &mut Rig, line: &str) -> (String, Vec<String>) {
        let reply = rig.run(line);
        let words: Vec<&str> = reply.split(' ').collect();
        assert_eq!(words[0], "*2", "{reply}");
        (
            words[2].to_owned(),
            words[5.min(words.len())..].iter().step_by(2).map(|&key| key.to_owned()).collect(),
        )
    }

    #[test]
    fn a_whole_scan_finds_each_key_with_cursors_in_the_number_and_in_the_table() {
        for width in [3, 9] {
            let mut rig = Rig::new();
            let keys: BTreeSet<String> = (0..100).map(|number| format!("{number:0width$}")).collect();
            keys.iter().for_each(|key| assert_eq!(rig.run(&format!("SET {key} v")), "+OK"));
            let (mut found, mut cursor, mut pages) = (BTreeSet::new(), "0".to_owned(), 0);
            loop {
                let (next, keys) = page(&mut rig, &format!("SCAN {cursor} COUNT 7"));
                found.extend(keys);
                pages += 1;
                cursor = next;
                if cursor == "0" {
                    break;
                }
            }
            assert_eq!((found, pages), (keys, 15));
        }
    }

    #[test]
    fn one_call_does_bounded_work() {
        let mut rig = Rig::new();
        rig.map.scan_len_max = 1;
        (0..50).for_each(|number| assert_eq!(rig.run(&format!("SET k{number} v")), "+OK"));
        let (cursor, keys) = page(&mut rig, "SCAN 0 COUNT 1000000");
        assert_eq!((cursor != "0", keys.len()), (true, 10));
        let (cursor, keys) = page(&mut rig, "SCAN 0 COUNT 3 MATCH none");
        assert_eq!((cursor != "0", keys.len()), (true, 0));
        rig.map.scan_len_max = usize::MAX;
        let many = 0..COUNT_MAX + 1;
        rig.map
            .entries
            .lock()
            .unwrap()
            .extend(many.map(|number| (number.to_be_bytes().to_vec(), (Vec::new(), 0))));
        let (cursor, _) = page(&mut rig, "SCAN 0 COUNT 4294967295 MATCH none");
        assert_ne!(cursor, "0");
    }

    #[test]
    fn a_cursor_of_another_generation_or_of_nobody_starts_over() {
        let mut rig = Rig::new();
        (0..9).for_each(|number| assert_eq!(rig.run(&format!("SET k{number} v")), "+OK"));
        let (cursor, _) = page(&mut rig, "SCAN 0 COUNT 3");
        assert_eq!(page(&mut rig, &format!("SCAN {cursor} COUNT 1")).1, ["k3"]);
        rig.map.generation += 1;
        assert_eq!(page(&mut rig, &format!("SCAN {cursor} COUNT 1")).1, ["k0"]);
        for unknown in ["1", "16385", "9223372036854775807", "18446744073709551615"] {
            assert_eq!(page(&mut rig, &format!("SCAN {unknown} COUNT 1")).1, ["k0"]);
        }
    }
}
