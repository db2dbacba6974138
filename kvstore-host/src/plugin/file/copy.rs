//! Copy: the private copy of a library, under a name that was never loaded before, in a directory that nobody else can write to.
//!
//! The loader hands out the library that it has whenever it sees a path or file again; and writing over a file that is
//! mapped kills the process. Neither can happen to a copy with a name of its own.

use std::fmt;
use std::fs::{DirBuilder, OpenOptions};
use std::hash::{BuildHasher, Hasher};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Digest, EngineFile, Pins};

/// Why no private copy could be made.
#[derive(Debug)]
pub struct CopyError {
    /// Which directory or file.
    pub path: PathBuf,
    /// What failed.
    pub problem: CopyProblem,
}

/// What failed about a private copy.
#[derive(Debug)]
pub enum CopyProblem {
    /// The directory could not be made.
    Create(io::Error),
    /// The directory belongs to somebody else, or others can write to it.
    NotOurs(&'static str),
    /// The copy could not be written.
    Write(io::Error),
}

impl fmt::Display for CopyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match &self.problem {
            CopyProblem::Create(error) => {
                write!(f, "{path}: the directory for private copies of engines cannot be made: {error}")
            }
            CopyProblem::NotOurs(why) => write!(
                f,
                "{path}: not safe for private copies of engines: {why}; choose a directory that only the host's user can write to"
            ),
            CopyProblem::Write(error) => {
                write!(f, "{path}: the private copy of the engine cannot be written: {error}")
            }
        }
    }
}

impl std::error::Error for CopyError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.problem {
            CopyProblem::Create(error) | CopyProblem::Write(error) => Some(error),
            CopyProblem::NotOurs(_) => None,
        }
    }
}

/// The directory of this process's private copies. It is removed when the last copy in it is gone and nobody holds it.
#[derive(Debug)]
pub struct PrivateDir {
    path: PathBuf,
    // Names of scratch directories are never used twice.
    scratch_count: AtomicU64,
}

impl PrivateDir {
    /// Makes a directory of mode 0700 in `base`, by default the system's directory for temporary files.
    ///
    /// # Errors
    /// It cannot be made, or somebody else could put another one in its place.
    pub fn create(base: Option<&Path>) -> Result<Arc<Self>, CopyError> {
        let base = base.map_or_else(std::env::temp_dir, Path::to_owned);
        check_base(&base)?;
        sweep(&base);
        let name = format!("{NAME}{}-{:012x}", std::process::id(), random() >> 16);
        let fail =
            |path: &Path, error| CopyError { path: path.to_owned(), problem: CopyProblem::Create(error) };
        // As the system names it where it tells what is mapped.
        let path = base.canonicalize().map_err(|error| fail(&base, error))?.join(name);
        DirBuilder::new().mode(0o700).create(&path).map_err(|error| fail(&path, error))?;
        Ok(Arc::new(Self { path, scratch_count: AtomicU64::new(0) }))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a private copy of a file's bytes. `generation` is a number that is not used twice with the same bytes.
    ///
    /// # Errors
    /// The copy cannot be written, or the directory is no longer ours.
    pub fn copy(self: &Arc<Self>, file: &EngineFile, generation: u64) -> Result<PrivateCopy, CopyError> {
        self.check_ours()?;
        let path = self.path.join(format!("{generation}-{}.so", file.digest.short()));
        write(&path, &file.bytes)
            .map_err(|error| CopyError { path: path.clone(), problem: CopyProblem::Write(error) })?;
        Ok(PrivateCopy {
            path,
            source: file.path.clone(),
            digest: file.digest,
            pins: file.facts.pins.clone(),
            _dir: Arc::clone(self),
        })
    }

    /// Makes an empty directory for engines under trial. Whoever asked for it removes it.
    pub(in crate::plugin) fn scratch(&self) -> io::Result<PathBuf> {
        let number = self.scratch_count.fetch_add(1, Ordering::Relaxed);
        let path = self.path.join(format!("scratch-{number}"));
        DirBuilder::new().mode(0o700).create(&path)?;
        Ok(path)
    }

    fn check_ours(&self) -> Result<(), CopyError> {
        let fail = |problem| Err(CopyError { path: self.path.clone(), problem });
        match std::fs::symlink_metadata(&self.path) {
            Err(error) => fail(CopyProblem::Write(error)),
            Ok(found) if !found.is_dir() => fail(CopyProblem::NotOurs("it is no directory any more")),
            Ok(found) if found.uid() != our_uid() => fail(CopyProblem::NotOurs("it belongs to another user")),
            Ok(found) if found.mode() & 0o077 != 0 => {
                fail(CopyProblem::NotOurs("others have rights on it now"))
            }
            Ok(_) => Ok(()),
        }
    }
}

impl Drop for PrivateDir {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir(&self.path) {
            log::warn!("{}: the directory of private copies is left behind: {error}", self.path.display());
        }
    }
}

/// How the directories' names begin; the process's number follows.
const NAME: &str = "kvstore-host-";

/// Removes what hosts have left behind that were killed: directories of ours whose process is gone.
fn sweep(base: &Path) {
    for entry in std::fs::read_dir(base).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let process = name.to_str().and_then(|name| name.strip_prefix(NAME)?.split_once('-'));
        let Some(process) = process.and_then(|(process, _)| process.parse::<u32>().ok()) else { continue };
        let ours = std::fs::symlink_metadata(entry.path())
            .is_ok_and(|found| found.is_dir() && found.uid() == our_uid());
        if ours && !Path::new(&format!("/proc/{process}")).exists() {
            match std::fs::remove_dir_all(entry.path()) {
                Ok(()) => {
                    log::debug!("{}: left behind by a host that is gone; removed", entry.path().display())
                }
                Err(error) => {
                    log::warn!("{}: left behind, and cannot be removed: {error}", entry.path().display())
                }
            }
        }
    }
}

/// A copy of a library's bytes that only this process loads. The file is removed when this is dropped.
#[derive(Debug)]
pub struct PrivateCopy {
    path: PathBuf,
    source: PathBuf,
    digest: Digest,
    pins: Pins,
    _dir: Arc<PrivateDir>,
}

impl PrivateCopy {
    /// Where the copy is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where its bytes came from.
    pub fn source(&self) -> &Path {
        &self.source
    }

    /// The digest of the bytes.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// What in the library keeps it from being unmapped.
    pub fn pins(&self) -> &Pins {
        &self.pins
    }

    /// The directory that it is in.
    pub(in crate::plugin) fn dir(&self) -> &PrivateDir {
        &self._dir
    }
}

impl Drop for PrivateCopy {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.path) {
            log::warn!("{}: the private copy is left behind: {error}", self.path.display());
        }
    }
}

/// Writes a file that did not exist before. What was begun is removed when it fails.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o400).custom_flags(libc::O_NOFOLLOW);
    let mut file = options.open(path)?;
    file.write_all(bytes).inspect_err(|_| {
        // The error that is reported is the one of the write.
        let _ = std::fs::remove_file(path);
    })
}

/// Whoever can rename what is in the base can put a directory of their own in the place of ours.
fn check_base(base: &Path) -> Result<(), CopyError> {
    let fail = |problem| Err(CopyError { path: base.to_owned(), problem });
    match std::fs::metadata(base) {
        Err(error) => fail(CopyProblem::Create(error)),
        Ok(found) if found.mode() & 0o022 != 0 && found.mode() & 0o1000 == 0 => {
            fail(CopyProblem::NotOurs("others can write to it, and it has no sticky bit"))
        }
        Ok(_) => Ok(()),
    }
}

fn our_uid() -> u32 {
    // SAFETY: takes nothing, cannot fail.
    unsafe { libc::geteuid() }
}

/// A number that differs from call to call: the hasher's keys come from the system's random numbers.
fn random() -> u64 {
    std::collections::hash_map::RandomState::new().build_hasher().finish()
}
