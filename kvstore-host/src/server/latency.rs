//! Latency: when something took long, by what it was: the spikes of the last time it happened.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;

use super::lock;

/// Spikes that are remembered of each event.
const SPIKES_MAX: usize = 160;

/// Something took long in this second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spike {
    /// In seconds since 1970 UTC.
    pub at_s: i64,
    /// The longest that it took in that second, in milliseconds.
    pub took_ms: u64,
}

/// What took long, and when.
#[derive(Clone, Debug, Default)]
pub struct Spikes {
    /// The newest last.
    pub all: VecDeque<Spike>,
    /// The longest that it ever took, in milliseconds.
    pub longest_ms: u64,
}

/// The spikes of all events. An event is something that the code names.
#[derive(Debug, Default)]
pub struct Latency(Mutex<BTreeMap<&'static str, Spikes>>);

impl Latency {
    /// Notes that an event took long.
    pub fn note(&self, event: &'static str, at_s: i64, took_ms: u64) {
        let mut events = lock(&self.0);
        let spikes = events.entry(event).or_default();
        spikes.longest_ms = spikes.longest_ms.max(took_ms);
        match spikes.all.back_mut() {
            Some(last) if last.at_s == at_s => last.took_ms = last.took_ms.max(took_ms),
            _ => spikes.all.push_back(Spike { at_s, took_ms }),
        }
        if spikes.all.len() > SPIKES_MAX {
            spikes.all.pop_front();
        }
    }

    /// All events that ever took long.
    pub fn events(&self) -> Vec<(&'static str, Spikes)> {
        lock(&self.0).iter().map(|(event, spikes)| (*event, spikes.clone())).collect()
    }

    /// One of them, in any case.
    pub fn event(&self, name: &[u8]) -> Option<(&'static str, Spikes)> {
        self.events().into_iter().find(|(event, _)| event.as_bytes().eq_ignore_ascii_case(name))
    }

    /// Forgets an event. False: it is not known.
    pub fn forget(&self, name: &[u8]) -> bool {
        let mut events = lock(&self.0);
        let before = events.len();
        events.retain(|event, _| !event.as_bytes().eq_ignore_ascii_case(name));
        events.len() < before
    }
}

#[cfg(test)]
mod tests {
    use super::{Latency, SPIKES_MAX, Spike};

    #[test]
    fn of_each_second_the_longest_is_kept_and_of_all_the_newest() {
        let latency = Latency::default();
        for (at_s, took_ms) in [(1, 20), (1, 50), (1, 30), (2, 10)] {
            latency.note("command", at_s, took_ms);
        }
        let (event, spikes) = latency.event(b"COMMAND").unwrap();
        assert_eq!((event, spikes.longest_ms), ("command", 50));
        assert_eq!(spikes.all, [Spike { at_s: 1, took_ms: 50 }, Spike { at_s: 2, took_ms: 10 }]);
        (3..500).for_each(|at_s| latency.note("command", at_s, 1));
        let (_, spikes) = latency.event(b"command").unwrap();
        assert_eq!((spikes.all.len(), spikes.longest_ms), (SPIKES_MAX, 50));
        assert_eq!(spikes.all.back().unwrap().at_s, 499);
        assert!(latency.forget(b"command") && !latency.forget(b"command"));
        assert!(latency.events().is_empty());
    }
}
