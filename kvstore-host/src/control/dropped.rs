//! Dropped: candidates that never were live are closed and unloaded on threads made for it, as that may block; and what is left of their manifests
//! is removed likewise.

use std::sync::Arc;
use std::thread::JoinHandle;

use crate::plugin::lifecycle::retire;
use crate::plugin::live::{Candidate, Live};
use crate::plugin::state_dir::NextManifest;
use crate::plugin::threads;

/// Closes and unloads an engine that was never live, once the thread has ended that has copied into it.
pub(super) fn drop_candidate(live: Arc<Live>, copier: Option<JoinHandle<()>>) {
    on_thread(move || {
        // How it ended is known.
        let _ = copier.map(JoinHandle::join);
        // SAFETY: it was never published, and the copier, which used it, has ended.
        let retired = unsafe { retire(&live) };
        log::info!("the candidate {live:?} is closed, its library is {}", retired.verdict);
    });
}

/// Unloads an engine that is not open.
pub(super) fn unload_candidate(candidate: Candidate) {
    on_thread(move || log::info!("the library of the candidate is {}", candidate.library.unload()));
}

/// Settles a manifest that was committed and removes what was written of one that was not.
pub(super) fn drop_manifest(next: NextManifest) {
    if next.is_unsettled() {
        on_thread(move || next.settle());
    }
}

fn on_thread(drop_it: impl FnOnce() + Send + 'static) {
    if let Err(error) = threads::spawn("drop", drop_it) {
        log::error!("cannot start a thread to clear up behind a reload: {error}");
    }
}
