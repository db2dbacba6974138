//! Transactions: MULTI, EXEC and WATCH, alone and beside others, on each engine.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

use std::sync::atomic::{AtomicBool, Ordering};

use kvstore_client::{Error, Protocol};
use tests::engines::Engine;
use tests::host::{Host, Options, fields};
use tests::on_each_engine;
use tests::show::{ask, expect};
use tests::wait::wait_for;

on_each_engine!(transactions, about_the_whole_keyspace);

fn transactions(engine: Engine) {
    let host = Host::start(engine);
    for protocol in [Protocol::Resp2, Protocol::Resp3] {
        let mut one = host.client_over(host.tcp(), protocol);
        let mut other = host.client_over(host.unix(), protocol);
        let mut conflicts = |changed: bool, by: &str| {
            let lines = ["SET w 1", "DEL absent", "WATCH w absent"];
            lines.iter().for_each(|line| assert!(!ask(&mut one, line).starts_with('!'), "{line}"));
            let reply = ask(&mut other, by);
            assert!(!reply.starts_with('!'), "{by}: {reply}");
            assert_eq!(ask(&mut one, "MULTI"), "OK");
            assert_eq!(ask(&mut one, "INCR done"), "QUEUED");
            let before = ask(&mut other, "GET done");
            let exec = ask(&mut one, "EXEC");
            assert_eq!(exec == "nil", changed, "{by}: {exec}");
            assert_eq!(ask(&mut other, "GET done") == before, changed, "{by}");
        };
        conflicts(true, "SET w 2");
        // As in Redis, writing the same value is a change too.
        conflicts(true, "SET w 1");
        conflicts(true, "DEL w");
        conflicts(true, "APPEND w x");
        conflicts(true, "SET absent now");
        conflicts(true, "FLUSHALL");
        conflicts(false, "GET w");
        // The host counts keys as changed together where it has to keep the versions: seldom, and at random.
        if engine != Engine::CExample {
            conflicts(false, "SET other x");
        }
        conflicts(false, "SET absent now XX");

        // An error before EXEC calls all of it off; one in it leaves the others done, as in Redis.
        for (line, reply) in [
            ("MULTI", "OK"),
            ("SET a 1", "QUEUED"),
            ("NOSUCH", "!ERR unknown command 'NOSUCH', with args beginning with: "),
            ("EXEC", "!EXECABORT Transaction discarded because of previous errors."),
            ("EXISTS a", "0"),
            ("SET text x", "OK"),
            ("MULTI", "OK"),
            ("SET a 1", "QUEUED"),
            ("INCR text", "QUEUED"),
            ("INCR a", "QUEUED"),
            ("EXEC", "[OK !ERR value is not an integer or out of range 2]"),
            // An EXEC that is wrong itself ends the transaction.
            ("MULTI", "OK"),
            (
                "EXEC now",
                "!EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' command",
            ),
            ("EXEC", "!ERR EXEC without MULTI"),
            // RESET of something else is no RESET.
            ("MULTI", "OK"),
            ("SLOWLOG RESET", "QUEUED"),
            ("EXEC", "[OK]"),
            ("MULTI", "OK"),
            ("MULTI", "!ERR MULTI calls can not be nested"),
            ("WATCH a", "!ERR WATCH inside MULTI is not allowed"),
            ("EXEC", "[]"),
            ("FLUSHALL", "OK"),
        ] {
            assert_eq!(ask(&mut one, line), reply, "{line}");
        }
    }
    increments_by_watching_add_up(&host);
}

/// Clients that read, and write what they have computed only where nobody else wrote, lose no increment.
fn increments_by_watching_add_up(host: &Host) {
    const CLIENTS: usize = 4;
    const TIMES: usize = 25;
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                let mut client = host.client();
                let mut done = 0;
                while done < TIMES {
                    assert_eq!(ask(&mut client, "WATCH sum"), "OK");
                    let sum = client
                        .get(b"sum")
                        .unwrap()
                        .map_or(0, |text| String::from_utf8(text).unwrap().parse::<usize>().unwrap());
                    assert_eq!(ask(&mut client, "MULTI"), "OK");
                    assert_eq!(ask(&mut client, &format!("SET sum {}", sum + 1)), "QUEUED");
                    done += usize::from(ask(&mut client, "EXEC") != "nil");
                }
            });
        }
    });
    assert_eq!(ask(&mut host.client(), "GET sum"), format!("\"{}\"", CLIENTS * TIMES));
}

/// A transaction with FLUSHALL, DBSIZE or KEYS in it has the engine to itself.
fn about_the_whole_keyspace(engine: Engine) {
    let host = Host::start_with(engine, &Options::args(&["--workers", "2"]));
    let mut client = host.client();
    expect(
        &mut client,
        &[
            ("SET before 1", "OK"),
            ("MULTI", "OK"),
            ("SET a 1", "QUEUED"),
            ("DBSIZE", "QUEUED"),
            ("INCR a", "QUEUED"),
            ("INCR before", "QUEUED"),
            ("FLUSHALL", "QUEUED"),
            ("DBSIZE", "QUEUED"),
            ("GET a", "QUEUED"),
            ("PING", "QUEUED"),
            ("SET after x", "QUEUED"),
            ("INCR after", "QUEUED"),
            ("KEYS *", "QUEUED"),
            ("SCAN 0 COUNT 100", "QUEUED"),
            (
                "EXEC",
                "[OK 2 2 2 OK 0 nil PONG OK !ERR value is not an integer or out of range [\"after\"] [\"0\" [\"after\"]]]",
            ),
            ("WATCH after", "OK"),
            ("SET after y", "OK"),
            ("MULTI", "OK"),
            ("FLUSHALL", "QUEUED"),
            ("EXEC", "nil"),
            ("WATCH after", "OK"),
            ("MULTI", "OK"),
            ("FLUSHALL", "QUEUED"),
            ("EXEC", "[OK]"),
            ("DBSIZE", "0"),
            ("MULTI", "OK"),
            ("KEYS a b", "!ERR wrong number of arguments for 'keys' command"),
            ("EXEC", "!EXECABORT Transaction discarded because of previous errors."),
        ],
    );
    nobody_sees_it_half_done(&host, engine);
}

/// Others read, count and write, and the engine is swapped meanwhile: there are always both keys of the pair, and both the same.
fn nobody_sees_it_half_done(host: &Host, engine: Engine) {
    const ROUNDS: usize = 40;
    let over = AtomicBool::new(false);
    let mut writer = host.client();
    expect(&mut writer, &[("MSET one 0 two 0", "OK")]);
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let mut client = host.client();
                    while !over.load(Ordering::Relaxed) {
                        let pair = ask(&mut client, "MGET one two");
                        let (one, two) = pair.trim_matches(['[', ']']).split_once(' ').unwrap();
                        assert_eq!(one, two);
                        assert!(one != "nil", "the keyspace was seen empty");
                        assert_eq!(ask(&mut client, "DBSIZE"), "2");
                        // A write that changes nothing, and has to be held back like any.
                        client.append(b"one", b"").unwrap();
                    }
                })
            })
            .collect();
        let swapper = scope.spawn(|| {
            let mut client = host.client();
            let library = engine.library(host.dir());
            let mut reload = || match client.call(&["ENGINE", "RELOAD", library.to_str().unwrap()]) {
                // It may be so: then it is asked for again.
                Err(Error::Reply(error)) if error.message.contains("clients write faster") => None,
                reply => Some(fields(reply.unwrap())),
            };
            for _ in 0..2 {
                assert!(!wait_for("a reload that catches up", &mut reload).is_empty());
            }
        });
        let mut round = 0;
        while round < ROUNDS || !swapper.is_finished() {
            round += 1;
            for line in ["MULTI", "FLUSHALL", &format!("MSET one {round} two {round}"), "DBSIZE"] {
                assert!(!ask(&mut writer, line).starts_with('!'), "{line}");
            }
            assert_eq!(ask(&mut writer, "EXEC"), "[OK OK 2]");
            if readers.iter().any(|reader| reader.is_finished()) {
                break;
            }
        }
        over.store(true, Ordering::Relaxed);
        swapper.join().unwrap();
    });
}
