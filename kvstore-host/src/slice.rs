//! Slice: how soon a thread runs that wakes up while others have the processors.
//!
//! Linux' scheduler (EEVDF, <https://docs.kernel.org/scheduler/sched-eevdf.html>) runs the thread first whose slice would end first, and since 6.12 a thread may have
//! shorter slices than others: then it does not wait for the end of theirs. Its share of the processors stays the same, so nobody starves, and everybody
//! may ask for it (`sched_setattr(2)`, `sched_runtime`). An older system takes the wish and does nothing.

use std::mem::size_of;

use libc::{SYS_sched_getattr, SYS_sched_setattr, c_long, c_uint, pid_t, sched_attr, syscall};

/// The shortest slices that there are, in nanoseconds. Those of others have 700,000 and more.
const SHORTEST_NS: u64 = 100_000;
/// The thread that asks.
const OWN: pid_t = 0;

/// Has the thread that asks run in short slices until it ends. Threads that it starts do not.
pub(crate) fn shorten_own() {
    if let Some(own) = get(OWN) {
        let flags = own.sched_flags | libc::SCHED_FLAG_RESET_ON_FORK as u64;
        set(OWN, &sched_attr { sched_flags: flags, sched_runtime: SHORTEST_NS, ..own });
    }
}

/// A thread that runs in short slices, until this is dropped.
#[derive(Debug)]
pub(crate) struct Shortened {
    thread: pid_t,
    /// How long they were before, in nanoseconds.
    before_ns: u64,
}

impl Shortened {
    /// Shortens those of a thread. `None`: there is no such thread, or it is not scheduled in slices.
    pub(crate) fn of(thread: pid_t) -> Option<Self> {
        let before = get(thread).filter(|_| thread != OWN)?;
        set(thread, &sched_attr { sched_runtime: SHORTEST_NS, ..before });
        Some(Self { thread, before_ns: before.sched_runtime })
    }
}

impl Drop for Shortened {
    fn drop(&mut self) {
        if let Some(now) = get(self.thread) {
            set(self.thread, &sched_attr { sched_runtime: self.before_ns, ..now });
        }
    }
}

/// How a thread is scheduled, if that is as most are.
fn get(thread: pid_t) -> Option<sched_attr> {
    // SAFETY: plain numbers, for which zeros are a value.
    let mut attributes: sched_attr = unsafe { std::mem::zeroed() };
    let len = size_of::<sched_attr>() as c_uint;
    // SAFETY: a place for as many bytes as it says.
    let got =
        unsafe { syscall(SYS_sched_getattr, c_long::from(thread), &raw mut attributes, len, 0 as c_uint) };
    (got == 0 && attributes.sched_policy == libc::SCHED_OTHER as u32).then_some(attributes)
}

/// Has it scheduled otherwise. What the system does not allow stays as it is: this is about speed alone.
fn set(thread: pid_t, attributes: &sched_attr) {
    // SAFETY: the structure says how long it is, and is only read.
    let set =
        unsafe { syscall(SYS_sched_setattr, c_long::from(thread), &raw const *attributes, 0 as c_uint) };
    if set != 0 {
        log::debug!("sched_setattr: {}", std::io::Error::last_os_error());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    /// `None`: it is not scheduled as most are, nor are these tests.
    fn slice_ns(thread: pid_t) -> Option<u64> {
        get(thread).map(|found| found.sched_runtime)
    }

    /// What is expected of a thread with short slices: an older system keeps no slices of their own.
    fn short_ns() -> Option<u64> {
        let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
        let mut parts = release.split(['.', '-']).map(|part| part.parse::<u32>().unwrap_or(0));
        let version = (parts.next().unwrap(), parts.next().unwrap());
        slice_ns(OWN).map(|usual| if version < (6, 12) { usual } else { SHORTEST_NS })
    }

    #[test]
    fn a_thread_has_short_slices_and_those_that_it_starts_do_not() {
        let (usual, short) = (slice_ns(OWN), short_ns());
        thread::spawn(move || {
            shorten_own();
            assert_eq!(slice_ns(OWN), short);
            thread::spawn(move || assert_eq!(slice_ns(OWN), usual)).join().unwrap();
        })
        .join()
        .unwrap();
    }

    #[test]
    fn another_thread_has_them_until_the_end() {
        let (usual, short) = (slice_ns(OWN), short_ns());
        let own = rustix::thread::gettid().as_raw_nonzero().get();
        thread::spawn(move || {
            let shortened = Shortened::of(own);
            assert_eq!((shortened.is_some(), slice_ns(own)), (usual.is_some(), short));
            drop(shortened);
            assert_eq!(slice_ns(own), usual);
            assert!(Shortened::of(OWN).is_none());
            assert!(Shortened::of(pid_t::MAX).is_none());
        })
        .join()
        .unwrap();
    }
}
