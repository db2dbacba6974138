//! Crash: a signal that ends the child is answered with a line on how much memory there was, so that the parent can tell a crash
//! for want of memory from another one.

use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::atomic::{AtomicI32, Ordering};

use libc::{c_int, c_void};

const SIGNALS: [c_int; 5] = [libc::SIGSEGV, libc::SIGBUS, libc::SIGABRT, libc::SIGILL, libc::SIGFPE];

/// Where the line goes.
static REPORT: AtomicI32 = AtomicI32::new(-1);

/// Installs the handler. After its line the signal takes its usual course.
pub(super) fn tell(report: BorrowedFd<'_>) {
    REPORT.store(report.as_raw_fd(), Ordering::Relaxed);
    for signal in SIGNALS {
        // SAFETY: a zeroed sigaction is a valid one; the handler is a function of the type that SA_SIGINFO asks for, and calls
        // nothing that is not safe in a signal handler. RESETHAND lets the signal's next delivery end the process.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = handler as *const () as usize;
            action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_RESETHAND;
            libc::sigaction(signal, &raw const action, std::ptr::null_mut());
        }
    }
}

extern "C" fn handler(signal: c_int, info: *mut libc::siginfo_t, _context: *mut c_void) {
    let report = REPORT.load(Ordering::Relaxed);
    let mut statm = [0_u8; 128];
    // SAFETY: open, read, write and raise may be called in a signal handler; all buffers live through the calls.
    unsafe {
        let file = libc::open(c"/proc/self/statm".as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC);
        let len = libc::read(file, statm.as_mut_ptr().cast(), statm.len());
        let len = usize::try_from(len).unwrap_or(0).min(statm.len());
        // The file's own line end would end the JSON string.
        let text = statm[..len].strip_suffix(b"\n").unwrap_or(&statm[..len]);
        for part in [b"\n{\"Crash\":\"".as_slice(), text, b"\"}\n"] {
            libc::write(report, part.as_ptr().cast(), part.len());
        }
        // A fault happens again on return; a signal that somebody sent does not.
        if (*info).si_code <= 0 {
            libc::raise(signal);
        }
    }
}
