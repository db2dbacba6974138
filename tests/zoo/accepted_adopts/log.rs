//! Log: records one behind the other in regions of memory, found again by their place; nothing in it is an address.
//!
//! ```text
//! region:  record | record | … | unused
//! record:  RecordHeader | key | value | up to the next multiple of 8
//! ```

use std::ptr;

use plugin_abi::Status;
use plugin_abi::sdk::{Entry, Error, Region};

/// Bytes of a region, unless one record needs more.
const REGION_LEN: usize = 1 << 20;
/// What regions are made of; a page, or a multiple of it.
const PAGE: usize = 1 << 12;
/// The only role that a region has.
const ROLE: u32 = 1;

/// Where a record begins.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    region: usize,
    offset: usize,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct RecordHeader {
    key_len: u64,
    value_len: u64,
    expiry_ms: i64,
    version: u64,
    type_: u32,
    flags: u32,
    /// 0: another record has taken its place, or it was removed.
    live: u64,
}

const _: () = assert!(size_of::<RecordHeader>() == 48);

impl RecordHeader {
    fn len(&self) -> Option<usize> {
        let bytes = usize::try_from(self.key_len.checked_add(self.value_len)?).ok()?;
        size_of::<Self>().checked_add(bytes)?.checked_next_multiple_of(8)
    }
}

#[derive(Debug)]
struct Mapping {
    base: *mut u8,
    len: usize,
    used: usize,
}

/// The records.
#[derive(Debug)]
pub(crate) struct Log {
    mappings: Vec<Mapping>,
    /// Bytes of all records, and of those that count no more.
    used: usize,
    dead: usize,
    /// Whether the mappings are its own: not before it has taken them over, and not after it has given them away.
    pub(crate) owned: bool,
}

// SAFETY: the mappings are reached only through the log, whose methods borrow it.
unsafe impl Send for Log {}

impl Log {
    pub(crate) fn new() -> Self {
        Self { mappings: Vec::new(), used: 0, dead: 0, owned: true }
    }

    /// The records of another log, which still owns them.
    pub(crate) fn of(regions: &[Region], used: &[u64]) -> Result<Self, Error> {
        if regions.len() != used.len() {
            return Err(Error::new(Status::CORRUPT, "the root does not go with the regions"));
        }
        let mut log = Self::new();
        log.owned = false;
        for (region, used) in regions.iter().zip(used) {
            let used = usize::try_from(*used).unwrap_or(usize::MAX);
            if region.role != ROLE || region.base.is_null() || used > region.len {
                return Err(Error::new(Status::CORRUPT, "a region is not as it should be"));
            }
            log.mappings.push(Mapping { base: region.base.cast(), len: region.len, used });
            log.used += used;
        }
        Ok(log)
    }

    /// The same, as it is given to another engine.
    pub(crate) fn regions(&self) -> (Vec<Region>, Vec<u64>) {
        let region = |it: &Mapping| Region { role: ROLE, fd: -1, base: it.base.cast(), len: it.len };
        (self.mappings.iter().map(region).collect(), self.mappings.iter().map(|it| it.used as u64).collect())
    }

    /// Appends a record.
    pub(crate) fn push(&mut self, entry: &Entry<'_>) -> Result<Place, Error> {
        let header = RecordHeader {
            key_len: entry.key.len() as u64,
            value_len: entry.value.len() as u64,
            expiry_ms: entry.expiry_ms,
            version: entry.version,
            type_: entry.type_,
            flags: entry.flags,
            live: 1,
        };
        let Some(len) = header.len() else { return Err(Status::TOO_LARGE.into()) };
        if self.mappings.last().is_none_or(|last| last.len - last.used < len) {
            self.mappings.push(Mapping::new(len)?);
        }
        let region = self.mappings.len() - 1;
        let mapping = &mut self.mappings[region];
        let offset = mapping.used;
        // SAFETY: there is room for `len` bytes from `offset` on, and they are 8-aligned as every length is.
        unsafe {
            let at = mapping.base.add(offset);
            at.cast::<RecordHeader>().write(header);
            let key = at.add(size_of::<RecordHeader>());
            ptr::copy_nonoverlapping(entry.key.as_ptr(), key, entry.key.len());
            ptr::copy_nonoverlapping(entry.value.as_ptr(), key.add(entry.key.len()), entry.value.len());
        }
        mapping.used += len;
        self.used += len;
        Ok(Place { region, offset })
    }

    fn header(&self, place: Place) -> *mut RecordHeader {
        // SAFETY: places are those of records.
        unsafe { self.mappings[place.region].base.add(place.offset).cast() }
    }

    /// The entry that a record holds.
    pub(crate) fn entry(&self, place: Place) -> Entry<'_> {
        let header = self.header(place);
        // SAFETY: a record with its key and value lies there, and nobody writes while the log is borrowed.
        unsafe {
            let RecordHeader { key_len, value_len, expiry_ms, version, type_, flags, .. } = *header;
            let key = header.add(1).cast::<u8>();
            Entry {
                key: std::slice::from_raw_parts(key, key_len as usize),
                value: std::slice::from_raw_parts(key.add(key_len as usize), value_len as usize),
                expiry_ms,
                version,
                type_,
                flags,
            }
        }
    }

    /// Notes that a record counts no more.
    pub(crate) fn kill(&mut self, place: Place) {
        let header = self.header(place);
        // SAFETY: as above; the log is borrowed by nobody else.
        unsafe {
            (*header).live = 0;
            self.dead += (*header).len().unwrap_or(0);
        }
    }

    /// Whether most of it counts no more, so that it is worth writing anew.
    pub(crate) fn is_sparse(&self) -> bool {
        self.dead > REGION_LEN && self.dead > self.used / 2
    }

    /// The places of all records that count; checks each.
    pub(crate) fn places(&mut self) -> Result<Vec<Place>, Error> {
        let mut places = Vec::new();
        for (region, mapping) in self.mappings.iter().enumerate() {
            let mut offset = 0;
            while offset < mapping.used {
                let fits = mapping.used - offset >= size_of::<RecordHeader>();
                // SAFETY: in bounds, as was just found, and on a multiple of 8.
                let header = fits.then(|| unsafe { *mapping.base.add(offset).cast::<RecordHeader>() });
                let len = header.and_then(|header| header.len()).filter(|len| *len <= mapping.used - offset);
                let (Some(header), Some(len)) = (header, len) else {
                    return Err(Error::new(Status::CORRUPT, "a record ends behind its region"));
                };
                match header.live {
                    1 => places.push(Place { region, offset }),
                    _ => self.dead += len,
                }
                offset += len;
            }
        }
        Ok(places)
    }
}

impl Mapping {
    fn new(record_len: usize) -> Result<Self, Error> {
        let len = record_len.max(REGION_LEN).next_multiple_of(PAGE);
        let (protection, flags) =
            (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        // SAFETY: a new mapping, wherever there is room.
        let base = unsafe { libc::mmap(ptr::null_mut(), len, protection, flags, -1, 0) };
        if base == libc::MAP_FAILED {
            return Err(Status::FULL.into());
        }
        Ok(Self { base: base.cast(), len, used: 0 })
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        for mapping in self.mappings.iter().filter(|_| self.owned) {
            // SAFETY: mapped by `new` of some build of this file, owned by this log, and nothing of it is lent any more.
            unsafe { libc::munmap(mapping.base.cast(), mapping.len) };
        }
    }
}
