//! The engine that can adopt, without batches: the host drives it by single calls, and keeps the versions of what is watched itself.

mod engine;
mod log;
mod store;

use engine::{Adopts, CAPABILITIES};

plugin_abi::export_engine!(Adopts { scan, count, clear, sequence, handoff });
