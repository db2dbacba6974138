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
