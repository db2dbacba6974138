//! Binaries: builds programs and engines of this workspace when a test first asks for them, and finds them.

#![allow(clippy::expect_used, clippy::panic, reason = "a test's helper stops at the first surprise")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

/// The root of the repository.
pub fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// The directory in which cargo put the test that is running, with programs and libraries of the same profile.
///
/// # Panics
/// The test was not started by cargo.
pub fn target_dir() -> PathBuf {
    let test = std::env::current_exe().expect("the test's own path");
    // target/<profile>/deps/<test>
    test.ancestors().nth(2).expect("the test lies in a target directory").to_owned()
}

/// The host.
pub fn host() -> PathBuf {
    build();
    target_dir().join("kvstore-host")
}

/// The client program.
pub fn client() -> PathBuf {
    build();
    target_dir().join("kvstore-client")
}

/// The memory engine.
pub fn memory_engine() -> PathBuf {
    build();
    target_dir().join("libkvstore.so")
}

/// Another build of the memory engine: without optimization if this test runs with it, with it if not.
pub fn memory_engine_other_build() -> PathBuf {
    let (own, other) = if profile() == "dev" { ("debug", "release") } else { ("release", "debug") };
    let profile = if other == "debug" { "dev" } else { other };
    cargo_build(profile, &["--package", "kvstore-engine-memory"]);
    let base = target_dir();
    assert!(base.ends_with(own), "{} is no directory of a profile that is known here", base.display());
    base.with_file_name(other).join("libkvstore.so")
}

/// The engine that completes late.
pub fn delayed_engine() -> PathBuf {
    build();
    target_dir().join("libkvstore_delayed.so")
}

/// A library that is an example of this package, such as an animal of the zoo.
pub fn example(name: &'static str) -> PathBuf {
    cargo_build(&profile(), &[&PACKAGES[..], &["--example", name]].concat());
    target_dir().join(format!("examples/lib{name}.so"))
}

/// The C example, built into this directory.
pub fn c_example(dir: &Path) -> PathBuf {
    let out = dir.join("libkvstore_c.so");
    c_library(&root().join("kvstore-engine/c-example/engine.c"), &out, &[]);
    out
}

/// Builds a shared library from a C file that may include `kvstore.h` and the C example's `engine.c`.
///
/// # Panics
/// The compiler cannot be run, or refuses the file.
pub fn c_library(source: &Path, out: &Path, flags: &[&str]) {
    let mut compiler = Command::new("gcc");
    compiler.args(["-std=gnu11", "-O1", "-fPIC", "-shared", "-fvisibility=hidden", "-pthread"]);
    for include in ["plugin-abi/include", "kvstore-engine/c-example"] {
        compiler.arg("-I").arg(root().join(include));
    }
    run(compiler.args(flags).arg("-o").arg(out).arg(source));
}

/// Writes a file over another one, or where there is none, as `cp` does: in the same file, which is empty for a moment. A process of its own writes,
/// as what this one has open for writing is inherited by each child that another test starts meanwhile, and what is open for writing cannot be executed.
///
/// # Errors
/// What `cp` says.
pub fn overwrite(from: &Path, to: &Path) -> Result<(), String> {
    outcome(Command::new("cp").arg(from).arg(to))
}

/// All that tests start or load, for one call of cargo: each takes its time even if there is nothing to do. With the tests themselves, as cargo
/// builds what they have in common with the features that all of a build ask for: so it is what `cargo build --workspace` has built already.
const PACKAGES: [&str; 10] = [
    "--package",
    "kvstore-host",
    "--package",
    "kvstore-client",
    "--package",
    "kvstore-engine-memory",
    "--package",
    "kvstore-engine-delayed",
    "--package",
    "tests",
];

/// Has cargo build the programs and engines.
fn build() {
    cargo_build(&profile(), &PACKAGES);
}

/// The profile of the running test.
fn profile() -> String {
    match target_dir().file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev".to_owned(),
        Some(other) => other.to_owned(),
    }
}

/// Has cargo build this, once in this process, in the target directory of the running test. What could not be built is told to all who ask.
fn cargo_build(profile: &str, what: &[&str]) {
    static BUILT: Mutex<BTreeMap<String, Result<(), String>>> = Mutex::new(BTreeMap::new());
    // Held while cargo runs: tests that run at the same time need the same binaries.
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    let outcome = built.entry(format!("{profile} {what:?}")).or_insert_with(|| {
        let dir = target_dir();
        let base = dir.parent().unwrap_or(&dir);
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        command.args(["build", "--quiet", "--profile", profile]).args(what);
        outcome(command.arg("--target-dir").arg(base).current_dir(root()))
    });
    if let Err(text) = outcome.clone() {
        drop(built);
        panic!("{text}");
    }
}

fn run(command: &mut Command) {
    outcome(command).unwrap_or_else(|text| panic!("{text}"));
}

/// Runs a command to its end; what it said, if it failed.
fn outcome(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("{command:?} cannot be run: {error}"))?;
    let said = || format!("{command:?}:\n{}", String::from_utf8_lossy(&output.stderr));
    if output.status.success() { Ok(()) } else { Err(said()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_not_be_built_is_told_each_time() {
        for _ in 0..2 {
            let built = std::panic::catch_unwind(|| cargo_build("dev", &["--package", "no-such-package"]));
            let text = *built.expect_err("there is no such package").downcast::<String>().expect("a text");
            assert!(text.contains("no-such-package"), "{text}");
        }
    }
}
