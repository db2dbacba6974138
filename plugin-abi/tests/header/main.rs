//! The C header is what the Rust definitions say: generated anew, compiled as C and as C++, compared field by field.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may stop at the first surprise")]

mod generate;
mod layout;
mod symbols;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use plugin_abi::raw::{KV_ABI_MAGIC, OPTIONAL_SYMBOLS, REQUIRED_SYMBOLS};

/// Set by `scripts/header`: write the header instead of comparing.
const WRITE: &str = "KV_HEADER_WRITE";

const WARNINGS: [&str; 4] = ["-Wall", "-Wextra", "-Werror", "-pedantic"];

fn include() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("include")
}

fn checked_in() -> String {
    fs::read_to_string(include().join("kvstore.h")).unwrap_or_default()
}

fn sources() -> String {
    let files = fs::read_dir(generate::source("mod").parent().unwrap()).unwrap();
    files.map(|file| fs::read_to_string(file.unwrap().path()).unwrap()).collect()
}

/// The names that follow `start` at the beginning of lines, in alphabetical order.
fn names(text: &str, start: &str) -> Vec<String> {
    let name = |rest: &str| rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap().to_owned();
    let mut names: Vec<_> =
        text.lines().filter_map(|line| line.trim().strip_prefix(start)).map(name).collect();
    names.sort();
    names
}

fn sorted(names: &[&str]) -> Vec<String> {
    let mut names: Vec<_> = names.iter().map(|name| name.to_string()).collect();
    names.sort();
    names
}

/// Compiles a text against the header and fails the test with the compiler's words.
fn compile(compiler: &str, args: &[&str], file: &str, text: &str) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(file);
    fs::write(&path, text).unwrap();
    let mut command = Command::new(compiler);
    command
        .args(args)
        .args(WARNINGS)
        .arg("-I")
        .arg(include())
        .arg(&path)
        .arg("-o")
        .arg(dir.path().join("out"));
    let output = command.output().unwrap_or_else(|error| panic!("cannot run {compiler}: {error}"));
    assert!(output.status.success(), "{compiler} {args:?}:\n{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_header_is_current() {
    let wanted = generate::header();
    if std::env::var_os(WRITE).is_some() {
        fs::write(include().join("kvstore.h"), &wanted).unwrap();
    }
    let found = checked_in();
    let differs = found.lines().zip(wanted.lines()).position(|(found, wanted)| found != wanted);
    let line = differs.unwrap_or(found.lines().count().min(wanted.lines().count())) + 1;
    assert!(found == wanted, "include/kvstore.h differs from src/raw at line {line}: run scripts/header");
}

#[test]
fn sizes_offsets_and_constants_are_those_of_rust() {
    compile("gcc", &["-std=c11", "-c"], "layout.c", &layout::assertions());
    compile("g++", &["-std=c++17", "-c", "-Wno-invalid-offsetof"], "layout.cc", &layout::assertions());
}

#[test]
fn every_struct_and_constant_is_compared() {
    let (structs, constants) = layout::covered();
    let opaque = "KvEngine".to_owned();
    let mut declared = names(&sources(), "pub struct ");
    declared.retain(|name| *name != opaque);
    assert_eq!(declared, sorted(&structs));
    let mut declared = names(&sources(), "pub const KV_");
    declared.iter_mut().for_each(|name| name.insert_str(0, "KV_"));
    // The one constant that is a text; its own test is below.
    declared.retain(|name| name != "KV_ABI_MAGIC");
    assert_eq!(declared, sorted(&constants));
}

#[test]
fn the_magic_is_that_of_rust() {
    let header = checked_in();
    let define = header.lines().find_map(|line| line.strip_prefix("#define KV_ABI_MAGIC ")).unwrap();
    let text = define.trim_matches('"').to_owned() + "\0";
    assert_eq!(text.as_bytes(), KV_ABI_MAGIC);
}

#[test]
fn declarations_types_and_symbol_lists_agree() {
    let all = [&REQUIRED_SYMBOLS[..], &OPTIONAL_SYMBOLS[..]].concat();
    let functions: Vec<_> = all.iter().copied().filter(|name| *name != "kv_abi").collect();
    assert_eq!(names(&sources(), "pub fn kv_").len(), functions.len());
    assert_eq!(sorted(symbols::CHECKED), sorted(&functions));

    let header = checked_in();
    let exported = header.lines().filter(|line| line.contains("KV_EXPORT ") && !line.starts_with('#'));
    let mut exported: Vec<_> = exported
        .map(|line| {
            let end = line.find(['(', ';']).unwrap();
            line[..end].rsplit(' ').next().unwrap().to_owned()
        })
        .collect();
    exported.sort();
    assert_eq!(exported, sorted(&all));
}

#[test]
fn the_engine_in_the_preamble_compiles() {
    let header = checked_in();
    let lines = header.lines().skip_while(|line| !line.ends_with("#include \"kvstore.h\""));
    let lines = lines.take_while(|line| !line.starts_with("// BUILD"));
    let text: String = lines.map(|line| line.trim_start_matches("//").to_owned() + "\n").collect();
    assert!(text.contains("kv_status kv_delete("), "{text}");
    compile("gcc", &["-std=c11", "-O2", "-fPIC", "-shared", "-fvisibility=hidden"], "smallest.c", &text);
}
