//! Destination: where an export goes: standard output, or a file that appears whole or not at all.

use std::fs::{File, Permissions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

const BUFFER_LEN: usize = 256 * 1024;

/// Where lines are written to.
pub(super) enum Destination {
    Stdout(BufWriter<io::Stdout>),
    /// A pipe or a device, which cannot be replaced by a file.
    Stream(BufWriter<File>),
    /// A new file beside the one that it replaces in the end.
    Beside {
        new: BufWriter<NamedTempFile>,
        path: PathBuf,
    },
}

impl Destination {
    pub(super) fn stdout() -> Self {
        Self::Stdout(BufWriter::with_capacity(BUFFER_LEN, io::stdout()))
    }

    /// Opens what stands at `path`, or prepares a file for it.
    pub(super) fn at(path: &Path) -> io::Result<Self> {
        let (path, mode) = match path.metadata() {
            Ok(found) if found.is_dir() => return Err(io::ErrorKind::IsADirectory.into()),
            // What lies under /dev may lead to a file, as /dev/stdout does; it is written to all the same.
            Ok(found) if !found.is_file() || path.starts_with("/dev") => {
                let stream = File::options().append(true).open(path)?;
                return Ok(Self::Stream(BufWriter::with_capacity(BUFFER_LEN, stream)));
            }
            // What a symbolic link leads to is replaced, not the link; and by no file that more people can read.
            Ok(found) => (path.canonicalize()?, found.permissions().mode()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => (std::path::absolute(path)?, 0o666),
            Err(error) => return Err(error),
        };
        let directory = path.parent().unwrap_or(Path::new("/"));
        let mut prefix = path.file_name().unwrap_or_default().to_owned();
        prefix.push(".");
        let new = tempfile::Builder::new()
            .prefix(&prefix)
            .suffix(".part")
            .permissions(Permissions::from_mode(mode & 0o777))
            .tempfile_in(directory)?;
        Ok(Self::Beside { new: BufWriter::with_capacity(BUFFER_LEN, new), path })
    }

    /// Makes what was written last: the file is on the disk, and then stands at its path. Without this call nothing of it stays.
    pub(super) fn finish(self) -> io::Result<()> {
        match self {
            Self::Stdout(mut out) => out.flush(),
            Self::Stream(mut out) => out.flush(),
            Self::Beside { new, path } => {
                let new = new.into_inner().map_err(io::IntoInnerError::into_error)?;
                new.as_file().sync_all()?;
                new.persist(&path)?;
                // The name is on the disk when its directory is.
                File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()
            }
        }
    }
}

impl Write for Destination {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Stdout(out) => out.write(bytes),
            Self::Stream(out) => out.write(bytes),
            Self::Beside { new, .. } => new.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Stdout(out) => out.flush(),
            Self::Stream(out) => out.flush(),
            Self::Beside { new, .. } => new.flush(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn a_file_is_replaced_whole_or_not_at_all() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("out");
        fs::write(&path, "old").unwrap();
        let mut given_up = Destination::at(&path).unwrap();
        given_up.write_all(b"half").unwrap();
        given_up.flush().unwrap();
        assert_eq!(names(directory.path()).len(), 2);
        drop(given_up);
        assert_eq!(fs::read(&path).unwrap(), b"old");

        let link = directory.path().join("link");
        std::os::unix::fs::symlink("out", &link).unwrap();
        let mut whole = Destination::at(&link).unwrap();
        whole.write_all(b"new").unwrap();
        whole.finish().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert!(link.is_symlink());
        assert_eq!(names(directory.path()).len(), 2);
    }

    #[test]
    fn devices_are_written_to_and_directories_refused() {
        let mut device = Destination::at(Path::new("/dev/null")).unwrap();
        device.write_all(b"x").unwrap();
        device.finish().unwrap();
        assert!(!Path::new("/dev/null").is_file());
        let directory = tempfile::tempdir().unwrap();
        assert!(Destination::at(directory.path()).is_err());
        assert!(Destination::at(&directory.path().join("none/out")).is_err());
        assert_eq!(names(directory.path()), Vec::<String>::new());
    }
}
