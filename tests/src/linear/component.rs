//! Component: the part of a history on keys that belong together, laid out by the order of its replies.

use super::history::{Call, Entry, History, Outcome};
use super::model;
use indexmap::{IndexMap, IndexSet};
use std::collections::BTreeSet;
use std::ops::Range;

/// An operation in a component, with its keys by their number in the component.
#[derive(Debug)]
pub(super) struct Member<'h> {
    pub(super) entry: &'h Entry,
    pub(super) outcome: &'h Outcome,
    pub(super) keys: Box<[usize]>,
    /// The first reply, by number, that does not precede the invocation.
    pub(super) from_step: usize,
    /// Its place in the set of operations put in place; free again for another after its reply.
    pub(super) slot: usize,
    /// Its reply says that it changed nothing.
    pub(super) inert: bool,
}

/// Equal operations without reply: which of them took effect makes no difference, only how many.
#[derive(Debug)]
pub(super) struct Class<'h> {
    pub(super) members: Vec<Member<'h>>,
}

/// The part of a history on keys that transactions tie together, most often one key.
///
/// Step `i` is the `i`-th reply in order of time, `members[i]` the operation that it answers.
#[derive(Debug, Default)]
pub(super) struct Component<'h> {
    pub(super) keys: Vec<&'h [u8]>,
    pub(super) members: Vec<Member<'h>>,
    pub(super) classes: Vec<Class<'h>>,
    pub(super) slots: usize,
    open: Vec<usize>,
    open_ranges: Vec<Range<usize>>,
}

impl<'h> Component<'h> {
    /// The operations, by their number, that are open just before reply `step`: the one answered first, the others in the
    /// order of their replies.
    pub(super) fn open_at(&self, step: usize) -> &[usize] {
        &self.open[self.open_ranges[step].clone()]
    }

    /// How many of a class had been invoked before reply `step`.
    pub(super) fn available(&self, class: usize, step: usize) -> usize {
        self.classes[class].members.partition_point(|member| member.from_step <= step)
    }

    /// Whether nothing that was to be answered was open between the replies `step - 1` and `step` at some instant.
    pub(super) fn quiet_before(&self, step: usize) -> bool {
        step == 0 || self.open_at(step - 1).len() == 1
    }

    fn new(keys: Vec<&'h [u8]>, entries: Vec<(&'h Entry, Box<[usize]>)>) -> Component<'h> {
        let mut answered = Vec::new();
        let mut unanswered = Vec::new();
        for (entry, keys) in entries {
            match &entry.reply {
                Some((completed_ns, outcome)) => answered.push((*completed_ns, outcome, entry, keys)),
                None => unanswered.push((entry, keys)),
            }
        }
        answered.sort_by_key(|(completed_ns, _, entry, _)| (*completed_ns, entry.invoked_ns));
        let replies: Vec<u64> = answered.iter().map(|(completed_ns, ..)| *completed_ns).collect();
        // Equal times leave two operations concurrent, so only an earlier reply precedes.
        let from_step = |entry: &Entry| replies.partition_point(|reply_ns| *reply_ns < entry.invoked_ns);

        let mut classes: IndexMap<&Call, Class<'h>> = IndexMap::new();
        unanswered.sort_by_key(|(entry, _)| entry.invoked_ns);
        for (entry, keys) in unanswered {
            let inert =
                entry.call.parts().iter().all(|(_, op)| model::changed_nothing(op, &Outcome::Unknown));
            if !inert {
                let from_step = from_step(entry);
                let member = Member { entry, outcome: &Outcome::Unknown, keys, from_step, slot: 0, inert };
                classes
                    .entry(&entry.call)
                    .or_insert_with(|| Class { members: Vec::new() })
                    .members
                    .push(member);
            }
        }
        let members = answered
            .into_iter()
            .map(|(_, outcome, entry, keys)| {
                let inert = inert(&entry.call, outcome);
                Member { entry, outcome, keys, from_step: from_step(entry), slot: 0, inert }
            })
            .collect();
        let classes = classes.into_values().collect();
        let mut component = Component { keys, members, classes, ..Component::default() };
        component.lay_out();
        component
    }

    /// Finds what is open at each step, and a slot for each operation.
    fn lay_out(&mut self) {
        let mut by_start: Vec<usize> = (0..self.members.len()).collect();
        by_start.sort_by_key(|member| self.members[*member].from_step);
        let mut starting = by_start.into_iter().peekable();
        let mut open = BTreeSet::new();
        let mut free = Vec::new();
        for step in 0..self.members.len() {
            while let Some(member) = starting.next_if(|member| self.members[*member].from_step <= step) {
                open.insert(member);
                self.members[member].slot = free.pop().unwrap_or_else(|| {
                    self.slots += 1;
                    self.slots - 1
                });
            }
            let begin = self.open.len();
            self.open.extend(&open);
            self.open_ranges.push(begin..self.open.len());
            open.remove(&step);
            free.push(self.members[step].slot);
        }
    }
}

/// Whether the reply says that the whole call changed nothing.
fn inert(call: &Call, outcome: &Outcome) -> bool {
    match (call, outcome) {
        (Call::One((_, op)), outcome) => model::changed_nothing(op, outcome),
        (Call::Multi(parts), Outcome::Multi(outcomes)) => {
            parts.iter().zip(outcomes).all(|((_, op), outcome)| model::changed_nothing(op, outcome))
        }
        // A reply that fits no state; it must not be taken for one that is free to place.
        (Call::Multi(_), _) => false,
    }
}

/// Splits a history into components. Operations that failed without effect are left out, and so are empty transactions.
pub(super) fn split(history: &History) -> Vec<Component<'_>> {
    let mut keys: IndexSet<&[u8]> = IndexSet::new();
    let mut groups = Groups::default();
    let mut entries = Vec::new();
    for entry in history.entries() {
        if matches!(entry.reply, Some((_, Outcome::Failed))) || entry.call.parts().is_empty() {
            continue;
        }
        let numbers: Vec<usize> =
            entry.call.parts().iter().map(|(key, _)| keys.insert_full(key.as_slice()).0).collect();
        groups.grow(keys.len());
        for pair in numbers.windows(2) {
            groups.join(pair[0], pair[1]);
        }
        entries.push((entry, numbers));
    }

    type Part<'h> = (IndexSet<usize>, Vec<(&'h Entry, Box<[usize]>)>);
    let mut parts: IndexMap<usize, Part<'_>> = IndexMap::new();
    for (entry, numbers) in entries {
        let (members, list) = parts.entry(groups.find(numbers[0])).or_default();
        let local = numbers.iter().map(|number| members.insert_full(*number).0).collect();
        list.push((entry, local));
    }
    parts
        .into_values()
        .map(|(members, list)| Component::new(members.iter().map(|number| keys[*number]).collect(), list))
        .collect()
}

/// Union-find over numbered keys.
#[derive(Debug, Default)]
struct Groups {
    parents: Vec<usize>,
}

impl Groups {
    fn grow(&mut self, len: usize) {
        self.parents.extend(self.parents.len()..len);
    }

    fn find(&mut self, mut key: usize) -> usize {
        while self.parents[key] != key {
            self.parents[key] = self.parents[self.parents[key]];
            key = self.parents[key];
        }
        key
    }

    fn join(&mut self, left: usize, right: usize) {
        let (left, right) = (self.find(left), self.find(right));
        self.parents[right] = left;
    }
}
