//! Versions: one sequence, never a number twice, and what hangs on an expected version.

use std::collections::BTreeSet;

use super::request::{Move, Request};
use super::trial::Trial;
use super::{Check, Stop, ensure, suite};
use crate::Status;
use crate::raw::*;
use crate::sdk::VERSION_END;

suite! { "versions":
    both without_the_capability_they_are_refused: "An engine without VERSIONS refuses EXPECT and IMPORT, and tells version 0.";
    both versions_grow: "Each set gets a version above all earlier ones of its key, and a GET tells it.";
    both no_version_twice: "No two sets in the store ever get the same version.";
    both delete_gives_no_version_back: "After a delete the key's next version is a new one.";
    once clear_gives_no_version_back: "After a clear the sequence goes on.";
    both expected_version_lets_pass: "With the version that the entry has, every kind of operation goes on.";
    both other_version_is_a_conflict: "With another version, every kind of operation is CONFLICT, without effect.";
    both zero_expects_no_entry: "Expected version 0 lets pass where there is no entry, and only there.";
    both import_stores_the_version: "An IMPORT stores the version given, and the sequence goes on above it.";
    both import_below_is_stored_too: "An IMPORT of a low version is stored, and does not set the sequence back.";
    both import_of_no_version_is_refused: "An IMPORT of version 0, or of 2^56 and more, is INVALID, without effect.";
    both update_moves_the_version: "An update that stores gets a new version, one that keeps leaves it, one that removes tells 0.";
    both equal_bytes_are_a_change: "What stores the very bytes that are there, or only the expiry, gives a new version.";
    both reads_leave_the_version: "No read gives a new version.";
    once sequence_is_told: "kv_sequence, which VERSIONS requires, tells the highest version ever given or imported, deleted entries included.";
    once sequence_is_raised: "kv_sequence raises the sequence, never lowers it, and the next version is above it.";
    once sequence_has_an_end: "kv_sequence answers INVALID from 2^56 on, and the sequence stays.";
}

fn without_the_capability_they_are_refused(t: &Trial<'_>) -> Check {
    if t.has(KV_CAP_VERSIONS) {
        return Err(Stop::Skipped("the engine has VERSIONS".to_owned()));
    }
    t.store(b"k", b"v")?;
    let refusals = [Status::UNSUPPORTED, Status::INVALID];
    t.ask(&Request::set(b"k", b"new").expecting(1))?.is_one_of(&refusals, "SET with EXPECT")?;
    t.ask(&Request::delete(b"k").expecting(1))?.is_one_of(&refusals, "DELETE with EXPECT")?;
    t.ask(&Request::set(b"k", b"new").importing(9))?.is_one_of(&refusals, "SET with IMPORT")?;
    t.finds(b"k", Some(b"v"))?;
    has_version(t, b"k", 0)
}

fn versions_grow(t: &Trial<'_>) -> Check {
    t.needs(KV_CAP_VERSIONS)?;
    let mut last = 0;
    for i in 0..100_u8 {
        let version = t.store(b"k", &[i])?;
        ensure!(version > last, "version {version} after {last}");
        has_version(t, b"k", version)?;
        last = version;
    }
    Ok(())
}

fn no_version_twice(t: &Trial<'_>) -> Check {
    t.needs(KV_CAP_VERSIONS)?;
    let mut seen = BTreeSet::new();
    for i in 0..500_u32 {
        let key = (i % 50).to_ne_bytes();
        let version = t.store(&key, b"v")?;
        ensure!(seen.insert(version), "version {version} was given to two sets");
        if i % 7 == 0 {
            t.remove(&key)?;
        }
    }
    Ok(())
}

fn delete_gives_no_version_back(t: &Trial<'_>) -> Check {
    t.needs(KV_CAP_VERSIONS)?;
    let mut last = 0;
    for _ in 0..20 {
        let version = t.store(b"k", b"v")?;
        ensure!(version > last, "version {version} after a delete, and {last} before it");
        last = version;
        t.remove(b"k")?;
    }
    Ok(())
}

fn clear_gives_no_version_back(t: &Trial<'_>) -> Check {
    t.needs(KV_CAP_VERSIONS)?;
    t.needs_symbol("kv_clear")?;
    let mut last = 0;
    for _ in 0..5 {
        for key in [b"a", b"b", b"c"] {
            let version = t.store(key, b"v")?;
            ensure!(version > last, "version {version} after {last}");
            last = version;
        }
        t.instance.session().clear(0)?;
    }
    Ok(())
}

fn expected_version_lets_pass(t: &Trial<'_>) -> Check {
    t.needs(KV_CAP_VERSIONS)?;
    let version = t.store(b"k", b"one")?;
    t.ask(&Request::get(b"k").expecting(version))?.holds(b"one", "GET with EXPECT")?;
    let version = t.put(&Request::set(b"k", b"two").expecting(version))?;
    t.finds(b"k", Some(b"two"))?;
    let version = if t.has_symbol("kv_update") {
        let answer = t.ask(&Request::decided(b"k", Move::replace(b"three")).expecting(version))?;
        answer.is(Status::OK, "UPDATE with EXPECT")?;
        t.finds(b"k", Some(b"three"))?;
        answer.version
    } else {
        version
    };
    t.ask(&Request::delete(b"k").expecting(version))?.is(Status::OK, "DELETE with EXPECT")?;
    t.finds(b"k", None)
}

fn other_version_is_a_conflict(t: &Trial<'_>) -> Check {
    t.needs(KV_CAP_VERSIONS)?;
    let old = t.store(b"k", b"old")?;
    let version = t.store(b"k", b"v")?;
    for wrong in [old, version + 1, 0, u64::MAX] {
        let mut requests = vec![Request::get(b"k"), Request::set(b"k", b"x"), Request::delete(b"k")];
        if t.has_symbol("kv_update") {
            requests.push(Request::decided(b"k", Move::replace(b"x")));
            requests.push(Request::decided(b"k", Move::Remove));
        }
        for request in requests {
            let what = format!("{}, expecting {wrong} where the version is {version}", request.describe());
            let answer = t.ask(&request.expecting(wrong))?;
            answer.is(Status::CONFLICT, &what)?;
            ensure!(answer.lent == 0, "{what}: the value was lent");
        }
        t.finds(b"k", Some(b"v"))?;
        has_version(t, b"k", version)?;
    }
    t.remove(b"k")?;
    for request in [Request::get(b"k"), Request::set(b"k", b"x"), Request::delete(b"k")] {
        let what = format!("{}, expecting a version where there is no entry", request.describe());
        t.ask(&request.expecting(version))?.is(Status::CONFLICT, &what)?;
    }
    t.finds(b"k", None)
}

fn zero_expects_no_entry(t: &Trial<'_>) -> Check {
    t.needs(KV_CAP_VERSIONS)?;
    t.ask(&Request::get(b"k").expecting(0))?.is(Status::NOT_FOUND, "GET, expecting no entry")?;
    t.ask(&Request::delete(b"k").expecting(0))?.is(Status::NOT_FOUND, "DELETE, expecting no entry")?;
    t.put(&Request::set(b"k", b"v").expecting(0))?;
    t.ask(&Request::set(b"k", b"x").expecting(0))?.is(Status::CONFLICT, "SET, expecting no entry")?;
    t.finds(b"k", Some(b"v"))
}

fn import_stores_the_version(t: &Trial<'_>) -> Check {
    t.needs(KV_CAP_VERSIONS)?;
    let start = t.store(b"a", b"v")?;
    let high = start + 1_000_000;
    t.store(b"k", b"to be imported over")?;
    let told = t.put(&Request::set(b"k", b"imported").importing(high))?;
    ensure!(told == high, "IMPORT of version {high} told {told}");
    has_version(t, b"k", high)?;
    let next = t.store(b"b", b"v")?;
    ensure!(next > high, "version {next} after an IMPORT of {high}");
    t.finds(b"k", Some(b"imported"))
}

fn import_below_is_stored_too(t: &Trial<'_>) -> Check {
    t.needs(KV_CAP_VERSIONS)?;
    t.put(&Request::set(b"high", b"v").importing(1000))?;
    t.put(&Request::set(b"low", b"v").importing(10))?;
    has_version(t, b"low", 10)?;
    let next = t.store(b"next", b"v")?;
    ensure!(next > 1000, "version {next} after IMPORTs of 1000 and 10");
    // While entries are copied, one can be there already.
    t.put(&Request::set(b"next", b"older").importing(11))?;
    has_version(t, b"next", 11)?;
    let last = t.store(b"next", b"v")?;
    ensure!(last > next, "version {last} after {next}");
    Ok(())
}

fn update_moves_the_version(t: &Trial<'_>) -> Check {
    t.needs(KV_CAP_VERSIONS)?;
    t.needs_symbol("kv_update")?;
    let mut last = t.store(b"k", b"v")?;
    for decision in [Move::replace(b"w"), Move::patch(1, b"x", 2), Move::replace(b"y")] {
        let answer = t.ask(&Request::decided(b"k", decision))?;
        answer.is(Status::OK, "UPDATE")?;
        ensure!(answer.version > last, "an update told version {} after {last}", answer.version);
        last = answer.version;
        has_version(t, b"k", last)?;
    }
    let kept = t.ask(&Request::decided(b"k", Move::Keep))?;
    ensure!(kept.version == last, "an update that keeps told version {}, wanted {last}", kept.version);
    has_version(t, b"k", last)?;
    let removed = t.ask(&Request::decided(b"k", Move::Remove))?;
    ensure!(removed.version == 0, "an update that removes told version {}", removed.version);
    let absent = t.ask(&Request::decided(b"k", Move::Keep))?;
    ensure!(absent.version == 0, "an update that keeps no entry told version {}", absent.version);
    let next = t.store(b"k", b"v")?;
    ensure!(next > last, "version {next} after an update removed {last}");
    Ok(())
}

fn import_of_no_version_is_refused(t: &Trial<'_>) -> Check {
    t.needs(KV_CAP_VERSIONS)?;
    let version = t.store(b"k", b"v")?;
    for none in [0, VERSION_END, VERSION_END + 1, u64::MAX] {
        let what = format!("IMPORT of version {none:#x}");
        t.ask(&Request::set(b"k", b"new").importing(none))?.is(Status::INVALID, &what)?;
        t.ask(&Request::set(b"absent", b"new").importing(none))?.is(Status::INVALID, &what)?;
    }
    t.finds(b"absent", None)?;
    t.finds(b"k", Some(b"v"))?;
    has_version(t, b"k", version)?;
    let next = t.store(b"k", b"v")?;
    ensure!(next > version && next < VERSION_END, "version {next} after {version}");
    Ok(())
}

fn equal_bytes_are_a_change(t: &Trial<'_>) -> Check {
    t.needs(KV_CAP_VERSIONS)?;
    let mut last = t.store(b"k", b"same")?;
    let mut requests = vec![(Request::set(b"k", b"same"), "SET of equal bytes")];
    if t.has_symbol("kv_update") {
        requests.push((Request::decided(b"k", Move::replace(b"same")), "REPLACE with equal bytes"));
        requests.push((Request::decided(b"k", Move::patch(0, b"same", 4)), "PATCH with equal bytes"));
        requests.push((Request::decided(b"k", Move::patch(0, b"", 4)), "PATCH of nothing"));
        if t.has(KV_CAP_EXPIRY) {
            let expiry_ms = t.host.now_ms() + 1000;
            requests.push((Request::decided(b"k", Move::SetExpiry(expiry_ms)), "SET_EXPIRY"));
            requests.push((Request::decided(b"k", Move::SetExpiry(expiry_ms)), "SET_EXPIRY to the same"));
            requests.push((Request::decided(b"k", Move::SetExpiry(0)), "SET_EXPIRY to never"));
        }
    }
    for (request, what) in requests {
        let answer = t.ask(&request)?;
        answer.is(Status::OK, what)?;
        ensure!(answer.version > last, "{what} told version {} after {last}", answer.version);
        last = answer.version;
        has_version(t, b"k", last)?;
        t.finds(b"k", Some(b"same"))?;
    }
    Ok(())
}

fn reads_leave_the_version(t: &Trial<'_>) -> Check {
    t.needs(KV_CAP_VERSIONS)?;
    let version = t.store(b"k", b"v")?;
    let get = || Request::get(b"k");
    let reads =
        [get(), get().with_flags(KV_OP_NO_VALUE), get().with_flags(KV_OP_NO_TOUCH), get().expecting(version)];
    for read in reads {
        t.ask(&read)?.is(Status::OK, "GET")?;
        has_version(t, b"k", version)?;
    }
    if t.has_symbol("kv_update") {
        t.ask(&Request::decided(b"k", Move::Keep))?.is(Status::OK, "UPDATE that keeps")?;
        has_version(t, b"k", version)?;
    }
    if t.has_symbol("kv_scan") {
        let found = t.everything(0, 10)?.get(&b"k"[..]).map(|it| it.version);
        ensure!(found == Some(version), "a scan tells version {found:?}, wanted {version}");
        has_version(t, b"k", version)?;
    }
    Ok(())
}

/// What kv_sequence tells, having raised the sequence to `last`.
fn sequence(t: &Trial<'_>, last: u64) -> Result<u64, Stop> {
    t.needs(KV_CAP_VERSIONS)?;
    ensure!(t.has_symbol("kv_sequence"), "VERSIONS without kv_sequence");
    Ok(t.instance.session().sequence(last)?)
}

fn sequence_is_told(t: &Trial<'_>) -> Check {
    sequence(t, 0)?;
    let mut highest = 0;
    let mut tells = |version: u64, what: &str| {
        highest = highest.max(version);
        let told = sequence(t, 0)?;
        ensure!(told >= highest, "kv_sequence tells {told} after version {highest}, {what}");
        ensure!(told < VERSION_END, "kv_sequence tells {told}, which is not below 2^56");
        Ok(())
    };
    tells(t.store(b"k", b"v")?, "of a SET")?;
    tells(t.store(b"k", b"w")?, "of a SET")?;
    t.remove(b"k")?;
    tells(0, "of a deleted entry")?;
    tells(t.put(&Request::set(b"high", b"v").importing(1 << 40))?, "of an IMPORT")?;
    tells(t.put(&Request::set(b"low", b"v").importing(7))?, "of an IMPORT before")?;
    t.remove(b"high")?;
    tells(0, "of a deleted entry")?;
    if t.has_symbol("kv_clear") {
        t.instance.session().clear(0)?;
        tells(0, "of an entry that was cleared")?;
    }
    let next = t.store(b"k", b"v")?;
    ensure!(next > 1 << 40, "version {next} after the sequence stood at {}", 1_u64 << 40);
    Ok(())
}

fn sequence_is_raised(t: &Trial<'_>) -> Check {
    let first = t.store(b"k", b"v")?;
    let high = first + 1_000_000;
    let told = sequence(t, high)?;
    ensure!(told >= high, "kv_sequence was to raise to {high}, and tells {told}");
    has_version(t, b"k", first)?;
    for lower in [0, 1, first, high - 1, high] {
        let told = sequence(t, lower)?;
        ensure!(told >= high, "kv_sequence with {lower} tells {told} after {high}");
    }
    let next = t.store(b"k", b"v")?;
    ensure!(next > high, "version {next} after the sequence was raised to {high}");
    let other = t.store(b"other", b"v")?;
    ensure!(other > high && other != next, "version {other} after {next}");
    Ok(())
}

fn sequence_has_an_end(t: &Trial<'_>) -> Check {
    sequence(t, 0)?;
    t.store(b"k", b"v")?;
    for beyond in [VERSION_END, VERSION_END + 1, u64::MAX] {
        match t.instance.session().sequence(beyond) {
            Ok(told) => {
                return Err(Stop::Failed(format!("kv_sequence with {beyond:#x} is OK, and tells {told:#x}")));
            }
            Err(error) => {
                ensure!(error.status == Status::INVALID, "kv_sequence with {beyond:#x}: {error}");
                ensure!(!error.text.is_empty(), "INVALID came without a text");
            }
        }
    }
    let told = sequence(t, 0)?;
    ensure!(told < VERSION_END, "kv_sequence tells {told:#x} after it refused more");
    let next = t.store(b"k", b"v")?;
    ensure!(next > told && next < VERSION_END, "version {next} after {told}");
    Ok(())
}

fn has_version(t: &Trial<'_>, key: &[u8], wanted: u64) -> Check {
    let found = t.read(key)?.map(|it| it.version);
    ensure!(found == Some(wanted), "version: found {found:?}, wanted {wanted}");
    Ok(())
}
