//! Command: the list of sub-commands.

use super::{bench, data, engine, info, monitor, raw, scan, self_test, shell, stat, transfer, watch};
use std::ffi::OsString;

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    #[command(flatten)]
    Data(data::Data),
    /// Print all keys, portion by portion, without holding the host up
    Scan(scan::Scan),
    /// Print what the host says about itself
    Info(info::Info),
    /// Show, reload or roll back the host's engine
    #[command(subcommand, disable_help_subcommand = true)]
    Engine(engine::Engine),
    Watch(watch::Watch),
    Monitor(monitor::Monitor),
    Stat(stat::Stat),
    Test(self_test::SelfTest),
    Bench(Box<bench::Bench>),
    /// Send any words as one request, as they are
    Raw(raw::Raw),
    Export(transfer::Export),
    Import(transfer::Import),
    /// Print the completions for a shell
    Completions(shell::Completions),
    /// Write the man pages of this program to a directory
    Man(shell::Man),
    #[command(external_subcommand)]
    Other(Vec<OsString>),
}
