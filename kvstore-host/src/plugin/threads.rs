//! Threads: which of the process' threads are the host's own, and which of the others are still in a library that is to be unloaded. One that runs on after
//! that is code without a mapping, and the end of the process.
//!
//! Whose a thread is shows at the far end of its stack, where it was started: there lies the address of the function that it runs, and where that is to return to. What else
//! lies on a stack says little: the next thread may get the same stack, and what is not written there anew is from the one before. So a thread that a library has started
//! which an engine has brought along may not be seen.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::process::getpid;
use rustix::thread::gettid;

use super::maps::Maps;

/// The kernel wakes who joins a thread a little before it is gone, and who runs all the time can be looked at only where it is waiting for something.
const PATIENCE: Duration = Duration::from_secs(2);
/// However many threads come meanwhile.
const PATIENCE_IN_ALL: Duration = Duration::from_secs(6);
/// How often it is looked.
const INTERVAL: Duration = Duration::from_millis(1);
/// So much of a stack is looked at, from its end that is in use. Another mapping right behind it looks like a part of it.
const STACK_LEN_MAX: usize = 64 << 20;
/// In such pieces: behind a stack there may be a page that cannot be read, in the same mapping.
const PAGE_LEN: usize = 4096;

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
        run()
    }
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
    /// When this one was. No thread that is started from now on is older.
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

/// Which threads that are not the host's, and were started since then, are in the library at this path, in words, once those that are about to end have ended. One that
/// never waits for anything cannot be looked at, and may be. Blocks for some seconds where there are any, else not at all.
pub(super) fn inside(path: &Path, since: Started) -> Vec<String> {
    let (code, began) = (Code::of(path), Instant::now());
    let (mut outside, mut seen) = (HashSet::new(), HashMap::new());
    loop {
        let (mut left, mut waits) = (Vec::new(), false);
        let is_young = |thread: &i32| Started::of(*thread).is_some_and(|started| started >= since);
        for thread in others().filter(is_young).filter(|thread| !outside.contains(thread)).collect::<Vec<_>>()
        {
            let place = code.place_of(thread);
            match place {
                Place::Gone => {}
                Place::Outside => _ = outside.insert(thread),
                Place::Inside | Place::Running => {
                    let first = seen.entry(thread).or_insert_with(Instant::now);
                    waits |= first.elapsed() < PATIENCE && began.elapsed() < PATIENCE_IN_ALL;
                    left.push((thread, place));
                }
            }
        }
        if !waits {
            return left.into_iter().map(told).collect();
        }
        thread::sleep(INTERVAL);
    }
}

/// The threads that are not the host's own.
fn others() -> impl Iterator<Item = i32> {
    let entries = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(|thread| !is_own(*thread))
}

fn told((thread, place): (i32, Place)) -> String {
    let name = std::fs::read_to_string(format!("/proc/self/task/{thread}/comm")).unwrap_or_default();
    let does =
        if place == Place::Inside { "still runs in it" } else { "runs all the time, and may be in it" };
    format!("thread \"{}\" {does}", name.trim())
}

/// Where a thread is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// In the library.
    Inside,
    /// Not there; so is one of which the system does not tell.
    Outside,
    /// Nobody knows: it runs.
    Running,
    /// It has ended.
    Gone,
}

/// The code of a library, and that of those beside it in its directory: where the copies of all engines lie.
struct Code(Vec<(Range<usize>, bool)>);

impl Code {
    fn of(path: &Path) -> Self {
        let maps = Maps::now();
        let code = maps.iter().filter(|mapping| mapping.is_code);
        let beside = code.filter(|mapping| mapping.path.parent() == path.parent());
        Self(beside.map(|mapping| (mapping.range, mapping.path == path)).collect())
    }

    /// Whether an address is in the library; `None`: it is in none.
    fn has(&self, address: usize) -> Option<bool> {
        self.0.iter().find(|(range, _)| range.contains(&address)).map(|(_, this)| *this)
    }

    fn place_of(&self, thread: i32) -> Place {
        match self.look(thread) {
            Ok(place) => place,
            Err(_) if !std::fs::exists(format!("/proc/self/task/{thread}")).unwrap_or(true) => Place::Gone,
            Err(error) => {
                log::debug!("where thread {thread} is cannot be seen: {error}");
                Place::Outside
            }
        }
    }

    fn look(&self, thread: i32) -> io::Result<Place> {
        let Some((stack, next)) = where_is(thread)? else { return Ok(Place::Running) };
        let maps = Maps::now();
        let stack_of = maps.iter().find(|mapping| mapping.range.contains(&stack));
        let end = stack_of.ok_or(io::ErrorKind::NotFound)?.range.end;
        let stack = stack.next_multiple_of(size_of::<usize>());
        let bytes = read(stack..end.min(stack.saturating_add(STACK_LEN_MAX)))?;
        let words = bytes.as_chunks().0.iter().rev().copied().map(usize::from_ne_bytes);
        // What is nearest to where the stack begins is what the thread was started for.
        let is_inside = self.has(next).or_else(|| words.into_iter().find_map(|word| self.has(word)));
        Ok(if is_inside == Some(true) { Place::Inside } else { Place::Outside })
    }
}

/// What lies in the memory of this process, as far as it can be read.
fn read(range: Range<usize>) -> io::Result<Vec<u8>> {
    let (memory, mut bytes) = (File::open("/proc/self/mem")?, Vec::new());
    let mut at = range.start;
    while at < range.end {
        let mut page = [0; PAGE_LEN];
        let end = (at + 1).next_multiple_of(PAGE_LEN).min(range.end);
        let page = &mut page[..end - at];
        match memory.read_exact_at(page, at as u64) {
            Ok(()) => bytes.extend_from_slice(page),
            Err(error) if bytes.is_empty() => return Err(error),
            Err(_) => break,
        }
        at = end;
    }
    Ok(bytes)
}

/// Where the stack of a thread that waits ends, and where it goes on (`/proc/TID/syscall`, proc(5): the last two numbers); none of one that runs.
fn where_is(thread: i32) -> io::Result<Option<(usize, usize)>> {
    let line = std::fs::read_to_string(format!("/proc/self/task/{thread}/syscall"))?;
    let mut numbers = line.split_whitespace().rev();
    let mut number = || usize::from_str_radix(numbers.next()?.strip_prefix("0x")?, 16).ok();
    let (next, stack) = (number(), number());
    Ok(stack.zip(next))
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

    /// Stops the thread also when the test fails.
    struct Stop<'a>(&'a AtomicBool);

    impl Drop for Stop<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_thread_is_where_its_stack_says_unless_it_runs() {
        let before = Started::this();
        let (number, stop, (end, ended)) = (AtomicI32::new(0), AtomicBool::new(false), mpsc::channel::<()>());
        let (this, other) = (Code::of(&std::env::current_exe().unwrap()), Code(Vec::new()));
        let at = || number.load(Ordering::Acquire);
        let (number, stop) = (&number, &stop);
        thread::scope(|scope| {
            let stopping = Stop(stop);
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
            wait_until(|| this.place_of(at()) == Place::Running);
            drop(stopping);
            wait_until(|| this.place_of(at()) == Place::Inside);
            assert_eq!(other.place_of(at()), Place::Outside);
            drop(end);
            thread.join().unwrap();
            wait_until(|| this.place_of(at()) == Place::Gone);
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
