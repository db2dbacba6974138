//! LCS: the longest row of bytes that two values have in common, in the same order but not side by side.

mod subsequence;

use super::{Answers, Context, Error, ReplyFn};
use crate::plugin::Plan;
use crate::protocol::{Reply, Request, parse_i64};
use subsequence::{Rows, length};

/// What is asked for.
#[derive(Clone, Copy, Default)]
struct Options {
    len: bool,
    idx: bool,
    with_match_len: bool,
    /// Matches that are shorter are left out.
    min_match_len: usize,
}

impl Options {
    fn parse(request: Request<'_>) -> Result<Self, Error> {
        let mut asked = Self::default();
        let mut options = request.skip(3).iter();
        while let Some(option) = options.next() {
            let is = |name: &[u8]| option.eq_ignore_ascii_case(name);
            if is(b"LEN") {
                asked.len = true;
            } else if is(b"IDX") {
                asked.idx = true;
            } else if is(b"WITHMATCHLEN") {
                asked.with_match_len = true;
            } else if is(b"MINMATCHLEN")
                && let Some(len) = options.next()
            {
                let len = parse_i64(len).ok_or(Error::NOT_AN_INTEGER)?;
                asked.min_match_len = usize::try_from(len).unwrap_or(0);
            } else {
                return Err(Error::SYNTAX);
            }
        }
        if asked.len && asked.idx {
            return Err(Error::new("ERR If you want both the length and indexes, please just use IDX."));
        }
        Ok(asked)
    }
}

pub(super) fn lcs<'a>(
    plan: &mut Plan<'a>,
    request: Request<'a>,
    context: &Context<'_>,
) -> Result<ReplyFn, Error> {
    let options = Options::parse(request)?;
    plan.get(request.get(1).unwrap_or_default());
    plan.get(request.get(2).unwrap_or_default());
    let work_max = context.value_len_max;
    Ok(ReplyFn::new(move |answers: Answers<'_>, reply: &mut dyn Reply| {
        let (one, other) = (answers.value(0).unwrap_or_default(), answers.value(1).unwrap_or_default());
        if let Err(error) = answer(one, other, options, work_max, reply) {
            reply.error(&error.0);
        }
    }))
}

/// Refuses what Redis refuses: it keeps four bytes for each pair of a byte here and a byte there. That bounds the time that is spent, too.
fn check_size(one: &[u8], other: &[u8], work_max: usize) -> Result<(), Error> {
    let too_long = u32::MAX as usize - 1;
    if one.len() >= too_long || other.len() >= too_long {
        return Err(Error::new("ERR String too long for LCS"));
    }
    let pairs = (one.len() as u64 + 1).checked_mul(other.len() as u64 + 1);
    match pairs.and_then(|pairs| pairs.checked_mul(4)) {
        Some(size_bytes) if size_bytes <= work_max as u64 => Ok(()),
        _ => Err(Error::new("ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len")),
    }
}

fn answer(
    one: &[u8],
    other: &[u8],
    options: Options,
    work_max: usize,
    reply: &mut dyn Reply,
) -> Result<(), Error> {
    check_size(one, other, work_max)?;
    let no_memory = Error::new("ERR Insufficient memory, failed allocating transient memory for LCS");
    if options.len {
        reply.integer(length(one, other).ok_or(no_memory)? as i64);
        return Ok(());
    }
    let rows = Rows::new(one, other).ok_or(no_memory)?;
    if !options.idx {
        reply.bulk(&rows.common());
        return Ok(());
    }
    let mut matches = rows.matches();
    let len: usize = matches.iter().map(|found| found.len).sum();
    matches.retain(|found| found.len >= options.min_match_len);
    reply.map(2);
    reply.bulk(b"matches");
    reply.array(matches.len());
    for found in matches {
        reply.array(if options.with_match_len { 3 } else { 2 });
        for start in [found.one, found.other] {
            reply.array(2);
            reply.integer(start as i64);
            reply.integer((start + found.len - 1) as i64);
        }
        if options.with_match_len {
            reply.integer(found.len as i64);
        }
    }
    reply.bulk(b"len");
    reply.integer(len as i64);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use crate::command::testing::{Rig, expect};

    #[test]
    fn as_redis() {
        expect(&[
            ("MSET a ohmytext b mynewtext", "+OK"),
            ("LCS a b", "$6 mytext"),
            ("LCS a b LEN", ":6"),
            ("LCS a b IDX", "*4 $7 matches *2 *2 *2 :4 :7 *2 :5 :8 *2 *2 :2 :3 *2 :0 :1 $3 len :6"),
            ("LCS a b idx minmatchlen 4", "*4 $7 matches *1 *2 *2 :4 :7 *2 :5 :8 $3 len :6"),
            ("LCS a b IDX MINMATCHLEN 4 WITHMATCHLEN", "*4 $7 matches *1 *3 *2 :4 :7 *2 :5 :8 :4 $3 len :6"),
            ("LCS a b IDX MINMATCHLEN 9223372036854775807", "*4 $7 matches *0 $3 len :6"),
            ("LCS a b IDX MINMATCHLEN -1 MINMATCHLEN 5", "*4 $7 matches *0 $3 len :6"),
            ("LCS a b WITHMATCHLEN", "$6 mytext"),
            ("LCS a a", "$8 ohmytext"),
            ("LCS a none", "$0"),
            ("LCS none none IDX", "*4 $7 matches *0 $3 len :0"),
            ("LCS none a LEN", ":0"),
            ("LCS a b LEN IDX", "-ERR If you want both the length and indexes, please just use IDX."),
            ("LCS a b MINMATCHLEN x", "-ERR value is not an integer or out of range"),
            ("LCS a b MINMATCHLEN", "-ERR syntax error"),
            ("LCS a b foo", "-ERR syntax error"),
            ("LCS a", "-ERR wrong number of arguments for 'lcs' command"),
        ]);
        let mut rig = Rig::new();
        rig.run("HELLO 3");
        rig.expect(&[
            ("MSET a x b x", "+OK"),
            ("LCS a b IDX", "%2 $7 matches *1 *2 *2 :0 :0 *2 :0 :0 $3 len :1"),
        ]);
    }

    #[test]
    fn the_work_is_bounded() {
        let mut rig = Rig::new();
        rig.server.settings.value_len_max.store(4 * 11 * 11, Ordering::Relaxed);
        let refused = "-ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len";
        rig.expect(&[
            ("MSET a 0123456789 b 1234567890 c 01234567890", "+OK"),
            ("LCS a b LEN", ":9"),
            ("LCS a c LEN", refused),
            ("LCS c a", refused),
        ]);
    }
}
