//! Process: what the system says of this process's memory and time.

use std::fs::read_to_string;

/// What the process uses. What the system does not tell is 0.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::command) struct Usage {
    /// Memory of its own that is resident, in bytes.
    pub(in crate::command) anonymous_bytes: u64,
    /// Memory that is resident, in bytes.
    pub(in crate::command) resident_bytes: u64,
    /// The most that ever was resident, in bytes.
    pub(in crate::command) resident_peak_bytes: u64,
    /// Memory of the machine, in bytes.
    pub(in crate::command) system_bytes: u64,
    /// Time spent in the kernel, in microseconds.
    pub(in crate::command) system_us: u64,
    /// Time spent outside of it, in microseconds.
    pub(in crate::command) user_us: u64,
}

impl Usage {
    /// What it uses now.
    pub(in crate::command) fn now() -> Self {
        let status = read_to_string("/proc/self/status").unwrap_or_default();
        let machine = read_to_string("/proc/meminfo").unwrap_or_default();
        let (user_us, system_us) = times_us().unwrap_or_default();
        Self {
            anonymous_bytes: bytes(&status, "RssAnon:"),
            resident_bytes: bytes(&status, "VmRSS:"),
            resident_peak_bytes: bytes(&status, "VmHWM:"),
            system_bytes: bytes(&machine, "MemTotal:"),
            system_us,
            user_us,
        }
    }
}

/// The number behind `name` in lines such as `VmRSS:     12476 kB`, in bytes.
fn bytes(lines: &str, name: &str) -> u64 {
    let rest = lines.lines().find_map(|line| line.strip_prefix(name));
    let kibibytes =
        rest.and_then(|rest| rest.split_whitespace().next()).and_then(|number| number.parse().ok());
    kibibytes.unwrap_or(0_u64).saturating_mul(1024)
}

/// Time spent by all threads outside of the kernel and in it, in microseconds.
fn times_us() -> Option<(u64, u64)> {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::uninit();
    // SAFETY: the pointer is to a whole `rusage`, which the call fills.
    if unsafe { libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr()) } != 0 {
        return None;
    }
    // SAFETY: the call succeeded, so all of it is set.
    let usage = unsafe { usage.assume_init() };
    let microseconds = |time: libc::timeval| {
        u64::try_from(time.tv_sec).unwrap_or(0) * 1_000_000 + u64::try_from(time.tv_usec).unwrap_or(0)
    };
    Some((microseconds(usage.ru_utime), microseconds(usage.ru_stime)))
}

/// The system's name, its version and the processor.
pub(in crate::command) fn os() -> String {
    let kernel = |name: &str| read_to_string(format!("/proc/sys/kernel/{name}")).unwrap_or_default();
    format!("{} {} {}", kernel("ostype").trim(), kernel("osrelease").trim(), std::env::consts::ARCH)
}

#[cfg(test)]
mod tests {
    use super::{Usage, bytes};

    #[test]
    fn a_figure_is_read_off_its_line() {
        let lines = "VmHWM:\t   99 kB\nVmRSS:\t   12 kB\n";
        assert_eq!((bytes(lines, "VmRSS:"), bytes(lines, "RssAnon:")), (12 * 1024, 0));
    }

    #[test]
    fn the_process_uses_something() {
        let usage = Usage::now();
        assert!(0 < usage.anonymous_bytes && usage.anonymous_bytes < usage.resident_bytes);
        assert!(usage.resident_bytes <= usage.resident_peak_bytes);
        assert!(usage.resident_peak_bytes < usage.system_bytes);
        assert!(usage.user_us + usage.system_us > 0);
    }
}
