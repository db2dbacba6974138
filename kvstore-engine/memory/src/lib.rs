//! The in-memory engine: a hash table in shards, each under a lock of its own. Builds `libkvstore.so`.
//!
//! Everything that a client asks for is done inline, in the calling thread, and values are lent where they lie, under the shard's lock. All state lies in
//! regions of memory that another build can take over as they are (`pages`, `state`). A thread removes what expires and nobody asks for (`upkeep`).
//!
//! `unsafe` is in `pages` and `bases` (mappings), `cell` (how an entry lies in memory), `log` and `expiry` (what a shard has beside its index), `shard` and
//! `table` (who may use which of them when), and in `check` and `handoff` (what another build gives).

mod atomic;
mod bases;
mod cell;
mod check;
mod expiry;
#[cfg(test)]
#[cfg(feature = "explore")]
mod explore;
mod handoff;
mod hash;
mod index;
mod limit;
mod log;
mod map;
mod pages;
mod random;
mod scan;
mod shard;
mod state;
mod sync;
mod table;
#[cfg(test)]
#[cfg(not(feature = "explore"))]
mod tests;
mod upkeep;
mod write;

use std::sync::Arc;

use plugin_abi::Status;
use plugin_abi::raw::{
    KV_CAP_ADOPT, KV_CAP_ATOMIC, KV_CAP_EXPIRY, KV_CAP_SCRATCH, KV_CAP_THREAD_SAFE, KV_CAP_TYPES,
    KV_CAP_VERSIONS, KV_OP_GET, KV_STAT_COUNTER, KV_STAT_GAUGE,
};
use plugin_abi::sdk::{
    Batch, BatchId, Cursor, Engine, Entry, Error, Found, Host, Op, OpenArgs, Outcome, Region,
};

use handoff::Handoff;
use index::NOWHERE;
use limit::{Bytes, Limit, POLICIES, Policy};
use random::Chooser;
use table::{Held, Home, SHARDS_MAX, Table};
use upkeep::Upkeep;
use write::{Write, Written, expect, stored_bytes};

/// Shards where the option does not say otherwise: with some ten workers two of them seldom meet, and a shard of a store of
/// ten million entries still grows in well under a millisecond.
const SHARDS_DEFAULT: usize = 1024;

/// Operations whose slots and entries are brought into the cache together.
const GROUP: usize = 16;

/// Each write removes up to this many expired entries of its shard: more than it can add.
const SWEEP_PER_WRITE: usize = 2;

/// The engine.
#[derive(Debug)]
pub struct Memory {
    host: Host,
    // Before the table: its thread uses it.
    upkeep: Upkeep,
    table: Arc<Table>,
    chooser: Chooser,
    handoff: Handoff,
}

plugin_abi::export_engine!(Memory {
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

impl Memory {
    #[inline(always)]
    fn find(&self, op: &Op<'_>, home: Home, now_ms: i64) -> Result<Option<Held<'_>>, Error> {
        op.check(Self::CAPABILITIES)?;
        let held = self.table.hold(home, op.key(), now_ms, &self.host);
        if op.expected_version().is_some() {
            expect(op, held.as_ref().map_or(0, |held| held.entry().version))?;
        }
        if self.table.limit.looks_at_use()
            && op.is_use()
            && let Some(held) = &held
        {
            self.table.touch(held.cell(), now_ms);
        }
        Ok(held)
    }

    #[inline]
    fn write(&self, op: &Op<'_>, home: Home, now_ms: i64) -> Result<Written, Error> {
        op.check(Self::CAPABILITIES)?;
        let room = self.table.make_room(now_ms, &self.host, || (1, stored_bytes(op)));
        let mut shard = self.table.lock(home.shard);
        if shard.due(now_ms) {
            shard.sweep(now_ms, SWEEP_PER_WRITE, &self.host);
        }
        let found = shard.find_or_expire(home.hash, op.key(), now_ms, &self.host);
        if op.expected_version().is_some() {
            expect(op, found.map_or(0, |found| shard.cell(found.place).version()))?;
        }
        let (table, hash) = (&*self.table, home.hash);
        let write = Write { table, shard: &mut shard, hash, found, now_ms, room, undo: None, undo_tag: 0 };
        let written = write.run(op)?;
        match written {
            Written::Stored { expiry_ms: 0, version: 0 } | Written::Deleted => shard.shrink_if_sparse(),
            Written::Stored { expiry_ms: 1.., .. } => self.upkeep.wake(),
            _ => {}
        }
        Ok(written)
    }

    fn store(&self, op: &Op<'_>) -> Result<u64, Error> {
        match self.write(op, self.table.home(op.key()), self.host.now_ms())? {
            Written::Stored { version, .. } => Ok(version),
            Written::Deleted | Written::NotFound => Ok(0),
        }
    }

    fn run(&self, batch: &mut Batch, now_ms: i64) {
        if batch.len() == 1 {
            return self.run_alone(batch, now_ms);
        }
        let mut homes = [(Home::default(), &NOWHERE); GROUP];
        let mut first = 0;
        while first < batch.len() {
            let count = GROUP.min(batch.len() - first);
            let homes = &mut homes[..count];
            for (index, (home, near)) in (first..).zip(&mut *homes) {
                *home = self.table.home(batch.op(index).key());
                *near = self.table.prefetch_slots(*home);
            }
            homes.iter().for_each(|(home, near)| self.table.prefetch_entry(*home, near));
            for (index, (home, _)) in (first..).zip(homes) {
                self.run_one(batch, index, *home, now_ms);
            }
            first += count;
        }
    }

    /// Of one, the search itself comes as soon as what could be brought into the cache.
    #[inline(never)]
    fn run_alone(&self, batch: &mut Batch, now_ms: i64) {
        let home = self.table.home(batch.op(0).key());
        self.run_one(batch, 0, home, now_ms);
    }

    #[inline(always)]
    fn run_one(&self, batch: &mut Batch, index: usize, home: Home, now_ms: i64) {
        let op = batch.op(index);
        if op.kind() == KV_OP_GET {
            let found = self.find(&op, home, now_ms);
            match &found {
                Ok(Some(held)) => batch.complete(index, Outcome::Entry(held.entry())),
                Ok(None) => batch.complete(index, Outcome::NotFound),
                Err(error) => batch.complete(index, Outcome::Failed(error)),
            }
        } else {
            match self.write(&op, home, now_ms) {
                Ok(written) => batch.complete(index, written.outcome()),
                Err(error) => batch.complete(index, Outcome::Failed(&error)),
            }
        }
    }

    fn only_space_0(space: u32) -> Result<(), Error> {
        if space == 0 { Ok(()) } else { Err(Error::new(Status::UNSUPPORTED, "there is only keyspace 0")) }
    }
}

impl Engine for Memory {
    const NAME: &'static str = "memory";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const CAPABILITIES: u64 = KV_CAP_THREAD_SAFE
        | KV_CAP_EXPIRY
        | KV_CAP_VERSIONS
        | KV_CAP_ATOMIC
        | KV_CAP_SCRATCH
        | KV_CAP_TYPES
        | KV_CAP_ADOPT;
    const STATE_FORMAT: &'static str = state::FORMAT;
    const STATE_VERSION: u32 = state::VERSION;

    fn open(args: OpenArgs<'_>) -> Result<Self, Error> {
        args.check_options(&["shards", "maxmemory", "maxmemory-policy"])?;
        let wanted = "a power of two from 1 to 4096";
        let shards: Option<usize> = args.option("shards", wanted)?;
        if let Some(shards) = shards.filter(|shards| !shards.is_power_of_two() || *shards > SHARDS_MAX) {
            return Err(Error::new(Status::INVALID, format!("option 'shards': {shards} is not {wanted}")));
        }
        let bytes =
            args.option("maxmemory", "a number of bytes, such as 100mb; 0 is no limit")?.unwrap_or(Bytes(0));
        let policy = args.option("maxmemory-policy", POLICIES)?.unwrap_or(Policy::NoEviction);
        let limit = Limit::new(bytes.0, policy);
        let table = match args.state {
            None => Table::new(shards.unwrap_or(SHARDS_DEFAULT), limit)?,
            Some(state) => handoff::adopt(state, shards, limit)?,
        };
        let table = Arc::new(table);
        let upkeep = Upkeep::start(Arc::clone(&table), args.host, args.state.is_some())?;
        let handoff = Handoff::new(args.state.is_some());
        Ok(Self { host: args.host, upkeep, table, chooser: Chooser::default(), handoff })
    }

    fn get(&self, op: &Op<'_>, lend: &mut dyn FnMut(&Entry<'_>)) -> Result<Found, Error> {
        Ok(match self.find(op, self.table.home(op.key()), self.host.now_ms())? {
            Some(held) => {
                lend(&held.entry());
                Found::Yes
            }
            None => Found::No,
        })
    }

    fn set(&self, op: &Op<'_>) -> Result<u64, Error> {
        self.store(op)
    }

    fn delete(&self, op: &Op<'_>) -> Result<Found, Error> {
        Ok(match self.write(op, self.table.home(op.key()), self.host.now_ms())? {
            Written::NotFound => Found::No,
            Written::Deleted | Written::Stored { .. } => Found::Yes,
        })
    }

    fn update(&self, op: &Op<'_>) -> Result<u64, Error> {
        self.store(op)
    }

    fn submit(&self, mut batch: Batch) {
        let now_ms = batch.now_ms();
        if batch.atomic() {
            atomic::run(&self.table, &self.host, Self::CAPABILITIES, batch);
            self.upkeep.wake();
        } else {
            self.run(&mut batch, now_ms);
        }
    }

    /// Every batch is completed when `submit` returns, so there is never one to give up.
    fn cancel(&self, _: BatchId) {}

    fn scan(
        &self,
        space: u32,
        no_value: bool,
        count: u32,
        cursor: &mut Cursor<'_>,
        lend: &mut dyn FnMut(&Entry<'_>),
    ) -> Result<(), Error> {
        Self::only_space_0(space)?;
        scan::step(&self.table, self.host.now_ms(), no_value, count, cursor, lend)
    }

    fn random(&self, space: u32, _: bool, lend: &mut dyn FnMut(&Entry<'_>)) -> Result<Found, Error> {
        Self::only_space_0(space)?;
        Ok(self.chooser.choose(&self.table, self.host.now_ms(), &self.host, lend))
    }

    fn count(&self, space: u32) -> Result<u64, Error> {
        Self::only_space_0(space)?;
        let len = |shard| self.table.lock_whole(shard).map(|shard| shard.len() as u64);
        (0..self.table.shards()).map(len).sum::<Option<u64>>().ok_or_else(|| {
            Error::new(Status::PANIC, "a part of the store is half changed: somebody panicked in it")
        })
    }

    fn sequence(&self, last: u64) -> Result<u64, Error> {
        self.table.import_version(last)?;
        Ok(self.table.last_version())
    }

    fn stats(&self, tell: &mut dyn FnMut(&str, u32, i64)) -> Result<(), Error> {
        let (mut keys, mut expiring, mut bytes, mut expired, mut evicted) = (0, 0, 0, 0, 0);
        for number in 0..self.table.shards() {
            // One under whose lock somebody has panicked is left out: a look at the figures makes nothing worse.
            let Some(shard) = self.table.lock_whole(number) else { continue };
            let state = shard.look();
            keys += u64::from(state.len);
            expiring += u64::from(state.expiring);
            expired += state.expired_total;
            evicted += state.evicted_total;
            bytes += shard.used_bytes();
        }
        let mut number =
            |name, kind, number: u64| tell(name, kind, i64::try_from(number).unwrap_or(i64::MAX));
        number("keys", KV_STAT_GAUGE, keys);
        number("keys_with_expiry", KV_STAT_GAUGE, expiring);
        number("memory_bytes", KV_STAT_GAUGE, bytes);
        number("memory_held_bytes", KV_STAT_GAUGE, self.table.held_bytes() as u64);
        number("memory_limit_bytes", KV_STAT_GAUGE, self.table.limit.max_bytes());
        number("expired_total", KV_STAT_COUNTER, expired);
        number("evicted_total", KV_STAT_COUNTER, evicted);
        number("shards", KV_STAT_GAUGE, self.table.shards() as u64);
        Ok(())
    }

    fn clear(&self, space: u32) -> Result<(), Error> {
        Self::only_space_0(space)?;
        self.table.clear();
        Ok(())
    }

    /// Nothing outlives the process, so there is nothing to make durable.
    fn sync(&self) -> Result<(), Error> {
        Ok(())
    }

    fn handoff_prepare(&self, _: u32) -> Result<(), Error> {
        self.handoff.prepare(&self.table, &self.upkeep);
        Ok(())
    }

    fn handoff_give(&self) -> Result<(&[Region], &[u8]), Error> {
        self.handoff.give()
    }

    fn is_suspect(&self) -> bool {
        self.table.is_suspect()
    }

    fn handoff_commit(&self) {
        self.handoff.commit(&self.table, &self.upkeep);
    }

    fn handoff_abort(&self) -> Result<(), Error> {
        self.handoff.abort(&self.upkeep);
        Ok(())
    }
}
