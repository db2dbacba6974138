//! PERSIST: a key is to expire no more.

use plugin_abi::sdk::{Decision, Entry};

use super::{Context, Error, ReplyFn};
use crate::plugin::{Plan, Update};
use crate::protocol::{Request, Value};

pub(super) fn persist<'a>(
    plan: &mut Plan<'a>,
    request: Request<'a>,
    _: &Context<'_>,
) -> Result<ReplyFn, Error> {
    plan.update(request.get(1).unwrap_or_default(), Persist);
    Ok(ReplyFn::Updated)
}

struct Persist;

impl Update for Persist {
    fn decide(&mut self, current: Option<&Entry<'_>>) -> (Decision<'_>, Value) {
        match current {
            Some(entry) if entry.expiry_ms != 0 => (Decision::SetExpiry(0), Value::Integer(1)),
            _ => (Decision::Keep, Value::Integer(0)),
        }
    }
}
