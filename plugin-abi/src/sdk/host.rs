//! Host: the services that the host offers, as safe calls.

use crate::raw::*;

/// The host's services. Copies are cheap; none may be used after the engine's `close` has returned, which no thread of an engine
/// outlives.
#[derive(Clone, Copy, Debug)]
pub struct Host(*const KvHost);

// SAFETY: the table is read only, and its functions may be called from any thread.
unsafe impl Send for Host {}
// SAFETY: as above.
unsafe impl Sync for Host {}

impl Host {
    /// Wraps the table.
    ///
    /// # Safety
    /// `table` is valid until the instance that it was handed to is closed.
    pub(super) unsafe fn new(table: *const KvHost) -> Self {
        Self(table)
    }

    fn table(&self) -> &KvHost {
        // SAFETY: valid as long as the instance is open, by the contract of `new` and of kv_open.
        unsafe { &*self.0 }
    }

    /// Writes a line to the host's log; `level` is one of `KV_LOG_*`.
    pub fn log(&self, level: u32, text: &str) {
        let host = self.table();
        // SAFETY: the host's function with the host's context; the text lives through the call.
        unsafe { (host.log)(host.ctx, level, KvBytes::new(text.as_bytes())) }
    }

    /// The time for expiry, in milliseconds since 1970 UTC.
    pub fn now_ms(&self) -> i64 {
        let host = self.table();
        // SAFETY: the host's function with the host's context.
        unsafe { (host.now_ms)(host.ctx) }
    }

    /// The time for deadlines, in nanoseconds from some start.
    pub fn monotonic_ns(&self) -> u64 {
        let host = self.table();
        // SAFETY: the host's function with the host's context.
        unsafe { (host.monotonic_ns)(host.ctx) }
    }

    /// Tells that an entry expired, was evicted, or was changed from outside; `kind` is one of `KV_EVENT_*`.
    pub fn event(&self, kind: u32, space: u32, key: &[u8], version: u64) {
        let struct_size = size_of::<KvEvent>() as u32;
        let event = KvEvent { struct_size, kind, space, reserved: 0, key: KvBytes::new(key), version };
        let host = self.table();
        // SAFETY: the host's function with the host's context; the event lives through the call.
        unsafe { (host.event)(host.ctx, &raw const event) }
    }

    /// Adds to a counter or sets a gauge (`KV_STAT_*`) among the host's metrics.
    pub fn metric(&self, name: &str, kind: u32, number: i64) {
        let name = KvBytes::new(name.as_bytes());
        let stat = KvStat { name, kind, space: KV_SPACE_ALL, number, text: KvBytes::EMPTY };
        let host = self.table();
        // SAFETY: the host's function with the host's context; the figure lives through the call.
        unsafe { (host.metric)(host.ctx, &raw const stat) }
    }

    /// Completes a range of operations.
    ///
    /// # Safety
    /// The batch came from this host, and these operations are filled in and not yet completed.
    pub(super) unsafe fn complete(&self, batch: *mut KvBatch, first: u32, count: u32) {
        let host = self.table();
        // SAFETY: the host's function with the host's context, and the caller's promise.
        unsafe { (host.complete)(host.ctx, batch, first, count) }
    }
}
