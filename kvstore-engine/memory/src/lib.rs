//! The in-memory engine: a hash table in shards, each under a lock of its own. Builds `libkvstore.so`.
//!
//! Everything is done inline, in the calling thread; the engine has no thread. Values are lent where they lie, under the
//! shard's lock. Expired entries are removed when somebody meets them, and a few more along with every write and batch.
//!
//! Memory that cannot be had is FULL for keys, values and the table; the small nodes of the expiry index are the
//! exception.

mod atomic;
mod expiry;
mod random;
mod scan;
mod shard;
mod slot;
mod table;
#[cfg(test)]
mod tests;
mod write;

use plugin_abi::Status;
use plugin_abi::raw::{
    KV_CAP_ATOMIC, KV_CAP_EXPIRY, KV_CAP_SCRATCH, KV_CAP_THREAD_SAFE, KV_CAP_TYPES, KV_CAP_VERSIONS,
    KV_OP_GET, KV_STAT_COUNTER, KV_STAT_GAUGE,
};
use plugin_abi::sdk::{Batch, BatchId, Cursor, Engine, Entry, Error, Found, Host, Op, OpenArgs, Outcome};

use random::Chooser;
use table::{Held, SHARDS_MAX, Table};
use write::{Write, Written, expect};

/// Shards where the option does not say otherwise: with some ten workers two of them seldom meet, and a shard of a store of
/// ten million entries still grows in well under a millisecond.
const SHARDS_DEFAULT: usize = 1024;

/// Each write removes up to this many expired entries of its shard: more than it can add.
const SWEEP_PER_WRITE: usize = 2;
/// A look at the figures removes up to this many from each shard, so that an idle store gets rid of them too.
const SWEEP_PER_STATS: usize = 64;

/// The engine.
#[derive(Debug)]
pub struct Memory {
    host: Host,
    table: Table,
    chooser: Chooser,
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
    sequence
});

impl Memory {
    fn find(&self, op: &Op<'_>, now_ms: i64) -> Result<Option<Held<'_>>, Error> {
        op.check(Self::CAPABILITIES)?;
        let held = self.table.hold(self.table.place(op.key()), op.key(), now_ms, &self.host);
        expect(op, held.as_ref().map_or(0, |held| held.entry().version))?;
        Ok(held)
    }

    fn write(&self, op: &Op<'_>, now_ms: i64) -> Result<Written, Error> {
        op.check(Self::CAPABILITIES)?;
        let place = self.table.place(op.key());
        let mut locked = self.table.write(place.shard);
        let shard = &mut *locked;
        shard.sweep(now_ms, SWEEP_PER_WRITE, &self.host);
        let index = shard.find_or_expire(place.hash, op.key(), now_ms, &self.host);
        expect(op, index.map_or(0, |index| shard.entry(index).version))?;
        let write = Write { table: &self.table, shard, hash: place.hash, index, undo: None, undo_tag: 0 };
        let written = write.run(op)?;
        locked.shrink_if_sparse();
        Ok(written)
    }

    fn store(&self, op: &Op<'_>) -> Result<u64, Error> {
        match self.write(op, self.host.now_ms())? {
            Written::Stored { version, .. } => Ok(version),
            Written::Deleted | Written::NotFound => Ok(0),
        }
    }

    fn run(&self, batch: &mut Batch, now_ms: i64) {
        for index in 0..batch.len() {
            let op = batch.op(index);
            if op.kind() == KV_OP_GET {
                let found = self.find(&op, now_ms);
                match &found {
                    Ok(Some(held)) => batch.complete(index, Outcome::Entry(held.entry())),
                    Ok(None) => batch.complete(index, Outcome::NotFound),
                    Err(error) => batch.complete(index, Outcome::Failed(error)),
                }
            } else {
                match self.write(&op, now_ms) {
                    Ok(written) => batch.complete(index, written.outcome()),
                    Err(error) => batch.complete(index, Outcome::Failed(&error)),
                }
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
    const CAPABILITIES: u64 =
        KV_CAP_THREAD_SAFE | KV_CAP_EXPIRY | KV_CAP_VERSIONS | KV_CAP_ATOMIC | KV_CAP_SCRATCH | KV_CAP_TYPES;

    fn open(args: OpenArgs<'_>) -> Result<Self, Error> {
        args.check_options(&["shards"])?;
        let wanted = "a power of two from 1 to 4096";
        let shards = args.option("shards", wanted)?.unwrap_or(SHARDS_DEFAULT);
        if !shards.is_power_of_two() || shards > SHARDS_MAX {
            return Err(Error::new(Status::INVALID, format!("option 'shards': {shards} is not {wanted}")));
        }
        Ok(Self { host: args.host, table: Table::new(shards), chooser: Chooser::default() })
    }

    fn get(&self, op: &Op<'_>, lend: &mut dyn FnMut(&Entry<'_>)) -> Result<Found, Error> {
        Ok(match self.find(op, self.host.now_ms())? {
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
        Ok(match self.write(op, self.host.now_ms())? {
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
        } else {
            self.run(&mut batch, now_ms);
        }
        self.table.sweep_some(now_ms, &self.host);
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
        Ok((0..self.table.shards()).map(|shard| self.table.read(shard).len() as u64).sum())
    }

    fn sequence(&self, last: u64) -> Result<u64, Error> {
        self.table.import_version(last)?;
        Ok(self.table.last_version())
    }

    fn stats(&self, tell: &mut dyn FnMut(&str, u32, i64)) -> Result<(), Error> {
        let now_ms = self.host.now_ms();
        let (mut keys, mut expiring, mut bytes, mut expired) = (0, 0, 0, 0);
        for number in 0..self.table.shards() {
            let mut shard = self.table.read(number);
            if shard.due(now_ms) {
                drop(shard);
                let mut locked = self.table.write(number);
                locked.sweep(now_ms, SWEEP_PER_STATS, &self.host);
                locked.shrink_if_sparse();
                drop(locked);
                shard = self.table.read(number);
            }
            keys += shard.len() as u64;
            expiring += shard.expiring() as u64;
            bytes += shard.memory_bytes() as u64;
            expired += shard.expired_total();
        }
        let mut number =
            |name, kind, number: u64| tell(name, kind, i64::try_from(number).unwrap_or(i64::MAX));
        number("keys", KV_STAT_GAUGE, keys);
        number("keys_with_expiry", KV_STAT_GAUGE, expiring);
        number("memory_bytes", KV_STAT_GAUGE, bytes);
        number("expired_total", KV_STAT_COUNTER, expired);
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
}
