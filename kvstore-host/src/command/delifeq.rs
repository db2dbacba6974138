//! DELIFEQ: a key is removed if it has a given value; what gives a lock back.

use plugin_abi::sdk::{Decision, Entry};

use super::{Context, Error, ReplyFn};
use crate::plugin::{Plan, Update};
use crate::protocol::{Request, Value};

pub(super) fn delifeq<'a>(
    plan: &mut Plan<'a>,
    request: Request<'a>,
    _: &Context<'_>,
) -> Result<ReplyFn, Error> {
    plan.update(request.get(1).unwrap_or_default(), DelIfEqual(request.get(2).unwrap_or_default()));
    Ok(ReplyFn::Updated)
}

struct DelIfEqual<'a>(&'a [u8]);

impl Update for DelIfEqual<'_> {
    fn decide(&mut self, current: Option<&Entry<'_>>) -> (Decision<'_>, Value) {
        if current.is_some_and(|entry| entry.value == self.0) {
            return (Decision::Remove, Value::Integer(1));
        }
        (Decision::Keep, Value::Integer(0))
    }
}

#[cfg(test)]
mod tests {
    use crate::command::testing::expect;

    /// As Valkey 9.0 has it.
    #[test]
    fn only_the_given_value_is_removed() {
        expect(&[
            ("DELIFEQ k v", ":0"),
            ("DELIFEQ k \"\"", ":0"),
            ("SET k v", "+OK"),
            ("DELIFEQ k V", ":0"),
            ("DELIFEQ k \"\"", ":0"),
            ("DELIFEQ k vv", ":0"),
            ("GET k", "$1 v"),
            ("DELIFEQ k v", ":1"),
            ("EXISTS k", ":0"),
            ("SET k \"\"", "+OK"),
            ("DELIFEQ k \"\"", ":1"),
            ("DELIFEQ k", "-ERR wrong number of arguments for 'delifeq' command"),
            ("DELIFEQ k v v", "-ERR wrong number of arguments for 'delifeq' command"),
        ]);
    }
}
