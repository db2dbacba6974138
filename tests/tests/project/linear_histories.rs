//! Linear: histories written by hand, each with the one answer that it must get.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may stop at the first surprise")]

use tests::linear::{Call, Entry, History, Limits, Op, Outcome, Undecided, Verdict, check, check_with};

/// An operation on the key "k" from `begin` to `end`.
fn on_k(begin: u64, end: u64, op: Op, outcome: Outcome) -> Entry {
    on("k", begin, end, op, outcome)
}

fn on(key: &str, begin: u64, end: u64, op: Op, outcome: Outcome) -> Entry {
    Entry { client: 1, call: Call::One((key.into(), op)), invoked_ns: begin, reply: Some((end, outcome)) }
}

fn multi(begin: u64, end: u64, parts: Vec<(&str, Op)>, outcomes: Vec<Outcome>) -> Entry {
    let call = Call::Multi(parts.into_iter().map(|(key, op)| (key.into(), op)).collect());
    Entry { client: 2, call, invoked_ns: begin, reply: Some((end, Outcome::Multi(outcomes))) }
}

fn unanswered(begin: u64, op: Op) -> Entry {
    on_k(begin, u64::MAX, op, Outcome::Unknown)
}

fn bytes(text: &str) -> Vec<u8> {
    text.into()
}

fn set(text: &str) -> Op {
    Op::Set(bytes(text))
}

fn setnx(text: &str) -> Op {
    Op::SetNx(bytes(text))
}

fn value(text: &str) -> Outcome {
    Outcome::Value(Some(bytes(text)))
}

const NIL: Outcome = Outcome::Value(None);

fn history(entries: &[Entry]) -> History {
    let mut history = History::new();
    for entry in entries {
        history.push(entry.clone()).unwrap();
    }
    history
}

#[track_caller]
fn accepted(entries: &[Entry]) {
    let verdict = check(&history(entries));
    assert!(verdict.is_ok(), "{verdict}");
}

#[track_caller]
fn refused(culprit: usize, entries: &[Entry]) {
    let verdict = check(&history(entries));
    let violation = verdict.violation().unwrap_or_else(|| panic!("accepted, or not decided: {verdict}"));
    assert_eq!(violation.culprit, entries[culprit], "{verdict}");
}

#[test]
fn nothing_is_linearizable() {
    accepted(&[]);
}

#[test]
fn a_lost_write_is_refused() {
    refused(1, &[on_k(0, 1, set("a"), Outcome::Done), on_k(2, 3, Op::Get, NIL)]);
    accepted(&[on_k(0, 1, set("a"), Outcome::Done), on_k(2, 3, Op::Get, value("a"))]);
}

#[test]
fn a_stale_read_is_refused() {
    let writes = [on_k(0, 1, set("a"), Outcome::Done), on_k(2, 3, set("b"), Outcome::Done)];
    refused(2, &[&writes[..], &[on_k(4, 5, Op::Get, value("a"))]].concat());
    accepted(&[&writes[..], &[on_k(1, 5, Op::Get, value("a"))]].concat());
}

#[test]
fn two_reads_may_not_go_back_in_time() {
    let write = [on_k(0, 1, set("a"), Outcome::Done), on_k(10, 90, set("b"), Outcome::Done)];
    let new_then_old = [on_k(20, 30, Op::Get, value("b")), on_k(40, 50, Op::Get, value("a"))];
    refused(3, &[&write[..], &new_then_old].concat());
    let old_then_new = [on_k(20, 30, Op::Get, value("a")), on_k(40, 50, Op::Get, value("b"))];
    accepted(&[&write[..], &old_then_new].concat());
    let side_by_side = [on_k(20, 45, Op::Get, value("b")), on_k(40, 50, Op::Get, value("a"))];
    accepted(&[&write[..], &side_by_side].concat());
}

#[test]
fn equal_times_leave_operations_concurrent() {
    accepted(&[on_k(0, 5, set("a"), Outcome::Done), on_k(5, 9, Op::Get, NIL)]);
    refused(1, &[on_k(0, 5, set("a"), Outcome::Done), on_k(6, 9, Op::Get, NIL)]);
    accepted(&[on_k(5, 5, Op::Incr(1), Outcome::Int(2)), on_k(5, 5, Op::Incr(1), Outcome::Int(1))]);
}

#[test]
fn an_increment_applied_twice_is_refused() {
    refused(1, &[on_k(0, 1, Op::Incr(1), Outcome::Int(1)), on_k(2, 3, Op::Incr(1), Outcome::Int(3))]);
    // Two clients at once that are told the same sum.
    let both = [on_k(0, 5, Op::Incr(1), Outcome::Int(1)), on_k(1, 6, Op::Incr(1), Outcome::Int(1))];
    refused(1, &both);
}

#[test]
fn an_increment_of_what_is_no_integer_must_be_refused_by_the_store() {
    accepted(&[on_k(0, 1, set("a"), Outcome::Done), on_k(2, 3, Op::Incr(1), Outcome::NotAnInteger)]);
    refused(1, &[on_k(0, 1, set("7"), Outcome::Done), on_k(2, 3, Op::Incr(1), Outcome::NotAnInteger)]);
    refused(1, &[on_k(0, 1, set("07"), Outcome::Done), on_k(2, 3, Op::Incr(1), Outcome::Int(8))]);
    accepted(&[
        on_k(0, 1, Op::Incr(i64::MAX), Outcome::Int(i64::MAX)),
        on_k(2, 3, Op::Incr(1), Outcome::WouldOverflow),
        on_k(4, 5, Op::Get, value("9223372036854775807")),
    ]);
}

#[test]
fn two_set_if_absent_may_not_both_win() {
    let race = |first, second| {
        [on_k(0, 5, setnx("a"), Outcome::Flag(first)), on_k(1, 6, setnx("b"), Outcome::Flag(second))]
    };
    refused(1, &race(true, true));
    refused(0, &race(false, false));
    accepted(&race(true, false));
    accepted(&race(false, true));
    accepted(&[&race(true, true)[..], &[on_k(2, 3, Op::Del, Outcome::Flag(true))]].concat());
}

#[test]
fn delete_and_get_delete_take_a_value_once() {
    let write = on_k(0, 1, set("a"), Outcome::Done);
    let taken = |begin, end| on_k(begin, end, Op::GetDel, value("a"));
    refused(2, &[write.clone(), taken(2, 5), taken(3, 6)]);
    accepted(&[write.clone(), taken(2, 5), on_k(3, 6, Op::GetDel, NIL)]);
    accepted(&[write.clone(), taken(2, 5), on_k(3, 6, Op::Del, Outcome::Flag(false))]);
    refused(2, &[write, on_k(2, 5, Op::Del, Outcome::Flag(true)), on_k(3, 6, Op::Del, Outcome::Flag(true))]);
}

#[test]
fn appended_bytes_stand_in_the_order_of_the_lengths() {
    let appends = [
        on_k(0, 9, Op::Append(bytes("aa")), Outcome::Int(3)),
        on_k(0, 9, Op::Append(bytes("b")), Outcome::Int(1)),
    ];
    accepted(&[&appends[..], &[on_k(10, 11, Op::Get, value("baa"))]].concat());
    refused(2, &[&appends[..], &[on_k(10, 11, Op::Get, value("aab"))]].concat());
}

#[test]
fn a_reply_of_the_wrong_kind_is_refused() {
    refused(0, &[on_k(0, 1, Op::Get, Outcome::Int(0))]);
    refused(0, &[on_k(0, 1, Op::Get, Outcome::Multi(vec![NIL]))]);
    refused(0, &[multi(0, 1, vec![("a", Op::Get)], vec![])]);
    refused(0, &[multi(0, 1, vec![("a", Op::Get)], vec![NIL, NIL])]);
    let mut plain = multi(0, 1, vec![("a", Op::Get)], vec![]);
    plain.reply = Some((1, NIL));
    refused(0, &[plain]);
}

#[test]
fn a_reply_before_its_invocation_is_no_entry() {
    let mut history = History::new();
    let error = history.push(on_k(5, 4, Op::Get, NIL)).unwrap_err();
    assert_eq!(error.to_string(), "an operation invoked at 5 ns cannot have its reply at 4 ns");
    assert!(history.is_empty());
}

#[test]
fn an_operation_that_failed_has_no_effect() {
    refused(1, &[on_k(0, 1, set("a"), Outcome::Failed), on_k(2, 3, Op::Get, value("a"))]);
    accepted(&[on_k(0, 1, set("a"), Outcome::Failed), on_k(2, 3, Op::Get, NIL)]);
}

#[test]
fn an_operation_without_reply_may_take_effect_once_late_or_never() {
    let lost = unanswered(0, Op::Incr(1));
    let read = |at, number: &str| on_k(at, at + 1, Op::Get, value(number));
    let one = on_k(10, 11, Op::Incr(1), Outcome::Int(1));
    let two = on_k(10, 11, Op::Incr(1), Outcome::Int(2));
    accepted(&[lost.clone(), one.clone(), read(20, "1"), read(90, "1")]); // never
    accepted(&[lost.clone(), one.clone(), read(20, "1"), read(90, "2")]); // late
    accepted(&[lost.clone(), two.clone(), read(20, "2")]); // at once
    refused(3, &[lost.clone(), two.clone(), read(20, "2"), read(90, "3")]); // twice
    accepted(&[lost.clone(), lost.clone(), two.clone(), read(20, "2"), read(90, "3")]);
    refused(3, &[lost.clone(), one, read(20, "2"), read(90, "1")]); // taken back
    refused(0, &[two, unanswered(12, Op::Incr(1))]); // before it was asked for
}

#[test]
fn a_write_without_reply_may_win_over_a_later_one() {
    let entries = [
        unanswered(0, set("lost")),
        on_k(1, 2, set("a"), Outcome::Done),
        on_k(3, 4, Op::Get, value("a")),
        on_k(5, 6, set("b"), Outcome::Done),
        on_k(7, 8, Op::Get, value("lost")),
    ];
    accepted(&entries);
    refused(5, &[&entries[..], &[on_k(9, 10, Op::Get, value("b"))]].concat());
}

#[test]
fn what_is_left_of_operations_without_reply_decides_later() {
    // Either of the two may have written the "x" that is read first; only the other one is left for the second read.
    let entries = [
        unanswered(0, set("x")),
        unanswered(0, Op::Append(bytes("x"))),
        on_k(10, 11, Op::Get, value("x")),
        on_k(12, 13, set("y"), Outcome::Done),
    ];
    accepted(&[&entries[..], &[on_k(14, 15, Op::Get, value("yx"))]].concat());
    accepted(&[&entries[..], &[on_k(14, 15, Op::Get, value("x"))]].concat());
    let both = [on_k(14, 15, Op::Get, value("yx")), on_k(16, 17, Op::Get, value("x"))];
    refused(5, &[&entries[..], &both].concat());
}

#[test]
fn keys_are_apart_unless_a_transaction_ties_them() {
    accepted(&[on("a", 0, 1, set("1"), Outcome::Done), on("b", 2, 3, Op::Get, NIL)]);
    let torn = [
        multi(0, 1, vec![("a", set("1")), ("b", set("1"))], vec![Outcome::Done, Outcome::Done]),
        multi(2, 9, vec![("a", set("2")), ("b", set("2"))], vec![Outcome::Done, Outcome::Done]),
        multi(3, 8, vec![("b", Op::Get), ("a", Op::Get)], vec![value("1"), value("2")]),
    ];
    refused(2, &torn);
    let verdict = check(&history(&torn));
    assert_eq!(verdict.violation().unwrap().keys, [bytes("a"), bytes("b")]);
    // The same two reads on their own may see one key before and one key after the transaction.
    accepted(
        &[&torn[..2], &[on("b", 3, 4, Op::Get, value("1")), on("a", 5, 6, Op::Get, value("2"))]].concat(),
    );
    // But then not the other way round.
    refused(
        3,
        &[&torn[..2], &[on("b", 3, 4, Op::Get, value("2")), on("a", 5, 6, Op::Get, value("1"))]].concat(),
    );
}

#[test]
fn nothing_comes_between_the_parts_of_a_transaction() {
    let first = multi(0, 1, vec![("a", set("1")), ("b", set("1"))], vec![Outcome::Done, Outcome::Done]);
    let both = |one, other| {
        let parts = vec![("a", Op::Incr(1)), ("b", Op::Incr(1))];
        multi(2, 9, parts, vec![Outcome::Int(one), Outcome::Int(other)])
    };
    let read = |key, at, text| on(key, at, at + 1, Op::Get, value(text));
    // Who has seen its first part sees the second.
    accepted(&[first.clone(), both(2, 2), read("a", 3, "2"), read("b", 5, "2")]);
    refused(3, &[first.clone(), both(2, 2), read("a", 3, "2"), read("b", 5, "1")]);
    // What another one writes to both while it runs comes before both parts or behind them.
    let write = |key, at, sum| on(key, at, at + 1, Op::Incr(1), Outcome::Int(sum));
    accepted(&[first.clone(), both(3, 3), write("a", 3, 2), write("b", 5, 2)]);
    accepted(&[first.clone(), both(2, 3), write("b", 3, 2), write("a", 5, 3)]);
    refused(2, &[first.clone(), both(2, 3), write("a", 3, 3), write("b", 5, 2)]);
    // Nor is there one between two parts on one key.
    let twice = |sums: [i64; 2]| {
        let parts = vec![("a", Op::Incr(1)), ("b", Op::Get), ("a", Op::Incr(1))];
        multi(2, 9, parts, vec![Outcome::Int(sums[0]), value("1"), Outcome::Int(sums[1])])
    };
    accepted(&[first.clone(), twice([3, 4]), write("a", 3, 2)]);
    refused(2, &[first, twice([2, 4]), write("a", 3, 3)]);
}

#[test]
fn a_transaction_sees_its_own_writes_and_may_be_lost_as_a_whole() {
    let own = vec![("a", Op::Incr(1)), ("b", set("x")), ("a", Op::Incr(1)), ("a", Op::Get)];
    accepted(&[multi(
        0,
        1,
        own.clone(),
        vec![Outcome::Int(1), Outcome::Done, Outcome::Int(2), Outcome::Value(Some(bytes("2")))],
    )]);
    let mut lost = multi(0, 1, own, vec![]);
    lost.reply = None;
    accepted(&[lost.clone(), on("a", 2, 3, Op::Get, value("2")), on("b", 4, 5, Op::Get, value("x"))]);
    accepted(&[lost.clone(), on("a", 2, 3, Op::Get, NIL), on("b", 4, 5, Op::Get, value("x"))]);
    refused(2, &[lost, on("a", 2, 3, Op::Get, value("2")), on("b", 4, 5, Op::Get, NIL)]);
}

#[test]
fn part_of_a_transaction_may_have_an_unknown_reply() {
    let half =
        multi(0, 1, vec![("a", Op::Incr(1)), ("b", Op::Incr(1))], vec![Outcome::Unknown, Outcome::Int(1)]);
    accepted(&[half.clone(), on("a", 2, 3, Op::Get, value("1"))]);
    refused(1, &[half, on("a", 2, 3, Op::Get, NIL)]);
}

#[test]
fn all_states_are_carried_over_a_quiet_point() {
    // Two writes side by side leave two possible states; reads long after tell which, and then it stays.
    let writes = [on_k(0, 9, set("a"), Outcome::Done), on_k(1, 8, set("b"), Outcome::Done)];
    let read = |at, text: &str| on_k(at, at + 1, Op::Get, value(text));
    accepted(&[&writes[..], &[read(20, "a"), read(30, "a")]].concat());
    accepted(&[&writes[..], &[read(20, "b"), read(30, "b")]].concat());
    refused(3, &[&writes[..], &[read(20, "a"), read(30, "b")]].concat());
    let verdict = check(&history(&[&writes[..], &[read(20, "c")]].concat()));
    let violation = verdict.violation().unwrap();
    let mut states = violation.states.clone();
    states.sort();
    assert_eq!(states, [[Some(bytes("a"))], [Some(bytes("b"))]]);
    assert!(violation.quiet);
    assert_eq!((violation.window.len(), violation.before.len(), violation.answered_before), (1, 2, 2));
}

#[test]
fn a_violation_is_printed_so_that_it_can_be_followed() {
    let entries = [
        on_k(1_500, 2_000, set("a"), Outcome::Done),
        on_k(2_500, 3_000, set("b"), Outcome::Done),
        unanswered(2_600, set("lost\r\n")),
        on_k(4_000, 9_007, Op::Get, value("a")),
        on_k(5_000, 20_000, Op::Incr(3), Outcome::NotAnInteger),
    ];
    let expected = "\
not linearizable: key \"k\"
No order of the operations explains the reply marked with >.
The 2 operations answered before it have an order.
Before the window:
  client 1            1.500 ..          2.000 us  SET \"k\" \"a\" -> done
  client 1            2.500 ..          3.000 us  SET \"k\" \"b\" -> done
Possible states when the window began:
  \"k\" = \"b\"
The window:
> client 1            4.000 ..          9.007 us  GET \"k\" -> \"a\"
  client 1            5.000 ..         20.000 us  INCRBY \"k\" 3 -> error: not an integer
Without reply, may take effect at any time after the invocation, or never:
  client 1            2.600 ..           open     SET \"k\" \"lost\\r\\n\" -> no reply
";
    assert_eq!(check(&history(&entries)).to_string(), expected);
}

#[test]
fn a_window_without_a_quiet_point_is_cut() {
    // Each increment overlaps the next one, so nothing is ever quiet.
    let mut entries: Vec<Entry> = (0..200)
        .map(|index| on_k(index * 10, index * 10 + 15, Op::Incr(1), Outcome::Int(index as i64 + 1)))
        .collect();
    accepted(&entries);
    entries[150].reply = Some((1515, Outcome::Int(150)));
    refused(150, &entries);
    let verdict = check(&history(&entries));
    let violation = verdict.violation().unwrap();
    assert!(!violation.quiet);
    assert!(violation.window.len() < 40, "{verdict}");
    assert_eq!(violation.answered_before, 150);
}

#[test]
fn a_check_that_costs_too_much_is_undecided_and_never_ok() {
    // 20 increments at once whose replies say nothing: all subsets of them are configurations.
    let mut entries: Vec<Entry> =
        (0..20).map(|index| on_k(0, 100 + index, Op::Incr(1 << index), Outcome::Unknown)).collect();
    for (index, entry) in entries.iter_mut().enumerate() {
        let part = vec![(bytes("k"), Op::Incr(1 << index))];
        entry.call = Call::Multi(part);
        entry.reply = Some((100 + index as u64, Outcome::Multi(vec![Outcome::Unknown])));
    }
    accepted(&entries);
    entries.push(on_k(300, 301, Op::Get, value("x")));
    let verdict = check_with(&history(&entries), Limits { configurations_max: 1000 });
    assert_eq!(
        verdict,
        Verdict::Undecided(Undecided {
            keys: vec![bytes("k")],
            configurations: 1001,
            explained: 20,
            answered: 21
        })
    );
    assert_eq!(
        verdict.to_string(),
        "undecided: key \"k\": 20 of 21 replies explained after 1001 configurations"
    );
    // A violation on another key is found nevertheless.
    entries.push(on("other", 0, 1, Op::Get, value("x")));
    let verdict = check_with(&history(&entries), Limits { configurations_max: 1000 });
    assert_eq!(
        verdict.violation().map(|violation| &violation.keys),
        Some(&vec![bytes("other")]),
        "{verdict}"
    );
}

#[test]
fn many_lost_writes_do_not_make_the_search_explode() {
    let mut entries = Vec::new();
    for index in 0..400 {
        if index % 5 == 0 {
            entries.push(unanswered(index * 10, set(&format!("lost {index}"))));
        }
        entries.push(on_k(index * 10 + 1, index * 10 + 2, set(&format!("kept {index}")), Outcome::Done));
        let seen = if index % 7 == 6 { format!("lost {}", index / 5 * 5) } else { format!("kept {index}") };
        if index % 7 != 6 || index % 35 > 4 {
            entries.push(on_k(index * 10 + 3, index * 10 + 4, Op::Get, value(&seen)));
        }
    }
    // A lost write is seen at most once above, so there is an order.
    let accepted_len = entries.len();
    let verdict = check_with(&history(&entries), Limits { configurations_max: 200_000 });
    assert!(verdict.is_ok(), "{verdict}");
    entries.push(on_k(5000, 5001, Op::Get, value("never written")));
    let verdict = check_with(&history(&entries), Limits { configurations_max: 200_000 });
    assert_eq!(
        verdict.violation().map(|violation| &violation.culprit),
        Some(&entries[accepted_len]),
        "{verdict}"
    );
}
