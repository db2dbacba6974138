//! GETRANGE, SUBSTR and SETRANGE: a part of a value.

use std::ops::Range;

use plugin_abi::sdk::{Decision, Entry};

use super::{Context, Error, ReplyFn, updated};
use crate::plugin::{Plan, Update};
use crate::protocol::{Request, Value, parse_i64};

pub(super) fn getrange<'a>(
    plan: &mut Plan<'a>,
    request: Request<'a>,
    _: &Context<'_>,
) -> Result<ReplyFn, Error> {
    let position = |arg| parse_i64(request.get(arg).unwrap_or_default()).ok_or(Error::NOT_AN_INTEGER);
    let (start, end) = (position(2)?, position(3)?);
    plan.get(request.get(1).unwrap_or_default());
    Ok(Box::new(move |answers, reply| {
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
    Ok(Box::new(updated))
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
}
