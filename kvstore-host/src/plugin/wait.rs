//! Wait: carries work out and waits for it, for threads that may.

use std::sync::{Arc, Condvar, Mutex, PoisonError};

use super::flight::{Home, Landed};
use super::live::{Execution, Live};
use super::outcome::Outcomes;
use super::work::Work;

/// Waits for flights that land on another thread.
#[derive(Default)]
struct Waiting {
    landed: Mutex<Option<Landed>>,
    arrived: Condvar,
}

impl Home for Waiting {
    fn landed(&self, _ticket: u64, landed: Landed) {
        *self.landed.lock().unwrap_or_else(PoisonError::into_inner) = Some(landed);
        self.arrived.notify_all();
    }
}

impl Waiting {
    fn wait(&self) -> Landed {
        let mut landed = self.landed.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(landed) = landed.take() {
                return landed;
            }
            landed = self.arrived.wait(landed).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Carries work out and waits for it.
pub fn execute_and_wait(live: &Live, work: Work) -> (Work, Outcomes) {
    let waiting = Arc::new(Waiting::default());
    let home = Arc::clone(&waiting) as Arc<dyn Home>;
    let mut execution = live.execute(work, (&home, 0), None);
    loop {
        match execution {
            Execution::Done(work, outcomes) => return (work, outcomes),
            _ => {
                execution = live.resume(waiting.wait(), (&home, 0));
            }
        }
    }
}
