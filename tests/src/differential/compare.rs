//! Compare: replies without what Redis itself leaves open, such as the order of keys.

use super::generate::{ALL, Request};
use super::grammar::{Compared, row_of};
use super::reply::Reply;

/// The reply as it is compared. Errors are never changed.
pub fn normal(request: &Request, reply: &Reply) -> Reply {
    let compared = row_of(request).map_or(Compared::Exactly, |row| row.compared);
    match (compared, reply) {
        (Compared::Unordered, Reply::Many(tag, Some(all))) => {
            let mut all = all.clone();
            all.sort();
            Reply::Many(*tag, Some(all))
        }
        (Compared::Fields, Reply::Many(tag, Some(all))) => {
            let mut pairs: Vec<&[Reply]> = all.chunks(2).collect();
            pairs.sort();
            Reply::Many(*tag, Some(pairs.concat()))
        }
        (Compared::Scan, Reply::Many(tag, Some(all))) if !asks_for_all(request) => {
            Reply::Many(*tag, Some(vec![Reply::Bulk(b'$', None); all.len()]))
        }
        (Compared::Scan, Reply::Many(tag, Some(all))) => {
            let ordered = all.iter().map(|part| match part {
                Reply::Many(tag, Some(keys)) => {
                    let mut keys = keys.clone();
                    keys.sort();
                    // Redis may tell a key twice.
                    keys.dedup();
                    Reply::Many(*tag, Some(keys))
                }
                other => other.clone(),
            });
            Reply::Many(*tag, Some(ordered.collect()))
        }
        (Compared::Shape, reply) => shape(reply),
        (Compared::Kind, Reply::Many(tag, _)) => Reply::Many(*tag, None),
        (Compared::Kind, Reply::Bulk(tag, _)) => Reply::Bulk(*tag, None),
        (Compared::Kind, reply) => shape(reply),
        (_, reply) => reply.clone(),
    }
}

/// Whether SCAN is asked for all keys at once. Which ones come in one of several steps, Redis leaves open, and what a cursor of nobody's
/// leads to.
fn asks_for_all(request: &Request) -> bool {
    let counts = request.iter().filter(|word| word.eq_ignore_ascii_case(b"COUNT")).count();
    let is = |at, text: &str| request.get(at).is_some_and(|word| word == text.as_bytes());
    is(1, "0") && is(3, ALL) && counts == 1
}

fn shape(reply: &Reply) -> Reply {
    match reply {
        Reply::Line(b'-', _) => reply.clone(),
        Reply::Line(tag, _) => Reply::Line(*tag, Vec::new()),
        Reply::Bulk(tag, text) => Reply::Bulk(*tag, text.as_ref().map(|_| Vec::new())),
        Reply::Many(tag, all) => Reply::Many(*tag, all.as_ref().map(|all| all.iter().map(shape).collect())),
    }
}
