//! Sparse: the reference engine, writing not one field more than the contract asks for, and NULL wherever it may.

use std::collections::BTreeMap;
use std::ffi::c_void;
use std::ptr;
use std::sync::Mutex;

use plugin_abi::raw::*;

use crate::reference::{kv_delete, kv_get, kv_set};

/// The host's services of each open instance, by its address; instances of tests that run side by side do not mix.
static HOSTS: Mutex<BTreeMap<usize, usize>> = Mutex::new(BTreeMap::new());

/// As kv_open, and notes the host's services.
///
/// # Safety
/// As the contract says of kv_open.
pub(crate) unsafe extern "C" fn open(
    args: *const KvOpenArgs,
    engine: *mut *mut KvEngine,
    error: *mut KvError,
) -> i32 {
    // SAFETY: as the caller promises.
    unsafe {
        let status = crate::open(args, engine, error);
        if status == KV_STATUS_OK {
            HOSTS.lock().unwrap().insert((*engine).addr(), (*args).host.expose_provenance());
        }
        status
    }
}

/// A sink with what stands between it and the engine.
struct Between {
    sink: KvEntryFn,
    ctx: *mut c_void,
    no_value: bool,
}

unsafe extern "C" fn thin(ctx: *mut c_void, entry: *const KvEntry) {
    // SAFETY: `get` hands a `Between` over, and the engine lends the entry.
    let (between, mut entry) = unsafe { (&*ctx.cast::<Between>(), *entry) };
    entry.key = KvBytes::EMPTY;
    if between.no_value {
        entry.value.data = ptr::without_provenance(16);
    } else if entry.value.len == 0 {
        entry.value.data = ptr::null();
    }
    // SAFETY: the host's sink with the host's context.
    unsafe { (between.sink)(between.ctx, &raw const entry) }
}

/// As kv_get, with an empty key, NULL for an empty value, and nothing behind a value that is not wanted.
///
/// # Safety
/// As the contract says of kv_get.
pub(crate) unsafe extern "C" fn get(
    engine: *mut KvEngine,
    op: *const KvOp,
    sink: KvEntryFn,
    ctx: *mut c_void,
    error: *mut KvError,
) -> i32 {
    // SAFETY: as the caller promises.
    unsafe {
        let mut between = Between { sink, ctx, no_value: (*op).flags & KV_OP_NO_VALUE != 0 };
        kv_get(engine, op, thin, (&raw mut between).cast(), error)
    }
}

/// Where a result goes, and whom to tell while the entry is lent.
struct Place {
    result: *mut KvResult,
    host: *const KvHost,
    batch: *mut KvBatch,
    index: u32,
}

unsafe extern "C" fn found(ctx: *mut c_void, entry: *const KvEntry) {
    // SAFETY: `submit` hands a `Place` over, and the engine lends the entry during this call.
    unsafe {
        let (place, entry) = (&*ctx.cast::<Place>(), &*entry);
        let result = place.result;
        ((*result).status, (*result).flags) = (KV_STATUS_OK, 0);
        ((*result).value, (*result).expiry_ms) = (entry.value, entry.expiry_ms);
        ((*result).version, (*result).type_) = (entry.version, entry.type_);
        (*result).entry_flags = entry.flags;
        ((*place.host).complete)((*place.host).ctx, place.batch, place.index, 1);
    }
}

/// As kv_submit, by single calls, each result with nothing but what its kind and status call for.
///
/// # Safety
/// As the contract says of kv_submit.
pub(crate) unsafe extern "C" fn submit(
    engine: *mut KvEngine,
    batch: *mut KvBatch,
    error: *mut KvError,
) -> i32 {
    // SAFETY: as the caller promises; the services are valid while the engine is open.
    unsafe {
        let refusal = match ((*batch).flags, (*batch).count) {
            (0, ..=2000) => KV_STATUS_OK,
            (0, _) => KV_STATUS_TOO_LARGE,
            (KV_BATCH_ATOMIC, _) => KV_STATUS_UNSUPPORTED,
            _ => KV_STATUS_INVALID,
        };
        if refusal != KV_STATUS_OK {
            let text = b"refused";
            ptr::copy_nonoverlapping(text.as_ptr(), (*error).text, text.len());
            (*error).len = text.len() as u32;
            return refusal;
        }
        let host = ptr::with_exposed_provenance::<KvHost>(HOSTS.lock().unwrap()[&engine.addr()]);
        for index in 0..(*batch).count {
            let (op, result) = ((*batch).op(index), (*batch).result(index));
            let mut text = [0; 200];
            let mut error = KvError { text: text.as_mut_ptr(), capacity: 200, len: 0 };
            let mut place = Place { result, host, batch, index };
            let mut version = 0;
            let status = match (*op).kind {
                KV_OP_SET => kv_set(engine, op, &raw mut version, &raw mut error),
                KV_OP_DELETE => kv_delete(engine, op, &raw mut error),
                // An unknown kind is refused there.
                _ => get(engine, op, found, (&raw mut place).cast(), &raw mut error),
            };
            if (*op).kind == KV_OP_GET && status == KV_STATUS_OK {
                continue;
            }
            ((*result).status, (*result).flags) = (status, 0);
            if status < 0 {
                (*result).message = KvBytes { data: text.as_ptr(), len: error.len as usize };
            } else if (*op).kind == KV_OP_SET && status == KV_STATUS_OK {
                ((*result).version, (*result).expiry_ms) = (version, (*op).expiry_ms);
            }
            ((*host).complete)((*host).ctx, batch, index, 1);
        }
        KV_STATUS_OK
    }
}
