//! Fail point: a moment of a reload at which a test has the host kill itself. Only builds with debug assertions can, so no release does: there it is
//! a line of the log, on level debug.
//!
//! `KV_KILL_AT="Publish: done 2"` names a moment, and how many times it has come by then since the start.

use std::fmt::Display;

/// The moment has come.
pub(crate) fn reach(moment: impl Display) {
    log::debug!("{moment}");
    #[cfg(debug_assertions)]
    armed::reach(&moment.to_string());
}

#[cfg(debug_assertions)]
mod armed {
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// The moment, and how many times it is still to come.
    static ARMED: LazyLock<Option<(String, AtomicUsize)>> = LazyLock::new(|| {
        let given = std::env::var("KV_KILL_AT").ok()?;
        let (moment, times) = given.rsplit_once(' ')?;
        Some((moment.to_owned(), AtomicUsize::new(times.parse().ok()?)))
    });

    pub(super) fn reach(moment: &str) {
        let Some((armed, left)) = &*ARMED else { return };
        if armed == moment && left.fetch_sub(1, Ordering::Relaxed) == 1 {
            // SAFETY: neither has preconditions. The signal has come when the call returns: it does not.
            unsafe { libc::kill(libc::getpid(), libc::SIGKILL) };
        }
    }
}
