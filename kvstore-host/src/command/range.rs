//! GETRANGE, SUBSTR and SETRANGE: a part of a value.

use std::ops::Range;

use plugin_abi::sdk::{Decision, Entry};

use super::{Context, Error, ReplyFn};
use crate::plugin::{Plan, Update};
use crate::protocol::{Request, Value, parse_i64};
use crate::pubsub::Event;

pub(super) fn getrange<'a>(
    plan: &mut Plan<'a>,
    request: Request<'a>,
    _: &Context<'_>,
) -> Result<ReplyFn, Error> {
    let position = |arg| parse_i64(request.get(arg).unwrap_or_default()).ok_or(Error::NOT_AN_INTEGER);
    let (start, end) = (position(2)?, position(3)?);
    plan.get(request.get(1).unwrap_or_default());
    Ok(ReplyFn::new(move |answers, reply| {
        let value = answers.value(0).unwrap_or_default();
        reply.bulk(value.get(part(start, end, value.len())).unwrap_or_default());
    }))
}

/// The bytes from `start` to `end`, both included; negative ones count from the end of `len` bytes.
fn part(start: i64, end: i64, len: usize) -> Range<usize> {
    let position = |at: i64| match usize::try_from(at) {
        Ok(at) => at,
        Err(_) => len.saturating_sub(usize::try_from(at.unsigned_abs()).unwrap_or(usize::MAX)),
    };
    // Counted from the end in the wrong order they select nothing, even where both would be cut to the first byte.
    if start < 0 && end < 0 && start > end {
        return 0..0;
    }
    let (start, end) = (position(start), position(end).saturating_add(1).min(len));
    start.min(end)..end
}

pub(super) fn setrange<'a>(
    plan: &mut Plan<'a>,
    request: Request<'a>,
    context: &Context<'_>,
) -> Result<ReplyFn, Error> {
    let offset = parse_i64(request.get(2).unwrap_or_default()).ok_or(Error::NOT_AN_INTEGER)?;
    let offset = usize::try_from(offset).map_err(|_| Error::new("ERR offset is out of range"))?;
    let bytes = request.get(3).unwrap_or_default();
    let value_len_max = context.value_len_max;
    plan.update(request.get(1).unwrap_or_default(), Overwrite { offset, bytes, value_len_max });
    Ok(ReplyFn::Updated)
}

struct Overwrite<'a> {
    offset: usize,
    bytes: &'a [u8],
    value_len_max: usize,
}

impl Update for Overwrite<'_> {
    fn decide(&mut self, current: Option<&Entry<'_>>) -> (Decision<'_>, Value) {
        let len = current.map_or(0, |entry| entry.value.len());
        if self.bytes.is_empty() {
            return (Decision::Keep, Value::Integer(len as i64));
        }
        let end = self.offset.saturating_add(self.bytes.len());
        if end > self.value_len_max {
            return (Decision::Keep, Error::TOO_LONG.into());
        }
        let new_len = len.max(end);
        let patch = Decision::Patch { offset: self.offset, bytes: self.bytes, new_len, type_: 0, flags: 0 };
        (patch, Value::Integer(new_len as i64))
    }

    fn stored(&self) -> &'static [Event] {
        const { &[Event::string("setrange")] }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use crate::command::testing::{Rig, expect};

    #[test]
    fn getrange_as_redis() {
        expect(&[
            ("SET k \"Hello World\"", "+OK"),
            ("GETRANGE k 0 4", "$5 Hello"),
            ("GETRANGE k -5 -1", "$5 World"),
            ("GETRANGE k 0 -1", "$11 Hello World"),
            ("GETRANGE k 5 100", "$6  World"),
            ("GETRANGE k 5 4", "$0"),
            ("GETRANGE k 100 200", "$0"),
            ("GETRANGE k -100 -90", "$1 H"),
            ("GETRANGE k -90 -100", "$0"),
            ("GETRANGE k -100 2", "$3 Hel"),
            ("GETRANGE k 0 -100", "$1 H"),
            ("GETRANGE k 0 -12", "$1 H"),
            ("GETRANGE k 9223372036854775807 9223372036854775807", "$0"),
            ("GETRANGE k -9223372036854775808 9223372036854775807", "$11 Hello World"),
            ("GETRANGE none 0 -1", "$0"),
            ("GETRANGE k x 1", "-ERR value is not an integer or out of range"),
            ("GETRANGE k 0 9223372036854775808", "-ERR value is not an integer or out of range"),
            ("SUBSTR k 0 1", "$2 He"),
            ("SUBSTR k 0", "-ERR wrong number of arguments for 'substr' command"),
        ]);
    }

    #[test]
    fn setrange_as_redis() {
        expect(&[
            ("SETRANGE k 3 ab", ":5"),
            ("GET k", "$5 \0\0\0ab"),
            ("SETRANGE k 0 xyz", ":5"),
            ("GET k", "$5 xyzab"),
            ("SETRANGE k 4 BCD", ":7"),
            ("SETRANGE k 100 \"\"", ":7"),
            ("SETRANGE none 100 \"\"", ":0"),
            ("EXISTS none", ":0"),
            ("SETRANGE k -1 x", "-ERR offset is out of range"),
            ("SETRANGE k x x", "-ERR value is not an integer or out of range"),
            ("SETRANGE k 536870912 x", "-ERR string exceeds maximum allowed size (proto-max-bulk-len)"),
            ("SETRANGE k 2147483648 x", "-ERR string exceeds maximum allowed size (proto-max-bulk-len)"),
            ("SETRANGE k 4294967295 x", "-ERR string exceeds maximum allowed size (proto-max-bulk-len)"),
            (
                "SETRANGE k 9223372036854775807 x",
                "-ERR string exceeds maximum allowed size (proto-max-bulk-len)",
            ),
            ("SETRANGE k 9223372036854775808 x", "-ERR value is not an integer or out of range"),
            ("SET t v PX 100000", "+OK"),
            ("SETRANGE t 1 w", ":2"),
            ("TTL t", ":100"),
        ]);
    }

    #[test]
    fn the_longest_value_is_the_last_that_fits() {
        let mut rig = Rig::new();
        rig.server.settings.value_len_max.store(4, Ordering::Relaxed);
        rig.expect(&[
            ("SETRANGE k 3 x", ":4"),
            ("SETRANGE k 4 x", "-ERR string exceeds maximum allowed size (proto-max-bulk-len)"),
            ("STRLEN k", ":4"),
        ]);
    }
}
