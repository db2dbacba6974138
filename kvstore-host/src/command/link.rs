//! Link: what joins the updates of a command on several keys. They are one atomic batch, so they run in their order, and again in their order.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use plugin_abi::sdk::{Decision, Entry};

use crate::plugin::{Owned, Update};
use crate::protocol::Value;
use crate::pubsub::Event;

/// An entry that one update was shown, for those behind it. The lock is never waited for: they run one after the other.
#[derive(Clone, Default)]
pub(super) struct Seen(Arc<Mutex<Option<Arc<Owned>>>>);

impl Seen {
    fn note(&self, current: Option<&Entry<'_>>) {
        let copy = current.map(|entry| Arc::new(Owned::from(entry)));
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = copy;
    }

    fn get(&self) -> Option<Arc<Owned>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Notes an entry and leaves it.
pub(super) struct Look(pub(super) Seen);

impl Update for Look {
    fn decide(&mut self, current: Option<&Entry<'_>>) -> (Decision<'_>, Value) {
        self.0.note(current);
        (Decision::Keep, Value::Null)
    }

    fn reads(&self) -> bool {
        true
    }
}

/// Notes an entry and removes it, unless something stands in the way.
pub(super) struct Take {
    pub(super) seen: Seen,
    pub(super) unless: Option<Taken>,
    /// What is told where it is removed.
    pub(super) told: &'static [Event],
}

impl Update for Take {
    fn decide(&mut self, current: Option<&Entry<'_>>) -> (Decision<'_>, Value) {
        self.seen.note(current);
        let stays = self.unless.as_ref().is_some_and(Taken::any);
        (if stays { Decision::Keep } else { Decision::Remove }, Value::Null)
    }

    fn removed(&self) -> &'static [Event] {
        self.told
    }
}

/// Stores what was seen under another key: value, expiry, type and flags.
pub(super) struct Put {
    pub(super) seen: Seen,
    /// Whether an entry that is there gives way.
    pub(super) replaces: bool,
    /// The reply where nothing was seen.
    pub(super) none: Value,
    /// The reply where it is stored; 0 where it gives way to what is there.
    pub(super) done: Value,
    /// What is told where it is stored.
    pub(super) told: &'static [Event],
    entry: Option<Arc<Owned>>,
}

impl Put {
    pub(super) fn new(seen: Seen, replaces: bool, none: Value, done: Value, told: &'static [Event]) -> Self {
        Self { seen, replaces, none, done, told, entry: None }
    }
}

impl Update for Put {
    fn decide(&mut self, current: Option<&Entry<'_>>) -> (Decision<'_>, Value) {
        // Held here, because what is decided on is lent until the batch is done.
        self.entry = self.seen.get();
        match &self.entry {
            None => (Decision::Keep, self.none.clone()),
            Some(_) if current.is_some() && !self.replaces => (Decision::Keep, Value::Integer(0)),
            Some(entry) => (Decision::Replace(entry.lend()), self.done.clone()),
        }
    }

    fn stored(&self) -> &'static [Event] {
        self.told
    }
}

/// Whether any of the keys that were looked at is taken.
#[derive(Clone, Default)]
pub(super) struct Taken(Arc<AtomicBool>);

impl Taken {
    /// Looks at a key; the first look forgets what an earlier run of the batch saw.
    pub(super) fn look(&self, first: bool) -> IsTaken {
        IsTaken { taken: self.clone(), first }
    }

    pub(super) fn any(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Notes whether a key is taken, and leaves it.
pub(super) struct IsTaken {
    taken: Taken,
    first: bool,
}

impl Update for IsTaken {
    fn decide(&mut self, current: Option<&Entry<'_>>) -> (Decision<'_>, Value) {
        let before = !self.first && self.taken.any();
        self.taken.0.store(before || current.is_some(), Ordering::Relaxed);
        (Decision::Keep, Value::Null)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENTRY: Entry<'_> =
        Entry { key: b"from", value: b"value", expiry_ms: 9, version: 7, type_: 3, flags: 4 };

    #[test]
    fn value_expiry_type_and_flags_travel_together() {
        let seen = Seen::default();
        let mut put = Put::new(seen.clone(), true, Value::Null, Value::Ok, &[Event::SET]);
        assert_eq!(put.decide(None), (Decision::Keep, Value::Null));
        assert_eq!(Look(seen.clone()).decide(Some(&ENTRY)).0, Decision::Keep);
        let wanted = Decision::Replace(Entry { key: b"", version: 0, ..ENTRY });
        // Twice: it may be called again alone.
        for _ in 0..2 {
            assert_eq!(put.decide(Some(&ENTRY)), (wanted, Value::Ok));
        }
        // And again with all before it, when that was lost to somebody else.
        assert_eq!(Look(seen).decide(None).0, Decision::Keep);
        assert_eq!(put.decide(None), (Decision::Keep, Value::Null));
    }

    #[test]
    fn what_is_in_the_way_is_forgotten_when_all_is_run_again() {
        let (taken, seen) = (Taken::default(), Seen::default());
        let mut looks = [taken.look(true), taken.look(false)];
        let mut take = Take { seen: seen.clone(), unless: Some(taken), told: &[Event::DEL] };
        looks[0].decide(Some(&ENTRY));
        looks[1].decide(None);
        assert_eq!(take.decide(Some(&ENTRY)).0, Decision::Keep);
        looks.iter_mut().for_each(|look| _ = look.decide(None));
        assert_eq!(take.decide(Some(&ENTRY)).0, Decision::Remove);
        assert!(seen.get().is_some());
    }
}
