//! The program: reads the configuration and serves, or carries out a sub-command.

use std::process::ExitCode;

use clap::Parser;
use kvstore_host::config::{Cli, Command, Config};
use kvstore_host::{plugin, serve};

fn main() -> ExitCode {
    let cli = Cli::parse();
    match &cli.command {
        Some(Command::CheckChild(args)) => return plugin::check::run_child(&args.request),
        Some(Command::Completions(args)) => return written(args.print()),
        Some(Command::Man(args)) => return written(args.write()),
        Some(Command::Check(_)) | None => {}
    }
    let verbose = std::env::var("KV_VERBOSE").is_ok_and(|value| !value.is_empty() && value != "0");
    let level = if verbose { "debug" } else { "info" };
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or(level)).init();
    if let Some(Command::Check(args)) = &cli.command {
        return plugin::check::check_command(args);
    }
    let served = Config::new(cli.serve, |name| std::env::var(name).ok())
        .map_err(|error| error.to_string())
        .and_then(serve::serve);
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log::error!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn written(result: std::io::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("kvstore-host: cannot write: {error}");
            ExitCode::FAILURE
        }
    }
}
