//! Host: starts the real host on addresses of its own, keeps its log, and ends it.

#![allow(clippy::expect_used, clippy::panic, reason = "a test's helper stops at the first surprise")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use kvstore_client::{Address, Backoff, Client, Connection, Limits, Protocol, Value, Wait};
use tempfile::TempDir;

use crate::binaries;
use crate::engines::Engine;
use crate::show::show;
use crate::wait::{wait_for, wait_until};

/// What a host is started with, beside its engine and addresses.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// More arguments.
    pub args: Vec<String>,
    /// Text of the configuration file; without it there is none.
    pub config: Option<String>,
    /// Variables of its environment.
    pub env: Vec<(String, String)>,
    /// The program, if it is not the one that was built.
    pub program: Option<PathBuf>,
}

impl Options {
    /// With these arguments, and nothing else.
    pub fn args(args: &[&str]) -> Self {
        Self { args: args.iter().map(|&arg| arg.to_owned()).collect(), ..Self::default() }
    }

    /// With this configuration file, and nothing else.
    pub fn config(text: &str) -> Self {
        Self { config: Some(text.to_owned()), ..Self::default() }
    }
}

/// The lines that a host has logged so far.
#[derive(Clone, Debug, Default)]
pub struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn follow(&self, stderr: impl std::io::Read + Send + 'static) -> std::thread::JoinHandle<()> {
        let log = self.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                log.0.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            }
        })
    }

    /// All of it.
    pub fn text(&self) -> String {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).join("\n")
    }

    /// The first line after line `from` that has all these parts.
    pub fn find_after(&self, from: usize, parts: &[&str]) -> Option<String> {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().skip(from).find(|line| parts.iter().all(|part| line.contains(part))).cloned()
    }

    /// How many lines there are.
    pub fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A host that runs. When it is dropped it is stopped, and has to end in order.
#[derive(Debug)]
pub struct Host {
    child: Child,
    follower: Option<std::thread::JoinHandle<()>>,
    /// What it logs.
    pub log: Log,
    dir: Arc<TempDir>,
    tcp: Option<Address>,
    unix: Option<Address>,
    ended: Option<ExitStatus>,
}

impl Host {
    /// Starts a host with this engine on a free TCP port and a Unix socket, and waits until it serves.
    ///
    /// # Panics
    /// It ends before that.
    pub fn start(engine: Engine) -> Self {
        Self::start_with(engine, &Options::default())
    }

    /// As [`start`](Self::start), with options.
    ///
    /// # Panics
    /// As [`start`](Self::start).
    pub fn start_with(engine: Engine, options: &Options) -> Self {
        let dir = Arc::new(tempfile::tempdir().expect("a temporary directory"));
        Self::start_library(&dir, &engine.library(dir.path()), options)
    }

    /// The same in this directory, with the engine of any library.
    ///
    /// # Panics
    /// As [`start`](Self::start).
    pub fn start_library(dir: &Arc<TempDir>, library: &Path, options: &Options) -> Self {
        let (library, socket) = (library.display(), dir.path().join("host.sock"));
        let own = [format!("--engine={library}"), format!("--unix={}", socket.display())];
        let args = ["--listen=127.0.0.1:0".to_owned()].into_iter().chain(own).chain(options.args.clone());
        Self::start_in(Arc::clone(dir), &Options { args: args.collect(), ..options.clone() })
    }

    /// Starts a host with exactly these options in a directory, and waits until it serves.
    ///
    /// # Panics
    /// It ends before that.
    pub fn start_in(dir: Arc<TempDir>, options: &Options) -> Self {
        let mut host = Self::spawn_in(dir, options);
        let line = wait_for("the host's start line", || {
            let line = host.log.find_after(0, &["listening on "]);
            if line.is_none() && host.child.try_wait().ok().flatten().is_some() {
                host.read_rest_of_log();
                panic!("the host does not start:\n{}", host.log.text());
            }
            line
        });
        let (_, addresses) = line.split_once("listening on ").unwrap_or_default();
        for address in addresses.split(", ") {
            let address: Address = address.parse().expect("an address in the start line");
            let place = if matches!(address, Address::Tcp { .. }) { &mut host.tcp } else { &mut host.unix };
            place.get_or_insert(address);
        }
        host
    }

    /// Starts a host, and waits for nothing.
    pub fn spawn_in(dir: Arc<TempDir>, options: &Options) -> Self {
        let mut command = Command::new(options.program.clone().unwrap_or_else(binaries::host));
        for name in ["KV_HOST", "KV_PORT", "KV_VERBOSE", "RUST_LOG"] {
            command.env_remove(name);
        }
        if let Some(text) = &options.config {
            let path = dir.path().join("host.toml");
            std::fs::write(&path, text).expect("a configuration file");
            command.arg("--config").arg(path);
        }
        command.args(&options.args).envs(options.env.iter().cloned());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the host can be started");
        let log = Log::default();
        let follower = child.stderr.take().map(|stderr| log.follow(stderr));
        Self { child, follower, log, dir, tcp: None, unix: None, ended: None }
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The directory of this test: its Unix socket is in there.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The directory, to start another host in it.
    pub fn shared_dir(&self) -> Arc<TempDir> {
        Arc::clone(&self.dir)
    }

    /// A path in that directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Its first TCP address.
    ///
    /// # Panics
    /// It has none.
    pub fn tcp(&self) -> Address {
        self.tcp.clone().expect("a TCP address")
    }

    /// Its TCP port.
    ///
    /// # Panics
    /// It has none.
    pub fn port(&self) -> u16 {
        match self.tcp() {
            Address::Tcp { port, .. } => port,
            Address::Unix { .. } => unreachable!("a TCP address has a port"),
        }
    }

    /// Its Unix socket.
    ///
    /// # Panics
    /// It has none.
    pub fn unix(&self) -> Address {
        self.unix.clone().expect("a Unix socket")
    }

    /// A client over TCP that speaks RESP3.
    pub fn client(&self) -> Client {
        self.client_over(self.tcp(), Protocol::Resp3)
    }

    /// A client. It does not try anything twice.
    ///
    /// # Panics
    /// It cannot connect.
    pub fn client_over(&self, address: Address, protocol: Protocol) -> Client {
        let options = kvstore_client::Options {
            wait: patient(),
            backoff: Backoff::NONE,
            protocol,
            ..Default::default()
        };
        Client::connect(address, options).unwrap_or_else(|error| panic!("{error}\n{}", self.log.text()))
    }

    /// A bare connection over TCP.
    ///
    /// # Panics
    /// It cannot connect.
    pub fn connection(&self) -> Connection {
        self.connection_to(&self.tcp())
    }

    /// A bare connection.
    ///
    /// # Panics
    /// It cannot connect.
    pub fn connection_to(&self, address: &Address) -> Connection {
        Connection::connect(address, patient(), Limits::default()).expect("a connection")
    }

    /// Waits for a line of the log that has all these parts.
    ///
    /// # Panics
    /// It does not come.
    pub fn wait_for_log(&self, parts: &[&str]) -> String {
        self.wait_for_log_after(0, parts)
    }

    /// As [`wait_for_log`](Self::wait_for_log), but looks at nothing before line `from`.
    ///
    /// # Panics
    /// It does not come.
    pub fn wait_for_log_after(&self, from: usize, parts: &[&str]) -> String {
        let since = std::time::Instant::now();
        wait_for(format!("{parts:?} in the log"), || {
            let found = self.log.find_after(from, parts);
            let late = found.is_none() && since.elapsed().as_secs() > 60;
            assert!(!late, "{parts:?} is not in the log:\n{}", self.log.text());
            found
        })
    }

    /// What `ENGINE INFO` says, each value as a text.
    pub fn engine_info(&self) -> BTreeMap<String, String> {
        fields(self.client().call(&["ENGINE", "INFO"]).expect("ENGINE INFO"))
    }

    /// One number of `INFO`.
    ///
    /// # Panics
    /// There is none of that name.
    pub fn info_number(&self, name: &str) -> u64 {
        let text = self.client().info(Some("everything")).expect("INFO");
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.and_then(|number| number.trim().parse().ok()).unwrap_or_else(|| panic!("{name} in {text}"))
    }

    /// The memory that it has resident, in bytes.
    ///
    /// # Panics
    /// It has ended.
    pub fn resident_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        kib.unwrap_or_else(|| panic!("VmRSS in {status:?}")) * 1024
    }

    /// Sends it a signal.
    pub fn signal(&self, number: i32) {
        let pid = libc::pid_t::try_from(self.pid()).expect("a process id");
        // SAFETY: kill has no preconditions; the process is our child and was not waited for, so the number is still its own.
        if self.ended.is_none() && unsafe { libc::kill(pid, number) } != 0 {
            panic!("cannot send signal {number}: {}", std::io::Error::last_os_error());
        }
    }

    /// Waits until it has ended.
    ///
    /// # Panics
    /// It does not end.
    pub fn wait(&mut self) -> ExitStatus {
        if let Some(status) = self.ended {
            return status;
        }
        let child = &mut self.child;
        let status = wait_for("the end of the host", || child.try_wait().expect("the host's status"));
        self.ended = Some(status);
        self.read_rest_of_log();
        status
    }

    /// Stops it with SIGTERM; it has to end in order. Answers its whole log.
    ///
    /// # Panics
    /// It does not end, or with a failure.
    pub fn stop(mut self) -> String {
        self.signal(libc::SIGTERM);
        let status = self.wait();
        assert!(status.success(), "{status}:\n{}", self.log.text());
        self.log.text()
    }

    /// Kills it with SIGKILL, as a crash would.
    ///
    /// # Panics
    /// It does not end.
    pub fn kill(mut self) {
        self.signal(libc::SIGKILL);
        self.wait();
    }

    fn read_rest_of_log(&mut self) {
        if let Some(follower) = self.follower.take() {
            follower.join().expect("the log's reader");
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if self.ended.is_some() {
            return;
        }
        if std::thread::panicking() {
            eprintln!("the host's log:\n{}", self.log.text());
            let _ = self.child.kill();
            let _ = self.child.wait();
            return;
        }
        self.signal(libc::SIGTERM);
        let status = self.wait();
        assert!(status.success(), "{status}:\n{}", self.log.text());
    }
}

/// How long clients of tests wait: machines that run tests are slow at times, and a reload holds writes back.
pub fn patient() -> Wait {
    let long = std::time::Duration::from_secs(120);
    Wait { connect: long, reply: Some(long) }
}

/// A map, as RESP3 or RESP2 shows it, each value as a text.
///
/// # Panics
/// It is no map.
pub fn fields(value: Value) -> BTreeMap<String, String> {
    let text = |value: &Value| value.as_bytes().map_or_else(|| show(value), show_bytes);
    match value {
        Value::Map(pairs) => pairs.iter().map(|(name, value)| (text(name), text(value))).collect(),
        Value::Array(flat) => flat.chunks_exact(2).map(|pair| (text(&pair[0]), text(&pair[1]))).collect(),
        other => panic!("no map: {other:?}"),
    }
}

fn show_bytes(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Waits until nothing answers at this address any more.
///
/// # Panics
/// Something still does.
pub fn wait_until_nobody_listens(address: &Address) {
    wait_until(format!("the end of {address}"), || {
        Connection::connect(address, patient(), Limits::default()).is_err()
    });
}
