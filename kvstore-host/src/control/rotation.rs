//! Rotation: workers and pool move on to other threads, and the old ones end, so that what a retired engine has left on them goes: a thread-local destructor
//! pins its library as long as the thread lives.

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam::channel::{RecvTimeoutError, unbounded};

use super::Control;
use crate::net::{Message, Shared, WorkerHandle};
use crate::plugin::library::{closing, look};
use crate::plugin::lifecycle::Retired;

/// How often it is looked whether threads have ended.
const LOOK_INTERVAL: Duration = Duration::from_millis(1);

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
        let _closing = closing();
        if !self.rotate() {
            log::error!("the library stays pinned: a worker, or a thread of the pool, is not done yet");
            return retired;
        }
        let verdict = look(path, pins);
        log::info!("its library was {}; all workers moved on to other threads: {verdict}", retired.verdict);
        Retired { verdict, ..retired }
    }

    /// Has all threads replaced, and waits for the end of the old ones. False: that takes too long.
    fn rotate(self) -> bool {
        let (left, threads) = unbounded::<JoinHandle<()>>();
        // Nobody leaves later than it is waited for.
        let wanted = Arc::new(());
        for worker in &self.workers {
            worker.send(Message::MoveOn(left.clone(), Arc::downgrade(&wanted)));
        }
        let mut ending = self.shared.pool.move_on();
        drop(left);
        let until = Instant::now() + self.at_most;
        loop {
            match threads.recv_deadline(until) {
                Ok(thread) => ending.push(thread),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => return false,
            }
        }
        while !ending.iter().all(JoinHandle::is_finished) {
            if Instant::now() > until {
                return false;
            }
            thread::sleep(LOOK_INTERVAL);
        }
        // How they ended is known.
        ending.into_iter().for_each(|thread| _ = thread.join());
        true
    }
}
