//! INFO: what the server and its engine are and do, in sections, from real counters only.

mod commands;
pub(super) mod process;

use std::fmt::{Display, Write};
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Error, KeyspaceTask, config, save};
use crate::plugin::Keyspace;
use crate::protocol::{Request, Value};
use crate::server::{ClientInfo, Counted, Server};
use process::Usage;

/// The version of Redis that this server's replies are equal to.
pub(super) const REDIS_VERSION: &str = "7.0.15";

/// A section: its name, whether it is told without being asked for, and what it says.
type Section = (&'static str, bool, fn(&mut Lines, &Source<'_>));

const SECTIONS: [Section; 14] = [
    ("Server", true, server),
    ("Clients", true, clients),
    ("Memory", true, memory),
    ("Persistence", true, persistence),
    ("Stats", true, stats),
    ("Threads", true, threads),
    ("Replication", true, replication),
    ("CPU", true, cpu),
    ("Modules", true, |_, _| {}),
    ("Commandstats", false, commands::commandstats),
    ("Errorstats", true, commands::errorstats),
    ("Latencystats", false, commands::latencystats),
    ("Cluster", true, cluster),
    ("Engine", true, engine),
];
/// The last one, as in Redis.
const KEYSPACE: Section = ("Keyspace", true, keyspace);

/// Where sections take their figures from.
struct Source<'a> {
    server: &'a Server,
    keyspace: &'a dyn Keyspace,
    /// The engine's own figures, or why there are none.
    engine: Result<Vec<(String, String)>, Error>,
    usage: Usage,
    counted: Counted,
}

pub(super) fn info(request: Request<'_>) -> Result<Box<dyn KeyspaceTask>, Error> {
    let mut wanted: Vec<Vec<u8>> = request.iter().skip(1).map(<[u8]>::to_ascii_lowercase).collect();
    if wanted.is_empty() {
        wanted.push(b"default".to_vec());
    }
    Ok(Box::new(Info { wanted }))
}

struct Info {
    /// Names of sections, in lower case.
    wanted: Vec<Vec<u8>>,
}

impl Info {
    fn wants(&self, &(name, by_default, _): &Section) -> bool {
        self.wanted.iter().any(|wanted| match &wanted[..] {
            b"all" | b"everything" => true,
            b"default" => by_default,
            wanted => wanted.eq_ignore_ascii_case(name.as_bytes()),
        })
    }
}

impl KeyspaceTask for Info {
    fn run(&self, keyspace: &dyn Keyspace, server: &Server) -> Value {
        let sections: Vec<Section> =
            SECTIONS.into_iter().chain([KEYSPACE]).filter(|section| self.wants(section)).collect();
        // Neither figures of the engine nor of the system are asked for when no section tells them.
        let tells = |names: &[&str]| sections.iter().any(|(name, _, _)| names.contains(name));
        let engine = if tells(&["Engine", "Keyspace", "Memory"]) { keyspace.stats() } else { Ok(Vec::new()) };
        let usage = if tells(&["Memory", "CPU"]) { Usage::now() } else { Usage::default() };
        let counts = tells(&["Stats", "Commandstats", "Latencystats"]);
        let counted = if counts { server.tallies.sum() } else { Counted::default() };
        let source = Source { server, keyspace, engine: engine.map_err(Error::from), usage, counted };
        let mut lines = Lines(String::new());
        for (name, _, write) in sections {
            if !lines.0.is_empty() {
                lines.0.push_str("\r\n");
            }
            // Writing to a string cannot fail.
            let _ = write!(lines.0, "# {name}\r\n");
            write(&mut lines, &source);
        }
        Value::Verbatim { format: "txt".into(), text: lines.0.into_bytes() }
    }
}

/// The text, line by line.
struct Lines(String);

impl Lines {
    fn put(&mut self, name: &str, value: impl Display) {
        let _ = write!(self.0, "{name}:{value}\r\n");
    }

    fn put_count(&mut self, name: &str, counter: &AtomicU64) {
        self.put(name, counter.load(Ordering::Relaxed));
    }

    /// A number of bytes, and the same once more for people.
    fn put_bytes(&mut self, name: &str, bytes: u64) {
        self.put(name, bytes);
        self.put(&format!("{name}_human"), Human(bytes));
    }
}

/// A part of a whole as Redis shows it: `12.34%`.
struct Percent(u64, u64);

impl Display for Percent {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{:.2}%", self.0 as f64 * 100.0 / self.1.max(1) as f64)
    }
}

/// A number of bytes as Redis shows it to people: `1.20M`.
struct Human(u64);

impl Display for Human {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let units = [(1_u64 << 40, 'T'), (1 << 30, 'G'), (1 << 20, 'M'), (1 << 10, 'K')];
        match units.into_iter().find(|(size, _)| self.0 >= *size) {
            Some((size, unit)) => write!(formatter, "{:.2}{unit}", self.0 as f64 / size as f64),
            None => write!(formatter, "{}B", self.0),
        }
    }
}

fn server(lines: &mut Lines, source: &Source<'_>) {
    let (server, facts) = (source.server, &source.server.facts);
    let uptime_s = server.clock.monotonic_ns() / 1_000_000_000;
    lines.put("redis_version", REDIS_VERSION);
    lines.put("kvstore_version", env!("CARGO_PKG_VERSION"));
    lines.put("redis_mode", "standalone");
    lines.put("os", process::os());
    lines.put("arch_bits", usize::BITS);
    lines.put("multiplexing_api", "epoll");
    lines.put("process_id", std::process::id());
    lines.put("run_id", &facts.run_id);
    lines.put("tcp_port", facts.tcp_port);
    lines.put("server_time_usec", server.clock.now_us());
    lines.put("uptime_in_seconds", uptime_s);
    lines.put("uptime_in_days", uptime_s / 86_400);
    let executable = std::env::current_exe().unwrap_or_default();
    lines.put("executable", executable.display());
    lines.put("config_file", facts.config_file.as_deref().unwrap_or_default());
    lines.put("workers", facts.workers);
}

fn clients(lines: &mut Lines, source: &Source<'_>) {
    let server = source.server;
    lines.put("connected_clients", server.clients.len());
    lines.put("cluster_connections", 0);
    let clients = server.clients.list();
    let most = |of: fn(&ClientInfo) -> usize| clients.iter().map(of).max().unwrap_or(0);
    lines.put("client_recent_max_input_buffer", most(|client| client.memory.input));
    lines.put("client_recent_max_output_buffer", most(|client| client.memory.output_memory));
    lines.put("maxclients", server.settings.clients_max.load(Ordering::Relaxed));
    lines.put("blocked_clients", 0);
    lines.put("tracking_clients", 0);
}

/// What is the process's own is what it uses; what it shares with its file counts as resident only.
fn memory(lines: &mut Lines, source: &Source<'_>) {
    let Usage { anonymous_bytes, resident_bytes, resident_peak_bytes, system_bytes, .. } = source.usage;
    lines.put_bytes("used_memory", anonymous_bytes);
    lines.put_bytes("used_memory_rss", resident_bytes);
    lines.put_bytes("used_memory_peak", resident_peak_bytes);
    lines.put("used_memory_peak_perc", Percent(anonymous_bytes, resident_peak_bytes));
    // What the entries take, where the engine says it.
    let told = source.engine.iter().flatten().find(|(name, _)| name == "memory_bytes");
    if let Some(entries_bytes) = told.and_then(|(_, number)| number.parse::<u64>().ok()) {
        lines.put("used_memory_overhead", anonymous_bytes.saturating_sub(entries_bytes));
        lines.put("used_memory_dataset", entries_bytes);
        lines.put("used_memory_dataset_perc", Percent(entries_bytes, anonymous_bytes));
    }
    lines.put_bytes("total_system_memory", system_bytes);
    lines.put_bytes("maxmemory", config::memory_limit_bytes(source.server));
    lines.put("maxmemory_policy", config::memory_policy(source.server));
    let fragmentation = resident_bytes as f64 / anonymous_bytes.max(1) as f64;
    lines.put("mem_fragmentation_ratio", format_args!("{fragmentation:.2}"));
    lines.put("mem_fragmentation_bytes", resident_bytes.saturating_sub(anonymous_bytes));
    let clients_bytes = source.server.clients.list().iter().map(|client| client.memory.total).sum::<usize>();
    lines.put("mem_clients_slaves", 0);
    lines.put("mem_clients_normal", clients_bytes);
    lines.put("mem_cluster_links", 0);
    lines.put("mem_aof_buffer", 0);
    lines.put("mem_allocator", "libc");
    lines.put("active_defrag_running", 0);
}

/// Neither of Redis' two ways is here: they are told as off. A save is the engine's own, where it can (`engine_capabilities`).
fn persistence(lines: &mut Lines, source: &Source<'_>) {
    lines.put("loading", 0);
    lines.put("async_loading", 0);
    lines.put("rdb_bgsave_in_progress", 0);
    lines.put("rdb_last_save_time", save::last_save_s(source.server));
    lines.put("rdb_last_bgsave_status", "ok");
    lines.put("rdb_last_bgsave_time_sec", -1);
    lines.put("rdb_current_bgsave_time_sec", -1);
    lines.put_count("rdb_saves", &source.server.stats.saves);
    lines.put("aof_enabled", 0);
    lines.put("aof_rewrite_in_progress", 0);
    lines.put("aof_rewrite_scheduled", 0);
    lines.put("aof_last_rewrite_time_sec", -1);
    lines.put("aof_current_rewrite_time_sec", -1);
    lines.put("aof_last_bgrewrite_status", "ok");
    lines.put("aof_last_write_status", "ok");
}

fn stats(lines: &mut Lines, source: &Source<'_>) {
    let stats = &source.server.stats;
    let rates = source.server.rates();
    lines.put_count("total_connections_received", &stats.connections);
    lines.put("total_commands_processed", source.counted.commands);
    lines.put("instantaneous_ops_per_sec", rates.commands);
    lines.put("total_net_input_bytes", stats.input_bytes.get());
    lines.put("total_net_output_bytes", stats.output_bytes.get());
    lines.put("instantaneous_input_kbps", format_args!("{:.2}", rates.input_bytes as f64 / 1024.0));
    lines.put("instantaneous_output_kbps", format_args!("{:.2}", rates.output_bytes as f64 / 1024.0));
    lines.put_count("rejected_connections", &stats.connections_rejected);
    lines.put_count("expired_keys", &stats.expired);
    lines.put_count("evicted_keys", &stats.evicted);
    lines.put("keyspace_hits", source.counted.hits);
    lines.put("keyspace_misses", source.counted.misses);
    let pubsub = &source.server.pubsub;
    lines.put("pubsub_channels", pubsub.channels.len());
    lines.put("pubsub_patterns", pubsub.patterns_len());
    lines.put("pubsubshard_channels", pubsub.shard_channels.len());
    lines.put_count("total_error_replies", &stats.errors);
    lines.put_count("engine_error_replies", &stats.engine_errors);
}

fn replication(lines: &mut Lines, _: &Source<'_>) {
    lines.put("role", "master");
    lines.put("connected_slaves", 0);
    lines.put("master_failover_state", "no-failover");
    lines.put("master_repl_offset", 0);
    lines.put("repl_backlog_active", 0);
}

fn cpu(lines: &mut Lines, source: &Source<'_>) {
    let seconds = |us: u64| format!("{}.{:06}", us / 1_000_000, us % 1_000_000);
    lines.put("used_cpu_sys", seconds(source.usage.system_us));
    lines.put("used_cpu_user", seconds(source.usage.user_us));
}

/// In the words of Redis 8: its I/O threads are what the workers are here.
fn threads(lines: &mut Lines, source: &Source<'_>) {
    let server = source.server;
    for (index, clients) in server.clients.by_worker(server.facts.workers).iter().enumerate() {
        lines.put(&format!("io_thread_{index}"), format_args!("clients={clients}"));
    }
}

fn cluster(lines: &mut Lines, _: &Source<'_>) {
    lines.put("cluster_enabled", 0);
}

fn engine(lines: &mut Lines, source: &Source<'_>) {
    let (keyspace, stats) = (source.keyspace, &source.server.stats);
    let identity = keyspace.identity();
    lines.put("engine_name", &identity.name);
    lines.put("engine_version", &identity.version);
    lines.put("engine_generation", keyspace.generation());
    lines.put("engine_capabilities", identity.capability_names().join(","));
    lines.put("engine_symbols", keyspace.symbols().join(","));
    lines.put("engine_batches", stats.batches.get());
    lines.put("engine_operations", stats.operations.get());
    lines.put_count("engine_reloads", &stats.reloads);
    lines.put_count("engine_reloads_refused", &stats.reloads_refused);
    match &source.engine {
        Ok(figures) => {
            figures
                .iter()
                .for_each(|(name, value)| lines.put(&format!("engine_stat_{}", word(name)), line(value)));
        }
        Err(error) => lines.put("engine_stats_error", line(&error.0)),
    }
    for (engine, name, number) in source.server.metrics.list() {
        if engine == identity.name {
            lines.put(&format!("engine_metric_{}", word(&name)), number);
        }
    }
}

/// Text of an engine that is to be a name here: nothing in it ends the name.
fn word(text: &str) -> String {
    text.replace(|letter: char| !letter.is_ascii_alphanumeric(), "_")
}

/// Text of an engine that is to stay on its line.
fn line(text: &str) -> String {
    text.replace(char::is_control, " ")
}

/// The only keyspace, where there are entries. An engine that does not say how many of them expire is told as 0: tools cannot read the
/// line without it.
fn keyspace(lines: &mut Lines, source: &Source<'_>) {
    let Some(keys) = source.keyspace.count().ok().filter(|&keys| keys > 0) else { return };
    let told = source.engine.iter().flatten().find(|(name, _)| name == "keys_with_expiry");
    let expires = told.map_or("0", |(_, number)| number);
    lines.put("db0", format_args!("keys={keys},expires={expires},avg_ttl=0"));
}

#[cfg(test)]
mod tests {
    use plugin_abi::Status;
    use plugin_abi::raw::KV_CAP_THREAD_SAFE;

    use super::Human;
    use crate::command::testing::Rig;

    fn headings(text: &str) -> Vec<&str> {
        text.split(' ')
            .zip(text.split(' ').skip(1))
            .filter(|(sign, _)| sign.ends_with('#'))
            .map(|(_, name)| name)
            .collect()
    }

    #[test]
    fn sections_are_chosen_by_name() {
        let mut rig = Rig::new();
        let default = [
            "Server",
            "Clients",
            "Memory",
            "Persistence",
            "Stats",
            "Threads",
            "Replication",
            "CPU",
            "Modules",
            "Errorstats",
            "Cluster",
            "Engine",
            "Keyspace",
        ];
        assert_eq!(headings(&rig.run("INFO")), default);
        assert_eq!(headings(&rig.run("INFO default")), default);
        assert_eq!(headings(&rig.run("INFO everything")).len(), default.len() + 2);
        assert_eq!(headings(&rig.run("INFO ALL")), headings(&rig.run("INFO everything")));
        assert_eq!(headings(&rig.run("INFO cpu SERVER")), ["Server", "CPU"]);
        assert_eq!(
            rig.run("INFO replication cluster"),
            "$160 # Replication role:master connected_slaves:0 master_failover_state:no-failover master_repl_offset:0 \
             repl_backlog_active:0  # Cluster cluster_enabled:0"
        );
        assert_eq!(rig.run("INFO nosuch"), "$0");
        rig.run("HELLO 3");
        assert_eq!(rig.run("INFO cluster"), "=34 txt:# Cluster cluster_enabled:0");
    }

    #[test]
    fn figures_are_the_real_ones() {
        let mut rig = Rig::new();
        rig.server.facts.tcp_port = 8080;
        rig.server.facts.workers = 2;
        rig.session.tally.open().hits = 7;
        rig.server.stats.batches.add(3);
        rig.server.metrics.note("map", "syncs", true, 2);
        rig.server.metrics.note("other", "syncs", true, 5);
        rig.expect(&[("SET a 1", "+OK"), ("SET b 1 EX 100", "+OK")]);
        let text = rig.run("INFO everything");
        for field in [
            "redis_version:7.0.15",
            "redis_mode:standalone",
            "tcp_port:8080",
            "connected_clients:1",
            "maxclients:10000",
            "# Threads io_thread_0:clients=1 io_thread_1:clients=0 ",
            "maxmemory:0",
            "loading:0",
            "aof_enabled:0",
            "keyspace_hits:7",
            "role:master",
            "cmdstat_info:calls=",
            "engine_name:map",
            "engine_version:1.2.3",
            "engine_generation:1",
            "engine_capabilities:THREAD_SAFE,EXPIRY",
            "engine_symbols:kv_scan,kv_stats",
            "engine_batches:3",
            "engine_stat_odd_name___:a  b",
            "engine_metric_syncs:2",
            "db0:keys=2,expires=1,avg_ttl=0",
        ] {
            assert!(text.contains(field), "{field} in {text}");
        }
        let number = |name: &str| {
            let rest = &text[text.find(name).unwrap() + name.len()..];
            rest.split(' ').next().unwrap().parse::<f64>().unwrap()
        };
        assert!(number(" used_memory:") > 0.0 && number(" used_memory:") < number(" used_memory_rss:"));
        assert!(number(" used_memory_rss:") <= number(" used_memory_peak:"));
        assert!(number(" used_cpu_user:") + number(" used_cpu_sys:") > 0.0);
        assert_eq!(number(" process_id:"), f64::from(std::process::id()));
    }

    #[test]
    fn what_an_engine_cannot_tell_is_not_made_up() {
        let mut rig = Rig::new();
        assert!(rig.run("INFO keyspace").ends_with("# Keyspace"), "without entries there is no line");
        rig.run("SET a 1");
        rig.map.identity.capabilities = KV_CAP_THREAD_SAFE;
        assert!(rig.run("INFO keyspace").ends_with("db0:keys=1,expires=0,avg_ttl=0"));
        rig.map.failure = Some(Status::UNAVAILABLE);
        let text = rig.run("INFO");
        assert!(text.ends_with("# Keyspace"), "{text}");
        assert!(text.contains("engine_stats_error:UNAVAILABLE the engine answered"), "{text}");
    }

    #[test]
    fn rates_are_of_the_time_since_the_last_look() {
        let server = crate::server::Server::default();
        while server.clock.monotonic_ns() < 100_000_000 {
            std::thread::yield_now();
        }
        server.tallies.add().open().commands = 1_000_000;
        let rates = server.rates();
        assert!(0 < rates.commands && rates.commands <= 10_000_000, "{rates:?}");
        assert_eq!((rates.input_bytes, rates.output_bytes), (0, 0));
    }

    #[test]
    fn bytes_for_people() {
        for (bytes, text) in
            [(0, "0B"), (1023, "1023B"), (1024, "1.00K"), (1_262_584, "1.20M"), (3 << 40, "3.00T")]
        {
            assert_eq!(Human(bytes).to_string(), text);
        }
    }
}
