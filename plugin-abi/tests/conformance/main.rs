//! The conformance suite passes on sound engines, great and small, and each of its rules is seen to catch one that breaks it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may stop at the first surprise")]

mod c;
mod faults;
mod reference;
mod sparse;
mod store;

use std::ffi::{CStr, c_void};
use std::fs;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use plugin_abi::calls::Calls;
use plugin_abi::conformance::{self, Case, Outcome, PATIENCE_MS, Subject};
use plugin_abi::raw::{
    KV_CAP_ADOPT, KV_CAP_ATOMIC, KV_CAP_EXPIRY, KV_CAP_FREEZE, KV_CAP_SCRATCH, KV_CAP_THREAD_SAFE,
    KV_CAP_TYPES, KV_CAP_VERSIONS, KvEngine, KvError, KvIdentity, KvOpenArgs,
};
use plugin_abi::{Identity, conformance::CapabilityKind};
use reference::*;

/// How the reference engine is to be changed for a run.
struct Change<'a> {
    options: &'a [(&'a str, &'a str)],
    /// Bits that it no longer says.
    without: u64,
    /// Symbols that it no longer has.
    hidden: &'a [&'a CStr],
    /// Symbols that something else answers for.
    replaced: &'a [(&'a CStr, *const c_void)],
    patience_ms: u64,
}

const NO_CHANGE: Change<'_> =
    Change { options: &[], without: 0, hidden: &[], replaced: &[], patience_ms: PATIENCE_MS };

fn address(name: &CStr) -> *const c_void {
    match name.to_bytes() {
        b"kv_open" => open as *const c_void,
        b"kv_close" => kv_close as *const c_void,
        b"kv_get" => kv_get as *const c_void,
        b"kv_set" => kv_set as *const c_void,
        b"kv_delete" => kv_delete as *const c_void,
        b"kv_update" => kv_update as *const c_void,
        b"kv_submit" => kv_submit as *const c_void,
        b"kv_cancel" => kv_cancel as *const c_void,
        b"kv_scan" => kv_scan as *const c_void,
        b"kv_random" => kv_random as *const c_void,
        b"kv_count" => kv_count as *const c_void,
        b"kv_stats" => kv_stats as *const c_void,
        b"kv_clear" => kv_clear as *const c_void,
        b"kv_sync" => kv_sync as *const c_void,
        b"kv_sequence" => kv_sequence as *const c_void,
        b"kv_handoff_prepare" => kv_handoff_prepare as *const c_void,
        b"kv_handoff_give" => kv_handoff_give as *const c_void,
        b"kv_handoff_commit" => kv_handoff_commit as *const c_void,
        b"kv_handoff_abort" => kv_handoff_abort as *const c_void,
        _ => std::ptr::null(),
    }
}

/// Opens an instance, and takes away the panic hook that it has set: in here it is also that of the tests.
unsafe extern "C" fn open(args: *const KvOpenArgs, engine: *mut *mut KvEngine, error: *mut KvError) -> i32 {
    // SAFETY: as the caller promises to kv_open.
    let status = unsafe { kv_open(args, engine, error) };
    drop(std::panic::take_hook());
    status
}

fn side_by_side(all: &[&(dyn Fn() + Sync)]) {
    thread::scope(|scope| {
        for one in all {
            scope.spawn(one);
        }
    });
}

/// Lets a closure work with a way to make empty directories.
fn with_scratch<T>(run: impl FnOnce(&(dyn Fn() -> String + Sync)) -> T) -> T {
    let home = tempfile::tempdir().unwrap();
    let next = AtomicU32::new(0);
    run(&|| {
        let dir = home.path().join(next.fetch_add(1, Ordering::Relaxed).to_string());
        fs::create_dir(&dir).unwrap();
        dir.to_str().unwrap().to_owned()
    })
}

/// Lets a closure work with the changed engine.
fn with_subject<T>(change: &Change<'_>, run: impl FnOnce(&Subject<'_>) -> T) -> T {
    let lookup = |name: &CStr| match change.replaced.iter().find(|(replaced, _)| *replaced == name) {
        Some((_, address)) => *address,
        None if change.hidden.contains(&name) => std::ptr::null(),
        None => address(name),
    };
    // SAFETY: a constant of this library, read as bytes.
    let bytes =
        unsafe { std::slice::from_raw_parts((&raw const kv_abi).cast::<u8>(), size_of::<KvIdentity>()) };
    let mut identity = Identity::parse(bytes).unwrap();
    identity.capabilities &= !change.without;
    let capabilities = ("capabilities".to_owned(), identity.capabilities.to_string());
    let more = change.options.iter().map(|(key, value)| (key.to_string(), value.to_string()));
    with_scratch(|scratch_dir| {
        run(&Subject {
            // SAFETY: functions of this program, of the right types.
            calls: unsafe { Calls::resolve(lookup) }.unwrap(),
            identity,
            options: std::iter::once(capabilities).chain(more).collect(),
            scratch_dir,
            parallel: &side_by_side,
            patience_ms: change.patience_ms,
        })
    })
}

/// Runs the whole suite, wants no failure, and answers the names of what was skipped.
fn passes(change: &Change<'_>) -> Vec<String> {
    skipped_of(&with_subject(change, conformance::run))
}

fn skipped_of(cases: &[Case]) -> Vec<String> {
    let failed: Vec<_> = cases.iter().filter(|case| matches!(case.outcome, Outcome::Failed(_))).collect();
    assert!(failed.is_empty(), "{failed:#?}");
    let skipped = cases.iter().filter(|case| matches!(case.outcome, Outcome::Skipped(_)));
    skipped.map(|case| format!("{}/{}", case.group, case.name)).collect()
}

/// Runs one test, by its name.
fn run_one(change: &Change<'_>, name: &str) -> Case {
    let test = conformance::tests().find(|test| test.name == name).unwrap();
    with_subject(change, |subject| test.run(subject))
}

#[test]
fn a_sound_engine_passes() {
    let skipped = passes(&NO_CHANGE);
    let of_lesser_engines = [
        "expiry/without_the_capability_it_is_refused",
        "versions/without_the_capability_they_are_refused",
        "update/unsupported_expiry_changes_nothing",
        "update/unsupported_type_changes_nothing",
        "atomic/without_the_capability_it_is_refused",
    ];
    assert_eq!(skipped, of_lesser_engines);
}

#[test]
fn an_engine_that_completes_later_passes() {
    passes(&Change { options: &[("late", "true")], ..NO_CHANGE });
}

#[test]
fn an_engine_that_is_not_thread_safe_passes() {
    passes(&Change { without: KV_CAP_THREAD_SAFE, ..NO_CHANGE });
}

#[test]
fn an_engine_with_the_required_symbols_alone_passes() {
    let optional = [
        c"kv_update",
        c"kv_submit",
        c"kv_cancel",
        c"kv_scan",
        c"kv_random",
        c"kv_count",
        c"kv_stats",
        c"kv_clear",
        c"kv_sync",
        c"kv_sequence",
        c"kv_handoff_prepare",
    ];
    let skipped = passes(&Change { without: !KV_CAP_SCRATCH, hidden: &optional, ..NO_CHANGE });
    assert!(skipped.contains(&"versions/versions_grow".to_owned()), "{skipped:?}");
    assert!(!skipped.iter().any(|name| name.starts_with("basics/")), "{skipped:?}");
}

#[test]
fn lesser_engines_pass() {
    passes(&Change { without: KV_CAP_VERSIONS | KV_CAP_ATOMIC, ..NO_CHANGE });
    passes(&Change { without: KV_CAP_EXPIRY, hidden: &[c"kv_update"], ..NO_CHANGE });
    passes(&Change { without: KV_CAP_ATOMIC | KV_CAP_EXPIRY, hidden: &[c"kv_scan"], ..NO_CHANGE });
    passes(&Change { without: KV_CAP_TYPES | KV_CAP_ADOPT, ..NO_CHANGE });
    passes(&Change { without: KV_CAP_FREEZE, ..NO_CHANGE });
}

#[test]
fn an_engine_that_is_full_early_passes() {
    for entries_max in ["1", "8", "20"] {
        let skipped = passes(&Change { options: &[("entries_max", entries_max)], ..NO_CHANGE });
        assert!(!skipped.iter().any(|name| name.starts_with("model/")), "{skipped:?}");
    }
}

#[test]
fn an_engine_that_sets_only_what_it_must_passes() {
    let replaced = [
        (c"kv_open", sparse::open as *const c_void),
        (c"kv_get", sparse::get as *const c_void),
        (c"kv_submit", sparse::submit as *const c_void),
    ];
    // A batch of this engine tells no expiry after an update, so it has none.
    passes(&Change { replaced: &replaced, without: KV_CAP_ATOMIC, hidden: &[c"kv_update"], ..NO_CHANGE });
}

#[test]
fn without_scratch_nothing_is_touched() {
    let cases = with_subject(&Change { without: KV_CAP_SCRATCH, ..NO_CHANGE }, conformance::run);
    assert!(cases.iter().all(|case| matches!(case.outcome, Outcome::Skipped(_))));
}

#[test]
fn capabilities_are_listed() {
    let change = Change { without: KV_CAP_ATOMIC, hidden: &[c"kv_sync"], ..NO_CHANGE };
    let table = with_subject(&change, |subject| {
        conformance::capabilities(&subject.calls.optional_symbols(), &subject.identity)
    });
    let present = |kind, name: &str| {
        table.iter().find(|line| line.kind == kind && line.name == name).map(|line| line.present)
    };
    assert_eq!(present(CapabilityKind::Symbol, "kv_scan"), Some(true));
    assert_eq!(present(CapabilityKind::Symbol, "kv_sync"), Some(false));
    assert_eq!(present(CapabilityKind::Bit, "EXPIRY"), Some(true));
    assert_eq!(present(CapabilityKind::Bit, "ATOMIC"), Some(false));
    assert!(table.iter().all(|line| !line.meaning.is_empty()));
    assert_eq!(table.len(), 15 + 13);
}

#[test]
fn names_of_tests_are_unique() {
    let mut names: Vec<_> = conformance::tests().map(|test| (test.group, test.name)).collect();
    names.sort();
    let before = names.len();
    names.dedup();
    assert_eq!(names.len(), before);
}
