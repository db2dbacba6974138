//! Engine: one that is loaded into this program and called through its exported functions, as the host does it, without a host.

use std::ffi::{CStr, c_void};
use std::mem::ManuallyDrop;
use std::path::Path;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use libloading::Library;
use plugin_abi::calls::{Calls, Event, HostServices, Instance, OpenOptions};
use plugin_abi::raw::{KV_OP_GET, KV_OP_SET, KvBatch, KvBytes, KvIdentity, KvOp, KvResult};
use plugin_abi::{Identity, Status};

use super::protocol::{KEY_LEN, Kind, write_key};

/// An open engine. Its library stays loaded.
#[derive(Debug)]
pub struct Engine {
    instance: Option<Instance>,
}

impl Engine {
    /// Loads a library of this workspace and opens an engine.
    ///
    /// # Panics
    /// It does not load or open.
    pub fn open(path: &Path) -> Self {
        // SAFETY: an engine of this workspace. It is never unloaded.
        let library = unsafe { Library::new(path) };
        let library = ManuallyDrop::new(library.expect("the engine's library"));
        let lookup = |name: &CStr| {
            // SAFETY: only the address is taken.
            let address = unsafe {
                library
                    .get::<*const c_void>(name.to_bytes_with_nul())
                    .map(|symbol| symbol.into_raw().as_raw_ptr())
            };
            address.map_or(std::ptr::null(), |address| address.cast_const())
        };
        let constant = lookup(c"kv_abi").cast::<u8>();
        assert!(!constant.is_null(), "{} is no engine", path.display());
        // SAFETY: a constant of this size, by the contract.
        let bytes = unsafe { std::slice::from_raw_parts(constant, size_of::<KvIdentity>()) };
        let identity = Identity::parse(bytes).expect("the engine's identity");
        // SAFETY: functions of this ABI version, as it is built with this program.
        let calls = unsafe { Calls::resolve(lookup) }.expect("the engine's functions");
        let services = Box::new(Services { since: Instant::now() });
        let instance = Instance::open(calls, identity, services, &OpenOptions::default(), None);
        Self { instance: Some(instance.expect("the engine opens")) }
    }

    /// Stores an entry with `kv_set`.
    ///
    /// # Panics
    /// The engine cannot.
    pub fn set(&self, key: &[u8], value: &[u8]) {
        let op = KvOp { value: KvBytes::new(value), ..KvOp::new(KV_OP_SET, key) };
        self.instance().session().set(&op).expect("kv_set");
    }

    /// Adds the value of an operation's key to `out`, with `kv_get`.
    ///
    /// # Panics
    /// The engine cannot.
    pub fn get(&self, op: &KvOp, out: &mut Vec<u8>) {
        let lent = self.instance().session().get(op, |entry| {
            // SAFETY: the engine lends the entry for this call.
            out.extend_from_slice(unsafe { entry.value.as_slice() });
        });
        lent.expect("kv_get");
    }

    /// Sets the first so many keys, to values of this length.
    ///
    /// # Panics
    /// The engine cannot.
    pub fn fill(&self, keys: u64, value_len: usize) {
        let (mut key, value) = ([0; KEY_LEN], vec![b'v'; value_len]);
        for number in 0..keys {
            write_key(number, &mut key);
            self.set(&key, &value);
        }
    }

    fn instance(&self) -> &Instance {
        self.instance.as_ref().expect("only a drop takes it")
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let closed = self.instance.take().map(Instance::close);
        assert!(std::thread::panicking() || matches!(closed, Some(Ok(()))), "{closed:?}");
    }
}

/// The host's side: it copies the values that it is lent, as a host does that encodes them.
struct Services {
    since: Instant,
}

impl HostServices for Services {
    fn log(&self, level: u32, text: &str) {
        eprintln!("engine, level {level}: {text}");
    }

    fn now_ms(&self) -> i64 {
        now_ms()
    }

    fn monotonic_ns(&self) -> u64 {
        self.since.elapsed().as_nanos() as u64 + 1
    }

    fn complete(&self, batch: *mut KvBatch, first: u32, count: u32) {
        // SAFETY: a batch of `Batch::run`, whose `host_data` is its own `replies`; both are used by nobody else meanwhile.
        let (raw, replies) = unsafe { (&*batch, &mut *(*batch).host_data.cast::<Replies>()) };
        for index in first..first + count {
            // SAFETY: in bounds, and filled in by the engine, which lends the bytes for this call.
            let (status, value) =
                unsafe { (Status((*raw.result(index)).status), (*raw.result(index)).value.as_slice()) };
            replies.found += usize::from(status == Status::OK);
            replies.bytes.extend_from_slice(value);
        }
    }

    fn event(&self, _: Event<'_>) {}

    fn metric(&self, _: &str, _: u32, _: i64) {}
}

fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}

#[derive(Default)]
struct Replies {
    found: usize,
    bytes: Vec<u8>,
}

/// A batch of one kind of operations that is run again and again, each time with other keys.
pub struct Batch {
    kind: Kind,
    keys: Box<[[u8; KEY_LEN]]>,
    value: Box<[u8]>,
    ops: Vec<KvOp>,
    results: Vec<KvResult>,
    replies: Box<Replies>,
}

// SAFETY: the pointers in the operations lead to the batch's own keys and value.
unsafe impl Send for Batch {}

impl Batch {
    /// Of so many operations, with values of this length in bytes.
    pub fn new(kind: Kind, count: usize, value_len: usize) -> Self {
        let keys = vec![[0; KEY_LEN]; count].into_boxed_slice();
        let value = vec![b'v'; value_len].into_boxed_slice();
        let op = |key: &[u8; KEY_LEN]| match kind {
            Kind::Get => KvOp::new(KV_OP_GET, key),
            Kind::Set => KvOp { value: KvBytes::new(&value), ..KvOp::new(KV_OP_SET, key) },
        };
        let ops = keys.iter().map(op).collect();
        Self { kind, keys, value, ops, results: vec![KvResult::EMPTY; count], replies: Box::default() }
    }

    /// Takes other keys, by their numbers.
    pub fn draw(&mut self, mut number: impl FnMut() -> u64) {
        self.keys.iter_mut().for_each(|key| write_key(number(), key));
        // The keys lie where they lay, but what points to them has to come after what wrote them.
        for (op, key) in self.ops.iter_mut().zip(&self.keys) {
            op.key = KvBytes::new(key);
        }
    }

    /// The operations, as an engine sees them.
    pub fn ops(&self) -> &[KvOp] {
        &self.ops
    }

    /// Runs it on an engine that completes batches before it returns. All keys are there.
    ///
    /// # Panics
    /// The engine refuses it, or an operation fails.
    pub fn run(&mut self, engine: &Engine) {
        self.replies.found = 0;
        self.replies.bytes.clear();
        let mut batch = KvBatch {
            struct_size: size_of::<KvBatch>() as u32,
            flags: 0,
            ops: self.ops.as_ptr(),
            results: self.results.as_mut_ptr(),
            count: self.ops.len() as u32,
            op_stride: size_of::<KvOp>() as u32,
            result_stride: size_of::<KvResult>() as u32,
            reserved: 0,
            id: 1,
            now_ms: now_ms(),
            deadline_ns: 0,
            engine_data: [0; 2],
            host_data: (&raw mut *self.replies).cast(),
        };
        // SAFETY: all that it points to lives in `self`, and the engine completes it before it returns, as the caller says.
        unsafe { engine.instance().session().submit(&raw mut batch) }.expect("kv_submit");
        let bytes = if self.kind == Kind::Get { self.value.len() * self.ops.len() } else { 0 };
        assert!(
            self.replies.found == self.ops.len() && self.replies.bytes.len() == bytes,
            "a key is missing"
        );
    }
}
