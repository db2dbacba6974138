//! Scan: the whole store can be listed while it changes; and what else looks at the store as a whole.

use std::collections::{BTreeMap, BTreeSet};

use super::model::Random;
use super::request::{Request, UNKNOWN_FLAG, shorten};
use super::trial::{STEPS_MAX, Trial};
use super::{Check, Stop, ensure, suite};
use crate::Status;
use crate::raw::*;

suite! { "scan":
    once empty_store_has_no_entries: "The scan of an empty store ends, and brings nothing.";
    once brings_exactly_what_is_there: "A scan in steps of any size brings every entry, and nothing else.";
    once brings_whole_entries: "A scan brings key, value, expiry, version, type and flags as a GET tells them.";
    once length_without_value: "With NO_VALUE a scan tells the values' lengths.";
    once entries_that_stay_are_not_missed: "What is there from the first step to the last comes, whatever is written and deleted meanwhile.";
    once deleting_what_came: "Deleting each entry as it comes does not make the scan miss others.";
    once cursors_hold_no_resources: "A cursor of a scan that was given up can be used later, and scans can go on side by side.";
    once garbage_cursor_does_no_harm: "A cursor that is none is INVALID, or begins somewhere; the engine works on.";
    once forged_cursors_do_no_harm: "A cursor of random bytes is INVALID, or begins somewhere, and so is a genuine one with a byte changed.";
    once long_values_end_a_step: "A step that has lent about 1 MiB of values ends, whatever count says.";
    once scan_of_other_keyspace_is_refused: "A scan of a keyspace that the engine does not have is UNSUPPORTED.";
    once unknown_scan_flag_is_refused: "A scan with an unknown flag is INVALID.";
    once count_counts: "kv_count tells the number of entries.";
    once clear_removes_everything: "kv_clear leaves no entry, and the store works on.";
    once whole_store_calls_refuse_other_keyspaces: "kv_count and kv_clear of another keyspace are UNSUPPORTED.";
    once stats_are_well_formed: "Figures have unique lower-case names, and a known kind.";
    once sync_works: "kv_sync is OK, and exported by engines that say DURABLE.";
}

fn empty_store_has_no_entries(t: &Trial<'_>) -> Check {
    t.needs_symbol("kv_scan")?;
    let found = t.everything(0, 10)?;
    ensure!(found.is_empty(), "a scan of an empty store brought {} entries", found.len());
    Ok(())
}

fn brings_exactly_what_is_there(t: &Trial<'_>) -> Check {
    t.needs_symbol("kv_scan")?;
    let mut keys: BTreeSet<Vec<u8>> = (0..300).map(key).collect();
    keys.insert(Vec::new());
    keys.insert(vec![0, 255, 0]);
    keys.insert(vec![b'k'; t.subject.identity.key_len_max.min(64 << 10) as usize]);
    for key in &keys {
        t.store(key, b"v")?;
    }
    for i in (0..300).step_by(3) {
        t.remove(&key(i))?;
        keys.remove(&key(i));
    }
    for count in [1, 7, 100, 10_000, u32::MAX] {
        let found: BTreeSet<_> = t.everything(0, count)?.into_keys().collect();
        if let Some(missed) = keys.difference(&found).next() {
            return Err(Stop::Failed(format!("a scan in steps of {count} misses {}", shorten(missed))));
        }
        if let Some(extra) = found.difference(&keys).next() {
            return Err(Stop::Failed(format!("a scan in steps of {count} brings {}", shorten(extra))));
        }
    }
    Ok(())
}

fn brings_whole_entries(t: &Trial<'_>) -> Check {
    t.needs_symbol("kv_scan")?;
    for i in 0..40 {
        let mut request = Request::set(
            &key(i),
            &vec![i as u8; t.subject.identity.value_len_max.min(i as u64 * 10) as usize],
        );
        if t.has(KV_CAP_EXPIRY) && i % 2 == 0 {
            request = request.expiring(t.host.now_ms() + 1000 + i as i64);
        }
        if t.has(KV_CAP_TYPES) {
            request = request.typed(i as u32, 9);
        }
        t.put(&request)?;
    }
    let found = t.everything(0, 10)?;
    for i in 0..40 {
        let (Some(scanned), Some(read)) = (found.get(&key(i)), t.read(&key(i))?) else {
            return Err(Stop::Failed(format!("a scan misses {}", shorten(&key(i)))));
        };
        scanned.holds(&read.value, &format!("the scanned value of {}", shorten(&key(i))))?;
        let scanned = (scanned.expiry_ms, scanned.version, scanned.type_, scanned.flags);
        let read = (read.expiry_ms, read.version, read.type_, read.flags);
        ensure!(
            scanned == read,
            "expiry, version, type, flags: a scan brings {scanned:?}, a GET tells {read:?}"
        );
    }
    Ok(())
}

fn length_without_value(t: &Trial<'_>) -> Check {
    t.needs_symbol("kv_scan")?;
    let len = |i: usize| t.subject.identity.value_len_max.min(i as u64 * 100) as usize;
    for i in 0..20 {
        t.store(&key(i), &vec![b'x'; len(i)])?;
    }
    let found = t.everything(KV_OP_NO_VALUE, 10)?;
    for i in 0..20 {
        let (found, wanted) = (found.get(&key(i)).map(|it| it.value_len), len(i));
        ensure!(found == Some(wanted), "length of {}: found {found:?}, wanted {wanted}", shorten(&key(i)));
    }
    Ok(())
}

fn entries_that_stay_are_not_missed(t: &Trial<'_>) -> Check {
    t.needs_symbol("kv_scan")?;
    const STAY: usize = 200;
    for i in 0..STAY {
        t.store(&key(i), b"stays")?;
        t.store(&other(i), b"goes")?;
    }
    for (count, per_step) in [(1, 3), (10, 20), (50, 200)] {
        let (mut missing, mut cursor): (BTreeSet<_>, _) = ((0..STAY).map(key).collect(), Vec::new());
        let mut written = 0;
        for step in 0.. {
            ensure!(step < STEPS_MAX, "a scan did not end in {step} steps");
            for entry in t.scan_step(0, count, &mut cursor)? {
                missing.remove(&entry.key);
            }
            if cursor.is_empty() {
                break;
            }
            // Others come and go, so that tables grow and shrink under the scan; what stays is also overwritten. There is an
            // end to it, as a scan may bring what is new.
            for _ in 0..per_step {
                written += 1;
                if written > 5 * STAY {
                    break;
                }
                t.store(&other(written * 7 % 1000), b"comes")?;
                t.remove(&other(written * 3 % 1000))?;
                t.remove(&other(written))?;
                t.store(&key(written % STAY), b"overwritten, with a longer value")?;
            }
        }
        if let Some(missed) = missing.first() {
            let (len, key) = (missing.len(), shorten(missed));
            return Err(Stop::Failed(format!(
                "a scan in steps of {count} missed {len} of {STAY} that stayed: {key}"
            )));
        }
    }
    Ok(())
}

fn deleting_what_came(t: &Trial<'_>) -> Check {
    t.needs_symbol("kv_scan")?;
    for i in 0..300 {
        t.store(&key(i), b"v")?;
    }
    let (mut came, mut cursor) = (BTreeSet::new(), Vec::new());
    for step in 0.. {
        ensure!(step < STEPS_MAX, "a scan did not end in {step} steps");
        for entry in t.scan_step(0, 5, &mut cursor)? {
            t.remove(&entry.key)?;
            came.insert(entry.key);
        }
        if cursor.is_empty() {
            break;
        }
    }
    ensure!(came.len() == 300, "{} of 300 entries came while each was deleted as it came", came.len());
    let left = t.everything(0, 10)?.len();
    ensure!(left == 0, "{left} entries are left");
    Ok(())
}

fn cursors_hold_no_resources(t: &Trial<'_>) -> Check {
    t.needs_symbol("kv_scan")?;
    for i in 0..100 {
        t.store(&key(i), b"v")?;
    }
    // The cursors of a whole scan, each with what came in its step.
    let (mut cursor, mut steps) = (Vec::new(), Vec::new());
    for step in 0.. {
        ensure!(step < STEPS_MAX, "a scan did not end in {step} steps");
        let begin = cursor.clone();
        let came: Vec<_> = t.scan_step(0, 10, &mut cursor)?.into_iter().map(|entry| entry.key).collect();
        steps.push((begin, came));
        if cursor.is_empty() {
            break;
        }
    }
    t.store(b"more", b"v")?;
    for (index, (cursor, _)) in steps.iter().enumerate().rev() {
        let before = steps.iter().take(index).flat_map(|(_, came)| came.iter().cloned());
        let (mut cursor, mut all): (_, BTreeSet<_>) = (cursor.clone(), before.collect());
        for step in 0.. {
            ensure!(step < STEPS_MAX, "a scan did not end in {step} steps");
            all.extend(t.scan_step(0, 10, &mut cursor)?.into_iter().map(|entry| entry.key));
            if cursor.is_empty() {
                break;
            }
        }
        let missed = (0..100).map(key).find(|key| !all.contains(key));
        if let Some(missed) = missed {
            return Err(Stop::Failed(format!("a scan that was taken up again misses {}", shorten(&missed))));
        }
    }
    Ok(())
}

fn garbage_cursor_does_no_harm(t: &Trial<'_>) -> Check {
    t.needs_symbol("kv_scan")?;
    for i in 0..20 {
        t.store(&key(i), b"v")?;
    }
    let lens = (1..=20).chain([64, 1000, KV_CURSOR_LEN_MAX as usize - 1, KV_CURSOR_LEN_MAX as usize]);
    for len in lens {
        for byte in [0, 1, b'k', 0x80, 0xFF] {
            let mut cursor = vec![byte; len];
            let scanned = t.instance.session().scan(0, 0, 10, &mut cursor, |_| {});
            if let Err(error) = scanned {
                ensure!(error.status == Status::INVALID, "a cursor of {len} times {byte:#x}: {error}");
            }
        }
    }
    ensure!(t.everything(0, 10)?.len() == 20, "a scan misses entries after one from a cursor that is none");
    Ok(())
}

fn forged_cursors_do_no_harm(t: &Trial<'_>) -> Check {
    t.needs_symbol("kv_scan")?;
    for i in 0..100 {
        t.store(&key(i), b"v")?;
    }
    let mut random = Random::new(7);
    let mut forged: Vec<Vec<u8>> = Vec::new();
    for len in 1..=8 {
        forged.extend((0..100).map(|_| (0..len).map(|_| random.below(256) as u8).collect()));
    }
    let mut genuine = Vec::new();
    t.scan_step(0, 10, &mut genuine)?;
    for place in 0..genuine.len().min(16) {
        for byte in [0, 1, 0x7F, 0x80, 0xFF] {
            let mut changed = genuine.clone();
            changed[place] ^= byte;
            forged.push(changed);
        }
        forged.push(genuine[..place].to_vec());
    }
    for start in forged {
        let mut cursor = start.clone();
        // A few steps: what the engine makes of it must be a cursor too.
        for step in 0..3 {
            match t.instance.session().scan(0, 0, 7, &mut cursor, |_| {}) {
                Ok(()) if cursor.is_empty() => break,
                Ok(()) => {}
                Err(error) if step == 0 && error.status == Status::INVALID => {
                    ensure!(!error.text.is_empty(), "INVALID came without a text");
                    break;
                }
                Err(error) => {
                    return Err(Stop::Failed(format!("step {step} from the cursor {start:02x?}: {error}")));
                }
            }
        }
    }
    ensure!(t.everything(0, 10)?.len() == 100, "a scan misses entries after one from a cursor that is none");
    Ok(())
}

fn long_values_end_a_step(t: &Trial<'_>) -> Check {
    t.needs_symbol("kv_scan")?;
    let len = t.subject.identity.value_len_max.min(256 << 10) as usize;
    if len < 1 << 10 {
        return Err(Stop::Skipped("no value is longer than 1023 bytes".to_owned()));
    }
    // Far more than a step may lend.
    let entries = (12 << 20) / len;
    let value = vec![b'x'; len];
    for i in 0..entries {
        t.store(&key(i), &value)?;
    }
    let (mut cursor, mut came) = (Vec::new(), BTreeSet::new());
    for step in 0.. {
        ensure!(step < STEPS_MAX, "a scan did not end in {step} steps");
        let mut lent = 0;
        t.instance.session().scan(0, 0, u32::MAX, &mut cursor, |entry| {
            lent += entry.value.len;
            // SAFETY: the engine lends the entry for this call.
            came.insert(unsafe { entry.key.as_slice() }.to_vec());
        })?;
        // "About": a last value, and whatever shares a bucket with it.
        ensure!(lent <= 4 << 20, "one step lent {lent} bytes of values");
        if cursor.is_empty() {
            break;
        }
    }
    ensure!(came.len() == entries, "{} of {entries} long values came", came.len());
    Ok(())
}

fn scan_of_other_keyspace_is_refused(t: &Trial<'_>) -> Check {
    t.needs_symbol("kv_scan")?;
    let scanned = t.instance.session().scan(4_000_000_000, 0, 10, &mut Vec::new(), |_| {});
    refused(scanned, "kv_scan of keyspace 4000000000", Status::UNSUPPORTED)
}

fn unknown_scan_flag_is_refused(t: &Trial<'_>) -> Check {
    t.needs_symbol("kv_scan")?;
    let scanned = t.instance.session().scan(0, UNKNOWN_FLAG, 10, &mut Vec::new(), |_| {});
    refused(scanned, "kv_scan with an unknown flag", Status::INVALID)
}

fn count_counts(t: &Trial<'_>) -> Check {
    t.needs_symbol("kv_count")?;
    let counts = |wanted: u64| {
        let found = t.instance.session().count(0)?;
        ensure!(found == wanted, "kv_count: found {found}, wanted {wanted}");
        Ok(())
    };
    counts(0)?;
    for i in 0..50 {
        t.store(&key(i), b"v")?;
        t.store(&key(i), b"again")?;
    }
    counts(50)?;
    for i in 0..20 {
        t.remove(&key(i))?;
        t.remove(&key(i))?;
    }
    counts(30)
}

fn clear_removes_everything(t: &Trial<'_>) -> Check {
    t.needs_symbol("kv_clear")?;
    for _ in 0..3 {
        for i in 0..50 {
            t.store(&key(i), b"v")?;
        }
        t.instance.session().clear(0)?;
        for i in 0..50 {
            t.finds(&key(i), None)?;
        }
        if t.has_symbol("kv_count") {
            let left = t.instance.session().count(0)?;
            ensure!(left == 0, "kv_count after kv_clear: {left}");
        }
        if t.has_symbol("kv_scan") {
            let left = t.everything(0, 10)?.len();
            ensure!(left == 0, "a scan after kv_clear brings {left} entries");
        }
    }
    t.instance.session().clear(0)?;
    Ok(())
}

fn whole_store_calls_refuse_other_keyspaces(t: &Trial<'_>) -> Check {
    let (counts, clears) = (t.has_symbol("kv_count"), t.has_symbol("kv_clear"));
    if !counts && !clears {
        return Err(Stop::Skipped("no kv_count, no kv_clear".to_owned()));
    }
    t.store(b"k", b"v")?;
    let space = 4_000_000_000;
    if counts {
        let counted = t.instance.session().count(space).map(|_| ());
        refused(counted, "kv_count of keyspace 4000000000", Status::UNSUPPORTED)?;
    }
    if clears {
        let cleared = t.instance.session().clear(space);
        refused(cleared, "kv_clear of keyspace 4000000000", Status::UNSUPPORTED)?;
    }
    t.finds(b"k", Some(b"v"))
}

fn stats_are_well_formed(t: &Trial<'_>) -> Check {
    t.needs_symbol("kv_stats")?;
    let figures = || -> Result<BTreeMap<String, (u32, i64)>, Stop> {
        let (mut figures, mut twice) = (BTreeMap::new(), None);
        t.instance.session().stats(|stat| {
            // SAFETY: the engine lends the name for this call.
            let name = String::from_utf8_lossy(unsafe { stat.name.as_slice() }).into_owned();
            if figures.insert(name.clone(), (stat.kind, stat.number)).is_some() {
                twice = Some(name);
            }
        })?;
        ensure!(twice.is_none(), "the name {twice:?} came twice");
        Ok(figures)
    };
    let before = figures()?;
    t.store(b"k", b"v")?;
    t.finds(b"k", Some(b"v"))?;
    let after = figures()?;
    for (name, (kind, number)) in &after {
        let clean = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        ensure!(
            name.starts_with(|c: char| c.is_ascii_lowercase()) && name.chars().all(clean),
            "name {name:?}"
        );
        ensure!((KV_STAT_COUNTER..=KV_STAT_TEXT).contains(kind), "{name} is of the kind {kind}");
        if let (KV_STAT_COUNTER, Some((_, before))) = (*kind, before.get(name)) {
            ensure!(number >= before, "the counter {name} went from {before} to {number}");
        }
    }
    Ok(())
}

fn sync_works(t: &Trial<'_>) -> Check {
    if t.has(KV_CAP_DURABLE) {
        ensure!(t.has_symbol("kv_sync"), "DURABLE without kv_sync");
    }
    t.needs_symbol("kv_sync")?;
    t.instance.session().sync()?;
    t.store(b"k", b"v")?;
    t.instance.session().sync()?;
    t.finds(b"k", Some(b"v"))
}

fn refused(done: Result<(), crate::calls::CallError>, what: &str, wanted: Status) -> Check {
    let Err(error) = done else { return Err(Stop::Failed(format!("{what}: found OK, wanted {wanted}"))) };
    ensure!(error.status == wanted, "{what}: found {error}, wanted {wanted}");
    ensure!(!error.text.is_empty(), "{what}: {wanted} came without a text");
    Ok(())
}

fn key(i: usize) -> Vec<u8> {
    format!("key:{i}").into_bytes()
}

/// Keys that come and go, on both sides of those that stay where keys are in order.
fn other(i: usize) -> Vec<u8> {
    format!("{}:{i}", if i.is_multiple_of(2) { "a" } else { "z" }).into_bytes()
}
