//! Zoo: broken engines, each with what a host has to say when it refuses it.

#![allow(clippy::expect_used, reason = "a test's helper stops at the first surprise")]

use std::fs;
use std::path::{Path, PathBuf};

use crate::binaries;

/// One broken engine.
#[derive(Clone, Copy, Debug)]
pub struct Animal {
    /// What it is called, and its source where it has one.
    pub name: &'static str,
    /// What the refusal says of it; other texts may stand around and between these.
    pub expected: &'static [&'static str],
    /// What `kvstore-host check` has to be asked for it; `DIR` stands for the directory in which it is built.
    pub args: &'static [&'static str],
    make: Make,
}

/// Where an animal comes from.
#[derive(Clone, Copy, Debug)]
enum Make {
    /// `zoo/<name>.c`
    C,
    /// `zoo/<name>.rs`, an example of this package, which cargo builds.
    Rust,
    /// A file made from the bytes of a good engine.
    Bytes(fn(Vec<u8>) -> Vec<u8>),
    /// `zoo/accepted_<name>.c`, built so that it is not accepted.
    Accepted(&'static str, &'static [&'static str]),
    /// The library of `zoo/faulty`, with this fault.
    Fault(&'static str),
    /// The C example, built with other flags.
    Flags(&'static [&'static str]),
    /// Something else at this path.
    Other(fn(&Path)),
}

impl Animal {
    /// Builds it in this directory, and answers its path.
    pub fn build(&self, dir: &Path) -> PathBuf {
        let out = dir.join(format!("{}.so", self.name));
        let good = binaries::root().join("kvstore-engine/c-example/engine.c");
        match self.make {
            Make::C => binaries::c_library(&source(self.name), &out, &[]),
            Make::Flags(flags) => binaries::c_library(&good, &out, flags),
            Make::Accepted(other, flags) => {
                binaries::c_library(&source(&format!("accepted_{other}")), &out, flags);
            }
            Make::Fault(fault) => return faulty(fault, &out),
            Make::Rust => return binaries::example(self.name),
            Make::Other(make) => make(&out),
            Make::Bytes(change) => {
                binaries::c_library(&good, &out, &[]);
                let bytes = fs::read(&out).expect("the good engine");
                fs::write(&out, change(bytes)).expect("the broken engine");
            }
        }
        out
    }
}

/// An engine of `zoo/` that is odd but accepted, built in this directory.
pub fn accepted(name: &str, dir: &Path) -> PathBuf {
    accepted_with(name, dir, &[])
}

/// The same, built with these flags.
pub fn accepted_with(name: &str, dir: &Path, flags: &[&str]) -> PathBuf {
    let out = dir.join(format!("{name}.so"));
    binaries::c_library(&source(&format!("accepted_{name}")), &out, flags);
    out
}

/// The library of `zoo/faulty` with this fault, at this path.
///
/// # Panics
/// The library lacks the place for the fault's name, or the name is too long.
pub fn faulty(fault: &str, out: &Path) -> PathBuf {
    let mark = b"the fault of this engine:";
    let mut bytes = fs::read(binaries::example("faulty")).expect("the library of the family");
    let found = bytes.windows(mark.len()).position(|window| window == mark);
    let place = found.expect("the mark in the library") + mark.len();
    let name = format!("{fault:\0<22}");
    assert!(name.len() == 22, "a shorter name than {fault:?}");
    bytes[place..place + name.len()].copy_from_slice(name.as_bytes());
    fs::write(out, bytes).expect("the broken engine");
    out.to_owned()
}

fn source(name: &str) -> PathBuf {
    binaries::root().join(format!("tests/zoo/{name}.c"))
}

/// All broken engines.
pub fn all() -> Vec<Animal> {
    let animal = |name, make, expected| Animal { name, expected, args: &[], make };
    vec![
        animal("missing", Make::Other(|_| ()), &["there is no such file"]),
        animal("directory", Make::Other(|path| fs::create_dir(path).expect("a directory")), &["a directory"]),
        animal("empty", Make::Bytes(|_| Vec::new()), &["the file is empty"]),
        animal(
            "text",
            Make::Bytes(|_| b"just text\n".to_vec()),
            &["it looks like a text file (\"just text\")"],
        ),
        animal("script", Make::Bytes(|_| b"#!/bin/sh\nexit 0\n".to_vec()), &["it looks like a script"]),
        animal("cut_in_half", Make::Bytes(cut_in_half), &["the file is truncated: it has ", " bytes"]),
        animal(
            "cut_header",
            Make::Bytes(|bytes| bytes[..40].to_vec()),
            &["truncated: it has 40 bytes", "header"],
        ),
        animal("other_machine", Make::Bytes(other_machine), &["found s390, accepted is "]),
        animal("object_file", Make::Flags(&["-c"]), &["this is an object file, not a shared library"]),
        animal("program", Make::Other(program), &["this is a program"]),
        animal("no_engine", Make::Other(no_engine), &["a shared library, but no engine"]),
        animal("lacks_symbols", Make::C, &["required symbols missing: kv_close, kv_delete"]),
        animal("other_abi_major", Make::C, &["kv_abi.abi_major: found 7, accepted is ", "kvstore.h"]),
        animal("static_tls", Make::C, &["static thread-local storage (DF_STATIC_TLS)"]),
        animal(
            "unresolved",
            Make::C,
            &["the loader refused it: ", "undefined symbol: function_that_nobody_has"],
        ),
        animal("other_layout", Make::C, &["found a layout of abi_stable 0.99.0, accepted is abi_stable "]),
        animal(
            "constructor_crashes",
            Make::C,
            &["it crashed with SIGSEGV", "in loading (dlopen runs its constructors)"],
        ),
        animal("constructor_hangs", Make::C, &["it hung in loading (dlopen runs its constructors)"]),
        animal("constructor_exits", Make::C, &["it ended the process with exit code 0 in loading"]),
        animal("open_fails", Make::C, &["kv_open failed: UNAVAILABLE", "the disk is on strike"]),
        animal("open_panics", Make::Rust, &["kv_open failed: PANIC", "the cat is on the keyboard"]),
        animal("open_aborts", Make::C, &["it crashed with SIGABRT", "in kv_open", "the moon is full"]),
        animal("open_hangs", Make::C, &["it hung in kv_open"]),
        animal("allocates", Make::C, &["it ran into the memory limit of ", " MiB in kv_open"]),
        animal("leaves_thread", Make::C, &["1 of its threads still run after kv_close"]),
        animal("unload_crashes", Make::C, &["it crashed with SIGILL", "in unloading (dlclose)"]),
        animal(
            "late_crash",
            Make::C,
            &["it crashed with SIGSEGV", "in the end of a thread that called it, after the unload"],
        ),
        animal("get_crashes", Make::C, &["it crashed with SIGILL", "in conformance test "]),
        animal("wrong_answers", Make::C, &["conformance test basics/", "failed: "]),
        animal(
            "completes_twice",
            Make::C,
            &["conformance test ", "operation 0 of a batch was completed more than once"],
        ),
        animal("scribbles", Make::C, &["the report of its check cannot be read"]),
        animal(
            "wrong_after_a_thousand_calls",
            Make::Accepted("wrong_later", &["-DAFTER=1000"]),
            &["conformance test basics/many_keys failed: "],
        ),
        animal(
            "crashes_after_some_calls",
            Make::Accepted("crashes_later", &["-DAFTER=500"]),
            &["it crashed with SIGILL", "in conformance test basics/many_keys"],
        ),
        animal("close_hangs", Make::C, &["it hung in kv_close"]),
        animal("scan_endless", Make::C, &["conformance test scan/"]),
        animal("scan_hangs", Make::C, &["it hung in conformance test "]),
        animal("scan_loses", Make::C, &["conformance test scan/", " misses "]),
        animal("count_lies", Make::C, &["conformance test scan/count_counts failed: "]),
        animal("batch_unfinished", Make::C, &["it hung in conformance test "]),
        animal("holds_keys", Make::C, &["it holds 100 of the 1024 thread-specific keys"]),
        animal("holds_keys_while_open", Make::C, &["it holds 90 of the 1024 thread-specific keys"]),
        animal("panics_at_a_call", Make::Fault("panics 100"), &["PANIC", "call 100 was one too many"]),
        animal("repeats_versions", Make::Fault("repeats versions"), &["conformance test versions/"]),
        animal(
            "counts_versions_down",
            Make::Fault("counts versions down"),
            &["conformance test ", "versions/versions_grow"],
        ),
        animal(
            "garbles_what_it_adopts",
            Make::Fault("garbles what it adopts"),
            &["conformance test handoff/adopt"],
        ),
        animal(
            "takes_no_state",
            Make::Fault("takes no state"),
            &["conformance test handoff/adopt", "this state is none"],
        ),
        Animal {
            args: &["--sha256", "0000000000000000000000000000000000000000000000000000000000000000"],
            ..animal("another_digest", Make::Flags(&[]), &["its SHA-256 is ", "the one asked for is 0000"])
        },
        Animal {
            args: &["--engine-dir", "DIR"],
            ..animal(
                "leads_outside",
                Make::Other(leads_outside),
                &["the file is ", "engines are only taken from "],
            )
        },
    ]
}

fn cut_in_half(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.truncate(bytes.len() / 2);
    bytes
}

/// The machine stands at byte 18; 22 is s390, on which nobody runs these tests.
fn other_machine(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes[18..20].copy_from_slice(&22_u16.to_le_bytes());
    bytes
}

fn program(path: &Path) {
    fs::copy("/bin/sh", path).expect("a copy of a program");
}

fn leads_outside(path: &Path) {
    std::os::unix::fs::symlink(binaries::memory_engine(), path).expect("a link");
}

fn no_engine(path: &Path) {
    let source = path.with_extension("c");
    fs::write(&source, "int answer(void) { return 42; }\n").expect("a source file");
    binaries::c_library(&source, path, &[]);
}
