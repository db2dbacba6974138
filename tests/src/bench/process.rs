//! Process: what the system says of processes: CPU time, memory, on which processors they run, and what else runs.

use std::path::Path;

use rustix::thread::{CpuSet, Pid, sched_getaffinity, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};

/// CPU time of all threads of a process so far, in nanoseconds.
///
/// # Panics
/// There is no such process.
pub fn cpu_ns(pid: u32) -> u64 {
    tasks(pid).iter().map(|task| first_number(&format!("/proc/{pid}/task/{task}/schedstat"))).sum()
}

/// CPU time of this thread so far, in nanoseconds.
pub fn thread_cpu_ns() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Memory that a process has resident, in bytes.
///
/// # Panics
/// There is no such process.
pub fn resident_bytes(pid: u32) -> u64 {
    let status = read(&format!("/proc/{pid}/status"));
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS of a process");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number of kB") * 1024
}

/// Has all threads that a process has run on these processors only; those that they start will too.
///
/// # Panics
/// It is not allowed.
pub fn pin(pid: u32, processors: &[usize]) {
    for task in tasks(pid) {
        pin_task(Pid::from_raw(task.cast_signed()), processors);
    }
}

/// Has the thread that made it run on one processor only, until it is dropped.
#[derive(Debug)]
pub struct PinnedThread {
    before: CpuSet,
}

impl PinnedThread {
    /// On this processor, if there is one of that number.
    ///
    /// # Panics
    /// The system does not say where this thread runs.
    pub fn to(processor: usize) -> Self {
        let before = sched_getaffinity(None).expect("where this thread runs");
        if before.is_set(processor) {
            pin_task(None, &[processor]);
        }
        Self { before }
    }
}

impl Drop for PinnedThread {
    fn drop(&mut self) {
        if let Err(error) = sched_setaffinity(None, &self.before) {
            eprintln!("this thread stays on its processor: {error}");
        }
    }
}

fn pin_task(task: Option<Pid>, processors: &[usize]) {
    let mut set = CpuSet::new();
    processors.iter().for_each(|processor| set.set(*processor));
    sched_setaffinity(task, &set)
        .unwrap_or_else(|error| panic!("cannot run on processors {processors:?} only: {error}"));
}

/// How all processors together have spent their time since the system started, in nanoseconds, to the hundredth of a second.
#[derive(Clone, Copy, Debug)]
pub struct Processors {
    /// Not idle. What a hypervisor took away is in it.
    pub busy_ns: u64,
    /// Taken away by a hypervisor, for others.
    pub stolen_ns: u64,
    /// Whatever they did.
    pub all_ns: u64,
}

impl Processors {
    /// Until now.
    ///
    /// # Panics
    /// The system does not say.
    pub fn now() -> Self {
        let stat = read("/proc/stat");
        let line = stat.lines().next().expect("the line of all processors");
        let fields = line.split_whitespace().skip(1).map_while(|field| field.parse().ok());
        // user nice system idle iowait irq softirq steal (proc(5)); guests are in user already.
        let ns: Vec<u64> = fields.take(8).map(|hundredths: u64| hundredths * 10_000_000).collect();
        let [.., idle, waiting, _, _, stolen_ns] = ns[..] else { panic!("/proc/stat: {line}") };
        let all_ns = ns.iter().sum();
        Self { busy_ns: all_ns - idle - waiting, stolen_ns, all_ns }
    }

    /// The part of all time since then that a hypervisor took away, in percent.
    pub fn stolen_percent_since(self, before: Self) -> f64 {
        let all_ns = (self.all_ns - before.all_ns).max(1);
        (self.stolen_ns - before.stolen_ns) as f64 / all_ns as f64 * 100.0
    }
}

/// The system's load average over the last minute.
pub fn load_average() -> f64 {
    read("/proc/loadavg").split(' ').next().and_then(|text| text.parse().ok()).unwrap_or_default()
}

/// The process of this machine that listens on this TCP port, if there is one that may be looked at.
pub fn listener(port: u16) -> Option<u32> {
    let end = format!(":{port:04X}");
    let tables =
        ["/proc/net/tcp", "/proc/net/tcp6"].map(|path| std::fs::read_to_string(path).unwrap_or_default());
    let inode = tables.iter().flat_map(|table| table.lines()).find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let listens = fields.get(1)?.ends_with(&end) && *fields.get(3)? == "0A";
        listens.then(|| fields.get(9).map(|inode| format!("socket:[{inode}]")))?
    })?;
    let processes =
        std::fs::read_dir("/proc").ok()?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    processes.into_iter().find(|pid: &u32| {
        let files = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten();
        let mut targets = files.filter_map(|file| std::fs::read_link(file.ok()?.path()).ok());
        targets.any(|target| target == Path::new(&inode))
    })
}

/// The threads of a process.
fn tasks(pid: u32) -> Vec<u32> {
    let entries = std::fs::read_dir(format!("/proc/{pid}/task"));
    let entries = entries.unwrap_or_else(|error| panic!("process {pid} has ended: {error}"));
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect()
}

/// A thread that has just ended counts for nothing.
fn first_number(path: &str) -> u64 {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.split(' ').next().and_then(|number| number.parse().ok()).unwrap_or_default()
}

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_used_time_and_memory() {
        let own = std::process::id();
        let mut work = 0_u64;
        while cpu_ns(own) == 0 || thread_cpu_ns() == 0 {
            work = std::hint::black_box(work + 1);
        }
        assert!(resident_bytes(own) > 1 << 20);
        let processors = Processors::now();
        assert!(processors.busy_ns > 0 && processors.busy_ns < processors.all_ns);
        let half = Processors { stolen_ns: processors.all_ns / 2, ..processors };
        let none = Processors { stolen_ns: 0, all_ns: 0, ..processors };
        assert!((half.stolen_percent_since(none) - 50.0).abs() < 0.1);
    }

    #[test]
    fn who_listens_on_a_port_is_found() {
        let listener_socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener_socket.local_addr().unwrap().port();
        assert_eq!(listener(port), Some(std::process::id()));
    }
}
