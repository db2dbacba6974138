//! Tests of what a file is refused for, and of private copies. The zoo in `tests` has the same from outside.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use proptest::prelude::*;

use super::*;

/// The least that passes for an engine, as far as a file tells.
const ENGINE: &str = r#"
#include "kvstore.h"
const kv_identity kv_abi = { .magic = KV_ABI_MAGIC, .abi_major = KV_ABI_MAJOR, .abi_minor = KV_ABI_MINOR,
    .struct_size = sizeof(kv_identity), .name = "least", .version = "1.2.3" };
kv_status kv_open(const kv_open_args *a, kv_engine **b, kv_error *c) { return KV_STATUS_UNSUPPORTED; }
kv_status kv_close(kv_engine *a, kv_error *b) { return KV_STATUS_OK; }
kv_status kv_get(kv_engine *a, const kv_op *b, kv_entry_fn c, void *d, kv_error *e) { return KV_STATUS_NOT_FOUND; }
kv_status kv_set(kv_engine *a, const kv_op *b, uint64_t *c, kv_error *d) { return KV_STATUS_UNSUPPORTED; }
kv_status kv_delete(kv_engine *a, const kv_op *b, kv_error *c) { return KV_STATUS_NOT_FOUND; }
"#;

/// Builds an engine of which no instance can be opened, with this C code added.
pub(in crate::plugin) fn engine(dir: &Path, added: &str, flags: &[&str]) -> PathBuf {
    let (source, out) = (dir.join("engine.c"), dir.join("engine.so"));
    fs::write(&source, format!("{ENGINE}{added}")).unwrap();
    let include = concat!(env!("CARGO_MANIFEST_DIR"), "/../plugin-abi/include");
    let mut gcc = Command::new("gcc");
    gcc.args(["-shared", "-fPIC", "-I", include]).args(flags).arg("-o").arg(&out).arg(&source);
    let built = gcc.output().unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    out
}

#[test]
fn what_lies_outside_of_the_directories_for_engines_is_not_read() {
    let dir = tempfile::tempdir().unwrap();
    let (inside, outside) = (dir.path().join("in"), dir.path().join("out"));
    fs::create_dir(&inside).unwrap();
    for path in [&inside.join("a"), &outside] {
        fs::write(path, "a").unwrap();
    }
    let dirs = [EngineDir::open(&inside).unwrap()];
    assert_eq!(Digest::of_file(&inside.join("a"), &dirs).unwrap(), Digest::of(b"a"));
    let refused = Digest::of_file(&outside, &dirs).unwrap_err().problem;
    assert!(matches!(refused, Problem::Outside { .. }), "{refused:?}");
    assert_eq!(Digest::of_file(&outside, &[]).unwrap(), Digest::of(b"a"));
}

fn problem(path: &Path) -> Problem {
    EngineFile::open(path).unwrap_err().problem
}

#[test]
fn a_good_file_tells_what_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let path = engine(dir.path(), "", &[]);
    let file = EngineFile::open(&path).unwrap();
    assert_eq!((file.identity().name.as_str(), file.identity().version.as_str()), ("least", "1.2.3"));
    assert_eq!(file.optional_symbols(), [""; 0]);
    assert_eq!(*file.digest(), Digest::of(&fs::read(&path).unwrap()));
    assert_eq!(Digest::parse(&file.digest().to_string().to_uppercase()), Some(*file.digest()));
    assert_eq!(*file.pins(), Pins::default());
    assert_eq!(file.warnings(), ["it has no kv_scan: its data cannot move to another engine"]);
}

#[test]
fn the_digest_is_sha256() {
    let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(Digest::of(b"abc").to_string(), abc);
    assert_eq!(Digest::parse(&abc[1..]), None);
    assert_eq!(Digest::parse(&abc.replace('b', "g")), None);
}

#[test]
fn what_is_no_regular_file_is_named_and_does_not_block() {
    let dir = tempfile::tempdir().unwrap();
    let fifo = dir.path().join("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    assert_eq!(problem(&fifo), Problem::NotAFile("a FIFO"));
    assert_eq!(problem(Path::new("/dev/null")), Problem::NotAFile("a device"));
    assert_eq!(problem(dir.path()), Problem::Directory);
    assert_eq!(problem(&dir.path().join("nothing")), Problem::NotFound);
    let circle = dir.path().join("circle");
    symlink(&circle, &circle).unwrap();
    assert!(matches!(problem(&circle), Problem::Unreadable(_)));
}

#[test]
fn what_pins_a_library_is_seen_in_its_file() {
    let dir = tempfile::tempdir().unwrap();
    let unique = "__asm__(\".globl only\\n.type only, @gnu_unique_object\\n.data\\nonly: .long 1\\n.size only, 4\\n.text\");";
    let pins =
        |added, flags: &[&str]| EngineFile::open(&engine(dir.path(), added, flags)).unwrap().pins().clone();
    assert_eq!(pins(unique, &[]).unique_symbol.as_deref(), Some("only"));
    assert!(pins("", &["-Wl,-z,nodelete"]).nodelete);
    let destructor = "int __cxa_thread_atexit_impl(void (*)(void *), void *, void *);
        int use(void) { return __cxa_thread_atexit_impl(0, 0, 0); }";
    assert!(pins(destructor, &[]).thread_destructors);
}

#[test]
fn part_of_the_handoff_set_is_warned_of() {
    let dir = tempfile::tempdir().unwrap();
    let added = "void kv_handoff_commit(kv_engine *a) {}";
    let file = EngineFile::open(&engine(dir.path(), added, &[])).unwrap();
    let warnings = file.warnings().join("\n");
    assert!(warnings.contains("kv_handoff_prepare, kv_handoff_give, kv_handoff_abort"), "{warnings}");
}

#[test]
fn an_identity_without_bytes_in_the_file_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = engine(dir.path(), "", &["-Dkv_abi=other"]);
    assert_eq!(problem(&path), Problem::MissingSymbols(vec!["kv_abi"]));
    let path = engine(
        dir.path(),
        "__asm__(\".globl kv_abi\\n.bss\\nkv_abi: .skip 152\\n.type kv_abi, @object\\n.size kv_abi, 152\\n.text\");",
        &["-Dkv_abi=other"],
    );
    assert_eq!(problem(&path), Problem::NoIdentityBytes);
}

#[test]
fn every_truncation_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let bytes = fs::read(engine(dir.path(), "", &[])).unwrap();
    assert!(elf::inspect(&bytes).is_ok());
    for len in 0..bytes.len() {
        assert!(elf::inspect(&bytes[..len]).is_err(), "{len} of {} bytes", bytes.len());
    }
}

#[test]
fn a_private_copy_has_the_same_bytes_and_goes_with_its_owner() {
    let dir = tempfile::tempdir().unwrap();
    let file = EngineFile::open(&engine(dir.path(), "", &[])).unwrap();
    let base = dir.path().join("base");
    fs::create_dir(&base).unwrap();
    let private = PrivateDir::create(Some(&base)).unwrap();
    assert_eq!(fs::metadata(private.path()).unwrap().mode() & 0o7777, 0o700);
    let copy = private.copy(&file, 7).unwrap();
    let name = copy.path().file_name().unwrap().to_str().unwrap().to_owned();
    assert_eq!(name, format!("7-{}.so", file.digest().short()));
    assert_eq!(fs::metadata(copy.path()).unwrap().mode() & 0o7777, 0o400);
    assert_eq!(Digest::of(&fs::read(copy.path()).unwrap()), *copy.digest());
    // The name is used: nothing is written over.
    assert!(private.copy(&file, 7).is_err());
    let other = private.copy(&file, 8).unwrap();
    drop((private, copy));
    assert!(other.path().exists());
    drop(other);
    assert_eq!(fs::read_dir(&base).unwrap().count(), 0);
}

#[test]
fn a_directory_that_others_can_write_to_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let file = EngineFile::open(&engine(dir.path(), "", &[])).unwrap();
    let base = dir.path().join("base");
    fs::create_dir(&base).unwrap();
    let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    mode(&base, 0o777);
    let error = PrivateDir::create(Some(&base)).unwrap_err().to_string();
    assert!(error.contains("no sticky bit"), "{error}");
    mode(&base, 0o1777);
    let private = PrivateDir::create(Some(&base)).unwrap();
    mode(private.path(), 0o770);
    let error = private.copy(&file, 1).unwrap_err().to_string();
    assert!(error.contains("others have rights on it"), "{error}");
}

/// A good library's bytes, built once.
fn good_bytes() -> &'static [u8] {
    static BYTES: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
    BYTES.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        fs::read(engine(dir.path(), "void kv_cancel(kv_engine *a, uint64_t b) {}", &[])).unwrap()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn no_bytes_make_it_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20),
        in_headers in prop::collection::vec((0..0x400_usize, any::<u8>()), 0..4),
        len in any::<prop::sample::Index>(),
        is_cut in prop::bool::weighted(0.2),
    ) {
        let mut bytes = good_bytes().to_vec();
        for (index, byte) in changes {
            let place = index.get_mut(&mut bytes);
            *place = byte;
        }
        for (index, byte) in in_headers {
            bytes[index] = byte;
        }
        if is_cut {
            bytes.truncate(len.index(bytes.len()));
        }
        // Whatever it says has to be a sentence, too.
        if let Err(problem) = elf::inspect(&bytes) {
            prop_assert!(!problem.to_string().is_empty());
        }
    }
}

#[test]
fn what_a_killed_host_left_behind_is_removed() {
    let base = tempfile::tempdir().unwrap();
    // No process has a number this high.
    let gone = base.path().join("kvstore-host-4294967295-aa");
    let alive = base.path().join(format!("kvstore-host-{}-bb", std::process::id()));
    let other = base.path().join("kvstore-host-notes");
    for dir in [&gone, &alive, &other] {
        std::fs::create_dir(dir).unwrap();
        std::fs::write(dir.join("1-x.so"), "").unwrap();
    }
    let dir = PrivateDir::create(Some(base.path())).unwrap();
    assert!(!gone.exists() && alive.exists() && other.exists() && dir.path().exists());
}
