//! Sample: some of the live data on their way into a check's child, which imports them into the candidate. They go through a memory file without a
//! name: nothing of them comes near a disk, and nobody else can open it.
//!
//! ```text
//! taken at (8 bytes) | count (4) | entry | entry | …
//! entry = key length (4) | value length (4) | expiry (8) | version (8) | type (4) | flags (4) | key | value
//! ```

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::process::Stdio;

use plugin_abi::sdk::Entry;
use rustix::fs::MemfdFlags;

/// Some entries of the live engine, as they were at one time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// The time of the live engine, in milliseconds since 1970 UTC: it stands still in the trial, so that nothing expires there.
    pub taken_ms: i64,
    /// The entries, no key twice.
    pub entries: Vec<Sampled>,
}

/// One entry of a sample.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sampled {
    /// Its key.
    pub key: Vec<u8>,
    /// Its value.
    pub value: Vec<u8>,
    /// When it expires, in milliseconds since 1970 UTC; 0 is never.
    pub expiry_ms: i64,
    /// Its version; 0 where the live engine keeps none.
    pub version: u64,
    /// Its type.
    pub type_: u32,
    /// The host's flags.
    pub flags: u32,
}

impl From<&Entry<'_>> for Sampled {
    fn from(entry: &Entry<'_>) -> Self {
        let Entry { key, value, expiry_ms, version, type_, flags } = *entry;
        Self { key: key.to_vec(), value: value.to_vec(), expiry_ms, version, type_, flags }
    }
}

impl Sample {
    /// A standard input for the child, from which it reads this.
    ///
    /// # Errors
    /// The system has no memory file for it.
    pub(super) fn to_stdin(&self) -> io::Result<Stdio> {
        let mut file = File::from(rustix::fs::memfd_create("kvstore-sample", MemfdFlags::CLOEXEC)?);
        file.write_all(&self.encode())?;
        file.rewind()?;
        Ok(Stdio::from(file))
    }

    /// Reads what [`Sample::to_stdin`] has made, to its end; without entries where there is nothing to read.
    ///
    /// # Errors
    /// It cannot be read, or is not whole.
    pub(super) fn read(from: &mut impl Read) -> io::Result<Self> {
        let mut bytes = Vec::new();
        from.read_to_end(&mut bytes)?;
        if bytes.is_empty() {
            return Ok(Self::default());
        }
        Self::decode(&bytes).ok_or_else(|| io::Error::other("the sample of the live data is not whole"))
    }

    fn encode(&self) -> Vec<u8> {
        // There are never so many or such long ones: their sum is bounded.
        let len = |len: usize| u32::try_from(len).unwrap_or(u32::MAX).to_le_bytes();
        let mut bytes = [&self.taken_ms.to_le_bytes()[..], &len(self.entries.len())].concat();
        for Sampled { key, value, expiry_ms, version, type_, flags } in &self.entries {
            let (expiry_ms, version) = (expiry_ms.to_le_bytes(), version.to_le_bytes());
            let (type_, flags) = (type_.to_le_bytes(), flags.to_le_bytes());
            bytes.extend_from_slice(&[len(key.len()), len(value.len())].concat());
            for part in [&expiry_ms[..], &version, &type_, &flags, key, value] {
                bytes.extend_from_slice(part);
            }
        }
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut rest = Bytes(bytes);
        let taken_ms = i64::from_le_bytes(rest.array()?);
        let count = u32::from_le_bytes(rest.array()?);
        let mut entries = Vec::new();
        for _ in 0..count {
            let (key_len, value_len) = (rest.len()?, rest.len()?);
            let (expiry_ms, version) = (i64::from_le_bytes(rest.array()?), u64::from_le_bytes(rest.array()?));
            let (type_, flags) = (u32::from_le_bytes(rest.array()?), u32::from_le_bytes(rest.array()?));
            let (key, value) = (rest.bytes(key_len)?.to_vec(), rest.bytes(value_len)?.to_vec());
            entries.push(Sampled { key, value, expiry_ms, version, type_, flags });
        }
        rest.0.is_empty().then_some(Self { taken_ms, entries })
    }
}

/// Bytes that are read from their front.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn bytes(&mut self, len: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(bytes)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.bytes(N)?.try_into().ok()
    }

    fn len(&mut self) -> Option<usize> {
        Some(u32::from_le_bytes(self.array()?) as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Sample {
        let entry = |key: &[u8], value: &[u8], version| Sampled {
            key: key.to_vec(),
            value: value.to_vec(),
            expiry_ms: 7,
            version,
            type_: 3,
            flags: 4,
        };
        let entries = vec![entry(b"", b"", 0), entry(b"key\0\n", &[0xff; 70_000], u64::MAX)];
        Sample { taken_ms: -1, entries }
    }

    #[test]
    fn a_sample_comes_out_as_it_went_in() {
        for sample in [sample(), Sample::default(), Sample { taken_ms: 5, entries: Vec::new() }] {
            let bytes = sample.encode();
            assert_eq!(bytes.len(), 12 + sample.entries.iter().map(len).sum::<usize>());
            assert_eq!(Sample::read(&mut bytes.as_slice()).unwrap(), sample);
        }
        assert_eq!(Sample::read(&mut [].as_slice()).unwrap(), Sample::default());
    }

    fn len(entry: &Sampled) -> usize {
        32 + entry.key.len() + entry.value.len()
    }

    #[test]
    fn one_that_is_not_whole_is_none() {
        let bytes = sample().encode();
        for len in (1..200).chain([bytes.len() - 1]) {
            assert!(Sample::read(&mut &bytes[..len]).is_err(), "{len} bytes");
        }
        assert!(Sample::read(&mut [&bytes[..], b"x"].concat().as_slice()).is_err());
    }
}
