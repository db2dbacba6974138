//! Verdict: checks a history component by component and says what was found so that a person can follow it.

use super::component::{self, Component};
use super::history::{Entry, History, Key};
use super::search::{Found, Search};

/// How much a check may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How many configurations may be looked at for each component (most often: each key). One costs about 100 bytes
    /// while its component is checked. Comparisons between configurations are limited to 32 times as many.
    pub configurations_max: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { configurations_max: 2_000_000 }
    }
}

/// What a check found. `Display` prints it for people.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Verdict {
    /// An order exists for every component.
    Ok,
    /// For one component no order exists.
    Violation(Box<Violation>),
    /// The limits were reached on one component before an answer was found; no violation was found on the others.
    Undecided(Undecided),
}

impl Verdict {
    /// Whether the history is known to be linearizable.
    pub fn is_ok(&self) -> bool {
        *self == Verdict::Ok
    }

    /// The violation, if one was found.
    pub fn violation(&self) -> Option<&Violation> {
        match self {
            Verdict::Violation(violation) => Some(violation),
            _ => None,
        }
    }
}

/// The shortest beginning of a component's history that has no order, cut to its last part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The keys of the component; more than one only when transactions tie them together.
    pub keys: Vec<Key>,
    /// The operation whose reply no order explains. Everything answered before it has an order.
    pub culprit: Entry,
    /// The operations that matter, by the time of invocation, with the culprit: those answered since the window began,
    /// up to the culprit, and those still open at its reply. The window begins at the last quiet point, where nothing
    /// that was to be answered was open, or later when that is too far back.
    pub window: Vec<Entry>,
    /// Whether the window begins at a quiet point. If not, some of its operations may have taken effect before it.
    pub quiet: bool,
    /// Every state that was possible when the window began, the value of each key in the order of `keys`. An operation in
    /// `unanswered` is counted in where a reply shows its effect; any of the others may turn each of these into one more.
    pub states: Vec<Vec<Option<Vec<u8>>>>,
    /// The last few operations answered before the window, by the time of the reply.
    pub before: Vec<Entry>,
    /// Operations without reply invoked before the culprit's reply: each may have taken effect at any time since, or not.
    pub unanswered: Vec<Entry>,
    /// How many operations of the component were answered before the culprit.
    pub answered_before: usize,
}

/// Where a check gave up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undecided {
    /// The keys of the component.
    pub keys: Vec<Key>,
    /// How many configurations were looked at.
    pub configurations: usize,
    /// So many replies, in order of time, have been explained.
    pub explained: usize,
    /// So many replies there are.
    pub answered: usize,
}

/// Checks a history within the default [`Limits`].
pub fn check(history: &History) -> Verdict {
    check_with(history, Limits::default())
}

/// Checks a history. The first violation found is reported; it goes before a component that was not decided.
pub fn check_with(history: &History, limits: Limits) -> Verdict {
    let mut verdict = Verdict::Ok;
    for component in component::split(history) {
        let mut search = Search::new(&component, None);
        match search.run(limits.configurations_max) {
            Found::Order => {}
            Found::NoOrder { step } => {
                return Verdict::Violation(Box::new(explain(&component, step, limits)));
            }
            Found::GaveUp { step } => {
                verdict = Verdict::Undecided(Undecided {
                    keys: component.keys.iter().map(|key| key.to_vec()).collect(),
                    configurations: search.configurations,
                    explained: step,
                    answered: component.members.len(),
                });
            }
        }
    }
    verdict
}

/// A window with more answered operations than this begins later than its last quiet point.
const WINDOW_MAX: usize = 32;
/// So many operations before the window are shown.
const BEFORE_MAX: usize = 6;

fn explain(component: &Component<'_>, step: usize, limits: Limits) -> Violation {
    let quiet = (step.saturating_sub(WINDOW_MAX)..=step).rev().find(|step| component.quiet_before(*step));
    let begin = quiet.unwrap_or(step.saturating_sub(WINDOW_MAX));
    // The states at the beginning are known only now that the step is; the same search within the same limit ends alike.
    let mut search = Search::new(component, Some(begin));
    search.run(limits.configurations_max);
    let entry = |member: usize| component.members[member].entry.clone();
    let mut window: Vec<Entry> = (begin..step).map(entry).collect();
    window.extend(component.open_at(step).iter().map(|open| entry(*open)));
    window.sort_by_key(|entry| entry.invoked_ns);
    let unanswered = component.classes.iter().flat_map(|class| &class.members);
    let mut unanswered: Vec<Entry> =
        unanswered.filter(|member| member.from_step <= step).map(|member| member.entry.clone()).collect();
    unanswered.sort_by_key(|entry| entry.invoked_ns);
    Violation {
        keys: component.keys.iter().map(|key| key.to_vec()).collect(),
        culprit: entry(step),
        window,
        quiet: quiet.is_some(),
        states: search.watched_states(),
        before: (begin.saturating_sub(BEFORE_MAX)..begin).map(entry).collect(),
        unanswered,
        answered_before: step,
    }
}
