//! Place: where the file that was opened lies, whatever its path leads to by now, and the directories from which engines may come.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Where the file behind a descriptor lies, without any links.
///
/// # Errors
/// It lies nowhere any more, or the system does not tell.
pub(super) fn of(file: &File) -> io::Result<PathBuf> {
    if file.metadata()?.nlink() == 0 {
        return Err(io::Error::other("it was removed, or another one put in its place, while it was read"));
    }
    std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

/// A directory from which engines may come. It is held open, so it stays the same whatever is done to its path.
#[derive(Debug)]
pub struct EngineDir(File);

impl EngineDir {
    /// Opens it.
    ///
    /// # Errors
    /// There is no such directory, or it cannot be reached.
    pub fn open(path: &Path) -> io::Result<Self> {
        let flags = libc::O_PATH | libc::O_DIRECTORY;
        OpenOptions::new().read(true).custom_flags(flags).open(path).map(Self)
    }

    /// Where it lies now.
    fn place(&self) -> io::Result<PathBuf> {
        of(&self.0)
    }
}

/// Whether a place is in one of these directories, at any depth; if not, where these are.
pub(super) fn is_within(place: &Path, dirs: &[EngineDir]) -> Result<(), Vec<PathBuf>> {
    let places: Vec<PathBuf> = dirs.iter().filter_map(|dir| dir.place().ok()).collect();
    if dirs.is_empty() || places.iter().any(|dir| place.starts_with(dir)) { Ok(()) } else { Err(places) }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    fn is_in(path: &Path, dirs: &[EngineDir]) -> bool {
        is_within(&of(&File::open(path).unwrap()).unwrap(), dirs).is_ok()
    }

    #[test]
    fn what_counts_is_where_the_opened_file_lies() {
        let base = tempfile::tempdir().unwrap();
        let path = |name: &str| base.path().join(name);
        for dir in ["in/deep", "in-not", "out"] {
            fs::create_dir_all(path(dir)).unwrap();
        }
        for file in ["in/a", "in/deep/a", "in-not/a", "out/a"] {
            fs::write(path(file), "").unwrap();
        }
        symlink(path("out/a"), path("in/leads-out")).unwrap();
        symlink(path("out"), path("in/dir-leads-out")).unwrap();
        symlink(path("in/a"), path("out/leads-in")).unwrap();
        symlink(path("in"), path("alias")).unwrap();
        let dirs = [EngineDir::open(&path("alias")).unwrap()];
        for inside in ["in/a", "in/deep/a", "in/deep/../a", "out/leads-in", "alias/a"] {
            assert!(is_in(&path(inside), &dirs), "{inside}");
        }
        for outside in
            ["in-not/a", "out/a", "in/leads-out", "in/dir-leads-out/a", "in/../out/a", "alias/../out/a"]
        {
            assert!(!is_in(&path(outside), &dirs), "{outside}");
        }
        assert!(is_in(&path("out/a"), &[]), "without such directories all is allowed");
        // A path that leads elsewhere by now says nothing of the directory that was meant, nor of the file that was opened.
        let opened = File::open(path("in/a")).unwrap();
        fs::rename(path("in"), path("moved")).unwrap();
        fs::rename(path("out"), path("in")).unwrap();
        assert!(is_within(&of(&opened).unwrap(), &dirs).is_ok() && !is_in(&path("in/a"), &dirs));
    }

    #[test]
    fn what_is_removed_meanwhile_lies_nowhere() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("a");
        fs::write(&path, "").unwrap();
        let opened = File::open(&path).unwrap();
        fs::remove_file(&path).unwrap();
        assert!(of(&opened).unwrap_err().to_string().contains("removed"));
        assert!(EngineDir::open(&path).is_err());
    }
}
