//! An engine that does nothing: every key has the same value. What is measured of it is the way to it and back.

use plugin_abi::Status;
use plugin_abi::raw::{KV_CAP_SCRATCH, KV_CAP_THREAD_SAFE, KV_OP_GET};
use plugin_abi::sdk::{Batch, Engine, Entry, Error, Found, Op, OpenArgs, Outcome};

/// The value of every key.
pub(crate) const VALUE: &[u8; 32] = &[b'v'; 32];

/// The engine.
#[derive(Debug)]
pub(crate) struct Constant;

impl Engine for Constant {
    const NAME: &'static str = "constant";
    const VERSION: &'static str = "1.0.0";
    const CAPABILITIES: u64 = KV_CAP_SCRATCH | KV_CAP_THREAD_SAFE;

    fn open(_: OpenArgs<'_>) -> Result<Self, Error> {
        Ok(Self)
    }

    fn get(&self, op: &Op<'_>, lend: &mut dyn FnMut(&Entry<'_>)) -> Result<Found, Error> {
        lend(&Entry { key: op.key(), value: VALUE, ..Entry::default() });
        Ok(Found::Yes)
    }

    fn set(&self, _: &Op<'_>) -> Result<u64, Error> {
        Err(Error::new(Status::UNSUPPORTED, "there is nothing to write to"))
    }

    fn delete(&self, _: &Op<'_>) -> Result<Found, Error> {
        Err(Error::new(Status::UNSUPPORTED, "there is nothing to remove"))
    }

    fn submit(&self, mut batch: Batch) {
        let refused = Error::new(Status::UNSUPPORTED, "there is nothing to write to");
        for index in 0..batch.len() {
            if batch.op(index).kind() == KV_OP_GET {
                batch.complete(index, Outcome::Entry(Entry { value: VALUE, ..Entry::default() }));
            } else {
                batch.complete(index, Outcome::Failed(&refused));
            }
        }
    }
}

plugin_abi::export_engine!(Constant { submit });
