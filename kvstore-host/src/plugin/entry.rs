//! Entry: what is stored under a key, in the host's own memory, and what an update's decision makes of it. For engines that have
//! no updates.

use plugin_abi::raw::{KV_OP_SET, KvBytes, KvOp};
use plugin_abi::sdk::{Decision, Entry};

/// A value with all that is stored beside it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Owned {
    pub(super) value: Vec<u8>,
    pub(super) expiry_ms: i64,
    pub(super) type_: u32,
    pub(super) flags: u32,
}

/// What is to be done to an entry.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Nothing.
    None,
    /// It is removed.
    Remove,
    /// This is stored.
    Store(Owned),
}

impl From<&Entry<'_>> for Owned {
    fn from(entry: &Entry<'_>) -> Self {
        let Entry { value, expiry_ms, type_, flags, .. } = *entry;
        Self { value: value.to_vec(), expiry_ms, type_, flags }
    }
}

impl Owned {
    /// The same, lent.
    pub(crate) fn lend(&self) -> Entry<'_> {
        let Self { value, expiry_ms, type_, flags } = self;
        Entry { value, expiry_ms: *expiry_ms, type_: *type_, flags: *flags, ..Entry::default() }
    }

    /// The operation that stores it where `op` points to; valid as long as both.
    pub(super) fn store(&self, op: &KvOp) -> KvOp {
        let (value, expiry_ms) = (KvBytes::new(&self.value), self.expiry_ms);
        KvOp { kind: KV_OP_SET, value, expiry_ms, type_: self.type_, entry_flags: self.flags, ..*op }
    }
}

/// What a decision makes of the entry that it was shown. One that breaks its rules changes nothing.
pub(super) fn apply(decision: Decision<'_>, shown: Option<&Owned>) -> Change {
    match (decision, shown) {
        (Decision::Keep, _) | (Decision::Remove | Decision::SetExpiry(_), None) => Change::None,
        (Decision::Remove, Some(_)) => Change::Remove,
        (Decision::Replace(entry), _) => Change::Store(Owned::from(&entry)),
        (Decision::SetExpiry(expiry_ms), Some(shown)) => Change::Store(Owned { expiry_ms, ..shown.clone() }),
        (Decision::Patch { offset, bytes, new_len, type_, flags }, shown) => {
            let mut next = shown.cloned().unwrap_or(Owned { type_, flags, ..Owned::default() });
            if patch(&mut next.value, offset, bytes, new_len) { Change::Store(next) } else { Change::None }
        }
    }
}

/// Carries a patch out. False, and nothing done, where it does not fit.
fn patch(value: &mut Vec<u8>, offset: usize, bytes: &[u8], new_len: usize) -> bool {
    let Some(end) = offset.checked_add(bytes.len()).filter(|end| *end <= new_len) else { return false };
    value.resize(new_len, 0);
    if let Some(place) = value.get_mut(offset..end) {
        place.copy_from_slice(bytes);
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(value: &[u8], expiry_ms: i64) -> Owned {
        Owned { value: value.to_vec(), expiry_ms, type_: 3, flags: 4 }
    }

    fn patch_at(offset: usize, bytes: &[u8], new_len: usize) -> Decision<'_> {
        Decision::Patch { offset, bytes, new_len, type_: 7, flags: 8 }
    }

    #[test]
    fn a_decision_keeps_what_it_does_not_speak_of() {
        let shown = entry(b"hello", 9);
        let some = Some(&shown);
        assert_eq!(apply(Decision::Keep, some), Change::None);
        assert_eq!(apply(Decision::Remove, some), Change::Remove);
        assert_eq!(apply(Decision::SetExpiry(5), some), Change::Store(entry(b"hello", 5)));
        assert_eq!(apply(patch_at(1, b"E", 7), some), Change::Store(entry(b"hEllo\0\0", 9)));
        assert_eq!(apply(patch_at(0, b"", 2), some), Change::Store(entry(b"he", 9)));
        let lent = Entry { value: b"new", ..Entry::default() };
        assert_eq!(apply(Decision::Replace(lent), some), Change::Store(Owned::from(&lent)));
    }

    #[test]
    fn of_nothing_only_a_value_can_be_made() {
        assert_eq!(apply(Decision::Remove, None), Change::None);
        assert_eq!(apply(Decision::SetExpiry(5), None), Change::None);
        let made = Owned { value: b"\0x".to_vec(), expiry_ms: 0, type_: 7, flags: 8 };
        assert_eq!(apply(patch_at(1, b"x", 2), None), Change::Store(made));
    }

    #[test]
    fn a_patch_that_does_not_fit_changes_nothing() {
        let shown = entry(b"hello", 9);
        assert_eq!(apply(patch_at(5, b"xy", 6), Some(&shown)), Change::None);
        assert_eq!(apply(patch_at(usize::MAX, b"xy", 6), Some(&shown)), Change::None);
    }
}
