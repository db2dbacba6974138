//! Plugin: loads, checks and swaps engines, and carries work out in the one that is live.

pub mod adopt;
mod changes;
pub mod check;
mod choice;
mod entry;
pub mod file;
mod flight;
pub mod holding;
mod joint;
mod keys;
pub mod library;
pub mod lifecycle;
pub mod live;
mod locked;
mod maps;
pub mod migrate;
mod outcome;
pub mod pool;
pub mod published;
pub mod reload;
mod run_queue;
mod sampler;
mod services;
pub mod shadow;
pub mod state_dir;
pub mod threads;
mod versioned;
pub mod wait;
mod work;

pub(crate) use changes::ALL_READS;
pub(crate) use entry::Owned;
pub use flight::{Home, Landed, Taker};
pub use joint::Joined;
pub(crate) use outcome::panicked;
pub use outcome::{Answers, Fit, LEFT_OUT, Lent, Outcome, Outcomes, Room};
pub use work::{Plan, Source, Storage, Update, Work};

use plugin_abi::Identity;
use plugin_abi::calls::CallError;

/// Calls about a whole keyspace, which may block. Implemented by the live engine.
pub trait Keyspace {
    /// Number of the live engine's generation.
    fn generation(&self) -> u64;
    /// What the live engine says it is.
    fn identity(&self) -> &Identity;
    /// The optional symbols that it has.
    fn symbols(&self) -> Vec<&'static str>;
    /// Goes on with a scan: about `count` keys with the length of their values go to `sink`; the cursor is empty at the start and at the
    /// end.
    ///
    /// # Errors
    /// UNSUPPORTED where the engine has no `kv_scan`; else the engine's failure.
    fn scan(&self, cursor: &mut Vec<u8>, count: u32, sink: &mut dyn FnMut(&[u8])) -> Result<(), CallError>;
    /// A key chosen at random, if there is any; where the engine has no `kv_random`, of the first 100,000 that a scan brings.
    ///
    /// # Errors
    /// UNSUPPORTED where the engine has no `kv_scan` either; else the engine's failure.
    fn random(&self) -> Result<Option<Vec<u8>>, CallError>;
    /// Number of entries; counted by a scan where the engine has no `kv_count`.
    ///
    /// # Errors
    /// The engine's failure.
    fn count(&self) -> Result<u64, CallError>;
    /// Makes durable what was written. May block whatever the engine's capabilities say.
    ///
    /// # Errors
    /// UNSUPPORTED where the engine has no `kv_sync`; else the engine's failure.
    fn sync(&self) -> Result<(), CallError>;
    /// Removes all entries; one by one where the engine has no `kv_clear`.
    ///
    /// # Errors
    /// The engine's failure.
    fn clear(&self) -> Result<(), CallError>;
    /// The engine's own figures: name and value. Empty where it has no `kv_stats`.
    ///
    /// # Errors
    /// The engine's failure.
    fn stats(&self) -> Result<Vec<(String, String)>, CallError>;
}
