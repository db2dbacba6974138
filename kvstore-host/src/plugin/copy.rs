//! Copy: all entries of one engine into another, while nobody writes to either.

use std::sync::{Arc, Condvar, Mutex, PoisonError};

use plugin_abi::calls::CallError;
use plugin_abi::raw::*;
use plugin_abi::sdk::Entry;
use plugin_abi::{Identity, Status};

use super::entry::Owned;
use super::flight::{Home, Landed};
use super::live::{Execution, Live};
use super::outcome::Outcomes;
use super::work::{Plan, Storage, Work};

/// Bytes of entries that are on their way at a time.
const CHUNK_LEN_MAX: usize = 1 << 20;
/// Entries that a step of the scan is asked for.
const STEP: u32 = 512;

/// What was copied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Copied {
    /// How many entries.
    pub entries: u64,
    /// Bytes of their keys and values.
    pub bytes: u64,
    /// Whether versions came along.
    pub versions: bool,
}

/// Why entries could not be copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CopyError {
    /// The old engine has no `kv_scan`.
    CannotLeave {
        /// Its name.
        engine: String,
    },
    /// Others can change the entries of the old engine while they are copied.
    OthersWrite {
        /// Its name.
        engine: String,
    },
    /// Reading failed.
    Read(CallError),
    /// Writing failed.
    Write(CallError),
    /// A key or a value is longer than the new engine takes.
    TooLong {
        /// The new engine's name.
        engine: String,
        /// Its longest key in bytes.
        key_len_max: u64,
        /// Its longest value in bytes.
        value_len_max: u64,
    },
    /// Entries that expire cannot go into an engine without expiry.
    Expiry {
        /// How many of them there are.
        entries: u64,
        /// The new engine's name.
        engine: String,
    },
}

impl std::fmt::Display for CopyError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::CannotLeave { engine } => {
                write!(f, "the data cannot leave engine '{engine}': it has no kv_scan")
            }
            Self::OthersWrite { engine } => {
                write!(f, "others than this host can write to engine '{engine}' while its data are copied")
            }
            Self::Read(error) => write!(f, "reading from the old engine failed: {error}"),
            Self::Write(error) => write!(f, "writing to the new engine failed: {error}"),
            Self::TooLong { engine, key_len_max, value_len_max } => write!(
                f,
                "an entry is too long for engine '{engine}', which takes keys of {key_len_max} and values of {value_len_max} bytes"
            ),
            Self::Expiry { entries, engine } => {
                write!(f, "{entries} entries expire, and engine '{engine}' lacks EXPIRY")
            }
        }
    }
}

impl std::error::Error for CopyError {}

/// Waits for flights that land on another thread.
#[derive(Default)]
struct Waiting {
    landed: Mutex<Option<Landed>>,
    arrived: Condvar,
}

impl Home for Waiting {
    fn landed(&self, _ticket: u64, landed: Landed) {
        *self.landed.lock().unwrap_or_else(PoisonError::into_inner) = Some(landed);
        self.arrived.notify_all();
    }
}

impl Waiting {
    fn wait(&self) -> Landed {
        let mut landed = self.landed.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(landed) = landed.take() {
                return landed;
            }
            landed = self.arrived.wait(landed).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Carries work out and waits for it.
pub fn execute_and_wait(live: &Live, work: Work) -> (Work, Outcomes) {
    let waiting = Arc::new(Waiting::default());
    let home = Arc::clone(&waiting) as Arc<dyn Home>;
    let mut execution = live.execute(work, (&home, 0), None);
    loop {
        match execution {
            Execution::Done(work, outcomes) => return (work, outcomes),
            _ => {
                execution = live.resume(waiting.wait(), (&home, 0));
            }
        }
    }
}

/// Copies all. Blocks; `progress` hears of each step.
///
/// # Errors
/// See [`CopyError`]; then the new engine holds a part, and is to be thrown away.
pub fn copy(from: &Live, to: &Live, mut progress: impl FnMut(Copied)) -> Result<Copied, CopyError> {
    use super::Keyspace as _;
    let source = from.instance().ok_or_else(|| CopyError::CannotLeave { engine: "closed".to_owned() })?;
    if !source.has_symbol("kv_scan") {
        return Err(CopyError::CannotLeave { engine: from.identity().name.clone() });
    }
    if from.identity().has(KV_CAP_EXTERNAL_WRITERS) {
        return Err(CopyError::OthersWrite { engine: from.identity().name.clone() });
    }
    let versions = from.keeps_versions() && to.keeps_versions();
    let expires = to.identity().has(KV_CAP_EXPIRY);
    let mut copied = Copied { versions, ..Copied::default() };
    let (mut cursor, mut expiring) = (Vec::new(), 0);
    loop {
        let mut entries = Vec::new();
        source
            .session()
            .scan(0, 0, STEP, &mut cursor, |entry| {
                // SAFETY: the engine lends the entry for this call.
                let lent = unsafe { Entry::from_raw(entry) };
                let (key, version) = (lent.key.to_vec(), lent.version);
                entries.push(Moving { key, version, entry: Owned::from(&lent) });
            })
            .map_err(CopyError::Read)?;
        let (key_len_max, value_len_max) = (to.identity().key_len_max, to.identity().value_len_max);
        let fits = |one: &Moving| {
            one.key.len() as u64 <= key_len_max && one.entry.value.len() as u64 <= value_len_max
        };
        if !entries.iter().all(fits) {
            let engine = to.identity().name.clone();
            return Err(CopyError::TooLong { engine, key_len_max, value_len_max });
        }
        expiring += entries.iter().filter(|one| one.entry.expiry_ms != 0).count() as u64;
        if expires || expiring == 0 {
            for chunk in chunks(&entries, to.identity()) {
                write(to, chunk, versions)?;
            }
        }
        copied.entries += entries.len() as u64;
        copied.bytes += entries.iter().map(|entry| entry.len() as u64).sum::<u64>();
        progress(copied);
        if cursor.is_empty() {
            break;
        }
    }
    if versions {
        // Numbers that the old engine gave to what was deleted since must not come again.
        let last = source.session().sequence(0).map_err(CopyError::Read)?;
        let target = to.instance().ok_or_else(|| CopyError::CannotLeave { engine: "closed".to_owned() })?;
        target.session().sequence(last).map_err(CopyError::Write)?;
    }
    if expiring > 0 && !expires {
        return Err(CopyError::Expiry { entries: expiring, engine: to.identity().name.clone() });
    }
    Ok(copied)
}

/// An entry on its way.
struct Moving {
    key: Vec<u8>,
    version: u64,
    entry: Owned,
}

impl Moving {
    fn len(&self) -> usize {
        self.key.len() + self.entry.value.len()
    }
}

/// Cuts entries into runs of a bounded size, which the target takes as one batch.
fn chunks<'a>(entries: &'a [Moving], target: &Identity) -> impl Iterator<Item = &'a [Moving]> {
    let mut rest = entries;
    let batch_len_max = target.batch_len_max;
    std::iter::from_fn(move || {
        let (mut bytes, mut count) = (0, 0);
        let fits = |entry: &&Moving| {
            let fits = bytes < CHUNK_LEN_MAX && count < batch_len_max;
            bytes += entry.len();
            count += 1;
            fits
        };
        let (chunk, more) = rest.split_at(rest.iter().take_while(fits).count());
        rest = more;
        (!chunk.is_empty()).then_some(chunk)
    })
}

fn write(to: &Live, entries: &[Moving], versions: bool) -> Result<(), CopyError> {
    let mut storage = Storage::default();
    for entry in entries {
        storage.requests.push([entry.key.as_slice(), entry.entry.value.as_slice()]);
    }
    let (work, ()) = Work::plan(storage, |plan: &mut Plan<'_>, storage| {
        for (request, Moving { version, entry, .. }) in storage.requests.iter(&storage.buffer).zip(entries) {
            let (key, value) = (request.get(0).unwrap_or_default(), request.get(1).unwrap_or_default());
            let version = versions.then_some(*version);
            plan.import(key, value, entry.expiry_ms, (entry.type_, entry.flags), version);
        }
    });
    let (_, outcomes) = execute_and_wait(to, work);
    match outcomes.all().iter().find(|outcome| outcome.status != Status::OK) {
        None => Ok(()),
        Some(failed) => {
            Err(CopyError::Write(CallError { status: failed.status, text: failed.message.clone() }))
        }
    }
}
