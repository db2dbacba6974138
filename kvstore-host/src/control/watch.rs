//! Watch: sees that the configured engine's file has changed and settled, and tells the control thread, on a thread of its own.
//!
//! It asks for the file's metadata again and again, instead of being told by the system: so it does not matter whether the file is written in place,
//! renamed, linked or removed for a while, nor on which file system it is.

use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::job::Wishes;
use super::{Control, ControlHandle, ControlMessage};
use crate::plugin::file::{Digest, EngineDir};
use crate::plugin::lifecycle::Nursery;
use crate::plugin::threads;

/// Between two looks.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);
/// How long a file stays as it is before it counts as settled.
const SETTLE_TIME: Duration = Duration::from_millis(500);

/// Of Linux: which signal says that somebody waits for the end of a lease.
const F_SETSIG: libc::c_int = 10;

/// What tells one state of a file from another. Each write changes the times, also one that keeps the length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Look {
    file: (u64, u64),
    len: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Look {
    /// At the file of this name, if there is one.
    fn at(path: &Path) -> Option<Self> {
        std::fs::metadata(path).ok().filter(Metadata::is_file).map(|found| Self {
            file: (found.dev(), found.ino()),
            len: found.len(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        })
    }
}

/// When a file that has changed has settled; without I/O.
#[derive(Clone, Debug)]
struct Settling {
    /// As it was when it was last taken.
    taken: Option<Look>,
    /// As it is now, and since when.
    seen: Option<(Look, Instant)>,
}

impl Settling {
    /// Takes a look. Answers it if the file is not as it was taken, and has been so for long enough.
    fn look(&mut self, found: Option<Look>, now: Instant) -> Option<Look> {
        let Some(found) = found.filter(|found| self.taken.as_ref() != Some(found)) else {
            self.seen = None;
            return None;
        };
        match self.seen {
            Some((seen, since)) if seen == found => {
                (now.saturating_duration_since(since) >= SETTLE_TIME).then_some(found)
            }
            _ => {
                self.seen = Some((found, now));
                None
            }
        }
    }

    /// The file was taken as it was then.
    fn take(&mut self, look: Look) {
        (self.taken, self.seen) = (Some(look), None);
    }
}

/// Watches a file.
#[derive(Clone, Debug)]
pub struct Watch {
    path: PathBuf,
    settling: Settling,
    /// As it was when it was told that it is being written.
    written: Option<Look>,
}

impl Watch {
    /// From now on: what the file becomes after this is a change.
    pub fn new(path: &Path) -> Self {
        let settling = Settling { taken: Look::at(path), seen: None };
        Self { path: path.to_owned(), settling, written: None }
    }

    /// Starts to look, for as long as the process lives. Only what lies where engines may come from is read.
    ///
    /// # Errors
    /// The system has no more threads.
    pub(super) fn start(mut self, control: ControlHandle, nursery: Arc<Nursery>) -> io::Result<()> {
        log::info!("watch: {}: the engine is reloaded when this file changes", self.path.display());
        let run = move || {
            loop {
                thread::sleep(LOOK_INTERVAL);
                if let Some(digest) = self.look(nursery.engine_dirs()) {
                    control.send(ControlMessage::Changed(digest));
                }
            }
        };
        threads::spawn("watch", run).map(|_| ())
    }

    /// What the file has changed to, if it has.
    fn look(&mut self, dirs: &[EngineDir]) -> Option<Digest> {
        let look = self.settling.look(Look::at(&self.path), Instant::now())?;
        let path = self.path.display();
        if is_being_written(&self.path) {
            if self.written.replace(look) != Some(look) {
                log::info!(
                    "watch: {path} has changed and is open for writing; it is taken once it is closed"
                );
            }
            return None;
        }
        let digest = Digest::of_file(&self.path, dirs);
        // What was read may be neither the one nor the other.
        if Look::at(&self.path) != Some(look) {
            return None;
        }
        self.settling.take(look);
        digest.inspect_err(|error| log::warn!("watch: {error}")).ok()
    }
}

/// Whether somebody has the file open for writing, as far as the system tells: it grants a lease for reading only if nobody has. Where leases
/// are not to be had (a file of another user, a file system without), it is not known, and a file that stays as it is has to do.
fn is_being_written(path: &Path) -> bool {
    let Ok(file) = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path) else {
        return false;
    };
    match lease(&file) {
        Ok(()) => false,
        Err(error) => error.kind() == io::ErrorKind::WouldBlock,
    }
}

/// Takes a lease for reading, and gives it back.
fn lease(file: &File) -> io::Result<()> {
    let set = |what, value: libc::c_int| {
        // SAFETY: the descriptor is open, and these commands take a number.
        match unsafe { libc::fcntl(file.as_raw_fd(), what, value) } {
            -1 => Err(io::Error::last_os_error()),
            _ => Ok(()),
        }
    };
    // Who opens it for writing in between waits for the end of the lease, and this process is told by a signal: by one that is ignored unless
    // somebody asks for it, as the usual one, SIGIO, would end it.
    set(F_SETSIG, libc::SIGURG)?;
    set(libc::F_SETLEASE, libc::F_RDLCK)?;
    set(libc::F_SETLEASE, libc::F_UNLCK)
}

impl Control {
    /// Reloads the file that is watched, if it has changed and nothing else is under way.
    pub(super) fn look_at_change(&mut self) {
        if self.job.is_some() || self.stuck.is_some() || self.stopping.is_some() {
            return;
        }
        let Some(digest) = self.changed.take() else { return };
        let path = self.configured.engine.clone();
        if *self.shared.published.get().file.digest() == digest {
            return log::info!("watch: {} was written, with the bytes that serve already", path.display());
        }
        log::info!(
            "watch: {} has changed to {}: reloading it; if it is refused, it is tried again when it changes",
            path.display(),
            digest.short()
        );
        self.request(None, path.into(), Wishes::default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(len: u64) -> Look {
        Look { file: (1, 2), len, modified: (3, 4), changed: (5, 6) }
    }

    #[test]
    fn a_file_is_taken_once_when_it_has_stayed_as_it_is_for_long_enough() {
        let begin = Instant::now();
        let at = |ms| begin + Duration::from_millis(ms);
        let mut settling = Settling { taken: Some(look(0)), seen: None };
        assert_eq!(settling.look(Some(look(0)), at(0)), None);
        assert_eq!(settling.look(Some(look(0)), at(9_000)), None, "it has not changed");
        assert_eq!(settling.look(Some(look(1)), at(9_100)), None);
        assert_eq!(settling.look(Some(look(1)), at(9_599)), None, "too early");
        assert_eq!(settling.look(Some(look(2)), at(9_600)), None, "it is growing");
        assert_eq!(settling.look(None, at(10_000)), None, "it is not there");
        assert_eq!(settling.look(Some(look(2)), at(10_100)), None);
        assert_eq!(settling.look(Some(look(2)), at(10_600)), Some(look(2)));
        assert_eq!(settling.look(Some(look(2)), at(10_700)), Some(look(2)), "until it is taken");
        settling.take(look(2));
        assert_eq!(settling.look(Some(look(2)), at(20_000)), None, "once");
        assert_eq!(settling.look(Some(look(0)), at(20_100)), None);
        assert_eq!(settling.look(Some(look(0)), at(20_600)), Some(look(0)), "back to what it was first");
    }

    #[test]
    fn who_writes_to_a_file_is_seen_where_the_system_tells() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let writer = File::create(&path).unwrap();
        let reader = File::open(&path).unwrap();
        match lease(&reader) {
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock, "{error}"),
            Ok(()) => panic!("a lease beside a writer"),
        }
        assert!(is_being_written(&path));
        drop(writer);
        // A child that another test starts has the descriptor too, until it executes its program.
        while is_being_written(&path) {
            thread::yield_now();
        }
        assert!(!is_being_written(&dir.path().join("missing")));
    }

    #[test]
    fn each_way_to_change_a_file_is_a_change() {
        let dir = tempfile::tempdir().unwrap();
        let (path, other) = (dir.path().join("file"), dir.path().join("other"));
        assert_eq!(Look::at(&path), None);
        std::fs::write(&path, "one").unwrap();
        let first = Look::at(&path);
        assert_eq!(Look::at(&path), first);
        std::fs::write(&other, "two").unwrap();
        std::fs::rename(&other, &path).unwrap();
        assert_ne!(Look::at(&path), first, "another file of the same length");
        assert_eq!(Look::at(dir.path()), None, "a directory is no engine");
    }
}
