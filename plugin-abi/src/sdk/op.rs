//! Op: one operation, an entry and a decision with Rust's types.

use core::ptr;

use super::Error;
use crate::Status;
use crate::raw::*;

/// An entry, lent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Entry<'a> {
    /// The key; may be empty in the answer to a get.
    pub key: &'a [u8],
    /// The value.
    pub value: &'a [u8],
    /// When it expires, in milliseconds since 1970 UTC; 0 is never.
    pub expiry_ms: i64,
    /// Its version; 0 where the engine keeps none.
    pub version: u64,
    /// Its type; 0 is a string.
    pub type_: u32,
    /// The host's flags.
    pub flags: u32,
}

impl Entry<'_> {
    /// Whether it is gone at this time.
    pub fn expired(&self, now_ms: i64) -> bool {
        self.expiry_ms != 0 && self.expiry_ms <= now_ms
    }

    /// The same for C, valid as long as what it borrows.
    pub fn to_raw(&self) -> KvEntry {
        KvEntry {
            key: KvBytes::new(self.key),
            value: KvBytes::new(self.value),
            expiry_ms: self.expiry_ms,
            version: self.version,
            type_: self.type_,
            flags: self.flags,
        }
    }

    /// The same for Rust.
    ///
    /// # Safety
    /// Key and value of `raw` are valid and unchanged during `'a`.
    pub unsafe fn from_raw<'a>(raw: &KvEntry) -> Entry<'a> {
        // SAFETY: the caller's promise.
        let (key, value) = unsafe { (raw.key.as_slice(), raw.value.as_slice()) };
        let (expiry_ms, version) = (raw.expiry_ms, raw.version);
        Entry { key, value, expiry_ms, version, type_: raw.type_, flags: raw.flags }
    }
}

/// What is to become of the entry that an update was shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision<'a> {
    /// Nothing.
    Keep,
    /// This entry takes its place (key and version are not looked at).
    Replace(Entry<'a>),
    /// It is removed.
    Remove,
    /// It expires at this time; 0 is never.
    SetExpiry(i64),
    /// The value becomes `new_len` bytes long, then `bytes` are written at `offset`.
    Patch {
        /// Where to write.
        offset: usize,
        /// What to write.
        bytes: &'a [u8],
        /// Length of the value afterwards; at least `offset + bytes.len()`.
        new_len: usize,
        /// The type of an entry that was absent.
        type_: u32,
        /// The flags of an entry that was absent.
        flags: u32,
    },
}

/// Versions are below this.
pub const VERSION_END: u64 = 1 << 56;

/// One operation, lent.
#[derive(Clone, Copy, Debug)]
pub struct Op<'a>(&'a KvOp);

impl<'a> Op<'a> {
    /// Wraps an operation.
    ///
    /// # Safety
    /// Key and value are valid and unchanged during `'a`, and an update's function and context fit together.
    #[inline]
    pub unsafe fn new(raw: &'a KvOp) -> Self {
        Self(raw)
    }

    /// Refuses what an engine with these capabilities (`KV_CAP_*`) and one keyspace cannot carry out. To be asked before anything
    /// else; a length limit and the lack of `kv_update` are for the engine to check.
    ///
    /// # Errors
    /// INVALID: an unknown kind or flag, a flag that does not go with the kind, an update without its function, version 0 to
    /// import. UNSUPPORTED: a keyspace other than 0; versions, an expiry, a type or flags where the engine stores none.
    #[inline]
    pub fn check(&self, capabilities: u64) -> Result<(), Error> {
        let refuse = |status, text: &'static str| Err(Error::new(status, text));
        let KvOp { kind, flags, space, expiry_ms, .. } = *self.0;
        // Nothing of what most operations are has to be looked at.
        if flags | space == 0
            && (kind == KV_OP_GET
                || kind == KV_OP_SET && expiry_ms == 0 && self.0.type_ | self.0.entry_flags == 0)
        {
            return Ok(());
        }
        if !(KV_OP_GET..=KV_OP_UPDATE).contains(&kind) {
            return refuse(Status::INVALID, "unknown kind of operation");
        }
        let known = match kind {
            KV_OP_GET => KV_OP_NO_VALUE | KV_OP_EXPECT,
            KV_OP_SET => KV_OP_EXPECT | KV_OP_IMPORT,
            _ => KV_OP_EXPECT,
        };
        if flags & !(known | KV_OP_HINTS) != 0 {
            return refuse(
                Status::INVALID,
                "a flag that is unknown, or does not go with this kind of operation",
            );
        }
        if flags & KV_OP_IMPORT != 0 && !(1..VERSION_END).contains(&self.0.version) {
            return refuse(Status::INVALID, "the version to import is 0, or not below 2^56");
        }
        if kind == KV_OP_SET && self.0.expiry_ms < 0 {
            return refuse(Status::INVALID, "the expiry is below 0");
        }
        if kind == KV_OP_UPDATE && self.0.update.is_none() {
            return refuse(Status::INVALID, "an update without its function");
        }
        if space != 0 {
            return refuse(Status::UNSUPPORTED, "there is only keyspace 0");
        }
        if flags & (KV_OP_EXPECT | KV_OP_IMPORT) != 0 && capabilities & KV_CAP_VERSIONS == 0 {
            return refuse(Status::UNSUPPORTED, "the engine keeps no versions");
        }
        if kind == KV_OP_SET && self.0.expiry_ms != 0 && capabilities & KV_CAP_EXPIRY == 0 {
            return refuse(Status::UNSUPPORTED, "entries of the engine do not expire");
        }
        let typed = kind == KV_OP_SET && (self.0.type_ != 0 || self.0.entry_flags != 0);
        if typed && capabilities & KV_CAP_TYPES == 0 {
            return refuse(Status::UNSUPPORTED, "the engine stores no type and flags");
        }
        Ok(())
    }

    /// One of `KV_OP_*`.
    #[inline]
    pub fn kind(&self) -> u32 {
        self.0.kind
    }

    /// Which keyspace.
    pub fn space(&self) -> u32 {
        self.0.space
    }

    /// The key.
    #[inline]
    pub fn key(&self) -> &'a [u8] {
        // SAFETY: the promise of `new`.
        unsafe { self.0.key.as_slice() }
    }

    /// SET: the entry to store. Its version is the one to import, or 0. Of any other kind of operation: the key alone, because
    /// the rest is not set.
    #[inline]
    pub fn entry(&self) -> Entry<'a> {
        if self.0.kind != KV_OP_SET {
            return Entry { key: self.key(), ..Entry::default() };
        }
        // SAFETY: the promise of `new`.
        let value = unsafe { self.0.value.as_slice() };
        Entry {
            key: self.key(),
            value,
            expiry_ms: self.0.expiry_ms,
            version: self.import_version().unwrap_or(0),
            type_: self.0.type_,
            flags: self.0.entry_flags,
        }
    }

    /// The version that the entry must have (0: no entry), if one is expected.
    #[inline]
    pub fn expected_version(&self) -> Option<u64> {
        (self.0.flags & KV_OP_EXPECT != 0).then_some(self.0.expected_version)
    }

    /// SET: the version to store, if it is given.
    #[inline]
    pub fn import_version(&self) -> Option<u64> {
        (self.0.flags & KV_OP_IMPORT != 0).then_some(self.0.version)
    }

    /// GET: only the value's length is wanted.
    pub fn no_value(&self) -> bool {
        self.0.flags & KV_OP_NO_VALUE != 0
    }

    /// Whether it is a client's wish for the entry, and no mere look from outside.
    #[inline]
    pub fn is_use(&self) -> bool {
        self.0.flags & KV_OP_NO_TOUCH == 0
    }

    /// UPDATE: what is to become of the entry. Can be asked again; only the last answer counts.
    ///
    /// # Errors
    /// INVALID for a decision that breaks its rules: a patch beyond `new_len`, an expiry for no entry or below 0, an action that is
    /// unknown. Nothing is to be changed then.
    pub fn decide(&self, current: Option<&Entry<'_>>) -> Result<Decision<'a>, Error> {
        let invalid = |text: &'static str| Err(Error::new(Status::INVALID, text));
        let Some(update) = self.0.update.filter(|_| self.0.kind == KV_OP_UPDATE) else {
            return invalid("an update without its function");
        };
        let raw = current.map(Entry::to_raw);
        let mut decision = KvDecision {
            struct_size: size_of::<KvDecision>() as u32,
            action: KV_DECISION_KEEP,
            type_: 0,
            flags: 0,
            expiry_ms: 0,
            value: KvBytes::EMPTY,
            offset: 0,
            new_len: 0,
        };
        let shown = raw.as_ref().map_or(ptr::null(), ptr::from_ref);
        // SAFETY: function and context fit together, says `new`; entry and decision live through the call.
        unsafe { update(self.0.update_ctx, shown, &raw mut decision) };
        // Of other actions the bytes are not looked at.
        let bytes = if matches!(decision.action, KV_DECISION_REPLACE | KV_DECISION_PATCH) {
            // SAFETY: the decision's bytes stay valid until the operation is completed or decided again.
            unsafe { decision.value.as_slice() }
        } else {
            &[]
        };
        let KvDecision { expiry_ms, type_, flags, .. } = decision;
        let expires = matches!(decision.action, KV_DECISION_REPLACE | KV_DECISION_SET_EXPIRY);
        if expires && expiry_ms < 0 {
            return invalid("the expiry that was decided is below 0");
        }
        Ok(match decision.action {
            KV_DECISION_KEEP => Decision::Keep,
            KV_DECISION_REPLACE => Decision::Replace(Entry {
                key: self.key(),
                value: bytes,
                expiry_ms,
                version: 0,
                type_,
                flags,
            }),
            KV_DECISION_REMOVE => Decision::Remove,
            KV_DECISION_SET_EXPIRY if current.is_some() => Decision::SetExpiry(expiry_ms),
            KV_DECISION_SET_EXPIRY => return invalid("an expiry was decided for no entry"),
            KV_DECISION_PATCH => {
                let end = decision.offset.checked_add(bytes.len() as u64);
                if end.is_none_or(|end| end > decision.new_len) {
                    return invalid("the patch that was decided ends behind the value");
                }
                let (offset, new_len) = (decision.offset as usize, decision.new_len as usize);
                Decision::Patch { offset, bytes, new_len, type_, flags }
            }
            _ => return invalid("an unknown action was decided"),
        })
    }
}
