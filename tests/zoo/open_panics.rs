//! A Rust engine whose kv_open panics.

use plugin_abi::raw::KV_CAP_SCRATCH;
use plugin_abi::sdk::{Engine, Entry, Error, Found, Op, OpenArgs};

struct Panics;

impl Engine for Panics {
    const NAME: &'static str = "panics";
    const VERSION: &'static str = "1.0.0";
    const CAPABILITIES: u64 = KV_CAP_SCRATCH;

    #[allow(clippy::panic, reason = "that is what it is for")]
    fn open(_args: OpenArgs<'_>) -> Result<Self, Error> {
        panic!("the cat is on the keyboard")
    }

    fn get(&self, _op: &Op<'_>, _lend: &mut dyn FnMut(&Entry<'_>)) -> Result<Found, Error> {
        Ok(Found::No)
    }

    fn set(&self, _op: &Op<'_>) -> Result<u64, Error> {
        Ok(0)
    }

    fn delete(&self, _op: &Op<'_>) -> Result<Found, Error> {
        Ok(Found::No)
    }
}

plugin_abi::export_engine!(Panics {});
