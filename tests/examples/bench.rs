//! Bench: measures the host and its peers; `scripts/bench-peers`, `bench-instructions`, `bench-figures` and `bench-reload` start it.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use tests::bench::engine::Engine;
use tests::bench::figures::{Effort, HEAD, NAMES, by_name};
use tests::bench::growth::grow;
use tests::bench::instructions::{COUNTED, Counted, Instructions, accepted_file, serve_counted};
use tests::bench::peers::{CASES, Settings, measure};
use tests::bench::reload;
use tests::bench::server::{SERVER_PROCESSOR, Server};
use tests::bench::{plot, report};

/// Measures the host and its peers.
#[derive(Debug, Parser)]
enum Args {
    /// The host, redis-server, memcached and what else is named, side by side.
    Peers(Peers),
    /// Memory, threads, workers, growth, idle and open connections, fairness, adopt.
    Figures(Figures),
    /// What clients feel of a change of the engine.
    Reload(Reload),
    /// Instructions per GET and SET, against what was last accepted.
    Instructions(Accept),
    /// What is counted by that.
    #[command(hide = true)]
    ServeCounted {
        /// What is counted: `get-64`.
        name: String,
        /// The engine's library.
        engine: PathBuf,
    },
    /// A round of growth.
    #[command(hide = true)]
    Grow {
        /// To so many keys.
        keys: u64,
        /// The engine's library.
        engine: PathBuf,
        /// Where the times go.
        file: PathBuf,
    },
}

#[derive(Debug, clap::Args)]
struct Peers {
    /// Servers that run already, as NAME=HOST:PORT.
    named: Vec<String>,
    /// Only these cases, separated by commas: get-64, set-64, get-16, set-16, get-1, set-1, get-64-1024, set-64-1024.
    #[arg(long, value_delimiter = ',')]
    cases: Vec<String>,
    /// Which of the servers that this can start, separated by commas.
    #[arg(long, value_delimiter = ',', default_value = "kvstore,redis,memcached")]
    servers: Vec<String>,
    /// Rounds per case and server.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds per round.
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Number of keys.
    #[arg(long, default_value_t = 1_000_000)]
    keys: u64,
    /// How often at most a round is measured that other processes touched.
    #[arg(long, default_value_t = 4)]
    attempts: usize,
    /// Leave out the runs that count system calls.
    #[arg(long)]
    no_system_calls: bool,
    /// Draw the figures to this file.
    #[arg(long, value_name = "FILE.svg")]
    svg: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
struct Figures {
    /// Which: memory, threads, workers, growth, idle, open, fair, adopt; without any, all.
    names: Vec<String>,
    /// Rounds of those that are measured in rounds.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds per round.
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
}

#[derive(Debug, clap::Args)]
struct Reload {
    /// Which: adopt, migrate, mixed, overwrite; without any, all.
    names: Vec<String>,
    /// Reloads of adopt, migrate and overwrite, each.
    #[arg(long, default_value_t = 100)]
    reloads: usize,
    /// Reloads of mixed.
    #[arg(long, default_value_t = 1_000)]
    mixed_reloads: usize,
    /// Keys of adopt and migrate.
    #[arg(long, default_value_t = 10_000_000)]
    keys: u64,
    /// Keys of mixed and overwrite.
    #[arg(long, default_value_t = 100_000)]
    few_keys: u64,
    /// Connections of the load.
    #[arg(long, default_value_t = 8)]
    connections: usize,
    /// Workers of the host.
    #[arg(long, default_value_t = 2)]
    workers: usize,
    /// Requests offered per second; without it half of the top rate, which is measured first.
    #[arg(long)]
    rate: Option<f64>,
    /// Requests due within so many milliseconds of a cutover are looked at.
    #[arg(long, default_value_t = 250)]
    window_ms: u64,
}

#[derive(Debug, clap::Args)]
struct Accept {
    /// Write what was counted as accepted.
    #[arg(long)]
    accept: bool,
    /// How many more than accepted are no failure, in percent.
    #[arg(long, default_value_t = 1.0)]
    tolerance: f64,
}

fn main() -> ExitCode {
    let done = match Args::parse() {
        Args::Grow { keys, engine, file } => {
            grow(&Engine::open(&engine), keys, &file).map(|()| ExitCode::SUCCESS)
        }
        Args::Peers(args) => peers(args),
        Args::Figures(args) => figures(args),
        Args::Reload(args) => reloads(args),
        Args::Instructions(args) => instructions(&args),
        Args::ServeCounted { name, engine } => {
            let counted = COUNTED.into_iter().find(|counted| counted.name() == name);
            let counted =
                counted.ok_or_else(|| format!("there is nothing to be counted of this name: {name}"));
            counted.and_then(|counted| serve_counted(counted, &engine)).map(|()| ExitCode::SUCCESS)
        }
    };
    match done {
        Ok(code) => code,
        Err(text) => {
            eprintln!("bench: {text}");
            ExitCode::FAILURE
        }
    }
}

fn peers(args: Peers) -> Result<ExitCode, String> {
    let mut cases = CASES.to_vec();
    if let Some(unknown) = args.cases.iter().find(|name| CASES.iter().all(|case| case.name() != **name)) {
        return Err(format!("there is no case {unknown}"));
    }
    if !args.cases.is_empty() {
        cases.retain(|case| args.cases.contains(&case.name()));
    }
    let mut servers = Vec::new();
    for name in &args.servers {
        servers.push(match name.as_str() {
            "kvstore" => Server::host(1, &[SERVER_PROCESSOR]),
            "redis" => Server::redis(),
            "memcached" => Server::memcached(),
            other => return Err(format!("there is no server {other}; NAME=HOST:PORT names one that runs")),
        });
    }
    for named in &args.named {
        servers.push(Server::named(named)?);
    }
    let settings = Settings {
        cases,
        keys: args.keys,
        rounds: args.rounds,
        round_time: Duration::from_secs_f64(args.seconds),
        attempts: args.attempts,
        system_calls: !args.no_system_calls,
        ..Settings::default()
    };
    let groups = measure(&settings, &servers, |what| eprintln!("{what}"))?;
    print!("{}", report::markdown(&settings, &groups));
    if let Some(path) = &args.svg {
        std::fs::write(path, plot::svg(&groups)).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn figures(args: Figures) -> Result<ExitCode, String> {
    let names = if args.names.is_empty() { NAMES.map(str::to_owned).to_vec() } else { args.names };
    let settings = Settings {
        cases: CASES.into_iter().filter(|case| case.value_len == 32).collect(),
        rounds: args.rounds,
        round_time: Duration::from_secs_f64(args.seconds),
        system_calls: false,
        ..Settings::default()
    };
    let effort = Effort { growth_rounds: args.rounds, ..Effort::default() };
    println!("{HEAD}");
    for name in &names {
        eprintln!("{name}");
        // Each at once: all of them take a while.
        by_name(name, &settings, &effort)?.iter().for_each(|row| println!("{row}"));
    }
    Ok(ExitCode::SUCCESS)
}

fn reloads(args: Reload) -> Result<ExitCode, String> {
    let names = if args.names.is_empty() { reload::NAMES.map(str::to_owned).to_vec() } else { args.names };
    let settings = reload::Settings {
        reloads: args.reloads,
        mixed_reloads: args.mixed_reloads,
        keys: args.keys,
        few_keys: args.few_keys,
        connections: args.connections,
        workers: args.workers,
        rate: args.rate,
        window: Duration::from_millis(args.window_ms),
        ..reload::Settings::default()
    };
    println!("{HEAD}");
    for name in &names {
        eprintln!("{name}");
        reload::by_name(name, &settings)?.iter().for_each(|row| println!("{row}"));
    }
    Ok(ExitCode::SUCCESS)
}

fn child_args(counted: Counted, engine: &Path) -> Vec<String> {
    vec!["serve-counted".to_owned(), counted.name(), engine.display().to_string()]
}

fn instructions(args: &Accept) -> Result<ExitCode, String> {
    let (counted, path) = (Instructions::count(child_args)?, accepted_file());
    let accepted = Instructions::read(&path);
    print!("{}", counted.compared_to(accepted.as_ref().ok().copied()));
    if args.accept {
        counted.write(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        return Ok(ExitCode::SUCCESS);
    }
    let ratio = counted.worst_ratio(accepted?);
    if ratio > 1.0 + args.tolerance / 100.0 {
        println!("more than accepted: scripts/bench-instructions --accept takes it as the new measure");
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}
