//! An engine whose state is regions of memory that another build can adopt, and which fails on demand at a step of that.
//!
//! `fail=STEP:HOW`: the first `prepare`, `give`, `open` (with a state) or `abort` of an instance ends with an `error`, a `panic`, or does not end
//! (`hang`) while the file `gate` is there; the first `commit`, or `submit` of a batch, that finds it there may only hang.

use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use plugin_abi::Status;
use plugin_abi::raw::*;
use plugin_abi::sdk::{Batch, Cursor, Engine, Entry, Error, Found, Host, Op, OpenArgs, Outcome, Region};

use crate::log::Log;
use crate::store::{Done, Store};

/// All that it can have; a library says which of them it has.
pub(crate) const CAPABILITIES: u64 = KV_CAP_THREAD_SAFE
    | KV_CAP_EXPIRY
    | KV_CAP_VERSIONS
    | KV_CAP_ATOMIC
    | KV_CAP_SCRATCH
    | KV_CAP_TYPES
    | KV_CAP_ADOPT;

pub(crate) struct Adopts {
    host: Host,
    store: Mutex<Store>,
    // What it describes to the taker, between prepare and commit or abort.
    given: Mutex<Option<Box<Given>>>,
    fail: Option<Fail>,
}

/// The regions, and the root: the sequence, and how much of each region is used.
struct Given {
    regions: Vec<Region>,
    root: Vec<u8>,
}

// SAFETY: the regions are only described.
unsafe impl Send for Given {}

/// At which step to fail, and how.
struct Fail {
    step: String,
    how: String,
    gate: PathBuf,
    failed: AtomicBool,
}

impl Fail {
    fn of(args: &OpenArgs<'_>) -> Result<Option<Self>, Error> {
        args.check_options(&["fail", "gate"])?;
        let Some(fail) = args.option::<String>("fail", "a step and how it fails")? else { return Ok(None) };
        let gate = args.option("gate", "a path")?.unwrap_or_default();
        let (step, how) = fail.split_once(':').unwrap_or((&fail, "error"));
        Ok(Some(Self { step: step.to_owned(), how: how.to_owned(), gate, failed: AtomicBool::new(false) }))
    }

    #[allow(clippy::panic, reason = "that is what it is for")]
    fn at(fail: Option<&Self>, step: &str) -> Result<(), Error> {
        let Some(it) = fail.filter(|it| it.step == step && it.how != "hang") else {
            Self::hang_at(fail, step);
            return Ok(());
        };
        if it.failed.swap(true, Ordering::Relaxed) {
            return Ok(());
        }
        match it.how.as_str() {
            "error" => Err(Error::new(Status::UNAVAILABLE, format!("no {step} on a Saturday"))),
            _ => panic!("no {step} on a Sunday"),
        }
    }

    fn hang_at(fail: Option<&Self>, step: &str) {
        let Some(it) = fail.filter(|it| it.step == step && it.how == "hang") else { return };
        if Path::exists(&it.gate) && !it.failed.swap(true, Ordering::Relaxed) {
            while Path::exists(&it.gate) {
                // SAFETY: no preconditions.
                unsafe { libc::usleep(1000) };
            }
        }
    }
}

impl Adopts {
    fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, op: &Op<'_>) -> Result<Done, Error> {
        let (mut store, now_ms) = (self.store(), self.host.now_ms());
        store.expect(op, now_ms)?;
        store.run(op, now_ms)
    }

    fn given(&self) -> MutexGuard<'_, Option<Box<Given>>> {
        self.given.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn only_space_0(space: u32) -> Result<(), Error> {
    if space == 0 { Ok(()) } else { Err(Error::new(Status::UNSUPPORTED, "there is only keyspace 0")) }
}

/// The version that is told: each record has one, also where a library does without.
fn told(version: u64) -> u64 {
    if crate::CAPABILITIES & KV_CAP_VERSIONS == 0 { 0 } else { version }
}

/// The store in a state that another engine gives.
fn adopt(state: &KvState) -> Result<Store, Error> {
    let stride = state.region_stride as usize;
    // SAFETY: an array of this many regions at this stride, lent for the call.
    let region = |index: usize| unsafe { *state.regions.byte_add(index * stride) };
    let regions: Vec<Region> = (0..state.region_count as usize).map(region).collect();
    // SAFETY: lent for the call.
    let root = unsafe { state.root.as_slice() };
    let numbers: Vec<u64> = root.as_chunks::<8>().0.iter().map(|bytes| u64::from_ne_bytes(*bytes)).collect();
    let Some((sequence, used)) = numbers.split_first() else { return Err(Status::CORRUPT.into()) };
    // Each record is checked, suspect or not.
    Store::new(Log::of(&regions, used)?, *sequence)
}

impl Engine for Adopts {
    const NAME: &'static str = "adopts";
    const VERSION: &'static str = "1.0.0";
    const CAPABILITIES: u64 = crate::CAPABILITIES;
    const STATE_FORMAT: &'static str = "adopts-log";
    const STATE_VERSION: u32 = 2;

    fn open(args: OpenArgs<'_>) -> Result<Self, Error> {
        let fail = Fail::of(&args)?;
        let store = match args.state {
            Some(state) => {
                let store = adopt(state)?;
                Fail::at(fail.as_ref(), "open")?;
                store
            }
            None => Store::new(Log::new(), 0)?,
        };
        Ok(Self { host: args.host, store: Mutex::new(store), given: Mutex::default(), fail })
    }

    fn get(&self, op: &Op<'_>, lend: &mut dyn FnMut(&Entry<'_>)) -> Result<Found, Error> {
        let done = self.run(op)?;
        match done.outcome() {
            Outcome::Entry(entry) => {
                lend(&Entry { key: op.key(), version: told(entry.version), ..entry });
                Ok(Found::Yes)
            }
            _ => Ok(Found::No),
        }
    }

    fn set(&self, op: &Op<'_>) -> Result<u64, Error> {
        self.update(op)
    }

    fn delete(&self, op: &Op<'_>) -> Result<Found, Error> {
        match self.run(op)? {
            Done::Deleted => Ok(Found::Yes),
            _ => Ok(Found::No),
        }
    }

    fn update(&self, op: &Op<'_>) -> Result<u64, Error> {
        match self.run(op)? {
            Done::Stored { version, .. } if self.store().has(op.key()) => Ok(told(version)),
            _ => Ok(0),
        }
    }

    fn submit(&self, mut batch: Batch) {
        Fail::hang_at(self.fail.as_ref(), "submit");
        if !batch.atomic() {
            for index in 0..batch.len() {
                match self.run(&batch.op(index)) {
                    Ok(done) => batch.complete(index, done.outcome()),
                    Err(error) => batch.complete(index, Outcome::Failed(&error)),
                }
            }
            return;
        }
        let now_ms = self.host.now_ms();
        let ops: Vec<_> = (0..batch.len()).map(|index| batch.op(index)).collect();
        let done = self.store().run_all(&ops, now_ms);
        drop(ops);
        for index in 0..batch.len() {
            match &done {
                Ok(done) => batch.complete(index, done[index].outcome()),
                Err((failed, error)) if *failed == index => batch.complete(index, Outcome::Failed(error)),
                Err(_) => batch.complete(index, Outcome::Failed(&Status::ABORTED.into())),
            }
        }
    }

    fn scan(
        &self,
        space: u32,
        _no_value: bool,
        count: u32,
        cursor: &mut Cursor<'_>,
        lend: &mut dyn FnMut(&Entry<'_>),
    ) -> Result<(), Error> {
        only_space_0(space)?;
        // A byte and the last key that came: so the empty key has a cursor too.
        let behind = match cursor.get() {
            [] => Bound::Unbounded,
            [b'k', key @ ..] => Bound::Excluded(key.to_vec()),
            _ => return Err(Error::new(Status::INVALID, "a cursor that is none")),
        };
        let mut lend = |entry: &Entry<'_>| lend(&Entry { version: told(entry.version), ..*entry });
        match self.store().scan(behind, count as usize, self.host.now_ms(), &mut lend) {
            Some(last) => cursor.set(&[b"k", last].concat()),
            None => cursor.set(b""),
        }
    }

    fn count(&self, space: u32) -> Result<u64, Error> {
        only_space_0(space)?;
        Ok(self.store().len() as u64)
    }

    fn clear(&self, space: u32) -> Result<(), Error> {
        only_space_0(space)?;
        self.store().clear();
        Ok(())
    }

    fn sequence(&self, last: u64) -> Result<u64, Error> {
        self.store().raise(last)
    }

    fn handoff_prepare(&self, _kind: u32) -> Result<(), Error> {
        Fail::at(self.fail.as_ref(), "prepare")?;
        let store = self.store();
        let (regions, used) = store.log.regions();
        let root = [store.sequence].into_iter().chain(used).flat_map(u64::to_ne_bytes).collect();
        *self.given() = Some(Box::new(Given { regions, root }));
        Ok(())
    }

    fn handoff_give(&self) -> Result<(&[Region], &[u8]), Error> {
        Fail::at(self.fail.as_ref(), "give")?;
        let given: *const Given = &raw const **self.given().as_ref().ok_or(Error::from(Status::INVALID))?;
        // SAFETY: boxed, and dropped with commit or abort, until when it is lent.
        let given = unsafe { &*given };
        Ok((&given.regions, &given.root))
    }

    fn handoff_commit(&self) {
        Fail::hang_at(self.fail.as_ref(), "commit");
        // Who has described its log gives it away; who has not takes it over.
        self.store().log.owned = self.given().take().is_none();
    }

    fn handoff_abort(&self) -> Result<(), Error> {
        *self.given() = None;
        Fail::at(self.fail.as_ref(), "abort")
    }
}
