//! Pool: a few threads for calls that may block, so that no event loop ever waits for an engine.

use std::io;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use crossbeam::channel::{Sender, unbounded};

use crate::server::{Caller, Calls, lock};

type Job = (Option<usize>, Box<dyn FnOnce() + Send>);

/// The threads. They end when the pool is dropped and their jobs are done.
#[derive(Debug)]
pub struct Pool {
    threads: Mutex<Threads>,
    /// Where each of them notes its calls.
    callers: Vec<Arc<Caller>>,
}

#[derive(Debug)]
struct Threads {
    jobs: Sender<Job>,
    handles: Vec<JoinHandle<()>>,
}

impl Threads {
    fn start(callers: &[Arc<Caller>]) -> io::Result<Self> {
        let (jobs, todo) = unbounded::<Job>();
        let start = |(index, caller): (usize, &Arc<Caller>)| {
            let (todo, caller) = (todo.clone(), Arc::clone(caller));
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
        let handles = callers.iter().enumerate().map(start).collect::<io::Result<_>>()?;
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
        let callers: Vec<_> = (0..threads).map(|index| calls.add(name(index))).collect();
        Ok(Self { threads: Mutex::new(Threads::start(&callers)?), callers })
    }

    /// Goes on with other threads. Answers the ones before, which end when their jobs are done; none where the system has no more threads.
    pub fn move_on(&self) -> Vec<JoinHandle<()>> {
        match Threads::start(&self.callers) {
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
