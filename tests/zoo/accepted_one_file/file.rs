//! File: entries as a log of records, in one locked file.
//!
//! ```text
//! header "one-file 1\n" | record | record | …    record = key length, value length (4 bytes each, little-endian), key, value
//! ```
//!
//! A record without a value has the length `REMOVED` in its place. What an interrupted write left at the end is no record, and is written over.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use plugin_abi::Status;
use plugin_abi::sdk::Error;

const HEADER: &[u8] = b"one-file 1\n";
const REMOVED: u32 = u32::MAX;

/// The entries by their keys.
pub(crate) type Entries = BTreeMap<Vec<u8>, Vec<u8>>;

/// An open file with its lock, which goes with it.
pub(crate) struct Locked {
    file: File,
    end: u64,
}

/// Whether a file that is not there may be made.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Create {
    Yes,
    No,
}

fn failed(what: &str, path: &Path, error: &io::Error) -> Error {
    Error::new(Status::UNAVAILABLE, format!("{}: cannot {what}: {error}", path.display()))
}

impl Locked {
    /// Opens a file, locks it without waiting, and reads what is in it. Writes nothing to it, but the header of one that it has made.
    pub(crate) fn open(path: &Path, create: Create) -> Result<(Self, Entries), Error> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(create == Create::Yes);
        let mut file = options.open(path).map_err(|error| failed("open", path, &error))?;
        // SAFETY: an open descriptor.
        if unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) } != 0 {
            return Err(match io::Error::last_os_error() {
                error if error.kind() == io::ErrorKind::WouldBlock => {
                    Error::new(Status::LOCKED, format!("{}: another instance has it open", path.display()))
                }
                error => failed("lock", path, &error),
            });
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(|error| failed("read", path, &error))?;
        if bytes.is_empty() && create == Create::Yes {
            file.write_all_at(HEADER, 0).map_err(|error| failed("write", path, &error))?;
            bytes = HEADER.to_vec();
        }
        let Some(records) = bytes.strip_prefix(HEADER) else {
            return Err(Error::new(
                Status::CORRUPT,
                format!("{}: not a file of this engine", path.display()),
            ));
        };
        let (entries, len) = read(records);
        Ok((Self { file, end: (HEADER.len() + len) as u64 }, entries))
    }

    /// Writes a record behind the last one.
    pub(crate) fn append(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), Error> {
        let len = |bytes: &[u8]| {
            u32::try_from(bytes.len()).ok().filter(|len| *len < REMOVED).ok_or(Error::from(Status::TOO_LARGE))
        };
        let value_len = value.map_or(Ok(REMOVED), len)?;
        let header = [len(key)?.to_le_bytes(), value_len.to_le_bytes()].concat();
        let record = [&header, key, value.unwrap_or_default()].concat();
        let written = self.file.write_all_at(&record, self.end);
        written.map_err(|error| Error::new(Status::IO, format!("cannot write: {error}")))?;
        self.end += record.len() as u64;
        Ok(())
    }

    /// Removes all records.
    pub(crate) fn clear(&mut self) -> Result<(), Error> {
        let len = HEADER.len() as u64;
        self.file.set_len(len).map_err(|error| Error::new(Status::IO, format!("cannot cut: {error}")))?;
        self.end = len;
        Ok(())
    }

    /// Makes durable what was written.
    pub(crate) fn sync(&self) -> Result<(), Error> {
        self.file.sync_data().map_err(|error| Error::new(Status::IO, format!("cannot sync: {error}")))
    }
}

/// The entries that these records make, and how many bytes of them are whole.
fn read(records: &[u8]) -> (Entries, usize) {
    let (mut entries, mut rest) = (Entries::new(), records);
    while let Some((key, value, behind)) = record(rest) {
        match value {
            Some(value) => entries.insert(key.to_vec(), value.to_vec()),
            None => entries.remove(key),
        };
        rest = behind;
    }
    (entries, records.len() - rest.len())
}

/// A key, its value, and the bytes behind them.
type Record<'a> = (&'a [u8], Option<&'a [u8]>, &'a [u8]);

/// The first record; `None` where there is no whole one.
fn record(bytes: &[u8]) -> Option<Record<'_>> {
    let (key_len, rest) = bytes.split_first_chunk()?;
    let (value_len, rest) = rest.split_first_chunk()?;
    let (key, rest) = rest.split_at_checked(u32::from_le_bytes(*key_len) as usize)?;
    match u32::from_le_bytes(*value_len) {
        REMOVED => Some((key, None, rest)),
        len => rest.split_at_checked(len as usize).map(|(value, rest)| (key, Some(value), rest)),
    }
}

/// The path that a text of the contract's is.
pub(crate) fn path_of(bytes: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStrExt;
    PathBuf::from(std::ffi::OsStr::from_bytes(bytes))
}
