//! Peers: several servers under the same load, in turns, so that what changes on the machine meanwhile meets all of them.

use std::io;
use std::time::Duration;

use super::load::{Connections, Done, Plan, Until};
use super::process::{PinnedThread, Processors, cpu_ns};
use super::protocol::Kind;
use super::server::{LOAD_PROCESSOR, Server};
use super::spread::Spread;
use super::system_calls;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Case {
    /// Which operation.
    pub kind: Kind,
    /// Requests under way on each connection.
    pub pipeline: usize,
    /// Length of the values in bytes.
    pub value_len: usize,
    /// The CPU time per operation to reach, as a share of redis'.
    pub reach: f64,
}

const fn case(kind: Kind, pipeline: usize, value_len: usize, reach: f64) -> Case {
    Case { kind, pipeline, value_len, reach }
}

/// All of them. Those of the same length of values stand together: between lengths all keys are written anew.
pub const CASES: [Case; 8] = [
    case(Kind::Get, 64, 32, 0.42),
    case(Kind::Set, 64, 32, 0.45),
    case(Kind::Get, 16, 32, 0.50),
    case(Kind::Set, 16, 32, 0.52),
    case(Kind::Get, 1, 32, 0.87),
    case(Kind::Set, 1, 32, 0.90),
    case(Kind::Get, 64, 1024, 0.58),
    case(Kind::Set, 64, 1024, 0.65),
];

impl Case {
    /// As it is asked for: `get-64`, or `get-64-1024` where the values are not of 32 bytes.
    pub fn name(&self) -> String {
        let Self { kind, pipeline, value_len, .. } = self;
        let len = if *value_len == 32 { String::new() } else { format!("-{value_len}") };
        format!("{}-{pipeline}{len}", kind.name().to_lowercase())
    }

    /// For people.
    pub fn title(&self) -> String {
        let Self { kind, pipeline, value_len, .. } = self;
        let len = if *value_len == 1024 { "1 KiB".to_owned() } else { format!("{value_len} B") };
        format!("{}, pipeline {pipeline}, {len}", kind.name())
    }
}

/// How to measure.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What.
    pub cases: Vec<Case>,
    /// Number of keys, all of them present.
    pub keys: u64,
    /// Connections to each server.
    pub connections: usize,
    /// Rounds per case and server.
    pub rounds: usize,
    /// How long each of them lasts.
    pub round_time: Duration,
    /// How often at most a round is measured that other processes touched; the least touched one counts.
    pub attempts: usize,
    /// A round is touched if others used more than this share of one processor in it.
    pub others_max: f64,
    /// Whether system calls are counted too.
    pub system_calls: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            cases: CASES.to_vec(),
            keys: 1_000_000,
            connections: 50,
            rounds: 5,
            round_time: Duration::from_secs(2),
            attempts: 4,
            others_max: 0.05,
            system_calls: true,
        }
    }
}

/// One server in one round.
#[derive(Clone, Copy, Debug)]
pub struct Round {
    /// Operations per second.
    pub per_s: f64,
    /// CPU time of the server per operation in microseconds, where it is known.
    pub cpu_us: Option<f64>,
    /// The same of the load.
    pub load_us: f64,
    /// What other processes used meanwhile, as a share of one processor.
    pub others: f64,
}

/// One server in one case.
#[derive(Clone, Debug)]
pub struct Row {
    /// Which server.
    pub server: String,
    /// All rounds.
    pub rounds: Vec<Round>,
    /// How many more were measured, and thrown away because others touched them.
    pub repeated: usize,
    /// System calls per operation, where they were counted.
    pub system_calls: Option<f64>,
}

impl Row {
    /// Of one figure over all rounds.
    pub fn spread(&self, figure: impl Fn(&Round) -> Option<f64>) -> Option<Spread> {
        Spread::of(self.rounds.iter().filter_map(figure))
    }

    /// The CPU time per operation as a share of that of another server, each round by the round that was next to it.
    pub fn share_of(&self, other: &Self) -> Option<Spread> {
        let pairs = self.rounds.iter().zip(&other.rounds);
        Spread::of(pairs.filter_map(|(own, other)| Some(own.cpu_us? / other.cpu_us?)))
    }
}

/// All servers in one case.
#[derive(Clone, Debug)]
pub struct Group {
    /// Which.
    pub case: Case,
    /// One for each server, in their order.
    pub rows: Vec<Row>,
}

/// Measures these servers, and tells `progress` what it is about to do.
///
/// # Errors
/// A server closed a connection, is silent, or answered something else than it has to.
pub fn measure(
    settings: &Settings,
    servers: &[Server],
    mut progress: impl FnMut(&str),
) -> Result<Vec<Group>, String> {
    let failed = |server: &Server| {
        let name = server.name.clone();
        move |error: io::Error| format!("{name}: {error}")
    };
    let _pinned = PinnedThread::to(LOAD_PROCESSOR);
    let mut loaded_len = None;
    let mut groups = Vec::new();
    let mut connections = Vec::new();
    for server in servers {
        connections.push(Connections::open(&server.address, settings.connections).map_err(failed(server))?);
    }
    for case in &settings.cases {
        let plan = |server: &Server, seed| Plan {
            protocol: server.protocol,
            kind: case.kind,
            pipeline: case.pipeline,
            value_len: case.value_len,
            keys: settings.keys,
            seed,
        };
        let all = || servers.iter().zip(&connections);
        if loaded_len.replace(case.value_len) != Some(case.value_len) {
            progress(&format!("{} keys with values of {} bytes", settings.keys, case.value_len));
            for (server, connections) in all() {
                let load = Plan { kind: Kind::Set, pipeline: 64, ..plan(server, 0) };
                connections.run(&load, Until::AllKeys).map_err(failed(server))?;
            }
        }
        let empty = |server: &Server| Row {
            server: server.name.clone(),
            rounds: Vec::new(),
            repeated: 0,
            system_calls: None,
        };
        let mut rows: Vec<Row> = servers.iter().map(empty).collect();
        for number in 0..settings.rounds {
            progress(&format!("{}, round {} of {}", case.title(), number + 1, settings.rounds));
            for ((server, connections), row) in all().zip(&mut rows) {
                let plan = plan(server, number as u64);
                let mut best = round(settings, server, connections, &plan).map_err(failed(server))?;
                for _ in 1..settings.attempts {
                    if best.others <= settings.others_max {
                        break;
                    }
                    let again = round(settings, server, connections, &plan).map_err(failed(server))?;
                    best = if again.others < best.others { again } else { best };
                    row.repeated += 1;
                }
                row.rounds.push(best);
            }
        }
        if settings.system_calls {
            progress(&format!("{}, system calls", case.title()));
            for ((server, connections), row) in all().zip(&mut rows) {
                let Some(pid) = server.pid else { continue };
                let wanted = (settings.connections * case.pipeline * 50) as u64;
                let mut done = None;
                let calls = system_calls::count(pid, || {
                    done = Some(connections.run(&plan(server, 0), Until::Done(wanted)));
                })?;
                let done: Option<Done> = done.transpose().map_err(failed(server))?;
                row.system_calls = done.map(|done| calls as f64 / done.operations as f64);
            }
        }
        groups.push(Group { case: *case, rows });
    }
    Ok(groups)
}

fn round(settings: &Settings, server: &Server, connections: &Connections, plan: &Plan) -> io::Result<Round> {
    let used_ns = || server.pid.map(cpu_ns);
    let (busy_before_ns, before_ns) = (Processors::now().busy_ns, used_ns());
    let done = connections.run(plan, Until::Elapsed(settings.round_time))?;
    let server_ns = used_ns().zip(before_ns).map(|(after, before)| after - before);
    let busy_ns = Processors::now().busy_ns - busy_before_ns;
    let own_ns = server_ns.unwrap_or_default() + done.cpu_ns;
    let per_operation_us = |ns: u64| ns as f64 / 1e3 / done.operations as f64;
    Ok(Round {
        per_s: done.operations as f64 / done.elapsed.as_secs_f64(),
        cpu_us: server_ns.map(per_operation_us),
        load_us: per_operation_us(done.cpu_ns),
        others: busy_ns.saturating_sub(own_ns) as f64 / done.elapsed.as_nanos() as f64,
    })
}
