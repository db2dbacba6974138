//! Serving: what a host does with requests, whatever the engine.

mod bad_input;
mod boundary;
mod commands;
mod differential;
mod joint;
mod linked;
mod model;
mod program;
mod pubsub;
mod regressions;
mod statistics;
mod transactions;
