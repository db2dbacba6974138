//! Thread: the thread that a worker runs on. It can move on to another one, between two turns: what engines have left on the one before, such as
//! thread-local destructors, goes with that one.

use std::io;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;

use crossbeam::channel::{Sender, bounded};
use mio::Events;
use rustix::thread::gettid;

use super::{Worker, name};
use crate::plugin::threads;

impl Worker {
    /// Serves until it is told to stop, on a thread of its own.
    ///
    /// # Errors
    /// The system has no more threads.
    pub fn start(self) -> io::Result<()> {
        let handle = self.handle.clone();
        let thread = threads::spawn(name(self.index), move || self.run())?;
        handle.runs_on(thread);
        Ok(())
    }

    fn run(mut self) {
        self.handle.thread_id.store(gettid().as_raw_nonzero().get(), Ordering::Relaxed);
        let mut events = Events::with_capacity(1024);
        while self.stopping.is_none() || !self.connections.taken().is_empty() {
            self.turn(&mut events, None);
            if let Some(left) = self.leaves.take() {
                match self.move_on(&left) {
                    Some(stayed) => self = stayed,
                    None => return,
                }
            }
        }
    }

    /// Goes on on another thread, and sends this one to whoever waits for its end. Answers itself if it has to stay.
    fn move_on(self, left: &Sender<JoinHandle<()>>) -> Option<Self> {
        let (give, take) = bounded::<Self>(1);
        match threads::spawn(name(self.index), move || take.into_iter().for_each(Self::run)) {
            Ok(next) => {
                if let Some(this) = self.handle.runs_on(next) {
                    // Who waits for it may have given up.
                    let _ = left.send(this);
                }
                // There is room for it, and the other thread waits.
                give.send(self).err().map(|back| back.into_inner())
            }
            Err(error) => {
                log::error!("worker {} stays on its thread: {error}", self.index);
                Some(self)
            }
        }
    }
}
