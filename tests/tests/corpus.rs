//! Corpus: the kept inputs of the fuzz targets and some thousand mutations of them, from a fixed seed, hold in CI too. A program of its own: it counts all
//! that is allocated, and a child that another test forks would hold connections open for a moment.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::panic::catch_unwind;

use rand::SeedableRng;
use rand::rngs::StdRng;
use tests::binaries::root;
use tests::fuzz::{TARGETS, memory, mutate, parser, script};

#[global_allocator]
static ALLOCATOR: memory::Counting = memory::Counting;

/// Shows the input of a run that fails.
fn run(check: fn(&[u8]), input: &[u8]) {
    let held = catch_unwind(|| check(input));
    assert!(held.is_ok(), "an input that fails: {}", input.escape_ascii());
}

fn kept(target: &str) -> Vec<Vec<u8>> {
    let dir = root().join("tests/fuzz/corpus").join(target);
    let mut files: Vec<_> = std::fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() > 3, "{}: only {} inputs are kept", dir.display(), files.len());
    files.iter().map(|file| std::fs::read(file).unwrap()).collect()
}

/// Runs the kept inputs and mutations of them; tells the bytes that are still held after the mutations.
fn replay(target: &str, mutations: usize) -> usize {
    let (_, check) = TARGETS.into_iter().find(|(name, _)| *name == target).unwrap();
    let mut kept = kept(target);
    kept.iter().for_each(|input| run(check, input));
    // Written ones go to the limits and take their time.
    kept.retain(|input| !input.starts_with(script::WRITTEN));
    let mut random = StdRng::seed_from_u64(7);
    let mutated = || (0..mutations).for_each(|_| run(check, &mutate::mutated(&mut random, &kept)));
    memory::measure(mutated).1.kept_bytes
}

#[test]
fn parser_inputs_hold_at_each_cut_and_mutated() {
    kept("parser").iter().for_each(|input| run(parser::check_each_cut, input));
    replay("parser", 50_000);
}

#[test]
fn decoder_inputs_hold_and_mutated() {
    replay("decoder", 20_000);
}

#[test]
fn glob_inputs_hold_and_mutated() {
    replay("glob", 5_000);
}

#[test]
fn host_inputs_hold_and_mutated() {
    let kept_bytes = replay("host", 300);
    // Two hosts each; what their pools' threads free is not counted.
    assert!(kept_bytes < 300 * 4096, "hosts that have ended still hold {kept_bytes} bytes");
}
