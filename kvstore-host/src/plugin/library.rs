//! Library: a loaded private copy: its functions, and what became of it after the unload.

#[cfg(test)]
mod tests;

use std::ffi::{CStr, CString, c_void};
use std::fmt;
use std::mem::ManuallyDrop;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use libloading::os::unix::{Library as Handle, RTLD_LOCAL, RTLD_NOW};
use plugin_abi::calls::{Calls, MissingSymbols};
use plugin_abi::layout::{LAYOUT_SYMBOL, LayoutItem};

use super::file::{Pins, PrivateCopy};
use super::maps::Maps;
use super::threads::{self, Started};

/// Why a library could not be loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoadError {
    /// The loader refused it; these are its own words (dlerror).
    Loader(String),
    /// It is loaded and lacks required symbols.
    Missing(MissingSymbols),
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Loader(text) => {
                write!(f, "the loader refused it: {text}")?;
                // A file system that is mounted noexec shows itself only here.
                if text.contains("failed to map segment") {
                    write!(
                        f,
                        "; is the directory of private copies mounted noexec? Set another one, for instance with TMPDIR"
                    )?;
                }
                Ok(())
            }
            Self::Missing(missing) => write!(f, "{missing}"),
        }
    }
}

impl std::error::Error for LoadError {}

/// What became of a library after it was closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is gone from memory.
    Unmapped,
    /// It is still there: why, as far as can be told.
    Pinned(String),
    /// It was not closed, because these threads are in it, or may be; in words.
    InUse(Vec<String>),
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unmapped => write!(f, "unmapped"),
            Self::Pinned(reason) => write!(f, "pinned({reason})"),
            Self::InUse(threads) => write!(f, "pinned(not closed: {})", threads.join(", ")),
        }
    }
}

/// A loaded library. One that is dropped stays loaded for ever: closing a library that is still in use would crash the
/// process, so it happens only where somebody asks for it, in [`Library::unload`].
#[derive(Debug)]
pub struct Library {
    handle: ManuallyDrop<Handle>,
    calls: Calls,
    path: PathBuf,
    pins: Pins,
    // The thread that loaded it: older ones are none of its own.
    loaded_by: Started,
    // The file stays until the unload: its name must not be used again, and debuggers look into it.
    _copy: Option<PrivateCopy>,
}

impl Library {
    /// Loads a private copy, with all symbols bound at once and none of them offered to other libraries.
    ///
    /// # Safety
    /// This runs the library's constructors, and trusts its functions to be those of this ABI version: its bytes have passed the
    /// checks. Nothing that came from [`Library::calls`] is used after [`Library::unload`].
    ///
    /// # Errors
    /// What the loader said, or the required symbols that are missing; then it is closed again.
    pub unsafe fn load(copy: PrivateCopy) -> Result<Self, LoadError> {
        // SAFETY: the caller's promise.
        let mut library = unsafe { Self::load_path(copy.path(), copy.pins().clone()) }.map_err(|error| {
            let private = copy.path().display().to_string();
            error.renamed(&private, &copy.source().display().to_string())
        })?;
        library._copy = Some(copy);
        Ok(library)
    }

    /// As [`Library::load`], for a copy that somebody else owns.
    ///
    /// # Safety
    /// As for [`Library::load`], and the file stays until the unload.
    ///
    /// # Errors
    /// As for [`Library::load`].
    pub(super) unsafe fn load_path(path: &Path, pins: Pins) -> Result<Self, LoadError> {
        let loaded_by = Started::this();
        // SAFETY: the caller trusts the library's constructors.
        let opened = unsafe { Handle::open(Some(path), RTLD_NOW | RTLD_LOCAL) };
        let handle = opened.map_err(|error| LoadError::Loader(loader_text(error)))?;
        // SAFETY: the caller trusts the library to be of this ABI version, and keeps it loaded while the calls are used.
        match unsafe { Calls::resolve(|name| address(&handle, name)) } {
            Ok(calls) => {
                let handle = ManuallyDrop::new(handle);
                Ok(Self { handle, calls, path: path.to_owned(), pins, loaded_by, _copy: None })
            }
            // Nothing of it was called, so it can go.
            Err(missing) => {
                let _closing = closing();
                drop(handle);
                Err(LoadError::Missing(missing))
            }
        }
    }

    /// Its functions.
    pub fn calls(&self) -> Calls {
        self.calls
    }

    /// Where the loaded file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What in it keeps it from being unmapped, as far as its file tells.
    pub fn pins(&self) -> &Pins {
        &self.pins
    }

    /// The type layout that a Rust engine carries; none in other engines.
    pub(super) fn layout(&self) -> Option<&LayoutItem> {
        let item = address(&self.handle, LAYOUT_SYMBOL).cast::<LayoutItem>();
        // SAFETY: NULL, or the symbol that the SDK's macro defines with this type; as constant as the library.
        unsafe { item.as_ref() }
    }

    /// Closes the library, and looks whether it is really gone. All instances of it are closed. While a thread of its own still runs it stays
    /// loaded. Blocks for some seconds where other threads than the host's seem to be in it.
    pub fn unload(self) -> Verdict {
        let threads = threads::inside(&self.path, self.loaded_by);
        if !threads.is_empty() {
            return Verdict::InUse(threads);
        }
        let Self { handle, path, pins, _copy, .. } = self;
        let _closing = closing();
        if let Err(error) = ManuallyDrop::into_inner(handle).close() {
            return Verdict::Pinned(format!("dlclose failed: {}", loader_text(error)));
        }
        look(&path, &pins)
    }
}

impl LoadError {
    /// The same error with the path that the operator knows in the place of the private copy's.
    pub(super) fn renamed(self, private: &str, known: &str) -> Self {
        match self {
            Self::Loader(text) => Self::Loader(text.replace(private, known)),
            missing => missing,
        }
    }
}

/// Held while a library is closed. Each close unmaps also what was pinned by threads that have ended; so nobody closes any while such threads
/// end: they run destructors of several kinds one after the other, and only the first kind pins.
pub fn closing() -> MutexGuard<'static, ()> {
    static CLOSING: Mutex<()> = Mutex::new(());
    CLOSING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Looks whether a library that was closed is gone. To be asked again later: what is pinned by a thread goes with that thread, when
/// the next library is closed.
pub fn look(path: &Path, pins: &Pins) -> Verdict {
    let listed = is_listed(path);
    let mappings = mappings(path).len();
    match (listed, mappings) {
        // Taking the handle back may have been the close that it waited for.
        (_, 0) => Verdict::Unmapped,
        (false, count) => Verdict::Pinned(format!(
            "the loader has let go of it, but {count} mappings of its file are left, as a backtrace with symbols leaves them"
        )),
        (true, _) => Verdict::Pinned(if pins.nodelete {
            "it is linked with -z nodelete (DF_1_NODELETE)".to_owned()
        } else if let Some(symbol) = &pins.unique_symbol {
            format!("its symbol {symbol} is STB_GNU_UNIQUE")
        } else if pins.thread_destructors {
            "a thread-local destructor of it is registered on a living thread".to_owned()
        } else {
            "unknown: the loader still lists it".to_owned()
        }),
    }
}

/// Where in memory the mappings of a file are.
fn mappings(path: &Path) -> Vec<Range<usize>> {
    Maps::now().iter().filter(|mapping| mapping.path == path).map(|mapping| mapping.range).collect()
}

/// Whether the loader still lists a library under this path.
fn is_listed(path: &Path) -> bool {
    let Ok(path) = CString::new(path.as_os_str().as_bytes()) else { return false };
    // SAFETY: with RTLD_NOLOAD nothing is loaded and no constructor runs.
    let handle = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_NOLOAD) };
    if handle.is_null() {
        return false;
    }
    // SAFETY: gives back the reference that the line above took.
    unsafe { libc::dlclose(handle) };
    true
}

/// The address of a symbol, or NULL.
fn address(handle: &Handle, name: &CStr) -> *const c_void {
    // SAFETY: the symbol is only taken for an address.
    let found = unsafe { handle.get::<*const c_void>(name) };
    found.map_or(std::ptr::null(), |symbol| symbol.into_raw().cast_const())
}

/// The loader's own words.
fn loader_text(error: libloading::Error) -> String {
    match std::error::Error::source(&error) {
        Some(source) => source.to_string(),
        None => error.to_string(),
    }
}
