//! Variant: a library that says something else of itself: its identity, a constant of the file, is changed.

#![allow(clippy::expect_used, reason = "a test's helper stops at the first surprise")]

use std::path::{Path, PathBuf};

use plugin_abi::raw::{KV_ABI_MAGIC, KV_ABI_MAJOR, KV_ABI_MINOR, KvIdentity};

/// Writes a copy of the library to `out` that says it is of another version.
///
/// # Panics
/// As [`variant`].
pub fn of_version(library: &Path, out: &Path, version: &str) -> PathBuf {
    variant(library, out, |identity| {
        identity.version = [0; 32];
        identity.version[..version.len()].copy_from_slice(version.as_bytes());
    })
}

/// Writes a copy of the library to `out`, with its identity changed.
///
/// # Panics
/// The library has no identity.
pub fn variant(library: &Path, out: &Path, change: impl FnOnce(&mut KvIdentity)) -> PathBuf {
    let mut bytes = std::fs::read(library).expect("a library");
    // The magic may stand elsewhere too, but not with the rest.
    let numbers = [KV_ABI_MAJOR, KV_ABI_MINOR, size_of::<KvIdentity>() as u32];
    let start: Vec<u8> =
        KV_ABI_MAGIC.iter().copied().chain(numbers.into_iter().flat_map(u32::to_ne_bytes)).collect();
    let at = bytes.windows(start.len()).position(|window| window == start).expect("an identity");
    let place = &mut bytes[at..at + size_of::<KvIdentity>()];
    // SAFETY: as many bytes as an identity has, any of which make one.
    let mut identity = unsafe { place.as_ptr().cast::<KvIdentity>().read_unaligned() };
    change(&mut identity);
    // SAFETY: as above; an identity has no padding.
    unsafe { place.as_mut_ptr().cast::<KvIdentity>().write_unaligned(identity) };
    std::fs::write(out, bytes).expect("the variant");
    out.to_owned()
}
