//! Kept: a copy of an engine's file that outlives the host, and the digest of a file of which nothing else is asked.

use std::path::{Path, PathBuf};

use super::{Demands, Digest, EngineDir, EngineFile, FileError, read};

impl EngineFile {
    /// Reads a copy that was kept of a file, with this digest; it goes by the name of that file. Nobody but root and the host's user may be
    /// able to write to the copy; who can write to the file by now, and where it lies, does not matter.
    ///
    /// # Errors
    /// As for [`EngineFile::open_with`] and [`EngineFile::trusted`].
    pub fn open_kept(copy: &Path, source: PathBuf, digest: Digest) -> Result<Self, FileError> {
        let file = Self::open_with(copy, Demands { digest: Some(digest), ..Demands::default() })?;
        file.trusted()?;
        Ok(Self { path: source, ..file })
    }

    /// All that is in it.
    pub(in crate::plugin) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl Digest {
    /// That of a file's bytes, whatever they are. If there are directories from which engines may come, one that lies elsewhere is not read.
    ///
    /// # Errors
    /// It cannot be read, is no regular file, or lies elsewhere.
    pub fn of_file(path: &Path, dirs: &[EngineDir]) -> Result<Self, FileError> {
        let fail = |problem| FileError { path: path.to_owned(), problem };
        read(path, dirs).map(|contents| Self::of(&contents.bytes)).map_err(fail)
    }
}
