//! The benchmark against a small server: what it sends, what it counts, and that a stall of the host shows in an open loop.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test may stop at the first surprise, in its helpers too"
)]

mod support;

use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use support::{Action, Server, is};

fn bench(server: &Server, words: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_kvstore-client"))
        .env_clear()
        .args(["--port", &server.port.to_string(), "bench"])
        .args(words.split_whitespace())
        .output()
        .unwrap()
}

fn document(output: &Output) -> Json {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

#[test]
fn a_closed_loop_sends_exactly_what_was_asked_for() {
    let server = Server::start();
    let output = bench(
        &server,
        "--json --requests 1003 --connections 7 --threads 2 --pipeline 4 --keys 50 --key-len 12 --value-len 20 --load",
    );
    let report = document(&output);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(report["loop"], "closed");
    assert_eq!(report["replies"], 1003);
    assert_eq!(report["reads"].as_u64().unwrap() + report["writes"].as_u64().unwrap(), 1003);
    assert_eq!(report["reads_found"], report["reads"], "all keys were loaded");
    assert_eq!(
        (&report["errors"], &report["lost"], &report["unfinished"]),
        (&0.into(), &0.into(), &0.into())
    );
    for name in ["min", "mean", "p50", "p90", "p99", "p99.9", "p99.99", "max"] {
        assert!(report["latency_us"][name].as_f64().unwrap() > 0.0, "{name}");
    }
    assert!(report["throughput_per_second"].as_f64().unwrap() > 0.0);
    assert!(report["hdr_v2_deflate_base64"].as_str().unwrap().starts_with("HIST"));
    let counted: u64 =
        report["histogram_us"].as_array().unwrap().iter().map(|step| step["count"].as_u64().unwrap()).sum();
    assert_eq!(counted, 1003);

    let requests = server.requests.lock().unwrap();
    assert_eq!(requests.len(), 50 + 1003);
    assert!(requests.iter().all(|words| words[1].len() == 12 && words[1].starts_with(b"bench:")));
    assert!(requests.iter().filter(|words| is(words, "SET")).all(|words| words[2].len() == 20));
    drop(requests);
    assert_eq!(server.store.lock().unwrap().len(), 50);
}

#[test]
fn the_same_seed_gives_the_same_requests() {
    let sent = |seed: u32| {
        let server = Server::start();
        bench(&server, &format!("--requests 300 --connections 1 --read-share 0.3 --seed {seed}"));
        server.requests()
    };
    let first = sent(1);
    assert_eq!(first.len(), 300);
    assert_eq!(first, sent(1));
    assert_ne!(first, sent(2));
}

#[test]
fn the_read_share_and_the_distribution_hold() {
    let counts = |words: &str| {
        let server = Server::start();
        bench(
            &server,
            &format!("--requests 20000 --pipeline 100 --connections 2 --keys 1000 --seed 5 {words}"),
        );
        let mut keys = BTreeMap::<Vec<u8>, usize>::new();
        let mut reads = 0;
        for words in server.requests.lock().unwrap().iter() {
            *keys.entry(words[1].clone()).or_default() += 1;
            reads += usize::from(is(words, "GET"));
        }
        (reads, keys)
    };
    assert_eq!(counts("--read-share 1").0, 20_000);
    assert_eq!(counts("--read-share 0").0, 0);
    let (reads, uniform) = counts("--read-share 0.9");
    assert!((17_500..18_500).contains(&reads), "{reads}");
    assert!(uniform.values().all(|count| *count < 60), "about 20 each");
    let (_, zipfian) = counts("--distribution zipfian");
    // The first key's share among 1,000 is 1 / 7.7 by the law.
    let first = zipfian[&b"bench:0000000000".to_vec()];
    assert!((2_200..3_000).contains(&first), "{first}");
}

#[test]
fn an_open_loop_keeps_to_its_rate_and_ends_when_all_is_answered() {
    let server = Server::start();
    let report = document(&bench(&server, "--json --rate 2000 --duration 0.25 --connections 4"));
    assert_eq!(report["loop"], "open");
    assert_eq!(report["replies"], 500);
    assert!(report["elapsed_seconds"].as_f64().unwrap() >= 0.2495, "the last request is due at 0.2495 s");
}

/// A host that stalls once, for 300 ms at the second request.
fn stalling() -> Server {
    let seen = AtomicU64::new(0);
    Server::start_with(move |words| {
        if (is(words, "GET") || is(words, "SET")) && seen.fetch_add(1, Ordering::Relaxed) == 1 {
            std::thread::sleep(Duration::from_millis(300));
        }
        Action::Answer
    })
}

#[test]
fn what_waits_during_a_stall_is_counted_from_when_it_was_due() {
    let report = document(&bench(&stalling(), "--json --rate 1000 --requests 200 --connections 1"));
    assert_eq!(report["replies"], 200);
    // All but the first fell due within 200 ms while the host stood still for 300 ms, so most waited for more than 100 ms. Counted from
    // when each was sent, only a single one would have.
    assert!(report["latency_us"]["p50"].as_f64().unwrap() > 100_000.0, "{report}");
}

#[test]
fn what_is_never_answered_is_counted_with_the_time_it_has_waited() {
    let server = Server::start_with(|words| if is(words, "HELLO") { Action::Answer } else { Action::Ignore });
    let words = "--json --reply-timeout-ms 200 --rate 1000 --requests 20 --connections 1 --pipeline 5";
    let report = document(&bench(&server, words));
    assert_eq!(report["replies"], 0);
    let unfinished = report["unfinished"].as_u64().unwrap() + report["lost"].as_u64().unwrap();
    assert_eq!(unfinished, 20, "{report}");
    assert!(report["latency_us"]["max"].as_f64().unwrap() >= 200_000.0, "{report}");
    let steps = report["histogram_us"].as_array().unwrap();
    assert_eq!(steps.iter().map(|step| step["count"].as_u64().unwrap()).sum::<u64>(), 20, "{report}");
}

#[test]
fn error_replies_are_counted_by_text_and_exit_with_4() {
    let server =
        Server::start_with(
            |words| if is(words, "SET") { Action::Say("-OOM no room\r\n") } else { Action::Answer },
        );
    let output = bench(&server, "--json --requests 100 --connections 2 --read-share 0");
    let report = document(&output);
    assert_eq!(report["errors"], 100);
    assert_eq!(report["errors_by_text"]["OOM no room"], 100);
    assert_eq!(output.status.code(), Some(4));
}

#[test]
fn a_lost_connection_is_counted_and_replaced() {
    let seen = AtomicU64::new(0);
    let server = Server::start_with(move |words| {
        let tenth = is(words, "SET") && seen.fetch_add(1, Ordering::Relaxed) == 9;
        if tenth { Action::HangUp } else { Action::Answer }
    });
    let output = bench(&server, "--json --requests 100 --connections 1 --read-share 0");
    let report = document(&output);
    assert_eq!(
        (&report["lost"], &report["reconnects"], &report["replies"]),
        (&1.into(), &1.into(), &99.into())
    );
    assert_eq!(output.status.code(), Some(3));
}

#[test]
fn the_text_has_the_figures_too() {
    let server = Server::start();
    let output = bench(&server, "--requests 100 --connections 2");
    let text = String::from_utf8(output.stdout).unwrap();
    for part in ["closed loop on 127.0.0.1:", "100 replies in ", " per second\n", "p99.99", "quantile"] {
        assert!(text.contains(part), "{part}: {text}");
    }
}
