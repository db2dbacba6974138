//! Embedded: a host within another program, without listeners and signals, and with no thread but for what blocks; for tests and
//! fuzzing.
//!
//! Its clients hold the other end of a stream pair, and it serves them only when it is [told to](Embedded::settle), so a
//! run can be repeated exactly. All else is as in the program: one worker, and the engine behind its symbols.

use std::io;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use mio::Events;

use crate::control;
use crate::net::socket::Socket;
use crate::net::worker::{Seed, Worker};
use crate::net::{Shared, WorkerHandle};
use crate::plugin::file::{EngineFile, PrivateDir};
use crate::plugin::holding::Holding;
use crate::plugin::library::Library;
use crate::plugin::live::{Candidate, Live};
use crate::plugin::pool::Pool;
use crate::plugin::published::Published;
use crate::protocol::Limits;
use crate::server::Server;

/// How long one look for what comes from other threads waits before the next.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// Loads a library that its caller vouches for: without the check in a child process, which needs the host's program.
///
/// # Safety
/// The library is an engine of this ABI version that keeps its contract.
///
/// # Errors
/// Why it cannot be loaded, in a line for people.
pub unsafe fn load(path: &Path) -> Result<Candidate, String> {
    let file = EngineFile::open(path).map_err(|error| error.to_string())?;
    let copies = PrivateDir::create(None).map_err(|error| error.to_string())?;
    let copy = copies.copy(&file, 1).map_err(|error| error.to_string())?;
    // SAFETY: the caller's promise.
    let library = unsafe { Library::load(copy) }.map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(Candidate { library, file: Arc::new(file), check: "not checked".to_owned(), options: Vec::new() })
}

/// A host within this program.
pub struct Embedded {
    worker: Worker,
    handle: WorkerHandle,
    events: Events,
    control: control::Seed,
    shared: Arc<Shared>,
}

impl Embedded {
    /// Opens an engine and serves nobody yet.
    ///
    /// # Errors
    /// What failed, in a line for people.
    pub fn start(candidate: Candidate, server: Server) -> Result<Self, String> {
        let server = Arc::new(server);
        let live = Live::open(candidate, 1, &server, None)
            .map_err(|failed| format!("kv_open failed: {}", failed.0))?;
        let system = |error: io::Error| format!("cannot start a worker: {error}");
        let control = control::Seed::without_signals().map_err(system)?;
        let shared = Arc::new(Shared {
            holding: Holding::new(live.generation, 1),
            published: Published::new(Arc::new(live)),
            pool: Pool::new(1, &server.calls).map_err(system)?,
            control: control.handle(),
            server,
        });
        let seed = Seed::new().map_err(system)?;
        let (handle, worker) = (seed.handle(), seed.grow(0, Arc::clone(&shared)));
        Ok(Self { worker, handle, events: Events::with_capacity(64), control, shared })
    }

    /// Settings, counters, clock and clients.
    pub fn server(&self) -> &Server {
        &self.shared.server
    }

    /// What a client may send.
    pub fn limits(&self) -> Limits {
        self.shared.limits()
    }

    /// Connects a client, as over a Unix socket.
    ///
    /// # Errors
    /// The system has no more descriptors.
    pub fn connect(&mut self) -> io::Result<UnixStream> {
        let (near, far) = UnixStream::pair()?;
        near.set_nonblocking(true)?;
        let stream = mio::net::UnixStream::from_std(near);
        self.handle.connect(Socket::Unix { stream, path: "embedded".to_owned() });
        Ok(far)
    }

    /// Serves until there is nothing left to do before a client sends more, or takes its replies. A pause ends when only those
    /// that wait for it are left.
    pub fn settle(&mut self) {
        loop {
            let worker = &mut self.worker;
            // What is under way comes back from another thread.
            let wait = if worker.under_way.is_empty() { Duration::ZERO } else { LOOK_INTERVAL };
            let busy = worker.turn(&mut self.events, Some(wait));
            self.control.stand_in(&self.shared, &self.handle);
            if busy || !worker.under_way.is_empty() {
                continue;
            }
            if worker.paused.is_empty() {
                return;
            }
            self.shared.server.pause.end();
        }
    }

    /// Closes the clients' connections and the engine, and gives the engine back, to be opened again.
    ///
    /// # Errors
    /// What `kv_close` said.
    pub fn stop(self) -> Result<Candidate, String> {
        let Self { worker, shared, .. } = self;
        drop(worker);
        let live = shared.published.get();
        // The pool ends with it.
        drop(shared);
        // SAFETY: worker and pool are gone, and with them all that could use the engine.
        let (closed, library) = unsafe { live.retire() };
        closed.map_err(|error| format!("kv_close failed: {error}"))?;
        let library = library.ok_or("the engine was closed before")?;
        let Live { file, check, options, .. } = &*live;
        Ok(Candidate { library, file: Arc::clone(file), check: check.clone(), options: options.clone() })
    }
}
