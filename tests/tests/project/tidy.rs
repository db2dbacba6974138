//! Tidy: what holds of every file of the repository, as a test instead of as a rule that somebody has to remember.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use tests::binaries::root;

/// Lines of one file at most; think again long before.
const LINES_MAX: usize = 600;

/// The rooms, and the files that a repository of Rust has anyway.
const TOP: [&str; 17] = [
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "clippy.toml",
    "docs",
    "kvstore-client",
    "kvstore-engine",
    "kvstore-host",
    "plugin-abi",
    "rustfmt.toml",
    "scripts",
    "tests",
    "target",
];

/// All files, but for what is built and what git keeps.
fn files() -> Vec<PathBuf> {
    let (mut files, mut dirs) = (Vec::new(), vec![root().to_owned()]);
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(&dir).unwrap().map(Result::unwrap) {
            let name = entry.file_name();
            let skipped = ["target", ".git", ".cache", "__pycache__"].iter().any(|skipped| name == *skipped);
            match entry.file_type().unwrap() {
                kind if kind.is_dir() && !skipped => dirs.push(entry.path()),
                kind if kind.is_file() => files.push(entry.path()),
                _ => {}
            }
        }
    }
    assert!(files.len() > 100, "{files:?}");
    files
}

fn name(path: &Path) -> String {
    path.strip_prefix(root()).unwrap().display().to_string()
}

/// The text files, with their names.
fn texts() -> Vec<(String, String)> {
    let text = |path: PathBuf| Some((name(&path), String::from_utf8(std::fs::read(&path).unwrap()).ok()?));
    files().into_iter().filter_map(text).collect()
}

fn sources() -> Vec<(String, String)> {
    texts().into_iter().filter(|(name, _)| name.ends_with(".rs")).collect()
}

/// Lines that have this, as `file:line: text`.
fn lines_with(files: &[(String, String)], found: impl Fn(&str, &str) -> bool) -> Vec<String> {
    let mut all = Vec::new();
    for (name, text) in files {
        for (number, line) in text.lines().enumerate() {
            if found(name, line) {
                all.push(format!("{name}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    all
}

fn none(found: &[String], what: &str) {
    assert!(found.is_empty(), "{what}:\n{}", found.join("\n"));
}

#[test]
fn the_top_level_has_the_rooms_and_nothing_else() {
    let known: BTreeSet<&str> = TOP.into_iter().collect();
    let there = std::fs::read_dir(root()).unwrap().map(|entry| entry.unwrap().file_name());
    let there: Vec<String> = there.map(|name| name.to_string_lossy().into_owned()).collect();
    let others: Vec<_> =
        there.iter().filter(|name| !name.starts_with('.') && !known.contains(&***name)).collect();
    assert!(others.is_empty(), "{others:?}");
    let missing: Vec<_> =
        TOP.iter().filter(|name| **name != "target" && !there.iter().any(|found| found == *name)).collect();
    assert!(missing.is_empty(), "{missing:?} are missing");
}

#[test]
fn each_source_says_first_what_it_is() {
    let silent = |(_, text): &&(String, String)| !text.starts_with("//! ");
    let silent: Vec<_> = sources().iter().filter(silent).map(|(name, _)| name.clone()).collect();
    none(&silent, "open with no sentence on what the unit is");
}

#[test]
fn no_source_is_too_long() {
    let long = |(_, text): &&(String, String)| text.lines().count() > LINES_MAX;
    let long: Vec<_> = sources().iter().filter(long).map(|(name, _)| name.clone()).collect();
    none(&long, "have more than 600 lines");
}

#[test]
fn nothing_is_put_off() {
    // In two parts, so that this file is not found itself.
    let words =
        [["TO", "DO"], ["FIX", "ME"], ["XX", "X"], ["#[ign", "ore"], ["unimple", "mented!("], ["to", "do!("]];
    let words = words.map(|parts| parts.concat());
    let put_off = lines_with(&texts(), |name, line| {
        name != "Cargo.lock" && words.iter().any(|word| line.contains(word.as_str()))
    });
    none(&put_off, "put something off");
    let later = ["for", "now"].join(" ");
    let comments = lines_with(&sources(), |_, line| {
        let comment = line.trim_start();
        // The contract says of fields what they hold in this version.
        comment.starts_with("//") && comment.contains(&later) && !comment.contains(&format!("0 {later}"))
    });
    none(&comments, "comments that put something off");
}

#[test]
fn tests_wait_for_conditions() {
    let sleep = ["thread::", "sleep"].concat();
    // A server in that test stalls on purpose.
    let stalls = "kvstore-client/tests/bench.rs";
    let sleeps = lines_with(&sources(), |name, line| {
        let test = name.starts_with("tests/") || name.contains("/tests/") || name.ends_with("/tests.rs");
        test && name != stalls && line.contains(&sleep)
    });
    none(&sleeps, "sleep in a test");
}

#[test]
fn nothing_knows_the_machine_that_it_was_written_on() {
    let paths =
        [["/wo", "rk/"], ["/tmp/", "target"], ["/ro", "ot/"], ["/ho", "me/"]].map(|parts| parts.concat());
    let found = lines_with(&texts(), |_, line| paths.iter().any(|path| line.contains(path.as_str())));
    none(&found, "name a path of one machine");
}

/// The names in all sections of dependencies of a manifest.
fn dependencies(manifest: &str) -> BTreeSet<String> {
    let text = std::fs::read_to_string(root().join(manifest)).unwrap();
    let (mut names, mut inside) = (BTreeSet::new(), false);
    for line in text.lines() {
        if let Some(section) = line.strip_prefix('[') {
            inside = section.trim_end_matches(']').ends_with("dependencies");
        } else if inside && let Some((name, _)) = line.split_once(['.', '=', ' ']) {
            names.insert(name.to_owned());
        }
    }
    assert!(!names.is_empty(), "{manifest} depends on nothing?");
    names
}

#[test]
fn dependencies_run_one_way() {
    let internal = |name: &String| name.starts_with("kvstore-") || *name == "plugin-abi" || *name == "tests";
    let mut manifests = vec![
        ("plugin-abi/Cargo.toml".to_owned(), vec![]),
        // A host that linked an engine could not replace it.
        ("kvstore-host/Cargo.toml".to_owned(), vec!["plugin-abi"]),
        ("kvstore-client/Cargo.toml".to_owned(), vec![]),
    ];
    for entry in std::fs::read_dir(root().join("kvstore-engine")).unwrap().map(Result::unwrap) {
        if entry.path().join("Cargo.toml").exists() {
            let manifest = name(&entry.path().join("Cargo.toml"));
            manifests.push((manifest, vec!["plugin-abi", "kvstore-engine-testing", "kvstore-engine-thread"]));
        }
    }
    assert!(manifests.len() > 4, "{manifests:?}");
    for (manifest, allowed) in manifests {
        let found = dependencies(&manifest);
        let wrong: Vec<_> =
            found.iter().filter(|name| internal(name) && !allowed.contains(&name.as_str())).collect();
        assert!(wrong.is_empty(), "{manifest} depends on {wrong:?}");
    }
}
