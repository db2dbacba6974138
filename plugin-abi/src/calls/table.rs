//! Table: the functions of one library, as resolved from its symbols.

use core::ffi::{CStr, c_void};
use core::fmt;

use crate::raw::*;

/// The functions of one loaded library. A pointer here is only as good as the library's mapping.
#[derive(Clone, Copy, Debug)]
pub struct Calls {
    pub(super) open: KvOpenFn,
    pub(super) close: KvCloseFn,
    pub(super) get: KvGetFn,
    pub(crate) set: KvSetFn,
    pub(crate) delete: KvDeleteFn,
    pub(super) update: Option<KvUpdateCallFn>,
    pub(super) submit: Option<KvSubmitFn>,
    pub(super) cancel: Option<KvCancelFn>,
    pub(super) release: Option<KvReleaseFn>,
    pub(super) scan: Option<KvScanFn>,
    pub(super) random: Option<KvRandomFn>,
    pub(super) count: Option<KvCountFn>,
    pub(super) stats: Option<KvStatsFn>,
    pub(super) clear: Option<KvClearFn>,
    pub(super) sync: Option<KvSyncFn>,
    pub(super) sequence: Option<KvSequenceFn>,
    pub(super) handoff: Option<Handoff>,
}

/// The handoff set: all four or none.
#[derive(Clone, Copy, Debug)]
pub(super) struct Handoff {
    pub(super) prepare: KvHandoffPrepareFn,
    pub(super) give: KvHandoffGiveFn,
    pub(super) commit: KvHandoffCommitFn,
    pub(super) abort: KvHandoffAbortFn,
}

/// Required symbols that a library does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingSymbols(pub Vec<&'static str>);

impl fmt::Display for MissingSymbols {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "required symbol{} missing: {}",
            if self.0.len() == 1 { "" } else { "s" },
            self.0.join(", ")
        )
    }
}

impl std::error::Error for MissingSymbols {}

impl Calls {
    /// Resolves all symbols through `lookup`, which answers a symbol's address or NULL.
    ///
    /// # Safety
    /// `lookup` answers addresses of one library whose functions have the types and keep the promises of this ABI version, and
    /// the library stays mapped for as long as this table, a copy of it, or an instance opened through it is used.
    ///
    /// # Errors
    /// The required symbols that are missing.
    pub unsafe fn resolve(mut lookup: impl FnMut(&CStr) -> *const c_void) -> Result<Self, MissingSymbols> {
        let mut missing = Vec::new();
        macro_rules! optional {
            ($name:literal) => {{
                let address = lookup(const { c_name(concat!($name, "\0")) });
                // SAFETY: by the caller's promise the address is NULL or that of a function of this type, and an
                // Option of a function pointer has the pointer's size, with NULL as None.
                unsafe { core::mem::transmute::<*const c_void, Option<_>>(address) }
            }};
        }
        macro_rules! required {
            ($name:literal, $type:ty) => {{
                let found: Option<$type> = optional!($name);
                if found.is_none() {
                    missing.push($name);
                }
                found
            }};
        }
        let open = required!("kv_open", KvOpenFn);
        let close = required!("kv_close", KvCloseFn);
        let get = required!("kv_get", KvGetFn);
        let set = required!("kv_set", KvSetFn);
        let delete = required!("kv_delete", KvDeleteFn);
        let handoff: (_, _, _, _) = (
            optional!("kv_handoff_prepare"),
            optional!("kv_handoff_give"),
            optional!("kv_handoff_commit"),
            optional!("kv_handoff_abort"),
        );
        let (Some(open), Some(close), Some(get), Some(set), Some(delete)) = (open, close, get, set, delete)
        else {
            return Err(MissingSymbols(missing));
        };
        Ok(Self {
            open,
            close,
            get,
            set,
            delete,
            update: optional!("kv_update"),
            submit: optional!("kv_submit"),
            cancel: optional!("kv_cancel"),
            release: optional!("kv_release"),
            scan: optional!("kv_scan"),
            random: optional!("kv_random"),
            count: optional!("kv_count"),
            stats: optional!("kv_stats"),
            clear: optional!("kv_clear"),
            sync: optional!("kv_sync"),
            sequence: optional!("kv_sequence"),
            handoff: match handoff {
                (Some(prepare), Some(give), Some(commit), Some(abort)) => {
                    Some(Handoff { prepare, give, commit, abort })
                }
                _ => None,
            },
        })
    }

    /// The optional symbols that this library has, by name.
    pub fn optional_symbols(&self) -> Vec<&'static str> {
        let handoff = self.handoff.is_some();
        let has = |name: &str| match name {
            "kv_update" => self.update.is_some(),
            "kv_submit" => self.submit.is_some(),
            "kv_cancel" => self.cancel.is_some(),
            "kv_release" => self.release.is_some(),
            "kv_scan" => self.scan.is_some(),
            "kv_random" => self.random.is_some(),
            "kv_count" => self.count.is_some(),
            "kv_stats" => self.stats.is_some(),
            "kv_clear" => self.clear.is_some(),
            "kv_sync" => self.sync.is_some(),
            "kv_sequence" => self.sequence.is_some(),
            _ => handoff,
        };
        OPTIONAL_SYMBOLS.into_iter().filter(|name| has(name)).collect()
    }
}

const fn c_name(name: &'static str) -> &'static CStr {
    match CStr::from_bytes_with_nul(name.as_bytes()) {
        Ok(name) => name,
        Err(_) => c"",
    }
}
