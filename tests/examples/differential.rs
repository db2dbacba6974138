//! Differential: random requests to our host and to Redis, as many as asked for; `scripts/differential` starts it.

use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use tests::differential::known::KNOWN;
use tests::differential::play::Servers;
use tests::differential::{ROUND, round};
use tests::engines::Engine;

/// Sends the same random requests to the host and to a redis-server, and compares all replies.
#[derive(Debug, Parser)]
struct Args {
    /// How many requests, to each engine.
    #[arg(long, default_value_t = 2_000_000)]
    commands: u64,
    /// Where all random numbers start; without it, by chance.
    #[arg(long)]
    seed: Option<u64>,
    /// The first round to play.
    #[arg(long, default_value_t = 0)]
    round: u64,
    /// One engine only: memory, c-example or delayed.
    #[arg(long)]
    engine: Option<String>,
    /// Go on after a difference, with the next round.
    #[arg(long)]
    go_on: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let seed = args.seed.unwrap_or_else(rand::random);
    let chosen = |engine: &Engine| args.engine.as_deref().is_none_or(|name| name == engine.name());
    let engines: Vec<Engine> = Engine::ALL.into_iter().filter(chosen).collect();
    if engines.is_empty() {
        eprintln!("no engine of that name: there are memory, c-example and delayed");
        return ExitCode::from(2);
    }
    let mut differences = 0;
    for engine in engines {
        println!("engine {}, seed {seed}", engine.name());
        let mut servers = Servers::start(engine);
        let since = Instant::now();
        let rounds = args.commands.div_ceil(ROUND as u64);
        for number in args.round..args.round + rounds {
            if let Err(difference) = round(&mut servers, seed, number) {
                differences += 1;
                println!(
                    "{difference}  repeat: scripts/differential --engine {} --seed {seed} --round {number} --commands {ROUND}",
                    engine.name()
                );
                if !args.go_on {
                    return ExitCode::FAILURE;
                }
            }
        }
        let (count, took_s) = (rounds * ROUND as u64, since.elapsed().as_secs_f64());
        println!("{count} requests in {took_s:.1} s, {:.0} per second", count as f64 / took_s);
        for (known, met) in
            KNOWN.iter().zip(&servers.judge.met).filter(|(known, _)| known.engines.contains(&engine))
        {
            println!("  known, met {met} times: {}", known.reason);
        }
    }
    println!("{differences} differences that are not known");
    if differences == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
