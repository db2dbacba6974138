//! Bench: measures servers from outside, side by side; `scripts/bench-peers`, `bench-instructions`, `bench-figures` and `bench-reload` start it.

#![allow(clippy::expect_used, clippy::panic, reason = "a measurement stops at the first surprise")]

pub mod adopt;
pub mod engine;
pub mod fair;
pub mod figures;
pub mod growth;
pub mod instructions;
pub mod load;
pub mod open_loop;
pub mod peers;
pub mod pipeline;
pub mod plot;
pub mod process;
pub mod protocol;
pub mod record;
pub mod reload;
pub mod report;
pub mod server;
pub mod spread;
mod system_calls;
