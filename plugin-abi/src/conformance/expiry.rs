//! Expiry: an entry is gone from its moment on, for everybody.

use super::request::{Move, Request};
use super::trial::Trial;
use super::{Check, ensure, suite};
use crate::Status;
use crate::raw::*;

suite! { "expiry":
    both without_the_capability_it_is_refused: "An engine without EXPIRY answers UNSUPPORTED to any expiry but 0, without effect.";
    both expired_is_never_seen: "From its expiry on, on the host's clock, an entry is seen by no operation.";
    both expiry_is_told: "A GET tells the expiry that was set, exactly.";
    both zero_is_never: "Expiry 0 is never, also over an entry that had one.";
    both below_zero_is_refused: "An expiry below 0 is INVALID, without effect.";
    both update_into_the_past: "An update that decides an expiry which has passed is OK, and leaves no entry.";
    both set_in_the_past: "A set whose expiry has passed is OK, and leaves no entry.";
    once expired_is_never_scanned: "A scan does not bring expired entries.";
    both expired_is_absent_to_an_update: "An update of an expired entry is shown none, and starts anew.";
    both expired_is_absent_to_expect: "An expired entry counts as none where a version is expected.";
    both update_sets_and_keeps_expiry: "SET_EXPIRY changes the expiry alone; a patch and KEEP leave it.";
    both far_expiry: "An expiry centuries from now is kept.";
}

fn without_the_capability_it_is_refused(t: &Trial<'_>) -> Check {
    if t.has(KV_CAP_EXPIRY) {
        return Err(super::Stop::Skipped("the engine has EXPIRY".to_owned()));
    }
    t.store(b"k", b"v")?;
    let request = Request::set(b"k", b"new").expiring(t.host.now_ms() + 1000);
    t.ask(&request)?.is(Status::UNSUPPORTED, "SET with an expiry")?;
    t.finds(b"k", Some(b"v"))
}

fn expired_is_never_seen(t: &Trial<'_>) -> Check {
    t.needs(KV_CAP_EXPIRY)?;
    let expiry_ms = t.host.now_ms() + 100;
    for key in [&b"read"[..], b"deleted", b"overwritten"] {
        t.put(&Request::set(key, b"v").expiring(expiry_ms))?;
    }
    t.store(b"stays", b"v")?;
    t.host.advance(99);
    t.finds(b"read", Some(b"v"))?;
    t.host.advance(1);
    t.finds(b"read", None)?;
    ensure!(!t.remove(b"deleted")?, "DELETE of an expired entry: OK");
    t.store(b"overwritten", b"new")?;
    t.host.advance(1_000_000);
    t.finds(b"read", None)?;
    t.finds(b"overwritten", Some(b"new"))?;
    t.finds(b"stays", Some(b"v"))
}

fn expiry_is_told(t: &Trial<'_>) -> Check {
    t.needs(KV_CAP_EXPIRY)?;
    for ms in [1, 12_345, 86_400_000] {
        let expiry_ms = t.host.now_ms() + ms;
        t.put(&Request::set(b"k", b"v").expiring(expiry_ms))?;
        expires(t, b"k", expiry_ms)?;
    }
    t.store(b"k", b"v")?;
    expires(t, b"k", 0)
}

fn zero_is_never(t: &Trial<'_>) -> Check {
    t.needs(KV_CAP_EXPIRY)?;
    t.put(&Request::set(b"k", b"v").expiring(t.host.now_ms() + 10))?;
    t.store(b"k", b"stays")?;
    t.host.advance(1_000_000_000_000);
    t.finds(b"k", Some(b"stays"))
}

fn set_in_the_past(t: &Trial<'_>) -> Check {
    t.needs(KV_CAP_EXPIRY)?;
    t.store(b"k", b"old")?;
    for expiry_ms in [t.host.now_ms(), t.host.now_ms() - 1, 1] {
        t.ask(&Request::set(b"k", b"v").expiring(expiry_ms))?.is(Status::OK, "SET with a past expiry")?;
        t.finds(b"k", None)?;
    }
    Ok(())
}

fn below_zero_is_refused(t: &Trial<'_>) -> Check {
    t.needs(KV_CAP_EXPIRY)?;
    t.store(b"k", b"v")?;
    for expiry_ms in [-1, i64::MIN] {
        let what = format!("SET with the expiry {expiry_ms}");
        t.ask(&Request::set(b"k", b"new").expiring(expiry_ms))?.is(Status::INVALID, &what)?;
        if t.has_symbol("kv_update") {
            let replace = Move::Replace { value: b"new".to_vec(), expiry_ms, type_: 0, flags: 0 };
            for decision in [replace, Move::SetExpiry(expiry_ms)] {
                let what = format!("UPDATE that decides {decision:?}");
                t.ask(&Request::decided(b"k", decision))?.is(Status::INVALID, &what)?;
            }
        }
        t.finds(b"k", Some(b"v"))?;
        expires(t, b"k", 0)?;
    }
    Ok(())
}

fn update_into_the_past(t: &Trial<'_>) -> Check {
    t.needs(KV_CAP_EXPIRY)?;
    t.needs_symbol("kv_update")?;
    for expiry_ms in [t.host.now_ms(), t.host.now_ms() - 1, 1] {
        let replace = Move::Replace { value: b"new".to_vec(), expiry_ms, type_: 0, flags: 0 };
        for decision in [replace, Move::SetExpiry(expiry_ms)] {
            t.store(b"k", b"v")?;
            let what = format!("UPDATE that decides {decision:?}");
            t.ask(&Request::decided(b"k", decision))?.is(Status::OK, &what)?;
            t.finds(b"k", None)?;
        }
    }
    Ok(())
}

fn expired_is_never_scanned(t: &Trial<'_>) -> Check {
    t.needs(KV_CAP_EXPIRY)?;
    t.needs_symbol("kv_scan")?;
    let now_ms = t.host.now_ms();
    for i in 0..100_u8 {
        let expiry_ms = if i % 2 == 0 { now_ms + 10 } else { 0 };
        t.put(&Request::set(&[i], b"v").expiring(expiry_ms))?;
    }
    ensure!(t.everything(0, 10)?.len() == 100, "a scan misses entries that expire later");
    t.host.advance(10);
    let found = t.everything(0, 10)?;
    let expired = found.keys().filter(|key| key[0] % 2 == 0).count();
    ensure!(expired == 0, "a scan brought {expired} expired entries");
    ensure!(found.len() == 50, "a scan brought {} of 50 entries that do not expire", found.len());
    Ok(())
}

fn expired_is_absent_to_an_update(t: &Trial<'_>) -> Check {
    t.needs(KV_CAP_EXPIRY)?;
    t.needs_symbol("kv_update")?;
    t.put(&Request::set(b"k", b"old").expiring(t.host.now_ms() + 10))?;
    t.host.advance(10);
    let request = Request::decided(b"k", Move::patch(0, b"new", 3));
    t.ask(&request)?.is(Status::OK, "UPDATE")?;
    ensure!(request.shown()?.is_none(), "the update was shown an expired entry");
    t.finds(b"k", Some(b"new"))?;
    expires(t, b"k", 0)
}

fn expired_is_absent_to_expect(t: &Trial<'_>) -> Check {
    t.needs(KV_CAP_EXPIRY)?;
    t.needs(KV_CAP_VERSIONS)?;
    let version = t.put(&Request::set(b"k", b"old").expiring(t.host.now_ms() + 10))?;
    t.host.advance(10);
    t.ask(&Request::set(b"k", b"x").expecting(version))?.is(Status::CONFLICT, "SET of an expired entry")?;
    let new = t.put(&Request::set(b"k", b"new").expecting(0))?;
    ensure!(new > version, "version {new} after {version}, which expired");
    t.finds(b"k", Some(b"new"))
}

fn update_sets_and_keeps_expiry(t: &Trial<'_>) -> Check {
    t.needs(KV_CAP_EXPIRY)?;
    t.needs_symbol("kv_update")?;
    t.store(b"k", b"value")?;
    let expiry_ms = t.host.now_ms() + 1000;
    let steps = [
        (Move::SetExpiry(expiry_ms), expiry_ms, &b"value"[..]),
        (Move::Keep, expiry_ms, b"value"),
        (Move::patch(0, b"VA", 7), expiry_ms, b"VAlue\0\0"),
        (Move::SetExpiry(expiry_ms + 1), expiry_ms + 1, b"VAlue\0\0"),
        (Move::SetExpiry(0), 0, b"VAlue\0\0"),
    ];
    for (decision, expiry_ms, value) in steps {
        let what = format!("{decision:?}");
        t.ask(&Request::decided(b"k", decision))?.is(Status::OK, &what)?;
        t.finds(b"k", Some(value))?;
        expires(t, b"k", expiry_ms)?;
    }
    t.ask(&Request::decided(b"k", Move::SetExpiry(t.host.now_ms() + 5)))?.is(Status::OK, "SET_EXPIRY")?;
    t.host.advance(5);
    t.finds(b"k", None)
}

fn far_expiry(t: &Trial<'_>) -> Check {
    t.needs(KV_CAP_EXPIRY)?;
    // What Redis allows at most.
    for expiry_ms in [t.host.now_ms() + (1 << 42), i64::MAX / 2] {
        t.put(&Request::set(b"k", b"v").expiring(expiry_ms))?;
        expires(t, b"k", expiry_ms)?;
    }
    Ok(())
}

fn expires(t: &Trial<'_>, key: &[u8], wanted: i64) -> Check {
    let found = t.read(key)?.map(|it| it.expiry_ms);
    ensure!(found == Some(wanted), "expiry: found {found:?}, wanted {wanted}");
    Ok(())
}
