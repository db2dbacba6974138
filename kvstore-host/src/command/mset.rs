//! MSET: several keys with their values.

use super::{Context, Error, ReplyFn};
use crate::plugin::Plan;
use crate::protocol::Request;

pub(super) fn mset<'a>(plan: &mut Plan<'a>, request: Request<'a>, _: &Context<'_>) -> Result<ReplyFn, Error> {
    if request.len().is_multiple_of(2) {
        return Err(Error::arity("mset"));
    }
    let mut args = request.iter().skip(1);
    while let (Some(key), Some(value)) = (args.next(), args.next()) {
        plan.set(key, value, 0);
    }
    Ok(Box::new(|_, reply| reply.ok()))
}
