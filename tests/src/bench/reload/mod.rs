//! Reload: what clients feel of a change of the engine: adopt, migrate, very many of both, and a library that is overwritten while it is mapped.

mod cases;
mod rig;
mod watch;

use std::time::Duration;

use super::figures::Figure;

/// How much is done.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Reloads of the cases adopt, migrate and overwrite, each.
    pub reloads: usize,
    /// Reloads of the case mixed.
    pub mixed_reloads: usize,
    /// Keys of 16 bytes with values of 32, of the cases adopt and migrate.
    pub keys: u64,
    /// Keys of the other cases.
    pub few_keys: u64,
    /// Connections of the load.
    pub connections: usize,
    /// Workers of the host.
    pub workers: usize,
    /// Requests per second that are offered; without it half of the top rate.
    pub rate: Option<f64>,
    /// For how long the top rate is measured.
    pub top_time: Duration,
    /// Requests due within this time of a cutover are looked at.
    pub window: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            reloads: 100,
            mixed_reloads: 1_000,
            keys: 10_000_000,
            few_keys: 100_000,
            connections: 8,
            workers: 2,
            rate: None,
            top_time: Duration::from_secs(5),
            window: Duration::from_millis(250),
        }
    }
}

/// The names of all cases.
pub const NAMES: [&str; 4] = ["adopt", "migrate", "mixed", "overwrite"];

/// A case by its name: `adopt`, `migrate`, `mixed` or `overwrite`.
///
/// # Errors
/// There is no such case, the host fails, or a reload is refused or goes another way than the case is about.
pub fn by_name(name: &str, settings: &Settings) -> Result<Vec<Figure>, String> {
    match name {
        "adopt" => cases::adopt(settings),
        "migrate" => cases::migrate(settings),
        "mixed" => cases::mixed(settings),
        "overwrite" => cases::overwrite_in_place(settings),
        other => Err(format!("there is no case {other}: {}", NAMES.join(", "))),
    }
}
