//! Server: those that are measured: our host, redis-server, memcached, and any that runs already.

use std::process::{Child, Command, Stdio};

use kvstore_client::Address;
use tempfile::TempDir;

use super::process::{listener, pin};
use super::protocol::Protocol;
use crate::engines::Engine;
use crate::free_port;
use crate::host::{Host, Options};

/// On which processor servers run.
pub const SERVER_PROCESSOR: usize = 0;
/// On which processor the load runs.
pub const LOAD_PROCESSOR: usize = 1;

/// Connections that a server is asked to allow.
const CONNECTIONS_MAX: usize = 12_000;

/// A server to measure. One that was started for it ends with it.
#[derive(Debug)]
pub struct Server {
    /// What it is called in tables.
    pub name: String,
    /// Its TCP address.
    pub address: String,
    /// What it speaks.
    pub protocol: Protocol,
    /// Its process, if it is one of this machine.
    pub pid: Option<u32>,
    owned: Owned,
}

/// What ends with a server.
#[derive(Debug)]
enum Owned {
    Nothing,
    Host(#[allow(dead_code, reason = "its drop ends the host")] Box<Host>),
    Other(Child, TempDir),
}

impl Server {
    /// Starts our host with the memory engine and so many workers, each on any of these processors.
    ///
    /// # Panics
    /// It does not start.
    pub fn host(workers: usize, processors: &[usize]) -> Self {
        let (workers, clients) = (workers.to_string(), CONNECTIONS_MAX.to_string());
        let options = Options::args(&["--workers", &workers, "--clients-max", &clients]);
        Self::of_host("kvstore", Host::start_with(Engine::Memory, &options), processors)
    }

    /// A host that was started for this.
    ///
    /// # Panics
    /// It cannot be pinned to these processors.
    pub fn of_host(name: &str, host: Host, processors: &[usize]) -> Self {
        pin(host.pid(), processors);
        let (address, pid) = (format!("127.0.0.1:{}", host.port()), Some(host.pid()));
        let owned = Owned::Host(Box::new(host));
        Self { name: name.to_owned(), address, protocol: Protocol::Resp, pid, owned }
    }

    /// Starts a redis-server that keeps nothing on disk.
    ///
    /// # Panics
    /// It does not start.
    pub fn redis() -> Self {
        let version = version("redis-server", |text| text.split("v=").nth(1)?.split(' ').next());
        let clients = CONNECTIONS_MAX.to_string();
        Self::start(&format!("redis {version}"), Protocol::Resp, |port, dir| {
            let mut command = Command::new("redis-server");
            command.args(["--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
            command.args(["--io-threads", "1", "--maxclients", &clients, "--dir", dir]);
            command
        })
    }

    /// Starts a memcached of one thread.
    ///
    /// # Panics
    /// It does not start.
    pub fn memcached() -> Self {
        let version = version("memcached", |text| text.split(' ').nth(1));
        let clients = CONNECTIONS_MAX.to_string();
        Self::start(&format!("memcached {version}"), Protocol::Memcached, |port, _| {
            let mut command = Command::new("memcached");
            command.args(["-p", port, "-l", "127.0.0.1", "-t", "1", "-m", "8192", "-c", &clients]);
            // Which it ignores where it was not started by root.
            command.args(["-u", "nobody"]);
            command
        })
    }

    /// One that runs already, as NAME=HOST:PORT. If it is a process of this machine it is pinned like the others, and stays so.
    ///
    /// # Errors
    /// What is wrong with the text, or why the server cannot be measured, in a line for people.
    pub fn named(text: &str) -> Result<Self, String> {
        let (name, address) = text.split_once('=').ok_or_else(|| format!("{text} is not NAME=HOST:PORT"))?;
        let Ok(Address::Tcp { host, port }) = address.parse() else {
            return Err(format!("{address} is not HOST:PORT"));
        };
        let protocol = Protocol::detect(address).map_err(|error| format!("{name} at {address}: {error}"))?;
        let local = ["127.0.0.1", "localhost", "::1"].contains(&host.as_str());
        let pid = if local { listener(port) } else { None };
        if let Some(pid) = pid {
            pin(pid, &[SERVER_PROCESSOR]);
        }
        let (name, address) = (name.to_owned(), address.to_owned());
        Ok(Self { name, address, protocol, pid, owned: Owned::Nothing })
    }

    fn start(name: &str, protocol: Protocol, command: impl Fn(&str, &str) -> Command) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let command = |port: u16| {
            let mut command = command(&port.to_string(), &dir.path().display().to_string());
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            command
        };
        let what = format!("{name} (scripts/setup --bench installs it)");
        let detect = |port| Protocol::detect(&format!("127.0.0.1:{port}")).ok();
        let (child, port, _) = free_port::start(&what, command, detect);
        let address = format!("127.0.0.1:{port}");
        pin(child.id(), &[SERVER_PROCESSOR]);
        let pid = Some(child.id());
        Self { name: name.to_owned(), address, protocol, pid, owned: Owned::Other(child, dir) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The host's own drop waits for its end.
        if let Owned::Other(child, dir) = &mut self.owned
            && let Err(error) = child.kill().and_then(|()| child.wait())
        {
            eprintln!("the server in {} does not end: {error}", dir.path().display());
        }
    }
}

/// A part of what a program says of its version.
fn version(program: &str, part: impl Fn(&str) -> Option<&str>) -> String {
    let output = Command::new(program).arg("--version").output();
    let output =
        output.unwrap_or_else(|error| panic!("{program} (scripts/setup --bench installs it): {error}"));
    let text = String::from_utf8_lossy(&output.stdout);
    part(&text).unwrap_or_default().trim().to_owned()
}
