//! Host: the services table that an engine gets, over a safe trait.

use core::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::raw::*;

/// What happened to an entry without the host asking for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event<'a> {
    /// One of `KV_EVENT_*`.
    pub kind: u32,
    /// In which keyspace.
    pub space: u32,
    /// Which key.
    pub key: &'a [u8],
    /// The version it had or has.
    pub version: u64,
}

/// The host's side of the services table. Any of these can be called from any thread while an instance is open.
pub trait HostServices: Send + Sync {
    /// Writes a line to the log; `level` is one of `KV_LOG_*`.
    fn log(&self, level: u32, text: &str);
    /// The time for expiry, in milliseconds since 1970 UTC.
    fn now_ms(&self) -> i64;
    /// The time for deadlines, in nanoseconds.
    fn monotonic_ns(&self) -> u64;
    /// Some operations of a batch are completed. The batch is one that this host submitted; the engine may be lying about the rest, so the
    /// range is checked before it is believed.
    fn complete(&self, batch: *mut KvBatch, first: u32, count: u32);
    /// Something happened to an entry.
    fn event(&self, event: Event<'_>);
    /// A figure of the engine's: name, kind (`KV_STAT_*`) and number.
    fn metric(&self, name: &str, kind: u32, number: i64);
}

/// The table and what it points to, at an address that does not change.
pub(super) struct HostTable {
    table: KvHost,
    // Freed after the table, by hand: the engine holds its address as a raw pointer.
    services: *mut Box<dyn HostServices>,
}

// SAFETY: the table is read only, and what it points to is Send and Sync.
unsafe impl Send for HostTable {}
// SAFETY: as above.
unsafe impl Sync for HostTable {}

impl HostTable {
    pub(super) fn new(services: Box<dyn HostServices>) -> Box<Self> {
        let services = Box::into_raw(Box::new(services));
        let table = KvHost {
            struct_size: size_of::<KvHost>() as u32,
            abi_minor: KV_ABI_MINOR,
            ctx: services.cast(),
            log,
            now_ms,
            monotonic_ns,
            complete,
            event,
            metric,
        };
        Box::new(Self { table, services })
    }

    pub(super) fn table(&self) -> *const KvHost {
        &raw const self.table
    }
}

impl Drop for HostTable {
    fn drop(&mut self) {
        // SAFETY: made by Box::into_raw in `new`, and freed only here.
        drop(unsafe { Box::from_raw(self.services) });
    }
}

/// Runs one service. A panic in it must not unwind into the engine, and the engine can do nothing about it.
fn serve<T>(ctx: *mut c_void, otherwise: T, run: impl FnOnce(&dyn HostServices) -> T) -> T {
    // SAFETY: `ctx` is the pointer that `new` made, alive until the instance is closed.
    let services = unsafe { &*ctx.cast::<Box<dyn HostServices>>() };
    catch_unwind(AssertUnwindSafe(|| run(services.as_ref()))).unwrap_or(otherwise)
}

unsafe extern "C" fn log(ctx: *mut c_void, level: u32, text: KvBytes) {
    // SAFETY: the engine lends the text for this call.
    let text = String::from_utf8_lossy(unsafe { text.as_slice() });
    serve(ctx, (), |host| host.log(level, &text));
}

unsafe extern "C" fn now_ms(ctx: *mut c_void) -> i64 {
    serve(ctx, 0, |host| host.now_ms())
}

unsafe extern "C" fn monotonic_ns(ctx: *mut c_void) -> u64 {
    serve(ctx, 0, |host| host.monotonic_ns())
}

unsafe extern "C" fn complete(ctx: *mut c_void, batch: *mut KvBatch, first: u32, count: u32) {
    serve(ctx, (), |host| host.complete(batch, first, count));
}

unsafe extern "C" fn event(ctx: *mut c_void, event: *const KvEvent) {
    // SAFETY: the engine lends event and key for this call.
    let (event, key) = unsafe { (&*event, (*event).key.as_slice()) };
    let event = Event { kind: event.kind, space: event.space, key, version: event.version };
    serve(ctx, (), |host| host.event(event));
}

unsafe extern "C" fn metric(ctx: *mut c_void, stat: *const KvStat) {
    // SAFETY: the engine lends figure and name for this call.
    let (stat, name) = unsafe { (&*stat, (*stat).name.as_slice()) };
    serve(ctx, (), |host| host.metric(&String::from_utf8_lossy(name), stat.kind, stat.number));
}
