//! Tests: what the tests that cross the rooms have in common.

pub mod linear;
