//! Slot: what is stored under a key, and the changes that can be made to it in place.

use plugin_abi::Status;
use plugin_abi::sdk::{Entry, Error};

/// What is stored under a key.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) value: Vec<u8>,
    /// Milliseconds since 1970 UTC; 0 is never.
    pub(crate) expiry_ms: i64,
    pub(crate) version: u64,
    pub(crate) type_: u32,
    pub(crate) flags: u32,
}

/// A change to a part of a value: it becomes `new_len` bytes long, then `bytes` are written at `offset`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patch<'a> {
    pub(crate) offset: usize,
    pub(crate) bytes: &'a [u8],
    /// At least `offset + bytes.len()`.
    pub(crate) new_len: usize,
}

/// What a patch destroyed of a value, enough to undo it.
#[derive(Debug)]
pub(crate) struct Patched {
    version: u64,
    len: usize,
    from: usize,
    lost: Vec<u8>,
}

fn no_memory<T>(_: T) -> Error {
    Error::new(Status::FULL, "no memory for the value")
}

/// A copy of these bytes.
///
/// # Errors
/// FULL.
pub(crate) fn copy(bytes: &[u8]) -> Result<Vec<u8>, Error> {
    let mut copy = Vec::new();
    copy.try_reserve_exact(bytes.len()).map_err(no_memory)?;
    copy.extend_from_slice(bytes);
    Ok(copy)
}

impl Slot {
    /// A copy of what an entry holds, its version too.
    ///
    /// # Errors
    /// FULL.
    pub(crate) fn copy_of(entry: &Entry<'_>) -> Result<Self, Error> {
        let Entry { value, expiry_ms, version, type_, flags, .. } = *entry;
        Ok(Self { value: copy(value)?, expiry_ms, version, type_, flags })
    }

    /// The entry, lent.
    pub(crate) fn entry<'a>(&'a self, key: &'a [u8]) -> Entry<'a> {
        let Self { expiry_ms, version, type_, flags, .. } = *self;
        Entry { key, value: &self.value, expiry_ms, version, type_, flags }
    }

    /// Whether it is gone at this time.
    pub(crate) fn expired(&self, now_ms: i64) -> bool {
        self.expiry_ms != 0 && self.expiry_ms <= now_ms
    }

    /// Changes the value in place. Appending grows it by half or more, so that many small appends copy little.
    ///
    /// # Errors
    /// FULL; then nothing has changed.
    pub(crate) fn patch(&mut self, patch: &Patch<'_>) -> Result<(), Error> {
        let Patch { offset, bytes, new_len } = *patch;
        let value = &mut self.value;
        value.try_reserve(new_len.saturating_sub(value.len())).map_err(no_memory)?;
        value.truncate(new_len);
        // An append writes each byte once: no zeros where the new bytes will stand.
        if value.len() < offset {
            value.resize(offset, 0);
        }
        let over = bytes.len().min(value.len() - offset);
        value[offset..offset + over].copy_from_slice(&bytes[..over]);
        value.extend_from_slice(&bytes[over..]);
        value.resize(new_len, 0);
        Ok(())
    }

    /// What [`Slot::unpatch`] will need after this patch.
    ///
    /// # Errors
    /// FULL.
    pub(crate) fn before_patch(&self, patch: &Patch<'_>) -> Result<Patched, Error> {
        let len = self.value.len();
        let from = patch.offset.min(len);
        let end = if patch.new_len < len { len } else { (from + patch.bytes.len()).min(len) };
        Ok(Patched { version: self.version, len, from, lost: copy(&self.value[from..end])? })
    }

    /// Undoes the newest patch. Allocates nothing: a patch never gives capacity back.
    pub(crate) fn unpatch(&mut self, before: &Patched) {
        self.version = before.version;
        self.value.resize(before.len, 0);
        self.value[before.from..before.from + before.lost.len()].copy_from_slice(&before.lost);
    }

    /// Gives memory back when the value has become far smaller than its buffer.
    pub(crate) fn shrink_if_sparse(&mut self) {
        if self.value.capacity() > 256 && self.value.len() < self.value.capacity() / 4 {
            self.value.shrink_to(self.value.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(value: &[u8]) -> Slot {
        Slot { value: value.to_vec(), expiry_ms: 0, version: 7, type_: 0, flags: 0 }
    }

    #[test]
    fn every_patch_of_a_short_value_is_done_and_undone() {
        for len in 0..6 {
            let old: Vec<u8> = (0..len).collect();
            for new_len in 0..8_usize {
                for offset in 0..=new_len {
                    for count in 0..=new_len - offset {
                        let bytes = vec![b'x'; count];
                        let mut wanted = old.clone();
                        wanted.resize(new_len, 0);
                        wanted[offset..offset + count].copy_from_slice(&bytes);

                        let mut slot = slot(&old);
                        let patch = Patch { offset, bytes: &bytes, new_len };
                        let before = slot.before_patch(&patch).unwrap();
                        slot.patch(&patch).unwrap();
                        slot.version = 8;
                        assert_eq!(slot.value, wanted, "{old:?} {patch:?}");
                        slot.unpatch(&before);
                        assert_eq!((&slot.value, slot.version), (&old, 7), "{patch:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_length_beyond_memory_is_full_and_changes_nothing() {
        let mut slot = slot(b"abc");
        let patch = Patch { offset: 3, bytes: b"d", new_len: usize::MAX / 2 };
        assert_eq!(slot.patch(&patch).unwrap_err().status, Status::FULL);
        assert_eq!(slot.value, b"abc");
    }

    #[test]
    fn many_small_appends_seldom_move_the_value() {
        let mut slot = slot(b"");
        let mut moves = 0;
        for n in 0..100_000 {
            let before = slot.value.as_ptr();
            slot.patch(&Patch { offset: n, bytes: b"z", new_len: n + 1 }).unwrap();
            moves += usize::from(slot.value.as_ptr() != before);
        }
        assert!(moves < 40, "moved {moves} times");
    }
}
