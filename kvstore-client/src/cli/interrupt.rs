//! Interrupt: the first SIGINT or SIGTERM raises a flag and ends waits, so that what was begun ends in order; a second one ends the program.

use kvstore_client::Interrupt;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::{flag, low_level};
use std::io;
use std::os::unix::net::UnixStream;
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

/// What ends the waits of a client with the first signal, and all that would begin after it. Together with the [`flag`].
///
/// # Errors
/// Those of this machine.
pub(crate) fn of_waits() -> io::Result<Interrupt> {
    let (read, write) = UnixStream::pair()?;
    for signal in [SIGINT, SIGTERM] {
        low_level::pipe::register(signal, write.try_clone()?)?;
    }
    Ok(Interrupt::new(read))
}
