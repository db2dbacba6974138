//! Random: an entry chosen at random.

use std::collections::BTreeMap;

use super::request::{Answer, Request, UNKNOWN_FLAG, shorten};
use super::trial::Trial;
use super::{Check, Stop, ensure, suite};
use crate::Status;
use crate::raw::*;

suite! { "random":
    once empty_store_has_no_random_entry: "kv_random of a store without entries is NOT_FOUND.";
    once lends_a_whole_entry: "kv_random lends the entry as a GET tells it; with NO_VALUE the value's length.";
    once each_entry_is_about_as_likely: "Of few entries each is chosen about as often as the others, also after most are gone.";
    once expired_is_never_chosen: "An expired entry is never chosen.";
    once bad_random_calls_are_refused: "kv_random of a keyspace that the engine does not have is UNSUPPORTED, with an unknown flag INVALID.";
}

/// One entry, if there is any.
fn draw(t: &Trial<'_>, flags: u32) -> Result<Option<Answer>, Stop> {
    let (mut lent, mut drawn) = (0, None);
    let status = t.instance.session().random(0, flags, |entry| {
        lent += 1;
        // SAFETY: the engine lends the entry for this call.
        drawn = Some(unsafe { Answer::of_entry(entry, flags & KV_OP_NO_VALUE == 0) });
    })?;
    ensure!(
        [Status::OK, Status::NOT_FOUND].contains(&status),
        "kv_random: found {status}, wanted OK or NOT_FOUND"
    );
    let wanted = u32::from(status == Status::OK);
    ensure!(lent == wanted, "kv_random with {status} called the sink {lent} times");
    Ok(drawn)
}

fn empty_store_has_no_random_entry(t: &Trial<'_>) -> Check {
    t.needs_symbol("kv_random")?;
    ensure!(draw(t, 0)?.is_none(), "kv_random of an empty store brought an entry");
    t.store(b"k", b"v")?;
    ensure!(draw(t, 0)?.is_some(), "kv_random of a store with an entry brought none");
    t.remove(b"k")?;
    ensure!(draw(t, 0)?.is_none(), "kv_random of an emptied store brought an entry");
    Ok(())
}

fn lends_a_whole_entry(t: &Trial<'_>) -> Check {
    t.needs_symbol("kv_random")?;
    let mut request = Request::set(b"key", b"value");
    if t.has(KV_CAP_EXPIRY) {
        request = request.expiring(t.host.now_ms() + 1000);
    }
    if t.has(KV_CAP_TYPES) {
        request = request.typed(3, 4);
    }
    t.put(&request)?;
    let (Some(drawn), Some(read)) = (draw(t, 0)?, t.read(b"key")?) else {
        return Err(Stop::Failed("kv_random brought no entry".to_owned()));
    };
    ensure!(drawn.key == b"key", "kv_random brought the key {}", shorten(&drawn.key));
    drawn.holds(b"value", "the value that kv_random brought")?;
    let drawn = (drawn.expiry_ms, drawn.version, drawn.type_, drawn.flags);
    let read = (read.expiry_ms, read.version, read.type_, read.flags);
    ensure!(drawn == read, "expiry, version, type, flags: kv_random brings {drawn:?}, a GET tells {read:?}");
    let len = draw(t, KV_OP_NO_VALUE)?.map(|drawn| drawn.value_len);
    ensure!(len == Some(5), "length with NO_VALUE: found {len:?}, wanted 5");
    Ok(())
}

fn each_entry_is_about_as_likely(t: &Trial<'_>) -> Check {
    t.needs_symbol("kv_random")?;
    for i in 0..1000 {
        t.store(&key(i), b"v")?;
    }
    for i in (0..1000).filter(|i| i % 50 != 0) {
        t.remove(&key(i))?;
    }
    // A hundred of each of the twenty that are left; forty are six standard deviations away.
    let mut drawn: BTreeMap<Vec<u8>, u32> = BTreeMap::new();
    for _ in 0..2000 {
        if let Some(entry) = draw(t, KV_OP_NO_VALUE)? {
            *drawn.entry(entry.key).or_default() += 1;
        }
    }
    for i in (0..1000).step_by(50) {
        let times = drawn.remove(&key(i)).unwrap_or(0);
        ensure!((40..=170).contains(&times), "{} was chosen {times} times of 2000", shorten(&key(i)));
    }
    match drawn.keys().next() {
        Some(extra) => Err(Stop::Failed(format!("{} was chosen, which is not there", shorten(extra)))),
        None => Ok(()),
    }
}

fn expired_is_never_chosen(t: &Trial<'_>) -> Check {
    t.needs_symbol("kv_random")?;
    t.needs(KV_CAP_EXPIRY)?;
    for i in 0..20 {
        t.put(&Request::set(&key(i), b"v").expiring(t.host.now_ms() + 50))?;
    }
    t.store(b"stays", b"v")?;
    t.host.advance(60);
    for _ in 0..50 {
        let drawn = draw(t, 0)?.map(|entry| entry.key);
        ensure!(
            drawn.as_deref() == Some(b"stays"),
            "kv_random beside expired entries: found {drawn:?}, wanted the one that stays"
        );
    }
    t.remove(b"stays")?;
    ensure!(draw(t, 0)?.is_none(), "kv_random brought an expired entry");
    Ok(())
}

fn bad_random_calls_are_refused(t: &Trial<'_>) -> Check {
    t.needs_symbol("kv_random")?;
    t.store(b"k", b"v")?;
    for (space, flags, wanted) in
        [(4_000_000_000, 0, Status::UNSUPPORTED), (0, UNKNOWN_FLAG, Status::INVALID)]
    {
        let what = format!("kv_random of keyspace {space} with flags {flags:#x}");
        match t.instance.session().random(space, flags, |_| {}) {
            Ok(status) => return Err(Stop::Failed(format!("{what}: found {status}, wanted {wanted}"))),
            Err(error) => {
                ensure!(error.status == wanted, "{what}: found {error}, wanted {wanted}");
                ensure!(!error.text.is_empty(), "{what}: {wanted} came without a text");
            }
        }
    }
    Ok(())
}

fn key(i: u32) -> Vec<u8> {
    format!("key:{i}").into_bytes()
}
