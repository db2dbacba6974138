//! Search: looks for an order of one component's operations that gives the replies that came.

use super::component::{Component, Member};
use super::history::{Call, Outcome};
use super::model::{self, Effect};
use indexmap::IndexSet;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

/// How a search ended.
#[derive(Debug)]
pub(super) enum Found {
    /// An order exists.
    Order,
    /// No order exists; the replies before this step have one, with this step none has.
    NoOrder { step: usize },
    /// The limit was reached; the furthest step so far.
    GaveUp { step: usize },
}

/// A point of the search: the replies before `step` are explained. The numbers point into the tables of [`Search`].
///
/// The order is that of the search: far steps first, so that it runs ahead; then few operations without reply, so that
/// configurations come before those that they stand for; then the newest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Configuration {
    step: usize,
    used_count: Reverse<usize>,
    age: usize,
    /// The next successor to try.
    cursor: usize,
    state: usize,
    /// Operations in place whose reply comes at `step` or later, by slot.
    placed: usize,
    /// The operations without reply in place: their classes in ascending order, each as often as it was used.
    used: usize,
}

/// Looks for an order within one component.
#[derive(Debug)]
pub(super) struct Search<'c, 'h> {
    component: &'c Component<'h>,
    values: IndexSet<Box<[u8]>>,
    /// The value of each key, by number in `values`; `ABSENT` for none.
    states: IndexSet<Box<[usize]>>,
    placed_sets: IndexSet<Box<[u64]>>,
    used_sets: IndexSet<Box<[usize]>>,
    seen: Seen,
    furthest: usize,
    watch_step: Option<usize>,
    watched: IndexSet<usize>,
    /// How many configurations have been looked at.
    pub(super) configurations: usize,
}

const ABSENT: usize = usize::MAX;

/// A search with many operations without reply spends its time on comparing configurations, so these are limited as well.
const COMPARISONS_PER_CONFIGURATION: usize = 32;

impl<'c, 'h> Search<'c, 'h> {
    /// A search that also notes the states that are possible just before reply `watch_step`.
    pub(super) fn new(component: &'c Component<'h>, watch_step: Option<usize>) -> Search<'c, 'h> {
        Search {
            component,
            values: IndexSet::new(),
            states: IndexSet::new(),
            placed_sets: IndexSet::new(),
            used_sets: IndexSet::new(),
            seen: Seen::default(),
            furthest: 0,
            watch_step,
            watched: IndexSet::new(),
            configurations: 0,
        }
    }

    /// Searches until an order is found, none is left, or more than `configurations_max` have been looked at.
    pub(super) fn run(&mut self, configurations_max: usize) -> Found {
        let steps = self.component.members.len();
        let mut waiting = BinaryHeap::new();
        let start = Configuration {
            step: 0,
            used_count: Reverse(0),
            age: 0,
            cursor: 0,
            state: self.states.insert_full(vec![ABSENT; self.component.keys.len()].into()).0,
            placed: self.placed_sets.insert_full(vec![0; self.component.slots.div_ceil(64)].into()).0,
            used: self.used_sets.insert_full(Box::default()).0,
        };
        self.note(&start);
        let mut next = Some(start);
        loop {
            if let Some(configuration) = next {
                let mut configuration = self.advance(configuration);
                self.furthest = self.furthest.max(configuration.step);
                if configuration.step == steps {
                    return Found::Order;
                }
                if self.seen.admit(&configuration, &self.used_sets) {
                    self.configurations += 1;
                    configuration.age = self.configurations;
                    waiting.push(configuration);
                }
                let comparisons_max = configurations_max.saturating_mul(COMPARISONS_PER_CONFIGURATION);
                if self.configurations > configurations_max || self.seen.comparisons > comparisons_max {
                    return Found::GaveUp { step: self.furthest };
                }
            }
            let Some(mut configuration) = waiting.pop() else {
                return Found::NoOrder { step: self.furthest };
            };
            next = self.successor(&mut configuration);
            if next.is_some() {
                waiting.push(configuration);
            }
        }
    }

    /// The states noted just before the watched step: for each key its value. Complete only when no order was found.
    pub(super) fn watched_states(&self) -> Vec<Vec<Option<Vec<u8>>>> {
        let value = |number: &usize| (*number != ABSENT).then(|| self.values[*number].to_vec());
        self.watched.iter().map(|state| self.states[*state].iter().map(value).collect()).collect()
    }

    /// To be called when a configuration arrives at its step, before anything more is put in place.
    fn note(&mut self, configuration: &Configuration) {
        if self.watch_step == Some(configuration.step) {
            self.watched.insert(configuration.state);
        }
    }

    /// Does all that needs no choice: puts inert operations in place that agree with the state, and passes the replies of
    /// operations in place.
    fn advance(&mut self, mut configuration: Configuration) -> Configuration {
        let component = self.component;
        let mut placed = self.placed_sets[configuration.placed].clone();
        while configuration.step < component.members.len() {
            for open in component.open_at(configuration.step) {
                let member = &component.members[*open];
                if member.inert && !bit(&placed, member.slot) {
                    let after = self.apply(member, configuration.state);
                    if after.is_some() {
                        flip(&mut placed, member.slot);
                    }
                }
            }
            let slot = component.members[configuration.step].slot;
            if !bit(&placed, slot) {
                break;
            }
            flip(&mut placed, slot);
            configuration.step += 1;
            self.note(&configuration);
        }
        configuration.placed = intern(&mut self.placed_sets, placed);
        configuration
    }

    /// The next configuration that one more operation leads to; `None` when there are no more.
    fn successor(&mut self, from: &mut Configuration) -> Option<Configuration> {
        let component = self.component;
        let open = component.open_at(from.step);
        while from.cursor < open.len() + component.classes.len() {
            let cursor = from.cursor;
            from.cursor += 1;
            let mut to = Configuration { cursor: 0, ..*from };
            if let Some(member) = open.get(cursor).map(|open| &component.members[*open]) {
                if member.inert || bit(&self.placed_sets[from.placed], member.slot) {
                    continue; // an inert operation that agrees with this state is in place already
                }
                let Some(state) = self.apply(member, from.state) else { continue };
                let mut placed = self.placed_sets[from.placed].clone();
                flip(&mut placed, member.slot);
                to.state = state;
                to.placed = intern(&mut self.placed_sets, placed);
            } else {
                let class = cursor - open.len();
                let used = &self.used_sets[from.used];
                let place = used.partition_point(|other| *other <= class);
                let count = place - used.partition_point(|other| *other < class);
                if count >= component.available(class, from.step) {
                    continue;
                }
                let Some(state) = self.apply(&component.classes[class].members[0], from.state) else {
                    continue;
                };
                if state == from.state {
                    continue; // to use it up for nothing is no gain
                }
                let used = &self.used_sets[from.used];
                let used = [&used[..place], &[class], &used[place..]].concat();
                to.state = state;
                to.used = intern(&mut self.used_sets, used.into());
                to.used_count.0 += 1;
            }
            return Some(to);
        }
        None
    }

    /// The state after an operation, or `None` when its reply disagrees.
    fn apply(&mut self, member: &Member<'h>, state: usize) -> Option<usize> {
        let parts = member.entry.call.parts();
        let outcomes = match (&member.entry.call, member.outcome) {
            (Call::Multi(_), Outcome::Multi(outcomes)) if outcomes.len() != parts.len() => return None,
            (Call::Multi(_), Outcome::Multi(outcomes)) => outcomes.as_slice(),
            (Call::Multi(_), Outcome::Unknown) => &[],
            (Call::Multi(_), _) => return None,
            (Call::One(_), outcome) => std::slice::from_ref(outcome),
        };
        let mut changed: Option<Box<[usize]>> = None;
        for (index, ((_, op), key)) in parts.iter().zip(&member.keys).enumerate() {
            let outcome = outcomes.get(index).unwrap_or(&Outcome::Unknown);
            let now = changed.as_ref().unwrap_or(&self.states[state])[*key];
            let number = match model::apply(op, outcome, self.values.get_index(now).map(|value| &**value))? {
                Effect::Keep => continue,
                Effect::Remove => ABSENT,
                Effect::Put(value) => match self.values.get_index_of(&*value) {
                    Some(number) => number,
                    None => {
                        let value = value.into();
                        self.values.insert_full(value).0
                    }
                },
            };
            changed.get_or_insert_with(|| self.states[state].clone())[*key] = number;
        }
        Some(changed.map_or(state, |changed| intern(&mut self.states, changed)))
    }
}

/// Configurations met so far.
///
/// What was used of the operations without reply is kept apart: a configuration needs no look when one with the same
/// rest has been met that used no more of any class, because what is left over need never take effect.
#[derive(Debug, Default)]
struct Seen {
    first: HashMap<(usize, usize, usize), usize>,
    more: HashMap<(usize, usize, usize), Vec<usize>>,
    comparisons: usize,
}

impl Seen {
    /// Whether the configuration is worth a look; it is remembered then.
    fn admit(&mut self, configuration: &Configuration, used_sets: &IndexSet<Box<[usize]>>) -> bool {
        let rest = (configuration.step, configuration.state, configuration.placed);
        let first = *match self.first.entry(rest) {
            std::collections::hash_map::Entry::Vacant(vacant) => {
                vacant.insert(configuration.used);
                return true;
            }
            std::collections::hash_map::Entry::Occupied(occupied) => occupied.into_mut(),
        };
        let new = &used_sets[configuration.used];
        for met in std::iter::once(&first).chain(self.more.get(&rest).into_iter().flatten()) {
            self.comparisons += 1;
            if is_part(&used_sets[*met], new) {
                return false;
            }
        }
        self.more.entry(rest).or_default().push(configuration.used);
        true
    }
}

fn intern<T: Eq + std::hash::Hash>(table: &mut IndexSet<T>, item: T) -> usize {
    table.insert_full(item).0
}

/// Whether all of `part` is in `whole`, repetitions counted; both in ascending order.
fn is_part(part: &[usize], whole: &[usize]) -> bool {
    let mut whole = whole.iter();
    part.iter().all(|item| whole.any(|other| other == item))
}

fn bit(set: &[u64], slot: usize) -> bool {
    set[slot / 64] & (1 << (slot % 64)) != 0
}

fn flip(set: &mut [u64], slot: usize) {
    set[slot / 64] ^= 1 << (slot % 64);
}
