//! Rig: a host with keys, engines to change to, and a load beside the reloads.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use kvstore_client::{Client, Wait};

use super::Settings;
use super::watch::Watch;
use crate::bench::figures::plan;
use crate::bench::load::{Connections, Until};
use crate::bench::open_loop::{OpenLoop, Plan};
use crate::bench::protocol::{Kind, Protocol};
use crate::bench::record::Record;
use crate::binaries;
use crate::host::{Host, Options, fields};
use crate::variant::variant;

/// A migration of many keys under load takes its time.
const PATIENCE: Duration = Duration::from_secs(3600);

/// Engines to change to: all are the memory engine, built alike, that say different things of themselves.
pub(super) struct Builds {
    /// As it was built.
    pub(super) memory: PathBuf,
    /// Another version, which adopts from that.
    pub(super) other: PathBuf,
    /// Another state format, to which data have to be migrated.
    pub(super) format: PathBuf,
    /// Another version with that format.
    pub(super) format_other: PathBuf,
}

impl Builds {
    fn make(dir: &Path) -> Self {
        let memory = binaries::memory_engine();
        let make = |name: &str, version: bool, format: bool| {
            variant(&memory, &dir.join(name), |identity| {
                if version {
                    identity.version[0] = b'9';
                }
                if format {
                    identity.state_format[0] = b'X';
                }
            })
        };
        Self {
            other: make("other.so", true, false),
            format: make("format.so", false, true),
            format_other: make("format-other.so", true, true),
            memory,
        }
    }
}

/// A reload that was done.
#[derive(Debug)]
pub(super) struct Reloaded {
    /// `adopt` or `migrate`.
    pub(super) adopted: bool,
    pub(super) cutover: Instant,
    /// When its migration began.
    pub(super) migrating: Option<Instant>,
    /// For how long workers were stopped, or writes were held back.
    pub(super) held_us: f64,
    /// Entries that were copied.
    pub(super) entries: u64,
    pub(super) unmapped: bool,
}

/// A host to measure.
pub(super) struct Rig {
    pub(super) host: Host,
    pub(super) builds: Builds,
    pub(super) address: String,
    keys: u64,
}

impl Rig {
    /// A host with so many keys, started with a copy of the memory engine in its directory.
    pub(super) fn start(settings: &Settings, keys: u64) -> Result<Self, String> {
        let dir = Arc::new(tempfile::tempdir().map_err(|error| format!("a temporary directory: {error}"))?);
        let builds = Builds::make(dir.path());
        let engine = in_place(dir.path());
        binaries::overwrite(&builds.memory, &engine)?;
        let options = Options::args(&["--workers", &settings.workers.to_string()]);
        let host = Host::start_library(&dir, &engine, &options);
        let address = format!("127.0.0.1:{}", host.port());
        let fill = Connections::open(&address, settings.connections);
        let fill = fill.and_then(|fill| fill.run(&plan(Protocol::Resp, Kind::Set, keys), Until::AllKeys));
        fill.map_err(|error| format!("{keys} keys: {error}"))?;
        Ok(Self { host, builds, address, keys })
    }

    /// The library with which the host was started.
    pub(super) fn in_place(&self) -> PathBuf {
        in_place(self.host.dir())
    }

    pub(super) fn client(&self) -> Result<Client, String> {
        let wait = Wait { connect: PATIENCE, reply: Some(PATIENCE) };
        let options = kvstore_client::Options { wait, ..Default::default() };
        Client::connect(self.host.tcp(), options).map_err(|error| error.to_string())
    }

    pub(super) fn open(&self, settings: &Settings) -> Result<OpenLoop, String> {
        OpenLoop::open(&self.address, settings.connections)
            .map_err(|error| format!("{}: {error}", self.address))
    }

    /// What is offered: as asked for, or half of the top rate, which is what is done when each connection sends its next request as soon
    /// as the last is answered; and in words. By the same connections as all else, so that they know what their counters came to.
    pub(super) fn offered(
        &self,
        load: &mut OpenLoop,
        settings: &Settings,
        counters: bool,
    ) -> Result<(Plan, String), String> {
        let closed = Plan { rate: None, keys: self.keys, counters, by_time: false };
        let since = Instant::now();
        let ((), record) = during(load, &closed, || {
            pause(settings.top_time);
            Ok(())
        })?;
        let top = record.operations as f64 / since.elapsed().as_secs_f64();
        let rate = settings.rate.unwrap_or(top / 2.0);
        let plan = Plan { rate: Some(rate), by_time: !counters, ..closed };
        Ok((plan, format!("{:.1} of {:.1} thousand per second", rate / 1e3, top / 1e3)))
    }

    /// Asks for a reload and awaits it.
    pub(super) fn reload(&self, client: &mut Client, watch: &Watch, path: &Path) -> Result<Reloaded, String> {
        let words = [&b"ENGINE"[..], b"RELOAD", path.as_os_str().as_encoded_bytes()];
        let reply = client.call(&words).map_err(|error| format!("{}: {error}", path.display()))?;
        let reply = fields(reply);
        let text = |name: &str| reply.get(name).map_or("", String::as_str);
        let number = |name: &str| text(name).parse::<u64>().ok();
        let adopted = text("handoff").starts_with("adopt: ");
        let held_us = number("workers_stopped_us").or_else(|| number("writes_held_us"));
        let (Some(held_us), Some(generation)) = (held_us, number("generation")) else {
            return Err(format!("not the reply of a reload: {reply:?}"));
        };
        let (cutover, migrating) = watch.cutover(generation);
        Ok(Reloaded {
            adopted,
            cutover,
            migrating,
            held_us: held_us as f64,
            entries: number("entries").unwrap_or_default(),
            unmapped: text("previous_library").starts_with("unmapped"),
        })
    }

    /// Does something while the host is watched.
    pub(super) fn watched<T>(&self, body: impl FnOnce(&Watch) -> Result<T, String>) -> Result<T, String> {
        let (watch, stop) = (Watch::default(), AtomicBool::new(false));
        let mut client = self.client()?;
        std::thread::scope(|scope| {
            let watching = scope.spawn(|| watch.run(&mut client, &stop));
            let done = {
                let _stop = Stop(&stop);
                body(&watch)
            };
            let watched = watching.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            done.and_then(|done| watched.map(|()| done))
        })
    }
}

/// Does something beside a load.
pub(super) fn during<T>(
    load: &mut OpenLoop,
    plan: &Plan,
    body: impl FnOnce() -> Result<T, String>,
) -> Result<(T, Record), String> {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let loading = scope.spawn(|| load.run(plan, &stop));
        let done = {
            let _stop = Stop(&stop);
            body()
        };
        let loaded = loading.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let loaded = loaded.map_err(|error| format!("the load: {error}"));
        done.and_then(|done| loaded.map(|record| (done, record)))
    })
}

/// Stops a thread when what it stands beside is over, or panics.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Lets time pass.
pub(super) fn pause(time: Duration) {
    let since = Instant::now();
    while since.elapsed() < time {
        std::thread::park_timeout(time.saturating_sub(since.elapsed()));
    }
}

fn in_place(dir: &Path) -> PathBuf {
    dir.join("in-place.so")
}
