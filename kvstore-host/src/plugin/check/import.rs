//! Import: the child's trial with a sample of the live data: it is stored in a scratch instance, read back, and compared.
//!
//! What is wrong is told by an entry's number and lengths, never by what stands in it: the words go to the log and to whoever asked.

use std::collections::BTreeMap;

use plugin_abi::calls::{CallError, Calls, Instance, Session};
use plugin_abi::raw::*;
use plugin_abi::sdk::Entry;
use plugin_abi::{Identity, Status};

use super::child::{Scratch, TrialServices};
use super::sample::{Sample, Sampled};

/// How often a passing collision is tried again.
const RETRIES_MAX: u32 = 1_000;
/// Entries that a step of the scan is asked for.
const STEP: u32 = 256;

/// Imports a sample into an instance of its own, and answers how many entries there was room for.
///
/// # Errors
/// What did not come out as it went in, or does not fit.
pub(super) fn run(
    calls: Calls,
    identity: &Identity,
    scratch: &Scratch,
    sample: &Sample,
) -> Result<usize, String> {
    fits(identity, sample)?;
    let services = Box::new(TrialServices::at(sample.taken_ms));
    let opened = Instance::open(calls, identity.clone(), services, &scratch.options(), None);
    let instance = opened.map_err(|error| format!("kv_open failed: {error}"))?;
    let tried = Import { identity, entries: &sample.entries }.run(&instance);
    let closed = instance.close().map_err(|error| format!("kv_close failed: {error}"));
    tried.and_then(|imported| closed.map(|()| imported))
}

/// Compares the entries with what the engine says that it takes.
fn fits(identity: &Identity, sample: &Sample) -> Result<(), String> {
    let Identity { key_len_max, value_len_max, .. } = *identity;
    let describe =
        |index: usize, entry: &Sampled| Place { index, count: sample.entries.len(), entry }.to_string();
    for (index, entry) in sample.entries.iter().enumerate() {
        if entry.key.len() as u64 > key_len_max || entry.value.len() as u64 > value_len_max {
            return Err(format!(
                "{} does not fit: the engine takes keys of {key_len_max} and values of {value_len_max} bytes",
                describe(index, entry)
            ));
        }
        if (entry.type_ != 0 || entry.flags != 0) && !identity.has(KV_CAP_TYPES) {
            return Err(format!(
                "{} has a type or flags, and the engine lacks TYPES",
                describe(index, entry)
            ));
        }
    }
    Ok(())
}

/// An entry, as it is told of.
struct Place<'a> {
    index: usize,
    count: usize,
    entry: &'a Sampled,
}

impl std::fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Sampled { key, value, .. } = self.entry;
        let (number, count) = (self.index + 1, self.count);
        write!(f, "entry {number} of {count} (key of {} bytes, value of {})", key.len(), value.len())
    }
}

struct Import<'a> {
    identity: &'a Identity,
    entries: &'a [Sampled],
}

impl<'a> Import<'a> {
    fn run(&self, instance: &Instance) -> Result<usize, String> {
        let session = instance.session();
        let imported = self.store(&session)?;
        self.read_back(&session, imported)?;
        if instance.has_symbol("kv_count") {
            let count = session.count(0).map_err(|error| format!("kv_count failed: {error}"))?;
            if count != imported as u64 {
                return Err(format!("kv_count counts {count} of {imported} entries"));
            }
        }
        if instance.has_symbol("kv_scan") {
            self.scan(&session, imported)?;
        }
        Ok(imported)
    }

    fn place(&self, index: usize, entry: &'a Sampled) -> Place<'a> {
        Place { index, count: self.entries.len(), entry }
    }

    /// The entry as this engine can keep it: without an expiry where entries do not expire, which the handoff tells with a count.
    fn expected(&self, entry: &Sampled) -> Sampled {
        let expiry_ms = if self.identity.has(KV_CAP_EXPIRY) { entry.expiry_ms } else { 0 };
        let version = if self.identity.has(KV_CAP_VERSIONS) { entry.version } else { 0 };
        Sampled { expiry_ms, version, ..entry.clone() }
    }

    /// Stores the entries, and answers of how many there was room for.
    fn store(&self, session: &Session<'_>) -> Result<usize, String> {
        for (index, entry) in self.entries.iter().enumerate() {
            let Sampled { key, value, expiry_ms, version, type_, flags } = &self.expected(entry);
            let op = KvOp {
                flags: if *version == 0 { 0 } else { KV_OP_IMPORT },
                value: KvBytes::new(value),
                expiry_ms: *expiry_ms,
                version: *version,
                type_: *type_,
                entry_flags: *flags,
                ..KvOp::new(KV_OP_SET, key)
            };
            match patiently(|| session.set(&op)) {
                Ok((Status::OK, _)) => {}
                // A trial has none of the options that may say how much room there is.
                Err(error) if error.status == Status::FULL => return Ok(index),
                Ok((status, _)) => {
                    return Err(format!("{} is answered with {status}", self.place(index, entry)));
                }
                Err(error) => return Err(format!("{} is refused: {error}", self.place(index, entry))),
            }
        }
        Ok(self.entries.len())
    }

    fn read_back(&self, session: &Session<'_>, imported: usize) -> Result<(), String> {
        for (index, entry) in self.entries.iter().enumerate().take(imported) {
            let mut found = Vec::new();
            let op = KvOp::new(KV_OP_GET, &entry.key);
            let looked = patiently(|| {
                found.clear();
                session.get(&op, |lent| {
                    // SAFETY: the engine lends the entry for this call.
                    found.push(Sampled::from(&unsafe { Entry::from_raw(lent) }));
                })
            });
            let place = self.place(index, entry);
            match looked {
                Ok(Status::OK) => {}
                Ok(Status::NOT_FOUND) => return Err(format!("{place} is lost")),
                Ok(status) => return Err(format!("{place}: kv_get answers {status}")),
                Err(error) => return Err(format!("{place}: kv_get failed: {error}")),
            }
            let [found] = found.as_slice() else {
                return Err(format!("{place}: kv_get lent {} entries", found.len()));
            };
            if let Some(what) = difference(found, &self.expected(entry)) {
                return Err(format!("{place} is not read back as it was stored: {what}"));
            }
        }
        Ok(())
    }

    /// All that was stored comes in a scan, and nothing else.
    fn scan(&self, session: &Session<'_>, imported: usize) -> Result<(), String> {
        let mut wanted: BTreeMap<&[u8], usize> = BTreeMap::new();
        wanted.extend(
            self.entries.iter().take(imported).enumerate().map(|(index, entry)| (&*entry.key, index)),
        );
        let (mut cursor, mut wrong, mut came) = (Vec::new(), None, vec![false; imported]);
        // A step may bring nothing; the step of the check ends a scan that brings nothing for ever.
        loop {
            let step = session.scan(0, 0, STEP, &mut cursor, |lent| {
                // SAFETY: the engine lends the entry for this call.
                let found = Sampled::from(&unsafe { Entry::from_raw(lent) });
                let Some(index) = wanted.get(found.key.as_slice()).copied() else {
                    wrong = Some("kv_scan brings a key that was never stored".to_owned());
                    return;
                };
                if let (Some(entry), Some(came)) = (self.entries.get(index), came.get_mut(index)) {
                    *came = true;
                    if let Some(what) = difference(&found, &self.expected(entry)) {
                        wrong =
                            Some(format!("kv_scan brings {} otherwise: {what}", self.place(index, entry)));
                    }
                }
            });
            step.map_err(|error| format!("kv_scan failed: {error}"))?;
            if let Some(wrong) = wrong {
                return Err(wrong);
            }
            if cursor.is_empty() {
                break;
            }
        }
        let missing = came.iter().position(|came| !came);
        match missing.and_then(|index| Some(self.place(index, self.entries.get(index)?))) {
            Some(place) => Err(format!("{place} does not come in a scan")),
            None => Ok(()),
        }
    }
}

/// Makes a call again that meets a passing collision.
fn patiently<T>(mut call: impl FnMut() -> Result<T, CallError>) -> Result<T, CallError> {
    for _ in 0..RETRIES_MAX {
        match call() {
            Err(error) if error.status == Status::RETRY => {}
            other => return other,
        }
    }
    call()
}

/// What differs between an entry that was found and the one that was stored.
fn difference(found: &Sampled, stored: &Sampled) -> Option<String> {
    let numbers = |what: &str, found: u64, stored: u64| {
        (found != stored).then(|| format!("its {what} is {found}, and was {stored}"))
    };
    let at = found.value.iter().zip(&stored.value).position(|(found, stored)| found != stored);
    let bytes = at.map(|at| format!("its value differs from byte {at} on"));
    numbers("value's length", found.value.len() as u64, stored.value.len() as u64)
        .or(bytes)
        .or(numbers("expiry", found.expiry_ms.cast_unsigned(), stored.expiry_ms.cast_unsigned()))
        .or(numbers("type", found.type_.into(), stored.type_.into()))
        .or(numbers("flags", found.flags.into(), stored.flags.into()))
        .or((stored.version != 0).then(|| numbers("version", found.version, stored.version)).flatten())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> Sampled {
        let (key, value) = (b"key".to_vec(), b"value".to_vec());
        Sampled { key, value, expiry_ms: 1, version: 2, type_: 3, flags: 4 }
    }

    #[test]
    fn a_difference_is_told_without_what_stands_there() {
        assert_eq!(difference(&entry(), &entry()), None);
        let unlike = |change: fn(&mut Sampled)| {
            let mut found = entry();
            change(&mut found);
            difference(&found, &entry()).unwrap()
        };
        assert_eq!(unlike(|it| it.value.truncate(4)), "its value's length is 4, and was 5");
        assert_eq!(unlike(|it| it.value[2] = b'X'), "its value differs from byte 2 on");
        assert_eq!(unlike(|it| it.expiry_ms = 0), "its expiry is 0, and was 1");
        assert_eq!(unlike(|it| it.type_ = 0), "its type is 0, and was 3");
        assert_eq!(unlike(|it| it.flags = 0), "its flags is 0, and was 4");
        assert_eq!(unlike(|it| it.version = 9), "its version is 9, and was 2");
        let unversioned = Sampled { version: 0, ..entry() };
        assert_eq!(difference(&entry(), &unversioned), None, "numbers of its own");
        // In the answer to a get the key may be left empty.
        assert_eq!(difference(&Sampled { key: Vec::new(), ..entry() }, &entry()), None);
    }

    #[test]
    fn what_does_not_fit_is_told_by_its_lengths() {
        let identity = |capabilities, key_len_max, value_len_max| Identity {
            name: "engine".to_owned(),
            version: "1.0.0".to_owned(),
            capabilities,
            key_len_max,
            value_len_max,
            batch_len_max: u64::MAX,
            state_format: String::new(),
            state_version: 0,
            state_version_min: 0,
        };
        let sample = Sample { taken_ms: 0, entries: vec![entry()] };
        assert_eq!(fits(&identity(KV_CAP_TYPES, 3, 5), &sample), Ok(()));
        for (key, value) in [(2, 5), (3, 4)] {
            let text = fits(&identity(KV_CAP_TYPES, key, value), &sample).unwrap_err();
            let wanted = format!(
                "entry 1 of 1 (key of 3 bytes, value of 5) does not fit: the engine takes keys of {key} and values of {value} bytes"
            );
            assert_eq!(text, wanted);
        }
        assert!(fits(&identity(0, 3, 5), &sample).unwrap_err().ends_with("the engine lacks TYPES"));
    }
}
