//! Wait: until a condition holds; the one place where tests look again and again.

use std::time::{Duration, Instant};

/// A condition that does not come true within this time never will: the test says so instead of hanging.
const GIVE_UP: Duration = Duration::from_secs(120);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(2);

/// Looks until there is something, and answers it. `what` completes the sentence "waited in vain for …".
///
/// # Panics
/// Nothing has come for two minutes.
#[allow(clippy::panic, reason = "a test's helper stops at the first surprise")]
pub fn wait_for<T>(what: impl std::fmt::Display, mut look: impl FnMut() -> Option<T>) -> T {
    let since = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(since.elapsed() < GIVE_UP, "waited in vain for {what}");
        std::thread::park_timeout(PAUSE);
    }
}

/// Looks until the condition holds.
///
/// # Panics
/// As [`wait_for`].
pub fn wait_until(what: impl std::fmt::Display, mut holds: impl FnMut() -> bool) {
    wait_for(what, || holds().then_some(()));
}
