//! Lifecycle: the blocking steps in an engine's life: check and load, open, retire. Each runs on a thread made for it, so
//! that nothing of the engine stays behind in a thread that lives on.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, ScopedJoinHandle};

use super::check::{Depth, Limits, Sample, check};
use super::file::{Demands, Digest, EngineDir, EngineFile, Pins, PrivateDir};
use super::keys;
use super::library::{Library, Verdict};
use super::live::{Candidate, Live};
use super::sampler::Sampler;
use super::state_dir::NextManifest;
use super::threads::own;
use crate::server::Server;

/// What is needed to bring engines to life.
#[derive(Debug)]
pub struct Nursery {
    /// Where private copies of libraries lie.
    pub copies: Arc<PrivateDir>,
    /// The program that runs as the checker's child: this one.
    pub program: PathBuf,
    /// From where engines may come; none: from anywhere.
    dirs: Vec<EngineDir>,
    sampler: Sampler,
    /// Numbers for copies, none of them used twice.
    last_copy: AtomicU64,
}

/// Where the next engine comes from.
#[derive(Clone, Debug)]
pub enum Source {
    /// A file.
    File {
        /// Where it is.
        path: PathBuf,
        /// The digest that its bytes have to have.
        digest: Option<Digest>,
    },
    /// A file that was loaded before, as it was then.
    Kept(Arc<EngineFile>),
}

impl From<PathBuf> for Source {
    fn from(path: PathBuf) -> Self {
        Self::File { path, digest: None }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, .. } => write!(f, "{}", path.display()),
            Self::Kept(file) => write!(f, "{}", file.path().display()),
        }
    }
}

impl Nursery {
    /// Prepares to load engines, from these directories only if there are any.
    ///
    /// # Errors
    /// The directory for private copies cannot be made, or one for engines is not there.
    pub fn new(base: Option<&Path>, program: PathBuf, dirs: &[PathBuf]) -> Result<Self, String> {
        let copies = PrivateDir::create(base).map_err(|error| error.to_string())?;
        let dirs = open_dirs(dirs)?;
        Ok(Self { copies, program, dirs, sampler: Sampler::default(), last_copy: AtomicU64::new(0) })
    }

    /// From where engines may come; none: from anywhere.
    pub fn engine_dirs(&self) -> &[EngineDir] {
        &self.dirs
    }

    /// Whether a thread may be in the live engine to look at its data for a check. Meanwhile that engine must stay.
    pub fn is_sampling(&self) -> bool {
        self.sampler.is_out()
    }

    /// Reads, checks in a child process, and loads an engine. Beside a live one, some of that one's data are part of the check; with it comes its
    /// time, in milliseconds since 1970 UTC.
    ///
    /// # Errors
    /// Why it is refused, in a line for people.
    pub fn prepare(
        &self,
        source: &Source,
        live: Option<&(Arc<Live>, i64)>,
        options: Vec<(String, String)>,
    ) -> Result<Candidate, String> {
        // Before anything else: when none is left, the process ends.
        if keys::count_free(keys::FREE_MIN) < keys::FREE_MIN {
            return Err(format!(
                "{source}: not loaded: of the {} thread-specific keys of this process fewer than {} are free, because engines that were loaded \
                 before have kept theirs; restart the host to load another one",
                keys::ALL,
                keys::FREE_MIN
            ));
        }
        let file = match source {
            Source::File { path, digest } => {
                let file = EngineFile::open_with(path, Demands { dirs: &self.dirs, digest: *digest });
                let trusted = file.and_then(|file| file.trusted().map(|()| Arc::new(file)));
                trusted.map_err(|error| error.to_string())?
            }
            Source::Kept(file) => Arc::clone(file),
        };
        for warning in file.warnings() {
            log::warn!("{source}: {warning}");
        }
        let number = self.last_copy.fetch_add(1, Ordering::Relaxed) + 1;
        let copy = self.copies.copy(&file, number).map_err(|error| error.to_string())?;
        let sample: Option<Sample> = match live {
            Some((live, now_ms)) => {
                self.sampler.take(live, *now_ms).map_err(|why| format!("{source}: {why}"))?
            }
            None => None,
        };
        let report = check(&self.program, &file, &copy, Depth::Short, &Limits::SHORT, sample.as_ref())
            .map_err(|error| error.to_string())?;
        for warning in &report.warnings {
            log::warn!("{source}: {warning}");
        }
        // SAFETY: its bytes have just passed the check; what comes from it is used by `Live`, which lets go before the unload.
        let library = unsafe { Library::load(copy) }.map_err(|error| format!("{source}: {error}"))?;
        Ok(Candidate { library, file, check: report.summary(), options })
    }

    /// Writes the manifest of a candidate, for a commit to come, and opens it as generation `generation`.
    ///
    /// # Errors
    /// Why it cannot be opened, in a line for people. It is unloaded then.
    pub fn open(
        &self,
        candidate: Candidate,
        generation: u64,
        server: &Arc<Server>,
        manifest: &NextManifest,
    ) -> Result<Arc<Live>, String> {
        if let Err(error) = manifest.prepare() {
            return Err(format!("{error} (the library is {})", candidate.library.unload()));
        }
        let path = candidate.file.path().display().to_string();
        Live::open(candidate, generation, server, None).map(Arc::new).map_err(|failed| {
            let (error, library) = *failed;
            let verdict = library.unload();
            format!("{path}: kv_open failed: {error} (the library is {verdict})")
        })
    }
}

/// Opens the directories from which engines may come.
///
/// # Errors
/// Which one cannot be opened, and why, in a line for people.
pub fn open_dirs(paths: &[PathBuf]) -> Result<Vec<EngineDir>, String> {
    let open = |path: &PathBuf| {
        let fail = |error| format!("{}: this directory of engines cannot be opened: {error}", path.display());
        EngineDir::open(path).map_err(fail)
    };
    paths.iter().map(open).collect()
}

/// Closes an engine and unloads its library; answers what became of it.
///
/// # Safety
/// As for [`Live::retire`].
pub unsafe fn retire(live: &Live) -> Retired {
    // On a thread that ends before the library is closed: what `kv_close` leaves on it goes with it.
    let (closed, library) = thread::scope(|scope| {
        // SAFETY: the caller's promise.
        let close = || unsafe { live.retire() };
        let thread = thread::Builder::new().name("close".to_owned()).spawn_scoped(scope, own(close));
        let closed = thread.map(ScopedJoinHandle::join);
        closed.unwrap_or_else(|_| Ok(close())).unwrap_or((Ok(()), None))
    });
    let close_error = closed.err().map(|error| error.to_string());
    if let Some(error) = &close_error {
        log::error!("generation {}: kv_close failed: {error}", live.generation);
    }
    let Some(library) = library else {
        return Retired {
            verdict: Verdict::Pinned("it was unloaded before".to_owned()),
            close_error,
            pinned: None,
        };
    };
    let (path, pins) = (library.path().to_owned(), library.pins().clone());
    let verdict = library.unload();
    let by_thread = matches!(verdict, Verdict::Pinned(_)) && pins.may_go_with_threads();
    Retired { verdict, close_error, pinned: by_thread.then_some((path, pins)) }
}

/// What became of an engine that was retired.
#[derive(Clone, Debug)]
pub struct Retired {
    /// Whether its library is gone.
    pub verdict: Verdict,
    /// What `kv_close` said, if it failed.
    pub close_error: Option<String>,
    /// The library, where it may be pinned by what was left on threads that called it.
    pub pinned: Option<(PathBuf, Pins)>,
}
