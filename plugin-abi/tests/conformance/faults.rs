//! Faults: each rule of the suite is seen to catch an engine that breaks it.

use std::ffi::c_void;
use std::sync::atomic::{AtomicPtr, Ordering};

use plugin_abi::conformance::Outcome;
use plugin_abi::raw::*;

use crate::reference::{kv_delete, kv_get, kv_submit};
use crate::{Change, NO_CHANGE, open, run_one};

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
fn an_engine_that_never_has_room_is_caught() {
    let change = Change { options: &[("entries_max", "0")], ..NO_CHANGE };
    catches(&change, "sets_gets_and_deletes", "SET in an empty store: FULL");
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
fn linked_updates_that_are_called_out_of_order_or_torn_apart_are_caught() {
    catches_fault("wrong_order", "linked_updates_are_called_in_order", "GET of");
    catches_a_race("torn_batch", "linked_updates_carry_an_entry", "is found in");
}

#[test]
fn a_choice_that_is_not_random_or_brings_the_expired_is_caught() {
    catches_fault("same_random", "each_entry_is_about_as_likely", "was chosen");
    catches_fault("ignored_expiry", "expired_is_never_chosen", "beside expired entries");
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
