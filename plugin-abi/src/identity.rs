//! Identity: reads a library's `kv_abi` constant from its bytes and says which field does not fit.

use core::fmt;

use crate::raw::*;

/// What a library says it is, checked against this version of the ABI.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// What the engine is called.
    pub name: String,
    /// Version of the engine.
    pub version: String,
    /// `KV_CAP_*` together.
    pub capabilities: u64,
    /// Longest key in bytes; `u64::MAX` where the engine sets no limit.
    pub key_len_max: u64,
    /// Longest value in bytes; `u64::MAX` where the engine sets no limit.
    pub value_len_max: u64,
    /// Most operations in a batch; `u64::MAX` where the engine sets no limit.
    pub batch_len_max: u64,
    /// What the layout of the state is called; empty where nobody else can take it over.
    pub state_format: String,
    /// Version of that layout that the engine writes.
    pub state_version: u32,
    /// Oldest version of that layout that the engine takes.
    pub state_version_min: u32,
}

/// Why a library is not taken: the field that differs, what was found and what is accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The field's name in `kv_identity`.
    pub field: &'static str,
    /// What the library has.
    pub found: String,
    /// What this host takes.
    pub accepted: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "kv_abi.{}: found {}, accepted is {}", self.field, self.found, self.accepted)
    }
}

impl std::error::Error for Refusal {}

/// Names of the capability bits, in their order, as people read them.
pub const CAPABILITY_NAMES: [(u64, &str); 13] = [
    (KV_CAP_THREAD_SAFE, "THREAD_SAFE"),
    (KV_CAP_BLOCKING, "BLOCKING"),
    (KV_CAP_EXPIRY, "EXPIRY"),
    (KV_CAP_VERSIONS, "VERSIONS"),
    (KV_CAP_EXTERNAL_WRITERS, "EXTERNAL_WRITERS"),
    (KV_CAP_DURABLE, "DURABLE"),
    (KV_CAP_ATOMIC, "ATOMIC"),
    (KV_CAP_SCRATCH, "SCRATCH"),
    (KV_CAP_TYPES, "TYPES"),
    (KV_CAP_ADOPT, "ADOPT"),
    (KV_CAP_REOPEN, "REOPEN"),
    (KV_CAP_FREEZE, "FREEZE"),
    (KV_CAP_EVENTS, "EVENTS"),
];

impl Identity {
    /// Reads and checks the bytes of the symbol `kv_abi`, as they stand in the library's file.
    ///
    /// # Errors
    /// The first field that does not fit. Bits of `capabilities` that this version does not know are refused too: an engine must
    /// not rely on what its host does not understand.
    pub fn parse(bytes: &[u8]) -> Result<Self, Refusal> {
        let mut at = Fields { bytes, next: 0 };
        let magic = at.take::<8>("magic")?;
        if magic != KV_ABI_MAGIC {
            return refuse("magic", format!("{:?}", text(&magic)), "\"KVSTORE\"");
        }
        let major = u32::from_ne_bytes(at.take("abi_major")?);
        if major != KV_ABI_MAJOR {
            return refuse("abi_major", major, KV_ABI_MAJOR);
        }
        let minor = u32::from_ne_bytes(at.take("abi_minor")?);
        if KV_ABI_MAJOR == 0 && minor != KV_ABI_MINOR {
            return refuse(
                "abi_minor",
                minor,
                format!("{KV_ABI_MINOR} (ABI major 0 may change with every minor)"),
            );
        }
        let size = u32::from_ne_bytes(at.take("struct_size")?);
        if size < KV_IDENTITY_SIZE_MIN || size as usize > bytes.len() {
            let accepted = format!("{KV_IDENTITY_SIZE_MIN} to {} (the size of the symbol)", bytes.len());
            return refuse("struct_size", size, accepted);
        }
        let state_version = u32::from_ne_bytes(at.take("state_version")?);
        let capabilities = u64::from_ne_bytes(at.take("capabilities")?);
        let known = CAPABILITY_NAMES.iter().fold(0, |all, (bit, _)| all | bit);
        if capabilities & !known != 0 {
            return refuse("capabilities", format!("{capabilities:#x}"), format!("bits of {known:#x}"));
        }
        let limit = |n: [u8; 8]| Some(u64::from_ne_bytes(n)).filter(|&n| n != 0).unwrap_or(u64::MAX);
        let key_len_max = limit(at.take("key_len_max")?);
        let value_len_max = limit(at.take("value_len_max")?);
        let batch_len_max = limit(at.take("batch_len_max")?);
        let name = string("name", &at.take::<32>("name")?)?;
        if name.is_empty() {
            return refuse("name", "an empty text", "1 to 31 bytes of text");
        }
        let version = string("version", &at.take::<32>("version")?)?;
        let state_format = string("state_format", &at.take::<32>("state_format")?)?;
        let state_version_min = u32::from_ne_bytes(at.take("state_version_min")?);
        if state_version_min > state_version {
            return refuse(
                "state_version_min",
                state_version_min,
                format!("0 to {state_version} (state_version)"),
            );
        }
        Ok(Self {
            name,
            version,
            capabilities,
            key_len_max,
            value_len_max,
            batch_len_max,
            state_format,
            state_version,
            state_version_min,
        })
    }

    /// Whether the engine has all the capability bits of `bits`.
    pub fn has(&self, bits: u64) -> bool {
        self.capabilities & bits == bits
    }

    /// The names of the capabilities, in the order of their bits.
    pub fn capability_names(&self) -> Vec<&'static str> {
        CAPABILITY_NAMES.iter().filter(|(bit, _)| self.has(*bit)).map(|(_, name)| *name).collect()
    }
}

struct Fields<'a> {
    bytes: &'a [u8],
    next: usize,
}

impl Fields<'_> {
    fn take<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], Refusal> {
        let found = self.bytes.get(self.next..).and_then(|rest| rest.first_chunk::<N>());
        self.next += N;
        found.copied().ok_or_else(|| Refusal {
            field,
            found: format!("a symbol of {} bytes, which ends before it", self.bytes.len()),
            accepted: format!("at least {} bytes", size_of::<KvIdentity>()),
        })
    }
}

fn refuse<T>(field: &'static str, found: impl ToString, accepted: impl ToString) -> Result<T, Refusal> {
    Err(Refusal { field, found: found.to_string(), accepted: accepted.to_string() })
}

fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|&b| b == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

fn string(field: &'static str, bytes: &[u8; 32]) -> Result<String, Refusal> {
    let found = text(bytes);
    let clean = bytes.contains(&0) && found.bytes().all(|b| b.is_ascii_graphic());
    if clean {
        Ok(found)
    } else {
        refuse(field, format!("{found:?}"), "up to 31 printable ASCII characters and a NUL")
    }
}

/// A text of an identity, for constants: NUL-terminated and filled up.
///
/// # Panics
/// At compile time, if the text is longer than 31 bytes.
pub const fn identity_text(text: &str) -> [u8; 32] {
    let bytes = text.as_bytes();
    assert!(bytes.len() < 32, "a text of an identity has at most 31 bytes");
    let mut filled = [0; 32];
    let mut i = 0;
    while i < bytes.len() {
        filled[i] = bytes[i];
        i += 1;
    }
    filled
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(change: impl FnOnce(&mut KvIdentity)) -> Vec<u8> {
        let mut identity = KvIdentity {
            magic: KV_ABI_MAGIC,
            abi_major: KV_ABI_MAJOR,
            abi_minor: KV_ABI_MINOR,
            struct_size: size_of::<KvIdentity>() as u32,
            state_version: 7,
            capabilities: KV_CAP_EXPIRY | KV_CAP_SCRATCH,
            key_len_max: 0,
            value_len_max: 99,
            batch_len_max: 0,
            name: identity_text("sample"),
            version: identity_text("1.2.3"),
            state_format: identity_text(""),
            state_version_min: 7,
            reserved: 0,
        };
        change(&mut identity);
        // SAFETY: a repr(C) struct without padding (asserted by its size), read as bytes.
        unsafe { core::slice::from_raw_parts((&raw const identity).cast::<u8>(), size_of::<KvIdentity>()) }
            .to_vec()
    }

    #[test]
    fn reads_what_was_written() {
        let identity = Identity::parse(&bytes(|_| ())).unwrap();
        assert_eq!((identity.name.as_str(), identity.version.as_str()), ("sample", "1.2.3"));
        assert_eq!((identity.key_len_max, identity.value_len_max, identity.state_version), (u64::MAX, 99, 7));
        assert_eq!(identity.capability_names(), ["EXPIRY", "SCRATCH"]);
    }

    #[test]
    fn names_the_field_that_differs() {
        let field = |bytes: Vec<u8>| Identity::parse(&bytes).unwrap_err().field;
        assert_eq!(field(bytes(|i| i.magic[0] = b'X')), "magic");
        assert_eq!(field(bytes(|i| i.abi_major += 1)), "abi_major");
        assert_eq!(field(bytes(|i| i.abi_minor += 1)), "abi_minor");
        assert_eq!(field(bytes(|i| i.struct_size = 159)), "struct_size");
        assert_eq!(field(bytes(|i| i.state_version_min = 8)), "state_version_min");
        assert_eq!(field(bytes(|i| i.struct_size = 4000)), "struct_size");
        assert_eq!(field(bytes(|i| i.capabilities |= 1 << 60)), "capabilities");
        assert_eq!(field(bytes(|i| i.name = [0; 32])), "name");
        assert_eq!(field(bytes(|i| i.version = [b'x'; 32])), "version");
        assert_eq!(field(bytes(|_| ())[..10].to_vec()), "abi_major");
        let text = Identity::parse(&bytes(|i| i.abi_major = 9)).unwrap_err().to_string();
        assert_eq!(text, "kv_abi.abi_major: found 9, accepted is 0");
    }
}
