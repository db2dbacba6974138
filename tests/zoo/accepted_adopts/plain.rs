//! The engine that can adopt, without expiry and versions: what it holds has neither.

mod engine;
mod log;
mod store;

use engine::Adopts;
use plugin_abi::raw::{KV_CAP_ATOMIC, KV_CAP_EXPIRY, KV_CAP_TYPES, KV_CAP_VERSIONS};

const CAPABILITIES: u64 =
    engine::CAPABILITIES & !(KV_CAP_EXPIRY | KV_CAP_VERSIONS | KV_CAP_ATOMIC | KV_CAP_TYPES);

plugin_abi::export_engine!(Adopts { scan, count, clear, handoff });
