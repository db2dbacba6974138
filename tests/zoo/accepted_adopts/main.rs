//! The engine that can adopt, with all that it has.

mod engine;
mod log;
mod store;

use engine::{Adopts, CAPABILITIES};

plugin_abi::export_engine!(Adopts { update, submit, scan, count, clear, sequence, handoff });
