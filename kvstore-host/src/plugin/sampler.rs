//! Sampler: looks at some of the live data, with which a candidate is tried. The live engine is in use meanwhile, and may hang: the look has
//! a thread of its own, and nobody waits for it for ever.

use std::collections::BTreeSet;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use plugin_abi::calls::{Instance, Session};
use plugin_abi::sdk::Entry;

use super::check::{Sample, Sampled};
use super::live::Live;

/// Most entries of a sample.
const ENTRIES_MAX: usize = 1_000;
/// Most bytes of it, keys and values.
const BYTES_MAX: usize = 4 << 20;
/// Bytes of values that are looked at at most, with those that are too long for a sample.
const LOOKED_AT_MAX: u64 = 64 << 20;
/// Entries that a step of the scan is asked for: a short one, since an engine that is not thread-safe serves nobody meanwhile.
const STEP: u32 = 64;
/// Most steps.
const STEPS_MAX: u32 = 1_000;
/// How long it is tried to come to call an engine that takes one call at a time. One that is busy for longer gives no sample.
const BUSY_TIMEOUT: Duration = Duration::from_secs(1);
/// How long all of it may take; in half of that it comes to its end, unless a call does not return.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Takes samples, one at a time.
#[derive(Debug, Default)]
pub(super) struct Sampler {
    /// The thread of a look that is under way, be it one that was given up. It is joined before the engine goes: at its end it comes back to what
    /// the engine may have left on it.
    out: Mutex<Option<JoinHandle<()>>>,
}

impl Sampler {
    /// Whether a thread may be in the live engine to look at its data.
    pub(super) fn is_out(&self) -> bool {
        self.out().is_some()
    }

    fn lock(&self) -> MutexGuard<'_, Option<JoinHandle<()>>> {
        self.out.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The thread that is under way; one that is at its end is waited for.
    fn out(&self) -> MutexGuard<'_, Option<JoinHandle<()>>> {
        let mut out = self.lock();
        // Who waited for it knows how it ended, or has given it up.
        let _ = out.take_if(|thread| thread.is_finished()).map(JoinHandle::join);
        out
    }

    /// Takes a sample at this time; `None` where the engine has no scan, or cannot be asked.
    ///
    /// # Errors
    /// The engine does not return. Until it has, the engine must stay.
    pub(super) fn take(&self, live: &Arc<Live>, now_ms: i64) -> Result<Option<Sample>, String> {
        let mut out = self.out();
        if out.is_some() {
            return Err("kv_scan of the live engine, asked for an earlier check, has not returned".to_owned());
        }
        let live = Arc::clone(live);
        let (send, receive) = mpsc::channel();
        let look = move || {
            let looked = live.instance().map_or_else(|| Err("it cannot be asked".to_owned()), look);
            drop(live);
            // Nobody listens where the look was given up.
            let _ = send.send(looked);
        };
        let thread = match super::threads::spawn("sample", look) {
            Ok(thread) => out.insert(thread).thread().id(),
            Err(error) => return Ok(without(&format!("no thread for it: {error}"))),
        };
        drop(out);
        let looked = receive.recv_timeout(TIMEOUT);
        if let Err(RecvTimeoutError::Timeout) = looked {
            let limit_s = TIMEOUT.as_secs();
            return Err(format!(
                "kv_scan of the live engine has not returned within {limit_s} s; its data cannot be tried"
            ));
        }
        let ended = self.lock().take_if(|out| out.thread().id() == thread);
        let panicked = ended.is_some_and(|thread| thread.join().is_err());
        Ok(match looked {
            Ok(Ok(entries)) => Some(Sample { taken_ms: now_ms, entries }),
            Ok(Err(why)) => without(&why),
            Err(_) => without(if panicked { "the look panicked" } else { "the look was broken off" }),
        })
    }
}

fn without(why: &str) -> Option<Sample> {
    log::info!("the check goes without a sample of the live data: {why}");
    None
}

/// Scans from the start until there is enough.
fn look(instance: &Instance) -> Result<Vec<Sampled>, String> {
    if !instance.has_symbol("kv_scan") {
        return Err("the live engine has no kv_scan".to_owned());
    }
    let (mut gathered, mut cursor, since) = (Gathered::default(), Vec::new(), Instant::now());
    for _ in 0..STEPS_MAX {
        let step = session(instance)?.scan(0, 0, STEP, &mut cursor, |lent| {
            // SAFETY: the engine lends the entry for this call.
            gathered.take(&unsafe { Entry::from_raw(lent) });
        });
        step.map_err(|error| format!("kv_scan of the live engine failed: {error}"))?;
        if cursor.is_empty() || gathered.is_enough() || since.elapsed() > TIMEOUT / 2 {
            break;
        }
    }
    Ok(gathered.entries)
}

/// Comes to call the engine as soon as nobody else does, within a time.
fn session(instance: &Instance) -> Result<Session<'_>, String> {
    let since = Instant::now();
    loop {
        match instance.try_session() {
            Some(session) => return Ok(session),
            None if since.elapsed() >= BUSY_TIMEOUT => {
                return Err("the live engine takes one call at a time, and is busy".to_owned());
            }
            None => thread::sleep(Duration::from_millis(1)),
        }
    }
}

/// What was gathered so far.
#[derive(Default)]
struct Gathered {
    entries: Vec<Sampled>,
    // A scan may bring a key twice.
    keys: BTreeSet<Vec<u8>>,
    bytes: usize,
    looked_at: u64,
}

impl Gathered {
    fn take(&mut self, entry: &Entry<'_>) {
        let len = entry.key.len().saturating_add(entry.value.len());
        self.looked_at = self.looked_at.saturating_add(len as u64);
        let fits = self.entries.len() < ENTRIES_MAX && len <= BYTES_MAX - self.bytes;
        if fits && self.keys.insert(entry.key.to_vec()) {
            self.bytes += len;
            self.entries.push(Sampled::from(entry));
        }
    }

    fn is_enough(&self) -> bool {
        self.entries.len() >= ENTRIES_MAX || self.bytes >= BYTES_MAX || self.looked_at >= LOOKED_AT_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(gathered: &mut Gathered, key: u32, len: usize) {
        let value = vec![0; len];
        gathered.take(&Entry { key: &key.to_ne_bytes(), value: &value, ..Entry::default() });
    }

    #[test]
    fn a_sample_is_bounded_and_has_no_key_twice() {
        let mut gathered = Gathered::default();
        (0..5).for_each(|_| take(&mut gathered, 7, 10));
        assert_eq!((gathered.entries.len(), gathered.bytes), (1, 14));
        (0..2_000).for_each(|key| take(&mut gathered, key, 10));
        assert!(gathered.is_enough() && gathered.entries.len() == ENTRIES_MAX);
    }

    #[test]
    fn what_is_too_long_is_passed_over_but_not_for_ever() {
        let mut gathered = Gathered::default();
        take(&mut gathered, 1, BYTES_MAX);
        take(&mut gathered, 2, BYTES_MAX / 2);
        take(&mut gathered, 3, BYTES_MAX);
        take(&mut gathered, 4, 10);
        let keys: Vec<_> = gathered.entries.iter().map(|entry| entry.key.clone()).collect();
        assert_eq!(keys, [2_u32.to_ne_bytes(), 4_u32.to_ne_bytes()]);
        assert!(!gathered.is_enough());
        (5..30).for_each(|key| take(&mut gathered, key, BYTES_MAX));
        assert!(gathered.is_enough() && gathered.entries.len() == 2);
    }
}
