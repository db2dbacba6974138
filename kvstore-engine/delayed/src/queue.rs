//! Queue: how calls reach the engine's thread, and how answers come back.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use plugin_abi::Status;
use plugin_abi::sdk::{Batch, BatchId, Error};

use crate::worker::Core;

/// What the thread is asked to do.
pub(crate) enum Request {
    Batch(Batch),
    /// One that is to be complete before its submission returns, which this tells.
    Prompt(Batch, Promise<()>),
    Cancel(BatchId),
    /// A call whose caller waits, to be answered late.
    Call(Box<dyn FnOnce(&mut Core) + Send>),
    /// One to be answered at once.
    Look(Box<dyn FnOnce(&mut Core) + Send>),
}

#[derive(Default)]
struct State {
    requests: VecDeque<Request>,
    closing: bool,
    /// The thread is gone, and nobody will take requests.
    gone: bool,
}

/// The queue. One thread takes, all others put.
#[derive(Default)]
pub(crate) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a request, or gives it back: the thread is gone.
    pub(crate) fn put(&self, request: Request) -> Result<(), Request> {
        let mut state = self.lock();
        if state.gone {
            return Err(request);
        }
        state.requests.push_back(request);
        drop(state);
        self.changed.notify_one();
        Ok(())
    }

    /// Asks the thread to end.
    pub(crate) fn close(&self) {
        self.lock().closing = true;
        self.changed.notify_one();
    }

    /// For the thread, when it ends in whatever way: what is still in the queue is the caller's to drop.
    pub(crate) fn leave(&self) -> VecDeque<Request> {
        let mut state = self.lock();
        state.gone = true;
        std::mem::take(&mut state.requests)
    }

    /// For the thread: waits for requests, the end, or the time `due`, and takes all requests. The second answer is whether to end.
    pub(crate) fn take(&self, due: Option<Instant>) -> (VecDeque<Request>, bool) {
        let mut state = self.lock();
        while state.requests.is_empty() && !state.closing {
            let Some(due) = due else {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let left = due.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            (state, _) = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner);
        }
        (std::mem::take(&mut state.requests), state.closing)
    }
}

/// The answer to one call, on its way from the thread to the caller.
pub(crate) struct Promise<T>(Arc<Place<T>>);

struct Place<T> {
    answer: Mutex<Option<Result<T, Error>>>,
    given: Condvar,
}

/// The caller's end of a promise.
pub(crate) struct Answer<T>(Arc<Place<T>>);

/// Both ends.
pub(crate) fn promise<T>() -> (Promise<T>, Answer<T>) {
    let place = Arc::new(Place { answer: Mutex::new(None), given: Condvar::new() });
    (Promise(Arc::clone(&place)), Answer(place))
}

impl<T> Promise<T> {
    /// Gives the answer.
    pub(crate) fn keep(self, answer: Result<T, Error>) {
        self.give(answer);
    }

    fn give(&self, answer: Result<T, Error>) {
        self.0.answer.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(answer);
        self.0.given.notify_one();
    }
}

impl<T> Drop for Promise<T> {
    // Kept already, or the thread has panicked.
    fn drop(&mut self) {
        self.give(Err(Error::new(Status::UNKNOWN, "the engine's thread has ended")));
    }
}

impl<T> Answer<T> {
    /// Waits for the answer.
    ///
    /// # Errors
    /// The call's; UNKNOWN when the thread has gone.
    pub(crate) fn wait(self) -> Result<T, Error> {
        let mut answer = self.0.answer.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(answer) = answer.take() {
                return answer;
            }
            answer = self.0.given.wait(answer).unwrap_or_else(PoisonError::into_inner);
        }
    }
}
