//! Memory: an allocator that counts what the current thread holds, so that a target can say how much an input may cost.
//!
//! It counts where a program has made it its global allocator; elsewhere every figure is 0.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    /// What this thread has taken less what it has given back; below 0 when it frees what others took.
    static HELD: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

/// The system's allocator, counted by thread.
#[derive(Debug)]
pub struct Counting;

fn count(change: isize) {
    // Const and without a destructor: usable at any time in a thread's life, and allocates nothing itself.
    let held = HELD.get().wrapping_add(change);
    HELD.set(held);
    PEAK.set(PEAK.get().max(held));
}

// SAFETY: all is the system's; beside it, numbers are kept.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller's promise.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count(new_size as isize - layout.size() as isize);
        // SAFETY: the caller's promise.
        unsafe { System.realloc(at, layout, new_size) }
    }
}

/// Runs something, and tells how many bytes more than before this thread held at most, and how many it still holds.
pub fn measure<T>(run: impl FnOnce() -> T) -> (T, Used) {
    let before = HELD.get();
    PEAK.set(before);
    let result = run();
    let since = |now: isize| usize::try_from(now - before).unwrap_or(0);
    (result, Used { peak_bytes: since(PEAK.get()), kept_bytes: since(HELD.get()) })
}

/// What something used.
#[derive(Clone, Copy, Debug)]
pub struct Used {
    /// The most that it held at any moment.
    pub peak_bytes: usize,
    /// What it still held at its end.
    pub kept_bytes: usize,
}
