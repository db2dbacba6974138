//! SETBIT, GETBIT and BITCOUNT: a value as a row of bits, the first one the highest of its byte.

use plugin_abi::Status;
use plugin_abi::sdk::{Decision, Entry};

use super::{Answers, Context, Error, ReplyFn};
use crate::plugin::{Plan, Update};
use crate::protocol::{Reply, Request, Value, parse_i64};
use crate::pubsub::Event;

/// Where a bit is: its byte, and what it is worth in it.
#[derive(Clone, Copy)]
struct Place {
    byte: usize,
    mask: u8,
}

impl Place {
    fn parse(offset: &[u8], context: &Context<'_>) -> Result<Self, Error> {
        let offset = parse_i64(offset).and_then(|offset| u64::try_from(offset).ok());
        let byte = offset.and_then(|offset| usize::try_from(offset / 8).ok());
        match (offset, byte.filter(|byte| *byte < context.value_len_max)) {
            (Some(offset), Some(byte)) => Ok(Self { byte, mask: 0x80 >> (offset % 8) }),
            _ => Err(Error::new("ERR bit offset is not an integer or out of range")),
        }
    }

    /// The byte in a value; beyond its end all bits are 0.
    fn byte_of(self, value: &[u8]) -> u8 {
        value.get(self.byte).copied().unwrap_or(0)
    }
}

pub(super) fn getbit<'a>(
    plan: &mut Plan<'a>,
    request: Request<'a>,
    context: &Context<'_>,
) -> Result<ReplyFn, Error> {
    let place = Place::parse(request.get(2).unwrap_or_default(), context)?;
    plan.get(request.get(1).unwrap_or_default());
    Ok(ReplyFn::new(move |answers, reply| {
        let byte = place.byte_of(answers.value(0).unwrap_or_default());
        reply.integer((byte & place.mask != 0).into());
    }))
}

pub(super) fn setbit<'a>(
    plan: &mut Plan<'a>,
    request: Request<'a>,
    context: &Context<'_>,
) -> Result<ReplyFn, Error> {
    let place = Place::parse(request.get(2).unwrap_or_default(), context)?;
    let on = match parse_i64(request.get(3).unwrap_or_default()) {
        Some(bit @ (0 | 1)) => bit == 1,
        _ => return Err(Error::new("ERR bit is not an integer or out of range")),
    };
    plan.update(request.get(1).unwrap_or_default(), SetBit { place, on, byte: [0] });
    Ok(ReplyFn::Updated)
}

struct SetBit {
    place: Place,
    on: bool,
    byte: [u8; 1],
}

impl Update for SetBit {
    fn decide(&mut self, current: Option<&Entry<'_>>) -> (Decision<'_>, Value) {
        let value = current.map_or(&b""[..], |entry| entry.value);
        let Place { byte: offset, mask } = self.place;
        let old = self.place.byte_of(value);
        let was_on = old & mask != 0;
        let answer = Value::Integer(was_on.into());
        // As in Redis, it is no change if the bit is what it was, unless the value grows.
        if was_on == self.on && offset < value.len() {
            return (Decision::Keep, answer);
        }
        self.byte = [if self.on { old | mask } else { old & !mask }];
        let new_len = value.len().max(offset + 1);
        (Decision::Patch { offset, bytes: &self.byte, new_len, type_: 0, flags: 0 }, answer)
    }

    fn stored(&self) -> &'static [Event] {
        const { &[Event::string("setbit")] }
    }
}

/// In what a part of a value is counted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unit {
    Bytes,
    Bits,
}

/// What BITCOUNT is to count.
enum Part {
    All,
    /// From the first to the last, both included; negative ones count from the end.
    Between(i64, i64, Unit),
    Nothing,
}

impl Part {
    fn parse(request: Request<'_>) -> Result<Self, Error> {
        if !matches!(request.len(), 2 | 4 | 5) {
            return Err(Error::SYNTAX);
        }
        let (Some(start), Some(end)) = (request.get(2), request.get(3)) else { return Ok(Self::All) };
        let start = parse_i64(start).ok_or(Error::NOT_AN_INTEGER)?;
        let end = parse_i64(end).ok_or(Error::NOT_AN_INTEGER)?;
        // Before it looks at the unit, as Redis does.
        if start < 0 && end < 0 && start > end {
            return Ok(Self::Nothing);
        }
        match request.get(4) {
            None => Ok(Self::Between(start, end, Unit::Bytes)),
            Some(unit) if unit.eq_ignore_ascii_case(b"BYTE") => Ok(Self::Between(start, end, Unit::Bytes)),
            Some(unit) if unit.eq_ignore_ascii_case(b"BIT") => Ok(Self::Between(start, end, Unit::Bits)),
            Some(_) => Err(Error::SYNTAX),
        }
    }

    fn count(&self, value: &[u8]) -> u64 {
        let &(mut start, mut end, unit) = match self {
            Self::All => return ones(value),
            Self::Nothing => return 0,
            Self::Between(start, end, unit) => &(*start, *end, *unit),
        };
        // No value comes near the 2^60 bytes from which on this would overflow.
        let len = value.len() as i64 * if unit == Unit::Bits { 8 } else { 1 };
        for place in [&mut start, &mut end] {
            if *place < 0 {
                *place = place.saturating_add(len).max(0);
            }
        }
        end = end.min(len - 1);
        if start > end {
            return 0;
        }
        let (start, end) = (start as usize, end as usize);
        if unit == Unit::Bytes {
            return ones(value.get(start..=end).unwrap_or_default());
        }
        let bytes = value.get(start / 8..=end / 8).unwrap_or_default();
        // What stands in the outer bytes before the first bit and behind the last.
        let before = bytes.first().map_or(0, |byte| byte & !(0xff >> (start % 8)));
        let behind = bytes.last().map_or(0, |byte| byte & (0x7f >> (end % 8)));
        ones(bytes) - ones(&[before, behind])
    }
}

/// How many bits are 1.
fn ones(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let words = words.iter().map(|word| u64::from(u64::from_ne_bytes(*word).count_ones())).sum::<u64>();
    words + rest.iter().map(|byte| u64::from(byte.count_ones())).sum::<u64>()
}

pub(super) fn bitcount<'a>(
    plan: &mut Plan<'a>,
    request: Request<'a>,
    _: &Context<'_>,
) -> Result<ReplyFn, Error> {
    let part = Part::parse(request);
    plan.get(request.get(1).unwrap_or_default());
    Ok(ReplyFn::new(move |answers: Answers<'_>, reply: &mut dyn Reply| match &part {
        // Redis looks for the key first: without one, wrong arguments go unnoticed.
        _ if answers.all().iter().all(|outcome| outcome.status == Status::NOT_FOUND) => reply.integer(0),
        Ok(part) => reply.integer(part.count(answers.value(0).unwrap_or_default()) as i64),
        Err(error) => reply.error(&error.0),
    }))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use proptest::prelude::*;

    use super::{Part, Unit};
    use crate::command::testing::{Rig, expect};

    const OFFSET: &str = "-ERR bit offset is not an integer or out of range";
    const BIT: &str = "-ERR bit is not an integer or out of range";

    #[test]
    fn single_bits_as_redis() {
        expect(&[
            ("GETBIT k 0", ":0"),
            ("SETBIT k 7 1", ":0"),
            ("GET k", "$1 \u{1}"),
            ("SETBIT k 7 0", ":1"),
            ("SETBIT k 1 1", ":0"),
            ("SETBIT k 1 1", ":1"),
            ("GET k", "$1 @"),
            ("SETBIT k 23 0", ":0"),
            ("STRLEN k", ":3"),
            ("GETBIT k 1", ":1"),
            ("GETBIT k 2", ":0"),
            ("GETBIT k 1000000", ":0"),
            ("SETBIT new 0 0", ":0"),
            ("STRLEN new", ":1"),
            ("SET t v EX 100", "+OK"),
            ("SETBIT t 7 1", ":0"),
            ("TTL t", ":100"),
            ("GET t", "$1 w"),
            ("SETBIT k -1 1", OFFSET),
            ("SETBIT k x 1", OFFSET),
            ("SETBIT k 4294967296 1", OFFSET),
            ("SETBIT k 9223372036854775807 1", OFFSET),
            ("SETBIT k 9223372036854775808 1", OFFSET),
            ("SETBIT k x x", OFFSET),
            ("SETBIT k 1 2", BIT),
            ("SETBIT k 1 -1", BIT),
            ("SETBIT k 1 x", BIT),
            ("GETBIT k 2147483648", ":0"),
            ("GETBIT k 4294967295", ":0"),
            ("GETBIT k 4294967296", OFFSET),
            ("GETBIT k -1", OFFSET),
            ("GETBIT k", "-ERR wrong number of arguments for 'getbit' command"),
            ("SETBIT k 1", "-ERR wrong number of arguments for 'setbit' command"),
        ]);
    }

    #[test]
    fn the_last_bit_is_in_the_last_byte_that_fits() {
        let mut rig = Rig::new();
        rig.server.settings.value_len_max.store(4, Ordering::Relaxed);
        rig.expect(&[("SETBIT k 31 1", ":0"), ("SETBIT k 32 1", OFFSET), ("STRLEN k", ":4")]);
    }

    #[test]
    fn counts_as_redis() {
        let syntax = "-ERR syntax error";
        let integer = "-ERR value is not an integer or out of range";
        expect(&[
            ("SET k foobar", "+OK"),
            ("BITCOUNT k", ":26"),
            ("BITCOUNT k 0 0", ":4"),
            ("BITCOUNT k 1 1 byte", ":6"),
            ("BITCOUNT k 5 30 BIT", ":17"),
            ("BITCOUNT k 0 -1 bit", ":26"),
            ("BITCOUNT k -100 -90", ":4"),
            ("BITCOUNT k 10 2", ":0"),
            ("BITCOUNT k 9223372036854775807 9223372036854775807", ":0"),
            ("BITCOUNT k -9223372036854775808 9223372036854775807 BIT", ":26"),
            ("BITCOUNT k -9223372036854775808 -9223372036854775808 BIT", ":0"),
            ("BITCOUNT k -1 -2 foo", ":0"),
            ("BITCOUNT k 0", syntax),
            ("BITCOUNT k 0 1 foo", syntax),
            ("BITCOUNT k 0 1 BIT x", syntax),
            ("BITCOUNT k 0 x", integer),
            ("BITCOUNT k x 0 foo", integer),
            ("BITCOUNT k 0 9223372036854775808", integer),
            ("BITCOUNT none", ":0"),
            ("BITCOUNT none 0", ":0"),
            ("BITCOUNT none x y z w", ":0"),
            ("SET k \"\"", "+OK"),
            ("BITCOUNT k", ":0"),
            ("BITCOUNT k 0 -1 BIT", ":0"),
            ("BITCOUNT k 0", syntax),
            ("BITCOUNT", "-ERR wrong number of arguments for 'bitcount' command"),
        ]);
    }

    proptest! {
        #[test]
        fn a_part_is_counted_bit_by_bit(value in proptest::collection::vec(any::<u8>(), 0..40), start in 0..330_usize, end in 0..330_usize) {
            let bit = |at: usize| value.get(at / 8).is_some_and(|byte| byte & (0x80 >> (at % 8)) != 0);
            let between = |unit| Part::Between(start as i64, end as i64, unit).count(&value);
            prop_assert_eq!(between(Unit::Bits), (start..=end).filter(|at| bit(*at)).count() as u64);
            let bits = (start * 8).min(999)..((end + 1) * 8).min(999);
            prop_assert_eq!(between(Unit::Bytes), bits.filter(|at| bit(*at)).count() as u64);
        }
    }
}
