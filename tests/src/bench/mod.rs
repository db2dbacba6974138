//! Bench: measures servers from outside, side by side; `scripts/bench-peers` and `scripts/bench-instructions` start it.

#![allow(clippy::expect_used, clippy::panic, reason = "a measurement stops at the first surprise")]

pub mod instructions;
pub mod load;
pub mod peers;
pub mod plot;
pub mod process;
pub mod protocol;
pub mod report;
pub mod server;
pub mod spread;
mod system_calls;
