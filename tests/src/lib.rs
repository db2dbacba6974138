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

/// Where random numbers of a test start: at `KV_SEED`, or anywhere; told, so that a test can be repeated.
pub fn seed() -> u64 {
    let given = std::env::var("KV_SEED").ok().and_then(|text| text.parse().ok());
    let seed = given.unwrap_or_else(rand::random);
    println!("KV_SEED={seed} repeats this");
    seed
}
