//! Serve: puts the host together, runs it until it is told to stop, and takes it apart again.

mod first;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::command::set_parameter;
use crate::config::Config;
use crate::control::{self, Configured, Watch};
use crate::net::listener::Listener;
use crate::net::{Shared, WorkerHandle, worker};
use crate::plugin::Keyspace;
use crate::plugin::check::THIS_PROGRAM;
use crate::plugin::holding::Holding;
use crate::plugin::lifecycle::{Nursery, retire};
use crate::plugin::pool::Pool;
use crate::plugin::published::Published;
use crate::plugin::state_dir::StateDir;
use crate::plugin::threads;
use crate::server::{Facts, Server};
use first::First;

/// Threads for calls that may block.
const POOL_THREADS: usize = 8;
/// Descriptors that clients leave to the host itself, for listeners, files, and the check of an engine; and those of each event loop.
const DESCRIPTORS_KEPT: usize = 64;
const DESCRIPTORS_PER_LOOP: usize = 2;

/// Serves until a signal ends it.
///
/// # Errors
/// Why it could not start, or not end in order, in a line for people.
pub fn serve(config: Config) -> Result<(), String> {
    // One more worker may come, and there is the control thread.
    let kept = DESCRIPTORS_KEPT + DESCRIPTORS_PER_LOOP * (config.workers + 2);
    let clients_room = descriptor_limit().saturating_sub(kept);
    if clients_room < config.clients_max {
        log::warn!(
            "clients_max is {}, and the limit of open files (ulimit -n) leaves room for {clients_room} clients: more are refused",
            config.clients_max
        );
    }
    let state_dir = config.state_dir.as_deref().map(StateDir::open).transpose();
    let state_dir = state_dir.map_err(|error| error.to_string())?;
    let nursery =
        Arc::new(Nursery::new(config.copies_dir.as_deref(), THIS_PROGRAM.into(), &config.engine_dir)?);
    let first = First::choose(&config, state_dir.clone(), &nursery)?;
    let configured = Configured {
        engine: first.configured.clone(),
        engine_opt: first.configured_opt.clone(),
        open_timeout: Duration::from_millis(config.open_timeout_ms),
        watchdog: Duration::from_millis(config.watchdog_ms),
        state_dir,
        clients_room,
        // Before the file is read: what it becomes after that is seen.
        watch: config.watch.then(|| Watch::new(&first.configured)),
    };
    // Signals from here on reach the control thread, also while the engine is opened.
    let control = control::Seed::new().map_err(|error| format!("cannot make an event loop: {error}"))?;
    let listeners = bind(&config)?;
    let server = Arc::new(server(&config, &listeners)?);
    let live = first.start(&nursery, &server)?;
    server.engine_options.set(&live.options);
    log::info!(
        "engine {} {}, generation {}, {} from {}; listening on {}",
        live.identity().name,
        live.identity().version,
        live.generation,
        live.check,
        live.file.path().display(),
        listeners.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    );
    let shared = Arc::new(Shared {
        holding: Holding::new(live.generation, config.workers),
        published: Published::new(live),
        pool: Pool::new(POOL_THREADS, &server.calls)
            .map_err(|error| format!("cannot start threads: {error}"))?,
        control: control.handle(),
        server,
    });
    let handle = shared.control.clone();
    shared.server.on_stop(move |who| handle.stop(who));
    let workers = start_workers(&config, &shared)?;
    let control = control.grow(Arc::clone(&shared), Arc::clone(&nursery), listeners, workers, configured);
    let quiet = control.run().map_err(|error| format!("the control thread's event loop failed: {error}"))?;
    close_engine(shared, quiet && !nursery.is_sampling())
}

fn server(config: &Config, listeners: &[Listener]) -> Result<Server, String> {
    let tcp_port = |listener: &Listener| match listener {
        Listener::Tcp { address, .. } => Some(address.port()),
        Listener::Unix { .. } => None,
    };
    let mut server = Server::default();
    server.facts = Facts {
        run_id: run_id(),
        tcp_port: listeners.iter().find_map(tcp_port).unwrap_or(0),
        bind: config.listen.iter().map(|address| address.ip().to_string()).collect::<Vec<_>>().join(" "),
        unix_mode: config.unix_mode,
        unix_socket: config.unix.as_ref().map(|path| path.display().to_string()),
        config_file: config.file.as_ref().map(|path| path.display().to_string()),
        workers: config.workers,
        start_ms: server.clock.now_ms(),
    };
    let settings = &server.settings;
    settings.key_len_max.store(config.key_len_max, Ordering::Relaxed);
    settings.value_len_max.store(config.value_len_max, Ordering::Relaxed);
    settings.clients_max.store(config.clients_max, Ordering::Relaxed);
    settings.drain_timeout_ms.store(config.drain_timeout_ms, Ordering::Relaxed);
    settings.probation_errors_max.store(config.probation_errors_max, Ordering::Relaxed);
    settings.probation_latency_percent.store(config.probation_latency_percent, Ordering::Relaxed);
    settings.probation_latency_floor_us.store(config.probation_latency_floor_us, Ordering::Relaxed);
    settings.output_stall_timeout_ms.store(config.output_stall_timeout_ms, Ordering::Relaxed);
    settings.idle_timeout_s.store(config.idle_timeout_s, Ordering::Relaxed);
    settings.slowlog_threshold_us.store(config.slowlog_threshold_us, Ordering::Relaxed);
    settings.slowlog_len_max.store(config.slowlog_len_max, Ordering::Relaxed);
    settings.latency_threshold_ms.store(config.latency_threshold_ms, Ordering::Relaxed);
    settings.latency_tracking.store(config.latency_tracking, Ordering::Relaxed);
    for (name, value) in [
        ("client-output-buffer-limit", &config.client_output_buffer_limit),
        ("notify-keyspace-events", &config.notify_keyspace_events),
    ] {
        if let Some(value) = value {
            set_parameter(&server, name, value).map_err(|error| format!("configuration: {}", error.0))?;
        }
    }
    Ok(server)
}

/// 40 hexadecimal digits that no other start has.
fn run_id() -> String {
    use std::hash::{BuildHasher, RandomState};
    let word = || RandomState::new().hash_one(std::process::id());
    let mut id: String = (0..3).map(|_| format!("{:016x}", word())).collect();
    id.truncate(40);
    id
}

fn bind(config: &Config) -> Result<Vec<Listener>, String> {
    let mut listeners = Vec::new();
    for address in &config.listen {
        let bound = Listener::tcp(*address);
        listeners.push(bound.map_err(|error| format!("cannot listen on {address}: {error}"))?);
    }
    if let Some(path) = &config.unix {
        let bound = Listener::unix(path, config.unix_mode);
        listeners.push(bound.map_err(|error| format!("cannot listen on {}: {error}", path.display()))?);
    }
    Ok(listeners)
}

fn start_workers(config: &Config, shared: &Arc<Shared>) -> Result<Vec<WorkerHandle>, String> {
    let start = |index: usize| {
        let seed = worker::Seed::new()?;
        let handle = seed.handle();
        seed.grow(index, Arc::clone(shared)).start()?;
        Ok(handle)
    };
    let started: std::io::Result<_> = (0..config.workers).map(start).collect();
    started.map_err(|error| format!("cannot start the workers: {error}"))
}

/// Closes the live engine, if nothing uses it any more.
fn close_engine(shared: Arc<Shared>, quiet: bool) -> Result<(), String> {
    let live = shared.published.get();
    if !quiet {
        let error = format!("{live:?} is still being called; it could not be closed");
        // Whoever calls it goes on doing so until the process ends.
        std::mem::forget((shared, live));
        return Err(error);
    }
    drop(shared);
    // SAFETY: the workers have ended, what they have asked the pool for on this engine has, and no reload is under way.
    let close = move || unsafe { retire(&live) };
    let thread = threads::spawn("close", close);
    let thread = thread.map_err(|error| format!("cannot start a thread: {error}"))?;
    match thread.join() {
        Ok(retired) => match retired.close_error {
            None => {
                log::info!("engine closed, its library is {}", retired.verdict);
                Ok(())
            }
            Some(error) => Err(format!("the engine could not be closed in order: {error}")),
        },
        Err(_) => Err("closing the engine panicked".to_owned()),
    }
}

/// Allows as many descriptors as the system grants: each client needs one. Answers how many that are.
fn descriptor_limit() -> usize {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // If it is refused, the old one stays.
    _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    usize::try_from(limit).unwrap_or(usize::MAX)
}
