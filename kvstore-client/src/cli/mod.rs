//! Command line: parses it, runs one sub-command or a session, and turns the outcome into an exit code.

mod bench;
mod clock;
mod color;
mod command;
mod data;
mod engine;
mod exit;
mod failure;
mod format;
mod info;
mod interrupt;
mod line;
mod monitor;
mod options;
mod output;
mod progress;
mod raw;
mod request;
mod scan;
mod self_test;
mod session;
mod shell;
mod stat;
mod stream;
mod syntax;
mod transfer;
mod watch;

use clap::{CommandFactory, FromArgMatches};
use command::Command;
use exit::Exit;
use failure::Failure;
use kvstore_client::Value;
use options::Options;
use output::Output;
use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

/// Talks to a kvstore host, or to any server of the Redis protocol.
///
/// Without a command it reads requests from standard input, a line each, and prints a reply for each: with a prompt on a
/// terminal, as plain lines in a pipe. A word that is no command of this program is sent to the host as it is, with all words
/// after it (`kvstore-client object encoding k`); `raw` does so with any word.
#[derive(Debug, clap::Parser)]
#[command(name = "kvstore-client", version, propagate_version = true, after_long_help = exit::HELP)]
#[command(subcommand_value_name = "COMMAND")]
pub(crate) struct Cli {
    #[command(flatten)]
    options: Options,
    #[command(subcommand)]
    command: Option<Command>,
}

pub(crate) fn main() -> ExitCode {
    let default = if std::env::var_os("KV_VERBOSE").is_some_and(|v| v == "1") { "debug" } else { "warn" };
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or(default)).init();
    let words: Vec<OsString> = std::env::args_os().collect();
    let cli = match parse(&words) {
        Ok(cli) => cli,
        Err(error) => {
            // A closed pipe after `--help` is nobody's mistake.
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage.into() } else { Exit::Done.into() };
        }
    };
    // The standard output of an export is for its entries.
    let documents = cli.options.json && !matches!(cli.command, Some(Command::Export(_)));
    let options = cli.options.clone();
    match run(cli) {
        Ok(exit) => exit.into(),
        Err(failure) => {
            if let Some(reply) = failure.reply().filter(|_| documents) {
                // Where nobody reads it, standard error and the exit code still tell.
                let mut output = Output::once(&options);
                let _ = output.reply(&Value::Error(reply)).and_then(|()| output.flush());
            }
            if let Some(text) = failure.text() {
                // Where standard error is closed as well, the exit code still tells.
                let _ = writeln!(std::io::stderr(), "{text}");
            }
            failure.exit().into()
        }
    }
}

/// Parses the words; `GET` counts as `get`, so that what redis-cli users type works the same in either case.
fn parse(words: &[OsString]) -> Result<Cli, clap::Error> {
    let cli = parse_as_typed(words)?;
    let Some(Command::Other(other)) = &cli.command else { return Ok(cli) };
    let Some(name) = other.first().and_then(|word| word.to_str()) else { return Ok(cli) };
    let lower = name.to_ascii_lowercase();
    if lower == name || !data::is_name(&lower) {
        return Ok(cli);
    }
    let at = words.len() - other.len();
    let mut lowered = words.to_vec();
    if let Some(word) = lowered.get_mut(at) {
        *word = lower.into();
    }
    parse_as_typed(&lowered)
}

fn parse_as_typed(words: &[OsString]) -> Result<Cli, clap::Error> {
    let matches = Cli::command().try_get_matches_from(words)?;
    Cli::from_arg_matches(&matches)
}

fn run(cli: Cli) -> Result<Exit, Failure> {
    let options = cli.options;
    let Some(command) = cli.command else { return session::run(&options) };
    match command {
        Command::Data(data) => request::run(&options, data.words()?),
        Command::Scan(scan) => scan.run(&options),
        Command::Info(info) => info.run(&options),
        Command::Engine(engine) => engine.run(&options),
        Command::Watch(watch) => watch.run(&options),
        Command::Monitor(monitor) => monitor.run(&options),
        Command::Stat(stat) => stat.run(&options),
        Command::Test(test) => test.run(&options),
        Command::Bench(bench) => bench.run(&options),
        Command::Raw(raw) => request::run(&options, raw.words()),
        Command::Export(export) => export.run(&options),
        Command::Import(import) => import.run(&options),
        Command::Completions(completions) => completions.run(),
        Command::Man(man) => man.run(),
        Command::Other(words) => request::run(&options, words.into_iter().map(data::bytes).collect()),
    }
}

#[cfg(test)]
mod tests;
