//! Differential: random requests of a fixed seed, answered by our host on each engine as by Redis.

#![allow(clippy::panic, reason = "a test stops at the first surprise")]

use std::collections::BTreeSet;

use tests::differential::grammar::{GRAMMAR, NOT_GENERATED};
use tests::differential::known::KNOWN;
use tests::differential::lines::{parse, show};
use tests::differential::play::{Servers, commands};
use tests::differential::{ROUND, round};
use tests::engines::Engine;
use tests::on_each_engine;

on_each_engine!(random_requests_are_answered_as_by_redis, each_known_difference_is_met_by_its_example);

const REQUESTS: usize = 50_000;
const SEED: u64 = 7;

fn random_requests_are_answered_as_by_redis(engine: Engine) {
    let mut servers = Servers::start(engine);
    for number in 0..(REQUESTS / ROUND) as u64 {
        round(&mut servers, SEED, number).unwrap_or_else(|difference| panic!("{difference}"));
    }
}

fn each_known_difference_is_met_by_its_example(engine: Engine) {
    let mut servers = Servers::start(engine);
    for (place, known) in KNOWN.iter().enumerate().filter(|(_, known)| known.engines.contains(&engine)) {
        // What has expired Redis may remove by itself, between any two requests.
        for _ in 0..10 {
            servers
                .play(&parse(known.example))
                .unwrap_or_else(|difference| panic!("{}", show(&[], &difference)));
            if servers.judge.met[place] > 0 {
                break;
            }
        }
        assert!(servers.judge.met[place] > 0, "not met, so it has to leave the list: {}", known.reason);
    }
}

#[test]
fn every_command_that_both_know_is_generated_or_listed_with_a_reason() {
    let servers = Servers::start(Engine::Memory);
    let (ours, theirs) = (commands(&mut servers.connect_ours()), commands(&mut servers.connect_theirs()));
    let both: BTreeSet<&str> = ours.intersection(&theirs).map(String::as_str).collect();
    let name = |row: &str| row.split('|').next().unwrap_or_default().to_owned();
    let generated: BTreeSet<String> = GRAMMAR.iter().map(|row| name(row.name)).collect();
    let listed: BTreeSet<&str> = NOT_GENERATED.iter().map(|(name, _)| *name).collect();
    let missing: Vec<_> =
        both.iter().filter(|name| !generated.contains(**name) && !listed.contains(*name)).collect();
    assert!(missing.is_empty(), "neither generated nor listed: {missing:?}");
    let gone: Vec<_> =
        listed.iter().filter(|name| !both.contains(*name) || generated.contains(**name)).collect();
    assert!(gone.is_empty(), "listed as not generated without need: {gone:?}");
    let unknown: Vec<_> = generated.iter().filter(|name| !both.contains(name.as_str())).collect();
    assert!(unknown.is_empty(), "generated, and not known to both: {unknown:?}");
}
