//! Basics: what every engine does, whatever else it can.

use core::ptr;

use super::request::{Move, Request, UNKNOWN_FLAG, shorten};
use super::trial::Trial;
use super::{Check, Stop, ensure, suite};
use crate::Status;
use crate::raw::*;

suite! { "basics":
    once instances_are_independent: "Two instances side by side share nothing, and each can be closed while the other works.";
    once opens_again_after_close: "An instance that is closed leaves nothing behind, and the next one starts empty.";
    once unknown_option_is_refused: "kv_open answers INVALID to an unknown option, with a text that tells it.";
    once unknown_open_flag_is_refused: "kv_open answers INVALID to a flag that it does not know.";
    both only_the_fields_of_the_kind_are_looked_at: "Fields of an operation that do not go with its kind and flags are not looked at.";
    both sets_gets_and_deletes: "What is set is found until it is deleted.";
    both absent_key_is_not_found: "Reading or deleting an absent key is NOT_FOUND, and nothing is lent.";
    both keys_and_values_are_any_bytes: "Keys and values are bytes, NUL included; both may be empty.";
    both similar_keys_are_different: "A key that is the beginning of another one is a key of its own.";
    both set_replaces_the_whole_entry: "A set replaces value, type and flags, be the new value longer or shorter.";
    both arguments_are_copied: "The engine copies what it keeps: the caller's memory may change after the call.";
    both long_keys_and_values: "Keys of 64 KiB and values of 1 MiB are stored, unless the identity sets a lower limit.";
    both beyond_the_limits_is_too_large: "A key or value beyond the limits of the identity is TOO_LARGE, without effect.";
    both many_keys: "A thousand keys are kept apart.";
    both type_and_flags: "With TYPES type and flags come back as they were stored; without, they are UNSUPPORTED.";
    both length_without_value: "A GET with NO_VALUE tells the value's length.";
    once value_is_lent_once: "A GET that is OK calls the sink once.";
    once key_of_an_answer: "The answer to a GET has the key that was asked for, or an empty one.";
    both unknown_flag_is_refused: "An operation with an unknown flag is INVALID, without effect.";
    both flags_go_with_their_kinds: "A flag that does not go with the kind of operation is INVALID, without effect.";
    both hints_are_never_refused: "A hint changes no answer, known or not.";
    both other_keyspace_is_refused: "A keyspace that the engine does not have is UNSUPPORTED.";
    once null_pointers_are_welcome: "The pointers for the error, its text and the version may be NULL.";
    once error_texts_keep_to_their_room: "An error text is written into its buffer, up to its capacity, and no byte behind it.";
}

fn instances_are_independent(t: &Trial<'_>) -> Check {
    let other = t.another()?;
    let checked = (|| {
        t.store(b"k", b"one")?;
        other.finds(b"k", None)?;
        other.store(b"k", b"two")?;
        t.finds(b"k", Some(b"one"))
    })();
    other.end(checked)?;
    t.finds(b"k", Some(b"one"))
}

fn opens_again_after_close(t: &Trial<'_>) -> Check {
    for _ in 0..3 {
        let next = t.another()?;
        let checked = next.finds(b"k", None).and_then(|()| next.store(b"k", b"v").map(|_| ()));
        next.end(checked)?;
    }
    Ok(())
}

fn unknown_option_is_refused(t: &Trial<'_>) -> Check {
    match t.open_with(("no-such-option", "1")) {
        Ok(instance) => {
            instance.close()?;
            Err(Stop::Failed("the option 'no-such-option' was taken".to_owned()))
        }
        Err(error) => {
            ensure!(error.status == Status::INVALID, "found {error}, wanted INVALID");
            ensure!(!error.text.is_empty(), "INVALID came without a text");
            Ok(())
        }
    }
}

fn unknown_open_flag_is_refused(t: &Trial<'_>) -> Check {
    let status = t.instance.probe_open_flags(KV_OPEN_SCRATCH | UNKNOWN_FLAG, &(t.subject.scratch_dir)());
    ensure!(status == Status::INVALID, "found {status}, wanted INVALID");
    Ok(())
}

fn only_the_fields_of_the_kind_are_looked_at(t: &Trial<'_>) -> Check {
    // All others hold garbage: see `Request::raw`.
    t.ask(&Request::get(b"k"))?.is(Status::NOT_FOUND, "GET of an absent key")?;
    t.ask(&Request::delete(b"k"))?.is(Status::NOT_FOUND, "DELETE of an absent key")?;
    t.ask(&Request::set(b"k", b"v"))?.is(Status::OK, "SET")?;
    let found = t.read(b"k")?.map(|it| (it.value, it.expiry_ms, it.type_, it.flags));
    ensure!(found == Some((b"v".to_vec(), 0, 0, 0)), "value, expiry, type, flags after a SET: {found:?}");
    t.ask(&Request::get(b"k").with_flags(KV_OP_NO_VALUE))?.is(Status::OK, "GET with NO_VALUE")?;
    if t.has_symbol("kv_update") {
        t.ask(&Request::decided(b"k", Move::Keep))?.is(Status::OK, "UPDATE")?;
    }
    t.ask(&Request::delete(b"k"))?.is(Status::OK, "DELETE")
}

fn sets_gets_and_deletes(t: &Trial<'_>) -> Check {
    // An engine may be full at any time, but not before it holds anything.
    let first = t.ask(&Request::set(b"k", b"v"))?;
    ensure!(first.status != Status::FULL, "SET in an empty store: FULL");
    first.is(Status::OK, "SET in an empty store")?;
    t.finds(b"k", Some(b"v"))?;
    t.finds(b"k", Some(b"v"))?;
    ensure!(t.remove(b"k")?, "DELETE of an entry that is there: NOT_FOUND");
    t.finds(b"k", None)?;
    t.store(b"k", b"again")?;
    t.finds(b"k", Some(b"again"))
}

fn absent_key_is_not_found(t: &Trial<'_>) -> Check {
    t.finds(b"k", None)?;
    ensure!(!t.remove(b"k")?, "DELETE of an absent key: OK");
    t.store(b"other", b"v")?;
    t.finds(b"k", None)
}

fn keys_and_values_are_any_bytes(t: &Trial<'_>) -> Check {
    let all: Vec<u8> = (0..=255).collect();
    let key = &all[..key_len(t, 256)];
    let value = &all[..value_len(t, 256)];
    for (key, value) in [(key, value), (b"", b"of the empty key"), (b"empty", b""), (b"\0", b"\0\0")] {
        t.finds(key, None)?;
        t.store(key, value)?;
        t.finds(key, Some(value))?;
    }
    t.finds(key, Some(value))?;
    ensure!(t.remove(b"")?, "DELETE of the empty key: NOT_FOUND");
    t.finds(b"", None)?;
    t.finds(b"\0", Some(b"\0\0"))
}

fn similar_keys_are_different(t: &Trial<'_>) -> Check {
    let keys: [&[u8]; 7] = [b"", b"a", b"ab", b"abc", b"abc\0", b"abd", b"\0abc"];
    for key in keys {
        t.store(key, key)?;
    }
    for key in keys {
        t.finds(key, Some(key))?;
    }
    t.remove(b"ab")?;
    for key in keys {
        t.finds(key, (key != b"ab").then_some(key))?;
    }
    Ok(())
}

fn set_replaces_the_whole_entry(t: &Trial<'_>) -> Check {
    let typed = t.ask(&Request::set(b"k", b"typed").typed(3, 4))?;
    typed.is_one_of(&[Status::OK, Status::UNSUPPORTED], "SET with type 3 and flags 4")?;
    for value in [&b"short"[..], &[b'x'; 1000][..value_len(t, 1000)], b"", b"short again"] {
        t.store(b"k", value)?;
        t.finds(b"k", Some(value))?;
        let found = t.read(b"k")?.map(|it| (it.type_, it.flags));
        ensure!(found == Some((0, 0)), "type and flags: found {found:?}, wanted 0 and 0");
    }
    Ok(())
}

fn arguments_are_copied(t: &Trial<'_>) -> Check {
    let mut request = Request::set(b"key", b"value");
    t.put(&request)?;
    request.key.fill(b'x');
    request.value.fill(b'x');
    t.finds(b"key", Some(b"value"))?;
    t.finds(b"xxx", None)
}

fn long_keys_and_values(t: &Trial<'_>) -> Check {
    let key = vec![b'k'; key_len(t, 64 << 10)];
    let value = pattern(value_len(t, 1 << 20));
    t.store(&key, b"of the long key")?;
    t.finds(&key, Some(b"of the long key"))?;
    t.store(&key, &value)?;
    t.store(b"short", &value)?;
    t.finds(&key, Some(&value))?;
    t.finds(b"short", Some(&value))?;
    ensure!(t.remove(&key)?, "DELETE of a long key: NOT_FOUND");
    t.finds(&key, None)
}

fn beyond_the_limits_is_too_large(t: &Trial<'_>) -> Check {
    let identity = &t.subject.identity;
    let beyond =
        |limit: u64| usize::try_from(limit).ok().filter(|&n| n < 64 << 20).map(|n| vec![b'x'; n + 1]);
    let (key, value) = (beyond(identity.key_len_max), beyond(identity.value_len_max));
    if key.is_none() && value.is_none() {
        return Err(Stop::Skipped("no limit below 64 MiB".to_owned()));
    }
    t.store(b"k", b"v")?;
    if let Some(key) = key {
        t.ask(&Request::set(&key, b"v"))?.is(Status::TOO_LARGE, "SET with a key beyond key_len_max")?;
    }
    if let Some(value) = value {
        t.ask(&Request::set(b"k", &value))?.is(Status::TOO_LARGE, "SET with a value beyond value_len_max")?;
    }
    t.finds(b"k", Some(b"v"))
}

fn many_keys(t: &Trial<'_>) -> Check {
    let key = |i: u32| format!("key:{i}").into_bytes();
    for i in 0..1000 {
        t.store(&key(i), &i.to_ne_bytes())?;
    }
    for i in (0..1000).step_by(2) {
        ensure!(t.remove(&key(i))?, "DELETE of {}: NOT_FOUND", shorten(&key(i)));
    }
    for i in 0..1000 {
        t.finds(&key(i), (i % 2 == 1).then_some(&i.to_ne_bytes()))?;
    }
    Ok(())
}

fn type_and_flags(t: &Trial<'_>) -> Check {
    for (type_, flags) in [(7, 0xDEAD_BEEF), (u32::MAX, 0), (0, 1)] {
        let answer = t.ask(&Request::set(b"k", b"v").typed(type_, flags))?;
        if !t.has(KV_CAP_TYPES) {
            answer.is(Status::UNSUPPORTED, "SET with type and flags, without TYPES")?;
            t.finds(b"k", None)?;
            continue;
        }
        answer.is(Status::OK, "SET with type and flags")?;
        let found = t.read(b"k")?.map(|it| (it.type_, it.flags));
        ensure!(found == Some((type_, flags)), "found {found:?}, wanted type {type_} and flags {flags}");
        t.remove(b"k")?;
    }
    Ok(())
}

fn length_without_value(t: &Trial<'_>) -> Check {
    let value = pattern(value_len(t, 100_000));
    for value in [&value[..], b"", b"v"] {
        t.store(b"k", value)?;
        let answer = t.ask(&Request::get(b"k").with_flags(KV_OP_NO_VALUE))?;
        answer.is(Status::OK, "GET with NO_VALUE")?;
        ensure!(answer.value_len == value.len(), "length {}, wanted {}", answer.value_len, value.len());
    }
    t.ask(&Request::get(b"absent").with_flags(KV_OP_NO_VALUE))?.is(Status::NOT_FOUND, "GET with NO_VALUE")
}

fn value_is_lent_once(t: &Trial<'_>) -> Check {
    t.store(b"k", b"v")?;
    let there = t.call(&Request::get(b"k"));
    there.is(Status::OK, "GET")?;
    ensure!(there.lent == 1, "GET of an entry called the sink {} times", there.lent);
    // What the sink was lent would be in the answer.
    let absent = t.call(&Request::get(b"absent"));
    absent.is(Status::NOT_FOUND, "GET of an absent key")?;
    ensure!(absent.lent == 0, "GET of an absent key called the sink {} times", absent.lent);
    Ok(())
}

fn key_of_an_answer(t: &Trial<'_>) -> Check {
    t.store(b"k", b"v")?;
    let key = t.read(b"k")?.map(|it| it.key).unwrap_or_default();
    ensure!(key.is_empty() || key == b"k", "found the key {}", shorten(&key));
    Ok(())
}

fn unknown_flag_is_refused(t: &Trial<'_>) -> Check {
    t.store(b"k", b"v")?;
    for request in [Request::get(b"k"), Request::set(b"k", b"new"), Request::delete(b"k")] {
        let request = request.with_flags(UNKNOWN_FLAG);
        t.ask(&request)?.is(Status::INVALID, &format!("{} with an unknown flag", request.describe()))?;
    }
    t.finds(b"k", Some(b"v"))
}

fn flags_go_with_their_kinds(t: &Trial<'_>) -> Check {
    let version = t.store(b"k", b"v")?;
    let mut kinds = vec![
        (Request::get(b"k"), KV_OP_NO_VALUE | KV_OP_EXPECT),
        (Request::set(b"k", b"new"), KV_OP_EXPECT | KV_OP_IMPORT),
        (Request::delete(b"k"), KV_OP_EXPECT),
    ];
    if t.has_symbol("kv_update") {
        kinds.push((Request::decided(b"k", Move::replace(b"new")), KV_OP_EXPECT));
    }
    for (request, known) in kinds {
        for bit in (0..KV_OP_HINTS.trailing_zeros()).map(|bit| 1 << bit).filter(|bit| known & bit == 0) {
            let mut bad = Request { version: 1 << 40, ..request.clone().with_flags(bit) };
            let what = format!("{} with the flag {bit:#x}", request.describe());
            let needs_versions = [KV_OP_EXPECT, KV_OP_IMPORT].contains(&bit) && !t.has(KV_CAP_VERSIONS);
            let wanted =
                [Status::INVALID, if needs_versions { Status::UNSUPPORTED } else { Status::INVALID }];
            t.ask(&bad)?.is_one_of(&wanted, &what)?;
            if t.has(KV_CAP_VERSIONS) {
                bad = bad.expecting(version);
                t.ask(&bad)?.is(Status::INVALID, &format!("{what}, beside a version that is met"))?;
            }
        }
    }
    t.finds(b"k", Some(b"v"))
}

fn hints_are_never_refused(t: &Trial<'_>) -> Check {
    for hint in [KV_OP_NO_TOUCH, 1 << 30, KV_OP_HINTS] {
        let ask = |request: Request, wanted| {
            let what = format!("{} with the hint {hint:#x}", request.describe());
            t.ask(&request.with_flags(hint))?.is(wanted, &what)
        };
        ask(Request::get(b"k"), Status::NOT_FOUND)?;
        ask(Request::set(b"k", b"v"), Status::OK)?;
        ask(Request::get(b"k"), Status::OK)?;
        t.ask(&Request::get(b"k").with_flags(hint))?.holds(b"v", "GET with a hint")?;
        ask(Request::get(b"k").with_flags(KV_OP_NO_VALUE), Status::OK)?;
        if t.has_symbol("kv_update") {
            ask(Request::decided(b"k", Move::replace(b"w")), Status::OK)?;
            t.finds(b"k", Some(b"w"))?;
        }
        ask(Request::delete(b"k"), Status::OK)?;
        t.finds(b"k", None)?;
    }
    Ok(())
}

fn other_keyspace_is_refused(t: &Trial<'_>) -> Check {
    t.store(b"k", b"v")?;
    for request in [Request::get(b"k"), Request::set(b"k", b"new"), Request::delete(b"k")] {
        let what = format!("{} in keyspace 4000000000", request.describe());
        t.ask(&request.in_space(4_000_000_000))?.is(Status::UNSUPPORTED, &what)?;
    }
    t.finds(b"k", Some(b"v"))
}

fn null_pointers_are_welcome(t: &Trial<'_>) -> Check {
    let (engine, calls) = (t.instance.raw(), &t.subject.calls);
    let (set, unknown) = (Request::set(b"k", b"v"), Request::delete(b"k").with_flags(UNKNOWN_FLAG));
    let (set, unknown) = (set.raw(), unknown.raw());
    let mut no_room = KvError { text: ptr::null_mut(), capacity: 0, len: 0 };
    let _session = t.instance.session();
    // SAFETY: an open instance under its session; the operations live through the calls, and NULL is allowed for the rest.
    let statuses = unsafe {
        [
            (calls.set)(engine, &raw const set, ptr::null_mut(), ptr::null_mut()),
            (calls.delete)(engine, &raw const unknown, ptr::null_mut()),
            (calls.delete)(engine, &raw const unknown, &raw mut no_room),
        ]
    };
    ensure!(statuses[0] == KV_STATUS_OK, "SET with no place for the version: found {}", Status(statuses[0]));
    ensure!(statuses[1] == KV_STATUS_INVALID, "no place for the error: {}", Status(statuses[1]));
    ensure!(statuses[2] == KV_STATUS_INVALID, "an error with no place for its text: {}", Status(statuses[2]));
    ensure!(no_room.len == 0, "{} bytes of an error text where there is no place for it", no_room.len);
    Ok(())
}

fn error_texts_keep_to_their_room(t: &Trial<'_>) -> Check {
    const CANARY: u8 = 0xA5;
    let (engine, calls) = (t.instance.raw(), &t.subject.calls);
    let unknown = Request::delete(b"k").with_flags(UNKNOWN_FLAG);
    let unknown = unknown.raw();
    let _session = t.instance.session();
    for capacity in [0, 1, 8, 200] {
        let mut room = [CANARY; 512];
        let text = if capacity == 0 { ptr::null_mut() } else { room.as_mut_ptr() };
        let mut error = KvError { text, capacity, len: 0 };
        // SAFETY: an open instance under its session; operation and error live through the call.
        let status = unsafe { (calls.delete)(engine, &raw const unknown, &raw mut error) };
        let what = format!("an error with room for {capacity} bytes");
        ensure!(status == KV_STATUS_INVALID, "{what}: found {}, wanted INVALID", Status(status));
        ensure!(error.len <= capacity, "{what}: {} bytes were written", error.len);
        ensure!(error.text == text && error.capacity == capacity, "{what}: its buffer was changed");
        let end = room.iter().rposition(|byte| *byte != CANARY).map_or(0, |last| last + 1);
        ensure!(end <= capacity as usize, "{what}: byte {end} was written");
        ensure!(
            end <= error.len as usize,
            "{what}: {} bytes are told, and byte {end} was written",
            error.len
        );
    }
    Ok(())
}

/// This many bytes, or what the engine's limit leaves of them.
fn key_len(t: &Trial<'_>, len: usize) -> usize {
    t.subject.identity.key_len_max.min(len as u64) as usize
}

fn value_len(t: &Trial<'_>, len: usize) -> usize {
    t.subject.identity.value_len_max.min(len as u64) as usize
}

/// Bytes that show where they were mixed up.
fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i % 251) as u8).collect()
}
