//! First: the engine that a host starts with: what served last, where that is kept, and else the one that it is told.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::{Config, NO_ENGINE};
use crate::plugin::file::Digest;
use crate::plugin::lifecycle::{Nursery, Source, retire};
use crate::plugin::live::Live;
use crate::plugin::state_dir::{Manifest, NextManifest, Options, StateDir};
use crate::plugin::threads;
use crate::server::Server;

/// Which engine is to be the first.
pub(super) struct First {
    source: Source,
    options: Options,
    generation: u64,
    /// It is the one that the manifest names.
    kept: bool,
    state_dir: Option<Arc<StateDir>>,
    /// What a reload takes that names no file, and the options for it unless this one has them.
    pub(super) configured: PathBuf,
    pub(super) configured_opt: Options,
}

impl First {
    /// Looks what served last.
    ///
    /// # Errors
    /// No engine is given, or what served last cannot be told, in a line for people. There is no other engine in its place then.
    pub(super) fn choose(
        config: &Config,
        state_dir: Option<Arc<StateDir>>,
        nursery: &Nursery,
    ) -> Result<Self, String> {
        let manifest = match &state_dir {
            None => None,
            Some(dir) => match dir.load() {
                Ok(manifest) => manifest,
                Err(error) if config.ignore_manifest => {
                    log::warn!("{error}; it is written anew");
                    None
                }
                Err(error) => return Err(error.to_string()),
            },
        };
        if let (Some(dir), Some(manifest), false) = (&state_dir, &manifest, config.ignore_manifest) {
            let file = dir.library(manifest).map_err(|error| error.to_string())?;
            tell(dir, manifest, config, nursery);
            return Ok(Self {
                source: Source::Kept(Arc::new(file)),
                options: manifest.options.clone(),
                generation: manifest.generation,
                kept: true,
                configured: config.engine.clone().unwrap_or_else(|| manifest.source.clone()),
                configured_opt: config.engine_opt.clone(),
                state_dir,
            });
        }
        let engine = config.engine.clone().ok_or(NO_ENGINE)?;
        if let Some(manifest) = &manifest {
            log::warn!("{}: not served with, as --ignore-manifest says so", what(manifest));
        }
        Ok(Self {
            source: engine.clone().into(),
            options: config.engine_opt.clone(),
            // Its number is not used for another engine.
            generation: manifest.map_or(1, |manifest| manifest.generation + 1),
            kept: false,
            configured: engine,
            configured_opt: Options::new(),
            state_dir,
        })
    }

    /// Checks, loads and opens it, on a thread made for it. Then the manifest names it.
    ///
    /// # Errors
    /// Why it cannot serve, in a line for people.
    pub(super) fn start(self, nursery: &Arc<Nursery>, server: &Arc<Server>) -> Result<Arc<Live>, String> {
        let (nursery, server) = (Arc::clone(nursery), Arc::clone(server));
        let kept = self.kept;
        let start = move || self.open(&nursery, &server);
        let thread = threads::spawn("open", start);
        let thread = thread.map_err(|error| format!("cannot start a thread: {error}"))?;
        let started = thread.join().unwrap_or_else(|_| Err("opening the engine panicked".to_owned()));
        started.map_err(|error| match kept {
            false => error,
            true => format!(
                "what served last cannot be opened: {error}; to serve with another engine, start once with --ignore-manifest and --engine PATH"
            ),
        })
    }

    fn open(self, nursery: &Nursery, server: &Arc<Server>) -> Result<Arc<Live>, String> {
        let Self { source, options, generation, kept, state_dir, .. } = self;
        let candidate = nursery.prepare(&source, None, options)?;
        let next = match kept {
            // The manifest says so already.
            true => NextManifest::default(),
            // Nobody writes before it is settled.
            false => {
                NextManifest::new(state_dir.as_ref(), &candidate.file, &candidate.options, generation, false)
            }
        };
        let live = nursery.open(candidate, generation, server, &next)?;
        // An engine that cannot be opened is not what the next start has to begin with.
        if let Err(error) = next.commit() {
            // SAFETY: opened above, and nobody else has seen it.
            let retired = unsafe { retire(&live) };
            return Err(format!("{error} (the library is {})", retired.verdict));
        }
        next.settle();
        if let Some(dir) = &state_dir {
            dir.sweep();
        }
        Ok(live)
    }
}

/// What a manifest names, for people.
fn what(manifest: &Manifest) -> String {
    let Manifest { generation, engine, version, source, .. } = manifest;
    format!("generation {generation}, {engine} {version} from {}", source.display())
}

/// Says what is served with, and where that is not what the operator gives.
fn tell(dir: &StateDir, manifest: &Manifest, config: &Config, nursery: &Nursery) {
    log::info!("{}: serving with what served last: {}", dir.path().display(), what(manifest));
    let insist = "ENGINE RELOAD changes to it, or a start with --ignore-manifest";
    if let Some(engine) = &config.engine {
        let given = engine.display();
        if !is_source(engine, manifest) {
            log::warn!("--engine {given} is not what served last, and is not used; {insist}");
        } else if Digest::of_file(engine, nursery.engine_dirs())
            .is_ok_and(|found| found.to_string() != manifest.digest)
        {
            log::warn!("{given} has changed since it was loaded; what was loaded serves on; {insist}");
        }
    }
    if !config.engine_opt.is_empty() && config.engine_opt != manifest.options {
        log::warn!(
            "the engine's options are those with which it served last, not those that are given; ENGINE RELOAD with OPTS changes them, or a start \
             with --ignore-manifest"
        );
    }
}

fn is_source(engine: &Path, manifest: &Manifest) -> bool {
    std::path::absolute(engine).is_ok_and(|engine| engine == manifest.source)
}
