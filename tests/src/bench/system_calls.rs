//! System calls: counts those of a running process, with strace.

use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::wait::wait_until;

/// The system calls that all threads of a process make while `work` is under way.
///
/// # Errors
/// strace is missing, or may not look at the process.
pub(super) fn count(pid: u32, work: impl FnOnce()) -> Result<u64, String> {
    let failed = |error: std::io::Error| format!("strace (scripts/setup --bench installs it): {error}");
    let file = tempfile::NamedTempFile::new().map_err(failed)?;
    let mut strace = Command::new("strace");
    strace.args(["-c", "-f", "-p", &pid.to_string(), "-o"]).arg(file.path());
    let mut strace = strace.stdin(Stdio::null()).stderr(Stdio::null()).spawn().map_err(failed)?;
    let mut ended = None;
    wait_until("strace to follow all threads", || {
        ended = strace.try_wait().ok().flatten();
        ended.is_some() || all_traced(pid)
    });
    if let Some(status) = ended {
        return Err(format!("strace cannot follow process {pid}: {status}"));
    }
    work();
    let own = Pid::from_child(&strace);
    kill_process(own, Signal::INT).map_err(|error| failed(error.into()))?;
    strace.wait().map_err(failed)?;
    let summary = std::fs::read_to_string(file.path()).map_err(failed)?;
    Ok(sum(&summary))
}

/// Whether some process traces each thread of this one.
fn all_traced(pid: u32) -> bool {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let mut statuses = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("status")).ok());
    statuses.all(|status| !status.contains("TracerPid:\t0\n"))
}

/// The sum of the fourth column, calls, over all rows but the total.
fn sum(summary: &str) -> u64 {
    let rows = summary.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let rows = rows.filter(|row| row.last().is_some_and(|name| *name != "total"));
    rows.filter_map(|row| row.get(3)?.parse::<u64>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_summed_but_not_their_errors_and_not_the_total() {
        let summary = "\
% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 60.00    0.000600           6       100           read
 40.00    0.000400           4       101         7 write
------ ----------- ----------- --------- --------- ----------------
100.00    0.001000           4       201         7 total
";
        assert_eq!(sum(summary), 201);
    }
}
