//! Services: what the host does for an open engine: log, clock, completions, events, metrics.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use plugin_abi::calls::{Event as EngineEvent, HostServices};
use plugin_abi::raw::*;

use super::changes::Changes;
use super::flight;
use crate::pubsub::Event;
use crate::server::{Server, add};

/// The services of one open engine.
pub(super) struct Services {
    engine: String,
    server: Arc<Server>,
    changes: Arc<Changes>,
    /// Clients are served with it, or are about to be.
    serves: Arc<AtomicBool>,
}

impl Services {
    pub(super) fn new(
        engine: &str,
        server: Arc<Server>,
        changes: Arc<Changes>,
        serves: Arc<AtomicBool>,
    ) -> Self {
        Self { engine: engine.to_owned(), server, changes, serves }
    }
}

impl HostServices for Services {
    fn log(&self, level: u32, text: &str) {
        let level = match level {
            KV_LOG_ERROR => log::Level::Error,
            KV_LOG_WARN => log::Level::Warn,
            KV_LOG_INFO => log::Level::Info,
            _ => log::Level::Debug,
        };
        log::log!(target: "engine", level, "{}: {text}", self.engine);
    }

    fn now_ms(&self) -> i64 {
        self.server.clock.now_ms()
    }

    fn monotonic_ns(&self) -> u64 {
        self.server.clock.monotonic_ns()
    }

    fn complete(&self, batch: *mut KvBatch, first: u32, count: u32) {
        flight::complete(batch, first, count);
    }

    fn event(&self, event: EngineEvent<'_>) {
        // What happens to a copy of the data has happened, or will, to the live engine too.
        if !self.serves.load(Ordering::Relaxed) {
            return;
        }
        match event.kind {
            KV_EVENT_EXPIRED => {
                add(&self.server.stats.expired, 1);
                // It is removed from a copy too, which would tell of it once more when it serves.
                self.changes.note_key(event.key);
                self.server.pubsub.tell(Event::EXPIRED, event.key);
            }
            KV_EVENT_EVICTED => {
                add(&self.server.stats.evicted, 1);
                self.changes.note_key(event.key);
                self.server.pubsub.tell(Event::EVICTED, event.key);
            }
            _ => {}
        }
    }

    // Also of one that does not serve yet: it may tell a figure only while it is opened.
    fn metric(&self, name: &str, kind: u32, number: i64) {
        self.server.metrics.note(&self.engine, name, kind == KV_STAT_COUNTER, number);
    }
}
