//! Next: the manifest of an engine that is about to serve, step by step: prepare, commit, settle; or it is called off.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use plugin_abi::raw::KV_CAP_DURABLE;
use tempfile::TempPath;

use super::{LIBRARY, Manifest, NEXT, Options, StateDir, StateError, StateProblem, Step};
use crate::plugin::Keyspace as _;
use crate::plugin::file::EngineFile;
use crate::plugin::live::Live;

/// The manifest of the engine that is to serve next. Without a state directory there is none, and each step succeeds.
#[derive(Clone, Debug, Default)]
pub struct NextManifest(Option<Arc<Next>>);

struct Next {
    dir: Arc<StateDir>,
    file: Arc<EngineFile>,
    options: Options,
    generation: u64,
    /// Data outlive the host: the directory is synced before a write can be acknowledged.
    durable: bool,
    stage: Mutex<Stage>,
}

/// How far it is.
enum Stage {
    /// Nothing of it is in the directory.
    New,
    /// It is written, under another name. What it names is removed again if it does not come to a commit.
    Written(Written),
    /// The thread that commits is at it.
    Committing,
    /// It is in its place; what was there before.
    Committed(Option<Manifest>),
    /// What there is to do afterwards is done.
    Settled,
    /// It does not come to a commit any more.
    CalledOff,
}

struct Written {
    manifest: Manifest,
    library: TempPath,
    next: TempPath,
}

impl fmt::Debug for Next {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Next({}, generation {})", self.dir.path().display(), self.generation)
    }
}

impl NextManifest {
    /// For an engine that is to be opened with these options as this generation; `durable`: data that outlive the host are at stake.
    pub fn new(
        dir: Option<&Arc<StateDir>>,
        file: &Arc<EngineFile>,
        options: &Options,
        generation: u64,
        durable: bool,
    ) -> Self {
        Self(dir.map(|dir| {
            Arc::new(Next {
                dir: Arc::clone(dir),
                file: Arc::clone(file),
                options: options.clone(),
                generation,
                durable,
                stage: Mutex::new(Stage::New),
            })
        }))
    }

    /// Writes all that takes space and time. Blocks.
    ///
    /// # Errors
    /// What cannot be written, in a line for people.
    pub fn prepare(&self) -> Result<(), String> {
        self.0.as_ref().map_or(Ok(()), |next| next.prepare()).map_err(|error| error.to_string())
    }

    /// Puts it in its place. From here on a restart serves with this engine. Blocks, but for a moment.
    ///
    /// # Errors
    /// It was called off, or cannot be put there: the manifest is the one before.
    pub fn commit(&self) -> Result<(), String> {
        self.0.as_ref().map_or(Ok(()), |next| next.commit()).map_err(|error| error.to_string())
    }

    /// The same for an engine to which all data were copied, once they are as safe as it can make them.
    ///
    /// # Errors
    /// As for [`commit`](Self::commit), or what `kv_sync` said.
    pub fn commit_copied(&self, live: &Live) -> Result<(), String> {
        if self.0.is_some() && live.identity().has(KV_CAP_DURABLE) {
            live.sync().map_err(|error| format!("kv_sync of what was copied failed: {error}"))?;
        }
        self.commit()
    }

    /// Whether all is written that takes space and time, and it was not called off.
    pub fn is_written(&self) -> bool {
        self.0.as_ref().is_none_or(|next| matches!(*next.stage(), Stage::Written(_)))
    }

    /// Makes it outlive a power failure, and removes what the manifest before has named. Blocks.
    pub fn settle(&self) {
        if let Some(next) = &self.0 {
            next.settle();
        }
    }

    /// Whether there is something of it to settle or to remove.
    pub fn is_unsettled(&self) -> bool {
        let settled =
            |next: &Arc<Next>| matches!(*next.stage(), Stage::New | Stage::Settled | Stage::CalledOff);
        self.0.as_ref().is_some_and(|next| !settled(next))
    }

    /// Sees that it is never committed. False: it is being committed, or was.
    pub fn call_off(&self) -> bool {
        self.0.as_ref().is_none_or(|next| next.call_off())
    }
}

impl Next {
    fn prepare(&self) -> Result<(), StateError> {
        let begin = format!("{}{}-{}-", LIBRARY.0, self.generation, self.file.digest().short());
        let library = self.dir.write(Step::WriteLibrary, (&begin, LIBRARY.1), self.file.bytes())?;
        let name = library.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let manifest = Manifest::of(&self.file, name, self.generation, self.options.clone());
        let text = manifest.encode().map_err(|what| self.error(StateProblem::Damaged(what)))?;
        let next = self.dir.write(Step::WriteManifest, NEXT, text.as_bytes())?;
        let mut stage = self.stage();
        match *stage {
            Stage::New => {
                *stage = Stage::Written(Written { manifest, library, next });
                Ok(())
            }
            _ => Err(self.error(StateProblem::CalledOff)),
        }
    }

    fn commit(&self) -> Result<(), StateError> {
        let mut stage = self.stage();
        let Written { manifest, library, next } = match std::mem::replace(&mut *stage, Stage::Committing) {
            Stage::Written(written) => written,
            other => {
                *stage = other;
                return Err(self.error(StateProblem::CalledOff));
            }
        };
        // Nobody waits for the disk who only asks how far it is.
        drop(stage);
        let put = self.put(&manifest, library, next);
        let (stage, put) = match put {
            Ok(before) => (Stage::Committed(before), Ok(())),
            Err(error) => (Stage::CalledOff, Err(error)),
        };
        *self.stage() = stage;
        put
    }

    /// Answers the manifest before.
    fn put(
        &self,
        manifest: &Manifest,
        library: TempPath,
        next: TempPath,
    ) -> Result<Option<Manifest>, StateError> {
        self.dir.put(next)?;
        let synced = if self.durable { self.dir.sync() } else { Ok(()) };
        let before = self.dir.known().manifest.clone();
        if let Err(error) = synced {
            // The old engine serves on: the manifest has to name it again.
            self.put_back(before.as_ref());
            return Err(error);
        }
        let mut known = self.dir.known();
        known.manifest = Some(manifest.clone());
        known.trouble = (!self.durable).then(|| format!("generation {}, being synced", manifest.generation));
        drop(known);
        if let Err(error) = library.keep() {
            log::error!("{}: {error}", self.dir.path().display());
        }
        Ok(before)
    }

    fn put_back(&self, before: Option<&Manifest>) {
        let path = self.dir.path().join(super::MANIFEST);
        let put = match before.map(Manifest::encode) {
            None => std::fs::remove_file(path).map_err(|error| error.to_string()),
            Some(Err(what)) => Err(what),
            Some(Ok(text)) => {
                let next = self.dir.write(Step::WriteManifest, NEXT, text.as_bytes());
                next.and_then(|next| self.dir.put(next)).map_err(|error| error.to_string())
            }
        };
        if let Err(error) = put {
            let trouble = format!("names generation {}, which does not serve: {error}", self.generation);
            log::error!("{}: the manifest {trouble}", self.dir.path().display());
            self.dir.known().trouble = Some(trouble);
        }
    }

    fn settle(&self) {
        let mut stage = self.stage();
        let before = match std::mem::replace(&mut *stage, Stage::Settled) {
            Stage::Committed(before) => before,
            other => {
                *stage = other;
                return;
            }
        };
        drop(stage);
        match self.dir.sync() {
            Ok(()) => {
                self.dir.known().trouble = None;
                // Not before: after a power failure the manifest may be the one that names it.
                before.iter().for_each(|before| self.dir.remove(&before.library));
            }
            Err(error) => {
                log::error!(
                    "generation {}: its manifest may not outlive a power failure: {error}",
                    self.generation
                );
                let trouble =
                    format!("generation {}, may not outlive a power failure: {error}", self.generation);
                self.dir.known().trouble = Some(trouble);
            }
        }
    }

    fn call_off(&self) -> bool {
        let mut stage = self.stage();
        match *stage {
            Stage::Committing | Stage::Committed(_) | Stage::Settled => false,
            Stage::New | Stage::CalledOff => {
                *stage = Stage::CalledOff;
                true
            }
            Stage::Written(_) => {
                let written = std::mem::replace(&mut *stage, Stage::CalledOff);
                drop(stage);
                drop(written);
                true
            }
        }
    }

    fn error(&self, problem: StateProblem) -> StateError {
        StateError { path: self.dir.path().to_owned(), problem }
    }

    fn stage(&self) -> MutexGuard<'_, Stage> {
        self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
