//! Model: what one operation does to one value and which reply it gives; the sequential store that histories are held to.

use super::history::{Op, Outcome};
use std::borrow::Cow;

/// What an operation leaves behind.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Effect<'a> {
    /// Everything as it was.
    Keep,
    /// The key has this value now.
    Put(Cow<'a, [u8]>),
    /// The key is absent now.
    Remove,
}

/// A reply, as the store would give it, without a copy of the value.
enum Reply<'a> {
    Done,
    Value(Option<&'a [u8]>),
    Flag(bool),
    Int(i64),
    NotAnInteger,
    WouldOverflow,
}

impl Reply<'_> {
    fn agrees(&self, outcome: &Outcome) -> bool {
        match (self, outcome) {
            (_, Outcome::Unknown) => true,
            (Reply::Done, Outcome::Done) => true,
            (Reply::Value(mine), Outcome::Value(theirs)) => *mine == theirs.as_deref(),
            (Reply::Flag(mine), Outcome::Flag(theirs)) => mine == theirs,
            (Reply::Int(mine), Outcome::Int(theirs)) => mine == theirs,
            (Reply::NotAnInteger, Outcome::NotAnInteger) => true,
            (Reply::WouldOverflow, Outcome::WouldOverflow) => true,
            _ => false,
        }
    }
}

/// Does `op` on a key with the value `now`; `None` when the store would not have replied `outcome`.
pub(super) fn apply<'a>(op: &'a Op, outcome: &Outcome, now: Option<&'a [u8]>) -> Option<Effect<'a>> {
    if *outcome == Outcome::Failed {
        return Some(Effect::Keep);
    }
    let (reply, effect) = match op {
        Op::Get => (Reply::Value(now), Effect::Keep),
        Op::Set(value) => (Reply::Done, Effect::Put(Cow::Borrowed(value))),
        Op::SetNx(_) if now.is_some() => (Reply::Flag(false), Effect::Keep),
        Op::SetNx(value) => (Reply::Flag(true), Effect::Put(Cow::Borrowed(value))),
        Op::Incr(delta) => match now.map_or(Some(0), integer) {
            None => (Reply::NotAnInteger, Effect::Keep),
            Some(number) => match number.checked_add(*delta) {
                None => (Reply::WouldOverflow, Effect::Keep),
                Some(sum) => (Reply::Int(sum), Effect::Put(Cow::Owned(sum.to_string().into_bytes()))),
            },
        },
        Op::Del if now.is_some() => (Reply::Flag(true), Effect::Remove),
        Op::Del => (Reply::Flag(false), Effect::Keep),
        Op::GetDel if now.is_some() => (Reply::Value(now), Effect::Remove),
        Op::GetDel => (Reply::Value(None), Effect::Keep),
        Op::Append(tail) => {
            let old = now.unwrap_or_default();
            let length = i64::try_from(old.len() + tail.len()).unwrap_or(i64::MAX);
            if !Reply::Int(length).agrees(outcome) {
                return None; // before the two are joined, which costs more than all the rest
            }
            (Reply::Int(length), Effect::Put(Cow::Owned([old, tail].concat())))
        }
    };
    reply.agrees(outcome).then_some(effect)
}

/// Whether this reply says that the operation changed nothing, whatever the state was.
pub(super) fn changed_nothing(op: &Op, outcome: &Outcome) -> bool {
    match op {
        Op::Get => true,
        Op::Set(_) | Op::Append(_) => *outcome == Outcome::Failed,
        Op::SetNx(_) | Op::Del => matches!(outcome, Outcome::Flag(false) | Outcome::Failed),
        Op::GetDel => matches!(outcome, Outcome::Value(None) | Outcome::Failed),
        Op::Incr(_) => matches!(outcome, Outcome::NotAnInteger | Outcome::WouldOverflow | Outcome::Failed),
    }
}

/// The number in a value, only in the one form that the store itself writes: "7", not "+7", " 7", "07" or "-0".
fn integer(value: &[u8]) -> Option<i64> {
    let number: i64 = std::str::from_utf8(value).ok()?.parse().ok()?;
    (number.to_string().as_bytes() == value).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_read_in_their_one_form_only() {
        assert_eq!(integer(b"-9223372036854775808"), Some(i64::MIN));
        assert_eq!(integer(b"0"), Some(0));
        for bad in [&b""[..], b"+7", b" 7", b"07", b"-0", b"9223372036854775808", b"7 ", b"x", b"\xff"] {
            assert_eq!(integer(bad), None, "{}", bad.escape_ascii());
        }
    }

    #[test]
    fn what_is_said_to_change_nothing_changes_nothing() {
        let ops = [
            Op::Get,
            Op::Set(b"1".to_vec()),
            Op::SetNx(b"1".to_vec()),
            Op::Incr(i64::MAX),
            Op::Del,
            Op::GetDel,
            Op::Append(b"1".to_vec()),
        ];
        let states = [None, Some(&b"x"[..]), Some(b"1"), Some(b"0")];
        let outcomes = [
            Outcome::Done,
            Outcome::Value(None),
            Outcome::Value(Some(b"x".to_vec())),
            Outcome::Flag(false),
            Outcome::Flag(true),
            Outcome::Int(1),
            Outcome::Int(2),
            Outcome::Int(i64::MAX),
            Outcome::NotAnInteger,
            Outcome::WouldOverflow,
            Outcome::Failed,
            Outcome::Unknown,
        ];
        let mut seen = 0;
        for op in &ops {
            for outcome in &outcomes {
                for state in states {
                    let effect = apply(op, outcome, state);
                    if changed_nothing(op, outcome) && effect.is_some() {
                        assert_eq!(effect, Some(Effect::Keep), "{op:?} {outcome:?} {state:?}");
                        seen += 1;
                    }
                }
            }
        }
        assert!(seen > 20, "{seen}");
    }
}
