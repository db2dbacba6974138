//! MSETNX: several keys with their values, if none of them is there yet.

use plugin_abi::sdk::{Decision, Entry};

use super::link::Taken;
use super::{Context, Error, ReplyFn};
use crate::plugin::{Plan, Update};
use crate::protocol::{Request, Value};

pub(super) fn msetnx<'a>(
    plan: &mut Plan<'a>,
    request: Request<'a>,
    _: &Context<'_>,
) -> Result<ReplyFn, Error> {
    if request.len().is_multiple_of(2) {
        return Err(Error::arity("msetnx"));
    }
    let taken = Taken::default();
    for (place, key) in request.iter().skip(1).step_by(2).enumerate() {
        plan.update(key, taken.look(place == 0));
    }
    let mut args = request.iter().skip(1);
    while let (Some(key), Some(value)) = (args.next(), args.next()) {
        plan.update(key, SetUnless { taken: taken.clone(), value });
    }
    Ok(ReplyFn::Updated)
}

struct SetUnless<'a> {
    taken: Taken,
    value: &'a [u8],
}

impl Update for SetUnless<'_> {
    fn decide(&mut self, _: Option<&Entry<'_>>) -> (Decision<'_>, Value) {
        if self.taken.any() {
            return (Decision::Keep, Value::Integer(0));
        }
        (Decision::Replace(Entry { value: self.value, ..Entry::default() }), Value::Integer(1))
    }

    fn value_len(&self) -> usize {
        self.value.len()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use crate::command::testing::{Rig, expect};

    #[test]
    fn as_redis() {
        expect(&[
            ("MSETNX a 1 b 2", ":1"),
            ("MSETNX c 3 b 4", ":0"),
            ("MSETNX b 4 c 3", ":0"),
            ("MGET a b c", "*3 $1 1 $1 2 $-1"),
            ("MSETNX k 1 k 2 k 3", ":1"),
            ("GET k", "$1 3"),
            ("MSETNX k 4 k 5", ":0"),
            ("GET k", "$1 3"),
            ("MSETNX \"\" \"\"", ":1"),
            ("MSETNX a", "-ERR wrong number of arguments for 'msetnx' command"),
            ("MSETNX x 1 y", "-ERR wrong number of arguments for 'msetnx' command"),
            ("EXISTS x y", ":0"),
        ]);
    }

    #[test]
    fn a_value_beyond_the_limit_is_refused_with_all_others() {
        let mut rig = Rig::new();
        rig.server.settings.value_len_max.store(4, Ordering::Relaxed);
        rig.expect(&[
            ("MSETNX a 1234 b 12345", "-ERR value of 5 bytes is longer than 4 bytes"),
            ("EXISTS a b", ":0"),
            ("MSETNX a 1234 b 1234", ":1"),
        ]);
    }
}
