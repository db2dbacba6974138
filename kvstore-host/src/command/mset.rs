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
    Ok(ReplyFn::Ok)
}

#[cfg(test)]
mod tests {
    use crate::command::testing::expect;

    #[test]
    fn as_redis() {
        expect(&[
            ("SET a 0 EX 100", "+OK"),
            ("MSET a 1 b 2", "+OK"),
            ("TTL a", ":-1"),
            ("MGET a b none a", "*4 $1 1 $1 2 $-1 $1 1"),
            ("MSET k 1 k 2", "+OK"),
            ("GET k", "$1 2"),
            ("MSET a", "-ERR wrong number of arguments for 'mset' command"),
            ("MSET a 1 b", "-ERR wrong number of arguments for 'mset' command"),
            ("MGET", "-ERR wrong number of arguments for 'mget' command"),
        ]);
    }
}
