//! Engines: those on which the end-to-end tests run, each by its library, and a macro that runs a test on all of them.

#![allow(clippy::expect_used, reason = "a test's helper stops at the first surprise")]

use std::fs;
use std::path::{Path, PathBuf};

use crate::binaries;

/// An engine of this repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// Does everything at once, in memory.
    Memory,
    /// A page of C: no threads, no expiry, no versions.
    CExample,
    /// Completes late and out of order, from its own thread; has no updates.
    Delayed,
}

impl Engine {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Memory, Self::CExample, Self::Delayed];

    /// Its library; one that has to be built by hand is built in `dir`.
    pub fn library(self, dir: &Path) -> PathBuf {
        match self {
            Self::Memory => binaries::memory_engine(),
            Self::CExample => binaries::c_example(dir),
            Self::Delayed => binaries::delayed_engine(),
        }
    }

    /// What it calls itself.
    pub fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::CExample => "c-example",
            Self::Delayed => "delayed",
        }
    }

    /// Whether its entries can expire.
    pub fn expires(self) -> bool {
        self != Self::CExample
    }
}

/// The C example, built in `dir`, which waits at these words of its source as long as there is a file at `gate`; while it does there is one at
/// `gate.inside`.
///
/// # Panics
/// There are no such words, or no C compiler.
pub fn that_waits(words: &str, gate: &Path, dir: &Path) -> PathBuf {
    let gate = gate.display();
    let inside = format!("{{ close(creat(\"{gate}.inside\", 0600)); usleep(1000); }}");
    let waits = format!("{words} while (access(\"{gate}\", F_OK) == 0) {inside}");
    changed("waits", words, &waits, dir)
}

/// The C example, built in `dir` under this name, with other words in its source.
///
/// # Panics
/// There are no such words, or no C compiler.
pub fn changed(name: &str, words: &str, others: &str, dir: &Path) -> PathBuf {
    let source = fs::read_to_string(binaries::root().join("kvstore-engine/c-example/engine.c"));
    let source = source.expect("the C example");
    assert!(source.contains(words), "{words}");
    let (changed, library) = (dir.join(format!("{name}.c")), dir.join(format!("{name}.so")));
    let unix = "#define _DEFAULT_SOURCE\n#include <fcntl.h>\n#include <unistd.h>\n";
    fs::write(&changed, format!("{unix}{}", source.replace(words, others))).expect("a source file");
    binaries::c_library(&changed, &library, &[]);
    library
}

/// Makes a test on each engine of functions that take an [`Engine`](crate::engines::Engine).
#[macro_export]
macro_rules! on_each_engine {
    ($($test:ident),* $(,)?) => {
        mod memory {
            $(#[test] fn $test() { super::$test($crate::engines::Engine::Memory) })*
        }
        mod c_example {
            $(#[test] fn $test() { super::$test($crate::engines::Engine::CExample) })*
        }
        mod delayed {
            $(#[test] fn $test() { super::$test($crate::engines::Engine::Delayed) })*
        }
    };
}
