//! Calls: which thread is in a call of the engine at the moment, and for which command, so that one that does not return can be named.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::lock;

/// Not in a call.
const NONE: usize = 0;
/// In one for a command that is not known.
const UNKNOWN: usize = usize::MAX;

/// Where one thread notes its calls. Nobody else writes here.
#[derive(Debug)]
pub struct Caller {
    /// No two of a host have the same.
    id: u64,
    name: String,
    begun: AtomicU64,
    /// The number of the command, and one more.
    command: AtomicUsize,
}

impl Caller {
    /// A call begins, for the command of this number: of several, the first one.
    pub fn enter(&self, command: Option<usize>) {
        self.begun.store(self.begun.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        let number = command.map_or(UNKNOWN, |number| number + 1);
        self.command.store(number, Ordering::Relaxed);
    }

    /// It has returned.
    pub fn leave(&self) {
        self.command.store(NONE, Ordering::Relaxed);
    }
}

/// A call under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// Which one of its thread's: no two have the same.
    pub number: u64,
    /// The command's number, where that is known.
    pub command: Option<usize>,
}

/// The threads that call the engine.
#[derive(Clone, Debug, Default)]
pub struct Calls(Arc<Mutex<Callers>>);

#[derive(Debug, Default)]
struct Callers {
    all: Vec<Arc<Caller>>,
    last_id: u64,
}

impl Calls {
    /// A place for a thread of this name. Those of threads that have ended are forgotten.
    pub fn add(&self, name: String) -> Arc<Caller> {
        let mut callers = lock(&self.0);
        callers.last_id += 1;
        let (begun, command) = (AtomicU64::new(0), AtomicUsize::new(NONE));
        let caller = Arc::new(Caller { id: callers.last_id, name, begun, command });
        callers.all.retain(|caller| Arc::strong_count(caller) > 1);
        callers.all.push(Arc::clone(&caller));
        drop(callers);
        caller
    }

    /// Looks at each thread, in the order in which they came: a number that is its alone, its name, and its call if it is in one.
    pub fn look(&self, mut sink: impl FnMut(u64, &str, Option<Call>)) {
        for Caller { id, name, begun, command } in lock(&self.0).all.iter().map(Arc::as_ref) {
            let command = command.load(Ordering::Relaxed);
            let number = begun.load(Ordering::Relaxed);
            let call = Call { number, command: (command != UNKNOWN).then(|| command.saturating_sub(1)) };
            sink(*id, name, (command != NONE).then_some(call));
        }
    }
}
