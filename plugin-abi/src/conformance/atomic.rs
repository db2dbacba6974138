//! Atomic: batches of all or nothing.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::batch::refused_as_a_whole;
use super::flight::Plan;
use super::parallel::{THREADS, side_by_side};
use super::request::{Answer, Move, Request, UNKNOWN_FLAG};
use super::trial::Trial;
use super::{Check, Stop, ensure, suite};
use crate::Status;
use crate::raw::*;

suite! { "atomic":
    once without_the_capability_it_is_refused: "An engine without ATOMIC refuses the flag, with INVALID or UNSUPPORTED.";
    once all_take_effect: "When all can be carried out, all take effect.";
    once own_writes_are_seen: "The reads of an atomic batch see its earlier writes.";
    once finding_nothing_aborts_nothing: "A GET or DELETE that finds nothing, and an update that keeps, are carried out.";
    once conflict_aborts_all: "An expected version that is another one is CONFLICT; all others are ABORTED, and nothing has changed.";
    once expectations_look_before_the_batch: "A version is expected of the entry as it was before the batch, not as the batch has changed it.";
    once watch_without_writing: "A GET with an expected version guards a batch that writes other keys.";
    once updates_abort_too: "Updates in an aborted batch have no effect.";
    once linked_updates_are_called_in_order: "Updates of an atomic batch are called in the order of its operations, and each sees what those before it have done.";
    once linked_updates_carry_an_entry: "What one update of an atomic batch takes and the next one stores is never lost or doubled, whoever does the same meanwhile.";
    once bad_operation_aborts_all: "An operation that cannot be carried out says why; all others are ABORTED, and nothing has changed.";
    once transfers_keep_the_sum: "Transfers between two keys, side by side, are never seen half done.";
}

const ATOMIC: Plan = Plan { flags: KV_BATCH_ATOMIC, deadline_ns: 0, gap: 0 };

fn without_the_capability_it_is_refused(t: &Trial<'_>) -> Check {
    t.needs_symbol("kv_submit")?;
    if t.has(KV_CAP_ATOMIC) {
        return Err(Stop::Skipped("the engine has ATOMIC".to_owned()));
    }
    let requests = vec![Request::set(b"k", b"v"), Request::set(b"l", b"v")];
    refused_as_a_whole(t, requests, ATOMIC, &[Status::INVALID, Status::UNSUPPORTED])?;
    t.finds(b"k", None)
}

fn all_take_effect(t: &Trial<'_>) -> Check {
    t.needs(KV_CAP_ATOMIC)?;
    t.store(b"old", b"v")?;
    let answers =
        t.batch(vec![Request::set(b"a", b"1"), Request::set(b"b", b"2"), Request::delete(b"old")], ATOMIC)?;
    all_are(&answers, Status::OK)?;
    t.finds(b"a", Some(b"1"))?;
    t.finds(b"b", Some(b"2"))?;
    t.finds(b"old", None)
}

fn own_writes_are_seen(t: &Trial<'_>) -> Check {
    t.needs(KV_CAP_ATOMIC)?;
    let mut requests = vec![
        Request::set(b"k", b"1"),
        Request::get(b"k"),
        Request::set(b"k", b"2"),
        Request::get(b"k"),
        Request::delete(b"k"),
        Request::get(b"k"),
        Request::set(b"k", b"3"),
    ];
    if t.has_symbol("kv_update") {
        requests.push(Request::decided(b"k", Move::patch(1, b"4", 2)));
        requests.push(Request::get(b"k"));
    }
    let answers = t.batch(requests, ATOMIC)?;
    for (i, answer) in answers.iter().enumerate() {
        answer.is(if i == 5 { Status::NOT_FOUND } else { Status::OK }, &format!("operation {i}"))?;
    }
    answers[1].holds(b"1", "GET after the first SET")?;
    answers[3].holds(b"2", "GET after the second SET")?;
    if let Some(last) = answers.get(8) {
        last.holds(b"34", "GET after the patch")?;
    }
    t.finds(b"k", Some(if answers.len() > 7 { b"34" } else { b"3" }))
}

fn finding_nothing_aborts_nothing(t: &Trial<'_>) -> Check {
    t.needs(KV_CAP_ATOMIC)?;
    let mut requests = vec![Request::get(b"absent"), Request::delete(b"absent"), Request::set(b"k", b"v")];
    if t.has_symbol("kv_update") {
        requests.push(Request::decided(b"absent", Move::Keep));
    }
    let answers = t.batch(requests, ATOMIC)?;
    answers[0].is(Status::NOT_FOUND, "GET")?;
    answers[1].is(Status::NOT_FOUND, "DELETE")?;
    all_are(&answers[2..], Status::OK)?;
    t.finds(b"k", Some(b"v"))
}

fn conflict_aborts_all(t: &Trial<'_>) -> Check {
    t.needs(KV_CAP_ATOMIC)?;
    t.needs(KV_CAP_VERSIONS)?;
    let version = t.store(b"guarded", b"v")?;
    t.store(b"deleted", b"v")?;
    // The guard stands first, in the middle, and last: what was done before it is undone.
    for place in 0..4 {
        let mut requests =
            vec![Request::set(b"new", b"x"), Request::delete(b"deleted"), Request::set(b"guarded", b"x")];
        requests.insert(place, Request::set(b"guarded", b"y").expecting(version + 1000));
        let answers = t.batch(requests, ATOMIC)?;
        for (i, answer) in answers.iter().enumerate() {
            let wanted = if i == place { Status::CONFLICT } else { Status::ABORTED };
            answer.is(wanted, &format!("operation {i}, with the guard at {place}"))?;
        }
        t.finds(b"new", None)?;
        t.finds(b"deleted", Some(b"v"))?;
        t.finds(b"guarded", Some(b"v"))?;
        let found = t.read(b"guarded")?.map(|it| it.version);
        ensure!(found == Some(version), "version after the abort: found {found:?}, wanted {version}");
    }
    // And with the right version it goes through.
    let requests = vec![Request::set(b"new", b"x"), Request::set(b"guarded", b"y").expecting(version)];
    all_are(&t.batch(requests, ATOMIC)?, Status::OK)?;
    t.finds(b"guarded", Some(b"y"))
}

fn expectations_look_before_the_batch(t: &Trial<'_>) -> Check {
    t.needs(KV_CAP_ATOMIC)?;
    t.needs(KV_CAP_VERSIONS)?;
    let version = t.store(b"k", b"before")?;
    let requests = vec![
        Request::set(b"k", b"one"),
        Request::set(b"k", b"two").expecting(version),
        Request::get(b"k").expecting(version),
        Request::set(b"new", b"one"),
        Request::set(b"new", b"two").expecting(0),
        Request::get(b"new").expecting(0),
        Request::delete(b"k"),
        Request::set(b"k", b"three").expecting(version),
    ];
    let answers = t.batch(requests, ATOMIC)?;
    all_are(&answers, Status::OK)?;
    answers[2].holds(b"two", "GET of what the batch wrote")?;
    answers[5].holds(b"two", "GET of what the batch added")?;
    t.finds(b"k", Some(b"three"))?;
    t.finds(b"new", Some(b"two"))?;
    // Absent after its own DELETE, but not before the batch.
    let requests = vec![Request::delete(b"k"), Request::set(b"k", b"four").expecting(0)];
    let answers = t.batch(requests, ATOMIC)?;
    answers[0].is(Status::ABORTED, "DELETE")?;
    answers[1].is(Status::CONFLICT, "SET, expecting no entry where the batch has removed one")?;
    t.finds(b"k", Some(b"three"))
}

fn watch_without_writing(t: &Trial<'_>) -> Check {
    t.needs(KV_CAP_ATOMIC)?;
    t.needs(KV_CAP_VERSIONS)?;
    let version = t.store(b"watched", b"v")?;
    let batch = |expected| vec![Request::get(b"watched").expecting(expected), Request::set(b"k", b"v")];
    all_are(&t.batch(batch(version), ATOMIC)?, Status::OK)?;
    t.remove(b"k")?;
    t.store(b"watched", b"changed")?;
    let answers = t.batch(batch(version), ATOMIC)?;
    answers[0].is(Status::CONFLICT, "GET of a watched key that has changed")?;
    answers[1].is(Status::ABORTED, "SET beside it")?;
    t.finds(b"k", None)?;
    let answers = t.batch(vec![Request::get(b"absent").expecting(0), Request::set(b"k", b"v")], ATOMIC)?;
    answers[0].is(Status::NOT_FOUND, "GET, expecting no entry")?;
    answers[1].is(Status::OK, "SET beside it")
}

fn updates_abort_too(t: &Trial<'_>) -> Check {
    t.needs(KV_CAP_ATOMIC)?;
    t.needs(KV_CAP_VERSIONS)?;
    t.needs_symbol("kv_update")?;
    let version = t.store(b"k", b"value")?;
    let requests = vec![
        Request::decided(b"k", Move::patch(0, b"VAL", 3)),
        Request::decided(b"absent", Move::replace(b"x")),
        Request::decided(b"k", Move::Remove),
        Request::get(b"other").expecting(7),
    ];
    let answers = t.batch(requests, ATOMIC)?;
    all_are(&answers[..3], Status::ABORTED)?;
    answers[3].is(Status::CONFLICT, "GET")?;
    t.finds(b"absent", None)?;
    t.finds(b"k", Some(b"value"))?;
    let found = t.read(b"k")?.map(|it| it.version);
    ensure!(found == Some(version), "version after the abort: found {found:?}, wanted {version}");
    Ok(())
}

fn linked_updates_are_called_in_order(t: &Trial<'_>) -> Check {
    t.needs(KV_CAP_ATOMIC)?;
    t.needs_symbol("kv_update")?;
    const KEYS: usize = 40;
    let key = |i: usize| format!("key:{}", i * 7 % KEYS).into_bytes();
    for i in 0..KEYS {
        t.store(&key(i), &1_u64.to_le_bytes())?;
    }
    // Each adds what it is shown to what the one before it has come to. Called again, it takes back what came behind.
    let sums = Arc::new(Mutex::new(Vec::<u64>::new()));
    let add = |i: usize| {
        let sums = Arc::clone(&sums);
        Request::update(&key(i), move |current| {
            let mut sums = sums.lock().unwrap_or_else(PoisonError::into_inner);
            sums.truncate(i);
            let shown = current.and_then(|it| it.value.as_slice().try_into().ok());
            let sum = sums.last().unwrap_or(&0).wrapping_add(shown.map_or(0, u64::from_le_bytes));
            sums.push(sum);
            Move::replace(&sum.to_le_bytes())
        })
    };
    let mut requests = Vec::new();
    for i in 0..KEYS {
        if i % 2 == 0 {
            requests.push(Request::set(&key(i), &2_u64.to_le_bytes()));
        }
        requests.push(add(i));
    }
    all_are(&t.batch(requests, ATOMIC)?, Status::OK)?;
    let mut sum = 0_u64;
    for i in 0..KEYS {
        sum += if i % 2 == 0 { 2 } else { 1 };
        t.finds(&key(i), Some(&sum.to_le_bytes()))?;
    }
    Ok(())
}

fn linked_updates_carry_an_entry(t: &Trial<'_>) -> Check {
    t.needs(KV_CAP_ATOMIC)?;
    t.needs_symbol("kv_update")?;
    const KEYS: [&[u8]; 3] = [b"one", b"two", b"three"];
    t.store(KEYS[0], b"token")?;
    let is_in_one_place = || {
        let answers = t.batch(KEYS.iter().map(|key| Request::get(key)).collect(), ATOMIC)?;
        let places = answers.iter().filter(|answer| answer.status == Status::OK).count();
        ensure!(places == 1, "an entry that is carried from key to key is found in {places} places");
        Ok(())
    };
    side_by_side(t, |thread| {
        for i in 0..40 {
            let from = (i + thread) as usize % KEYS.len();
            let to = (from + 1 + i as usize % 2) % KEYS.len();
            let taken = Arc::new(Mutex::new(None));
            let put = Arc::clone(&taken);
            let requests = vec![
                Request::update(KEYS[from], move |current| {
                    let value = current.map(|it| it.value.clone());
                    let decision = value.as_ref().map_or(Move::Keep, |_| Move::Remove);
                    *taken.lock().unwrap_or_else(PoisonError::into_inner) = value;
                    decision
                }),
                Request::update(KEYS[to], move |_| {
                    let taken = put.lock().unwrap_or_else(PoisonError::into_inner);
                    taken.as_ref().map_or(Move::Keep, |value| Move::replace(value))
                }),
            ];
            all_are(&t.batch(requests, ATOMIC)?, Status::OK)?;
            is_in_one_place()?;
        }
        Ok(())
    })
}

fn bad_operation_aborts_all(t: &Trial<'_>) -> Check {
    t.needs(KV_CAP_ATOMIC)?;
    let bad = || Request::set(b"bad", b"v").with_flags(UNKNOWN_FLAG);
    match t.submit(vec![Request::set(b"a", b"v"), bad(), Request::set(b"b", b"v")], ATOMIC)? {
        Ok(flight) => {
            let answers = t.wait(flight)?;
            answers[0].is(Status::ABORTED, "the operation before the bad one")?;
            answers[1].is(Status::INVALID, "the bad operation")?;
            answers[2].is(Status::ABORTED, "the operation behind the bad one")?;
        }
        Err(refused) => ensure!(refused.status == Status::INVALID, "kv_submit: {refused}"),
    }
    t.finds(b"a", None)?;
    t.finds(b"bad", None)?;
    t.finds(b"b", None)
}

fn transfers_keep_the_sum(t: &Trial<'_>) -> Check {
    t.needs(KV_CAP_ATOMIC)?;
    t.needs(KV_CAP_VERSIONS)?;
    const SUM: u64 = 1000;
    const TRANSFERS: u32 = 100;
    t.store(b"left", &SUM.to_le_bytes())?;
    t.store(b"right", &0_u64.to_le_bytes())?;
    let (movers, stop) = (AtomicU32::new(THREADS - 1), AtomicBool::new(false));
    let amount = |answer: &Answer| -> Result<u64, Stop> {
        let bytes = answer.value.as_slice().try_into();
        bytes.map(u64::from_le_bytes).map_err(|_| Stop::Failed("a transfer stored another length".to_owned()))
    };
    let both = || -> Result<[Answer; 2], Stop> {
        let answers = t.batch(vec![Request::get(b"left"), Request::get(b"right")], ATOMIC)?;
        all_are(&answers, Status::OK)?;
        answers.try_into().map_err(|_| Stop::Failed("a batch of 2".to_owned()))
    };
    let check_sum = || -> Check {
        let [left, right] = both()?;
        let sum = amount(&left)?.wrapping_add(amount(&right)?);
        ensure!(sum == SUM, "the sum of both keys is {sum}, wanted {SUM}");
        Ok(())
    };
    let transfer = |number: u32| -> Result<bool, Stop> {
        let [left, right] = both()?;
        let (left_has, right_has) = (amount(&left)?, amount(&right)?);
        let moved = if number.is_multiple_of(2) { left_has / 3 } else { 0_u64.wrapping_sub(right_has / 2) };
        let to_left = left_has.wrapping_sub(moved).to_le_bytes();
        let to_right = right_has.wrapping_add(moved).to_le_bytes();
        let requests = vec![
            Request::set(b"left", &to_left).expecting(left.version),
            Request::set(b"right", &to_right).expecting(right.version),
        ];
        let answers = t.batch(requests, ATOMIC)?;
        let done = answers.iter().all(|answer| answer.status == Status::OK);
        let pairs = [Status::OK, Status::CONFLICT, Status::ABORTED, Status::RETRY];
        for answer in &answers {
            answer.is_one_of(&pairs, "a transfer")?;
            ensure!(done || answer.status != Status::OK, "a transfer was half done");
        }
        Ok(done)
    };
    side_by_side(t, |thread| {
        let checked = (|| {
            if thread == 0 {
                while movers.load(Ordering::SeqCst) > 0 && !stop.load(Ordering::SeqCst) {
                    check_sum()?;
                }
                return Ok(());
            }
            let mut done = 0;
            while done < TRANSFERS && !stop.load(Ordering::SeqCst) {
                done += u32::from(transfer(done + thread)?);
            }
            Ok(())
        })();
        if thread > 0 {
            movers.fetch_sub(1, Ordering::SeqCst);
        }
        if checked.is_err() {
            stop.store(true, Ordering::SeqCst);
        }
        checked
    })?;
    check_sum()
}

fn all_are(answers: &[Answer], wanted: Status) -> Check {
    for (i, answer) in answers.iter().enumerate() {
        answer.is(wanted, &format!("operation {i} of an atomic batch"))?;
    }
    Ok(())
}
