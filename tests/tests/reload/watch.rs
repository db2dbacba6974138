//! Watch: a host that reloads its engine by itself when the file has changed.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::TempDir;
use tests::engines::Engine;
use tests::host::{Host, Options};
use tests::variant::of_version;
use tests::wait::wait_until;

/// A host that watches a file of the test's, which has version 1.0.0 of the C example at first.
struct Watched {
    host: Host,
    dir: Arc<TempDir>,
    engine: PathBuf,
}

impl Watched {
    fn start() -> Self {
        let dir = Arc::new(tempfile::tempdir().unwrap());
        let engine = dir.path().join("watched.so");
        fs::copy(build(dir.path(), "1.0.0"), &engine).unwrap();
        let path = engine.display().to_string();
        let host = Host::start_library(&dir, &engine, &Options::args(&["--watch"]));
        assert_eq!(host.engine_info()["watch"], path);
        host.client().set(b"k", b"v").unwrap();
        host.wait_for_log(&["watch: ", "the engine is reloaded when this file changes"]);
        Self { host, dir, engine }
    }

    /// A library of this version, beside the one that is watched.
    fn build(&self, version: &str) -> PathBuf {
        build(self.dir.path(), version)
    }

    /// Waits until this version serves, with the data.
    fn serves(&self, version: &str, generation: &str) {
        wait_until(format!("version {version}"), || self.host.engine_info()["version"] == version);
        assert_eq!(self.host.engine_info()["generation"], generation);
        assert_eq!(self.host.client().get(b"k").unwrap().as_deref(), Some(&b"v"[..]));
    }

    fn refused(&self) -> String {
        self.host.engine_info()["reloads_refused"].clone()
    }
}

fn build(dir: &Path, version: &str) -> PathBuf {
    let library = Engine::CExample.library(dir);
    of_version(&library, &dir.join(format!("version-{version}.so")), version)
}

#[test]
fn a_file_that_is_copied_over_renamed_over_or_linked_anew_is_reloaded() {
    let watched = Watched::start();
    // As `cp` does, in place.
    fs::copy(watched.build("2.0.0"), &watched.engine).unwrap();
    watched.serves("2.0.0", "2");
    fs::rename(watched.build("3.0.0"), &watched.engine).unwrap();
    watched.serves("3.0.0", "3");
    // As cargo does.
    fs::remove_file(&watched.engine).unwrap();
    fs::hard_link(watched.build("4.0.0"), &watched.engine).unwrap();
    watched.serves("4.0.0", "4");
    assert_eq!(watched.refused(), "0");
}

#[test]
fn a_file_that_is_half_written_is_not_taken() {
    let watched = Watched::start();
    let bytes = fs::read(watched.build("2.0.0")).unwrap();
    let (first, second) = bytes.split_at(bytes.len() / 2);
    let mut file = fs::File::create(&watched.engine).unwrap();
    file.write_all(first).unwrap();
    watched.host.wait_for_log(&["watch: ", "is open for writing; it is taken once it is closed"]);
    file.write_all(second).unwrap();
    drop(file);
    watched.serves("2.0.0", "2");
    assert_eq!(watched.refused(), "0");
}

#[test]
fn a_broken_file_is_refused_once_and_the_next_good_one_is_taken() {
    let watched = Watched::start();
    let from = watched.host.log.len();
    fs::write(&watched.engine, "no engine").unwrap();
    watched.host.wait_for_log_after(from, &["reload refused, generation 1 serves on", "watched.so"]);
    assert_eq!((&*watched.host.engine_info()["version"], &*watched.refused()), ("1.0.0", "1"));
    fs::rename(watched.build("2.0.0"), &watched.engine).unwrap();
    watched.serves("2.0.0", "2");
    assert_eq!(watched.refused(), "1", "it was not tried again");
}

#[test]
fn the_same_bytes_are_no_reload() {
    let watched = Watched::start();
    fs::copy(watched.build("1.0.0"), &watched.engine).unwrap();
    watched.host.wait_for_log(&["watch: ", "was written, with the bytes that serve already"]);
    assert_eq!(watched.host.engine_info()["generation"], "1");
}
