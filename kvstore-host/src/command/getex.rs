//! GETEX: the value of a key, and a change of its expiry.

use plugin_abi::sdk::{Decision, Entry};

use super::expiry::{self, Expiry, Unit};
use super::get::{self, value_of};
use super::{Context, Error, ReplyFn, updated};
use crate::plugin::{Plan, Update};
use crate::protocol::{Request, Value};

pub(super) fn getex<'a>(
    plan: &mut Plan<'a>,
    request: Request<'a>,
    context: &Context<'_>,
) -> Result<ReplyFn, Error> {
    let mut persist = false;
    let mut time = None;
    let mut options = request.skip(2).iter();
    while let Some(option) = options.next() {
        if option.eq_ignore_ascii_case(b"PERSIST") && time.is_none() {
            persist = true;
        } else if let Some(unit) = Unit::of_option(option)
            && let Some(text) = options.next()
            && !persist
            && time.is_none_or(|(given, _)| given == unit)
        {
            time = Some((unit, text));
        } else {
            return Err(Error::SYNTAX);
        }
    }
    let key = request.get(1).unwrap_or_default();
    let expiry = match time {
        None if !persist => return get::get(plan, request, context),
        None => Ok(Expiry::Never),
        // Redis looks for the key first: without one, a wrong time goes unnoticed.
        Some((unit, text)) => {
            expiry::parse(unit, text, context.now_ms, "getex").and_then(|at_ms| Expiry::at(at_ms, context))
        }
    };
    plan.update(key, GetEx(expiry));
    Ok(Box::new(updated))
}

struct GetEx(Result<Expiry, Error>);

impl Update for GetEx {
    fn decide(&mut self, current: Option<&Entry<'_>>) -> (Decision<'_>, Value) {
        let Some(entry) = current else { return (Decision::Keep, Value::Null) };
        let decision = match &self.0 {
            Err(error) => return (Decision::Keep, error.clone().into()),
            Ok(Expiry::At(at_ms)) => Decision::SetExpiry(*at_ms),
            Ok(Expiry::Past) => Decision::Remove,
            Ok(Expiry::Never) if entry.expiry_ms != 0 => Decision::SetExpiry(0),
            Ok(Expiry::Never | Expiry::Kept) => Decision::Keep,
        };
        (decision, value_of(current))
    }
}
