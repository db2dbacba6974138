//! The contract as C sees it; `include/kvstore.h` is generated from the files of this folder.
//!
//! The types carry the prefix `Kv` here and `kv_` in C. A type that is handed over by pointer and may grow starts
//! with `struct_size` or comes with a stride; all others are frozen with the ABI's major version.

mod entry;
mod handoff;
mod host;
mod identity;
mod op;
mod status;
mod symbols;
mod values;

pub use entry::*;
pub use handoff::*;
pub use host::*;
pub use identity::*;
pub use op::*;
pub use status::*;
pub use symbols::*;
