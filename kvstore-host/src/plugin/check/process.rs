//! Process: starts the child, listens to it, ends it when a step takes too long, and always reaps it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal};

use super::wire::{Line, Request};
use super::{CHILD_COMMAND, Limits};

/// Most bytes of a report. A full run is a few kilobytes.
const REPORT_LEN_MAX: usize = 1 << 20;
/// Most bytes of the engine's standard error that go to the log.
const LOGGED_LEN_MAX: usize = 64 << 10;
/// Most bytes of one line of it.
const LOG_LINE_LEN_MAX: usize = 500;
/// How many times its limit a step may take while the child gets no processor, or waits for a disk.
const STARVED_FACTOR: u32 = 10;
/// How often it is looked how long the child's threads have waited for a processor, and whether one waits for a disk.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// How a child ended, and what it told.
pub(super) struct Ran {
    pub(super) lines: Vec<Line>,
    pub(super) ended: Ended,
    /// The last line on its standard error.
    pub(super) last_words: String,
}

/// How a child ended.
pub(super) enum Ended {
    ByItself(ExitStatus),
    /// It was killed because a step took too long; how much memory it had allocated then, in bytes.
    Hung {
        data_bytes: u64,
    },
    /// It was killed because its report made no sense.
    Unreadable(String),
}

/// Runs a child to its end. `engine` is the name under which its standard error is logged.
pub(super) fn run(program: &Path, request: &Request, stdin: Stdio, engine: &str) -> io::Result<Ran> {
    let argument = serde_json::to_string(request)?;
    let mut child = Command::new(program)
        .arg0("kvstore-host")
        .args([CHILD_COMMAND, &argument])
        .stdin(stdin)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // Whatever it forks can be ended along with it.
        .process_group(0)
        .spawn()?;
    let mut listener = Listener::new(engine);
    let killed = listen(&mut child, &mut listener, &request.limits);
    // Also after it has ended: what it forked may live. Its id cannot be another's before it is reaped.
    let group = Pid::from_child(&child);
    let _ = rustix::process::kill_process_group(group, Signal::KILL);
    let status = child.wait()?;
    let ended = killed?.unwrap_or(Ended::ByItself(status));
    Ok(Ran { lines: listener.lines, ended, last_words: listener.errors.last })
}

/// Listens until the child has ended, or has to be ended: then why.
fn listen(child: &mut Child, listener: &mut Listener, limits: &Limits) -> io::Result<Option<Ended>> {
    let pid = Pid::from_child(child);
    let ended = rustix::process::pidfd_open(pid, PidfdFlags::empty())?;
    let (Some(mut report), Some(mut errors)) = (child.stdout.take(), child.stderr.take()) else {
        return Err(io::Error::other("the child has no pipes"));
    };
    rustix::io::ioctl_fionbio(&report, true)?;
    rustix::io::ioctl_fionbio(&errors, true)?;
    let mut step = Stopwatch::start(pid, limits);
    loop {
        let timeout = Timespec::try_from(step.left()).unwrap_or(Timespec { tv_sec: 1, tv_nsec: 0 });
        // A pipe that has ended would be ready for ever.
        let mut fds = vec![PollFd::new(&ended, PollFlags::IN)];
        let report_fd = listener.report_open.then(|| PollFd::from_borrowed_fd(report.as_fd(), PollFlags::IN));
        let errors_fd = listener.errors_open.then(|| PollFd::from_borrowed_fd(errors.as_fd(), PollFlags::IN));
        fds.extend(report_fd.into_iter().chain(errors_fd));
        match poll(&mut fds, Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let done = fds.first().is_some_and(|fd| !fd.revents().is_empty());
        drop(fds);
        let steps = listener.steps;
        let read = listener.read_report(&mut report)?;
        listener.read_errors(&mut errors)?;
        if let Err(why) = read {
            return Ok(Some(Ended::Unreadable(why)));
        }
        if done {
            return Ok(None);
        }
        if listener.steps != steps {
            step = Stopwatch::start(pid, limits);
        } else if step.is_over() {
            return Ok(Some(Ended::Hung { data_bytes: data_bytes(pid) }));
        }
    }
}

/// What was heard so far.
struct Listener {
    lines: Vec<Line>,
    steps: usize,
    partial: Vec<u8>,
    report_len: usize,
    report_open: bool,
    errors: Errors,
    errors_open: bool,
}

impl Listener {
    fn new(engine: &str) -> Self {
        let errors =
            Errors { engine: engine.to_owned(), partial: Vec::new(), logged: 0, last: String::new() };
        Self {
            lines: Vec::new(),
            steps: 0,
            partial: Vec::new(),
            report_len: 0,
            report_open: true,
            errors,
            errors_open: true,
        }
    }

    /// Reads what is there of the report; the inner error says why it makes no sense.
    fn read_report(&mut self, pipe: &mut impl Read) -> io::Result<Result<(), String>> {
        let (bytes, open) = read_some(pipe)?;
        self.report_open &= open;
        self.report_len += bytes.len();
        if self.report_len > REPORT_LEN_MAX {
            return Ok(Err(format!("it is longer than {REPORT_LEN_MAX} bytes")));
        }
        self.partial.extend_from_slice(&bytes);
        while let Some(end) = self.partial.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.partial.drain(..=end).collect();
            let line = line.trim_ascii();
            if line.is_empty() {
                continue;
            }
            match serde_json::from_slice(line) {
                Ok(line) => {
                    self.steps += usize::from(matches!(line, Line::Step(_)));
                    self.lines.push(line);
                }
                Err(error) => return Ok(Err(error.to_string())),
            }
        }
        Ok(Ok(()))
    }

    fn read_errors(&mut self, pipe: &mut impl Read) -> io::Result<()> {
        let (bytes, open) = read_some(pipe)?;
        self.errors_open &= open;
        self.errors.take(&bytes);
        if !open {
            self.errors.end_line();
        }
        Ok(())
    }
}

/// The standard error of an engine on its way to the log.
struct Errors {
    engine: String,
    partial: Vec<u8>,
    logged: usize,
    last: String,
}

impl Errors {
    fn take(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if *byte == b'\n' {
                self.end_line();
            } else if self.partial.len() < LOG_LINE_LEN_MAX {
                self.partial.push(*byte);
            }
        }
    }

    fn end_line(&mut self) {
        let line = String::from_utf8_lossy(&std::mem::take(&mut self.partial)).trim().to_owned();
        if line.is_empty() {
            return;
        }
        if self.logged < LOGGED_LEN_MAX {
            log::info!(target: "engine", "{} (checked): {line}", self.engine);
        }
        self.logged += line.len();
        self.last = line;
    }
}

/// Reads what a pipe has, without waiting, up to a bound; and whether more can come.
fn read_some(pipe: &mut impl Read) -> io::Result<(Vec<u8>, bool)> {
    let mut bytes = vec![0; 64 << 10];
    match pipe.read(&mut bytes) {
        Ok(0) => Ok((Vec::new(), false)),
        Ok(len) => {
            bytes.truncate(len);
            Ok((bytes, true))
        }
        Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
            Ok((Vec::new(), true))
        }
        Err(error) => Err(error),
    }
}

/// How long a step takes, without the time in which the child waits for a processor or a disk.
struct Stopwatch {
    pid: Pid,
    start: Instant,
    timeout: Duration,
    /// How long each of its threads had waited in its life when it was last looked, in nanoseconds.
    waited_ns: BTreeMap<OsString, u64>,
    /// How long they have waited since the start, together: those of an engine that works in a thread of its own wait by turns.
    starved: Duration,
    looked: Instant,
}

impl Stopwatch {
    fn start(pid: Pid, limits: &Limits) -> Self {
        let timeout = Duration::from_millis(limits.step_timeout_ms);
        let waited_ns = waits(pid).map(|(thread, waited_ns, _)| (thread, waited_ns)).collect();
        let start = Instant::now();
        Self { pid, start, timeout, waited_ns, starved: Duration::ZERO, looked: start }
    }

    /// When to look again: soon, because what a thread has waited is forgotten when it ends.
    fn left(&mut self) -> Duration {
        self.timeout.saturating_sub(self.taken()).clamp(Duration::from_millis(1), LOOK_INTERVAL)
    }

    fn is_over(&mut self) -> bool {
        self.taken() >= self.timeout || self.start.elapsed() >= self.timeout.saturating_mul(STARVED_FACTOR)
    }

    fn taken(&mut self) -> Duration {
        let looked = std::mem::replace(&mut self.looked, Instant::now());
        let mut for_disk = false;
        for (thread, waited_ns, waits_for_disk) in waits(self.pid) {
            let before_ns = self.waited_ns.insert(thread, waited_ns).unwrap_or(0);
            self.starved += Duration::from_nanos(waited_ns.saturating_sub(before_ns));
            for_disk |= waits_for_disk;
        }
        if for_disk {
            // Now, so most likely since the last look.
            self.starved += self.looked.duration_since(looked);
        }
        self.start.elapsed().saturating_sub(self.starved)
    }
}

/// How long each thread of the process has waited for a processor in its life, in nanoseconds, and whether it waits for a disk now, as `ps` has it (`D`).
/// Nothing where the kernel does not tell.
fn waits(pid: Pid) -> impl Iterator<Item = (OsString, u64, bool)> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task"));
    tasks.into_iter().flatten().flatten().filter_map(|task| {
        let read = |name| std::fs::read_to_string(task.path().join(name)).ok();
        let waited_ns = read("schedstat")?.split(' ').nth(1)?.parse().ok()?;
        // Behind the thread's name, which may contain anything.
        let for_disk = read("stat")?.rsplit_once(')')?.1.trim_start().starts_with('D');
        Some((task.file_name(), waited_ns, for_disk))
    })
}

/// How much memory a living process has allocated, in bytes.
fn data_bytes(pid: Pid) -> u64 {
    std::fs::read_to_string(format!("/proc/{pid}/statm")).map_or(0, |statm| statm_data_bytes(&statm))
}

/// The data size in the text of a `statm` file, in bytes.
pub(super) fn statm_data_bytes(statm: &str) -> u64 {
    let pages: u64 = statm.split(' ').nth(5).and_then(|pages| pages.trim().parse().ok()).unwrap_or(0);
    pages.saturating_mul(rustix::param::page_size() as u64)
}

/// The exit of a child, for a judge: the signal or the code.
pub(super) fn signal_or_code(status: ExitStatus) -> Result<i32, i32> {
    match status.signal() {
        Some(signal) => Ok(signal),
        None => Err(status.code().unwrap_or(-1)),
    }
}
