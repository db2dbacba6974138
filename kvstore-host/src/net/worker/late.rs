//! Late: closes clients that are late with something: with taking their replies, or with asking for anything.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::Worker;
use crate::net::connection::{End, Waiting};

/// How often a worker looks for clients that are late with something, if any can be: it has to look at each.
pub(super) const LATE_CHECK_INTERVAL: Duration = Duration::from_millis(500);
/// How long a stopping worker waits for what is under way and for clients that do not take their replies.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

impl Worker {
    /// Closes clients that take none of their replies, or that have been idle for too long.
    pub(super) fn close_late_ones(&mut self) {
        let idle = self.shared.server.settings.idle_timeout_s.load(Ordering::Relaxed);
        if !(self.stopping.is_some() || idle != 0 || self.stalled > 0)
            || self.now.duration_since(self.late_checked) < LATE_CHECK_INTERVAL
        {
            return;
        }
        self.late_checked = self.now;
        let shared = Arc::clone(&self.shared);
        let settings = &shared.server.settings;
        let stall = settings.output_stall_timeout_ms.load(Ordering::Relaxed);
        let stop = self.stopping.is_some_and(|since| self.now.duration_since(since) > STOP_TIMEOUT);
        for place in self.connections.taken() {
            let now = self.now;
            let Some(connection) = self.connections.get_mut(place) else { continue };
            let since = |at: Instant| now.duration_since(at);
            let stalled = connection.stalled.map_or(Duration::ZERO, since);
            let over = connection.over_limit(&settings.output_limits, now);
            let text = if matches!(connection.waiting, Waiting::Work { .. }) && !stop {
                continue;
            } else if stop {
                "the server stops".to_owned()
            } else if let Some(text) = over {
                text
            } else if stall != 0 && stalled > Duration::from_millis(stall) {
                format!("it took none of its replies for {} ms", stalled.as_millis())
            } else if idle != 0
                && matches!(connection.waiting, Waiting::No)
                && !connection.session.subscriber.listens()
                && since(connection.active) > Duration::from_secs(idle)
            {
                "idle for too long".to_owned()
            } else {
                continue;
            };
            if let Some(connection) = self.connections.remove(place) {
                self.stalled -= usize::from(connection.stalled.is_some());
                self.close(connection, &End::Late(text));
            }
        }
    }
}
