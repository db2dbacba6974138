//! Store: one open engine with the host's side of it.

use core::sync::atomic::{AtomicU64, Ordering};
use std::panic;
use std::sync::Arc;

use plugin_abi::Identity;
use plugin_abi::calls::{CallError, Calls, Instance, OpenOptions, State};
use plugin_abi::raw::*;

use crate::host::{Completions, Services};
use crate::op::{UpdateCtx, to_raw};
use crate::{Reply, TestHost, TestOp};

/// The number of the newest batch.
static LAST_ID: AtomicU64 = AtomicU64::new(0);

/// An open engine; closed when it is dropped.
#[derive(Debug)]
pub struct Store {
    instance: Option<Instance>,
    /// The host's side.
    pub host: Arc<TestHost>,
}

/// Prints panics as well: an engine that has been opened notes them for the host only, also where it is linked with its own tests, whose panics
/// are failures to be read.
fn print_panics() {
    let noted = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        noted(info);
        eprintln!("{info}");
    }));
}

/// A batch on its way. Waits for all of it when it is dropped.
pub struct Ticket {
    batch: Box<KvBatch>,
    completions: Box<Completions>,
    // What the batch points to.
    _ops: Vec<TestOp>,
    _contexts: Vec<Option<Box<UpdateCtx>>>,
    _raw_ops: Vec<KvOp>,
    _results: Vec<KvResult>,
}

impl Store {
    /// Opens an engine; its clock stands at 1,000,000 ms.
    ///
    /// # Errors
    /// What the engine said.
    pub fn open(engine: (Calls, Identity), options: &[(&str, &str)]) -> Result<Self, CallError> {
        Self::open_with(engine, options, None)
    }

    /// Opens an engine that takes a state over; the caller commits or aborts.
    ///
    /// # Errors
    /// What the engine said.
    pub fn adopt(engine: (Calls, Identity), state: &State<'_>) -> Result<Self, CallError> {
        Self::open_with(engine, &[], Some(state))
    }

    fn open_with(
        (calls, identity): (Calls, Identity),
        options: &[(&str, &str)],
        state: Option<&State<'_>>,
    ) -> Result<Self, CallError> {
        let host = TestHost::new(1_000_000);
        let options = options.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        let options = OpenOptions { options: options.collect(), ..OpenOptions::default() };
        let instance =
            Instance::open(calls, identity, Box::new(Services(Arc::clone(&host))), &options, state)?;
        print_panics();
        Ok(Self { instance: Some(instance), host })
    }

    /// The engine.
    ///
    /// # Panics
    /// Never: only a drop takes it.
    pub fn instance(&self) -> &Instance {
        self.instance.as_ref().unwrap()
    }

    /// Closes the engine.
    ///
    /// # Panics
    /// If the engine fails to.
    pub fn close(mut self) {
        self.instance.take().unwrap().close().unwrap();
    }

    /// Submits a batch (`flags`: `KV_BATCH_ATOMIC`) that nobody waits for after `deadline_ns`; 0 is never.
    ///
    /// # Panics
    /// If the engine refuses it.
    pub fn submit(&self, flags: u32, deadline_ns: u64, ops: Vec<TestOp>) -> Ticket {
        let contexts: Vec<Option<Box<UpdateCtx>>> =
            ops.iter().map(|op| op.change.clone().map(UpdateCtx::new)).collect();
        let raw_ops: Vec<KvOp> =
            ops.iter().zip(&contexts).map(|(op, ctx)| to_raw(op, ctx.as_deref())).collect();
        let nothing = KvResult { status: i32::MAX, ..KvResult::EMPTY };
        let mut results = vec![nothing; ops.len()];
        let completions = Box::new(Completions::new(ops.len()));
        let mut batch = Box::new(KvBatch {
            struct_size: size_of::<KvBatch>() as u32,
            flags,
            ops: raw_ops.as_ptr(),
            results: results.as_mut_ptr(),
            count: ops.len() as u32,
            op_stride: size_of::<KvOp>() as u32,
            result_stride: size_of::<KvResult>() as u32,
            reserved: 0,
            id: LAST_ID.fetch_add(1, Ordering::Relaxed) + 1,
            now_ms: self.host.now_ms(),
            deadline_ns,
            engine_data: [0; 2],
            host_data: core::ptr::from_ref(&*completions).cast_mut().cast(),
        });
        let place = &raw mut *batch;
        let ticket = Ticket {
            batch,
            completions,
            _ops: ops,
            _contexts: contexts,
            _raw_ops: raw_ops,
            _results: results,
        };
        // SAFETY: the ticket keeps everything in place and waits for the last completion before it lets go.
        unsafe { self.instance().session().submit(place) }.unwrap();
        ticket
    }

    /// Runs a batch to its end.
    pub fn batch(&self, ops: Vec<TestOp>) -> Vec<Reply> {
        self.submit(0, 0, ops).wait()
    }

    /// Runs an atomic batch to its end.
    pub fn atomic(&self, ops: Vec<TestOp>) -> Vec<Reply> {
        self.submit(KV_BATCH_ATOMIC, 0, ops).wait()
    }

    /// Runs one operation as a batch of one.
    pub fn one(&self, op: TestOp) -> Reply {
        self.batch(vec![op]).swap_remove(0)
    }

    /// Runs one operation through `kv_get`, `kv_set`, `kv_delete` or `kv_update`.
    pub fn call(&self, op: &TestOp) -> Reply {
        let context = op.change.clone().map(UpdateCtx::new);
        let raw = to_raw(op, context.as_deref());
        let session = self.instance().session();
        let mut reply = Reply::of(plugin_abi::Status::OK);
        let result = match op.kind {
            KV_OP_GET => session.get(&raw, |entry| {
                // SAFETY: the engine lends the entry for this call.
                reply = unsafe { Reply::from_raw(&KvResult::found(entry)) };
            }),
            KV_OP_SET => session.set(&raw).map(|(status, version)| {
                reply.version = version;
                status
            }),
            KV_OP_DELETE => session.delete(&raw),
            // SAFETY: function and context come from `to_raw`, and the context lives until the end of this function.
            _ => unsafe { session.update(&raw) }.map(|(status, version)| {
                reply.version = version;
                status
            }),
        };
        match result {
            Ok(status) => reply.status = status,
            Err(CallError { status, text }) => reply = Reply { text, ..Reply::of(status) },
        }
        reply
    }

    /// Scans from the start to the end in steps of about `count`, and answers key and value of what came.
    ///
    /// # Panics
    /// If the engine fails to.
    pub fn scan(&self, count: u32) -> Vec<(Vec<u8>, Vec<u8>)> {
        let (mut cursor, mut found) = (Vec::new(), Vec::new());
        loop {
            self.scan_step(count, &mut cursor, &mut found);
            if cursor.is_empty() {
                return found;
            }
        }
    }

    /// One step of a scan.
    ///
    /// # Panics
    /// If the engine fails to.
    pub fn scan_step(&self, count: u32, cursor: &mut Vec<u8>, found: &mut Vec<(Vec<u8>, Vec<u8>)>) {
        let lend = |entry: &KvEntry| {
            // SAFETY: the engine lends the entry for this call.
            found.push(unsafe { (entry.key.as_slice().to_vec(), entry.value.as_slice().to_vec()) });
        };
        self.instance().session().scan(0, 0, count, cursor, lend).unwrap();
    }

    /// A figure of the engine's.
    ///
    /// # Panics
    /// If there is no such figure.
    pub fn stat(&self, name: &str) -> i64 {
        let mut number = None;
        self.instance()
            .session()
            .stats(|stat| {
                // SAFETY: the engine lends the figure for this call.
                if unsafe { stat.name.as_slice() } == name.as_bytes() {
                    number = Some(stat.number);
                }
            })
            .unwrap();
        number.unwrap_or_else(|| panic!("no figure {name}"))
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        if let Some(instance) = self.instance.take() {
            let closed = instance.close();
            assert!(std::thread::panicking() || closed.is_ok(), "{closed:?}");
        }
    }
}

impl Ticket {
    /// Waits for the last reply.
    pub fn wait(self) -> Vec<Reply> {
        self.completions.wait().0
    }

    /// Waits for the last reply, and tells the ranges (first, count) in which they came too.
    pub fn wait_ranges(self) -> (Vec<Reply>, Vec<(usize, usize)>) {
        self.completions.wait()
    }

    /// Asks the engine, the one to which the batch was submitted, to give up what has not begun.
    pub fn cancel(&self, store: &Store) {
        store.instance().cancel(self.batch.id);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.completions.wait();
    }
}
