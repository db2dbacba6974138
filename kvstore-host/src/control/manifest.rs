//! Manifest: goes along with a reload: written before anything is held back, in its place before the new engine is published, settled before the
//! reload is answered.

use std::sync::Arc;

use plugin_abi::raw::KV_CAP_DURABLE;

use super::Control;
use super::dropped::drop_manifest;
use super::job::{Done, Job, Options};
use crate::plugin::Keyspace as _;
use crate::plugin::file::EngineFile;
use crate::plugin::live::{Candidate, Live};
use crate::plugin::state_dir::NextManifest;

impl Control {
    /// The manifest of a candidate that is to serve as this generation; nothing of it is written yet.
    pub(super) fn next_manifest(&mut self, candidate: &Candidate, generation: u64) -> NextManifest {
        let next = self.manifest_of(&candidate.file, &candidate.options, generation);
        self.forget_manifest();
        self.next_manifest = next.clone();
        next
    }

    /// That of an engine's file, and its options.
    pub(super) fn manifest_of(
        &self,
        file: &Arc<EngineFile>,
        options: &Options,
        generation: u64,
    ) -> NextManifest {
        let old = self.shared.published.get();
        let durable = [file.identity(), old.identity()].iter().any(|identity| identity.has(KV_CAP_DURABLE));
        NextManifest::new(self.configured.state_dir.as_ref(), file, options, generation, durable)
    }

    /// What `ENGINE INFO` says of what is kept and what is watched.
    pub(super) fn kept(&self) -> Vec<(&'static str, String)> {
        let mut all = Vec::new();
        if let Some(dir) = &self.configured.state_dir {
            all.push(("state_dir", dir.path().display().to_string()));
            all.push(("manifest", dir.verdict()));
        }
        if self.configured.watch.is_some() {
            all.push(("watch", self.configured.engine.display().to_string()));
        }
        all
    }

    /// The reload has come to its end. What it did not come to is removed, and what it came to is settled.
    pub(super) fn forget_manifest(&mut self) {
        drop_manifest(std::mem::take(&mut self.next_manifest));
    }
}

/// Once all data are copied, the manifest is put in its place: on the copier's thread, as the disk may take its time, and before the new engine is
/// published.
pub(super) fn committed(next: &NextManifest, live: &Live, done: Done) -> Done {
    match done {
        Done::Migrated(Ok(_)) => match next.commit_copied(live) {
            Ok(()) => done,
            Err(error) => Done::Broken(error),
        },
        _ => done,
    }
}

/// Sees that the manifest of a copy that is given up is not put in its place later. False: that is under way, and ends by itself.
pub(super) fn called_off(next: &NextManifest, job: &mut Job) -> bool {
    let called_off = next.call_off();
    if !called_off {
        job.deadline = None;
        log::error!("the disk does not take the manifest; writes are held back until it does");
    }
    called_off
}
