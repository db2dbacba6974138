//! APPEND: adds to the end of a value.

use plugin_abi::sdk::{Decision, Entry};

use super::{Context, Error, ReplyFn};
use crate::plugin::{Plan, Update};
use crate::protocol::{Request, Value};
use crate::pubsub::Event;

pub(super) fn append<'a>(
    plan: &mut Plan<'a>,
    request: Request<'a>,
    context: &Context<'_>,
) -> Result<ReplyFn, Error> {
    let end = request.get(2).unwrap_or_default();
    let value_len_max = context.value_len_max;
    plan.update(request.get(1).unwrap_or_default(), Append { end, value_len_max });
    Ok(ReplyFn::Updated)
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

    fn stored(&self) -> &'static [Event] {
        const { &[Event::string("append")] }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use crate::command::testing::{Rig, expect};

    #[test]
    fn as_redis() {
        expect(&[
            ("APPEND k ab", ":2"),
            ("APPEND k \"\"", ":2"),
            ("APPEND k \"c\\x00d\"", ":5"),
            ("STRLEN k", ":5"),
            ("APPEND new \"\"", ":0"),
            ("EXISTS new", ":1"),
            ("SET t v EX 100", "+OK"),
            ("APPEND t w", ":2"),
            ("TTL t", ":100"),
            ("GET t", "$2 vw"),
            ("APPEND k", "-ERR wrong number of arguments for 'append' command"),
        ]);
    }

    #[test]
    fn a_value_grows_no_further_than_it_may() {
        let mut rig = Rig::new();
        rig.server.settings.value_len_max.store(4, Ordering::Relaxed);
        rig.expect(&[
            ("APPEND k abcd", ":4"),
            ("APPEND k e", "-ERR string exceeds maximum allowed size (proto-max-bulk-len)"),
            ("GET k", "$4 abcd"),
        ]);
    }
}
