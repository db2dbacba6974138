//! The conformance suite passes on a sound engine, and each of its rules is seen to catch an engine that breaks it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may stop at the first surprise")]

mod c;
mod reference;
mod sparse;
mod store;

use std::ffi::{CStr, c_void};
use std::fs;
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};
use std::thread;

use plugin_abi::calls::Calls;
use plugin_abi::conformance::{self, Case, Outcome, PATIENCE_MS, Subject};
use plugin_abi::raw::{
    KV_CAP_ADOPT, KV_CAP_ATOMIC, KV_CAP_EXPIRY, KV_CAP_FREEZE, KV_CAP_SCRATCH, KV_CAP_THREAD_SAFE,
    KV_CAP_TYPES, KV_CAP_VERSIONS, KV_OP_HINTS, KV_STATUS_INVALID, KV_STATUS_NOT_FOUND, KV_STATUS_OK,
    KV_STATUS_UNAVAILABLE, KvBatch, KvEngine, KvEntryFn, KvError, KvHost, KvIdentity, KvOp, KvOpenArgs,
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

/// Wants a test to fail, and its text to contain some words.
fn catches(change: &Change<'_>, name: &str, words: &str) {
    let case = run_one(change, name);
    let Outcome::Failed(text) = &case.outcome else { panic!("{name} does not see it: {case:?}") };
    assert!(text.contains(words), "{name} sees something else: {text}");
}

fn catches_fault(fault: &str, name: &str, words: &str) {
    // Without the fault the very same test passes, so it is the fault that it sees.
    assert_eq!(run_one(&NO_CHANGE, name).outcome, Outcome::Passed);
    catches(&Change { options: &[("fault", fault)], ..NO_CHANGE }, name, words);
}

/// As `catches`, for a fault that shows only when two threads meet: a few runs are enough.
fn catches_a_race(fault: &str, name: &str, words: &str) {
    assert_eq!(run_one(&NO_CHANGE, name).outcome, Outcome::Passed);
    let change = Change { options: &[("fault", fault)], ..NO_CHANGE };
    for _ in 0..100 {
        if let Outcome::Failed(text) = run_one(&change, name).outcome {
            assert!(text.contains(words), "{name} sees something else: {text}");
            return;
        }
    }
    panic!("{name} does not see {fault} in 100 runs");
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
fn an_engine_that_never_has_room_is_caught() {
    let change = Change { options: &[("entries_max", "0")], ..NO_CHANGE };
    catches(&change, "sets_gets_and_deletes", "SET in an empty store: FULL");
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
    assert_eq!(table.len(), 14 + 13);
}

#[test]
fn names_of_tests_are_unique() {
    let mut names: Vec<_> = conformance::tests().map(|test| (test.group, test.name)).collect();
    names.sort();
    let before = names.len();
    names.dedup();
    assert_eq!(names.len(), before);
}

#[test]
fn a_lost_delete_is_caught() {
    catches_fault("lost_delete", "sets_gets_and_deletes", "found what is not there");
    catches_fault("lost_delete", "single_operations_agree", "step");
}

#[test]
fn a_lost_write_is_caught() {
    catches_fault("lost_write", "many_keys", "the entry is lost");
    catches_fault("lost_write", "thousand_operations", "NOT_FOUND");
}

#[test]
fn an_ignored_expiry_is_caught() {
    catches_fault("ignored_expiry", "expired_is_never_seen", "found what is not there");
    catches_fault("ignored_expiry", "expired_is_never_scanned", "expired entries");
    catches_fault("ignored_expiry", "expired_is_absent_to_an_update", "was shown an expired entry");
}

#[test]
fn a_clock_of_its_own_is_caught() {
    catches_fault("own_clock", "expired_is_never_seen", "found what is not there");
}

#[test]
fn a_version_used_twice_is_caught() {
    catches_fault("reused_version", "delete_gives_no_version_back", "after a delete");
    catches_fault("reused_version", "clear_gives_no_version_back", "version 1 after 3");
    catches_fault("reused_version", "single_operations_agree", "was given before");
}

#[test]
fn an_ignored_expectation_is_caught() {
    catches_fault("ignored_expectation", "other_version_is_a_conflict", "wanted CONFLICT");
    catches_fault("ignored_expectation", "set_if_absent_is_won_once", "of 8 set a key that was absent");
}

#[test]
fn an_ignored_import_is_caught() {
    catches_fault("ignored_import", "import_stores_the_version", "IMPORT of version");
}

#[test]
fn a_value_lent_twice_is_caught() {
    catches_fault("lent_twice", "value_is_lent_once", "called the sink 2 times");
}

#[test]
fn an_ignored_flag_is_caught() {
    catches_fault("ignored_flags", "unknown_flag_is_refused", "wanted INVALID");
}

#[test]
fn a_flag_of_another_kind_is_caught() {
    catches_fault("ignored_flags", "flags_go_with_their_kinds", "with the flag 0x4: found OK");
}

#[test]
fn a_failure_without_a_text_is_caught() {
    catches_fault("mute", "unknown_flag_is_refused", "came without a text");
}

#[test]
fn an_expiry_below_zero_is_caught() {
    catches_fault("negative_expiry", "below_zero_is_refused", "wanted INVALID");
}

#[test]
fn an_import_of_no_version_is_caught() {
    catches_fault("any_import", "import_of_no_version_is_refused", "wanted INVALID");
}

#[test]
fn a_version_that_stays_with_equal_bytes_is_caught() {
    catches_fault("equal_keeps_version", "equal_bytes_are_a_change", "REPLACE with equal bytes told version");
}

#[test]
fn a_sequence_that_is_missing_lowered_or_endless_is_caught() {
    let hidden = Change { hidden: &[c"kv_sequence"], ..NO_CHANGE };
    catches(&hidden, "sequence_is_told", "VERSIONS without kv_sequence");
    catches_fault("lowered_sequence", "sequence_is_told", "tells 0 after version 1");
    catches_fault("lowered_sequence", "sequence_is_raised", "kv_sequence with 0 tells 0");
    catches_fault("endless_sequence", "sequence_has_an_end", "is OK");
}

#[test]
fn an_expectation_of_what_the_batch_wrote_is_caught() {
    catches_fault("late_expectation", "expectations_look_before_the_batch", "wanted OK");
    catches_fault("late_expectation", "atomic_batches_agree", "step");
}

#[test]
fn a_broken_decision_that_is_taken_is_caught() {
    catches_fault("lenient_decision", "broken_decisions_change_nothing", "wanted INVALID");
}

#[test]
fn a_type_that_is_dropped_or_taken_without_types_is_caught() {
    catches_fault("dropped_type", "type_and_flags", "wanted type 7");
    let change = Change { options: &[("fault", "ignored_flags")], without: KV_CAP_TYPES, ..NO_CHANGE };
    catches(&change, "type_and_flags", "wanted UNSUPPORTED");
}

#[test]
fn a_state_of_an_earlier_handoff_is_caught() {
    catches_fault("stale_adopt", "adopt_after_an_abort", "an older value");
}

#[test]
fn a_cursor_that_is_trusted_is_caught() {
    catches_fault("trusted_cursor", "forged_cursors_do_no_harm", "CORRUPT");
}

#[test]
fn a_step_that_lends_too_much_is_caught() {
    catches_fault("fat_scan", "long_values_end_a_step", "one step lent 12582912 bytes");
}

#[test]
fn a_handoff_without_its_bit_is_caught() {
    let change = Change { options: &[("fault", "takes_any_state")], without: KV_CAP_ADOPT, ..NO_CHANGE };
    catches(&change, "state_needs_the_capability", "took a state of the kind ADOPT");
    let change = Change { options: &[("fault", "any_handoff")], without: KV_CAP_FREEZE, ..NO_CHANGE };
    catches(&change, "kinds_need_their_capability", "a prepare for FREEZE");
}

unsafe extern "C" fn get_that_looks_around(
    engine: *mut KvEngine,
    op: *const KvOp,
    sink: KvEntryFn,
    ctx: *mut c_void,
    error: *mut KvError,
) -> i32 {
    // SAFETY: as the caller promises to kv_get.
    unsafe { if (*op).expiry_ms == 0 { kv_get(engine, op, sink, ctx, error) } else { KV_STATUS_NOT_FOUND } }
}

#[test]
fn a_look_at_fields_that_are_not_set_is_caught() {
    let replaced = [(c"kv_get", get_that_looks_around as *const c_void)];
    let change = Change { replaced: &replaced, ..NO_CHANGE };
    catches(&change, "only_the_fields_of_the_kind_are_looked_at", "after a SET: None");
}

unsafe extern "C" fn delete_that_refuses_hints(
    engine: *mut KvEngine,
    op: *const KvOp,
    error: *mut KvError,
) -> i32 {
    // SAFETY: as the caller promises to kv_delete.
    unsafe { if (*op).flags & KV_OP_HINTS == 0 { kv_delete(engine, op, error) } else { KV_STATUS_INVALID } }
}

#[test]
fn a_hint_that_is_refused_is_caught() {
    let replaced = [(c"kv_delete", delete_that_refuses_hints as *const c_void)];
    let change = Change { replaced: &replaced, ..NO_CHANGE };
    catches(&change, "hints_are_never_refused", "with the hint 0x1000000: found INVALID");
}

unsafe extern "C" fn delete_that_talks_too_much(
    engine: *mut KvEngine,
    op: *const KvOp,
    error: *mut KvError,
) -> i32 {
    // SAFETY: as the caller promises to kv_delete, and the suite's buffer is longer than it tells.
    unsafe {
        let status = kv_delete(engine, op, error);
        if let Some(error) = error.as_mut().filter(|error| error.capacity == 8) {
            error.text.write_bytes(b'x', 12);
        }
        status
    }
}

#[test]
fn an_error_text_beyond_its_room_is_caught() {
    let replaced = [(c"kv_delete", delete_that_talks_too_much as *const c_void)];
    let change = Change { replaced: &replaced, ..NO_CHANGE };
    catches(&change, "error_texts_keep_to_their_room", "room for 8 bytes: byte 12 was written");
}

unsafe extern "C" fn submit_that_fills_in_a_status(
    _: *mut KvEngine,
    batch: *mut KvBatch,
    _: *mut KvError,
) -> i32 {
    // SAFETY: as the caller promises to kv_submit; the services are valid while the engine is open.
    unsafe {
        for index in 0..(*batch).count {
            (*(*batch).result(index)).status = KV_STATUS_OK;
        }
        let host = NOTED.load(Ordering::SeqCst);
        ((*host).complete)((*host).ctx, batch, 0, (*batch).count);
        KV_STATUS_OK
    }
}

#[test]
fn a_result_with_fields_left_out_is_caught() {
    let replaced = [
        (c"kv_open", open_and_note as *const c_void),
        (c"kv_submit", submit_that_fills_in_a_status as *const c_void),
    ];
    let change = Change { replaced: &replaced, ..NO_CHANGE };
    catches(&change, "cancel_too_late_does_nothing", "a result is PINNED, and there is no kv_release");
}

#[test]
fn an_ignored_option_is_caught() {
    catches_fault("any_option", "unknown_option_is_refused", "was taken");
}

#[test]
fn a_patch_that_drops_the_expiry_is_caught() {
    catches_fault("patch_drops_expiry", "update_sets_and_keeps_expiry", "expiry: found Some(0)");
}

#[test]
fn a_patch_that_does_not_cut_is_caught() {
    catches_fault("patch_never_cuts", "patch_writes_in_place", "GET of \"k\"");
}

#[test]
fn the_wrong_order_in_a_batch_is_caught() {
    catches_fault("wrong_order", "same_key_in_order", "of its key");
    catches_fault("wrong_order", "batches_agree", "step");
}

#[test]
fn a_batch_of_half_is_caught() {
    catches_fault("half_batch", "conflict_aborts_all", "found what is not there");
    catches_fault("half_batch", "atomic_batches_agree", "step");
}

#[test]
fn a_scan_that_misses_after_a_delete_is_caught() {
    catches_fault("scan_by_position", "deleting_what_came", "of 300 entries came");
    catches_fault("scan_by_position", "entries_that_stay_are_not_missed", "that stayed");
}

#[test]
fn an_atomic_batch_in_pieces_is_caught() {
    catches_a_race("torn_batch", "transfers_keep_the_sum", "");
}

#[test]
fn an_update_in_pieces_is_caught() {
    catches_a_race("torn_update", "updates_add_up", "GET of \"n\"");
}

#[test]
fn an_adopt_that_loses_data_is_caught() {
    catches_fault("forgetful_adopt", "adopt_carries_everything", "the entry is lost");
}

#[test]
fn a_scan_without_an_end_is_caught() {
    catches_fault("endless_scan", "empty_store_has_no_entries", "did not end");
}

#[test]
fn a_clear_that_leaves_something_is_caught() {
    catches_fault("half_clear", "clear_removes_everything", "found what is not there");
}

#[test]
fn an_abort_that_loses_data_is_caught() {
    catches_fault("forgetful_abort", "abort_gives_everything_back", "the entry is lost");
}

#[test]
fn an_operation_that_is_never_completed_is_caught() {
    let change = Change { options: &[("fault", "never_completes")], patience_ms: 100, ..NO_CHANGE };
    catches(
        &change,
        "each_operation_is_completed_once",
        "not completed within 100 ms: 1 of 1 operations (0)",
    );
    catches(
        &change,
        "close_completes_everything",
        "kv_close returned while 200 operations were not completed",
    );
}

/// The host's services of the instance that `open_and_note` opened.
static NOTED: AtomicPtr<KvHost> = AtomicPtr::new(std::ptr::null_mut());

unsafe extern "C" fn open_and_note(
    args: *const KvOpenArgs,
    engine: *mut *mut KvEngine,
    error: *mut KvError,
) -> i32 {
    // SAFETY: as the caller promises to kv_open.
    unsafe {
        NOTED.store((*args).host.cast_mut(), Ordering::SeqCst);
        open(args, engine, error)
    }
}

unsafe extern "C" fn submit_and_complete_again(
    engine: *mut KvEngine,
    batch: *mut KvBatch,
    error: *mut KvError,
) -> i32 {
    // SAFETY: as the caller promises to kv_submit; the services are valid while the engine is open.
    unsafe {
        let status = kv_submit(engine, batch, error);
        let host = NOTED.load(Ordering::SeqCst);
        ((*host).complete)((*host).ctx, batch, 0, 1);
        status
    }
}

unsafe extern "C" fn submit_then_refuse(
    engine: *mut KvEngine,
    batch: *mut KvBatch,
    error: *mut KvError,
) -> i32 {
    // SAFETY: as the caller promises to kv_submit.
    unsafe { kv_submit(engine, batch, error) };
    KV_STATUS_UNAVAILABLE
}

#[test]
fn an_operation_that_is_completed_twice_is_caught() {
    let replaced = [
        (c"kv_open", open_and_note as *const c_void),
        (c"kv_submit", submit_and_complete_again as *const c_void),
    ];
    let change = Change { replaced: &replaced, ..NO_CHANGE };
    catches(
        &change,
        "each_operation_is_completed_once",
        "operation 0 of a batch was completed more than once",
    );
}

#[test]
fn a_batch_that_is_refused_and_carried_out_is_caught() {
    let replaced = [(c"kv_submit", submit_then_refuse as *const c_void)];
    let change = Change { replaced: &replaced, ..NO_CHANGE };
    catches(&change, "each_operation_is_completed_once", "of a batch that kv_submit refused were completed");
}
