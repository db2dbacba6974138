//! Reference: a whole engine with all capabilities, sound unless an option plants a fault, and on demand completing from its own
//! thread.

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::{SystemTime, UNIX_EPOCH};

use plugin_abi::Status;
use plugin_abi::raw::*;
use plugin_abi::sdk::{
    Batch, BatchId, Cursor, Engine, Entry, Error, Found, Host, Op, OpenArgs, Outcome, Region,
};

use crate::store::{Done, KEY_LEN_MAX, Store, VALUE_LEN_MAX};

/// The engine.
pub(crate) struct Reference {
    shared: Arc<Shared>,
    late: Option<JoinHandle<()>>,
    // What each prepare has made for another instance. None is dropped before the engine is, so each stays where it is.
    given: Mutex<Vec<Box<[u8]>>>,
}

struct Shared {
    host: Host,
    fault: String,
    store: Mutex<Store>,
    // Batches that wait for the thread; `None` tells it to end.
    waiting: Mutex<VecDeque<Option<Batch>>>,
    arrived: Condvar,
}

plugin_abi::export_engine!(Reference {
    update,
    submit,
    cancel,
    scan,
    random,
    count,
    stats,
    clear,
    sync,
    sequence,
    handoff
});

impl Shared {
    fn now_ms(&self) -> i64 {
        if self.fault == "own_clock" {
            return SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
        }
        self.host.now_ms()
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        let mut store = self.store.lock().unwrap();
        store.expire(self.now_ms());
        store
    }

    fn space(&self, space: u32) -> Result<(), Error> {
        if space == 0 { Ok(()) } else { Err(Error::new(Status::UNSUPPORTED, "there is only keyspace 0")) }
    }

    fn run(&self, mut batch: Batch) {
        let mut store = self.store();
        let before = batch.atomic().then(|| store.entries.clone());
        let mut order: Vec<_> = (0..batch.len()).collect();
        if self.fault == "wrong_order" {
            order.reverse();
        }
        let mut done = Vec::with_capacity(batch.len());
        // In an atomic batch versions are compared with what was there before it.
        let looks_before = batch.atomic() && self.fault != "late_expectation";
        let met: Vec<_> = (0..batch.len())
            .map(|index| if looks_before { store.check(&batch.op(index)) } else { Ok(()) })
            .collect();
        for index in order {
            // Also what an earlier operation of the batch stored with an expiry in the past.
            store.expire(self.now_ms());
            let op = batch.op(index);
            let carried_out = met[index].clone().and_then(|()| {
                if looks_before { store.carry_out_unchecked(&op) } else { store.carry_out(&op) }
            });
            done.push((index, carried_out));
            if self.fault == "torn_batch" {
                drop(store);
                thread::yield_now();
                store = self.store();
            }
        }
        if let Some(before) = before.filter(|_| done.iter().any(|(_, done)| done.is_err())) {
            if self.fault != "half_batch" {
                store.entries = before;
            }
            // The first that failed says why. What came behind it saw a store that never was.
            let first = done.iter().position(|(_, done)| done.is_err());
            for (place, (_, done)) in done.iter_mut().enumerate() {
                if Some(place) != first {
                    *done = Err(Status::ABORTED.into());
                }
            }
        }
        drop(store);
        for (index, done) in done {
            let outcome = match &done {
                Ok(Done::Entry(stored)) => Outcome::Entry(stored.entry(b"")),
                Ok(Done::Stored { version, expiry_ms }) => {
                    Outcome::Stored { version: *version, expiry_ms: *expiry_ms }
                }
                Ok(Done::Deleted) => Outcome::Deleted,
                Ok(Done::NotFound) => Outcome::NotFound,
                Err(error) => Outcome::Failed(error),
            };
            batch.complete(index, outcome);
        }
    }

    fn work(&self) {
        let mut waiting = self.waiting.lock().unwrap();
        loop {
            match waiting.pop_front() {
                None => waiting = self.arrived.wait(waiting).unwrap(),
                Some(None) => return,
                Some(Some(batch)) => {
                    drop(waiting);
                    self.run(batch);
                    waiting = self.waiting.lock().unwrap();
                }
            }
        }
    }

    fn enqueue(&self, batch: Option<Batch>) {
        self.waiting.lock().unwrap().push_back(batch);
        self.arrived.notify_one();
    }
}

impl Engine for Reference {
    const NAME: &'static str = "reference";
    const VERSION: &'static str = "1.0.0";
    const CAPABILITIES: u64 = KV_CAP_THREAD_SAFE
        | KV_CAP_EXPIRY
        | KV_CAP_VERSIONS
        | KV_CAP_ATOMIC
        | KV_CAP_SCRATCH
        | KV_CAP_TYPES
        | KV_CAP_ADOPT
        | KV_CAP_FREEZE;
    const KEY_LEN_MAX: u64 = KEY_LEN_MAX;
    const VALUE_LEN_MAX: u64 = VALUE_LEN_MAX;
    const BATCH_LEN_MAX: u64 = 2000;
    const STATE_FORMAT: &'static str = "reference";
    const STATE_VERSION: u32 = 1;

    fn open(args: OpenArgs<'_>) -> Result<Self, Error> {
        let fault: String = args.option("fault", "a fault")?.unwrap_or_default();
        if fault != "any_option" {
            args.check_options(&["fault", "late", "capabilities", "entries_max"])?;
        }
        let capabilities = args.option("capabilities", "a number")?.unwrap_or(Self::CAPABILITIES);
        // The SDK compares with what the library says; in here an option may say less.
        if args.state.is_some() && capabilities & KV_CAP_ADOPT == 0 && fault != "takes_any_state" {
            return Err(Error::new(Status::INVALID, "this engine takes no state over"));
        }
        let entries_max = args.option("entries_max", "a number")?.unwrap_or(usize::MAX);
        let mut store = Store { capabilities, entries_max, fault: fault.clone(), ..Store::default() };
        let forgetful = ["forgetful_adopt", "takes_any_state"].contains(&fault.as_str());
        if let Some(state) = args.state.filter(|_| !forgetful) {
            // SAFETY: the giver keeps the state in place while this instance is opened.
            store.decode(unsafe { state.root.as_slice() });
        }
        let shared = Arc::new(Shared {
            host: args.host,
            fault,
            store: Mutex::new(store),
            waiting: Mutex::default(),
            arrived: Condvar::new(),
        });
        let late = args.option("late", "true or false")?.unwrap_or(false).then(|| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || shared.work())
        });
        Ok(Self { shared, late, given: Mutex::default() })
    }

    fn close(self) -> Result<(), Error> {
        if let Some(late) = self.late {
            self.shared.enqueue(None);
            late.join().map_err(|_| Error::from(Status::PANIC))?;
        }
        Ok(())
    }

    fn get(&self, op: &Op<'_>, lend: &mut dyn FnMut(&Entry<'_>)) -> Result<Found, Error> {
        match self.shared.store().carry_out(op)? {
            Done::Entry(stored) => {
                lend(&stored.entry(op.key()));
                if self.shared.fault == "lent_twice" {
                    lend(&stored.entry(op.key()));
                }
                Ok(Found::Yes)
            }
            _ => Ok(Found::No),
        }
    }

    fn set(&self, op: &Op<'_>) -> Result<u64, Error> {
        self.update(op)
    }

    fn delete(&self, op: &Op<'_>) -> Result<Found, Error> {
        match self.shared.store().carry_out(op)? {
            Done::Deleted => Ok(Found::Yes),
            _ => Ok(Found::No),
        }
    }

    fn update(&self, op: &Op<'_>) -> Result<u64, Error> {
        let done = if self.shared.fault == "torn_update" {
            let mut copy = self.shared.store().clone();
            let done = copy.carry_out(op);
            thread::yield_now();
            *self.shared.store() = copy;
            done
        } else {
            self.shared.store().carry_out(op)
        };
        match done? {
            Done::Stored { version, .. } => Ok(version),
            _ => Ok(0),
        }
    }

    fn submit(&self, batch: Batch) {
        let capabilities = self.shared.store().capabilities;
        if self.shared.fault == "never_completes" {
            std::mem::forget(batch);
        } else if batch.atomic() && capabilities & KV_CAP_ATOMIC == 0 {
            batch.fail_all(&Error::new(Status::UNSUPPORTED, "the engine has no atomic batches"));
        } else if self.late.is_some() {
            self.shared.enqueue(Some(batch));
        } else {
            self.shared.run(batch);
        }
    }

    fn cancel(&self, batch: BatchId) {
        let mut waiting = self.shared.waiting.lock().unwrap();
        let place = waiting.iter().position(|it| it.as_ref().is_some_and(|it| it.id() == batch));
        if let Some(batch) = place.and_then(|place| waiting.remove(place)).flatten() {
            drop(waiting);
            batch.fail_all(&Status::CANCELLED.into());
        }
    }

    fn scan(
        &self,
        space: u32,
        no_value: bool,
        count: u32,
        cursor: &mut Cursor<'_>,
        lend: &mut dyn FnMut(&Entry<'_>),
    ) -> Result<(), Error> {
        self.shared.space(space)?;
        let store = self.shared.store();
        let count = count.max(1) as usize;
        if self.shared.fault == "scan_by_position" {
            let start = cursor.get().try_into().map_or(0, u64::from_ne_bytes) as usize;
            let mut entries = store.entries.iter().skip(start);
            entries.by_ref().take(count).for_each(|(key, stored)| lend(&stored.entry(key)));
            let more = entries.next().is_some();
            return cursor
                .set(if more { (start + count) as u64 } else { 0 }.to_ne_bytes().as_slice())
                .and_then(|()| if more { Ok(()) } else { cursor.set(b"") });
        }
        // The cursor is a byte and the last key that came: so the empty key has one too.
        let start = match cursor.get() {
            [] => std::ops::Bound::Unbounded,
            [b'k', key @ ..] => std::ops::Bound::Excluded(key.to_vec()),
            _ if self.shared.fault == "trusted_cursor" => return Err(Status::CORRUPT.into()),
            _ => return Err(Error::new(Status::INVALID, "a cursor that is none")),
        };
        let mut entries = store.entries.range::<Vec<u8>, _>((start, std::ops::Bound::Unbounded));
        let (mut last, mut lent_bytes) = (None, 0);
        for (key, stored) in entries.by_ref().take(count) {
            lend(&stored.entry(key));
            last = Some(key);
            lent_bytes += if no_value { 0 } else { stored.value.len() };
            if lent_bytes >= 1 << 20 && self.shared.fault != "fat_scan" {
                break;
            }
        }
        match last {
            _ if self.shared.fault == "endless_scan" => cursor.set(b"k"),
            Some(last) if entries.next().is_some() => cursor.set(&[b"k", last.as_slice()].concat()),
            _ => cursor.set(b""),
        }
    }

    fn random(&self, space: u32, _: bool, lend: &mut dyn FnMut(&Entry<'_>)) -> Result<Found, Error> {
        self.shared.space(space)?;
        let store = self.shared.store();
        let len = store.entries.len() as u64;
        let index = match self.shared.fault.as_str() {
            "same_random" => 0,
            _ => RandomState::new().hash_one(len).checked_rem(len).unwrap_or(0),
        };
        let Some((key, stored)) = store.entries.iter().nth(index as usize) else { return Ok(Found::No) };
        lend(&stored.entry(key));
        Ok(Found::Yes)
    }

    fn count(&self, space: u32) -> Result<u64, Error> {
        self.shared.space(space)?;
        Ok(self.shared.store().entries.len() as u64)
    }

    fn stats(&self, tell: &mut dyn FnMut(&str, u32, i64)) -> Result<(), Error> {
        let store = self.shared.store();
        tell("entries", KV_STAT_GAUGE, store.entries.len() as i64);
        tell("versions", KV_STAT_COUNTER, store.sequence as i64);
        Ok(())
    }

    fn clear(&self, space: u32) -> Result<(), Error> {
        self.shared.space(space)?;
        self.shared.store().clear();
        Ok(())
    }

    fn sync(&self) -> Result<(), Error> {
        Ok(())
    }

    fn sequence(&self, last: u64) -> Result<u64, Error> {
        self.shared.store().raise(last)
    }

    fn handoff_prepare(&self, kind: u32) -> Result<(), Error> {
        let store = self.shared.store();
        match kind {
            KV_HANDOFF_ADOPT if store.capabilities & KV_CAP_ADOPT != 0 => {
                let mut given = self.given.lock().unwrap();
                if given.is_empty() || self.shared.fault != "stale_adopt" {
                    given.push(store.encode().into());
                }
                Ok(())
            }
            KV_HANDOFF_FREEZE if store.capabilities & KV_CAP_FREEZE != 0 => Ok(()),
            _ if self.shared.fault == "any_handoff" => Ok(()),
            _ => Err(Error::new(Status::UNSUPPORTED, "no handoff of this kind")),
        }
    }

    fn handoff_give(&self) -> Result<(&[Region], &[u8]), Error> {
        let given = self.given.lock().unwrap();
        let newest: *const [u8] = &raw const **given.last().ok_or(Error::from(Status::INVALID))?;
        // SAFETY: boxed, and not dropped before `self`.
        Ok((&[], unsafe { &*newest }))
    }

    fn handoff_abort(&self) -> Result<(), Error> {
        if self.shared.fault == "forgetful_abort" {
            self.shared.store().clear();
        }
        Ok(())
    }
}
