//! Threads: which of the process' threads are the host's own, and which of the others are still in a library that is to be unloaded. One that runs on after
//! that is code without a mapping, and the end of the process.
//!
//! A thread that a library has started has an address of its code on its stack for as long as it lives: where it is to return to. So the stacks of all
//! threads that are not the host's, and were started since it was loaded, are looked through; of these, another engine may have started as many as it likes. The host's
//! own have been in the library, and what they had there may still lie on their stacks; so they clear them before they end, as the next thread gets the same stack.

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::process::getpid;
use rustix::thread::gettid;

use super::maps::Maps;

/// The kernel wakes who joins a thread a little before it is gone, and who runs all the time can be looked at only where it is waiting for something.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often it is looked.
const INTERVAL: Duration = Duration::from_millis(1);
/// So much of a stack is cleared.
const STACK_LEN_COMMON: usize = 64 << 10;
/// So much of a stack is looked at, from its end that is in use.
const STACK_LEN_MAX: usize = 1 << 20;

/// The host's own, by number.
static OWN: Mutex<Option<HashSet<i32>>> = Mutex::new(None);

/// Starts a thread of the host.
///
/// # Errors
/// The system has no more threads.
pub fn spawn<T: Send + 'static>(
    name: impl Into<String>,
    run: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    thread::Builder::new().name(name.into()).spawn(own(run))
}

/// What a thread of the host runs that is started in another way: as long as it does, the thread counts as the host's own.
pub fn own<T>(run: impl FnOnce() -> T) -> impl FnOnce() -> T {
    move || {
        let _own = Own::enter();
        let ran = run();
        clear_stack();
        ran
    }
}

/// Clears the part of the stack that is not in use, as far as threads commonly use it.
#[inline(never)]
fn clear_stack() {
    std::hint::black_box(&mut [0_u8; STACK_LEN_COMMON]);
}

/// Among the host's own until it is dropped.
struct Own(i32);

impl Own {
    fn enter() -> Self {
        let this = gettid().as_raw_nonzero().get();
        owned().get_or_insert_default().insert(this);
        Self(this)
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        owned().get_or_insert_default().remove(&self.0);
    }
}

fn owned() -> MutexGuard<'static, Option<HashSet<i32>>> {
    OWN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether a thread is the host's own; so are the first one of the process, and who asks.
fn is_own(thread: i32) -> bool {
    thread == getpid().as_raw_nonzero().get()
        || thread == gettid().as_raw_nonzero().get()
        || owned().as_ref().is_some_and(|own| own.contains(&thread))
}

/// When a thread was started, as the kernel notes it: in ticks since boot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Started(u64);

impl Started {
    /// When this one was. None that it starts, or that something starts for which it calls from now on, is older.
    pub(super) fn this() -> Self {
        Self::of(gettid().as_raw_nonzero().get()).unwrap_or_default()
    }

    /// When a thread was started (`/proc/TID/stat`, proc(5): field 22, the 20th behind the name), if it is there.
    fn of(thread: i32) -> Option<Self> {
        let line = std::fs::read_to_string(format!("/proc/self/task/{thread}/stat")).ok()?;
        let (_, behind) = line.rsplit_once(')')?;
        Some(Self(behind.split_whitespace().nth(19)?.parse().ok()?))
    }
}

/// The names of the threads that are not the host's, were started since then and are in this code, once those that are about to end have ended. One that never waits
/// for anything cannot be looked at, and counts as one. Blocks for two seconds at most, and not at all where there are none.
pub(super) fn inside(code: &[Range<usize>], since: Started) -> Vec<String> {
    let began = Instant::now();
    let mut outside = HashSet::new();
    loop {
        let since = |thread: &i32| Started::of(*thread).is_some_and(|started| started >= since);
        let others = others().filter(|thread| !outside.contains(thread)).filter(since);
        let others: Vec<_> = others.map(|thread| (thread, is_inside(thread, code))).collect();
        outside.extend(others.iter().filter(|(_, inside)| *inside == Ok(false)).map(|(thread, _)| *thread));
        let left = others.into_iter().filter(|(_, inside)| !matches!(inside, Ok(false) | Err(Looked::Gone)));
        let left: Vec<_> = left.map(|(thread, _)| thread).collect();
        if left.is_empty() || began.elapsed() > PATIENCE {
            return left.into_iter().map(name).collect();
        }
        thread::sleep(INTERVAL);
    }
}

/// Why it is not known where a thread is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Looked {
    /// It has ended.
    Gone,
    /// It runs.
    Runs,
}

/// The threads that are not the host's own.
fn others() -> impl Iterator<Item = i32> {
    let entries = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(|thread| !is_own(*thread))
}

/// Whether a thread is in this code.
fn is_inside(thread: i32, code: &[Range<usize>]) -> Result<bool, Looked> {
    let contains = |address: usize| code.iter().any(|range| range.contains(&address));
    let (stack, next) = match where_is(thread) {
        Ok(Some(place)) => place,
        // A system that does not tell where threads are.
        Err(error) if error.kind() == io::ErrorKind::NotFound && is_there(thread) => return Ok(false),
        Err(_) => return Err(Looked::Gone),
        Ok(None) => return Err(Looked::Runs),
    };
    let maps = Maps::now();
    let end = maps.iter().find(|mapping| mapping.range.contains(&stack)).ok_or(Looked::Gone)?.range.end;
    let mut bytes = vec![0; (end - stack).min(STACK_LEN_MAX)];
    let memory = File::open("/proc/self/mem").map_err(|_| Looked::Gone)?;
    memory.read_exact_at(&mut bytes, stack as u64).map_err(|_| Looked::Gone)?;
    let words = bytes.as_chunks().0.iter().copied().map(usize::from_ne_bytes);
    Ok(contains(next) || words.into_iter().any(contains))
}

fn is_there(thread: i32) -> bool {
    std::fs::exists(format!("/proc/self/task/{thread}")).unwrap_or(false)
}

/// Where the stack of a thread that waits ends, and where it goes on (`/proc/TID/syscall`, proc(5): the last two numbers); none of one that runs.
fn where_is(thread: i32) -> io::Result<Option<(usize, usize)>> {
    let line = std::fs::read_to_string(format!("/proc/self/task/{thread}/syscall"))?;
    let mut numbers = line.split_whitespace().rev();
    let mut number = || usize::from_str_radix(numbers.next()?.strip_prefix("0x")?, 16).ok();
    let (next, stack) = (number(), number());
    Ok(stack.zip(next))
}

fn name(thread: i32) -> String {
    let name = std::fs::read_to_string(format!("/proc/self/task/{thread}/comm")).unwrap_or_default();
    format!("\"{}\"", name.trim())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
    use std::sync::mpsc;

    use super::*;

    fn wait_until(is_so: impl Fn() -> bool) {
        let began = Instant::now();
        while !is_so() {
            assert!(began.elapsed() < Duration::from_secs(60));
            thread::yield_now();
        }
    }

    #[test]
    fn a_thread_is_where_its_stack_says_unless_it_runs() {
        let before = Started::this();
        let (number, stop, (end, ended)) = (AtomicI32::new(0), AtomicBool::new(false), mpsc::channel::<()>());
        let program: Vec<_> =
            Maps::now().of(&std::env::current_exe().unwrap()).map(|mapping| mapping.range).collect();
        let at = || number.load(Ordering::Acquire);
        let (number, stop) = (&number, &stop);
        thread::scope(|scope| {
            let thread = scope.spawn(move || {
                number.store(gettid().as_raw_nonzero().get(), Ordering::Release);
                while !stop.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
                ended.recv().unwrap_err();
            });
            wait_until(|| at() != 0);
            assert!(others().any(|thread| thread == at()));
            assert!(Started::of(at()).unwrap() >= before && before > Started(0));
            wait_until(|| is_inside(at(), &program) == Err(Looked::Runs));
            stop.store(true, Ordering::Relaxed);
            wait_until(|| is_inside(at(), &program) == Ok(true));
            let nowhere = usize::MAX - 1..usize::MAX;
            assert_eq!(is_inside(at(), std::slice::from_ref(&nowhere)), Ok(false));
            drop(end);
            thread.join().unwrap();
            wait_until(|| is_inside(at(), &program) == Err(Looked::Gone));
        });
    }

    #[test]
    fn the_hosts_own_do_not_count() {
        let number = spawn("own", || {
            let this = gettid().as_raw_nonzero().get();
            (this, owned().as_ref().is_some_and(|own| own.contains(&this)))
        });
        let (number, was_own) = number.unwrap().join().unwrap();
        assert!(was_own && !owned().as_ref().is_some_and(|own| own.contains(&number)));
        assert!(is_own(gettid().as_raw_nonzero().get()) && is_own(getpid().as_raw_nonzero().get()));
    }
}
