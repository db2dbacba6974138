//! Limits: what a child under trial may use, and how it binds itself before any code of the engine runs.

use std::fs::File;
use std::io;

use rustix::process::{Resource, Rlimit, Signal};
use serde::{Deserialize, Serialize};

use super::wire::Request;

/// What a check may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// How long one step (loading, opening, one test) may take, in milliseconds. Time in which the child waits for a free
    /// processor, because the host is busy, or for a disk, does not count, up to ten times this limit.
    pub step_timeout_ms: u64,
    /// Processor time of the whole check, in seconds.
    pub processor_time_s: u64,
    /// Memory that the child may allocate, in bytes.
    pub memory_bytes: u64,
}

impl Limits {
    /// For a check before a reload.
    pub const SHORT: Self = Self { step_timeout_ms: 5_000, processor_time_s: 20, memory_bytes: 512 << 20 };
    /// For a check on demand.
    pub const FULL: Self = Self { step_timeout_ms: 30_000, processor_time_s: 300, memory_bytes: 1 << 30 };
}

/// Binds this process, and answers where its report goes: the pipe that was its standard output. Whatever the engine prints there from now
/// on goes to the standard error instead.
pub(super) fn enter(request: &Request) -> io::Result<File> {
    close_inherited()?;
    let report = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdout(), 3)?;
    rustix::stdio::dup2_stdout(rustix::stdio::stderr())?;
    end_with_parent(request.parent)?;
    limit(Resource::Core, 0, 0)?;
    // At the hard limit the signal would be SIGKILL, which says nothing.
    let processor_time_s = request.limits.processor_time_s;
    limit(Resource::Cpu, processor_time_s, processor_time_s + 1)?;
    limit(Resource::Data, request.limits.memory_bytes, request.limits.memory_bytes)?;
    // Not SCHED_IDLE: beside a host that keeps all processors busy it would take minutes.
    rustix::process::nice(19)?;
    Ok(File::from(report))
}

/// Closes what the parent left open by mistake: the engine has no business with its sockets.
fn close_inherited() -> io::Result<()> {
    // SAFETY: called before this process has opened anything itself.
    match unsafe { libc::close_range(3, libc::c_uint::MAX, 0) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Has the kernel end this process when its parent ends.
fn end_with_parent(parent: u32) -> io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    // The parent may have ended before the line above.
    let now = rustix::process::getppid().map(|pid| pid.as_raw_nonzero().get().cast_unsigned());
    if now == Some(parent) {
        Ok(())
    } else {
        Err(io::Error::other("the process that asked for the check has ended"))
    }
}

fn limit(resource: Resource, soft: u64, hard: u64) -> io::Result<()> {
    Ok(rustix::process::setrlimit(resource, Rlimit { current: Some(soft), maximum: Some(hard) })?)
}
