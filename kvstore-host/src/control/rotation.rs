//! Rotation: workers and pool move on to other threads, and the old ones end, so that what a retired engine has left on them goes: a thread-local destructor
//! pins its library as long as the thread lives.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam::channel::{RecvTimeoutError, unbounded};

use super::Control;
use crate::net::{Message, Shared, WorkerHandle};
use crate::plugin::library::look;
use crate::plugin::lifecycle::Retired;

/// What it takes.
pub(super) struct Rotation {
    shared: Arc<Shared>,
    workers: Vec<WorkerHandle>,
    at_most: Duration,
}

impl Control {
    /// One that may be needed.
    pub(super) fn rotation(&self) -> Rotation {
        let (shared, workers) = (Arc::clone(&self.shared), self.workers.clone());
        Rotation { shared, workers, at_most: self.drain_timeout() }
    }
}

impl Rotation {
    /// Looks again at a library that a thread may pin, once all threads have ended that clients' requests ran on. Blocks.
    pub(super) fn unpin(self, retired: Retired) -> Retired {
        let Some((path, pins)) = &retired.pinned else { return retired };
        let verdict = match self.rotate() {
            Ok(()) => look(path, pins),
            Err(why) => {
                log::error!("the library stays pinned: {why}");
                return retired;
            }
        };
        log::info!("its library was {}; all workers moved on to other threads: {verdict}", retired.verdict);
        Retired { verdict, ..retired }
    }

    /// Has all threads replaced, and waits for the end of the old ones.
    ///
    /// No library is closed meanwhile: an ending thread runs destructors of several kinds one after the other, and only some of them pin.
    fn rotate(self) -> Result<(), String> {
        let (left, threads) = unbounded::<JoinHandle<()>>();
        for worker in &self.workers {
            worker.send(Message::MoveOn(left.clone()));
        }
        self.shared.pool.move_on().into_iter().for_each(|thread| _ = left.send(thread));
        drop(left);
        let until = Instant::now() + self.at_most;
        loop {
            match threads.recv_deadline(until) {
                // How it ended is known.
                Ok(thread) => _ = thread.join(),
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
                Err(RecvTimeoutError::Timeout) => {
                    return Err("a worker does not come to the end of what it does".to_owned());
                }
            }
        }
    }
}
