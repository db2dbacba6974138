//! An engine that keeps its entries in one file, which it locks while it is open. It stands in for engines on a disk: it blocks, and hands
//! over by letting go of the file (REOPEN), never by its memory.

mod engine;
mod file;

use engine::OneFile;

plugin_abi::export_engine!(OneFile { scan, count, clear, sync, handoff });
