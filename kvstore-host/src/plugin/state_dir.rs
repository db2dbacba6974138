//! State directory: which engine serves, kept for the next start: a manifest, and a copy of the library that it names.
//!
//! ```text
//! step                              when                                        what a restart after it finds
//! the copy is written and synced    before anything is held back                the old engine
//! the next manifest likewise        likewise                                    the old engine
//! it is renamed over the manifest   all data are with both engines, and         the new engine
//!                                   what could change them is held back
//! the directory is synced           before the reload is answered; where data   the new engine, also after a power failure
//!                                   outlive the host, before what is held goes on
//! the copy before is removed        after that                                  the new engine
//! ```
//!
//! The rename is the one moment between the old engine and the new one. It comes before the new engine is published: from then on it
//! acknowledges writes that the old one lacks, and a restart with the old one would lose them. It comes after all that can be refused, and while
//! nothing is acknowledged, so that both engines have the same data: whichever a restart finds there lacks nothing. What takes space or time comes
//! before anything is held back; so a full disk refuses a reload, and the old engine serves on.

mod error;
mod manifest;
mod next;
#[cfg(test)]
mod tests;

use std::fmt;
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tempfile::TempPath;

use super::file::trust::exposed_dir;
use super::file::{Digest, EngineFile, Problem};
use crate::fail_point;

pub use error::{StateError, StateProblem};
pub use manifest::{Manifest, Options};
pub use next::NextManifest;

/// The manifest's name in the directory.
const MANIFEST: &str = "manifest";
/// Whoever has locked this file has the directory.
const LOCK: &str = "lock";
/// How the names of copies begin and end, and those of manifests that are not in place yet. What else lies in the directory is somebody else's.
const LIBRARY: (&str, &str) = ("library-", ".so");
const NEXT: (&str, &str) = ("manifest-", ".next");
/// The longest manifest that is read, in bytes: options are few and short.
const MANIFEST_LEN_MAX: u64 = 16 << 20;

/// The steps of writing, in their order. A host that is killed at one of them leaves what the module's head says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The copy of the library is written and synced.
    WriteLibrary,
    /// The next manifest is written and synced.
    WriteManifest,
    /// It takes the place of the manifest.
    Rename,
    /// The directory is synced.
    SyncDirectory,
    /// The copy of the library before is removed.
    RemoveOld,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::WriteLibrary => "writing the copy of the library",
            Self::WriteManifest => "writing the next manifest",
            Self::Rename => "putting the next manifest in its place",
            Self::SyncDirectory => "syncing the directory",
            Self::RemoveOld => "removing the copy of the library before",
        })
    }
}

/// What the manifest in the directory is, as far as this host knows.
#[derive(Debug, Default)]
struct Known {
    manifest: Option<Manifest>,
    /// It is not known to outlive a power failure, or does not name the engine that serves: why.
    trouble: Option<String>,
}

/// The directory, which no other host has at the same time.
#[derive(Debug)]
pub struct StateDir {
    path: PathBuf,
    // Open, so that it can be synced also when there are no more descriptors.
    dir: File,
    known: Mutex<Known>,
    // Locked as long as it is open.
    _lock: File,
    #[cfg(test)]
    faults: tests::Faults,
}

impl StateDir {
    /// Makes the directory if it is missing, and takes it for this host.
    ///
    /// # Errors
    /// It cannot be made or written, others can write to it, or another host has it.
    pub fn open(path: &Path) -> Result<Arc<Self>, StateError> {
        let fail = |problem| StateError { path: path.to_owned(), problem };
        let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
        let metadata = match (std::fs::metadata(path), made) {
            (Ok(metadata), _) if !metadata.is_dir() => return Err(fail(StateProblem::NotADirectory)),
            (Ok(metadata), _) => metadata,
            (Err(_), Err(error)) => return Err(fail(StateProblem::Create(error))),
            (Err(error), Ok(())) => return Err(fail(StateProblem::Unreadable(error))),
        };
        if let Some(how) = exposed_dir(path, &metadata) {
            return Err(fail(StateProblem::Exposed(how)));
        }
        let lock = lock(&path.join(LOCK))?;
        // What the working directory is later does not matter.
        let path = path.canonicalize().map_err(|error| fail(StateProblem::Unreadable(error)))?;
        let dir = File::open(&path).map_err(|error| fail(StateProblem::Unreadable(error)))?;
        let dir = Self {
            path,
            dir,
            known: Mutex::default(),
            _lock: lock,
            #[cfg(test)]
            faults: tests::Faults::default(),
        };
        Ok(Arc::new(dir))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The manifest; `None` in a directory that has none yet.
    ///
    /// # Errors
    /// It cannot be read, or is damaged.
    pub fn load(&self) -> Result<Option<Manifest>, StateError> {
        let path = self.path.join(MANIFEST);
        let fail = |problem| StateError { path: path.clone(), problem };
        let mut bytes = Vec::new();
        let read = File::open(&path).and_then(|file| file.take(MANIFEST_LEN_MAX).read_to_end(&mut bytes));
        match read {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(fail(StateProblem::Unreadable(error))),
        }
        let manifest = Manifest::parse(&bytes).map_err(fail)?;
        self.known().manifest = Some(manifest.clone());
        Ok(Some(manifest))
    }

    /// The library that a manifest names, from the copy that was kept of it.
    ///
    /// # Errors
    /// It is missing, or has other bytes than those that were kept.
    pub fn library(&self, manifest: &Manifest) -> Result<EngineFile, StateError> {
        let path = self.path.join(&manifest.library);
        let fail = |problem| StateError { path: path.clone(), problem };
        let accepted = Digest::parse(&manifest.digest);
        let accepted =
            accepted.ok_or_else(|| fail(StateProblem::Damaged("it names no digest".to_owned())))?;
        EngineFile::open_kept(&path, manifest.source.clone(), accepted).map_err(|error| match error.problem {
            Problem::OtherDigest { found, .. } => fail(StateProblem::OtherDigest { found, accepted }),
            _ => fail(StateProblem::NoLibrary(error)),
        })
    }

    /// What the manifest is, in a line.
    pub fn verdict(&self) -> String {
        let known = self.known();
        match (&known.trouble, &known.manifest) {
            (Some(trouble), _) => trouble.clone(),
            (None, Some(manifest)) => format!("generation {}", manifest.generation),
            (None, None) => "none yet".to_owned(),
        }
    }

    /// Removes what hosts have left behind that were killed: copies and manifests that are not in use.
    pub fn sweep(&self) {
        let used = self.known().manifest.as_ref().map(|manifest| manifest.library.clone());
        for entry in std::fs::read_dir(&self.path).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let ours = |(begin, end): (&str, &str)| name.starts_with(begin) && name.ends_with(end);
            if (ours(LIBRARY) || ours(NEXT)) && used.as_ref() != Some(&name) {
                self.remove(&name);
            }
        }
    }

    /// Takes a step. A test can have it fail.
    fn take<T>(&self, step: Step, take: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        fail_point::reach(step);
        #[cfg(test)]
        self.faults.reach(step)?;
        let taken = take()?;
        fail_point::reach(format_args!("{step}: done"));
        Ok(taken)
    }

    /// Writes a file that is removed again unless it is kept, and syncs it.
    fn write(&self, step: Step, name: (&str, &str), bytes: &[u8]) -> Result<TempPath, StateError> {
        let write = || {
            // Mode 0600, and made exclusively.
            let mut file = tempfile::Builder::new().prefix(name.0).suffix(name.1).tempfile_in(&self.path)?;
            file.write_all(bytes)?;
            file.as_file().sync_all()?;
            Ok(file.into_temp_path())
        };
        self.take(step, write).map_err(|error| self.failed(step, error))
    }

    /// Puts a manifest that is written in the place of the manifest.
    fn put(&self, next: TempPath) -> Result<(), StateError> {
        let put = || next.persist(self.path.join(MANIFEST)).map_err(|error| error.error);
        self.take(Step::Rename, put).map_err(|error| self.failed(Step::Rename, error))
    }

    /// Makes the names in the directory outlive a power failure.
    fn sync(&self) -> Result<(), StateError> {
        self.take(Step::SyncDirectory, || self.dir.sync_all())
            .map_err(|error| self.failed(Step::SyncDirectory, error))
    }

    fn remove(&self, name: &str) {
        let path = self.path.join(name);
        if let Err(error) = self.take(Step::RemoveOld, || std::fs::remove_file(&path)) {
            log::warn!("{}: left behind, and cannot be removed: {error}", path.display());
        }
    }

    fn failed(&self, step: Step, error: io::Error) -> StateError {
        StateError { path: self.path.clone(), problem: StateProblem::Write(step, error) }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Locks a file, until it is closed: the end of the process closes it too.
fn lock(path: &Path) -> Result<File, StateError> {
    let fail = |problem| StateError { path: path.to_owned(), problem };
    let unreadable = |error| fail(StateProblem::Unreadable(error));
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600).custom_flags(libc::O_NOFOLLOW);
    let mut file = options.open(path).map_err(unreadable)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut text = String::new();
            // Who has it is told for convenience only.
            let _ = (&file).take(20).read_to_string(&mut text);
            let who =
                text.trim().parse::<u32>().map_or_else(|_| String::new(), |pid| format!(" (process {pid})"));
            return Err(fail(StateProblem::Locked(who)));
        }
        Err(TryLockError::Error(error)) => return Err(unreadable(error)),
    }
    let noted = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
    if let Err(error) = noted {
        log::warn!("{}: cannot note which process has the directory: {error}", path.display());
    }
    Ok(file)
}
