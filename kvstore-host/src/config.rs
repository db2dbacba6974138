//! Config: what the operator wants, from flags, environment, a file, and defaults, in this order of precedence.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand};
use serde::Deserialize;

use crate::plugin::check::{CHILD_COMMAND, CheckArgs, ChildArgs};
use crate::shell::{CompletionsArgs, ManArgs};

/// Where the host listens unless told otherwise.
const LISTEN_DEFAULT: &str = "127.0.0.1:8080";

/// A key-value server whose storage engine is a shared library, replaced while the server runs.
#[derive(Debug, Parser)]
#[command(name = "kvstore-host", version, args_conflicts_with_subcommands = true)]
pub struct Cli {
    /// What to do instead of serving.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// How to serve.
    #[command(flatten)]
    pub serve: Flags,
}

/// What the host does instead of serving.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Check an engine in a child process: its file, its identity, and the conformance suite. Exits 0 or 1.
    Check(CheckArgs),
    /// Print the completions for a shell.
    Completions(CompletionsArgs),
    /// Write the man pages of this program to a directory.
    Man(ManArgs),
    /// The child of a check.
    #[command(name = CHILD_COMMAND, hide = true)]
    CheckChild(ChildArgs),
}

/// Flags of a host that serves.
#[derive(Debug, Default, Args)]
pub struct Flags {
    /// The storage engine: path of a shared library.
    #[arg(long, value_name = "PATH")]
    pub engine: Option<PathBuf>,
    /// An option for the engine; can be repeated.
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse_option)]
    pub engine_opt: Vec<(String, String)>,
    /// Take engines from this directory only; can be repeated. Default: from anywhere.
    #[arg(long, value_name = "DIR")]
    pub engine_dir: Vec<PathBuf>,
    /// Address to listen on; can be repeated. Default: KV_HOST and KV_PORT, else 127.0.0.1:8080.
    #[arg(long, value_name = "ADDR")]
    pub listen: Vec<String>,
    /// Unix socket to listen on as well.
    #[arg(long, value_name = "PATH")]
    pub unix: Option<PathBuf>,
    /// Permissions of the Unix socket, octal [default: 600].
    #[arg(long, value_name = "MODE", value_parser = parse_mode)]
    pub unix_mode: Option<u32>,
    /// Number of event loops [default: one per core].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub workers: Option<u16>,
    /// Longest key in bytes [default: 65536].
    #[arg(long, value_name = "BYTES")]
    pub key_len_max: Option<usize>,
    /// Longest value in bytes [default: 536870912].
    #[arg(long, value_name = "BYTES")]
    pub value_len_max: Option<usize>,
    /// Most clients at a time [default: 10000].
    #[arg(long, value_name = "N")]
    pub clients_max: Option<usize>,
    /// Directory in which it is kept which engine serves: the next start serves with that, whatever --engine says then.
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// Start with --engine, whatever the state directory says, and keep that there.
    #[arg(long)]
    pub ignore_manifest: bool,
    /// Reload the engine whenever the file of --engine has changed and settled.
    #[arg(long)]
    pub watch: bool,
    /// Configuration file.
    #[arg(long, value_name = "FILE.toml")]
    pub config: Option<PathBuf>,
}

/// The configuration file. Every key is optional, and has the meaning of the flag of that name.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    engine: Option<PathBuf>,
    #[serde(default)]
    engine_opt: BTreeMap<String, toml::Value>,
    #[serde(default)]
    engine_dir: Vec<PathBuf>,
    #[serde(default)]
    listen: Vec<String>,
    unix: Option<PathBuf>,
    unix_mode: Option<String>,
    workers: Option<u16>,
    key_len_max: Option<usize>,
    value_len_max: Option<usize>,
    clients_max: Option<usize>,
    state_dir: Option<PathBuf>,
    watch: Option<bool>,
    /// How long a reload waits for what is under way, in milliseconds.
    drain_timeout_ms: Option<u64>,
    /// Requests at most that fail in an engine on probation.
    probation_errors_max: Option<u64>,
    /// How many percent of what it was the 99th percentile of the commands' times may be on probation; 0 is any.
    probation_latency_percent: Option<u64>,
    /// Times that are never too long on probation, in microseconds.
    probation_latency_floor_us: Option<u64>,
    /// How long `kv_open` and `kv_close` may take, in milliseconds.
    open_timeout_ms: Option<u64>,
    /// After how long a call of the engine that has not returned is told in the log, in milliseconds; 0: never.
    watchdog_ms: Option<u64>,
    /// After how long a client that takes no replies is closed, in milliseconds; 0 is never.
    output_stall_timeout_ms: Option<u64>,
    /// After how long an idle client is closed, in seconds; 0 is never.
    idle_timeout_s: Option<u64>,
    /// From which time on a batch of requests is noted in the slowlog, in microseconds; negative: none is.
    slowlog_threshold_us: Option<i64>,
    /// How much may wait for a client that does not read, by class: `normal 1gb 0 0 pubsub 32mb 8mb 60`.
    client_output_buffer_limit: Option<String>,
    /// Which keyspace events are told, as letters.
    notify_keyspace_events: Option<String>,
    /// Requests that the slowlog keeps.
    slowlog_len_max: Option<usize>,
    /// From which time on something counts as a spike of latency, in milliseconds; 0: nothing does.
    latency_threshold_ms: Option<u64>,
    /// Whether the times of commands go to histograms.
    latency_tracking: Option<bool>,
    /// Where private copies of libraries are kept; must allow programs to be run from it.
    copies_dir: Option<PathBuf>,
}

/// What the operator wants, complete.
#[derive(Debug, PartialEq, Eq)]
pub struct Config {
    /// The engine's library. It may be missing where a state directory can tell.
    pub engine: Option<PathBuf>,
    /// Its options.
    pub engine_opt: Vec<(String, String)>,
    /// From where engines are taken; empty: from anywhere.
    pub engine_dir: Vec<PathBuf>,
    /// TCP addresses to listen on.
    pub listen: Vec<SocketAddr>,
    /// Unix socket to listen on.
    pub unix: Option<PathBuf>,
    /// Its permissions.
    pub unix_mode: u32,
    /// Number of event loops.
    pub workers: usize,
    /// Longest key in bytes.
    pub key_len_max: usize,
    /// Longest value in bytes.
    pub value_len_max: usize,
    /// Most clients at a time.
    pub clients_max: usize,
    /// How long a reload waits for what is under way, in milliseconds.
    pub drain_timeout_ms: u64,
    /// As in the file.
    pub probation_errors_max: u64,
    /// As in the file.
    pub probation_latency_percent: u64,
    /// As in the file.
    pub probation_latency_floor_us: u64,
    /// How long `kv_open` and `kv_close` may take, in milliseconds.
    pub open_timeout_ms: u64,
    /// After how long a call of the engine that has not returned is told, in milliseconds; 0: never.
    pub watchdog_ms: u64,
    /// After how long a client that takes no replies is closed, in milliseconds; 0 is never.
    pub output_stall_timeout_ms: u64,
    /// After how long an idle client is closed, in seconds; 0 is never.
    pub idle_timeout_s: u64,
    /// From which time on a batch of requests is noted in the slowlog, in microseconds; negative: none is.
    pub slowlog_threshold_us: i64,
    /// How much may wait for a client that does not read, by class: `normal 1gb 0 0 pubsub 32mb 8mb 60`.
    pub client_output_buffer_limit: Option<String>,
    /// Which keyspace events are told, as letters.
    pub notify_keyspace_events: Option<String>,
    /// Requests that the slowlog keeps.
    pub slowlog_len_max: usize,
    /// From which time on something counts as a spike of latency, in milliseconds; 0: nothing does.
    pub latency_threshold_ms: u64,
    /// Whether the times of commands go to histograms.
    pub latency_tracking: bool,
    /// Where private copies of libraries are kept.
    pub copies_dir: Option<PathBuf>,
    /// Where it is kept which engine serves.
    pub state_dir: Option<PathBuf>,
    /// Start with the engine given, whatever is kept there.
    pub ignore_manifest: bool,
    /// Reload the engine whenever its file has changed.
    pub watch: bool,
    /// The configuration file, if there is one.
    pub file: Option<PathBuf>,
}

/// What is wrong with the configuration, and what to do.
#[derive(Debug, PartialEq, Eq)]
pub struct ConfigError(String);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ConfigError {}

/// What is said where nobody gives an engine, and none served last.
pub(crate) const NO_ENGINE: &str = "no engine: give --engine PATH, or 'engine' in the configuration file";

impl Config {
    /// Puts flags, environment and file together. `env` answers a variable's value.
    ///
    /// # Errors
    /// What is missing or cannot be understood, and where it stands.
    pub fn new(flags: Flags, env: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let file = flags.config.as_deref().map(read).transpose()?.unwrap_or_default();
        let engine = flags.engine.or(file.engine);
        let state_dir = flags.state_dir.or(file.state_dir);
        if engine.is_none() && (state_dir.is_none() || flags.ignore_manifest) {
            return Err(ConfigError(NO_ENGINE.to_owned()));
        }
        if flags.ignore_manifest && state_dir.is_none() {
            return Err(ConfigError("--ignore-manifest: there is none without --state-dir DIR".to_owned()));
        }
        let mut engine_opt = Vec::new();
        for (key, value) in file.engine_opt {
            // A flag for the same key wins.
            if !flags.engine_opt.iter().any(|(flag, _)| *flag == key) {
                engine_opt.push((key, plain(value)));
            }
        }
        engine_opt.extend(flags.engine_opt);
        let unix_mode = match (flags.unix_mode, file.unix_mode) {
            (Some(mode), _) => mode,
            (None, Some(text)) => {
                parse_mode(&text).map_err(|error| ConfigError(format!("unix_mode: {error}")))?
            }
            (None, None) => 0o600,
        };
        let texts = if !flags.listen.is_empty() {
            flags.listen
        } else {
            match (env("KV_HOST"), env("KV_PORT")) {
                (None, None) if !file.listen.is_empty() => file.listen,
                (None, None) => vec![LISTEN_DEFAULT.to_owned()],
                (host, port) => {
                    vec![join(host.as_deref().unwrap_or("127.0.0.1"), port.as_deref().unwrap_or("8080"))]
                }
            }
        };
        let listen = texts.iter().map(|text| resolve(text)).collect::<Result<_, _>>()?;
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Ok(Self {
            engine,
            engine_opt,
            engine_dir: if flags.engine_dir.is_empty() { file.engine_dir } else { flags.engine_dir },
            listen,
            unix: flags.unix.or(file.unix),
            unix_mode,
            workers: flags.workers.or(file.workers).map_or(cores, usize::from).max(1),
            key_len_max: flags.key_len_max.or(file.key_len_max).unwrap_or(64 << 10),
            value_len_max: flags.value_len_max.or(file.value_len_max).unwrap_or(512 << 20),
            clients_max: flags.clients_max.or(file.clients_max).unwrap_or(10_000),
            drain_timeout_ms: file.drain_timeout_ms.unwrap_or(5_000),
            probation_errors_max: file.probation_errors_max.unwrap_or(10),
            probation_latency_percent: file.probation_latency_percent.unwrap_or(300),
            probation_latency_floor_us: file.probation_latency_floor_us.unwrap_or(1_000),
            open_timeout_ms: file.open_timeout_ms.unwrap_or(30_000),
            watchdog_ms: file.watchdog_ms.unwrap_or(1_000),
            output_stall_timeout_ms: file.output_stall_timeout_ms.unwrap_or(60_000),
            idle_timeout_s: file.idle_timeout_s.unwrap_or(0),
            slowlog_threshold_us: file.slowlog_threshold_us.unwrap_or(10_000),
            client_output_buffer_limit: file.client_output_buffer_limit,
            notify_keyspace_events: file.notify_keyspace_events,
            slowlog_len_max: file.slowlog_len_max.unwrap_or(128),
            latency_threshold_ms: file.latency_threshold_ms.unwrap_or(0),
            latency_tracking: file.latency_tracking.unwrap_or(true),
            copies_dir: file.copies_dir,
            state_dir,
            ignore_manifest: flags.ignore_manifest,
            watch: flags.watch || file.watch.unwrap_or(false),
            file: flags.config,
        })
    }
}

fn read(path: &Path) -> Result<File, ConfigError> {
    let fail = |error: &dyn fmt::Display| ConfigError(format!("{}: {error}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| fail(&error))?;
    toml::from_str(&text).map_err(|error| fail(&error))
}

/// An option's value as the engine gets it: texts without their quotes.
fn plain(value: toml::Value) -> String {
    match value {
        toml::Value::String(text) => text,
        other => other.to_string(),
    }
}

fn parse_option(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("not of the form KEY=VALUE".to_owned()),
    }
}

fn parse_mode(text: &str) -> Result<u32, String> {
    match u32::from_str_radix(text, 8) {
        Ok(mode) if mode <= 0o777 => Ok(mode),
        _ => Err(format!("'{text}' is not a mode in octal, from 0 to 777")),
    }
}

fn join(host: &str, port: &str) -> String {
    let bare_v6 = host.contains(':') && !host.starts_with('[');
    if bare_v6 { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

fn resolve(text: &str) -> Result<SocketAddr, ConfigError> {
    let fail = |what: &dyn fmt::Display| ConfigError(format!("cannot listen on '{text}': {what}"));
    let mut found = text.to_socket_addrs().map_err(|error| fail(&error))?;
    found.next().ok_or_else(|| fail(&"the name has no address"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(args: &[&str], env: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let cli = Cli::try_parse_from(["kvstore-host"].iter().chain(args)).unwrap();
        Config::new(cli.serve, |name| {
            env.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        })
    }

    fn listens(config: &Config) -> Vec<String> {
        config.listen.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn flag_before_environment_before_file_before_default() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("host.toml");
        let text = "engine = \"/file.so\"\nlisten = [\"127.0.0.1:1\"]\nworkers = 3\nunix_mode = \"660\"\nengine_dir = [\"/file\", \"/too\"]\n[engine_opt]\nshards = 8\nname = \"x\"\n";
        std::fs::write(&path, text).unwrap();
        let file = ["--config", path.to_str().unwrap()];
        let port = [("KV_PORT", "2")];

        let plain = config(&["--engine", "a.so"], &[]).unwrap();
        assert_eq!((listens(&plain), plain.unix_mode), (vec!["127.0.0.1:8080".to_owned()], 0o600));
        let from_file = config(&file, &[]).unwrap();
        assert_eq!(listens(&from_file), ["127.0.0.1:1"]);
        assert_eq!((from_file.workers, from_file.unix_mode), (3, 0o660));
        let pairs = [("name".to_owned(), "x".to_owned()), ("shards".to_owned(), "8".to_owned())];
        assert_eq!(from_file.engine_opt, pairs);
        assert_eq!(from_file.engine, Some(PathBuf::from("/file.so")));
        assert_eq!(listens(&config(&file, &port).unwrap()), ["127.0.0.1:2"]);
        let dirs = |config: Config| config.engine_dir;
        assert_eq!((dirs(plain), dirs(from_file)), (vec![], vec!["/file".into(), "/too".into()]));
        let flags = [&file[..], &["--engine-dir", "/a", "--engine-dir", "/b"]].concat();
        assert_eq!(dirs(config(&flags, &[]).unwrap()), [PathBuf::from("/a"), PathBuf::from("/b")]);
        let all =
            [&file[..], &["--listen", "127.0.0.1:3", "--listen", "[::1]:4", "--engine-opt", "shards=9"]]
                .concat();
        let all = config(&all, &port).unwrap();
        assert_eq!(listens(&all), ["127.0.0.1:3", "[::1]:4"]);
        assert!(all.engine_opt.contains(&("shards".to_owned(), "9".to_owned())) && all.engine_opt.len() == 2);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let text = |result: Result<Config, ConfigError>| result.unwrap_err().to_string();
        assert!(text(config(&[], &[])).contains("--engine"));
        assert!(text(config(&["--state-dir", "s", "--ignore-manifest"], &[])).contains("--engine"));
        assert!(text(config(&["--engine", "a", "--ignore-manifest"], &[])).contains("--state-dir"));
        assert!(text(config(&["--engine", "a", "--listen", "nowhere"], &[])).contains("'nowhere'"));
        assert!(text(config(&["--config", "/does/not/exist"], &[])).contains("/does/not/exist"));
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("host.toml");
        std::fs::write(&path, "engin = 1").unwrap();
        assert!(text(config(&["--config", path.to_str().unwrap()], &[])).contains("engin"));
        assert!(Cli::try_parse_from(["kvstore-host", "--engine-opt", "novalue"]).is_err());
        assert!(Cli::try_parse_from(["kvstore-host", "--unix-mode", "9"]).is_err());
    }
}
