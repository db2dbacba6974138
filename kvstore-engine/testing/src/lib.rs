//! What the engines' own tests share: a host with a clock that can be set, owned operations and batches, and a model.
//!
//! The engine under test is linked into the test, and still called through its exported functions and the ABI. For tests
//! only: what is wrong here panics.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test's helper")]

mod host;
mod model;
mod op;
mod random;
mod store;

pub use host::{Event, TestHost};
pub use model::Model;
pub use op::{Change, Reply, TestOp};
pub use random::{Features, random_run};
pub use store::{Store, Ticket};

/// The functions of the engine in the calling crate, as if resolved from its library. Takes the names of its optional symbols.
#[macro_export]
#[allow(clippy::crate_in_macro_def, reason = "the functions of the engine that calls the macro are meant")]
macro_rules! calls {
    ($($optional:ident),* $(,)?) => {{
        let lookup = |name: &core::ffi::CStr| -> *const core::ffi::c_void {
            match name.to_str() {
                $(Ok(stringify!($optional)) => crate::$optional as *const core::ffi::c_void,)*
                Ok("kv_open") => crate::kv_open as *const core::ffi::c_void,
                Ok("kv_close") => crate::kv_close as *const core::ffi::c_void,
                Ok("kv_get") => crate::kv_get as *const core::ffi::c_void,
                Ok("kv_set") => crate::kv_set as *const core::ffi::c_void,
                Ok("kv_delete") => crate::kv_delete as *const core::ffi::c_void,
                _ => core::ptr::null(),
            }
        };
        // SAFETY: the functions that `export_engine!` made in this crate, which is never unloaded.
        let calls = unsafe { plugin_abi::calls::Calls::resolve(lookup) };
        (calls.unwrap(), $crate::identity(&crate::kv_abi))
    }};
}

/// What an engine's constant says.
///
/// # Panics
/// If it is malformed.
pub fn identity(raw: &plugin_abi::raw::KvIdentity) -> plugin_abi::Identity {
    let bytes = core::ptr::from_ref(raw).cast::<u8>();
    // SAFETY: a struct without padding, read as bytes.
    let bytes = unsafe { core::slice::from_raw_parts(bytes, size_of_val(raw)) };
    plugin_abi::Identity::parse(bytes).unwrap()
}
