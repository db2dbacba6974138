//! Reload: from one engine to the next, with real processes: what goes along, what is refused, and what is left when something goes wrong.

mod adopt;
mod by_command;
mod from;
#[cfg(debug_assertions)]
mod killed;
mod migrate;
mod one_file;
mod pinned;
mod probation;
mod refused;
mod shadow;
mod state_dir;
mod under_load;
mod waits;
mod watch;
mod watchdog;
mod zoo;
mod zoo_live;
