//! kvstore-host: a key-value server whose storage engine is a shared library, replaced while the server runs.
//!
//! A request's way: `net` reads bytes, `protocol` finds requests in them, `command` makes engine operations of them,
//! `plugin` carries those out in the engine, and the results go back the same way. No step reaches back.

pub mod command;
pub mod config;
pub mod control;
pub mod embedded;
mod fail_point;
pub mod glob;
pub mod net;
pub mod plugin;
pub mod protocol;
pub mod pubsub;
pub mod serve;
pub mod server;
pub mod shell;
