//! Figures: what is promised beside the comparison with peers: memory, workers, growth, idle connections and many of them, adopt.

use std::fmt;
use std::path::Path;
use std::time::{Duration, Instant};

use super::growth::Growth;
use super::load::{Connections, Plan, Until};
use super::peers::{Group, Settings, measure};
use super::pipeline;
use super::process::{cpu_ns, resident_bytes};
use super::protocol::{Kind, Protocol};
use super::server::{LOAD_PROCESSOR, SERVER_PROCESSOR, Server};
use super::spread::{Spread, Times};
use super::{adopt, fair, growth};
use crate::binaries;

/// One row of the table.
#[derive(Clone, Debug)]
pub struct Figure {
    /// What it is of.
    pub what: String,
    /// What was measured.
    pub measured: String,
    /// What is promised; nothing for what only stands beside.
    pub reach: &'static str,
}

pub(super) fn figure(what: impl Into<String>, measured: impl Into<String>, reach: &'static str) -> Figure {
    Figure { what: what.into(), measured: measured.into(), reach }
}

/// The head of the table.
pub const HEAD: &str = "| what | measured | to reach |\n|---|---|---|";

/// As a row of a Markdown table.
impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "| {} | {} | {} |", self.what, self.measured, self.reach)
    }
}

/// Which figures there are, and how much is done for each.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// Keys that are stored to see what memory they take.
    pub memory_keys: u64,
    /// Keys to which a table grows, and how often it does.
    pub growth_keys: u64,
    /// How often.
    pub growth_rounds: usize,
    /// Connections that are idle.
    pub idle_connections: usize,
    /// For how long they are.
    pub idle_time: Duration,
    /// Connections that are open while few are busy.
    pub open_connections: usize,
    /// Keys of a state that is adopted.
    pub adopt_keys: u64,
    /// How often, idle and under load each.
    pub adopt_rounds: usize,
}

impl Default for Effort {
    fn default() -> Self {
        Self {
            memory_keys: 5_000_000,
            growth_keys: 10_000_000,
            growth_rounds: 5,
            idle_connections: 1_000,
            idle_time: Duration::from_secs(20),
            open_connections: 10_000,
            adopt_keys: 10_000_000,
            adopt_rounds: 20,
        }
    }
}

/// A figure by its name: `memory`, `threads`, `workers`, `growth`, `idle`, `open`, `fair` or `adopt`.
///
/// # Errors
/// There is no such figure, or a server fails.
pub fn by_name(name: &str, settings: &Settings, effort: &Effort) -> Result<Vec<Figure>, String> {
    match name {
        "memory" => memory(effort.memory_keys),
        "threads" => Ok(threads(settings)),
        "workers" => workers(settings),
        "growth" => growth_steps(effort),
        "idle" => idle(effort),
        "open" => open(settings, effort.open_connections),
        "fair" => fair::figures(settings),
        "adopt" => adopt::figures(effort),
        other => Err(format!("there is no figure {other}: {}", NAMES.join(", "))),
    }
}

/// The names of all figures.
pub const NAMES: [&str; 8] = ["memory", "threads", "workers", "growth", "idle", "open", "fair", "adopt"];

pub(super) fn plan(protocol: Protocol, kind: Kind, keys: u64) -> Plan {
    Plan { protocol, kind, pipeline: 64, value_len: 32, keys, seed: 1 }
}

/// What a key takes of resident memory, beside what the empty server has.
fn memory(keys: u64) -> Result<Vec<Figure>, String> {
    let servers: [(fn() -> Server, _); 3] = [
        (|| Server::host(1, &[SERVER_PROCESSOR]), "at most 78, goal 70"),
        (Server::redis, ""),
        (Server::memcached, ""),
    ];
    let mut figures = Vec::new();
    for (start, reach) in servers {
        let server = start();
        let Some(pid) = server.pid else { continue };
        let failed = |error: std::io::Error| format!("{}: {error}", server.name);
        let connections = Connections::open(&server.address, 8).map_err(failed)?;
        let empty = resident_bytes(pid);
        connections.run(&plan(server.protocol, Kind::Set, keys), Until::AllKeys).map_err(failed)?;
        let per_key = (resident_bytes(pid) - empty) as f64 / keys as f64;
        let what = format!("{}: bytes per key, {keys} keys of 16 B + 32 B, resident less empty", server.name);
        figures.push(figure(what, format!("{per_key:.1}"), reach));
    }
    Ok(figures)
}

/// What two threads do from parsed pipelines to encoded replies, as a multiple of what one does.
fn threads(settings: &Settings) -> Vec<Figure> {
    let host = pipeline::Host::start(&binaries::memory_engine(), settings.keys);
    let rate = |kind, threads| pipeline::rate(&host, kind, threads, settings.round_time);
    let row = |kind: Kind| {
        let pairs: Vec<_> = (0..settings.rounds).map(|_| (rate(kind, 1), rate(kind, 2))).collect();
        let scale = Spread::of(pairs.iter().map(|(one, two)| two / one));
        let one = Spread::of(pairs.iter().map(|(one, _)| one / 1e6));
        let measured = scale.zip(one).map(|(scale, one)| format!("{scale} of {one} million per second"));
        let what = "from parsed pipeline to encoded reply, two threads over one: ";
        figure(format!("{what}{}", kind.name()), measured.unwrap_or_default(), "at least 1.7")
    };
    vec![row(Kind::Get), row(Kind::Set)]
}

/// What an operation takes of CPU time with two workers, as a share of what it takes with one.
fn workers(settings: &Settings) -> Result<Vec<Figure>, String> {
    let both = [SERVER_PROCESSOR, LOAD_PROCESSOR];
    let mut servers = [Server::host(1, &both), Server::host(2, &both)];
    for (server, name) in servers.iter_mut().zip(["one worker", "two workers"]) {
        name.clone_into(&mut server.name);
    }
    let groups = measure(settings, &servers, |what| eprintln!("{what}"))?;
    let row = |group: &Group| {
        let [one, two] = &group.rows[..] else { return None };
        let cpu_us = |row: &super::peers::Row| row.spread(|round| round.cpu_us).map(|spread| spread.median);
        let measured = format!("{} ({:.3} µs over {:.3} µs)", two.share_of(one)?, cpu_us(two)?, cpu_us(one)?);
        let what = format!("CPU per operation over sockets, two workers over one: {}", group.case.title());
        Some(figure(what, measured, "at most 1.15"))
    };
    Ok(groups.iter().filter_map(row).collect())
}

/// The longest single `kv_set` while the table grows.
fn growth_steps(effort: &Effort) -> Result<Vec<Figure>, String> {
    let library = binaries::memory_engine();
    let keys = effort.growth_keys;
    let child = |keys: u64, file: &Path| {
        let [library, file] = [&*library, file].map(|path| path.display().to_string());
        vec!["grow".to_owned(), keys.to_string(), library, file]
    };
    let Growth { rounds, least } = growth::rounds(effort.growth_rounds, keys, child)?;
    let floor = growth::floor(keys);
    let spread = |part: fn(&Times) -> u32| {
        let spread = Spread::of(rounds.iter().map(|steps| f64::from(part(steps)) / 1e3));
        spread.map_or_else(String::new, |spread| format!("{spread:.1}"))
    };
    let text = |name: &str| format!("{name} of one kv_set, 0 to {keys} keys, µs of thread CPU time");
    let us = |ns: u32| format!("{:.1}", f64::from(ns) / 1e3);
    let same = format!("of one kv_set, the least of {} rounds with the same hashes, µs", rounds.len());
    Ok(vec![
        figure(format!("maximum {same}"), us(least.max), "at most 1,000"),
        figure(format!("p99.99 {same}"), us(least.p99_99), ""),
        figure(text("maximum"), spread(|steps| steps.max), ""),
        figure(text("p99.99"), spread(|steps| steps.p99_99), ""),
        figure(text("median"), spread(|steps| steps.median), ""),
        figure(
            "the same loop around nothing: maximum, p99.99, median",
            [floor.max, floor.p99_99, floor.median].map(us).join(", "),
            "",
        ),
    ])
}

/// What idle connections take: of CPU time, and of memory, before and after each has been used once.
fn idle(effort: &Effort) -> Result<Vec<Figure>, String> {
    let count = effort.idle_connections;
    let mut figures = Vec::new();
    for (server, cpu, memory) in
        [(Server::host(1, &[SERVER_PROCESSOR]), "0.0", "at most 20"), (Server::redis(), "", "")]
    {
        let Some(pid) = server.pid else { continue };
        let failed = |error: std::io::Error| format!("{}: {error}", server.name);
        let plan = Plan { pipeline: 16, ..plan(server.protocol, Kind::Set, 1_000) };
        // Some have been there before, so that what is made only once is there.
        let first = Connections::open(&server.address, 8).map_err(failed)?;
        first.run(&plan, Until::AllKeys).map_err(failed)?;
        let before = resident_bytes(pid);
        let connections = Connections::open(&server.address, count).map_err(failed)?;
        let per_connection = || (resident_bytes(pid) - before) as f64 / 1024.0 / count as f64;
        // A reply on a connection that came after them says that the server has taken them all.
        let last = Connections::open(&server.address, 1).map_err(failed)?;
        last.run(&plan, Until::Done(1)).map_err(failed)?;
        let fresh = per_connection();
        let get = Plan { kind: Kind::Get, ..plan };
        connections.run(&get, Until::Done(count as u64 * 16)).map_err(failed)?;
        let used = per_connection();
        let (begun, used_ns) = (Instant::now(), cpu_ns(pid));
        while begun.elapsed() < effort.idle_time {
            std::thread::park_timeout(effort.idle_time - begun.elapsed());
        }
        let share = (cpu_ns(pid) - used_ns) as f64 / begun.elapsed().as_nanos() as f64 * 100.0;
        let what = |what: &str| format!("{}, {count} idle connections: {what}", server.name);
        figures.push(figure(what("CPU, %"), format!("{share:.2}"), cpu));
        figures.push(figure(
            what("KiB resident per connection, never used, and after 16 requests at once"),
            format!("{fresh:.1}, {used:.1}"),
            memory,
        ));
    }
    Ok(figures)
}

/// The rate of few busy connections beside very many open ones, as a share of the rate without those.
fn open(settings: &Settings, count: usize) -> Result<Vec<Figure>, String> {
    let mut servers = [(); 2].map(|()| Server::host(1, &[SERVER_PROCESSOR]));
    let many = format!("{count} open");
    for (server, name) in servers.iter_mut().zip(["few open", &many]) {
        name.clone_into(&mut server.name);
    }
    let idle = Connections::open(&servers[1].address, count - settings.connections)
        .map_err(|error| format!("{count} connections: {error}"))?;
    let groups = measure(settings, &servers, |what| eprintln!("{what}"))?;
    drop(idle);
    let row = |group: &Group| {
        let [few, many] = &group.rows[..] else { return None };
        let pairs = few.rounds.iter().zip(&many.rounds);
        let rate = Spread::of(pairs.map(|(few, many)| many.per_s / few.per_s))?;
        let what = format!(
            "rate with {count} connections open and {} busy, over {} open: {}",
            settings.connections,
            settings.connections,
            group.case.title()
        );
        Some(figure(what, format!("{rate} (CPU per operation {})", many.share_of(few)?), "at least 0.90"))
    };
    Ok(groups.iter().filter_map(row).collect())
}
