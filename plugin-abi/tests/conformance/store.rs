//! Store: the reference engine's entries, in a map under one lock; each planted fault is one line in here.

use std::collections::BTreeMap;

use plugin_abi::Status;
use plugin_abi::raw::*;
use plugin_abi::sdk::{Decision, Entry, Error, Op, VERSION_END};

pub(crate) const KEY_LEN_MAX: u64 = 64 << 10;
pub(crate) const VALUE_LEN_MAX: u64 = 2 << 20;

/// Entries, and the sequence of their versions.
#[derive(Clone, Debug, Default)]
pub(crate) struct Store {
    pub(crate) entries: BTreeMap<Vec<u8>, Stored>,
    pub(crate) sequence: u64,
    pub(crate) capabilities: u64,
    pub(crate) entries_max: usize,
    pub(crate) fault: String,
    pub(crate) writes: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) value: Vec<u8>,
    pub(crate) expiry_ms: i64,
    pub(crate) version: u64,
    pub(crate) type_: u32,
    pub(crate) flags: u32,
}

/// What came of an operation.
#[derive(Debug)]
pub(crate) enum Done {
    Entry(Stored),
    Stored { version: u64, expiry_ms: i64 },
    Deleted,
    NotFound,
}

impl Stored {
    pub(crate) fn entry<'a>(&'a self, key: &'a [u8]) -> Entry<'a> {
        let Self { value, expiry_ms, version, type_, flags } = self;
        Entry { key, value, expiry_ms: *expiry_ms, version: *version, type_: *type_, flags: *flags }
    }

    fn of(entry: &Entry<'_>) -> Self {
        let Entry { value, expiry_ms, version, type_, flags, .. } = *entry;
        Self { value: value.to_vec(), expiry_ms, version, type_, flags }
    }
}

impl Store {
    pub(crate) fn has_fault(&self, fault: &str) -> bool {
        self.fault == fault
    }

    /// Removes what has expired: nothing in here sees it.
    pub(crate) fn expire(&mut self, now_ms: i64) {
        if !self.has_fault("ignored_expiry") {
            self.entries.retain(|_, stored| stored.expiry_ms == 0 || stored.expiry_ms > now_ms);
        }
    }

    fn next_version(&mut self) -> u64 {
        self.sequence += 1;
        self.sequence
    }

    /// Raises the sequence to this number, and answers the highest one.
    pub(crate) fn raise(&mut self, last: u64) -> Result<u64, Error> {
        if last >= VERSION_END && !self.has_fault("endless_sequence") {
            return Err(Error::new(Status::INVALID, "the version is not below 2^56"));
        }
        self.sequence = if self.has_fault("lowered_sequence") { last } else { self.sequence.max(last) };
        Ok(self.sequence)
    }

    pub(crate) fn check(&self, op: &Op<'_>) -> Result<(), Error> {
        // Each of these takes something that the SDK's check refuses.
        if !["ignored_flags", "any_import", "negative_expiry"].contains(&self.fault.as_str()) {
            let mute = self.has_fault("mute");
            op.check(self.capabilities).map_err(|error| if mute { error.status.into() } else { error })?;
        }
        if op.key().len() as u64 > KEY_LEN_MAX || op.entry().value.len() as u64 > VALUE_LEN_MAX {
            return Err(Status::TOO_LARGE.into());
        }
        let version = self.entries.get(op.key()).map_or(0, |stored| stored.version);
        match op.expected_version() {
            Some(expected) if expected != version && !self.has_fault("ignored_expectation") => {
                Err(Status::CONFLICT.into())
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn carry_out(&mut self, op: &Op<'_>) -> Result<Done, Error> {
        self.check(op)?;
        self.carry_out_unchecked(op)
    }

    pub(crate) fn carry_out_unchecked(&mut self, op: &Op<'_>) -> Result<Done, Error> {
        match op.kind() {
            KV_OP_GET => Ok(self.entries.get(op.key()).cloned().map_or(Done::NotFound, Done::Entry)),
            KV_OP_SET => self.room_for(op.key()).map(|()| self.set(op)),
            KV_OP_DELETE => Ok(self.delete(op.key())),
            _ => self.update(op),
        }
    }

    fn room_for(&self, key: &[u8]) -> Result<(), Error> {
        let full = self.entries.len() >= self.entries_max && !self.entries.contains_key(key);
        if full { Err(Status::FULL.into()) } else { Ok(()) }
    }

    fn set(&mut self, op: &Op<'_>) -> Done {
        let mut stored = Stored::of(&op.entry());
        stored.version = match op.import_version() {
            Some(version) if !self.has_fault("ignored_import") => {
                self.sequence = self.sequence.max(version);
                version
            }
            _ => self.next_version(),
        };
        self.store(op.key(), stored)
    }

    fn store(&mut self, key: &[u8], mut stored: Stored) -> Done {
        if self.capabilities & KV_CAP_VERSIONS == 0 {
            stored.version = 0;
        }
        self.writes += 1;
        if self.has_fault("dropped_type") {
            (stored.type_, stored.flags) = (0, 0);
        }
        let (version, expiry_ms) = (stored.version, stored.expiry_ms);
        if !(self.has_fault("lost_write") && self.writes.is_multiple_of(300)) {
            self.entries.insert(key.to_vec(), stored);
        }
        Done::Stored { version, expiry_ms }
    }

    fn delete(&mut self, key: &[u8]) -> Done {
        if self.has_fault("lost_delete") && self.entries.contains_key(key) {
            return Done::Deleted;
        }
        let removed = self.entries.remove(key);
        if self.has_fault("reused_version") && self.entries.is_empty() {
            self.sequence = 0;
        }
        removed.map_or(Done::NotFound, |_| Done::Deleted)
    }

    fn update(&mut self, op: &Op<'_>) -> Result<Done, Error> {
        let current = self.entries.get(op.key()).cloned();
        let entry = current.as_ref().map(|stored| stored.entry(op.key()));
        let keeps_expiry = !self.has_fault("patch_drops_expiry");
        let decision = match op.decide(entry.as_ref()) {
            Err(_) if self.has_fault("lenient_decision") => Decision::Keep,
            decision => decision?,
        };
        let mut new = match decision {
            Decision::Keep => {
                let (version, expiry_ms) = current.map_or((0, 0), |it| (it.version, it.expiry_ms));
                return Ok(Done::Stored { version, expiry_ms });
            }
            Decision::Remove => {
                self.delete(op.key());
                return Ok(Done::Stored { version: 0, expiry_ms: 0 });
            }
            Decision::Replace(entry) => Stored::of(&entry),
            Decision::SetExpiry(expiry_ms) => match current {
                Some(stored) => Stored { expiry_ms, ..stored },
                None => return Ok(Done::Stored { version: 0, expiry_ms: 0 }),
            },
            Decision::Patch { offset, bytes, new_len, type_, flags } => {
                if new_len as u64 > VALUE_LEN_MAX {
                    return Err(Status::TOO_LARGE.into());
                }
                let absent = Stored { value: Vec::new(), expiry_ms: 0, version: 0, type_, flags };
                let mut stored = current.unwrap_or(absent);
                if !(self.has_fault("patch_never_cuts") && new_len < stored.value.len()) {
                    stored.value.resize(new_len, 0);
                }
                stored.value[offset..offset + bytes.len()].copy_from_slice(bytes);
                Stored { expiry_ms: if keeps_expiry { stored.expiry_ms } else { 0 }, ..stored }
            }
        };
        if new.value.len() as u64 > VALUE_LEN_MAX {
            return Err(Status::TOO_LARGE.into());
        }
        if new.expiry_ms != 0 && self.capabilities & KV_CAP_EXPIRY == 0 {
            return Err(Error::new(Status::UNSUPPORTED, "entries of the engine do not expire"));
        }
        if (new.type_, new.flags) != (0, 0) && self.capabilities & KV_CAP_TYPES == 0 {
            return Err(Error::new(Status::UNSUPPORTED, "the engine stores no type and flags"));
        }
        self.room_for(op.key())?;
        let before = self.entries.get(op.key());
        let same = before.is_some_and(|before| before.value == new.value && before.version != 0);
        new.version = match before {
            Some(before) if same && self.has_fault("equal_keeps_version") => before.version,
            _ => self.next_version(),
        };
        Ok(self.store(op.key(), new))
    }

    pub(crate) fn clear(&mut self) {
        if self.has_fault("reused_version") {
            self.sequence = 0;
        }
        let first = self.entries.pop_first();
        self.entries.clear();
        if self.has_fault("half_clear") {
            self.entries.extend(first);
        }
    }

    /// All in bytes, as it is given to another instance.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = self.sequence.to_ne_bytes().to_vec();
        for (key, stored) in &self.entries {
            for number in [
                key.len() as u64,
                stored.value.len() as u64,
                stored.expiry_ms as u64,
                stored.version,
                stored.type_.into(),
                stored.flags.into(),
            ] {
                out.extend_from_slice(&number.to_ne_bytes());
            }
            out.extend_from_slice(key);
            out.extend_from_slice(&stored.value);
        }
        out
    }

    /// Takes over what another instance gave.
    pub(crate) fn decode(&mut self, mut bytes: &[u8]) {
        let number = |bytes: &mut &[u8]| {
            let (now, rest) = bytes.split_first_chunk::<8>().unwrap();
            *bytes = rest;
            u64::from_ne_bytes(*now)
        };
        self.sequence = number(&mut bytes);
        while !bytes.is_empty() {
            let [key_len, value_len, expiry_ms, version, type_, flags] =
                std::array::from_fn(|_| number(&mut bytes));
            let (key, rest) = bytes.split_at(key_len as usize);
            let (value, rest) = rest.split_at(value_len as usize);
            bytes = rest;
            let (type_, flags) = (type_ as u32, flags as u32);
            let stored = Stored { value: value.to_vec(), expiry_ms: expiry_ms as i64, version, type_, flags };
            self.entries.insert(key.to_vec(), stored);
        }
    }
}
