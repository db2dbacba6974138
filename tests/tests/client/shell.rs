//! What the programs tell shells and `man` about themselves: completions that complete, and pages that render and name every option.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tests::binaries;

fn programs() -> [PathBuf; 2] {
    [binaries::host(), binaries::client()]
}

fn name(program: &Path) -> &str {
    program.file_name().unwrap().to_str().unwrap()
}

/// What a command that must succeed, and complain of nothing, printed.
fn printed(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let errors = String::from_utf8_lossy(&stderr);
    assert!(status.success() && errors.is_empty(), "{command:?}: {status}\n{errors}");
    String::from_utf8(stdout).unwrap()
}

/// The long options that a text names at the beginning of lines.
fn options(text: &str) -> BTreeSet<String> {
    let mut options = BTreeSet::new();
    for line in text.lines().map(str::trim_start).filter(|line| line.starts_with('-')) {
        let names =
            line.split([' ', ',', '=', '[', '<']).filter(|word| word.len() > 2 && word.starts_with("--"));
        options.extend(names.take(1).map(str::to_owned));
    }
    options
}

/// What bash offers for the last of these words, by the completions of the program.
fn completed(program: &Path, dir: &Path, words: &[&str]) -> Vec<String> {
    let script = dir.join(format!("{}.bash", name(program)));
    std::fs::write(&script, printed(Command::new(program).args(["completions", "bash"]))).unwrap();
    // What bash itself does on Tab: it finds the function by the name of the program, and calls it.
    let ask = r#"
        source "$1"; shift
        [[ $(complete -p "$1") =~ -F\ ([^ ]+) ]] || exit 1
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMP_LINE="$*" COMP_POINT=${#COMP_LINE}
        "${BASH_REMATCH[1]}" "$1" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
        printf '%s\n' "${COMPREPLY[@]}"
    "#;
    let mut bash = Command::new("bash");
    bash.args(["--norc", "-c", ask, "bash"]).arg(&script).arg(name(program)).args(words);
    printed(&mut bash).lines().map(|line| line.trim().to_owned()).collect()
}

#[test]
fn bash_completes_commands_options_and_values() {
    let dir = tempfile::tempdir().unwrap();
    let [host, client] = programs();
    assert_eq!(completed(&host, dir.path(), &["comp"]), ["completions"]);
    assert_eq!(completed(&host, dir.path(), &["--engine-"]), ["--engine-opt", "--engine-dir"]);
    assert_eq!(completed(&host, dir.path(), &["completions", "fi"]), ["fish"]);
    assert_eq!(completed(&client, dir.path(), &["eng"]), ["engine"]);
    assert_eq!(completed(&client, dir.path(), &["engine", "rel"]), ["reload"]);
    assert_eq!(completed(&client, dir.path(), &["engine", "reload", "--o"]), ["--opt"]);
    assert_eq!(completed(&client, dir.path(), &["bench", "--distribution", "z"]), ["zipfian"]);
    assert!(!completed(&host, dir.path(), &[""]).iter().any(|name| name.contains("child")));
    let commands = completed(&client, dir.path(), &[""]);
    assert!(["get", "set", "scan", "bench"].iter().all(|name| commands.iter().any(|it| it == name)));
}

#[test]
fn completions_exist_for_other_shells() {
    for program in programs() {
        for (shell, sign) in [
            ("zsh", "#compdef"),
            ("fish", "complete -c"),
            ("elvish", "edit:completion"),
            ("powershell", "Register-ArgumentCompleter"),
        ] {
            let script = printed(Command::new(&program).args(["completions", shell]));
            assert!(script.contains(sign) && script.contains(name(&program)), "{shell}: {script}");
        }
        assert_eq!(
            Command::new(&program).args(["completions", "csh"]).output().unwrap().status.code(),
            Some(2)
        );
    }
}

#[test]
fn every_page_renders_and_names_every_option() {
    let dir = tempfile::tempdir().unwrap();
    for program in programs() {
        let pages = dir.path().join(name(&program)).join("made");
        assert_eq!(printed(Command::new(&program).arg("man").arg(&pages)), "");
        let mut count = 0;
        for page in std::fs::read_dir(&pages).unwrap().map(|entry| entry.unwrap().path()) {
            count += 1;
            let mut man = Command::new("man");
            man.args(["--warnings", "-l"]).arg(&page).env("MANWIDTH", "200").env("LC_ALL", "C.UTF-8");
            let text = printed(man.env("MAN_KEEP_FORMATTING", ""));
            let stem = page.file_stem().unwrap().to_str().unwrap();
            let words = stem.strip_prefix(name(&program)).unwrap().split('-').filter(|word| !word.is_empty());
            let help = printed(Command::new(&program).args(words).arg("--help"));
            assert!(!options(&help).is_empty(), "{stem}: {help}");
            let missing: Vec<_> = options(&help).difference(&options(&text)).cloned().collect();
            assert!(missing.is_empty(), "{stem} does not name {missing:?}:\n{text}");
        }
        let commands = if name(&program) == "kvstore-host" { 2 } else { 25 };
        assert!(count > commands, "{count} pages of {}", name(&program));
    }
}

#[test]
fn pages_that_cannot_be_written_are_a_failure() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    for program in programs() {
        let output = Command::new(&program).arg("man").arg(file.join("pages")).output().unwrap();
        assert!(!output.status.success());
        assert!(!output.stderr.is_empty());
    }
}
