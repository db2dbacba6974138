//! Engine: the entries of the file in memory, and the file behind them. Each write is in the file before it is answered.
//!
//! `path=FILE` says which file; with SCRATCH it is one in the scratch directory. `fail=prepare` and `fail=abort` fail the first such step of a
//! handoff of the instance; `fail=give-up` each abort as long as there is a file `FILE.away`.

use std::ops::Bound;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use plugin_abi::Status;
use plugin_abi::raw::*;
use plugin_abi::sdk::{Cursor, Engine, Entry, Error, Found, Op, OpenArgs, Region};

use crate::file::{Create, Entries, Locked, path_of};

pub(crate) struct OneFile {
    path: PathBuf,
    fail: String,
    failed: AtomicBool,
    store: Mutex<Store>,
}

struct Store {
    entries: Entries,
    // Let go of between prepare and abort, and after a commit of the giver.
    file: Option<Locked>,
}

impl Store {
    fn file(&mut self) -> Result<&mut Locked, Error> {
        self.file.as_mut().ok_or_else(|| Error::new(Status::INVALID, "the file was handed over"))
    }
}

impl OneFile {
    fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fail_once(&self, step: &str) -> Result<(), Error> {
        if self.fail == step && !self.failed.swap(true, Ordering::Relaxed) {
            return Err(Error::new(Status::UNAVAILABLE, format!("no {step} on a Saturday")));
        }
        Ok(())
    }
}

fn only_space_0(space: u32) -> Result<(), Error> {
    if space == 0 { Ok(()) } else { Err(Error::new(Status::UNSUPPORTED, "there is only keyspace 0")) }
}

/// The file that a state names: exactly that one, and nothing is made.
fn reopen(state: &KvState) -> Result<(PathBuf, Locked, Entries), Error> {
    // SAFETY: lent for the call.
    let path = path_of(unsafe { state.root.as_slice() });
    let (file, entries) = Locked::open(&path, Create::No)?;
    Ok((path, file, entries))
}

impl Engine for OneFile {
    const NAME: &'static str = "one-file";
    const VERSION: &'static str = "1.0.0";
    const CAPABILITIES: u64 =
        KV_CAP_THREAD_SAFE | KV_CAP_BLOCKING | KV_CAP_DURABLE | KV_CAP_SCRATCH | KV_CAP_REOPEN;
    // A cursor holds a key.
    const KEY_LEN_MAX: u64 = 65_536;
    const STATE_FORMAT: &'static str = "one-file";
    const STATE_VERSION: u32 = 1;

    fn open(args: OpenArgs<'_>) -> Result<Self, Error> {
        args.check_options(&["path", "fail"])?;
        let fail: String = args.option("fail", "a step")?.unwrap_or_default();
        let configured: Option<PathBuf> = args.option("path", "the path of a file")?;
        let (path, file, entries) = match (args.state, args.scratch_dir, configured) {
            (Some(state), _, configured) => {
                let reopened = reopen(state)?;
                if configured.is_some_and(|path| path != reopened.0) {
                    return Err(Error::new(
                        Status::INVALID,
                        format!("option 'path': the entries are in {}, and stay there", reopened.0.display()),
                    ));
                }
                reopened
            }
            (None, scratch_dir, configured) => {
                // A trial touches nothing but its own directory.
                let path = scratch_dir.map(|dir| Path::new(dir).join("entries")).or(configured);
                let Some(path) = path else {
                    return Err(Error::new(Status::INVALID, "option 'path' is missing: the path of a file"));
                };
                let (file, entries) = Locked::open(&path, Create::Yes)?;
                (path, file, entries)
            }
        };
        let store = Mutex::new(Store { entries, file: Some(file) });
        Ok(Self { path, fail, failed: AtomicBool::new(false), store })
    }

    fn close(self) -> Result<(), Error> {
        self.store().file.as_ref().map_or(Ok(()), Locked::sync)
    }

    fn get(&self, op: &Op<'_>, lend: &mut dyn FnMut(&Entry<'_>)) -> Result<Found, Error> {
        op.check(Self::CAPABILITIES)?;
        let store = self.store();
        let Some(value) = store.entries.get(op.key()) else { return Ok(Found::No) };
        lend(&Entry { key: op.key(), value, ..Entry::default() });
        Ok(Found::Yes)
    }

    fn set(&self, op: &Op<'_>) -> Result<u64, Error> {
        op.check(Self::CAPABILITIES)?;
        let (key, value) = (op.key(), op.entry().value);
        if key.len() as u64 > Self::KEY_LEN_MAX {
            return Err(Status::TOO_LARGE.into());
        }
        let mut store = self.store();
        store.file()?.append(key, Some(value))?;
        store.entries.insert(key.to_vec(), value.to_vec());
        Ok(0)
    }

    fn delete(&self, op: &Op<'_>) -> Result<Found, Error> {
        op.check(Self::CAPABILITIES)?;
        let mut store = self.store();
        if !store.entries.contains_key(op.key()) {
            return Ok(Found::No);
        }
        store.file()?.append(op.key(), None)?;
        store.entries.remove(op.key());
        Ok(Found::Yes)
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
        let store = self.store();
        let mut entries = store.entries.range((behind, Bound::Unbounded));
        let (mut last, mut lent_bytes) = (None, 0);
        for (key, value) in entries.by_ref().take(count.max(1) as usize) {
            lend(&Entry { key, value, ..Entry::default() });
            (last, lent_bytes) = (Some(key), lent_bytes + value.len());
            if lent_bytes >= 1 << 20 {
                break;
            }
        }
        match last.filter(|_| entries.next().is_some()) {
            Some(last) => cursor.set(&[b"k", last.as_slice()].concat()),
            None => cursor.set(b""),
        }
    }

    fn count(&self, space: u32) -> Result<u64, Error> {
        only_space_0(space)?;
        Ok(self.store().entries.len() as u64)
    }

    fn clear(&self, space: u32) -> Result<(), Error> {
        only_space_0(space)?;
        let mut store = self.store();
        store.file()?.clear()?;
        store.entries.clear();
        Ok(())
    }

    fn sync(&self) -> Result<(), Error> {
        self.store().file()?.sync()
    }

    fn handoff_prepare(&self, _kind: u32) -> Result<(), Error> {
        self.fail_once("prepare")?;
        let mut store = self.store();
        store.file()?.sync()?;
        // The lock goes with the descriptor, and nothing can fail any more.
        store.file = None;
        Ok(())
    }

    fn handoff_give(&self) -> Result<(&[Region], &[u8]), Error> {
        Ok((&[], self.path.as_os_str().as_bytes()))
    }

    fn handoff_abort(&self) -> Result<(), Error> {
        self.fail_once("abort")?;
        if self.fail == "give-up" && self.path.with_extension("away").exists() {
            return Err(Error::new(Status::LOCKED, "the file is away"));
        }
        let (file, entries) = Locked::open(&self.path, Create::No)?;
        *self.store() = Store { entries, file: Some(file) };
        Ok(())
    }
}
