//! Urgent: has the threads that everybody waits for run soon after they are woken, also where all processors are busy.
//!
//! Linux lets the one run whose slice ends first, of those that have had no more than their share (EEVDF). A short slice is sooner over, so who asks for one
//! waits less, and gets no more of a processor in all. Any process may ask for it: `sched_runtime` of `sched_setattr(2)`, for SCHED_OTHER from Linux 6.12
//! on; an older one takes no notice.

use std::mem::{size_of, zeroed};

use libc::{SYS_sched_getattr, SYS_sched_setattr, c_long, sched_attr, syscall};
use rustix::thread::gettid;

/// The shortest slice that Linux gives, in nanoseconds.
const SLICE_NS: u64 = 100_000;

/// Threads whose slices are short until this is dropped.
#[derive(Debug)]
pub(super) struct Urgent(Vec<(i32, sched_attr)>);

impl Urgent {
    /// Asks it for these threads of the process. Those that are gone, or have a policy of their own, are left as they are. What one of them starts meanwhile, as an
    /// engine might in a call, keeps short slices.
    pub(super) fn new(threads: impl IntoIterator<Item = i32>) -> Self {
        let shorten = |thread| {
            let before = scheduled(thread)?;
            schedule(thread, &sched_attr { sched_runtime: SLICE_NS, ..before }).then_some((thread, before))
        };
        Self(threads.into_iter().filter_map(shorten).collect())
    }
}

impl Drop for Urgent {
    fn drop(&mut self) {
        for (thread, before) in &self.0 {
            schedule(*thread, before);
        }
    }
}

/// Asks it for this thread, until that ends; not for the threads that it starts, as engines do: without that they would inherit it.
pub(super) fn hurry() {
    let this = gettid().as_raw_nonzero().get();
    if let Some(attr) = scheduled(this) {
        let sched_flags = libc::SCHED_FLAG_RESET_ON_FORK as u64;
        schedule(this, &sched_attr { sched_runtime: SLICE_NS, sched_flags, ..attr });
    }
}

/// How a thread is scheduled, if it is there and has no policy of its own.
fn scheduled(thread: i32) -> Option<sched_attr> {
    let (none, len): (c_long, c_long) = (0, size_of::<sched_attr>() as c_long);
    // SAFETY: it consists of integers.
    let mut attr: sched_attr = unsafe { zeroed() };
    // SAFETY: there is room for so many bytes, and the kernel writes no more.
    let got = unsafe { syscall(SYS_sched_getattr, c_long::from(thread), &raw mut attr, len, none) };
    (got == 0 && attr.sched_policy == libc::SCHED_OTHER.cast_unsigned()).then_some(attr)
}

/// Has a thread be scheduled so. False: the system refuses.
fn schedule(thread: i32, attr: &sched_attr) -> bool {
    let none: c_long = 0;
    // SAFETY: it says itself how long it is, and is only read.
    unsafe { syscall(SYS_sched_setattr, c_long::from(thread), std::ptr::from_ref(attr), none) == 0 }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
mod tests {
    use super::*;

    fn this_thread() -> i32 {
        gettid().as_raw_nonzero().get()
    }

    #[test]
    fn slices_are_short_for_a_while() {
        let this = this_thread();
        let before = scheduled(this).unwrap();
        if !schedule(this, &before) {
            return eprintln!("not tried: the system lets nobody ask for a slice");
        }
        let urgent = Urgent::new([this, i32::MAX]);
        let now = scheduled(this).unwrap();
        assert_eq!(urgent.0.len(), 1, "there is no such thread");
        // An older system tells 0.
        assert!(before.sched_runtime == 0 || now.sched_runtime == SLICE_NS, "{now:?}");
        assert_eq!((now.sched_policy, now.sched_nice), (before.sched_policy, before.sched_nice));
        drop(urgent);
        assert_eq!(scheduled(this).unwrap().sched_runtime, before.sched_runtime);
    }

    #[test]
    fn who_hurries_has_no_children_that_do() {
        let slice = || scheduled(this_thread()).unwrap().sched_runtime;
        let before = slice();
        let hurried = std::thread::spawn(move || {
            hurry();
            (slice(), std::thread::spawn(slice).join().unwrap())
        });
        let (own, child) = hurried.join().unwrap();
        // An older system tells 0.
        let asked = scheduled(this_thread()).is_some_and(|attr| schedule(this_thread(), &attr));
        assert!(before == 0 || !asked || own == SLICE_NS, "{own}");
        assert_eq!(child, before);
    }
}
