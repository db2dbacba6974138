//! Interrupt: a flag that the first SIGINT or SIGTERM raises, so that what was begun ends in order; a second one ends the program.

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// As shells report a program that an interrupt has ended.
const EXIT: i32 = 128 + SIGINT;

/// Begins to listen. Without the handlers an interrupt ends the program at once, which is no reason to do nothing at all.
pub(crate) fn flag() -> Arc<AtomicBool> {
    let raised = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // The order counts: the signal that raises the flag does not find it raised.
        let handlers = flag::register_conditional_shutdown(signal, EXIT, Arc::clone(&raised))
            .and_then(|_| flag::register(signal, Arc::clone(&raised)));
        if let Err(error) = handlers {
            log::warn!("no handler for signal {signal}: {error}");
        }
    }
    raised
}
