//! Fair: what small clients feel of deep pipelines beside them, and how evenly workers share the clients.

use std::io;

use super::figures::{Figure, figure};
use super::load::{Connections, Plan, Until};
use super::peers::Settings;
use super::process::PinnedThread;
use super::protocol::Kind;
use super::server::{LOAD_PROCESSOR, SERVER_PROCESSOR, Server};
use super::spread::{Spread, Times};
use crate::host::{Host, Options};
use crate::wait::wait_for;

/// Clients that send one request at a time and are timed.
const SMALL: usize = 4;
/// Connections of the client beside them, each with a whole pipeline under way.
const DEEP: usize = 4;
const PIPELINE: usize = 64;

/// Clients of which half leave, and as many come.
const CLIENTS: usize = 100;

/// How long small requests take, alone and beside deep pipelines, here and with redis; and how many clients each worker has.
///
/// # Errors
/// A server fails.
pub fn figures(settings: &Settings) -> Result<Vec<Figure>, String> {
    let servers = [Server::host(1, &[SERVER_PROCESSOR]), Server::redis()];
    let mut figures = times(settings, &servers)?;
    figures.push(evenness().map_err(|error| format!("kvstore: {error}"))?);
    Ok(figures)
}

/// One server in one situation.
struct Situation<'a> {
    server: &'a Server,
    name: &'static str,
    connections: Connections,
    rounds: Vec<Times>,
    /// Operations per second of the small clients.
    per_s: Vec<f64>,
}

fn times(settings: &Settings, servers: &[Server]) -> Result<Vec<Figure>, String> {
    let _pinned = PinnedThread::to(LOAD_PROCESSOR);
    let (keys, value_len) = (settings.keys, 32);
    let plan = |server: &Server, kind, seed| Plan {
        protocol: server.protocol,
        kind,
        pipeline: PIPELINE,
        value_len,
        keys,
        seed,
    };
    let mut situations = Vec::new();
    for server in servers {
        let failed = |error: io::Error| format!("{}: {error}", server.name);
        let fill = Connections::open(&server.address, 8).map_err(failed)?;
        fill.run(&plan(server, Kind::Set, 0), Until::AllKeys).map_err(failed)?;
        for (name, deep) in [("alone", 0), ("beside 4 pipelines of 64", DEEP)] {
            let connections = Connections::open(&server.address, SMALL + deep).map_err(failed)?;
            situations.push(Situation { server, name, connections, rounds: Vec::new(), per_s: Vec::new() });
        }
    }
    for number in 0..settings.rounds {
        for it in &mut situations {
            let plan = plan(it.server, Kind::Get, number as u64);
            let done = it.connections.run_timed(&plan, Until::Elapsed(settings.round_time), SMALL);
            let (done, times) = done.map_err(|error| format!("{}: {error}", it.server.name))?;
            it.per_s.push(times.len() as f64 / done.elapsed.as_secs_f64());
            it.rounds.push(Times::of(times));
        }
    }
    let row = |it: &Situation<'_>| {
        let us = |part: fn(&Times) -> u32| {
            let spread = Spread::of(it.rounds.iter().map(|times| f64::from(part(times)) / 1e3));
            spread.map_or_else(String::new, |spread| format!("{spread:.0}"))
        };
        let per_s = Spread::of(it.per_s.iter().map(|per_s| per_s / 1e3));
        let per_s = per_s.map_or_else(String::new, |spread| format!("{spread:.1}"));
        figure(
            format!(
                "{}, {SMALL} clients with one GET at a time, {}: median, p99, µs; thousands per second",
                it.server.name, it.name
            ),
            format!("{}, {}; {per_s}", us(|times| times.median), us(|times| times.p99)),
            "",
        )
    };
    Ok(situations.iter().map(row).collect())
}

/// Clients of each of two workers: when many came, when all of one worker's left, and when as many came again.
fn evenness() -> io::Result<Figure> {
    let host = Host::start_with(crate::engines::Engine::Memory, &Options::args(&["--workers", "2"]));
    let address = format!("127.0.0.1:{}", host.port());
    let mut client = host.client();
    // The client that asks is one of them.
    let mut shared = |all: usize| {
        wait_for(format!("{all} clients"), || {
            let info = client.info(Some("threads")).expect("INFO");
            let counts = info.lines().filter_map(|line| line.split_once(":clients=")?.1.trim().parse().ok());
            let counts: Vec<usize> = counts.collect();
            (counts.iter().sum::<usize>() == all).then(|| format!("{counts:?}"))
        })
    };
    let mut sockets = Vec::new();
    while sockets.len() < CLIENTS - 1 {
        sockets.push(std::net::TcpStream::connect(&address)?);
    }
    let mut counts = vec![shared(CLIENTS)];
    // They went to the workers in turn.
    let mut number = 0;
    sockets.retain(|_| {
        number += 1;
        number % 2 == 0
    });
    counts.push(shared(sockets.len() + 1));
    while sockets.len() < CLIENTS - 1 {
        sockets.push(std::net::TcpStream::connect(&address)?);
    }
    counts.push(shared(CLIENTS));
    let what =
        "clients of each of two workers: 100 have come; every second one has left; as many have come again";
    Ok(figure(what, counts.join("; "), ""))
}
