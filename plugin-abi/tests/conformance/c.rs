//! Engines in C pass the suite: the smallest one, in the preamble of the header, and the example that fills a page.

use std::ffi::{CStr, c_void};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use plugin_abi::Identity;
use plugin_abi::calls::Calls;
use plugin_abi::conformance::{self, Case, Outcome, PATIENCE_MS, Subject};
use plugin_abi::raw::KvIdentity;

use crate::{side_by_side, skipped_of, with_scratch};

fn manifest_dir() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The engine in the header's preamble.
fn smallest() -> String {
    let header = fs::read_to_string(manifest_dir().join("include/kvstore.h")).unwrap();
    let lines = header.lines().skip_while(|line| !line.ends_with("#include \"kvstore.h\""));
    let lines = lines.take_while(|line| !line.starts_with("// BUILD"));
    lines.map(|line| line.trim_start_matches("//").to_owned() + "\n").collect()
}

/// Builds a library as the header says, with warnings, from a C source file.
fn build(source: &Path, out: &Path) {
    let output = Command::new("gcc")
        .args([
            "-std=c11",
            "-O2",
            "-fPIC",
            "-shared",
            "-fvisibility=hidden",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-I",
        ])
        .arg(manifest_dir().join("include"))
        .arg(source)
        .arg("-o")
        .arg(out)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Builds an engine and runs the suite on it.
fn run(source: &Path, name: &str) -> Vec<Case> {
    let dir = tempfile::tempdir().unwrap();
    let path: PathBuf = dir.path().join(format!("lib{name}.so"));
    build(source, &path);
    // SAFETY: a library of this project, without constructors.
    let library = unsafe { libloading::Library::new(&path) }.unwrap();
    let lookup = |name: &CStr| {
        // SAFETY: only the address is taken; what is behind it is the contract's matter.
        unsafe {
            library
                .get::<*const c_void>(name.to_bytes_with_nul())
                .map(|symbol| symbol.into_raw().as_raw_ptr())
        }
        .map_or(std::ptr::null(), |address| address.cast_const())
    };
    // SAFETY: a constant of this size, by the contract; the library stays open to the end.
    let bytes =
        unsafe { std::slice::from_raw_parts(lookup(c"kv_abi").cast::<u8>(), size_of::<KvIdentity>()) };
    let identity = Identity::parse(bytes).unwrap();
    assert_eq!(identity.name, name);
    with_scratch(|scratch_dir| {
        let subject = Subject {
            // SAFETY: functions that a compiler has compared with the header, and the library stays open to the end.
            calls: unsafe { Calls::resolve(lookup) }.unwrap(),
            identity,
            options: Vec::new(),
            scratch_dir,
            parallel: &side_by_side,
            patience_ms: PATIENCE_MS,
        };
        conformance::run(&subject)
    })
}

#[test]
fn the_engine_in_the_preamble_passes() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("smallest.c");
    fs::write(&source, smallest()).unwrap();
    let cases = run(&source, "smallest");
    skipped_of(&cases);
    // It holds one entry, and what needs no second one is seen to be right.
    for name in ["sets_gets_and_deletes", "flags_go_with_their_kinds", "error_texts_keep_to_their_room"] {
        let case = cases.iter().find(|case| case.name == name).unwrap();
        assert_eq!(case.outcome, Outcome::Passed, "{name}");
    }
}

#[test]
fn the_example_passes() {
    let source = manifest_dir().join("../kvstore-engine/c-example/engine.c");
    let cases = run(&source, "c-example");
    let skipped = skipped_of(&cases);
    // Short of memory it never is, so nothing that it can do is skipped.
    assert!(!skipped.iter().any(|name| name.starts_with("scan/long_values")), "{skipped:?}");
    assert!(!skipped.iter().any(|name| name.starts_with("model/single")), "{skipped:?}");
}
