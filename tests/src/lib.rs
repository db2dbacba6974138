//! Tests: what the tests that cross the rooms have in common.

pub mod bench;
pub mod binaries;
pub mod differential;
pub mod engines;
pub mod free_port;
pub mod fuzz;
pub mod host;
pub mod linear;
pub mod picture;
pub mod show;
pub mod terminal;
pub mod variant;
pub mod wait;
pub mod wire;
pub mod zoo;
