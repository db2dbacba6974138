//! Batch: every operation of a batch is completed once, with the right result, in the right order.

use super::flight::Plan;
use super::request::{Move, Request, UNKNOWN_FLAG};
use super::trial::Trial;
use super::{Check, Stop, ensure, suite};
use crate::Status;
use crate::raw::*;

suite! { "batch":
    once each_operation_is_completed_once: "Every operation of a batch is completed, exactly once.";
    once same_key_in_order: "Operations on the same key take effect in the order of the array.";
    once thousand_operations: "A batch of a thousand operations is carried out, or as many as batch_len_max allows.";
    once results_have_all_fields: "A GET's result is the whole entry; a SET's has version and expiry of what is stored.";
    once updates_in_batches: "An engine with kv_update takes updates in batches, between other operations.";
    once strides_are_followed: "Operations and results are found by the strides that the batch tells.";
    once unknown_batch_flag_is_refused: "A batch with an unknown flag is refused with INVALID, without effect.";
    once one_bad_operation_fails_alone: "An operation that cannot be carried out fails alone, or the batch is refused as a whole.";
    once beyond_batch_len_max_is_refused: "A batch beyond batch_len_max is refused with TOO_LARGE, without effect.";
    once many_batches_under_way: "Many batches can be under way at once.";
    once deadline_in_the_past: "With a deadline in the past, every operation is completed all the same: done, or TIMEOUT without effect.";
    once cancel_completes_everything: "After a cancel, every operation is completed: done, or CANCELLED without effect.";
    once cancel_too_late_does_nothing: "A cancel that comes too late, or names no batch, does nothing.";
    once cancel_names_one_batch: "A cancel gives up nothing of other batches.";
    once close_completes_everything: "kv_close returns when every operation is completed.";
}

fn each_operation_is_completed_once(t: &Trial<'_>) -> Check {
    for len in [1, 2, 63, 64, 65, 200] {
        let len = max_len(t, len);
        let requests: Vec<_> = (0..len)
            .map(|i| match i % 4 {
                0 => Request::set(&key(i), b"v"),
                1 => Request::get(&key(i - 1)),
                2 => Request::delete(&key(i)),
                _ => Request::get(b"absent"),
            })
            .collect();
        let answers = t.batch(requests, Plan::default())?;
        for (i, answer) in answers.iter().enumerate() {
            let wanted = if i % 4 == 0 { [Status::OK; 2] } else { [Status::OK, Status::NOT_FOUND] };
            answer.is_one_of(&wanted, &format!("operation {i} of {len}"))?;
        }
    }
    Ok(())
}

fn same_key_in_order(t: &Trial<'_>) -> Check {
    let keys: Vec<_> = (0..8).map(key).collect();
    let steps = max_len(t, 12 * keys.len()) / keys.len();
    // The steps of all keys interleaved: for each key SET, GET, SET, GET, DELETE, GET and again.
    let request = |step: usize, key: &[u8]| match step % 6 {
        0 | 2 => Request::set(key, format!("step {step}").as_bytes()),
        4 => Request::delete(key),
        _ => Request::get(key),
    };
    let requests = (0..steps).flat_map(|step| keys.iter().map(move |key| request(step, key))).collect();
    let answers = t.batch(requests, Plan::default())?;
    for (i, answer) in answers.iter().enumerate() {
        let step = i / keys.len();
        let what = format!("operation {i}, step {step} of its key");
        match step % 6 {
            1 | 3 => {
                answer.is(Status::OK, &what)?;
                answer.holds(format!("step {}", step - 1).as_bytes(), &what)?;
            }
            5 => answer.is(Status::NOT_FOUND, &what)?,
            _ => answer.is(Status::OK, &what)?,
        }
    }
    Ok(())
}

fn thousand_operations(t: &Trial<'_>) -> Check {
    let len = max_len(t, 1000);
    let sets = (0..len).map(|i| Request::set(&key(i), &i.to_ne_bytes())).collect();
    for (i, answer) in t.batch(sets, Plan::default())?.iter().enumerate() {
        answer.is(Status::OK, &format!("SET {i} of {len}"))?;
    }
    let gets = (0..len).map(|i| Request::get(&key(i))).collect();
    for (i, answer) in t.batch(gets, Plan::default())?.iter().enumerate() {
        answer.is(Status::OK, &format!("GET {i} of {len}"))?;
        answer.holds(&i.to_ne_bytes(), &format!("GET {i} of {len}"))?;
    }
    Ok(())
}

fn results_have_all_fields(t: &Trial<'_>) -> Check {
    let expiry_ms = if t.has(KV_CAP_EXPIRY) { t.host.now_ms() + 1000 } else { 0 };
    let plain = Request::set(b"k", b"value").expiring(expiry_ms);
    let typed = plain.clone().typed(1, 2);
    let stores_types = t.call(&typed).status == Status::OK;
    let set = if stores_types { typed } else { plain };
    let answers = t.batch(vec![set, Request::get(b"k")], Plan::default())?;
    let [set, get] = &answers[..] else { return Err(Stop::Failed("a batch of 2".to_owned())) };
    set.is(Status::OK, "SET")?;
    get.is(Status::OK, "GET")?;
    get.holds(b"value", "GET")?;
    ensure!(set.expiry_ms == expiry_ms, "SET told the expiry {}, wanted {expiry_ms}", set.expiry_ms);
    ensure!(get.expiry_ms == expiry_ms, "GET told the expiry {}, wanted {expiry_ms}", get.expiry_ms);
    ensure!(get.version == set.version, "GET told version {}, SET {}", get.version, set.version);
    ensure!((get.version != 0) == t.has(KV_CAP_VERSIONS), "GET told version {}", get.version);
    let wanted = if stores_types { (1, 2) } else { (0, 0) };
    let found = (get.type_, get.flags);
    ensure!(found == wanted, "GET told type and flags {found:?}, wanted {wanted:?}");
    Ok(())
}

fn updates_in_batches(t: &Trial<'_>) -> Check {
    t.needs_symbol("kv_update")?;
    let requests = vec![
        Request::set(b"k", b"a"),
        Request::decided(b"k", Move::patch(1, b"b", 2)),
        Request::get(b"k"),
        Request::decided(b"k", Move::Remove),
        Request::get(b"k"),
        Request::decided(b"k", Move::replace(b"c")),
        Request::decided(b"k", Move::Keep),
        Request::get(b"k"),
    ];
    let answers = t.batch(requests, Plan::default())?;
    for (i, answer) in answers.iter().enumerate() {
        let wanted = if i == 4 { Status::NOT_FOUND } else { Status::OK };
        answer.is(wanted, &format!("operation {i}"))?;
    }
    answers[2].holds(b"ab", "GET after a patch")?;
    answers[7].holds(b"c", "GET after a REPLACE")
}

fn strides_are_followed(t: &Trial<'_>) -> Check {
    let requests = (0..10).flat_map(|i| [Request::set(&key(i), &[i as u8]), Request::get(&key(i))]).collect();
    let answers = t.batch(requests, Plan { gap: 5, ..Plan::default() })?;
    for (i, answer) in answers.iter().enumerate() {
        answer.is(Status::OK, &format!("operation {i}"))?;
        if i % 2 == 1 {
            answer.holds(&[(i / 2) as u8], &format!("operation {i}"))?;
        }
    }
    Ok(())
}

fn unknown_batch_flag_is_refused(t: &Trial<'_>) -> Check {
    let plan = Plan { flags: UNKNOWN_FLAG, ..Plan::default() };
    refused_as_a_whole(t, vec![Request::set(b"k", b"v")], plan, &[Status::INVALID])?;
    t.finds(b"k", None)
}

fn one_bad_operation_fails_alone(t: &Trial<'_>) -> Check {
    let bad = [
        (Request::set(b"bad", b"v").with_flags(UNKNOWN_FLAG), Status::INVALID),
        (Request::set(b"bad", b"v").in_space(4_000_000_000), Status::UNSUPPORTED),
        (Request { kind: 77, ..Request::get(b"bad") }, Status::INVALID),
        (Request { kind: 0, ..Request::get(b"bad") }, Status::INVALID),
        (Request::delete(b"bad").with_flags(KV_OP_NO_VALUE), Status::INVALID),
    ];
    for (round, (request, wanted)) in bad.into_iter().enumerate() {
        let (before, after) = (key(2 * round), key(2 * round + 1));
        let requests = vec![Request::set(&before, b"v"), request, Request::set(&after, b"v")];
        match t.submit(requests, Plan::default())? {
            Ok(flight) => {
                let answers = t.wait(flight)?;
                answers[0].is(Status::OK, "the operation before the bad one")?;
                answers[1].is(wanted, "the bad operation")?;
                answers[2].is(Status::OK, "the operation behind the bad one")?;
                t.finds(&after, Some(b"v"))?;
            }
            Err(refused) => {
                ensure!(refused.status == wanted, "kv_submit: {refused}, wanted {wanted}");
                t.finds(&before, None)?;
            }
        }
        t.finds(b"bad", None)?;
    }
    Ok(())
}

fn beyond_batch_len_max_is_refused(t: &Trial<'_>) -> Check {
    let limit = t.subject.identity.batch_len_max;
    if limit > 1 << 16 {
        return Err(Stop::Skipped("no limit below 65537".to_owned()));
    }
    let requests: Vec<_> = (0..=limit as usize).map(|i| Request::set(&key(i), b"v")).collect();
    refused_as_a_whole(t, requests, Plan::default(), &[Status::TOO_LARGE])?;
    t.finds(&key(0), None)
}

/// Fails unless the batch is refused with one of these statuses, by kv_submit or by each of its operations.
pub(super) fn refused_as_a_whole(
    t: &Trial<'_>,
    requests: Vec<Request>,
    plan: Plan,
    wanted: &[Status],
) -> Check {
    match t.submit(requests, plan)? {
        Err(refused) => ensure!(wanted.contains(&refused.status), "kv_submit: {refused}, wanted {wanted:?}"),
        Ok(flight) => {
            for (index, answer) in t.wait(flight)?.iter().enumerate() {
                answer.is_one_of(wanted, &format!("operation {index} of a batch to be refused"))?;
            }
        }
    }
    Ok(())
}

fn many_batches_under_way(t: &Trial<'_>) -> Check {
    let mut flights = Vec::new();
    for i in 0..50 {
        let requests = || (0..10).map(|j| Request::set(&key(10 * i + j), &[i as u8])).collect();
        match t.submit(requests(), Plan::default())? {
            Ok(flight) => flights.push(flight),
            Err(refused) if [Status::RETRY, Status::UNAVAILABLE].contains(&refused.status) => break,
            Err(refused) => return Err(refused.into()),
        }
    }
    for flight in flights.iter().rev() {
        for answer in t.wait(*flight)? {
            answer.is(Status::OK, "SET")?;
        }
    }
    for i in 0..flights.len() {
        t.finds(&key(10 * i), Some(&[i as u8]))?;
    }
    Ok(())
}

fn deadline_in_the_past(t: &Trial<'_>) -> Check {
    let requests: Vec<_> = (0..20).map(|i| Request::set(&key(i), b"v")).collect();
    let plan = Plan { deadline_ns: 1, ..Plan::default() };
    match t.submit(requests, plan)? {
        Ok(flight) => given_up(t, &t.wait(flight)?, Status::TIMEOUT),
        Err(refused) => {
            ensure!(refused.status == Status::TIMEOUT, "kv_submit: {refused}");
            Ok(())
        }
    }
}

fn cancel_completes_everything(t: &Trial<'_>) -> Check {
    t.needs_symbol("kv_cancel")?;
    for _ in 0..10 {
        let requests = (0..20).map(|i| Request::set(&key(i), b"v")).collect();
        let flight = t.submit(requests, Plan::default())??;
        t.instance.cancel(flight.id());
        given_up(t, &t.wait(flight)?, Status::CANCELLED)?;
        for i in 0..20 {
            t.remove(&key(i))?;
        }
    }
    Ok(())
}

fn cancel_too_late_does_nothing(t: &Trial<'_>) -> Check {
    t.needs_symbol("kv_cancel")?;
    let flight = t.submit(vec![Request::set(b"k", b"v")], Plan::default())??;
    let id = flight.id();
    t.wait(flight)?.swap_remove(0).is(Status::OK, "SET")?;
    for id in [id, id + 1_000_000, 0, u64::MAX] {
        t.instance.cancel(id);
        t.finds(b"k", Some(b"v"))?;
    }
    Ok(())
}

fn cancel_names_one_batch(t: &Trial<'_>) -> Check {
    t.needs_symbol("kv_cancel")?;
    for round in 0..10 {
        let requests = |from: usize| (from..from + 10).map(|i| Request::set(&key(i), b"v")).collect();
        let other = t.submit(requests(0), Plan::default())??;
        let one = t.submit(requests(10), Plan::default())??;
        t.instance.cancel(one.id());
        for (i, answer) in t.wait(other)?.iter().enumerate() {
            answer.is(Status::OK, &format!("SET {i} beside a batch that was cancelled, round {round}"))?;
        }
        t.wait(one)?;
    }
    Ok(())
}

fn close_completes_everything(t: &Trial<'_>) -> Check {
    t.needs_symbol("kv_submit")?;
    let other = t.another()?;
    let mut checked = Ok(());
    for i in 0..20 {
        let requests = (0..10).map(|j| Request::set(&key(10 * i + j), b"v")).collect();
        match other.submit(requests, Plan::default()) {
            Ok(Ok(_)) => {}
            Ok(Err(refused)) if [Status::RETRY, Status::UNAVAILABLE].contains(&refused.status) => break,
            Ok(Err(refused)) => checked = Err(refused.into()),
            Err(stop) => checked = Err(stop),
        }
    }
    // The end of a trial fails where an operation is left.
    other.end(checked)
}

/// Each SET is done, or was given up without effect.
fn given_up(t: &Trial<'_>, answers: &[super::request::Answer], how: Status) -> Check {
    for (i, answer) in answers.iter().enumerate() {
        let what = format!("SET {i} of a batch that may be given up");
        answer.is_one_of(&[Status::OK, how, Status::UNKNOWN], &what)?;
        match answer.status {
            Status::OK => t.finds(&key(i), Some(b"v"))?,
            Status::UNKNOWN => {}
            _ => t.finds(&key(i), None)?,
        }
    }
    Ok(())
}

fn key(i: usize) -> Vec<u8> {
    format!("key:{i}").into_bytes()
}

/// A batch of this length, or what the engine's limit leaves of it.
fn max_len(t: &Trial<'_>, len: usize) -> usize {
    t.subject.identity.batch_len_max.min(len as u64) as usize
}
