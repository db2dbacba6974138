//! New engine: what scripts/new-engine writes builds, is accepted by the check, and serves in a real host, as it is.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use kvstore_client::Client;
use tests::binaries::{self, root, target_dir};
use tests::engines::Engine;
use tests::host::{Host, fields};
use tests::show::expect;

/// Calls the script from a directory.
fn new_engine(dir: &Path, args: &[&str]) -> Output {
    Command::new(root().join("scripts/new-engine")).args(args).current_dir(dir).output().unwrap()
}

/// What the script says, and has to be content.
fn written(dir: &Path, args: &[&str]) -> String {
    succeeded(new_engine(dir, args))
}

/// What a command printed that has succeeded and complained of nothing.
fn succeeded(output: Output) -> String {
    let Output { status, stdout, stderr } = output;
    let (printed, errors) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success() && !errors.contains("warning"), "{status}:\n{printed}\n{errors}");
    printed.into_owned()
}

/// Has cargo do something with the skeleton, in the target directory of the running test: what it has in common with the workspace is built there.
fn cargo(dir: &Path, what: &[&str]) -> String {
    let target = target_dir();
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(what).arg("--offline").arg("--target-dir").arg(target.parent().unwrap());
    if target.ends_with("release") {
        command.arg("--release");
    }
    succeeded(command.current_dir(dir).output().unwrap())
}

/// What the host's check reports of an engine that it accepts, and that is gone when it is closed.
fn is_accepted(report: &str) {
    assert!(report.contains("\naccepted: "), "{report}");
    assert!(report.contains("unmapped") && !report.contains("pinned"), "{report}");
}

fn reload(client: &mut Client, path: &Path) -> BTreeMap<String, String> {
    let reply = client.call(&["ENGINE", "RELOAD", path.to_str().unwrap()]);
    fields(reply.unwrap_or_else(|error| panic!("{}: {error}", path.display())))
}

/// Into the new engine with data, writes there, and back.
fn serves(library: &Path, name: &str, expires: bool) {
    let host = Host::start(Engine::Memory);
    let mut client = host.client();
    let value = |number: usize| vec![b'v'; number * 40];
    for number in 0..300 {
        client.set(format!("key:{number}").as_bytes(), &value(number)).unwrap();
    }
    client.set(b"", b"under the empty key").unwrap();
    if expires {
        expect(&mut client, &[("SET late v PXAT 4102444800000", "OK")]);
    }
    let count = 301 + u64::from(expires);

    let reply = reload(&mut client, library);
    assert_eq!((&*reply["engine"], &*reply["entries"]), (name, &*count.to_string()), "{reply:?}");
    assert_eq!(host.engine_info()["engine"], name);
    for number in 0..300 {
        assert_eq!(client.get(format!("key:{number}").as_bytes()).unwrap(), Some(value(number)));
    }
    expect(&mut client, &[("SET counter 41", "OK"), ("INCR counter", "42"), ("DEL key:7", "1")]);
    expect(
        &mut client,
        &[
            ("MULTI", "OK"),
            ("APPEND counter 0", "QUEUED"),
            ("GET counter", "QUEUED"),
            ("EXEC", "[3 \"420\"]"),
        ],
    );
    assert_eq!(client.count().unwrap(), count);

    let reply = reload(&mut client, &binaries::memory_engine());
    // The new engine is gone as it came.
    assert_eq!((&*reply["engine"], &*reply["previous_library"]), ("memory", "unmapped"), "{reply:?}");
    expect(&mut client, &[("GET counter", "\"420\""), ("GET key:7", "nil")]);
    assert_eq!(client.get(b"").unwrap().as_deref(), Some(&b"under the empty key"[..]));
    if expires {
        expect(&mut client, &[("PEXPIRETIME late", "4102444800000")]);
    }
    assert_eq!(client.count().unwrap(), count);
}

#[test]
fn a_skeleton_in_rust_keeps_the_contract_and_serves() {
    let dir = tempfile::tempdir().unwrap();
    let told = written(dir.path(), &["sketch-in-rust"]);
    let home = dir.path().join("sketch-in-rust");
    assert!(told.contains("libkvstore_sketch_in_rust.so") && told.contains("docs/engines.md"), "{told}");
    // Its own tests, the conformance suite among them.
    let tested = cargo(&home, &["test"]);
    assert!(tested.contains("test tests::the_engine_keeps_the_contract ... ok"), "{tested}");
    cargo(&home, &["build"]);
    let library = target_dir().join("libkvstore_sketch_in_rust.so");
    is_accepted(&succeeded(Command::new(binaries::host()).arg("check").arg(&library).output().unwrap()));
    serves(&library, "sketch-in-rust", true);
}

#[test]
fn a_skeleton_in_c_keeps_the_contract_and_serves() {
    let dir = tempfile::tempdir().unwrap();
    // Where there is no directory yet, under another name than the engine's.
    let told = written(dir.path(), &["--c", "sketch-in-c", "engines/mine"]);
    let home = dir.path().join("engines/mine");
    assert!(told.contains("make check"), "{told}");
    let mut make = Command::new("make");
    make.arg("check").arg(format!("HOST={}", binaries::host().display())).arg("CFLAGS=-O1 -Werror");
    is_accepted(&succeeded(make.current_dir(&home).output().unwrap()));
    let library = home.join("libkvstore_sketch_in_c.so");
    serves(&library, "sketch-in-c", false);
}

/// All files below a directory.
fn files(dir: &Path) -> Vec<PathBuf> {
    let all = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    all.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[test]
fn nothing_is_left_to_fill_in() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path(), &["one"]);
    written(dir.path(), &["two", "--c"]);
    let written = files(dir.path());
    for file in [
        "one/Cargo.toml",
        "one/Cargo.lock",
        "one/.gitignore",
        "one/src/lib.rs",
        "one/src/store.rs",
        "one/src/tests.rs",
        "two/Makefile",
        "two/.gitignore",
        "two/engine.c",
    ] {
        assert!(written.contains(&dir.path().join(file)), "{file} is not among {written:?}");
    }
    for path in written {
        let text = std::fs::read_to_string(&path).unwrap();
        for place in ["@name@", "@ident@", "@kvstore@"] {
            assert!(!text.contains(place), "{} has {place}", path.display());
        }
        assert!(text.ends_with('\n') && !text.ends_with("\n\n"), "the end of {}", path.display());
    }
}

#[test]
fn bad_names_and_existing_directories_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("there")).unwrap();
    std::fs::write(dir.path().join("file"), "precious").unwrap();
    std::os::unix::fs::symlink("nowhere", dir.path().join("link")).unwrap();
    let long = "a".repeat(32);
    let cases: [(&[&str], i32, &str); 17] = [
        (&[], 2, "usage: scripts/new-engine [--c] NAME [DIR]"),
        (&["a", "b", "c"], 2, "usage: "),
        (&["--rust", "mine"], 2, "unknown option '--rust'"),
        (&[""], 2, "'' is no name for an engine"),
        (&["Mine"], 2, "'Mine' is no name for an engine: lower-case letters, digits and single hyphens"),
        (&["1st"], 2, "a letter first, as in my-engine"),
        (&["my_engine"], 2, "'my_engine' is no name"),
        (&["a--b"], 2, "'a--b' is no name"),
        (&["a-"], 2, "'a-' is no name"),
        (&["../a"], 2, "'../a' is no name"),
        (&["a\nb"], 2, "is no name"),
        (&["é"], 2, "'é' is no name"),
        (&[long.as_str()], 2, "has 32 characters; the name of an engine has at most 31"),
        (&["there"], 1, "./there is there already; name another directory: new-engine there DIR"),
        (&["--c", "mine", "file"], 1, "file is there already"),
        (&["mine", "link"], 1, "link is there already"),
        (&["mine", "file/mine"], 1, "file/mine cannot be made"),
    ];
    for (args, code, told) in cases {
        let output = new_engine(dir.path(), args);
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{args:?}: {errors}");
        assert!(errors.contains(told), "{args:?}: {errors}");
    }
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 3, "something was written");
    assert_eq!(std::fs::read_to_string(dir.path().join("file")).unwrap(), "precious");
}
