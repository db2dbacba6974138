//! Linked: commands that write one key as another one is happen at one moment, on every engine, whoever does the same meanwhile.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};

use tests::engines::Engine;
use tests::host::Host;
use tests::on_each_engine;
use tests::show::ask;

on_each_engine!(an_entry_that_is_renamed_is_never_lost_or_doubled, of_many_one_wins_all_keys);

const CLIENTS: usize = 4;

/// Runs a closure for each client, side by side, with its number.
fn side_by_side(run: impl Fn(usize) + Sync) {
    std::thread::scope(|scope| {
        for number in 0..CLIENTS {
            let run = &run;
            scope.spawn(move || run(number));
        }
    });
}

fn an_entry_that_is_renamed_is_never_lost_or_doubled(engine: Engine) {
    let host = Host::start(engine);
    assert_eq!(ask(&mut host.client(), "SET place:0 token"), "OK");
    side_by_side(|number| {
        let mut client = host.client();
        for i in number..number + 40 {
            let (from, to) = (i % 3, (i + 1 + i / 3 % 2) % 3);
            let command = if i % 5 == 0 { "RENAMENX" } else { "RENAME" };
            let line = format!("{command} place:{from} place:{to}");
            if i % 2 == 0 {
                for line in ["MULTI", &line, "EXISTS place:0 place:1 place:2"] {
                    assert!(!ask(&mut client, line).starts_with('!'));
                }
                let replies = ask(&mut client, "EXEC");
                assert!(replies.ends_with(" 1]"), "{line}: {replies}");
            } else {
                let reply = ask(&mut client, &line);
                assert!(["OK", "1", "!ERR no such key"].contains(&reply.as_str()), "{line}: {reply}");
            }
            assert_eq!(ask(&mut client, "EXISTS place:0 place:1 place:2"), "1", "after {line}");
        }
    });
    let places = ask(&mut host.client(), "MGET place:0 place:1 place:2");
    assert_eq!(places.matches("\"token\"").count(), 1, "{places}");
}

fn of_many_one_wins_all_keys(engine: Engine) {
    const ROUNDS: usize = 20;
    let host = Host::start(engine);
    let (start, won) = (Barrier::new(CLIENTS), AtomicUsize::new(0));
    side_by_side(|number| {
        let mut client = host.client();
        for round in 0..ROUNDS {
            start.wait();
            // Each names the keys in another order, and one of them twice.
            let pair = |key: usize| format!("{round}:{} client:{number}", (key + number) % 3);
            let line = format!("MSETNX {} {} {} {}", pair(0), pair(1), pair(2), pair(0));
            won.fetch_add(ask(&mut client, &line).parse::<usize>().unwrap(), Ordering::Relaxed);
        }
    });
    assert_eq!(won.load(Ordering::Relaxed), ROUNDS);
    for round in 0..ROUNDS {
        let values = ask(&mut host.client(), &format!("MGET {round}:0 {round}:1 {round}:2"));
        let one = values.trim_matches(['[', ']']).split(' ').collect::<std::collections::BTreeSet<_>>();
        assert!(one.len() == 1 && values.contains("client:"), "{values}");
    }
}
