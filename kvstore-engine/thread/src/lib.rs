//! Thread: a thread of an engine's own, started without the standard library's spawn.
//!
//! `std::thread::spawn` leaves thread-locals with destructors on the thread that calls it, which belongs to the host here:
//! they would pin the library until that thread ends. `pthread_create` leaves nothing.

use core::ffi::c_void;
use core::ptr;
use std::panic::{AssertUnwindSafe, catch_unwind};

use plugin_abi::Status;
use plugin_abi::sdk::Error;

type Body = Box<dyn FnOnce() + Send>;

/// A running thread. One that is not joined goes on: [`Thread::join`] is to be called.
#[derive(Debug)]
pub struct Thread(libc::pthread_t);

// SAFETY: a thread's identifier may be used from any thread.
unsafe impl Send for Thread {}
// SAFETY: as above.
unsafe impl Sync for Thread {}

impl Thread {
    /// Starts a thread. A panic of `body` ends it.
    ///
    /// # Errors
    /// FULL: the system has no room for a thread.
    pub fn start(body: impl FnOnce() + Send + 'static) -> Result<Self, Error> {
        let body: Box<Body> = Box::new(Box::new(body));
        let body = Box::into_raw(body);
        let mut thread = 0;
        // SAFETY: `run` takes the pointer over, exactly once, unless no thread was started.
        let code = unsafe { libc::pthread_create(&raw mut thread, ptr::null(), run, body.cast()) };
        if code == 0 {
            return Ok(Self(thread));
        }
        // SAFETY: made by Box::into_raw above, and no thread was started that would take it over.
        drop(unsafe { Box::from_raw(body) });
        Err(Error::new(Status::FULL, std::io::Error::from_raw_os_error(code).to_string()))
    }

    /// Waits until the thread has ended.
    pub fn join(self) {
        // SAFETY: started here, and joined once: `self` is consumed.
        unsafe { libc::pthread_join(self.0, ptr::null_mut()) };
    }
}

extern "C" fn run(body: *mut c_void) -> *mut c_void {
    // SAFETY: made by Box::into_raw in `start`, for this call only.
    let body = unsafe { Box::from_raw(body.cast::<Body>()) };
    // Whoever waits for something of this thread hears of a panic from what the unwinding drops.
    let _ = catch_unwind(AssertUnwindSafe(body));
    ptr::null_mut()
}
