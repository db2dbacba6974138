//! A test engine that completes late, out of order and from its own thread, with errors on demand and without updates.
//! Builds `libkvstore_delayed.so`; it stands in for engines on a disk or on other machines.
//!
//! It is linearizable all the same: an operation takes effect at one moment between its submission and its completion. Options:
//!
//! * `delay_us=MIN..MAX`: how long a call or an operation takes, in microseconds; 0..300, in a trial 0..1. `kv_stats` answers at once.
//! * `seed=N`: start of all random numbers; 1.
//! * `error_rate=0.0..1.0`: share of calls and operations that fail; 0.
//! * `error=NAME`: what they fail with; UNAVAILABLE. With one whose outcome is unknown (UNKNOWN, IO) half of them happen.
//! * `prompt=N`: so many batches, the first ones, are complete when their submission returns, though from the thread all the same; 0.
//! * `fail_at=N`: the N-th call or operation since the start fails. An atomic batch is one operation; `kv_stats` is none.
//! * `wait_at=N:PATH`: the N-th waits as long as there is a file at PATH, and all else waits with it; while it does there is one at PATH.inside.

mod flight;
mod options;
mod queue;
mod store;
#[cfg(test)]
mod tests;

mod worker;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use plugin_abi::Status;
use plugin_abi::raw::{
    KV_CAP_ATOMIC, KV_CAP_BLOCKING, KV_CAP_EXPIRY, KV_CAP_SCRATCH, KV_CAP_THREAD_SAFE, KV_CAP_TYPES,
    KV_CAP_VERSIONS, KV_LOG_ERROR, KV_STAT_COUNTER, KV_STAT_GAUGE,
};
use plugin_abi::sdk::{Batch, BatchId, Cursor, Engine, Entry, Error, Found, Host, Op, OpenArgs, VERSION_END};

use kvstore_engine_thread::Thread;
use options::Options;
use queue::{Queue, Request, promise};
use store::{Done, OwnedOp};
use worker::{Core, Worker, check};

pub(crate) const CAPABILITIES: u64 = KV_CAP_THREAD_SAFE
    | KV_CAP_BLOCKING
    | KV_CAP_EXPIRY
    | KV_CAP_VERSIONS
    | KV_CAP_ATOMIC
    | KV_CAP_SCRATCH
    | KV_CAP_TYPES;

/// A cursor is a key with one byte before it, and has to fit.
pub(crate) const KEY_LEN_MAX: u64 = 65_536;

/// A step of a scan ends early when it has values of this many bytes together.
const STEP_BYTES_MAX: usize = 1 << 20;

/// First byte of a cursor: without it the cursor behind the empty key would be empty.
const CURSOR_MARK: u8 = 1;

/// The engine.
pub struct Delayed {
    queue: Arc<Queue>,
    thread: Thread,
    // Batches that are still to be complete when their submission returns.
    prompt: AtomicU64,
}

plugin_abi::export_engine!(Delayed { submit, cancel, scan, count, stats, clear, sync, sequence });

impl Delayed {
    /// Has the thread do something, and waits for it.
    fn call<T: Send + 'static>(
        &self,
        run: impl FnOnce(&mut Core) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let (promise, answer) = promise();
        // If the queue gives the call back, dropping it answers.
        let _ = self.queue.put(Request::Call(Box::new(move |core| promise.keep(run(core)))));
        answer.wait()
    }

    fn operation(&self, op: &Op<'_>) -> Result<Done, Error> {
        check(op)?;
        let op = OwnedOp::from(op);
        self.call(move |core| {
            core.faulty(|core| {
                let now_ms = core.host.now_ms();
                core.store.run(&op, now_ms, &core.host)
            })
        })
    }

    fn only_space_0(space: u32) -> Result<(), Error> {
        if space == 0 { Ok(()) } else { Err(Error::new(Status::UNSUPPORTED, "there is only keyspace 0")) }
    }
}

impl Engine for Delayed {
    const NAME: &'static str = "delayed";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const CAPABILITIES: u64 = CAPABILITIES;
    const KEY_LEN_MAX: u64 = KEY_LEN_MAX;

    fn open(args: OpenArgs<'_>) -> Result<Self, Error> {
        let options = Options::read(&args)?;
        let queue = Arc::new(Queue::default());
        let (host, own, prompt) = (args.host, Arc::clone(&queue), AtomicU64::new(options.prompt));
        let thread = Thread::start(move || {
            let _left = Left(&own, host);
            Worker::new(host, options).run(&own);
        })?;
        Ok(Self { queue, thread, prompt })
    }

    fn close(self) -> Result<(), Error> {
        self.queue.close();
        self.thread.join();
        Ok(())
    }

    fn get(&self, op: &Op<'_>, lend: &mut dyn FnMut(&Entry<'_>)) -> Result<Found, Error> {
        match self.operation(op)? {
            Done::Found(stored) => {
                lend(&stored.entry(op.key()));
                Ok(Found::Yes)
            }
            _ => Ok(Found::No),
        }
    }

    fn set(&self, op: &Op<'_>) -> Result<u64, Error> {
        match self.operation(op)? {
            Done::Stored { version, .. } => Ok(version),
            _ => Ok(0),
        }
    }

    fn delete(&self, op: &Op<'_>) -> Result<Found, Error> {
        Ok(if matches!(self.operation(op)?, Done::Deleted) { Found::Yes } else { Found::No })
    }

    fn submit(&self, batch: Batch) {
        let one_less = |left: u64| left.checked_sub(1);
        let put = if self.prompt.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less).is_ok() {
            let (promise, answer) = promise();
            let put = self.queue.put(Request::Prompt(batch, promise));
            if put.is_ok() {
                let _ = answer.wait();
            }
            put
        } else {
            self.queue.put(Request::Batch(batch))
        };
        if let Err(Request::Batch(batch) | Request::Prompt(batch, _)) = put {
            batch.fail_all(&Error::new(Status::POISONED, "the engine's thread has ended"));
        }
    }

    fn cancel(&self, batch: BatchId) {
        // A queue that nobody takes from holds no batch.
        let _ = self.queue.put(Request::Cancel(batch));
    }

    fn scan(
        &self,
        space: u32,
        no_value: bool,
        count: u32,
        cursor: &mut Cursor<'_>,
        lend: &mut dyn FnMut(&Entry<'_>),
    ) -> Result<(), Error> {
        Self::only_space_0(space)?;
        let from = match cursor.get() {
            [] => None,
            [CURSOR_MARK, key @ ..] => Some(key.to_vec()),
            _ => return Err(Error::new(Status::INVALID, "this cursor is none of the delayed engine's")),
        };
        let bytes_max = if no_value { usize::MAX } else { STEP_BYTES_MAX };
        let (some, more) = self.call(move |core| {
            core.faulty(|core| {
                let now_ms = core.host.now_ms();
                core.store.expire(now_ms, &core.host);
                Ok(core.store.after(from.as_deref(), count as usize, bytes_max))
            })
        })?;
        for (key, stored) in &some {
            lend(&stored.entry(key));
        }
        match some.last().filter(|_| more) {
            Some((key, _)) => cursor.set(&[&[CURSOR_MARK], key.as_slice()].concat()),
            None => cursor.set(&[]),
        }
    }

    fn count(&self, space: u32) -> Result<u64, Error> {
        Self::only_space_0(space)?;
        self.call(|core| core.faulty(|core| Ok(core.store.len() as u64)))
    }

    /// What was answered UNKNOWN has taken effect by then, or never will: the thread carries out what it is asked in order.
    fn sync(&self) -> Result<(), Error> {
        self.call(|core| core.faulty(|_| Ok(())))
    }

    fn sequence(&self, last: u64) -> Result<u64, Error> {
        if last >= VERSION_END {
            return Err(Error::new(Status::INVALID, "the version is not below 2^56"));
        }
        self.call(move |core| Ok(core.store.raise_version(last)))
    }

    fn stats(&self, tell: &mut dyn FnMut(&str, u32, i64)) -> Result<(), Error> {
        let (promise, answer) = promise();
        let look = |core: &mut Core| Ok((core.store.len() as u64, core.store.expired_total(), core.totals()));
        let _ = self.queue.put(Request::Look(Box::new(move |core| promise.keep(look(core)))));
        let (keys, expired, (operations, errors)) = answer.wait()?;
        let mut number =
            |name, kind, number: u64| tell(name, kind, i64::try_from(number).unwrap_or(i64::MAX));
        number("keys", KV_STAT_GAUGE, keys);
        number("expired_total", KV_STAT_COUNTER, expired);
        number("operations_total", KV_STAT_COUNTER, operations);
        number("ordered_errors_total", KV_STAT_COUNTER, errors);
        Ok(())
    }

    fn clear(&self, space: u32) -> Result<(), Error> {
        Self::only_space_0(space)?;
        self.call(|core| {
            core.faulty(|core| {
                core.store.clear();
                Ok(())
            })
        })
    }
}

/// Leaves the queue when the thread ends, also by a panic: whoever waits for something in it gets an answer.
struct Left<'a>(&'a Queue, Host);

impl Drop for Left<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.1.log(KV_LOG_ERROR, "the thread of the delayed engine panicked");
        }
        drop(self.0.leave());
    }
}
