//! Pool: a few threads for calls that may block, so that no event loop ever waits for an engine.

use std::io;
use std::sync::Mutex;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, Sender, unbounded};

use crate::server::{Calls, lock};

type Job = (Option<usize>, Box<dyn FnOnce() + Send>);

/// For how long a pool that is dropped waits for jobs that do not end, and how often it looks.
const END_TIMEOUT: Duration = Duration::from_secs(1);
const LOOK_INTERVAL: Duration = Duration::from_millis(1);

/// The threads. They end when the pool is dropped and their jobs are done; one that does not return from its job is left to it.
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
    todo: Receiver<Job>,
    handles: Vec<JoinHandle<()>>,
}

impl Default for Threads {
    /// None.
    fn default() -> Self {
        let (jobs, todo) = unbounded();
        Self { jobs, todo, handles: Vec::new() }
    }
}

impl Threads {
    fn start(count: usize, calls: &Calls) -> io::Result<Self> {
        let mut threads = Self::default();
        threads.add(count, calls)?;
        Ok(threads)
    }

    /// Starts more of them for the same jobs.
    fn add(&mut self, count: usize, calls: &Calls) -> io::Result<()> {
        let start = |index: usize| {
            let name = format!("pool-{index}");
            let (todo, caller) = (self.todo.clone(), calls.add(name.clone()));
            super::threads::spawn(name, move || {
                for (command, job) in todo {
                    caller.enter(command);
                    if std::panic::catch_unwind(std::panic::AssertUnwindSafe(job)).is_err() {
                        log::error!("a job of the pool panicked");
                    }
                    caller.leave();
                }
            })
        };
        let first = self.handles.len();
        let started = (first..first + count).map(start).collect::<io::Result<Vec<_>>>()?;
        self.handles.extend(started);
        Ok(())
    }
}

impl Pool {
    /// Starts `count` threads, which note their calls in `calls`.
    ///
    /// # Errors
    /// The system has no more threads.
    pub fn new(count: usize, calls: &Calls) -> io::Result<Self> {
        let (threads, calls) = (Mutex::new(Threads::start(count, calls)?), calls.clone());
        Ok(Self { threads, count, calls })
    }

    /// Starts as many threads again: those that there are may never return from their jobs.
    pub fn add_threads(&self) {
        if let Err(error) = lock(&self.threads).add(self.count, &self.calls) {
            log::error!("the pool gets no more threads: {error}");
        }
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
        let Threads { jobs, todo, handles } = std::mem::take(&mut *lock(&self.threads));
        drop((jobs, todo));
        let since = Instant::now();
        while !handles.iter().all(JoinHandle::is_finished) && since.elapsed() < END_TIMEOUT {
            thread::sleep(LOOK_INTERVAL);
        }
        let (ended, left): (Vec<_>, Vec<_>) = handles.into_iter().partition(JoinHandle::is_finished);
        // A job's panic was caught and logged in the thread.
        ended.into_iter().for_each(|thread| _ = thread.join());
        if !left.is_empty() {
            log::error!("{} threads of the pool do not return from an engine", left.len());
        }
    }
}
