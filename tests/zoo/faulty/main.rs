//! A family of broken engines from one library: the engine that can adopt, with the fault whose name stands behind a mark in the library's bytes.
//! Whoever makes an animal of it writes another name there.

#[path = "../accepted_adopts/engine.rs"]
mod engine;
#[path = "../accepted_adopts/log.rs"]
mod log;
#[path = "../accepted_adopts/store.rs"]
mod store;

use std::sync::atomic::{AtomicU64, Ordering};

use engine::{Adopts, CAPABILITIES};
use plugin_abi::Status;
use plugin_abi::sdk::{Batch, Cursor, Engine, Entry, Error, Found, Op, OpenArgs, Region};

/// The mark, and the fault's name, filled up with zeros.
static FAULT: [u8; 48] = *b"the fault of this engine:none\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";

fn fault() -> String {
    // SAFETY: the constant, as it is in memory: the compiler is not to know what it will be.
    let bytes = unsafe { std::ptr::read_volatile(&raw const FAULT) };
    let text = String::from_utf8_lossy(&bytes).into_owned();
    text.split(':').nth(1).unwrap_or_default().trim_end_matches('\0').to_owned()
}

struct Faulty {
    engine: Adopts,
    fault: String,
    adopted: bool,
    calls: AtomicU64,
}

impl Faulty {
    fn has(&self, fault: &str) -> bool {
        self.fault == fault
    }

    /// Counts a call, and panics at that of the number which the fault names.
    #[allow(clippy::panic, reason = "that is what it is for")]
    fn call(&self) {
        let number = self.calls.fetch_add(1, Ordering::Relaxed) + 1;
        let fatal = self.fault.strip_prefix("panics ").and_then(|text| text.parse().ok());
        if fatal == Some(number) {
            panic!("call {number} was one too many");
        }
    }

    /// The version that is told in the place of this one.
    fn told(&self, version: u64) -> u64 {
        match self.fault.as_str() {
            "repeats versions" => version / 2 + 1,
            "counts versions down" => (1 << 40) - version,
            _ => version,
        }
    }
}

impl Engine for Faulty {
    const NAME: &'static str = Adopts::NAME;
    const VERSION: &'static str = "1.0.1";
    const CAPABILITIES: u64 = Adopts::CAPABILITIES;
    const STATE_FORMAT: &'static str = Adopts::STATE_FORMAT;
    const STATE_VERSION: u32 = Adopts::STATE_VERSION;

    fn open(args: OpenArgs<'_>) -> Result<Self, Error> {
        let (fault, adopted) = (fault(), args.state.is_some());
        if adopted && fault == "takes no state" {
            return Err(Error::new(Status::CORRUPT, "this state is none"));
        }
        Ok(Self { engine: Adopts::open(args)?, fault, adopted, calls: AtomicU64::new(0) })
    }

    fn get(&self, op: &Op<'_>, lend: &mut dyn FnMut(&Entry<'_>)) -> Result<Found, Error> {
        self.call();
        self.engine.get(op, &mut |entry| {
            let mut value = entry.value.to_vec();
            if self.adopted && self.has("garbles what it adopts") {
                value.reverse();
            }
            lend(&Entry { value: &value, version: self.told(entry.version), ..*entry });
        })
    }

    fn set(&self, op: &Op<'_>) -> Result<u64, Error> {
        self.call();
        self.engine.set(op).map(|version| self.told(version))
    }

    fn delete(&self, op: &Op<'_>) -> Result<Found, Error> {
        self.call();
        self.engine.delete(op)
    }

    fn update(&self, op: &Op<'_>) -> Result<u64, Error> {
        self.call();
        self.engine.update(op).map(|version| self.told(version))
    }

    #[allow(clippy::panic, reason = "that is what it is for")]
    fn submit(&self, batch: Batch) {
        self.call();
        if self.has("panics at boom") && (0..batch.len()).any(|index| batch.op(index).key() == b"boom") {
            panic!("boom");
        }
        self.engine.submit(batch);
    }

    fn scan(
        &self,
        space: u32,
        no_value: bool,
        count: u32,
        cursor: &mut Cursor<'_>,
        lend: &mut dyn FnMut(&Entry<'_>),
    ) -> Result<(), Error> {
        self.engine.scan(space, no_value, count, cursor, lend)
    }

    fn count(&self, space: u32) -> Result<u64, Error> {
        self.engine.count(space)
    }

    fn clear(&self, space: u32) -> Result<(), Error> {
        self.engine.clear(space)
    }

    fn sequence(&self, last: u64) -> Result<u64, Error> {
        self.engine.sequence(last)
    }

    fn handoff_prepare(&self, kind: u32) -> Result<(), Error> {
        self.engine.handoff_prepare(kind)
    }

    fn handoff_give(&self) -> Result<(&[Region], &[u8]), Error> {
        self.engine.handoff_give()
    }

    fn handoff_commit(&self) {
        self.engine.handoff_commit();
    }

    fn handoff_abort(&self) -> Result<(), Error> {
        self.engine.handoff_abort()
    }
}

plugin_abi::export_engine!(Faulty { update, submit, scan, count, clear, sequence, handoff });
