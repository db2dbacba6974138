//! Shadow: a candidate that is kept beside the live engine: who is told of it, and who makes it the live one or drops it.

use super::job::Done;
use super::{Asker, Control, engine_command};
use crate::plugin::reload::Phase;
use crate::protocol::Value;

impl Control {
    /// Tells that the shadow is there.
    pub(super) fn introduce(&mut self) {
        let Some(job) = &mut self.job else { return };
        let asker = job.asker.take();
        let Some(live) = &job.live else { return };
        log::info!("{live:?} is the shadow of generation {}", self.shared.published.generation());
        let reply = engine_command::introduced(job, live);
        self.reply(asker, reply);
    }

    /// Has the shadow become the live engine.
    pub(super) fn promote(&mut self, asker: Asker) {
        if self.passes(asker) {
            return;
        }
        match &mut self.job {
            Some(job) if self.reload.phase() == Phase::Shadow && job.asker.is_none() && !job.cancelled => {
                job.asker = asker;
                let number = job.number;
                self.done(number, Done::Promoted);
            }
            _ => self
                .reply(asker, Value::error("ERR there is no shadow to promote, and no engine on probation")),
        }
    }

    /// Drops the shadow.
    pub(super) fn drop_shadow(&mut self, asker: Asker) {
        match self.reload.phase() {
            Phase::Shadow => self.cancel(asker),
            _ => self.reply(asker, Value::error("ERR there is no shadow to drop")),
        }
    }
}
