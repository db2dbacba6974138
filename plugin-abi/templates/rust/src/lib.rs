//! @name@: a storage engine for kvstore, in memory. Builds `libkvstore_@ident@.so`.
//!
//! It works as it is. What to change first:
//!
//! 1. `store.rs`: where entries are kept. Nothing else here knows it.
//! 2. `CAPABILITIES` and the limits below: what this engine promises. The host relies on each bit, and does without those that
//!    are missing; say only what the tests show.
//! 3. The names in `export_engine!`: the optional functions. `update`, and `submit` with ATOMIC, are worth the most: then the host
//!    hands over whole pipelines at once, takes no locks of its own, and watched keys outlive a reload.
//! 4. The options in `open`.
//!
//! docs/engines.md of kvstore has the rules, and a checklist; `kvstore.h` says of each function who calls it and what it may keep.

mod store;
#[cfg(test)]
mod tests;

use plugin_abi::Status;
use plugin_abi::raw::{KV_CAP_EXPIRY, KV_CAP_SCRATCH, KV_CAP_THREAD_SAFE, KV_CAP_TYPES, KV_CAP_VERSIONS};
use plugin_abi::sdk::{Cursor, Engine, Entry, Error, Found, Host, Op, OpenArgs, VERSION_END};

use store::{SHARDS_MAX, Store};

/// Shards, unless the option `shards` says otherwise.
const SHARDS_DEFAULT: usize = 64;

/// One open instance. Nothing of it is in statics: several can be open at once, and all of it has to be gone after `close`.
struct Instance {
    host: Host,
    store: Store,
}

// Exports what every engine has, and these. A method of the trait that is not named here is never called.
plugin_abi::export_engine!(Instance { scan, count, clear, sequence });

impl Instance {
    /// Refuses what this engine cannot do. First of all in every operation.
    fn check(op: &Op<'_>) -> Result<(), Error> {
        op.check(Self::CAPABILITIES)?;
        if op.key().len() as u64 > Self::KEY_LEN_MAX {
            let text = format!("a key has at most {} bytes", Self::KEY_LEN_MAX);
            return Err(Error::new(Status::TOO_LARGE, text));
        }
        Ok(())
    }

    fn only_space_0(space: u32) -> Result<(), Error> {
        if space == 0 {
            return Ok(());
        }
        Err(Error::new(Status::UNSUPPORTED, "there is only keyspace 0"))
    }
}

impl Engine for Instance {
    const NAME: &'static str = "@name@";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    // THREAD_SAFE: called from many threads at once. EXPIRY: entries expire. VERSIONS: each write gets a number, and EXPECT and
    // IMPORT work. SCRATCH: `open` can be tried without touching anything; without it nobody can check this engine. TYPES: type and
    // flags of an entry are kept.
    const CAPABILITIES: u64 =
        KV_CAP_THREAD_SAFE | KV_CAP_EXPIRY | KV_CAP_VERSIONS | KV_CAP_SCRATCH | KV_CAP_TYPES;
    // A cursor holds a key.
    const KEY_LEN_MAX: u64 = 65_536;

    fn open(args: OpenArgs<'_>) -> Result<Self, Error> {
        // With `args.scratch_dir` this is a trial: use nothing but memory and that directory, no configured file or address.
        args.check_options(&["shards"])?;
        let wanted = "a number from 1 to 256";
        let shards = args.option("shards", wanted)?.unwrap_or(SHARDS_DEFAULT);
        if !(1..=SHARDS_MAX).contains(&shards) {
            let text = format!("option 'shards': {shards} is not {wanted}");
            return Err(Error::new(Status::INVALID, text));
        }
        Ok(Self { host: args.host, store: Store::new(shards) })
    }

    /// An engine with threads joins them here, and frees what it has in statics: the library is unmapped afterwards.
    fn close(self) -> Result<(), Error> {
        Ok(())
    }

    /// `lend` never calls back, so it may be called under a lock; what it is shown has to stay only until it returns.
    fn get(&self, op: &Op<'_>, lend: &mut dyn FnMut(&Entry<'_>)) -> Result<Found, Error> {
        Self::check(op)?;
        self.store.get(op, &self.host, lend)
    }

    /// Answers the version. What is to stay of `op` is copied.
    fn set(&self, op: &Op<'_>) -> Result<u64, Error> {
        Self::check(op)?;
        self.store.set(op, &self.host)
    }

    fn delete(&self, op: &Op<'_>) -> Result<Found, Error> {
        Self::check(op)?;
        self.store.delete(op, &self.host)
    }

    /// Without it the data could never leave this engine again.
    fn scan(
        &self,
        space: u32,
        no_value: bool,
        count: u32,
        cursor: &mut Cursor<'_>,
        lend: &mut dyn FnMut(&Entry<'_>),
    ) -> Result<(), Error> {
        Self::only_space_0(space)?;
        let count = count.max(1) as usize;
        self.store.scan(no_value, count, cursor, self.host.now_ms(), lend)
    }

    fn count(&self, space: u32) -> Result<u64, Error> {
        Self::only_space_0(space)?;
        self.store.count()
    }

    fn clear(&self, space: u32) -> Result<(), Error> {
        Self::only_space_0(space)?;
        self.store.clear()
    }

    /// Required with VERSIONS: a store that is filled from another one goes on behind its numbers.
    fn sequence(&self, last: u64) -> Result<u64, Error> {
        if last >= VERSION_END {
            return Err(Error::new(Status::INVALID, "the version is not below 2^56"));
        }
        Ok(self.store.raise_version(last))
    }
}
