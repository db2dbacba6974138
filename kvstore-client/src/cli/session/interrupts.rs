//! Interrupts: Ctrl-C while something is under way ends that, not the program.

use kvstore_client::Interrupt;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use signal_hook::consts::SIGINT;
use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// The signals that have come and were not yet taken notice of.
pub(super) struct Interrupts {
    pipe: UnixStream,
}

impl Interrupts {
    /// From here on SIGINT ends waits instead of the program.
    pub(super) fn catch() -> io::Result<Self> {
        let (pipe, write) = UnixStream::pair()?;
        pipe.set_nonblocking(true)?;
        signal_hook::low_level::pipe::register(SIGINT, write)?;
        Ok(Self { pipe })
    }

    /// What ends the waits of a client.
    pub(super) fn interrupt(&self) -> io::Result<Interrupt> {
        Ok(Interrupt::new(self.pipe.try_clone()?))
    }

    /// Forgets those that came so far; whether there were any.
    pub(super) fn clear(&mut self) -> bool {
        let mut any = false;
        let mut buffer = [0; 64];
        while let Ok(1..) = self.pipe.read(&mut buffer) {
            any = true;
        }
        any
    }

    /// Waits for one, for this time at most; whether it came.
    pub(super) fn wait(&self, time: Duration) -> bool {
        let time = Timespec::try_from(time).ok();
        poll(&mut [PollFd::new(&self.pipe, PollFlags::IN)], time.as_ref()).is_ok_and(|ready| ready > 0)
    }
}
