//! Update: the engine carries out what the update's function decides.

use super::request::{Move, Request, UNKNOWN_FLAG, shorten};
use super::trial::Trial;
use super::{Check, Stop, ensure, suite};
use crate::Status;
use crate::raw::*;

suite! { "update":
    both shows_the_entry: "The function is shown the entry as a GET would tell it, or NULL where there is none.";
    both keep_changes_nothing: "KEEP leaves the entry, or its absence, as it is.";
    both replace_stores: "REPLACE stores value, expiry, type and flags as given, with or without an entry before.";
    both remove_removes: "REMOVE removes the entry, and is OK where there is none.";
    both patch_writes_in_place: "A patch overwrites, grows with zeroes, or cuts; the rest of the value stays.";
    both patch_keeps_type_and_flags: "A patch leaves type and flags of an entry, and gives them to a new one.";
    both patch_of_long_values: "Appending to a long value many times loses nothing.";
    both decision_follows_the_entry: "The decision that counts is the one made on the entry that it is carried out on.";
    both too_large_changes_nothing: "An update to more than value_len_max is TOO_LARGE, without effect.";
    both unsupported_expiry_changes_nothing: "Without EXPIRY, an update that decides an expiry is UNSUPPORTED, without effect.";
    both unsupported_type_changes_nothing: "Without TYPES, an update that decides a type or flags is UNSUPPORTED, without effect.";
    both broken_decisions_change_nothing: "A decision that breaks its rules, or is unknown, is INVALID, without effect.";
    both bad_requests_are_refused: "An update with an unknown flag is INVALID, in another keyspace UNSUPPORTED, and neither has an effect.";
}

fn shows_the_entry(t: &Trial<'_>) -> Check {
    t.needs_symbol("kv_update")?;
    let request = Request::decided(b"k", Move::Keep);
    t.ask(&request)?.is(Status::OK, "UPDATE of an absent key")?;
    ensure!(request.shown()?.is_none(), "the function was shown an entry where there is none");

    let mut set = Request::set(b"k", b"value");
    if t.has(KV_CAP_EXPIRY) {
        set = set.expiring(t.host.now_ms() + 50);
    }
    let typed = set.clone().typed(1, 2);
    if t.ask(&typed)?.status != Status::OK {
        t.put(&set)?;
    }
    let wanted = t.read(b"k")?;
    let request = Request::decided(b"k", Move::Keep);
    t.ask(&request)?.is(Status::OK, "UPDATE")?;
    let (Some(shown), Some(wanted)) = (request.shown()?, wanted) else {
        return Err(Stop::Failed("the function was shown no entry where there is one".to_owned()));
    };
    ensure!(
        shown.key.is_empty() || shown.key == b"k",
        "the function was shown the key {}",
        shorten(&shown.key)
    );
    shown.holds(b"value", "the value that the function was shown")?;
    let found = (shown.expiry_ms, shown.version, shown.type_, shown.flags);
    let wanted = (wanted.expiry_ms, wanted.version, wanted.type_, wanted.flags);
    ensure!(found == wanted, "expiry, version, type, flags shown: {found:?}, a GET tells {wanted:?}");
    Ok(())
}

fn keep_changes_nothing(t: &Trial<'_>) -> Check {
    decide(t, Move::Keep)?;
    t.finds(b"k", None)?;
    t.store(b"k", b"v")?;
    decide(t, Move::Keep)?;
    t.finds(b"k", Some(b"v"))
}

fn replace_stores(t: &Trial<'_>) -> Check {
    for value in [&b"new"[..], b"", b"longer than what was there"] {
        decide(t, Move::replace(value))?;
        t.finds(b"k", Some(value))?;
    }
    let request =
        Request::decided(b"t", Move::Replace { value: b"v".to_vec(), expiry_ms: 0, type_: 5, flags: 6 });
    let answer = t.ask(&request)?;
    let wanted = if t.has(KV_CAP_TYPES) { Status::OK } else { Status::UNSUPPORTED };
    answer.is(wanted, "REPLACE with type and flags")?;
    if answer.status == Status::OK {
        let found = t.read(b"t")?.map(|it| (it.type_, it.flags));
        ensure!(found == Some((5, 6)), "type and flags: found {found:?}, wanted 5 and 6");
    }
    if t.has(KV_CAP_EXPIRY) {
        let expiry_ms = t.host.now_ms() + 9;
        decide(t, Move::Replace { value: b"v".to_vec(), expiry_ms, type_: 0, flags: 0 })?;
        let found = t.read(b"k")?.map(|it| it.expiry_ms);
        ensure!(found == Some(expiry_ms), "expiry: found {found:?}, wanted {expiry_ms}");
        decide(t, Move::replace(b"v"))?;
        let found = t.read(b"k")?.map(|it| it.expiry_ms);
        ensure!(found == Some(0), "expiry: found {found:?}, wanted 0, as the REPLACE gave none");
    }
    Ok(())
}

fn remove_removes(t: &Trial<'_>) -> Check {
    decide(t, Move::Remove)?;
    t.store(b"k", b"v")?;
    decide(t, Move::Remove)?;
    t.finds(b"k", None)?;
    decide(t, Move::replace(b"again"))?;
    t.finds(b"k", Some(b"again"))
}

fn patch_writes_in_place(t: &Trial<'_>) -> Check {
    let steps: [(u64, &[u8], u64, &[u8]); 9] = [
        (0, b"hello", 5, b"hello"),
        (5, b" world", 11, b"hello world"),
        (6, b"W", 11, b"hello World"),
        (0, b"", 5, b"hello"),
        (8, b"x", 9, b"hello\0\0\0x"),
        (0, b"", 11, b"hello\0\0\0x\0\0"),
        (1, b"E", 3, b"hEl"),
        (0, b"", 0, b""),
        (2, b"z", 4, b"\0\0z\0"),
    ];
    for (offset, bytes, new_len, wanted) in steps {
        decide(t, Move::patch(offset, bytes, new_len))?;
        t.finds(b"k", Some(wanted))?;
    }
    t.remove(b"k")?;
    decide(t, Move::patch(3, b"ab", 6))?;
    t.finds(b"k", Some(b"\0\0\0ab\0"))
}

fn patch_keeps_type_and_flags(t: &Trial<'_>) -> Check {
    t.needs_symbol("kv_update")?;
    t.needs(KV_CAP_TYPES)?;
    t.put(&Request::set(b"k", b"v").typed(3, 4))?;
    let patch = |type_, flags| Move::Patch { offset: 1, bytes: b"w".to_vec(), new_len: 2, type_, flags };
    let has = |wanted| {
        let found = t.read(b"k")?.map(|it| (it.type_, it.flags));
        ensure!(found == Some(wanted), "type and flags: found {found:?}, wanted {wanted:?}");
        Ok(())
    };
    decide(t, patch(8, 9))?;
    has((3, 4))?;
    t.remove(b"k")?;
    decide(t, patch(8, 9))?;
    has((8, 9))
}

fn patch_of_long_values(t: &Trial<'_>) -> Check {
    t.needs_symbol("kv_update")?;
    let mut wanted = Vec::new();
    for i in 0..200_u32 {
        let piece = [(i % 256) as u8; 997];
        if wanted.len() as u64 + piece.len() as u64 > t.subject.identity.value_len_max {
            break;
        }
        wanted.extend_from_slice(&piece);
        // As APPEND does it: the offset is the length that the function is shown.
        let append = Request::update(b"k", move |current| {
            let len = current.map_or(0, |it| it.value_len) as u64;
            Move::patch(len, &piece, len + piece.len() as u64)
        });
        t.ask(&append)?.is(Status::OK, "UPDATE that appends")?;
    }
    t.finds(b"k", Some(&wanted))
}

fn decision_follows_the_entry(t: &Trial<'_>) -> Check {
    t.needs_symbol("kv_update")?;
    for wanted in 1..=50_u64 {
        t.ask(&increment(b"n"))?.is(Status::OK, "UPDATE")?;
        t.finds(b"n", Some(wanted.to_string().as_bytes()))?;
    }
    Ok(())
}

fn too_large_changes_nothing(t: &Trial<'_>) -> Check {
    t.needs_symbol("kv_update")?;
    let limit = t.subject.identity.value_len_max;
    if limit >= 64 << 20 {
        return Err(Stop::Skipped("no limit below 64 MiB".to_owned()));
    }
    t.store(b"k", b"v")?;
    for decision in [Move::replace(&vec![b'x'; limit as usize + 1]), Move::patch(limit, b"x", limit + 1)] {
        t.ask(&Request::decided(b"k", decision))?.is(Status::TOO_LARGE, "UPDATE beyond value_len_max")?;
        t.finds(b"k", Some(b"v"))?;
    }
    Ok(())
}

fn unsupported_expiry_changes_nothing(t: &Trial<'_>) -> Check {
    t.needs_symbol("kv_update")?;
    if t.has(KV_CAP_EXPIRY) {
        return Err(Stop::Skipped("the engine has EXPIRY".to_owned()));
    }
    t.store(b"k", b"v")?;
    let expiry_ms = t.host.now_ms() + 1000;
    let replace = Move::Replace { value: b"new".to_vec(), expiry_ms, type_: 0, flags: 0 };
    for decision in [replace, Move::SetExpiry(expiry_ms)] {
        t.ask(&Request::decided(b"k", decision))?.is(Status::UNSUPPORTED, "UPDATE with an expiry")?;
    }
    t.finds(b"k", Some(b"v"))
}

fn unsupported_type_changes_nothing(t: &Trial<'_>) -> Check {
    t.needs_symbol("kv_update")?;
    if t.has(KV_CAP_TYPES) {
        return Err(Stop::Skipped("the engine has TYPES".to_owned()));
    }
    t.store(b"k", b"v")?;
    for (type_, flags) in [(1, 0), (0, 1)] {
        let replace = Move::Replace { value: b"new".to_vec(), expiry_ms: 0, type_, flags };
        t.ask(&Request::decided(b"k", replace))?.is(Status::UNSUPPORTED, "REPLACE with type or flags")?;
        let patch = Move::Patch { offset: 0, bytes: b"new".to_vec(), new_len: 3, type_, flags };
        t.ask(&Request::decided(b"absent", patch))?
            .is(Status::UNSUPPORTED, "PATCH of an absent entry with type or flags")?;
    }
    t.finds(b"absent", None)?;
    t.finds(b"k", Some(b"v"))
}

fn broken_decisions_change_nothing(t: &Trial<'_>) -> Check {
    t.needs_symbol("kv_update")?;
    t.store(b"k", b"value")?;
    let broken = [
        Move::Unknown,
        Move::patch(3, b"abc", 5),
        Move::patch(6, b"", 5),
        Move::patch(u64::MAX, b"ab", u64::MAX),
    ];
    for decision in broken {
        let what = format!("UPDATE that decides {decision:?}");
        for key in [&b"k"[..], b"absent"] {
            t.ask(&Request::decided(key, decision.clone()))?.is(Status::INVALID, &what)?;
        }
    }
    if t.has(KV_CAP_EXPIRY) {
        let decision = Move::SetExpiry(t.host.now_ms() + 1000);
        t.ask(&Request::decided(b"absent", decision))?.is(Status::INVALID, "SET_EXPIRY of no entry")?;
    }
    t.finds(b"absent", None)?;
    t.finds(b"k", Some(b"value"))
}

fn bad_requests_are_refused(t: &Trial<'_>) -> Check {
    t.needs_symbol("kv_update")?;
    t.store(b"k", b"v")?;
    let request = || Request::decided(b"k", Move::replace(b"new"));
    t.ask(&request().with_flags(UNKNOWN_FLAG))?.is(Status::INVALID, "UPDATE with an unknown flag")?;
    t.ask(&request().in_space(4_000_000_000))?.is(Status::UNSUPPORTED, "UPDATE in another keyspace")?;
    t.ask(&Request { update: None, ..request() })?.is(Status::INVALID, "UPDATE without its function")?;
    t.finds(b"k", Some(b"v"))
}

/// Carries a decision out on the key `k`.
fn decide(t: &Trial<'_>, decision: Move) -> Check {
    t.needs_symbol("kv_update")?;
    let what = format!("UPDATE that decides {decision:?}");
    t.ask(&Request::decided(b"k", decision))?.is(Status::OK, &what)
}

/// Adds one to a decimal number, as INCR does.
pub(super) fn increment(key: &[u8]) -> Request {
    Request::update(key, |current| {
        let number = current.and_then(|it| str::from_utf8(&it.value).ok()?.parse::<u64>().ok()).unwrap_or(0);
        Move::replace((number + 1).to_string().as_bytes())
    })
}
