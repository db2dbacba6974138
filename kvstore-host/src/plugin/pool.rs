//! Pool: a few threads for calls that may block, so that no event loop ever waits for an engine.

use std::io;
use std::sync::Mutex;
use std::thread::{self, JoinHandle};

use crossbeam::channel::{Sender, unbounded};

use crate::server::{Calls, lock};

type Job = (Option<usize>, Box<dyn FnOnce() + Send>);

/// The threads. They end when the pool is dropped and their jobs are done.
#[derive(Debug)]
pub struct Pool {
    threads: Mutex<Threads>,
    count: usize,
    /// Where each of them notes its calls.
    calls: Calls,
}

#[derive(Debug)]
struct Threads {
    jobs: Sender<Job>,
    handles: Vec<JoinHandle<()>>,
}

impl Threads {
    fn start(count: usize, calls: &Calls) -> io::Result<Self> {
        let (jobs, todo) = unbounded::<Job>();
        let start = |index: usize| {
            let (todo, caller) = (todo.clone(), calls.add(name(index)));
            thread::Builder::new().name(name(index)).spawn(move || {
                for (command, job) in todo {
                    caller.enter(command);
                    if std::panic::catch_unwind(std::panic::AssertUnwindSafe(job)).is_err() {
                        log::error!("a job of the pool panicked");
                    }
                    caller.leave();
                }
            })
        };
        let handles = (0..count).map(start).collect::<io::Result<_>>()?;
        Ok(Self { jobs, handles })
    }
}

fn name(index: usize) -> String {
    format!("pool-{index}")
}

impl Pool {
    /// Starts `threads` threads, which note their calls in `calls`.
    ///
    /// # Errors
    /// The system has no more threads.
    pub fn new(threads: usize, calls: &Calls) -> io::Result<Self> {
        let (count, calls) = (threads, calls.clone());
        Ok(Self { threads: Mutex::new(Threads::start(count, &calls)?), count, calls })
    }

    /// Goes on with other threads. Answers the ones before, which end when their jobs are done; none where the system has no more threads.
    pub fn move_on(&self) -> Vec<JoinHandle<()>> {
        match Threads::start(self.count, &self.calls) {
            Ok(next) => std::mem::replace(&mut *lock(&self.threads), next).handles,
            Err(error) => {
                log::error!("the pool stays on its threads: {error}");
                Vec::new()
            }
        }
    }

    /// Runs a job for the command of this number on one of the threads, as soon as one is free.
    pub fn run(&self, command: Option<usize>, job: impl FnOnce() + Send + 'static) {
        if lock(&self.threads).jobs.send((command, Box::new(job))).is_err() {
            log::error!("the pool has ended; a job is lost");
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let threads = lock(&self.threads);
        let none = Threads { jobs: unbounded().0, handles: Vec::new() };
        let Threads { jobs, handles } = std::mem::replace(&mut *{ threads }, none);
        drop(jobs);
        // A job's panic was caught and logged in the thread.
        handles.into_iter().for_each(|thread| _ = thread.join());
    }
}
