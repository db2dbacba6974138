//! Cell: how an entry lies in memory, in one piece.
//!
//! ```text
//! 0   version: 56 | marks: 8
//! 8   access: 16 | key_len: 8 | value_len: 8
//! 12  LONG: key_len: 32 | value_len: 64 | size: 64        where one of the lengths does not fit in 8 bits
//!     EXPIRES: expiry_ms: 64; 0 is never                  always in a LONG one, so that its expiry can change where it lies
//!     TYPED: type: 32 | flags: 32
//!     key, value, unused up to a multiple of 4
//! ```
//!
//! All numbers are little endian and may lie unaligned. `size` is that of the whole cell, which may have room for a longer value.

use core::marker::PhantomData;
use core::{ptr, slice};

use plugin_abi::sdk::Entry;

const LONG: u8 = 1;
const EXPIRES: u8 = 2;
const TYPED: u8 = 4;
/// Nobody refers to the cell any more.
const DEAD: u8 = 8;

/// Where the key begins, by LONG, EXPIRES and TYPED.
const BODY: [u8; 8] = [12, 32, 20, 40, 20, 40, 28, 48];
const VERSION: u64 = (1 << 56) - 1;

/// What a cell for some entry has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    marks: u8,
    /// Bytes in all, a multiple of 4.
    pub(crate) size: usize,
}

impl Shape {
    /// The smallest one for an entry.
    #[inline]
    pub(crate) fn of(entry: &Entry<'_>) -> Self {
        Self::with_value(entry, entry.value.len())
    }

    /// The smallest one for an entry with a value of another length.
    #[inline]
    pub(crate) fn with_value(entry: &Entry<'_>, value_len: usize) -> Self {
        let long = entry.key.len() > 0xff || value_len > 0xff;
        let expires = long || entry.expiry_ms != 0;
        let typed = entry.type_ != 0 || entry.flags != 0;
        let marks = u8::from(long) * LONG + u8::from(expires) * EXPIRES + u8::from(typed) * TYPED;
        let len = (usize::from(BODY[usize::from(marks)]) + entry.key.len()).saturating_add(value_len);
        Self { marks, size: len.saturating_add(3) & !3 }
    }

    /// Whether lengths have room of their own, so that the value can grow where it lies.
    pub(crate) fn is_long(self) -> bool {
        self.marks & LONG != 0
    }

    /// The same with room for a value that grows: half as much again.
    pub(crate) fn roomy(self) -> Self {
        let more = if self.marks & LONG == 0 { 0 } else { (self.size / 2) & !3 };
        Self { size: self.size.saturating_add(more), ..self }
    }
}

/// A cell.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cell<'a> {
    at: *mut u8,
    _memory: PhantomData<&'a mut [u8]>,
}

impl<'a> Cell<'a> {
    /// The cell at an address.
    ///
    /// # Safety
    /// A whole cell lies there, or memory for the cell that is written before it is read, and nobody else reads or writes it during `'a`; of copies of
    /// this, none is used to write while what another one has lent is in use.
    #[inline]
    pub(crate) unsafe fn at(at: *mut u8) -> Self {
        Self { at, _memory: PhantomData }
    }

    #[inline]
    fn number<T: Copy>(self, offset: usize) -> T {
        // SAFETY: within the cell, by its layout, for all callers in this file; numbers may be unaligned and anything.
        unsafe { ptr::read_unaligned(self.at.add(offset).cast()) }
    }

    #[inline]
    fn put<T: Copy>(self, offset: usize, number: T) {
        // SAFETY: as for `number`.
        unsafe { ptr::write_unaligned(self.at.add(offset).cast(), number) }
    }

    #[inline]
    fn marks(self) -> u8 {
        self.number(7)
    }

    #[inline]
    fn body(self) -> usize {
        usize::from(BODY[usize::from(self.marks() & 7)])
    }

    #[inline]
    fn lens(self) -> (usize, usize) {
        if self.marks() & LONG == 0 {
            let [key_len, value_len] = self.number::<[u8; 2]>(10);
            (usize::from(key_len), usize::from(value_len))
        } else {
            (self.number::<u32>(12) as usize, self.number::<u64>(16) as usize)
        }
    }

    /// Bytes in all.
    pub(crate) fn size(self) -> usize {
        if self.marks() & LONG != 0 {
            return self.number::<u64>(24) as usize;
        }
        let (key_len, value_len) = self.lens();
        (self.body() + key_len + value_len + 3) & !3
    }

    /// The same of what may be no cell, but is so many bytes of memory; `None`: it is none.
    pub(crate) fn size_within(self, room: usize) -> Option<usize> {
        let head_len = |long| if long { 32 } else { 12 };
        if room < head_len(false)
            || self.marks() & !(LONG | EXPIRES | TYPED | DEAD) != 0
            || room < head_len(self.is_long())
        {
            return None;
        }
        let (key_len, value_len) = self.lens();
        let end = self.body().checked_add(key_len)?.checked_add(value_len)?;
        let size = self.size();
        let marked = !self.is_long() || self.marks() & EXPIRES != 0;
        (marked && end <= size && size <= room && size.is_multiple_of(4)).then_some(size)
    }

    /// The key.
    #[inline]
    pub(crate) fn key(self) -> &'a [u8] {
        // SAFETY: within the cell, by its layout.
        unsafe { slice::from_raw_parts(self.at.add(self.body()), self.lens().0) }
    }

    /// Whether this is its key.
    #[inline]
    pub(crate) fn has_key(self, key: &[u8]) -> bool {
        let own = self.key();
        let ends = |key: &[u8]| Some((*key.first_chunk::<8>()?, *key.last_chunk::<8>()?));
        // Keys of 8 to 16 bytes, as most are, without a call.
        own.len() == key.len()
            && match (ends(own), ends(key)) {
                (Some(own), Some(key_ends)) if key.len() <= 16 => own == key_ends,
                _ => own == key,
            }
    }

    /// The entry's version.
    #[inline]
    pub(crate) fn version(self) -> u64 {
        self.number::<u64>(0) & VERSION
    }

    /// The entry's expiry; 0 is never.
    #[inline]
    pub(crate) fn expiry_ms(self) -> i64 {
        if self.marks() & EXPIRES == 0 {
            return 0;
        }
        self.number(12 + 20 * usize::from(self.marks() & LONG))
    }

    /// Whether the entry is gone at this time.
    #[inline]
    pub(crate) fn expired(self, now_ms: i64) -> bool {
        if self.marks() & EXPIRES == 0 {
            return false;
        }
        let expiry_ms = self.expiry_ms();
        expiry_ms != 0 && expiry_ms <= now_ms
    }

    /// The entry.
    #[inline]
    pub(crate) fn entry(self) -> Entry<'a> {
        let (key_len, value_len) = self.lens();
        let body = self.body();
        let [type_, flags] = if self.marks() & TYPED == 0 { [0, 0] } else { self.number(body - 8) };
        // SAFETY: within the cell, by its layout.
        let (key, value) = unsafe {
            let key = self.at.add(body);
            (slice::from_raw_parts(key, key_len), slice::from_raw_parts(key.add(key_len), value_len))
        };
        Entry { key, value, expiry_ms: self.expiry_ms(), version: self.version(), type_, flags }
    }

    /// What is known of the entry's use.
    pub(crate) fn access(self) -> u16 {
        self.number(8)
    }

    /// Notes the entry's use.
    #[inline]
    pub(crate) fn set_access(self, access: u16) {
        self.put(8, access);
    }

    /// Whether nobody refers to it any more.
    pub(crate) fn is_dead(self) -> bool {
        self.marks() & DEAD != 0
    }

    /// Nobody refers to it any more.
    pub(crate) fn die(self) {
        self.put(7, self.marks() | DEAD);
    }

    /// Gives the entry another version.
    pub(crate) fn set_version(self, version: u64) {
        self.put(0, version & VERSION | u64::from(self.marks()) << 56);
    }

    /// Gives the entry another expiry; false: its shape would be another one, and nothing has changed.
    pub(crate) fn set_expiry_ms(self, expiry_ms: i64) -> bool {
        let has_room = self.marks() & EXPIRES != 0;
        if has_room {
            self.put(12 + 20 * usize::from(self.marks() & LONG), expiry_ms);
        }
        // One that stops to expire keeps the room: it may well expire again.
        has_room || expiry_ms == 0
    }

    /// Writes an entry of this shape; what it borrows lies outside of the cell.
    #[inline]
    pub(crate) fn write(self, shape: Shape, entry: &Entry<'_>, access: u16) {
        let Shape { marks, size } = shape;
        self.put(0, entry.version & VERSION | u64::from(marks) << 56);
        if marks & LONG == 0 {
            let lens = u32::from(access) | (entry.key.len() as u32) << 16 | (entry.value.len() as u32) << 24;
            self.put(8, lens);
        } else {
            self.put(8, u32::from(access));
            self.put(12, entry.key.len() as u32);
            self.put(16, entry.value.len() as u64);
            self.put(24, size as u64);
        }
        let body = usize::from(BODY[usize::from(marks)]);
        if marks & EXPIRES != 0 {
            self.put(12 + 20 * usize::from(marks & LONG), entry.expiry_ms);
        }
        if marks & TYPED != 0 {
            self.put(body - 8, [entry.type_, entry.flags]);
        }
        // SAFETY: the shape has room for both, and neither lies in the cell.
        unsafe {
            let key = self.at.add(body);
            ptr::copy_nonoverlapping(entry.key.as_ptr(), key, entry.key.len());
            ptr::copy_nonoverlapping(entry.value.as_ptr(), key.add(entry.key.len()), entry.value.len());
        }
    }

    /// Whether an entry of this shape can be written over the one that is here: the cell stays as large as its bytes say.
    #[inline]
    pub(crate) fn takes(self, shape: Shape) -> bool {
        if (self.marks() | shape.marks) & LONG == 0 {
            return self.size() == shape.size;
        }
        // Not where much would be left unused.
        let size = self.size();
        self.marks() & shape.marks & LONG != 0
            && shape.size <= size
            && (shape.size >= size / 2 || size <= 256)
    }

    /// The shape of the cell as it is, for an entry that it [takes](Self::takes).
    #[inline]
    pub(crate) fn keep_size(self, shape: Shape) -> Shape {
        if shape.marks & LONG == 0 { shape } else { Shape { size: self.size(), ..shape } }
    }

    /// Whether the value can grow where it lies, within the cell's room.
    pub(crate) fn is_long(self) -> bool {
        self.marks() & LONG != 0
    }

    /// All bytes of the value that the cell has room for; `None` where its length is in 8 bits.
    pub(crate) fn room(self) -> Option<usize> {
        self.is_long().then(|| self.size() - self.body() - self.lens().0)
    }

    /// The value, to be written; of this length from now on. `None`, and nothing has changed: the cell has no room.
    ///
    /// Bytes beyond the old length are anything.
    pub(crate) fn value_mut(&mut self, value_len: usize) -> Option<&mut [u8]> {
        let (key_len, old_len) = self.lens();
        if value_len != old_len {
            if self.room()? < value_len {
                return None;
            }
            self.put(16, value_len as u64);
        }
        // SAFETY: within the cell.
        Some(unsafe { slice::from_raw_parts_mut(self.at.add(self.body() + key_len), value_len) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shape_is_read_as_it_was_written() {
        let bytes: Vec<u8> = (0..=255).cycle().take(70_000).collect();
        let lens = [0, 1, 2, 3, 16, 255, 256, 300, 66_000];
        for (key_len, value_len) in lens.iter().flat_map(|key| lens.map(|value| (*key, value))) {
            for (expiry_ms, type_, flags) in [(0, 0, 0), (5, 0, 0), (0, 1, 0), (i64::MAX, 2, u32::MAX)] {
                let entry = Entry {
                    key: &bytes[..key_len],
                    value: &bytes[1..=value_len],
                    expiry_ms,
                    version: 77,
                    type_,
                    flags,
                };
                let shape = Shape::of(&entry);
                assert!(shape.size <= key_len + value_len + 48 + 3 && shape.size.is_multiple_of(4));
                let mut memory = vec![0xaa_u8; shape.size + 1];
                // SAFETY: memory of this test's own, and not aligned.
                let cell = unsafe { Cell::at(memory.as_mut_ptr().add(1)) };
                cell.write(shape, &entry, 9);
                assert_eq!(
                    (cell.entry(), cell.key(), cell.access(), cell.size()),
                    (entry, entry.key, 9, shape.size)
                );
                assert!(cell.takes(shape) && !cell.is_dead() && !cell.expired(4));
                assert_eq!(cell.expired(5), expiry_ms == 5);
                let has_room = expiry_ms != 0 || shape.is_long();
                assert!(cell.set_expiry_ms(0) && cell.expiry_ms() == 0 && !cell.expired(i64::MAX));
                assert_eq!(cell.set_expiry_ms(8), has_room);
                cell.set_version(78);
                cell.set_access(10);
                cell.die();
                let version_and_expiry = (cell.version(), cell.expiry_ms());
                assert_eq!(version_and_expiry, (78, if has_room { 8 } else { 0 }));
                assert!(
                    cell.is_dead()
                        && cell.access() == 10
                        && cell.key() == entry.key
                        && cell.size() == shape.size
                );
            }
        }
    }

    #[test]
    fn a_key_is_told_from_every_other_one() {
        for len in 0..40 {
            let key: Vec<u8> = (0..len).collect();
            let entry = Entry { key: &key, value: b"value", version: 1, ..Entry::default() };
            let shape = Shape::of(&entry);
            let mut memory = vec![0_u8; shape.size];
            // SAFETY: memory of this test's own.
            let cell = unsafe { Cell::at(memory.as_mut_ptr()) };
            cell.write(shape, &entry, 0);
            assert!(cell.has_key(&key));
            for at in 0..key.len() {
                let mut other = key.clone();
                other[at] ^= 1;
                assert!(!cell.has_key(&other) && !cell.has_key(&key[..at]) && !cell.has_key(&key[at + 1..]));
            }
            assert!(!cell.has_key(&[&key[..], b"v"].concat()));
        }
    }

    #[test]
    fn a_small_entry_has_twelve_bytes_beside_key_and_value() {
        let entry = Entry { key: &[1; 16], value: &[2; 32], version: 1, ..Entry::default() };
        assert_eq!(Shape::of(&entry).size, 60);
    }

    #[test]
    fn a_long_value_grows_within_its_room() {
        let entry = Entry { key: b"key", value: &[7; 1000], version: 1, ..Entry::default() };
        let shape = Shape::of(&entry).roomy();
        let mut memory = vec![0_u8; shape.size];
        // SAFETY: memory of this test's own.
        let mut cell = unsafe { Cell::at(memory.as_mut_ptr()) };
        cell.write(shape, &entry, 0);
        cell.value_mut(1500).unwrap()[1499] = 1;
        assert_eq!((cell.entry().value.len(), cell.entry().value[999], cell.size()), (1500, 7, shape.size));
        assert!(cell.value_mut(1600).is_none());
        assert_eq!(cell.value_mut(10).unwrap().len(), 10);
    }
}
