//! Hard lessons: the classes of faults that servers of this kind were broken by, each with a test of its name.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

mod commands;
mod limits;
mod machine;
