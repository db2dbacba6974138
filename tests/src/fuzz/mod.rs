//! Fuzz: what the fuzz targets do with an input; the same runs in CI on the kept inputs and on mutations of them.
//!
//! Each target is a function that takes any bytes and panics where something does not hold. `tests/fuzz` hands them to libFuzzer.

#![allow(clippy::expect_used, clippy::panic, reason = "a fuzz target reports by panicking")]

pub mod decoder;
pub mod glob;
pub mod host;
pub mod memory;
pub mod mutate;
pub mod parser;
mod pieces;
pub mod script;
mod transcript;

/// A target by its name.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: [Target; 4] =
    [("parser", parser::check), ("decoder", decoder::check), ("glob", glob::check), ("host", host::check)];
