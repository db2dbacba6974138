//! Growth: how long the longest single operation takes while a table grows from nothing, by the CPU time of its thread.

use super::engine::Engine;
use super::process::thread_cpu_ns;
use super::protocol::{KEY_LEN, write_key};

/// Times of single operations, in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub struct Steps {
    /// The longest of all.
    pub max: u32,
    /// Shorter than this are all but one in ten thousand.
    pub p99_99: u32,
    /// The middle one.
    pub median: u32,
}

impl Steps {
    /// Of these times.
    fn of(mut times: Vec<u32>) -> Self {
        times.sort_unstable();
        let at = |share: f64| times.get((times.len() as f64 * share) as usize).copied().unwrap_or_default();
        Self { max: times.last().copied().unwrap_or_default(), p99_99: at(0.9999), median: at(0.5) }
    }
}

/// Sets so many keys of 16 bytes to values of 32, each with one call of `kv_set`, in an engine that is empty at first.
pub fn grow(engine: &Engine, keys: u64) -> Steps {
    let value = [b'v'; 32];
    time_each(keys, |key| engine.set(key, &value))
}

/// The same loop around nothing: what the clock and the system's interrupts take of such figures.
pub fn floor(keys: u64) -> Steps {
    time_each(keys, |key| {
        std::hint::black_box(key);
    })
}

fn time_each(keys: u64, mut step: impl FnMut(&[u8])) -> Steps {
    // Written once before, so that no page of it is touched for the first time while the clock runs.
    let mut times = vec![u32::MAX; keys as usize];
    let mut key = [0; KEY_LEN];
    for (number, time) in (0..).zip(&mut times) {
        write_key(number, &mut key);
        let before_ns = thread_cpu_ns();
        step(&key);
        *time = u32::try_from(thread_cpu_ns() - before_ns).unwrap_or(u32::MAX);
    }
    Steps::of(times)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_put_in_order() {
        let steps = Steps::of((0..20_000).rev().collect());
        assert_eq!((steps.median, steps.p99_99, steps.max), (10_000, 19_998, 19_999));
    }
}
