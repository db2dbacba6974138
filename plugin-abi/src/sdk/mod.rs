//! For authors of engines in Rust: implement [`Engine`], name it in [`export_engine!`](crate::export_engine), build a cdylib.
//!
//! The macro exports the symbols with a panic boundary in each: a panic becomes `KV_STATUS_PANIC`, its message goes to
//! the host's log, and the instance is poisoned. Nothing of Rust crosses the boundary.

mod batch;
#[doc(hidden)]
pub mod boundary;
mod engine;
mod export;
mod host;
mod op;

pub use batch::{Batch, BatchId, Outcome};
pub use engine::{Cursor, Engine, Error, Found, OpenArgs, Region};
pub use host::Host;
pub use op::{Decision, Entry, Op, VERSION_END};
