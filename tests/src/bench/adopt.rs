//! Adopt: for how long workers stand still while another instance of the engine takes a large state over.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kvstore_client::Client;

use super::figures::{Effort, Figure, figure, plan};
use super::load::{Connections, Plan, Until};
use super::protocol::{Kind, Protocol};
use super::spread::Spread;
use crate::binaries;
use crate::engines::Engine;
use crate::host::{Host, Options, fields};

/// Connections that ask during reloads.
const BUSY: usize = 8;

/// From the first worker stopped to the last one running, as the replies to `ENGINE RELOAD` tell; with nobody who asks for anything, and beside clients that
/// send one GET after the other.
///
/// # Errors
/// The host fails, or refuses to adopt.
pub fn figures(effort: &Effort) -> Result<Vec<Figure>, String> {
    let host = Host::start_with(Engine::Memory, &Options::args(&["--workers", "2"]));
    let address = format!("127.0.0.1:{}", host.port());
    let failed = |error: std::io::Error| format!("{address}: {error}");
    let keys = effort.adopt_keys;
    let connections = Connections::open(&address, BUSY).map_err(failed)?;
    connections.run(&plan(Protocol::Resp, Kind::Set, keys), Until::AllKeys).map_err(failed)?;
    let mut client = host.client();
    let what = |who: &str| {
        format!("{keys} keys adopted, {who}: µs from the first worker stopped to the last one running")
    };
    let idle = reloads(&mut client, effort.adopt_rounds)?;

    let (over, get) = (AtomicBool::new(false), Plan { pipeline: 1, ..plan(Protocol::Resp, Kind::Get, keys) });
    let busy = std::thread::scope(|scope| {
        let load = scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                connections.run(&get, Until::Elapsed(Duration::from_millis(50)))?;
            }
            Ok(())
        });
        let busy = reloads(&mut client, effort.adopt_rounds);
        over.store(true, Ordering::Relaxed);
        let loaded = load.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        loaded.map_err(failed).and(busy)
    })?;
    Ok(vec![
        figure(what("nobody asks for anything"), idle, "under 1,000"),
        figure(what(&format!("{BUSY} clients read")), busy, ""),
    ])
}

/// Has the host change to the library that it has, again and again.
fn reloads(client: &mut Client, count: usize) -> Result<String, String> {
    let library = binaries::memory_engine().display().to_string();
    let reload = |_| {
        let reply = client.call(&["ENGINE", "RELOAD", &library]).map_err(|error| error.to_string())?;
        let reply = fields(reply);
        let stopped = reply.get("workers_stopped_us").and_then(|text| text.parse::<f64>().ok());
        stopped.ok_or_else(|| format!("not adopted: {reply:?}"))
    };
    let stopped = (0..count).map(reload).collect::<Result<Vec<f64>, String>>()?;
    Ok(Spread::of(stopped).map_or_else(String::new, |spread| format!("{spread:.0}, {count} reloads")))
}
