//! Error: why a file is not taken for an engine. Each says what was found, and what to do.

use std::fmt;
use std::path::PathBuf;

use plugin_abi::Refusal;

use super::Digest;

/// Why a file is not taken for an engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileError {
    /// Which file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// There is no such file.
    NotFound,
    /// It is a directory.
    Directory,
    /// It is something else that is no regular file.
    NotAFile(&'static str),
    /// It cannot be opened or read: the system's words.
    Unreadable(String),
    /// It has no bytes.
    Empty,
    /// It is longer than any engine.
    TooLarge {
        /// Bytes in the file.
        len: u64,
        /// Bytes accepted.
        accepted: u64,
    },
    /// It is no ELF file: what it looks like instead.
    NotElf(String),
    /// It ends too early.
    Truncated {
        /// Which part lies beyond the end.
        part: String,
        /// Bytes in the file.
        len: u64,
        /// Where that part ends.
        needed: u64,
    },
    /// It is for another machine.
    OtherMachine {
        /// Which machine it is for.
        found: String,
        /// Which machine this is.
        accepted: String,
    },
    /// It is an ELF file, but no shared library.
    NotALibrary(&'static str),
    /// Its structures contradict each other.
    Malformed(String),
    /// It is a library that has none of the required symbols.
    NoEngine,
    /// Required symbols that it does not have.
    MissingSymbols(Vec<&'static str>),
    /// `kv_abi` is no constant whose bytes are in the file.
    NoIdentityBytes,
    /// Its identity does not fit this host.
    Refused(Refusal),
    /// It uses the static model of thread-local storage.
    StaticTls,
    /// Others can change it: how, and what to do.
    Exposed(String),
    /// It lies elsewhere than engines may come from.
    Outside {
        /// Where it lies, without any links.
        place: PathBuf,
        /// The directories from which engines may come.
        accepted: Vec<PathBuf>,
    },
    /// Its bytes are others than were asked for.
    OtherDigest {
        /// Their digest.
        found: Digest,
        /// The digest that was asked for.
        wanted: Digest,
    },
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.problem)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound => write!(f, "there is no such file; check the path"),
            Self::Directory => write!(f, "this is a directory; give the path of a library in it"),
            Self::NotAFile(what) => write!(f, "this is {what}, not a file; give the path of a library"),
            Self::Unreadable(error) => {
                write!(f, "cannot be read: {error}; the host's user needs to read it")
            }
            Self::Empty => write!(f, "the file is empty; build or copy it again"),
            Self::TooLarge { len, accepted } => {
                write!(f, "the file has {len} bytes, accepted are {accepted}; strip it of debug information")
            }
            Self::NotElf(looks) => write!(f, "not a shared library: it looks like {looks}"),
            Self::Truncated { part, len, needed } => write!(
                f,
                "the file is truncated: it has {len} bytes, and its {part} would end at byte {needed}; copy it again"
            ),
            Self::OtherMachine { found, accepted } => {
                write!(
                    f,
                    "built for another machine: found {found}, accepted is {accepted}; build it for this one"
                )
            }
            Self::NotALibrary(what) => {
                write!(f, "this is {what}, not a shared library; link it with -shared (cdylib in Rust)")
            }
            Self::Malformed(what) => write!(f, "not a valid ELF file: {what}; build or copy it again"),
            Self::NoEngine => write!(
                f,
                "a shared library, but no engine: it exports none of the symbols that kvstore.h asks for"
            ),
            Self::MissingSymbols(names) => write!(
                f,
                "required symbol{} missing: {}; export {} with C linkage",
                if names.len() == 1 { "" } else { "s" },
                names.join(", "),
                if names.len() == 1 { "it" } else { "them" },
            ),
            Self::NoIdentityBytes => write!(
                f,
                "kv_abi has no bytes in the file; define it as an initialized constant of type kv_identity"
            ),
            Self::Refused(refusal) => {
                let again = matches!(refusal.field, "abi_major" | "abi_minor" | "struct_size" | "magic");
                write!(f, "{refusal}{}", if again { "; build it with this host's kvstore.h" } else { "" })
            }
            Self::Exposed(how) => write!(f, "others could run code in the host through it: {how}"),
            Self::Outside { place, accepted } => {
                let accepted: Vec<String> = accepted.iter().map(|dir| dir.display().to_string()).collect();
                let (place, accepted) = (place.display(), accepted.join(", "));
                write!(
                    f,
                    "the file is {place}, and engines are only taken from {accepted} (--engine-dir); put it there"
                )
            }
            Self::OtherDigest { found, wanted } => write!(
                f,
                "its SHA-256 is {found}, and the one asked for is {wanted}; is it another build, or damaged on its way here?"
            ),
            Self::StaticTls => write!(
                f,
                "it uses static thread-local storage (DF_STATIC_TLS), of which a process has room for a few loads only; \
                 build it without -ftls-model=initial-exec"
            ),
        }
    }
}

impl std::error::Error for FileError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.problem {
            Problem::Refused(refusal) => Some(refusal),
            _ => None,
        }
    }
}
