//! Values: constants and conversions of the contract's types for Rust. Not part of the header.

use super::{KV_STATUS_OK, KV_STATUS_UNKNOWN, KvBytes, KvEntry, KvOp, KvResult};

impl KvBytes {
    /// No bytes.
    pub const EMPTY: Self = Self { data: core::ptr::null(), len: 0 };

    /// These bytes, for as long as they live; keeping that promise is the caller's part.
    pub const fn new(bytes: &[u8]) -> Self {
        Self { data: bytes.as_ptr(), len: bytes.len() }
    }

    /// The bytes.
    ///
    /// # Safety
    /// `data` points to `len` initialized bytes that neither change nor go away during `'a`, or is NULL.
    pub const unsafe fn as_slice<'a>(self) -> &'a [u8] {
        if self.data.is_null() {
            return &[];
        }
        // SAFETY: the caller's promise, and not NULL.
        unsafe { core::slice::from_raw_parts(self.data, self.len) }
    }
}

impl KvOp {
    /// An operation of this kind on a key, without flags, value, expiry, version or update; valid as long as the key's bytes.
    pub const fn new(kind: u32, key: &[u8]) -> Self {
        Self {
            kind,
            flags: 0,
            space: 0,
            type_: 0,
            entry_flags: 0,
            reserved: 0,
            key: KvBytes::new(key),
            value: KvBytes::EMPTY,
            expiry_ms: 0,
            expected_version: 0,
            version: 0,
            update: None,
            update_ctx: core::ptr::null_mut(),
        }
    }
}

impl KvResult {
    /// Nothing.
    pub const EMPTY: Self = Self {
        status: KV_STATUS_UNKNOWN,
        flags: 0,
        value: KvBytes::EMPTY,
        expiry_ms: 0,
        version: 0,
        type_: 0,
        entry_flags: 0,
        message: KvBytes::EMPTY,
    };

    /// The answer to a GET that found this entry; valid as long as the entry's bytes.
    pub const fn found(entry: &KvEntry) -> Self {
        let KvEntry { value, expiry_ms, version, type_, flags, .. } = *entry;
        Self { status: KV_STATUS_OK, value, expiry_ms, version, type_, entry_flags: flags, ..Self::EMPTY }
    }
}
