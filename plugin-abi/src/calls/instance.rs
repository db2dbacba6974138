//! Instance: one open engine, with safe calls. An engine that is not thread-safe is locked here, for a whole session.

use core::ffi::c_void;
use core::marker::PhantomData;
use core::ptr;
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

use super::host::{HostServices, HostTable};
use super::{CallError, Calls};
use crate::raw::*;
use crate::{Identity, Status};

/// How an instance is to be opened.
#[derive(Clone, Debug, Default)]
pub struct OpenOptions {
    /// Options for the engine, each key once.
    pub options: Vec<(String, String)>,
    /// Open as a trial that touches nothing but this empty directory.
    pub scratch_dir: Option<String>,
}

/// The state that an engine gives, for as long as the engine holds it ready.
#[derive(Debug)]
pub struct State<'a> {
    state: KvState,
    _giver: PhantomData<&'a Instance>,
}

impl State<'_> {
    /// The state as the engine described it; what it points to stays until commit or abort.
    pub(crate) fn raw(&self) -> &KvState {
        &self.state
    }

    /// One of `KV_HANDOFF_*`.
    pub fn kind(&self) -> u32 {
        self.state.kind
    }

    /// Which version of its format the state has.
    pub fn format_version(&self) -> u32 {
        self.state.format_version
    }

    /// Whether the giver cannot vouch for it: the giver has panicked.
    pub fn is_suspect(&self) -> bool {
        self.state.flags & KV_STATE_SUSPECT != 0
    }

    /// Its regions, in their order: what has a place in memory, or a file descriptor, or both.
    ///
    /// # Errors
    /// INVALID where the giver has described them so that they cannot be read.
    pub fn regions(&self) -> Result<Vec<KvRegion>, CallError> {
        let KvState { regions, region_count, region_stride, .. } = self.state;
        let stride = region_stride as usize;
        if region_count == 0 {
            return Ok(Vec::new());
        }
        if regions.is_null()
            || stride < size_of::<KvRegion>()
            || !stride.is_multiple_of(align_of::<KvRegion>())
        {
            let text = format!("{region_count} regions at {regions:?}, {stride} bytes apart");
            return Err(CallError { status: Status::INVALID, text });
        }
        // SAFETY: an array of this many regions at this stride, which stays until commit or abort.
        Ok((0..region_count as usize).map(|index| unsafe { *regions.byte_add(index * stride) }).collect())
    }
}

impl<'a> State<'a> {
    /// A state that no engine gave, to see whether one takes it: these bytes, and no region.
    pub(crate) fn forged(kind: u32, format_version: u32, root: &'a [u8]) -> Self {
        let state = KvState {
            struct_size: size_of::<KvState>() as u32,
            kind,
            format_version,
            flags: 0,
            regions: ptr::null(),
            region_count: 0,
            region_stride: size_of::<KvRegion>() as u32,
            root: KvBytes::new(root),
        };
        Self { state, _giver: PhantomData }
    }
}

/// One open engine. Closed with [`Instance::close`]; one that is dropped instead is leaked, because closing can block and fail.
#[derive(Debug)]
pub struct Instance {
    calls: Calls,
    identity: Identity,
    engine: *mut KvEngine,
    // For engines without THREAD_SAFE: one call at a time.
    lock: Option<Mutex<()>>,
    // Lent to the engine until it is closed.
    host: *mut HostTable,
}

// SAFETY: the engine may be called from any thread: at once if it says THREAD_SAFE, else under the lock.
unsafe impl Send for Instance {}
// SAFETY: as above.
unsafe impl Sync for Instance {}

/// A few calls in a row to one instance. Where the engine is not thread-safe, nobody else calls it meanwhile.
#[derive(Debug)]
pub struct Session<'a> {
    instance: &'a Instance,
    _lock: Option<MutexGuard<'a, ()>>,
}

impl Instance {
    /// Opens an instance of the library behind `calls`, whose identity is `identity`.
    ///
    /// # Errors
    /// What `kv_open` returned, with its text.
    pub fn open(
        calls: Calls,
        identity: Identity,
        services: Box<dyn HostServices>,
        options: &OpenOptions,
        state: Option<&State<'_>>,
    ) -> Result<Self, CallError> {
        // A NUL follows each text, which is not counted.
        let with_nul = |text: &str| format!("{text}\0");
        let texts: Vec<(String, String)> =
            options.options.iter().map(|(key, value)| (with_nul(key), with_nul(value))).collect();
        let without_nul = |text: &str| KvBytes { data: text.as_ptr(), len: text.len() - 1 };
        let pairs: Vec<KvOption> = texts
            .iter()
            .map(|(key, value)| KvOption { key: without_nul(key), value: without_nul(value) })
            .collect();
        let scratch_dir = options.scratch_dir.as_deref().map(with_nul);
        let host = HostTable::new(services);
        let args = KvOpenArgs {
            struct_size: size_of::<KvOpenArgs>() as u32,
            flags: if options.scratch_dir.is_some() { KV_OPEN_SCRATCH } else { 0 },
            host: host.table(),
            options: pairs.as_ptr(),
            option_count: pairs.len() as u32,
            option_stride: size_of::<KvOption>() as u32,
            scratch_dir: scratch_dir.as_deref().map_or(KvBytes::EMPTY, without_nul),
            state: state.map_or(ptr::null(), |state| &raw const state.state),
            deadline_ns: 0,
        };
        let mut engine = ptr::null_mut();
        // SAFETY: the table promises a function of this type; all pointers live through the call.
        with_error(|error| unsafe { (calls.open)(&raw const args, &raw mut engine, error) })?;
        let lock = (!identity.has(KV_CAP_THREAD_SAFE)).then(Mutex::default);
        Ok(Self { calls, identity, engine, lock, host: Box::into_raw(host) })
    }

    /// What the library says it is.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The functions of the library.
    pub fn calls(&self) -> &Calls {
        &self.calls
    }

    /// Whether the library has the optional symbol of this name.
    pub fn has_symbol(&self, name: &str) -> bool {
        self.calls.optional_symbols().contains(&name)
    }

    /// The engine's own pointer, for calls that the safe ones cannot make. They are made within a session.
    pub(crate) fn raw(&self) -> *mut KvEngine {
        self.engine
    }

    /// What `kv_open` answers to these flags, whatever they are. An instance that it opened is closed again.
    pub(crate) fn probe_open_flags(&self, flags: u32, scratch_dir: &str) -> Status {
        let scratch_dir = format!("{scratch_dir}\0");
        let args = KvOpenArgs {
            struct_size: size_of::<KvOpenArgs>() as u32,
            flags,
            // SAFETY: alive until this instance is closed.
            host: unsafe { (*self.host).table() },
            options: ptr::null(),
            option_count: 0,
            option_stride: size_of::<KvOption>() as u32,
            scratch_dir: KvBytes { data: scratch_dir.as_ptr(), len: scratch_dir.len() - 1 },
            state: ptr::null(),
            deadline_ns: 0,
        };
        let mut engine = ptr::null_mut();
        // SAFETY: the table promises functions of these types; all pointers live through the calls, and NULL is allowed.
        let status = unsafe { (self.calls.open)(&raw const args, &raw mut engine, ptr::null_mut()) };
        if status == KV_STATUS_OK {
            // SAFETY: as above; just opened, and used by nobody else.
            unsafe { (self.calls.close)(engine, ptr::null_mut()) };
        }
        Status(status)
    }

    /// Asks that what has not begun of the batch of this number be given up; nothing where the engine cannot, or there is no such batch any more. Takes no
    /// lock: it may come beside any other call.
    pub fn cancel(&self, batch_id: u64) {
        if let Some(call) = self.calls.cancel {
            // SAFETY: open instance, right type.
            unsafe { call(self.engine, batch_id) }
        }
    }

    /// Begins a row of calls. Waits for the other session to end where the engine is not thread-safe.
    pub fn session(&self) -> Session<'_> {
        let lock = self.lock.as_ref().map(|lock| lock.lock().unwrap_or_else(PoisonError::into_inner));
        Session { instance: self, _lock: lock }
    }

    /// As [`Instance::session`], but only where that has to wait for nobody.
    pub fn try_session(&self) -> Option<Session<'_>> {
        let lock = match self.lock.as_ref().map(Mutex::try_lock) {
            None => None,
            Some(Ok(lock)) => Some(lock),
            Some(Err(TryLockError::Poisoned(poisoned))) => Some(poisoned.into_inner()),
            Some(Err(TryLockError::WouldBlock)) => return None,
        };
        Some(Session { instance: self, _lock: lock })
    }

    /// Closes the engine. Its threads are gone and its memory is freed when this returns, also with an error.
    ///
    /// # Errors
    /// What `kv_close` returned: the last of the data may not be safe.
    pub fn close(self) -> Result<(), CallError> {
        // SAFETY: open until now; `self` is consumed, so no call is under way or follows.
        let closed = with_error(|error| unsafe { (self.calls.close)(self.engine, error) });
        // SAFETY: made by Box::into_raw in `open`, and the engine has let go of it.
        drop(unsafe { Box::from_raw(self.host) });
        closed.map(|_| ())
    }
}

impl Session<'_> {
    /// Reads a key and lends its entry to `sink`. `op.kind` is set here. OK, NOT_FOUND or CONFLICT.
    ///
    /// # Errors
    /// A failure, with the engine's text.
    pub fn get(&self, op: &KvOp, mut sink: impl FnMut(&KvEntry)) -> Result<Status, CallError> {
        let op = KvOp { kind: KV_OP_GET, ..*op };
        let (call, ctx) = lend(&mut sink);
        // SAFETY: open instance, right type; operation, sink and error live through the call.
        with_error(|error| unsafe {
            (self.instance.calls.get)(self.instance.engine, &raw const op, call, ctx, error)
        })
    }

    /// Stores an entry and answers its version. OK or CONFLICT.
    ///
    /// # Errors
    /// A failure, with the engine's text.
    pub fn set(&self, op: &KvOp) -> Result<(Status, u64), CallError> {
        let op = KvOp { kind: KV_OP_SET, ..*op };
        let mut version = 0;
        // SAFETY: open instance, right type; all pointers live through the call.
        let status = with_error(|error| unsafe {
            (self.instance.calls.set)(self.instance.engine, &raw const op, &raw mut version, error)
        })?;
        Ok((status, version))
    }

    /// Removes a key. OK, NOT_FOUND or CONFLICT.
    ///
    /// # Errors
    /// A failure, with the engine's text.
    pub fn delete(&self, op: &KvOp) -> Result<Status, CallError> {
        let op = KvOp { kind: KV_OP_DELETE, ..*op };
        // SAFETY: open instance, right type; all pointers live through the call.
        with_error(|error| unsafe {
            (self.instance.calls.delete)(self.instance.engine, &raw const op, error)
        })
    }

    /// Lets `op.update` decide on a key and answers the version that the entry has then.
    ///
    /// # Errors
    /// UNSUPPORTED where the engine has no `kv_update`; else a failure, with the engine's text.
    ///
    /// # Safety
    /// `op.update` is set, and `op.update_ctx` is what it takes.
    pub unsafe fn update(&self, op: &KvOp) -> Result<(Status, u64), CallError> {
        let Some(call) = self.instance.calls.update else { return missing("kv_update") };
        let op = KvOp { kind: KV_OP_UPDATE, ..*op };
        let mut version = 0;
        // SAFETY: open instance, right type; all pointers live through the call, and the function fits, says the caller.
        let status = with_error(|error| unsafe {
            call(self.instance.engine, &raw const op, &raw mut version, error)
        })?;
        Ok((status, version))
    }

    /// Hands a batch over. It comes back, in ranges, through [`HostServices::complete`].
    ///
    /// # Errors
    /// UNSUPPORTED where the engine has no `kv_submit`; else why the batch was refused as a whole.
    ///
    /// # Safety
    /// `batch` and all that it points to is valid, does not move, and is not touched until its last operation is completed.
    pub unsafe fn submit(&self, batch: *mut KvBatch) -> Result<(), CallError> {
        let Some(call) = self.instance.calls.submit else { return missing("kv_submit") };
        // SAFETY: open instance, right type; the batch is as the caller promises.
        with_error(|error| unsafe { call(self.instance.engine, batch, error) }).map(|_| ())
    }

    /// Ends the pins of a completed batch.
    ///
    /// # Safety
    /// `batch` was submitted to this instance and is completed, a result of it is pinned, and it is released once.
    pub unsafe fn release(&self, batch: *mut KvBatch) {
        if let Some(call) = self.instance.calls.release {
            // SAFETY: open instance, right type; the batch is as the caller promises.
            unsafe { call(self.instance.engine, batch) }
        }
    }

    /// Goes on with a scan: lends about `count` entries to `sink` and moves the cursor, which is empty at the start and
    /// again at the end. `flags`: `KV_OP_NO_VALUE`.
    ///
    /// # Errors
    /// UNSUPPORTED where the engine has no `kv_scan`; else a failure, with the engine's text.
    pub fn scan(
        &self,
        space: u32,
        flags: u32,
        count: u32,
        cursor: &mut Vec<u8>,
        mut sink: impl FnMut(&KvEntry),
    ) -> Result<(), CallError> {
        let Some(call) = self.instance.calls.scan else { return missing("kv_scan") };
        // A new buffer comes zeroed from the allocator; to grow `cursor` would write every byte of it, one by one in a debug build.
        let mut buffer = vec![0_u8; KV_CURSOR_LEN_MAX as usize];
        let len = cursor.len().min(buffer.len());
        buffer[..len].copy_from_slice(&cursor[..len]);
        let mut place = KvCursor { bytes: buffer.as_mut_ptr(), len: len as u32, capacity: KV_CURSOR_LEN_MAX };
        let (sink, ctx) = lend(&mut sink);
        // SAFETY: open instance, right type; cursor, sink and error live through the call.
        let done = with_error(|error| unsafe {
            call(self.instance.engine, space, flags, count, &raw mut place, sink, ctx, error)
        });
        // After a failure the cursor counts as not moved, whatever the engine wrote.
        done?;
        cursor.clear();
        cursor.extend_from_slice(&buffer[..(place.len as usize).min(buffer.len())]);
        Ok(())
    }

    /// Lends an entry chosen at random to `sink`. `flags`: `KV_OP_NO_VALUE`. OK, or NOT_FOUND where there is none.
    ///
    /// # Errors
    /// UNSUPPORTED where the engine has no `kv_random`; else a failure, with the engine's text.
    pub fn random(
        &self,
        space: u32,
        flags: u32,
        mut sink: impl FnMut(&KvEntry),
    ) -> Result<Status, CallError> {
        let Some(call) = self.instance.calls.random else { return missing("kv_random") };
        let (sink, ctx) = lend(&mut sink);
        // SAFETY: open instance, right type; sink and error live through the call.
        with_error(|error| unsafe { call(self.instance.engine, space, flags, sink, ctx, error) })
    }

    /// Counts the entries of a space.
    ///
    /// # Errors
    /// UNSUPPORTED where the engine has no `kv_count`; else a failure, with the engine's text.
    pub fn count(&self, space: u32) -> Result<u64, CallError> {
        let Some(call) = self.instance.calls.count else { return missing("kv_count") };
        let mut count = 0;
        // SAFETY: open instance, right type; all pointers live through the call.
        with_error(|error| unsafe { call(self.instance.engine, space, &raw mut count, error) })?;
        Ok(count)
    }

    /// Asks the engine for its own figures.
    ///
    /// # Errors
    /// UNSUPPORTED where the engine has no `kv_stats`; else a failure, with the engine's text.
    pub fn stats(&self, mut sink: impl FnMut(&KvStat)) -> Result<(), CallError> {
        let Some(call) = self.instance.calls.stats else { return missing("kv_stats") };
        unsafe extern "C" fn one<F: FnMut(&KvStat)>(ctx: *mut c_void, stat: *const KvStat) {
            // SAFETY: `ctx` is the closure below, and the engine lends the figure for this call.
            let (sink, stat) = unsafe { (&mut *ctx.cast::<F>(), &*stat) };
            sink(stat);
        }
        fn pick<F: FnMut(&KvStat)>(sink: &mut F) -> (KvStatFn, *mut c_void) {
            (one::<F>, (&raw mut *sink).cast())
        }
        let (sink, ctx) = pick(&mut sink);
        // SAFETY: open instance, right type; sink and error live through the call.
        with_error(|error| unsafe { call(self.instance.engine, sink, ctx, error) }).map(|_| ())
    }

    /// Removes all entries of a space.
    ///
    /// # Errors
    /// UNSUPPORTED where the engine has no `kv_clear`; else a failure, with the engine's text.
    pub fn clear(&self, space: u32) -> Result<(), CallError> {
        let Some(call) = self.instance.calls.clear else { return missing("kv_clear") };
        // SAFETY: open instance, right type; the error lives through the call.
        with_error(|error| unsafe { call(self.instance.engine, space, error) }).map(|_| ())
    }

    /// Makes durable what was acknowledged; blocks until it is.
    ///
    /// # Errors
    /// UNSUPPORTED where the engine has no `kv_sync`; else a failure, with the engine's text.
    pub fn sync(&self) -> Result<(), CallError> {
        let Some(call) = self.instance.calls.sync else { return missing("kv_sync") };
        // SAFETY: open instance, right type; the error lives through the call.
        with_error(|error| unsafe { call(self.instance.engine, error) }).map(|_| ())
    }

    /// Raises the sequence of versions to at least `last`, and answers the highest number given or imported so far.
    ///
    /// # Errors
    /// UNSUPPORTED where the engine has no `kv_sequence`; else a failure, with the engine's text.
    pub fn sequence(&self, last: u64) -> Result<u64, CallError> {
        let Some(call) = self.instance.calls.sequence else { return missing("kv_sequence") };
        let mut last = last;
        // SAFETY: open instance, right type; all pointers live through the call.
        with_error(|error| unsafe { call(self.instance.engine, &raw mut last, error) })?;
        Ok(last)
    }

    /// Prepares a handoff of this kind (`KV_HANDOFF_*`).
    ///
    /// # Errors
    /// UNSUPPORTED where the engine has no handoff; else why it cannot.
    pub fn handoff_prepare(&self, kind: u32) -> Result<(), CallError> {
        let Some(handoff) = self.instance.calls.handoff else { return missing("kv_handoff_prepare") };
        // SAFETY: open instance, right type; the error lives through the call.
        with_error(|error| unsafe { (handoff.prepare)(self.instance.engine, kind, error) }).map(|_| ())
    }

    /// Describes the state, after a prepare for `KV_HANDOFF_ADOPT` or `KV_HANDOFF_REOPEN`, so that another build can be opened with it.
    ///
    /// # Errors
    /// UNSUPPORTED where the engine has no handoff; else why it cannot.
    pub fn handoff_give(&self) -> Result<State<'_>, CallError> {
        let Some(handoff) = self.instance.calls.handoff else { return missing("kv_handoff_give") };
        let mut state = KvState {
            struct_size: size_of::<KvState>() as u32,
            kind: 0,
            format_version: 0,
            flags: 0,
            regions: ptr::null(),
            region_count: 0,
            region_stride: 0,
            root: KvBytes::EMPTY,
        };
        // SAFETY: open instance, right type; state and error live through the call.
        with_error(|error| unsafe { (handoff.give)(self.instance.engine, &raw mut state, error) })?;
        Ok(State { state, _giver: PhantomData })
    }

    /// Calls a handoff off.
    ///
    /// # Errors
    /// UNSUPPORTED where the engine has no handoff; else why it could not take its resources back.
    pub fn handoff_abort(&self) -> Result<(), CallError> {
        let Some(handoff) = self.instance.calls.handoff else { return missing("kv_handoff_abort") };
        // SAFETY: open instance, right type; the error lives through the call.
        with_error(|error| unsafe { (handoff.abort)(self.instance.engine, error) }).map(|_| ())
    }

    /// The handoff has happened: called for the giver first, then for the taker.
    pub fn handoff_commit(&self) {
        if let Some(handoff) = self.instance.calls.handoff {
            // SAFETY: open instance, right type.
            unsafe { (handoff.commit)(self.instance.engine) }
        }
    }
}

fn missing<T>(symbol: &str) -> Result<T, CallError> {
    Err(CallError { status: Status::UNSUPPORTED, text: format!("the engine has no {symbol}") })
}

/// Makes a call with room for an error text, and turns a negative status into an error with that text.
fn with_error(call: impl FnOnce(*mut KvError) -> i32) -> Result<Status, CallError> {
    let mut text = [0_u8; 512];
    let mut error = KvError { text: text.as_mut_ptr(), capacity: text.len() as u32, len: 0 };
    let status = Status(call(&raw mut error));
    if status.0 >= 0 {
        return Ok(status);
    }
    let written = (error.len as usize).min(text.len());
    Err(CallError { status, text: String::from_utf8_lossy(&text[..written]).into_owned() })
}

/// A closure as a function and its context.
fn lend<F: FnMut(&KvEntry)>(sink: &mut F) -> (KvEntryFn, *mut c_void) {
    unsafe extern "C" fn one<F: FnMut(&KvEntry)>(ctx: *mut c_void, entry: *const KvEntry) {
        // SAFETY: `ctx` is the closure that was lent beside this function, and the engine lends the entry.
        let (sink, entry) = unsafe { (&mut *ctx.cast::<F>(), &*entry) };
        sink(entry);
    }
    (one::<F>, (&raw mut *sink).cast())
}
