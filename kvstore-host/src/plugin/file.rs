//! File: an engine's file, read once and looked at before any code of it runs, and the private copy that is loaded in its place.
//!
//! What is checked here is the very bytes that are copied, so nobody can change the file between the check and the load.

mod copy;
mod elf;
mod error;
mod kept;
mod looks;
mod place;
#[cfg(test)]
pub(super) mod tests;
pub(super) mod trust;

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use plugin_abi::Identity;
use sha2::{Digest as _, Sha256};

pub use copy::{CopyError, PrivateCopy, PrivateDir};
pub use error::{FileError, Problem};
pub use place::EngineDir;

/// The largest file that is read, in bytes. An engine with all its debug information is far below.
const FILE_LEN_MAX: u64 = 1 << 30;

/// SHA-256 of a file's bytes. Shown as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// That of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// Reads 64 hexadecimal digits, upper or lower case.
    pub fn parse(text: &str) -> Option<Self> {
        let digits: Vec<u32> = text.chars().map(|c| c.to_digit(16)).collect::<Option<_>>()?;
        let mut bytes = [0; 32];
        if digits.len() != 2 * bytes.len() {
            return None;
        }
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = pair.iter().fold(0, |all, digit| all << 4 | *digit as u8);
        }
        Some(Self(bytes))
    }

    /// The first 12 digits: enough to tell builds apart in a log or a file's name.
    pub fn short(&self) -> String {
        let mut text = self.to_string();
        text.truncate(12);
        text
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What in a library keeps the loader from unmapping it, as far as its file tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pins {
    /// It is linked with `-z nodelete`.
    pub nodelete: bool,
    /// A symbol of it that is to be unique in the process (C++ templates and inline functions).
    pub unique_symbol: Option<String>,
    /// It can register destructors of thread-locals.
    pub thread_destructors: bool,
}

impl Pins {
    /// Whether it may go when threads end: nothing else keeps it, as far as its file tells.
    pub fn may_go_with_threads(&self) -> bool {
        self.thread_destructors && !self.nodelete && self.unique_symbol.is_none()
    }
}

/// What is asked of a file, beside being an engine.
#[derive(Clone, Copy, Debug, Default)]
pub struct Demands<'a> {
    /// It lies in one of these directories; none: it may lie anywhere.
    pub dirs: &'a [EngineDir],
    /// The digest of its bytes.
    pub digest: Option<Digest>,
}

/// An engine's file: its bytes, and what they say of it.
#[derive(Clone, Debug)]
pub struct EngineFile {
    path: PathBuf,
    bytes: Vec<u8>,
    digest: Digest,
    exposed: Option<String>,
    facts: elf::Facts,
}

impl EngineFile {
    /// Reads a file and checks all that can be checked without running code of it: that it is a shared library for this
    /// machine, whole, with the required symbols, of this ABI version, and one that can be loaded again and again.
    ///
    /// # Errors
    /// What is wrong with it, and what to do about it.
    pub fn open(path: &Path) -> Result<Self, FileError> {
        Self::open_with(path, Demands::default())
    }

    /// The same of a file of which more is asked. One that lies elsewhere is not even read.
    ///
    /// # Errors
    /// As for [`EngineFile::open`], and what else was asked for and is not so.
    pub fn open_with(path: &Path, demands: Demands<'_>) -> Result<Self, FileError> {
        let fail = |problem| FileError { path: path.to_owned(), problem };
        let Contents { bytes, rights, place } = read(path, demands.dirs).map_err(fail)?;
        let digest = Digest::of(&bytes);
        if let Some(wanted) = demands.digest.filter(|wanted| *wanted != digest) {
            return Err(fail(Problem::OtherDigest { found: digest, wanted }));
        }
        let facts = elf::inspect(&bytes).map_err(fail)?;
        let exposed = trust::exposed(&place, rights);
        Ok(Self { path: path.to_owned(), digest, bytes, exposed, facts })
    }

    /// What a private copy's bytes say of it. Its digest is known, and so not made again.
    ///
    /// # Errors
    /// As for [`EngineFile::open`].
    pub(super) fn inspect_copy(path: &Path) -> Result<(Identity, Pins), FileError> {
        let fail = |problem| FileError { path: path.to_owned(), problem };
        let bytes = read(path, &[]).map_err(fail)?.bytes;
        let facts = elf::inspect(&bytes).map_err(fail)?;
        Ok((facts.identity, facts.pins))
    }

    /// Sees that nobody but root and the host's user can have written these bytes: whoever can, runs code in the host.
    ///
    /// # Errors
    /// What lets others change the file or put another in its place.
    pub fn trusted(&self) -> Result<(), FileError> {
        match &self.exposed {
            None => Ok(()),
            Some(text) => Err(FileError { path: self.path.clone(), problem: Problem::Exposed(text.clone()) }),
        }
    }

    /// Where the bytes came from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The digest of the bytes.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// What the library says it is.
    pub fn identity(&self) -> &Identity {
        &self.facts.identity
    }

    /// The optional symbols that it exports, in the contract's order.
    pub fn optional_symbols(&self) -> &[&'static str] {
        &self.facts.optional
    }

    /// What in it keeps it from being unmapped.
    pub fn pins(&self) -> &Pins {
        &self.facts.pins
    }

    /// What is no reason to refuse it, but worth knowing. Each is a sentence.
    pub fn warnings(&self) -> Vec<String> {
        let mut all = Vec::new();
        let mut warn = |text: String| all.push(text);
        if let Some(symbol) = &self.facts.pins.unique_symbol {
            warn(format!(
                "its symbol {symbol} is STB_GNU_UNIQUE: once loaded it will not be unmapped; build it with -fno-gnu-unique"
            ));
        }
        if self.facts.pins.nodelete {
            warn(
                "it is linked with -z nodelete: once loaded it will not be unmapped; link it without"
                    .to_owned(),
            );
        }
        if let Some(text) = &self.exposed {
            warn(format!("a host does not load it: {text}"));
        }
        let has = |name: &&str| self.facts.optional.contains(name);
        let handoff = ["kv_handoff_prepare", "kv_handoff_give", "kv_handoff_commit", "kv_handoff_abort"];
        let missing: Vec<&str> = handoff.into_iter().filter(|name| !has(name)).collect();
        if !missing.is_empty() && missing.len() < handoff.len() {
            let missing = missing.join(", ");
            warn(format!("its handoff functions are not used: {missing} is missing, and it takes all four"));
        }
        if !has(&"kv_scan") {
            warn("it has no kv_scan: its data cannot move to another engine".to_owned());
        }
        all
    }
}

/// What one descriptor gave of a file.
struct Contents {
    bytes: Vec<u8>,
    rights: trust::Rights,
    place: std::io::Result<PathBuf>,
}

/// Reads a file through one descriptor, once it is known to lie in one of these directories: its bytes, whose it is, and where it lies.
fn read(path: &Path, dirs: &[EngineDir]) -> Result<Contents, Problem> {
    // A FIFO without a writer must not block the open.
    let opened = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path);
    let file = opened.map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Problem::NotFound,
        _ => Problem::Unreadable(error.to_string()),
    })?;
    let place = place::of(&file);
    if !dirs.is_empty() {
        let place = place.as_deref().map_err(|error| Problem::Unreadable(error.to_string()))?;
        place::is_within(place, dirs)
            .map_err(|accepted| Problem::Outside { place: place.to_owned(), accepted })?;
    }
    let unreadable = |error: std::io::Error| Problem::Unreadable(error.to_string());
    let metadata = file.metadata().map_err(unreadable)?;
    let kind = metadata.file_type();
    if kind.is_dir() {
        return Err(Problem::Directory);
    }
    if !kind.is_file() {
        return Err(Problem::NotAFile(match () {
            () if kind.is_fifo() => "a FIFO",
            () if kind.is_socket() => "a socket",
            () => "a device",
        }));
    }
    if metadata.len() > FILE_LEN_MAX {
        return Err(Problem::TooLarge { len: metadata.len(), accepted: FILE_LEN_MAX });
    }
    let bytes = read_all(&file, metadata.len()).map_err(unreadable)?;
    // The file may have grown since it was asked how long it is.
    if bytes.len() as u64 > FILE_LEN_MAX {
        return Err(Problem::TooLarge { len: bytes.len() as u64, accepted: FILE_LEN_MAX });
    }
    Ok(Contents { bytes, rights: trust::Rights::of_file(&metadata, &file), place })
}

fn read_all(file: &File, len: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(usize::try_from(len).unwrap_or(0));
    file.take(FILE_LEN_MAX + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}
