//! Linear: the checker against another one that tries every order, and against histories made so that an order exists.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may stop at the first surprise")]

use proptest::prelude::*;
use std::collections::BTreeMap;
use tests::linear::{Call, Entry, History, Op, Outcome, check};

type State = BTreeMap<Vec<u8>, Vec<u8>>;

/// The sequential store once more, written apart from the one that is under test: does the operation, gives its reply.
fn run(state: &mut State, key: &[u8], op: &Op) -> Outcome {
    let old = state.get(key).cloned();
    match op {
        Op::Get => Outcome::Value(old),
        Op::GetDel => Outcome::Value(state.remove(key)),
        Op::Del => Outcome::Flag(state.remove(key).is_some()),
        Op::Set(value) => {
            state.insert(key.to_vec(), value.clone());
            Outcome::Done
        }
        Op::SetNx(value) => {
            state.entry(key.to_vec()).or_insert_with(|| value.clone());
            Outcome::Flag(old.is_none())
        }
        Op::Append(tail) => {
            let value = state.entry(key.to_vec()).or_default();
            value.extend_from_slice(tail);
            Outcome::Int(value.len() as i64)
        }
        Op::Incr(delta) => {
            let text = String::from_utf8(old.unwrap_or_else(|| b"0".to_vec())).unwrap();
            match text.parse::<i64>() {
                Ok(number) => match number.checked_add(*delta) {
                    Some(sum) => {
                        state.insert(key.to_vec(), sum.to_string().into_bytes());
                        Outcome::Int(sum)
                    }
                    None => Outcome::WouldOverflow,
                },
                Err(_) => Outcome::NotAnInteger,
            }
        }
    }
}

fn run_call(state: &mut State, call: &Call) -> Outcome {
    match call {
        Call::One((key, op)) => run(state, key, op),
        Call::Multi(parts) => Outcome::Multi(parts.iter().map(|(key, op)| run(state, key, op)).collect()),
    }
}

/// Tries every order that the times allow until all is in place that was answered up to `until_ns`; what was answered
/// later or never may be in place too.
fn order_exists(entries: &[Entry], until_ns: u64) -> bool {
    fn from(state: &State, left: &[&Entry], until_ns: u64) -> bool {
        let replies = || left.iter().filter_map(|entry| entry.reply.as_ref().map(|(at_ns, _)| *at_ns));
        if replies().all(|at_ns| at_ns > until_ns) {
            return true;
        }
        let first_reply_ns = replies().min();
        (0..left.len()).any(|index| {
            let entry = left[index];
            if first_reply_ns.is_some_and(|at_ns| at_ns < entry.invoked_ns) {
                return false; // what was answered before this was asked for is still to come
            }
            let mut state = state.clone();
            let outcome = run_call(&mut state, &entry.call);
            if entry.reply.as_ref().is_some_and(|(_, expected)| *expected != outcome) {
                return false;
            }
            let mut rest = left.to_vec();
            rest.remove(index);
            from(&state, &rest, until_ns)
        })
    }
    from(&State::new(), &entries.iter().collect::<Vec<_>>(), until_ns)
}

fn history(entries: &[Entry]) -> History {
    let mut history = History::new();
    for entry in entries {
        history.push(entry.clone()).unwrap();
    }
    history
}

/// Few values, so that replies fit by accident often enough.
fn any_value() -> impl Strategy<Value = Vec<u8>> {
    prop::sample::select(vec![b"1".to_vec(), b"2".to_vec(), b"x".to_vec()])
}

fn any_op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => Just(Op::Get),
        3 => any_value().prop_map(Op::Set),
        1 => any_value().prop_map(Op::SetNx),
        2 => prop::sample::select(vec![1, 1, 2, i64::MAX]).prop_map(Op::Incr),
        1 => Just(Op::Del),
        1 => Just(Op::GetDel),
        1 => any_value().prop_map(Op::Append),
    ]
}

/// A call on one of the first `keys` keys, or on two of them.
fn any_call(keys: u8) -> impl Strategy<Value = Call> {
    let part = move || (0..keys, any_op()).prop_map(|(key, op)| (vec![b'a' + key], op));
    prop_oneof![
        5 => part().prop_map(Call::One),
        1 => prop::collection::vec(part(), 2).prop_map(Call::Multi),
    ]
}

/// A call, how far its interval reaches out before and after its place in the sequence in nanoseconds, and its fate.
type Drawn = (Call, u64, u64, Fate);

#[derive(Debug, Clone, Copy, PartialEq)]
enum Fate {
    Answered,
    /// The reply is lost, and nothing was done.
    LostBefore,
    /// It was done, and the reply is lost.
    LostAfter,
}

/// `answered` of `answered + 2` operations get their reply.
fn any_sequence(
    keys: u8,
    len: std::ops::Range<usize>,
    widest_ns: u64,
    answered: u32,
) -> impl Strategy<Value = Vec<Drawn>> {
    let fate = prop_oneof![answered => Just(Fate::Answered), 1 => Just(Fate::LostBefore), 1 => Just(Fate::LostAfter)];
    prop::collection::vec((any_call(keys), 0..widest_ns, 0..widest_ns, fate), len)
}

/// Does the calls one after another and lets each interval reach out around its place: an order exists, this one.
fn widened(sequence: Vec<Drawn>) -> Vec<Entry> {
    let mut state = State::new();
    let mut place = 1_000;
    let mut entries = Vec::new();
    for (call, before, after, fate) in sequence {
        place += 10;
        let invoked_ns = place - before;
        let reply = match fate {
            Fate::LostBefore => None,
            Fate::LostAfter => {
                run_call(&mut state, &call);
                None
            }
            Fate::Answered => Some((place + after, run_call(&mut state, &call))),
        };
        entries.push(Entry { client: 0, call, invoked_ns, reply });
    }
    entries
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn a_sequence_with_widened_intervals_is_accepted(sequence in any_sequence(3, 0..300, 40, 150)) {
        let verdict = check(&history(&widened(sequence)));
        prop_assert!(verdict.is_ok(), "{}", verdict);
    }

    /// The same history with its list reversed.
    #[test]
    fn the_order_of_the_list_means_nothing(sequence in any_sequence(2, 0..50, 60, 8)) {
        let mut entries = widened(sequence);
        entries.reverse();
        let verdict = check(&history(&entries));
        prop_assert!(verdict.is_ok(), "{}", verdict);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, ..ProptestConfig::default() })]

    /// Times are moved after the replies are known, so that the order they came from may no longer be allowed.
    #[test]
    fn both_checkers_agree(
        sequence in any_sequence(2, 1..8, 30, 8),
        moves in prop::collection::vec((0..7_usize, 0..120_u64), 0..4),
    ) {
        let mut entries = widened(sequence);
        for (index, later_ns) in moves {
            let len = entries.len();
            let entry = &mut entries[index % len];
            entry.invoked_ns += later_ns;
            if let Some((completed_ns, _)) = &mut entry.reply {
                *completed_ns += later_ns;
            }
        }
        let verdict = check(&history(&entries));
        prop_assert_eq!(verdict.is_ok(), order_exists(&entries, u64::MAX), "{}", verdict);
        if let Some(violation) = verdict.violation() {
            // The report names the first reply that has no order.
            let keys = &violation.keys;
            let component: Vec<Entry> =
                entries.into_iter().filter(|entry| keys.contains(&entry.call.parts()[0].0)).collect();
            let Some((culprit_ns, _)) = violation.culprit.reply else { panic!("a culprit has a reply") };
            prop_assert!(!order_exists(&component, culprit_ns), "{}", verdict);
            prop_assert!(order_exists(&component, culprit_ns - 1), "{}", verdict);
        }
    }
}
