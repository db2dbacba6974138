//! Bases: where the regions of a state are, by their numbers.
//!
//! The table is a mapping of its own, whose pages come from the system as they are used. One on the heap would be filled with zeros from end to end
//! whenever a state is adopted, while everybody waits.

use core::ptr::{self, NonNull};
use std::ops::Deref;
use std::sync::atomic::AtomicPtr;

use plugin_abi::sdk::Error;
use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};

use crate::pages::no_memory;

/// Regions that a state can have.
pub(crate) const REGIONS_MAX: usize = 1 << 16;

type Table = [AtomicPtr<u8>; REGIONS_MAX];

/// The addresses; null: there is no region of this number.
pub(crate) struct Bases(NonNull<Table>);

// SAFETY: it is what it leads to, which is atomic.
unsafe impl Send for Bases {}
// SAFETY: as above.
unsafe impl Sync for Bases {}

impl Bases {
    /// No regions.
    ///
    /// # Errors
    /// FULL.
    pub(crate) fn new() -> Result<Self, Error> {
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping, at an address of the system's choice.
        let table =
            unsafe { mmap_anonymous(ptr::null_mut(), size_of::<Table>(), protection, MapFlags::PRIVATE) };
        let table = table.ok().and_then(|table| NonNull::new(table.cast()));
        table.map(Self).ok_or_else(no_memory)
    }
}

impl Deref for Bases {
    type Target = Table;

    #[inline]
    fn deref(&self) -> &Table {
        // SAFETY: mapped as long as this lives, aligned to a page, and zeros are null pointers.
        unsafe { self.0.as_ref() }
    }
}

impl Drop for Bases {
    fn drop(&mut self) {
        // SAFETY: mapped with this length, and all that borrows from it is gone.
        _ = unsafe { munmap(self.0.as_ptr().cast(), size_of::<Table>()) };
    }
}
