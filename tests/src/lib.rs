//! Tests: what the tests that cross the rooms have in common.

pub mod binaries;
pub mod linear;
pub mod zoo;
