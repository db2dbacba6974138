//! From where an engine is taken: the directories that the operator names, and the digest that whoever asks for a reload names.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use kvstore_client::Client;
use kvstore_host::plugin::file::Digest;
use tests::engines::Engine;
use tests::host::{Host, Options};
use tests::show::ask;
use tests::{binaries, zoo};

/// A directory `engines` with a copy of the memory engine, and a host that takes engines from there only.
fn host_with_engines() -> Host {
    let dir = Arc::new(tempfile::tempdir().unwrap());
    let engines = dir.path().join("engines");
    fs::create_dir(&engines).unwrap();
    fs::copy(binaries::memory_engine(), engines.join("libkvstore.so")).unwrap();
    let options = Options::args(&["--engine-dir", engines.to_str().unwrap()]);
    Host::start_library(&dir, &engines.join("libkvstore.so"), &options)
}

fn reload(client: &mut Client, path: &Path, more: &str) -> String {
    ask(client, &format!("ENGINE RELOAD {} {more}", path.display()))
}

fn is_refused(client: &mut Client, path: &Path, more: &str, parts: &[&str]) {
    let reply = reload(client, path, more);
    assert!(reply.contains("reload refused"), "{reply}");
    for part in parts {
        assert!(reply.contains(part), "{part:?} is not in {reply}");
    }
    assert_eq!(client.get(b"k").unwrap().as_deref(), Some(b"v".as_slice()));
}

#[test]
fn an_engine_that_lies_elsewhere_is_refused_whatever_its_path_says() {
    let host = host_with_engines();
    let mut client = host.client();
    client.set(b"k", b"v").unwrap();
    let outside = binaries::c_example(host.dir());
    let (link, good_link) = (host.path("engines/link.so"), host.path("good.so"));
    symlink(&outside, &link).unwrap();
    symlink(host.path("engines/libkvstore.so"), &good_link).unwrap();
    let dir = host.path("engines").canonicalize().unwrap().display().to_string();
    let place = outside.canonicalize().unwrap().display().to_string();
    for path in [outside.clone(), link, host.path("engines/../libkvstore_c.so")] {
        is_refused(&mut client, &path, "", &[&format!("the file is {place}"), &dir, "--engine-dir"]);
    }
    // Not a word of what stands in it.
    fs::write(host.path("secret"), "the word is swordfish\n").unwrap();
    symlink(host.path("secret"), host.path("engines/secret.so")).unwrap();
    is_refused(&mut client, &host.path("engines/secret.so"), "", &["--engine-dir"]);
    assert!(!host.log.text().contains("swordfish"), "{}", host.log.text());

    fs::copy(&outside, host.path("engines/moved-in.so")).unwrap();
    let reply = reload(&mut client, &host.path("engines/moved-in.so"), "");
    assert!(reply.contains("c-example"), "{reply}");
    let reply = reload(&mut client, &good_link, "");
    assert!(reply.contains("\"memory\""), "{reply}");
    assert_eq!(client.get(b"k").unwrap().as_deref(), Some(b"v".as_slice()));
}

#[test]
fn a_host_does_not_start_from_an_engine_that_lies_elsewhere() {
    let dir = tempfile::tempdir().unwrap();
    let start = |engines: &Path| {
        let mut command = Command::new(binaries::host());
        command.args(["--listen", "127.0.0.1:0", "--engine-dir"]).arg(engines);
        let output = command.arg("--engine").arg(binaries::c_example(dir.path())).output().unwrap();
        assert!(!output.status.success());
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let engines = dir.path().join("engines");
    let text = start(&engines);
    assert!(text.contains("this directory of engines cannot be opened"), "{text}");
    fs::create_dir(&engines).unwrap();
    let text = start(&engines);
    assert!(text.contains("--engine-dir") && text.contains("libkvstore_c.so"), "{text}");
}

#[test]
fn an_engine_with_another_digest_is_refused_and_both_are_named() {
    let host = Host::start(Engine::Memory);
    let mut client = host.client();
    client.set(b"k", b"v").unwrap();
    let path = binaries::c_example(host.dir());
    let (digest, other) =
        (Digest::of(&fs::read(&path).unwrap()).to_string(), Digest::of(b"other").to_string());
    is_refused(&mut client, &path, &format!("SHA256 {other}"), &[&digest, &other]);
    for wrong in ["SHA256", "SHA256 12", &format!("SHA256 {}", digest.replace(['0', '1', '2'], "x"))] {
        let reply = reload(&mut client, &path, wrong);
        assert!(reply.contains("ERR syntax error"), "{reply}");
    }
    let reply = reload(&mut client, &path, &format!("SHA256 {}", digest.to_uppercase()));
    assert!(reply.contains("c-example"), "{reply}");
    assert_eq!(host.engine_info()["digest"], digest);
    assert_eq!(client.get(b"k").unwrap().as_deref(), Some(b"v".as_slice()));
    // The client program has the same.
    let cli = |digest: &str| {
        let mut command = Command::new(binaries::client());
        command.args(["--port", &host.port().to_string(), "engine", "reload", "--sha256", digest]);
        let output = command.arg(&path).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    assert_eq!(cli(&digest).0, Some(0));
    let (code, text) = cli(&other);
    assert!(code == Some(4) && text.contains(&digest) && text.contains(&other), "{code:?} {text}");
    assert_eq!(cli("12").0, Some(2));
}

/// A constructor of it runs in the check's child, after the file was read and before the host loads it: there it puts another file in its
/// place.
#[test]
fn what_is_loaded_is_what_was_checked_though_the_file_is_swapped_meanwhile() {
    let dir = Arc::new(tempfile::tempdir().unwrap());
    let path = zoo::accepted("swaps_file", dir.path());
    let digest = Digest::of(&fs::read(&path).unwrap()).to_string();
    let other = dir.path().join("other.so");
    fs::write(&other, "not an engine at all\n").unwrap();
    let text = |path: &Path| path.display().to_string();
    let options = Options {
        env: vec![("ZOO_SWAP".to_owned(), text(&other)), ("ZOO_SWAP_TO".to_owned(), text(&path))],
        ..Options::default()
    };
    let host = Host::start_library(&dir, &binaries::memory_engine(), &options);
    let mut client = host.client();
    client.set(b"k", b"v").unwrap();
    let reply = reload(&mut client, &path, &format!("SHA256 {digest}"));
    assert!(reply.contains("c-example"), "{reply}");
    assert!(!other.exists() && fs::read_to_string(&path).unwrap().starts_with("not an engine"));
    assert_eq!(host.engine_info()["digest"], digest);
    assert_eq!(client.get(b"k").unwrap().as_deref(), Some(b"v".as_slice()));
    is_refused(&mut client, &path, "", &["it looks like a text file"]);
    // The engine before is kept as it was, too.
    assert!(reload(&mut client, &binaries::memory_engine(), "").contains("memory"));
    assert!(ask(&mut client, "ENGINE ROLLBACK").contains("c-example"));
    assert_eq!(client.get(b"k").unwrap().as_deref(), Some(b"v".as_slice()));
}
