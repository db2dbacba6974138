//! Signals: as readable descriptors in the control thread's event loop.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use mio::net::UnixStream;
use mio::{Interest, Registry, Token};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::{flag, low_level::pipe};

/// A signal, by what it asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signal {
    /// SIGTERM or SIGINT, by name.
    Stop(&'static str),
    /// SIGHUP.
    Reload,
}

/// The signals that the host takes.
pub(super) struct Signals {
    streams: Vec<(Signal, UnixStream)>,
    stopping: Arc<AtomicBool>,
}

const WATCHED: [(i32, Signal); 3] =
    [(SIGTERM, Signal::Stop("SIGTERM")), (SIGINT, Signal::Stop("SIGINT")), (SIGHUP, Signal::Reload)];

impl Signals {
    /// Takes them over from now on.
    pub(super) fn new(registry: &Registry) -> io::Result<Self> {
        let stopping = Arc::new(AtomicBool::new(false));
        let mut streams = Vec::new();
        for (index, (number, signal)) in WATCHED.into_iter().enumerate() {
            if signal != Signal::Reload {
                // The first one sets the flag, below; this sees it at the second.
                flag::register_conditional_shutdown(number, 1, Arc::clone(&stopping))?;
            }
            let (mut stream, sender) = UnixStream::pair()?;
            registry.register(&mut stream, Token(usize::MAX - 1 - index), Interest::READABLE)?;
            pipe::register(number, std::os::fd::OwnedFd::from(sender))?;
            streams.push((signal, stream));
        }
        Ok(Self { streams, stopping })
    }

    /// Takes none over.
    pub(super) fn none() -> Self {
        Self { streams: Vec::new(), stopping: Arc::default() }
    }

    /// The signals that have come, each once.
    pub(super) fn take(&mut self) -> Vec<Signal> {
        let mut taken = Vec::new();
        for (signal, stream) in &mut self.streams {
            let mut bytes = [0; 64];
            let mut came = false;
            while stream.read(&mut bytes).is_ok_and(|read| read > 0) {
                came = true;
            }
            if came {
                taken.push(*signal);
            }
        }
        if taken.iter().any(|signal| matches!(signal, Signal::Stop(_))) {
            self.stopping.store(true, Ordering::SeqCst);
        }
        taken
    }
}
