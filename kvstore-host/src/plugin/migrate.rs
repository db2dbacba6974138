//! Migrate: all entries of one engine into another, while clients go on with the first.
//!
//! ```text
//! changes are followed -> scan, and after each step what has changed meanwhile -> caught up -> writes are held back -> the last changes
//! ```
//!
//! One thread reads from the one engine and writes to the other, so of each key what was read last is written last. What the scan has read may be old by
//! the time it is written; then the key has changed since, and is read again. So nothing of a write is kept but its key, clients wait for nothing, and an
//! engine may write, remove, expire or move entries in the middle of it as it likes.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, RecvTimeoutError, TryRecvError};
use plugin_abi::Status;
use plugin_abi::calls::{CallError, Session};
use plugin_abi::raw::*;

use super::Keyspace as _;
use super::live::Live;
use super::outcome::panicked;
use super::run_queue::RunQueue;
use super::shadow::{Comparison, Suspects};
use super::wait::execute_and_wait;
use super::work::{Plan, Storage, Work};

/// Bytes of entries that are on their way at a time, unless one alone has more. An engine ends a step of its scan there of itself.
const CHUNK_LEN_MAX: usize = 1 << 20;
/// Entries that a step of the scan is asked for at most.
const STEP_MAX: usize = 512;
/// Changes that can be copied in so short a time are not worth waiting for.
const SHORT: Duration = Duration::from_micros(500);
/// Nor are writes held back where the last changes may take longer than this. If they still do after so many rounds, clients write too fast.
const LONG: Duration = Duration::from_millis(250);
const ROUNDS_MAX: u32 = 100;
/// How long it leaves the engines to clients at a time.
const COURTESY_MAX: Duration = Duration::from_millis(50);
/// How often it is looked for changes while the writes that are under way end.
const LOOK_INTERVAL: Duration = Duration::from_millis(1);
/// When an engine on probation is asked again that has failed to read; and how often while everybody waits.
const RETRY_INTERVAL: Duration = Duration::from_millis(20);
const RETRIES_MAX: u32 = 5;

/// What was copied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Migrated {
    /// Entries that the scan brought.
    pub entries: u64,
    /// Bytes of their keys and values.
    pub bytes: u64,
    /// Keys that were read again, because they had changed.
    pub changes: u64,
    /// Whether versions came along.
    pub versions: bool,
}

/// How far it is, for whoever asks meanwhile.
#[derive(Debug, Default)]
pub struct Progress {
    /// How many entries there were when it began.
    pub total: AtomicU64,
    /// See [`Migrated`].
    pub entries: AtomicU64,
    /// See [`Migrated`].
    pub changes: AtomicU64,
    /// Keys that have changed and are not copied yet, of those that it has begun to copy; one more while all are copied anew.
    pub left: AtomicU64,
    /// Grows as long as it gets on.
    pub steps: AtomicU64,
    /// What is left takes a moment only: of an engine that is kept equal.
    pub near: AtomicBool,
}

/// Why entries could not be copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MigrateError {
    /// It was called off.
    Cancelled,
    /// An engine is closed, or does not return from a handoff.
    Closed,
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
    /// The new engine has entries already: what outlived an earlier one, or was left by a copy that was interrupted.
    NotEmpty {
        /// Its name.
        engine: String,
    },
    /// What clients change takes longer to copy than they take to change it.
    TooFast,
    /// It is not known any more what has changed: too much, or an engine has failed to remove all.
    Lost,
    /// Reading failed.
    Read(CallError),
    /// Writing failed.
    Write(CallError),
    /// The new engine failed to read.
    Shadow(CallError),
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

impl fmt::Display for MigrateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cancelled => write!(f, "it was cancelled"),
            Self::Closed => write!(f, "an engine cannot be called"),
            Self::CannotLeave { engine } => {
                write!(f, "the data cannot leave engine '{engine}': it has no kv_scan")
            }
            Self::OthersWrite { engine } => {
                write!(f, "others than this host can write to engine '{engine}' while its data are copied")
            }
            Self::NotEmpty { engine } => write!(
                f,
                "engine '{engine}' is not empty where it was opened, and what it has would mix with the data; empty it, or open it elsewhere"
            ),
            Self::TooFast => write!(
                f,
                "clients write faster than the new engine takes it; with less load it could catch up"
            ),
            Self::Lost => write!(f, "it is not known any more what has changed"),
            Self::Read(error) => write!(f, "reading from the old engine failed: {error}"),
            Self::Write(error) => write!(f, "writing to the new engine failed: {error}"),
            Self::Shadow(error) => write!(f, "reading from the new engine failed: {error}"),
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

impl std::error::Error for MigrateError {}

/// Whether the data of an engine can be copied, by what it says it is.
///
/// # Errors
/// It has no `kv_scan`, or others write to it.
pub fn can_leave(from: &Live) -> Result<(), MigrateError> {
    let engine = || from.identity().name.clone();
    if !from.symbols().contains(&"kv_scan") {
        return Err(MigrateError::CannotLeave { engine: engine() });
    }
    if from.identity().has(KV_CAP_EXTERNAL_WRITERS) {
        return Err(MigrateError::OthersWrite { engine: engine() });
    }
    Ok(())
}

/// Copies all, while the changes of `from` are followed and others write to it. Tells when it has caught up, and goes on with what changes until it gets the
/// word: then nobody writes any more, and it comes to its end. With a `comparison`, it repeats reads of clients on both engines meanwhile. Blocks. When the other end of `word` is gone it is called off.
///
/// # Errors
/// See [`MigrateError`]; then the new engine may hold a part, unless that would outlive it, and is to be thrown away.
pub fn migrate(
    from: &Live,
    to: &Live,
    progress: &Progress,
    word: &Receiver<()>,
    comparison: Option<&Comparison>,
    caught_up: impl FnOnce(),
) -> Result<Migrated, MigrateError> {
    is_empty(to)?;
    let migration = Migration::new(from, to, progress, word);
    let migrated = migration.and_then(|migration| migration.run(comparison, caught_up));
    // What it keeps would be there the next time.
    if migrated.is_err()
        && to.identity().has(KV_CAP_DURABLE)
        && let Err(error) = to.clear()
    {
        log::error!("{to:?} keeps a part of the data: {error}");
    }
    migrated
}

/// Sees that an engine has no entries, as far as it can tell.
///
/// # Errors
/// It has some, or cannot be asked.
fn is_empty(to: &Live) -> Result<(), MigrateError> {
    let mut entries = 0;
    if to.symbols().contains(&"kv_count") {
        entries = to.count().map_err(MigrateError::Shadow)?;
    } else if to.symbols().contains(&"kv_scan") {
        to.scan(&mut Vec::new(), 1, &mut |_| entries += 1).map_err(MigrateError::Shadow)?;
    }
    match entries {
        0 => Ok(()),
        _ => Err(MigrateError::NotEmpty { engine: to.identity().name.clone() }),
    }
}

/// Keeps `to` equal to `from`, whose entries it has, while the changes of `from` are followed, until it gets the word: then nobody writes any more, and
/// it comes to its end. Blocks. When the other end of `word` is gone it is called off.
///
/// # Errors
/// See [`MigrateError`]; then `to` lacks something: what cannot be read is asked for again, until `from` has panicked or everybody waits.
pub fn feed(
    from: &Live,
    to: &Live,
    progress: &Progress,
    word: &Receiver<()>,
) -> Result<Migrated, MigrateError> {
    let mut migration = Migration::new(from, to, progress, word)?;
    (migration.feeds, migration.scanned) = (true, true);
    while !migration.may_finish {
        can_be_written(to)?;
        let caught_up = migration.catch_up().and_then(|()| can_be_read(from));
        progress.near.store(caught_up.is_ok(), Ordering::Relaxed);
        migration.wait(if caught_up.is_ok() { LOOK_INTERVAL } else { RETRY_INTERVAL })?;
        caught_up.or_else(is_passing)?;
    }
    let mut tries = 0;
    while let Err(error) = migration.copy_rest() {
        tries += 1;
        if tries > RETRIES_MAX {
            return Err(error);
        }
        is_passing(error)?;
        migration.wait(RETRY_INTERVAL)?;
    }
    can_be_written(to)?;
    migration.finish()
}

/// Sees that an engine has not panicked, even where nothing is to be read of it.
fn can_be_read(from: &Live) -> Result<(), MigrateError> {
    if from.has_panicked() { Err(MigrateError::Read(poisoned())) } else { Ok(()) }
}

/// The same of the engine before, in the last that clients asked it for.
fn can_be_written(to: &Live) -> Result<(), MigrateError> {
    if to.has_panicked() { Err(MigrateError::Write(poisoned())) } else { Ok(()) }
}

fn poisoned() -> CallError {
    CallError { status: Status::POISONED, text: String::new() }
}

/// Whether the next try may succeed: an engine has failed to read, and has not panicked.
fn is_passing(error: MigrateError) -> Result<(), MigrateError> {
    match error {
        MigrateError::Read(failed) if !panicked(failed.status) => Ok(()),
        error => Err(error),
    }
}

/// What is known of an entry that is on its way, beside its key and value. `None`: there is none.
type Facts = Option<(Option<u64>, i64, (u32, u32))>;

/// One under way.
struct Migration<'a> {
    from: &'a Live,
    to: &'a Live,
    progress: &'a Progress,
    word: &'a Receiver<()>,
    /// For how long the thread that copies has waited for a processor.
    run_queue: RunQueue,
    /// The target has had all entries already.
    feeds: bool,
    /// The word has come.
    may_finish: bool,
    migrated: Migrated,
    /// Where the scan is.
    cursor: Vec<u8>,
    scanned: bool,
    /// How many entries the next step is asked for.
    step: usize,
    /// Entries that expire, where they cannot go along.
    expiring: u64,
    /// The chunk that is on its way: keys and values, and what else is known of them.
    storage: Storage,
    facts: Vec<Facts>,
    chunk_len: usize,
    too_long: bool,
    suspects: Suspects,
}

impl<'a> Migration<'a> {
    fn new(
        from: &'a Live,
        to: &'a Live,
        progress: &'a Progress,
        word: &'a Receiver<()>,
    ) -> Result<Self, MigrateError> {
        can_leave(from)?;
        let versions = from.keeps_versions() && to.keeps_versions();
        Ok(Self {
            from,
            to,
            progress,
            word,
            run_queue: RunQueue::of_this_thread(),
            feeds: false,
            may_finish: false,
            migrated: Migrated { versions, ..Migrated::default() },
            cursor: Vec::new(),
            scanned: false,
            step: STEP_MAX / 8,
            expiring: 0,
            storage: Storage::default(),
            facts: Vec::new(),
            chunk_len: 0,
            too_long: false,
            suspects: Suspects::default(),
        })
    }

    /// Copies all, from the first entry to the word.
    fn run(
        mut self,
        comparison: Option<&Comparison>,
        caught_up: impl FnOnce(),
    ) -> Result<Migrated, MigrateError> {
        let (from, to) = (self.from, self.to);
        if from.symbols().contains(&"kv_count") {
            self.progress.total.store(from.count().map_err(MigrateError::Read)?, Ordering::Relaxed);
        }
        self.catch_up()?;
        if let Some(comparison) = comparison {
            from.changes().sample(comparison.share());
        }
        caught_up();
        while !self.may_finish {
            self.wait(LOOK_INTERVAL)?;
            self.catch_up()?;
            if let Some(comparison) = comparison.filter(|_| !self.may_finish) {
                let suspects = std::mem::take(&mut self.suspects);
                let word = self.word;
                self.suspects = suspects.compare((from, to), comparison, &|| !word.is_empty())?;
            }
        }
        self.finish()
    }

    /// Scans what is left to scan, and copies what has changed until that is little, or no less than the time before and not much: clients write as fast as
    /// it is copied. Leaves time to clients.
    fn catch_up(&mut self) -> Result<(), MigrateError> {
        let (mut before, mut rounds) = (usize::MAX, 0);
        while !self.may_finish {
            self.look()?;
            if self.scanned {
                let began = Instant::now();
                let changes = self.copy_changes()?;
                let took = began.elapsed();
                if self.scanned && (took < SHORT || changes >= before && took < LONG) {
                    break;
                }
                (before, rounds) = (changes, rounds + 1);
                if rounds > ROUNDS_MAX {
                    return Err(MigrateError::TooFast);
                }
            } else {
                let (began, waited) = (Instant::now(), self.run_queue.waited());
                let operations = self.from.operations();
                self.scan()?;
                self.copy_changes()?;
                // As long as clients have the engine, half of the time is theirs. While it waited for a processor, they had that already.
                if self.from.operations() != operations {
                    let waited = self.run_queue.waited().saturating_sub(waited);
                    self.wait(began.elapsed().saturating_sub(waited).min(COURTESY_MAX))?;
                }
            }
        }
        Ok(())
    }

    /// Looks whether the word has come, or it was called off.
    fn look(&mut self) -> Result<(), MigrateError> {
        match self.word.try_recv() {
            Ok(()) => self.may_finish = true,
            Err(TryRecvError::Empty) => {}
            Err(TryRecvError::Disconnected) => return Err(MigrateError::Cancelled),
        }
        Ok(())
    }

    /// Waits for the word, so long at most.
    fn wait(&mut self, at_most: Duration) -> Result<(), MigrateError> {
        match self.word.recv_timeout(at_most) {
            Ok(()) => self.may_finish = true,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Err(MigrateError::Cancelled),
        }
        Ok(())
    }

    /// Copies what is left, while nobody writes.
    fn copy_rest(&mut self) -> Result<(), MigrateError> {
        while self.copy_changes()? > 0 || !self.scanned {
            if !self.scanned {
                self.scan()?;
            }
        }
        Ok(())
    }

    /// The same, and all that belongs to the end.
    fn finish(mut self) -> Result<Migrated, MigrateError> {
        self.copy_rest()?;
        if self.migrated.versions {
            // Numbers that the old engine gave to what was deleted since must not come again.
            let (source, target) = (self.from.instance(), self.to.instance());
            let (source, target) = (source.ok_or(MigrateError::Closed)?, target.ok_or(MigrateError::Closed)?);
            let last = source.session().sequence(0).map_err(MigrateError::Read)?;
            target.session().sequence(last).map_err(MigrateError::Write)?;
        }
        Ok(self.migrated)
    }

    /// A step of the scan.
    fn scan(&mut self) -> Result<(), MigrateError> {
        let source = self.from.instance().ok_or(MigrateError::Closed)?;
        let mut cursor = std::mem::take(&mut self.cursor);
        let step = u32::try_from(self.step).unwrap_or(u32::MAX);
        let scanned = source.session().scan(0, 0, step, &mut cursor, |entry| {
            self.expiring += u64::from(self.cannot_expire(entry));
            self.take(entry);
        });
        if let Err(error) = scanned {
            // It begins anew, if it goes on at all.
            self.forget_chunk();
            return Err(MigrateError::Read(error));
        }
        let (count, bytes) = (self.facts.len(), self.chunk_len);
        self.write()?;
        self.cursor = cursor;
        self.scanned = self.cursor.is_empty();
        self.migrated.entries += count as u64;
        self.migrated.bytes += bytes as u64;
        if let Some(len) = bytes.checked_div(count) {
            self.step = (CHUNK_LEN_MAX / len.max(1)).clamp(1, STEP_MAX);
        }
        self.progress.entries.store(self.migrated.entries, Ordering::Relaxed);
        self.note_step();
        if self.scanned && self.expiring > 0 {
            return self.expire();
        }
        Ok(())
    }

    /// Reads again what has changed, and copies it. Answers how many keys that were.
    fn copy_changes(&mut self) -> Result<usize, MigrateError> {
        let noted = self.from.changes().take();
        if noted.unknown && self.feeds {
            // Nobody else may have what the target has, so it is not removed.
            return Err(MigrateError::Lost);
        }
        if noted.cleared || noted.unknown {
            self.progress.near.store(false, Ordering::Relaxed);
            // What was written afterwards may have been copied already, so all that there is now is scanned once more.
            self.to.clear().map_err(MigrateError::Write)?;
            self.cursor.clear();
            (self.scanned, self.expiring) = (false, 0);
            (self.migrated.entries, self.migrated.bytes) = (0, 0);
            self.progress.entries.store(0, Ordering::Relaxed);
        }
        let source = self.from.instance().ok_or(MigrateError::Closed)?;
        let keys = noted.keys();
        self.progress.left.store(keys.len() as u64 + u64::from(!self.scanned), Ordering::Relaxed);
        self.suspects.acquit(|key| !self.scanned || keys.contains(key));
        let copied = keys.iter().try_for_each(|key| {
            self.read(&source.session(), key)?;
            let full = self.chunk_len >= CHUNK_LEN_MAX || self.facts.len() >= STEP_MAX;
            if full { self.write() } else { Ok(()) }
        });
        if let Err(error) = copied.and_then(|()| self.write()) {
            self.forget_chunk();
            keys.iter().for_each(|key| self.from.changes().note_key(key));
            self.progress.left.store(u64::from(!self.scanned), Ordering::Relaxed);
            return Err(error);
        }
        self.progress.left.store(u64::from(!self.scanned), Ordering::Relaxed);
        self.migrated.changes += keys.len() as u64;
        self.progress.changes.store(self.migrated.changes, Ordering::Relaxed);
        self.note_step();
        if self.scanned && self.expiring > 0 {
            return self.expire();
        }
        Ok(keys.len())
    }

    /// There are entries that expire, and they cannot go along: known before anybody has to stop for it.
    fn expire<T>(&self) -> Result<T, MigrateError> {
        let engine = self.to.identity().name.clone();
        Err(MigrateError::Expiry { entries: self.expiring, engine })
    }

    fn note_step(&self) {
        self.progress.steps.fetch_add(1, Ordering::Relaxed);
    }

    fn read(&mut self, session: &Session<'_>, key: &[u8]) -> Result<(), MigrateError> {
        let op = KvOp { flags: KV_OP_NO_TOUCH, ..KvOp::new(KV_OP_GET, key) };
        let status = session.get(&op, |entry| {
            // Of a key that is written often it is known only that there is one.
            self.expiring = self.expiring.max(u64::from(self.cannot_expire(entry)));
            self.take(&KvEntry { key: KvBytes::new(key), ..*entry });
        });
        if status.map_err(MigrateError::Read)? == Status::NOT_FOUND {
            self.storage.requests.push([key]);
            self.facts.push(None);
        }
        Ok(())
    }

    /// Whether it would have to stay where it is because it expires.
    fn cannot_expire(&self, entry: &KvEntry) -> bool {
        entry.expiry_ms != 0 && !self.to.identity().has(KV_CAP_EXPIRY)
    }

    /// Takes an entry that the old engine lends.
    fn take(&mut self, entry: &KvEntry) {
        // SAFETY: lent for this call.
        let (key, value) = unsafe { (entry.key.as_slice(), entry.value.as_slice()) };
        let target = self.to.identity();
        self.too_long |= key.len() as u64 > target.key_len_max || value.len() as u64 > target.value_len_max;
        self.storage.requests.push([key, value]);
        let version = self.migrated.versions.then_some(entry.version);
        self.facts.push(Some((version, entry.expiry_ms, (entry.type_, entry.flags))));
        self.chunk_len += key.len() + value.len();
    }

    /// Writes the chunk. Where entries are there that cannot go along, the rest is only counted.
    fn write(&mut self) -> Result<(), MigrateError> {
        let target = self.to.identity();
        if self.too_long {
            return Err(MigrateError::TooLong {
                engine: target.name.clone(),
                key_len_max: target.key_len_max,
                value_len_max: target.value_len_max,
            });
        }
        let batch_len_max = usize::try_from(target.batch_len_max).unwrap_or(usize::MAX).max(1);
        let (mut first, mut all) = (0, std::mem::take(&mut self.facts));
        for facts in all.chunks(batch_len_max) {
            if self.expiring > 0 {
                break;
            }
            let (work, ()) = Work::plan(std::mem::take(&mut self.storage), |plan: &mut Plan<'_>, storage| {
                for (request, facts) in storage.requests.iter_from(first, &storage.buffer).zip(facts) {
                    let (key, value) = (request.name(), request.get(1).unwrap_or_default());
                    match *facts {
                        Some((version, expiry_ms, kind)) => plan.import(key, value, expiry_ms, kind, version),
                        None => plan.delete(key),
                    }
                }
            });
            let (work, outcomes) = execute_and_wait(self.to, work);
            if let Some(failed) = outcomes.all().iter().find(|outcome| outcome.has_failed()) {
                let (status, text) = (failed.status, failed.message.clone());
                return Err(MigrateError::Write(CallError { status, text }));
            }
            self.storage = work.into_storage();
            self.note_step();
            self.look()?;
            first += facts.len();
        }
        all.clear();
        self.facts = all;
        self.forget_chunk();
        Ok(())
    }

    /// Forgets the chunk that is on its way.
    fn forget_chunk(&mut self) {
        self.storage.requests.clear();
        self.facts.clear();
        self.chunk_len = 0;
    }
}
