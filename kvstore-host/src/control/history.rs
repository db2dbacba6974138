//! History: the generations so far, what a rollback goes back to, and the options last used with each engine.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::job::Options;
use crate::plugin::Keyspace;
use crate::plugin::file::EngineFile;
use crate::plugin::live::Live;

/// One generation, as `ENGINE HISTORY` tells it.
#[derive(Clone, Debug)]
pub(super) struct Generation {
    pub(super) number: u64,
    pub(super) engine: String,
    pub(super) version: String,
    pub(super) path: String,
    pub(super) digest: String,
    /// Since when it has served, in milliseconds since 1970 UTC.
    pub(super) since_ms: i64,
    /// How the data came to it; `None`: the host was started with it.
    pub(super) handoff: Option<&'static str>,
    /// For how long workers were stopped for that, or writes held back, once that is known.
    pub(super) held: Option<Duration>,
    /// `live`, or what became of it.
    pub(super) state: String,
}

impl Generation {
    fn of(live: &Live, since_ms: i64, handoff: Option<&'static str>) -> Self {
        let identity = live.identity();
        Self {
            number: live.generation,
            engine: identity.name.clone(),
            version: identity.version.clone(),
            path: live.file.path().display().to_string(),
            digest: live.file.digest().to_string(),
            since_ms,
            handoff,
            held: None,
            state: "live".to_owned(),
        }
    }
}

/// What was live before.
pub(super) struct History {
    pub(super) generations: VecDeque<Generation>,
    /// What a rollback goes back to.
    pub(super) previous: Option<(Arc<EngineFile>, Options)>,
    /// What came of the last probation.
    pub(super) probation: Option<String>,
    /// The options last used with an engine of this name.
    pub(super) options: BTreeMap<String, Options>,
}

/// Generations that `ENGINE HISTORY` remembers.
const GENERATIONS_MAX: usize = 64;

impl History {
    pub(super) fn new(live: &Live, now_ms: i64) -> Self {
        let options = BTreeMap::from([(live.identity().name.clone(), live.options.clone())]);
        Self {
            generations: VecDeque::from([Generation::of(live, now_ms, None)]),
            previous: None,
            probation: None,
            options,
        }
    }

    /// This engine has taken the place of that one, with its data handed over in this way.
    pub(super) fn published(&mut self, live: &Live, old: &Live, handoff: &'static str, now_ms: i64) {
        self.options.insert(live.identity().name.clone(), live.options.clone());
        self.previous = Some((Arc::clone(&old.file), old.options.clone()));
        self.set_state(old.generation, "draining");
        self.generations.push_back(Generation::of(live, now_ms, Some(handoff)));
        if self.generations.len() > GENERATIONS_MAX {
            self.generations.pop_front();
        }
    }

    /// For how long workers were stopped for the last handoff, or writes held back.
    pub(super) fn set_held(&mut self, held: Duration) {
        if let Some(live) = self.generations.back_mut() {
            live.held = Some(held);
        }
    }

    pub(super) fn set_state(&mut self, generation: u64, state: &str) {
        if let Some(found) = self.generations.iter_mut().find(|found| found.number == generation) {
            state.clone_into(&mut found.state);
        }
    }
}
