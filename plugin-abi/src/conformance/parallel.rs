//! Parallel: calls from many threads at once. Where the engine is not thread-safe, the calling side holds its lock, and
//! the rules are the same.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU32, Ordering};

use super::flight::Plan;
use super::request::Request;
use super::trial::Trial;
use super::update::increment;
use super::{Check, Stop, ensure, suite};
use crate::Status;
use crate::raw::*;

suite! { "parallel":
    both threads_find_their_own_writes: "Each of many threads finds what it wrote to keys of its own.";
    both updates_add_up: "Increments of one key by updates from many threads are all counted.";
    both expected_versions_add_up: "Increments of one key by expected versions from many threads are all counted.";
    once set_if_absent_is_won_once: "Of many that set a key if it is absent, one wins.";
    once values_are_never_torn: "A value read while it is overwritten is one of those written, whole.";
    once scan_beside_writers: "A scan beside writers brings all that stays.";
}

/// How many threads take part.
pub(super) const THREADS: u32 = 8;

/// Runs a closure on all threads, each with its number; the first failure is the outcome.
pub(super) fn side_by_side(t: &Trial<'_>, run: impl Fn(u32) -> Check + Sync) -> Check {
    let (next, first) = (AtomicU32::new(0), Mutex::new(Ok(())));
    let one = || {
        if let Err(stop) = run(next.fetch_add(1, Ordering::SeqCst)) {
            let mut first = first.lock().unwrap_or_else(PoisonError::into_inner);
            if first.is_ok() {
                *first = Err(stop);
            }
        }
    };
    let all: Vec<&(dyn Fn() + Sync)> = (0..THREADS).map(|_| &one as _).collect();
    (t.subject.parallel)(&all);
    first.into_inner().unwrap_or_else(PoisonError::into_inner)
}

fn threads_find_their_own_writes(t: &Trial<'_>) -> Check {
    side_by_side(t, |thread| {
        for i in 0..100_u32 {
            let key = format!("{thread}:{}", i % 20).into_bytes();
            t.store(&key, &i.to_ne_bytes())?;
            t.finds(&key, Some(&i.to_ne_bytes()))?;
            if i % 3 == 0 {
                ensure!(t.remove(&key)?, "DELETE of an own entry: NOT_FOUND");
                t.finds(&key, None)?;
            }
        }
        Ok(())
    })
}

fn updates_add_up(t: &Trial<'_>) -> Check {
    t.needs_symbol("kv_update")?;
    side_by_side(t, |_| {
        for _ in 0..100 {
            t.ask(&increment(b"n"))?.is(Status::OK, "UPDATE that increments")?;
        }
        Ok(())
    })?;
    t.finds(b"n", Some((THREADS * 100).to_string().as_bytes()))
}

fn expected_versions_add_up(t: &Trial<'_>) -> Check {
    t.needs(KV_CAP_VERSIONS)?;
    side_by_side(t, |_| {
        let mut done = 0;
        while done < 50 {
            let (version, number) = match t.read(b"n")? {
                None => (0, 0),
                Some(found) => {
                    let bytes = found.value.as_slice().try_into();
                    let number = bytes.map(u32::from_ne_bytes);
                    (found.version, number.map_err(|_| Stop::Failed("another length came back".to_owned()))?)
                }
            };
            let request = Request::set(b"n", &(number + 1).to_ne_bytes()).expecting(version);
            let answer = t.ask(&request)?;
            answer.is_one_of(&[Status::OK, Status::CONFLICT], "SET with EXPECT")?;
            done += u32::from(answer.status == Status::OK);
        }
        Ok(())
    })?;
    t.finds(b"n", Some(&(THREADS * 50).to_ne_bytes()))
}

fn set_if_absent_is_won_once(t: &Trial<'_>) -> Check {
    t.needs(KV_CAP_VERSIONS)?;
    for round in 0..30_u32 {
        let (key, won) = (round.to_ne_bytes(), AtomicU32::new(0));
        side_by_side(t, |thread| {
            let answer = t.ask(&Request::set(&key, &thread.to_ne_bytes()).expecting(0))?;
            answer.is_one_of(&[Status::OK, Status::CONFLICT], "SET, expecting no entry")?;
            won.fetch_add(u32::from(answer.status == Status::OK), Ordering::SeqCst);
            Ok(())
        })?;
        let won = won.into_inner();
        ensure!(won == 1, "{won} of {} set a key that was absent", THREADS);
    }
    Ok(())
}

fn values_are_never_torn(t: &Trial<'_>) -> Check {
    let len = t.subject.identity.value_len_max.min(5000) as usize;
    t.store(b"k", &vec![0; len])?;
    side_by_side(t, |thread| {
        for i in 0..50_u8 {
            if thread % 2 == 0 {
                // Different lengths too, so that the value moves.
                t.store(b"k", &vec![i; len - usize::from(i).min(len)])?;
                continue;
            }
            let value = t.read(b"k")?.map(|it| it.value).unwrap_or_default();
            let first = value.first().copied().unwrap_or(0);
            let whole = value.iter().all(|byte| *byte == first);
            ensure!(whole, "a value of {} bytes is made of two", value.len());
            ensure!(value.len() + usize::from(first) >= len, "a value is cut to {} bytes", value.len());
        }
        Ok(())
    })
}

fn scan_beside_writers(t: &Trial<'_>) -> Check {
    t.needs_symbol("kv_scan")?;
    for i in 0..100_u32 {
        t.store(format!("stays:{i}").as_bytes(), b"v")?;
    }
    side_by_side(t, |thread| {
        if thread == 0 {
            for _ in 0..10 {
                let found = t.everything(0, 10)?;
                let missed = (0..100_u32).find(|i| !found.contains_key(format!("stays:{i}").as_bytes()));
                ensure!(missed.is_none(), "a scan beside writers misses stays:{}", missed.unwrap_or(0));
            }
            return Ok(());
        }
        for i in 0..200_u32 {
            let key = format!("{thread}:{}", i % 50).into_bytes();
            t.store(&key, b"v")?;
            if i % 2 == 0 {
                t.remove(&key)?;
            }
            if i % 50 == 0 && t.has_symbol("kv_submit") {
                t.batch(vec![Request::set(b"shared", &key), Request::get(b"shared")], Plan::default())?;
            }
        }
        Ok(())
    })
}
