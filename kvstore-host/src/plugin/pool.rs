//! Pool: a few threads for calls that may block, so that no event loop ever waits for an engine.

use std::io;
use std::thread::{self, JoinHandle};

use crossbeam::channel::{Sender, unbounded};

use crate::server::Calls;

type Job = (Option<usize>, Box<dyn FnOnce() + Send>);

/// The threads. They end when the pool is dropped and their jobs are done.
#[derive(Debug)]
pub struct Pool {
    jobs: Option<Sender<Job>>,
    threads: Vec<JoinHandle<()>>,
}

impl Pool {
    /// Starts `threads` threads, which note their calls in `calls`.
    ///
    /// # Errors
    /// The system has no more threads.
    pub fn new(threads: usize, calls: &Calls) -> io::Result<Self> {
        let (jobs, todo) = unbounded::<Job>();
        let start = |index: usize| {
            let (todo, name) = (todo.clone(), format!("pool-{index}"));
            let caller = calls.add(name.clone());
            thread::Builder::new().name(name).spawn(move || {
                for (command, job) in todo {
                    caller.enter(command);
                    if std::panic::catch_unwind(std::panic::AssertUnwindSafe(job)).is_err() {
                        log::error!("a job of the pool panicked");
                    }
                    caller.leave();
                }
            })
        };
        let threads = (0..threads).map(start).collect::<io::Result<_>>()?;
        Ok(Self { jobs: Some(jobs), threads })
    }

    /// Runs a job for the command of this number on one of the threads, as soon as one is free.
    pub fn run(&self, command: Option<usize>, job: impl FnOnce() + Send + 'static) {
        if let Some(jobs) = &self.jobs
            && jobs.send((command, Box::new(job))).is_err()
        {
            log::error!("the pool has ended; a job is lost");
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.jobs = None;
        for thread in self.threads.drain(..) {
            // A job's panic was caught and logged in the thread.
            let _ = thread.join();
        }
    }
}
