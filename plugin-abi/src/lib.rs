//! The contract between the kvstore host and its storage engines, from both sides.
//!
//! * [`raw`] is the contract itself: C types, status codes, symbols. `include/kvstore.h` is generated from it.
//! * [`sdk`] is for authors of engines in Rust: one trait, and one macro that exports the symbols.
//! * [`calls`] is the calling side: resolved symbols, and safe calls over them.
//! * [`layout`] compares `abi_stable` type layouts between a host and a Rust engine.
//! * [`conformance`] is the suite that every engine has to pass.
//!
//! Nothing here opens a file or a socket, starts a thread or decides a policy.

pub mod calls;
pub mod conformance;
pub mod identity;
pub mod layout;
pub mod raw;
pub mod sdk;
mod status;

pub use identity::{Identity, Refusal};
pub use status::{Effect, Status};
