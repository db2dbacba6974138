//! APPEND: adds to the end of a value.

use plugin_abi::sdk::{Decision, Entry};

use super::{Context, Error, ReplyFn, updated};
use crate::plugin::{Plan, Update};
use crate::protocol::{Request, Value};

pub(super) fn append<'a>(
    plan: &mut Plan<'a>,
    request: Request<'a>,
    context: &Context<'_>,
) -> Result<ReplyFn, Error> {
    let end = request.get(2).unwrap_or_default();
    let value_len_max = context.value_len_max;
    plan.update(request.get(1).unwrap_or_default(), Append { end, value_len_max });
    Ok(Box::new(updated))
}

struct Append<'a> {
    end: &'a [u8],
    value_len_max: usize,
}

impl Update for Append<'_> {
    fn decide(&mut self, current: Option<&Entry<'_>>) -> (Decision<'_>, Value) {
        let offset = current.map_or(0, |entry| entry.value.len());
        let new_len = offset.saturating_add(self.end.len());
        if new_len > self.value_len_max {
            return (Decision::Keep, Error::TOO_LONG.into());
        }
        let patch = Decision::Patch { offset, bytes: self.end, new_len, type_: 0, flags: 0 };
        (patch, Value::Integer(new_len as i64))
    }
}
