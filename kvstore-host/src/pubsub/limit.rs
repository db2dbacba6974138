//! Limit: how much may wait for a client that does not read, by class of client, as `client-output-buffer-limit` says it.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The limit of one class. 0 is none.
#[derive(Debug, Default)]
pub struct OutputLimit {
    hard_bytes: AtomicU64,
    soft_bytes: AtomicU64,
    soft_s: AtomicU64,
}

/// Since when a client has been above its soft limit.
#[derive(Clone, Copy, Debug, Default)]
pub struct Overdue(Option<Instant>);

impl OutputLimit {
    const fn new(hard_bytes: u64, soft_bytes: u64, soft_s: u64) -> Self {
        let (hard_bytes, soft_bytes) = (AtomicU64::new(hard_bytes), AtomicU64::new(soft_bytes));
        Self { hard_bytes, soft_bytes, soft_s: AtomicU64::new(soft_s) }
    }

    /// The hard limit in bytes, `usize::MAX` where there is none.
    pub fn hard_bytes(&self) -> usize {
        match self.hard_bytes.load(Ordering::Relaxed) {
            0 => usize::MAX,
            bytes => usize::try_from(bytes).unwrap_or(usize::MAX),
        }
    }

    /// Sets hard and soft limit in bytes, and for how many seconds the soft one may be exceeded.
    pub fn set(&self, [hard_bytes, soft_bytes, soft_s]: [u64; 3]) {
        self.hard_bytes.store(hard_bytes, Ordering::Relaxed);
        self.soft_bytes.store(soft_bytes, Ordering::Relaxed);
        self.soft_s.store(soft_s, Ordering::Relaxed);
    }

    /// Why a client for which so many bytes wait is to be closed, if it is. `now` is asked for only above the soft limit.
    pub fn exceeded(
        &self,
        bytes: usize,
        overdue: &mut Overdue,
        now: impl FnOnce() -> Instant,
    ) -> Option<String> {
        let hard_bytes = self.hard_bytes();
        if bytes > hard_bytes {
            return Some(format!(
                "{bytes} bytes of output wait for it; client-output-buffer-limit allows {hard_bytes}"
            ));
        }
        let soft_bytes = self.soft_bytes.load(Ordering::Relaxed);
        if soft_bytes == 0 || bytes as u64 <= soft_bytes {
            overdue.0 = None;
            return None;
        }
        let now = now();
        let since = *overdue.0.get_or_insert(now);
        let soft_s = self.soft_s.load(Ordering::Relaxed);
        (now.saturating_duration_since(since) > Duration::from_secs(soft_s)).then(|| {
            format!(
                "{bytes} bytes of output wait for it; client-output-buffer-limit allows {soft_bytes} for {soft_s} s"
            )
        })
    }
}

impl fmt::Display for OutputLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [hard, soft, seconds] =
            [&self.hard_bytes, &self.soft_bytes, &self.soft_s].map(|part| part.load(Ordering::Relaxed));
        write!(f, "{hard} {soft} {seconds}")
    }
}

/// The limits of all classes.
#[derive(Debug)]
pub struct OutputLimits {
    /// Clients that get replies. Finite, unlike in Redis: one request must not make the host hold any amount of memory. Room for the longest value twice.
    pub normal: OutputLimit,
    /// There are no replicas; kept for tools that set it.
    pub replica: OutputLimit,
    /// Clients that subscribed, and monitors.
    pub pubsub: OutputLimit,
}

impl Default for OutputLimits {
    fn default() -> Self {
        Self {
            normal: OutputLimit::new(1 << 30, 0, 0),
            replica: OutputLimit::new(256 << 20, 64 << 20, 60),
            pubsub: OutputLimit::new(32 << 20, 8 << 20, 60),
        }
    }
}

impl OutputLimits {
    /// The limit of the class of that name.
    pub fn class(&self, name: &[u8]) -> Option<&OutputLimit> {
        let is = |other: &str| name.eq_ignore_ascii_case(other.as_bytes());
        match () {
            () if is("normal") => Some(&self.normal),
            () if is("slave") || is("replica") => Some(&self.replica),
            () if is("pubsub") => Some(&self.pubsub),
            () => None,
        }
    }
}

impl fmt::Display for OutputLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "normal {} slave {} pubsub {}", self.normal, self.replica, self.pubsub)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hard_limit_holds_at_once_and_the_soft_one_after_its_time() {
        let limit = OutputLimit::new(100, 10, 5);
        let (start, mut overdue) = (Instant::now(), Overdue::default());
        let mut at =
            |s, bytes| limit.exceeded(bytes, &mut overdue, || start + Duration::from_secs(s)).is_some();
        assert!(!at(0, 100) && at(0, 101));
        assert!(!at(5, 11), "the time counts from the first look above the limit");
        assert!(at(6, 11));
        assert!(!at(7, 10) && !at(8, 11) && !at(13, 11) && at(14, 11), "going below starts it over");
    }

    #[test]
    fn nothing_is_0() {
        let limit = OutputLimit::new(0, 0, 0);
        let mut overdue = Overdue::default();
        assert_eq!(limit.exceeded(usize::MAX, &mut overdue, Instant::now), None);
        assert_eq!(limit.hard_bytes(), usize::MAX);
    }

    #[test]
    fn the_default_is_finite_for_every_class() {
        let limits = OutputLimits::default();
        for name in ["normal", "SLAVE", "replica", "pubsub"] {
            assert!(limits.class(name.as_bytes()).unwrap().hard_bytes() <= 1 << 30, "{name}");
        }
        assert!(limits.class(b"master").is_none());
        let told = "normal 1073741824 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60";
        assert_eq!(limits.to_string(), told);
    }
}
