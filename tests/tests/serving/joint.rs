//! Joint: single requests of many clients are carried out together, and each is answered as if it were alone.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use kvstore_host::embedded::{Embedded, load};
use kvstore_host::server::Server;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tests::binaries;

/// Clients that ask at the same time.
const CLIENTS: usize = 40;
/// Works of this many are carried out together at most.
const JOINT_MAX: u64 = kvstore_host::plugin::live::JOINT_MAX as u64;

struct Rig {
    host: Embedded,
    clients: Vec<UnixStream>,
}

impl Rig {
    fn start(library: &Path, options: &[(&str, &str)]) -> Self {
        // SAFETY: an engine of this workspace.
        let mut candidate = unsafe { load(library) }.unwrap();
        candidate.options =
            options.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let mut host = Embedded::start(candidate, Server::default()).unwrap();
        let connect = |host: &mut Embedded| {
            let stream = host.connect().unwrap();
            stream.set_nonblocking(true).unwrap();
            stream
        };
        let clients = (0..CLIENTS).map(|_| connect(&mut host)).collect();
        host.settle();
        let mut rig = Self { host, clients };
        // So many batches tell that the engine completes them at once.
        for _ in 0..64 {
            assert_eq!(rig.ask(&[(0, "SET warm up".to_owned())]), ["+OK\r\n"]);
        }
        rig
    }

    /// Sends a request of each of these clients, and lets the host serve all of them in one round. Answers the replies.
    fn ask(&mut self, requests: &[(usize, String)]) -> Vec<String> {
        for (client, request) in requests {
            let args: Vec<String> = request.split(' ').map(bulk).collect();
            let bytes = format!("*{}\r\n{}", args.len(), args.concat());
            let mut unsent = bytes.as_bytes();
            while !unsent.is_empty() {
                match self.clients[*client].write(unsent) {
                    Ok(sent) => unsent = &unsent[sent..],
                    Err(error) => {
                        assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}");
                        self.host.settle();
                    }
                }
            }
        }
        let mut replies = vec![Vec::new(); requests.len()];
        while !replies.iter().all(|reply| is_whole(reply)) {
            self.host.settle();
            for ((client, _), reply) in requests.iter().zip(&mut replies) {
                match self.clients[*client].read_to_end(reply) {
                    Ok(_) => unreachable!("the host closes no connection"),
                    Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}"),
                }
            }
        }
        replies.into_iter().map(|reply| String::from_utf8(reply).unwrap()).collect()
    }

    /// The same with the request that each client has.
    fn ask_all(&mut self, request: impl Fn(usize) -> String) -> Vec<String> {
        self.ask(&(0..CLIENTS).map(|client| (client, request(client))).collect::<Vec<_>>())
    }

    /// How often the plugin boundary is crossed meanwhile.
    fn crossings(&mut self, run: impl FnOnce(&mut Self)) -> u64 {
        let before = self.host.server().stats.batches.get();
        run(self);
        self.host.server().stats.batches.get() - before
    }

    /// Sends bytes of each of these clients, and lets the host serve all of them in one round, until each has been sent what it expects.
    fn exchange(&mut self, each: &[(usize, String, String)]) {
        for (client, bytes, _) in each {
            self.clients[*client].write_all(bytes.as_bytes()).unwrap();
        }
        let mut received = vec![Vec::new(); each.len()];
        while each.iter().zip(&received).any(|((.., expected), received)| received.len() < expected.len()) {
            self.host.settle();
            for ((client, ..), received) in each.iter().zip(&mut received) {
                let error = self.clients[*client].read_to_end(received).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}");
            }
        }
        for ((client, bytes, expected), received) in each.iter().zip(&received) {
            assert!(received == expected.as_bytes(), "client {client}: {bytes}");
        }
    }
}

/// Whether this is a whole reply, which is no array.
fn is_whole(reply: &[u8]) -> bool {
    let text = String::from_utf8_lossy(reply);
    match text.split_once("\r\n") {
        Some((head, rest)) if head.starts_with('$') => {
            head[1..].parse().is_ok_and(|len: isize| len < 0 || rest.len() as isize == len + 2)
        }
        Some(_) => true,
        None => false,
    }
}

fn bulk(text: &str) -> String {
    format!("${}\r\n{text}\r\n", text.len())
}

/// A random request of a client on its own key, and its reply by the model.
fn random(rng: &mut StdRng, client: usize, model: &mut BTreeMap<usize, String>) -> (String, String) {
    let null = || "$-1\r\n".to_owned();
    let had = model.get(&client).cloned();
    let key = format!("key:{client}");
    match rng.random_range(0..7) {
        0 => (format!("GET {key}"), had.map_or_else(null, |value| bulk(&value))),
        1 => {
            let value = "v".repeat(rng.random_range(1..300));
            model.insert(client, value.clone());
            (format!("SET {key} {value}"), "+OK\r\n".to_owned())
        }
        2 => {
            model.remove(&client);
            (format!("DEL {key}"), format!(":{}\r\n", usize::from(had.is_some())))
        }
        3 => {
            let value = had.unwrap_or_default() + "more";
            model.insert(client, value.clone());
            (format!("APPEND {key} more"), format!(":{}\r\n", value.len()))
        }
        4 => (format!("STRLEN {key}"), format!(":{}\r\n", had.unwrap_or_default().len())),
        5 => {
            model.entry(client).or_insert_with(|| "new".to_owned());
            (format!("SETNX {key} new"), format!(":{}\r\n", usize::from(had.is_none())))
        }
        _ => {
            model.remove(&client);
            (format!("GETDEL {key}"), had.map_or_else(null, |value| bulk(&value)))
        }
    }
}

fn agrees_with_the_model(rig: &mut Rig, rounds: u64) {
    let mut rng = StdRng::seed_from_u64(7);
    let mut model = BTreeMap::new();
    for round in 0..rounds {
        let each: Vec<_> = (0..CLIENTS).map(|client| random(&mut rng, client, &mut model)).collect();
        let replies = rig.ask_all(|client| each[client].0.clone());
        for (client, ((request, expected), reply)) in each.iter().zip(&replies).enumerate() {
            assert_eq!(reply, expected, "{request} of client {client} in round {round}");
        }
        // All on one key: each gets a number of its own.
        let mut numbers: Vec<u64> = rig
            .ask_all(|_| "INCR counter".to_owned())
            .iter()
            .map(|reply| reply[1..].trim_end().parse().unwrap())
            .collect();
        numbers.sort_unstable();
        let first = round * CLIENTS as u64 + 1;
        assert!(numbers.into_iter().eq(first..first + CLIENTS as u64), "round {round}");
    }
}

#[test]
fn requests_of_many_clients_cross_the_boundary_together() {
    let mut rig = Rig::start(&binaries::memory_engine(), &[]);
    let clients = CLIENTS as u64;
    let crossings = rig.crossings(|rig| {
        assert!(
            rig.ask_all(|client| format!("SET {client} {client}")).iter().all(|reply| reply == "+OK\r\n")
        );
    });
    assert_eq!(crossings, clients.div_ceil(JOINT_MAX));
    let crossings = rig.crossings(|rig| {
        let replies = rig.ask_all(|client| format!("GET {client}"));
        assert!(replies.iter().enumerate().all(|(client, reply)| *reply == bulk(&client.to_string())));
    });
    assert_eq!(crossings, clients.div_ceil(JOINT_MAX));
    let before = rig.host.server().tallies.sum();
    rig.ask_all(|client| if client < 10 { format!("GET {client}") } else { "GET none".to_owned() });
    let counted = rig.host.server().tallies.sum();
    let grown =
        [counted.commands - before.commands, counted.hits - before.hits, counted.misses - before.misses];
    assert_eq!(grown, [clients, 10, clients - 10], "each is counted as if it were alone");
    agrees_with_the_model(&mut rig, 200);
}

#[test]
fn what_has_two_operations_or_waits_for_something_goes_by_itself() {
    let mut rig = Rig::start(&binaries::memory_engine(), &[]);
    let watch = |client: usize| {
        if client.is_multiple_of(2) { "WATCH a".to_owned() } else { "MSET a 1 b 2".to_owned() }
    };
    let crossings = rig.crossings(|rig| {
        assert!(rig.ask_all(watch).iter().all(|reply| reply == "+OK\r\n"));
    });
    assert_eq!(crossings, CLIENTS as u64);
    // Not before those of others that came first, and not behind those that came later.
    let request = |client: usize| match client {
        5 => "MSET a 3 b 4".to_owned(),
        _ => "GET a".to_owned(),
    };
    let crossings = rig.crossings(|rig| {
        let replies = rig.ask_all(request);
        assert!(replies[..5].iter().all(|reply| *reply == bulk("1")), "{replies:?}");
        assert!(replies[6..].iter().all(|reply| *reply == bulk("3")), "{replies:?}");
    });
    assert_eq!(crossings, 1 + 1 + 34_u64.div_ceil(JOINT_MAX));
}

#[test]
fn one_that_fails_fails_alone() {
    // Behind the 64 of the warm up.
    let options = [("prompt", "1000"), ("fail_at", "74"), ("error", "UNAVAILABLE")];
    let mut rig = Rig::start(&binaries::delayed_engine(), &options);
    let replies = rig.ask_all(|client| format!("SET k{client} v"));
    let refused: Vec<_> = replies.iter().filter(|reply| *reply != "+OK\r\n").collect();
    assert!(refused.len() == 1 && refused[0].starts_with("-UNAVAILABLE"), "{replies:?}");
    let stored = rig.ask_all(|client| format!("GET k{client}"));
    let lost = stored.iter().zip(&replies).filter(|(stored, _)| **stored != bulk("v"));
    assert!(lost.map(|(_, reply)| reply).eq(refused), "{stored:?}");
}

#[test]
fn an_engine_that_begins_to_be_late_keeps_nobody_waiting_for_others() {
    for prompt in [64, 70, 100, 500] {
        let mut rig = Rig::start(&binaries::delayed_engine(), &[("prompt", &prompt.to_string())]);
        agrees_with_the_model(&mut rig, 20);
        let crossings = rig.crossings(|rig| {
            rig.ask_all(|client| format!("GET key:{client}"));
        });
        assert_eq!(crossings, CLIENTS as u64, "each by itself");
    }
}

#[test]
fn what_changes_the_session_behind_a_long_read_happens_once() {
    let mut rig = Rig::start(&binaries::delayed_engine(), &[("prompt", "1000")]);
    let value = "z".repeat(9 << 20);
    rig.ask(&[(0, format!("SET large {value}"))]);
    let transaction = |client: usize| {
        let requests = format!("GET large\r\nMULTI\r\nINCR n{client}\r\nEXEC\r\n");
        (client, requests, bulk(&value) + "+OK\r\n+QUEUED\r\n*1\r\n:1\r\n")
    };
    let silent = |client: usize| {
        let requests = "CLIENT REPLY SKIP\r\nGET large\r\nGET warm\r\n".to_owned();
        (client, requests, bulk("up"))
    };
    let each: Vec<_> = (0..5).map(transaction).chain((5..10).map(silent)).collect();
    rig.exchange(&each);
}

#[test]
fn long_values_that_are_asked_for_together_are_read_a_few_at_a_time() {
    let mut rig = Rig::start(&binaries::delayed_engine(), &[("prompt", "1000")]);
    let value = "z".repeat(9 << 20);
    rig.ask(&[(0, format!("SET large {value}"))]);
    let requests: Vec<_> = (0..5).map(|client| (client, "GET large".to_owned())).collect();
    let before = rig.host.server().stats.operations.get();
    assert!(rig.ask(&requests).iter().all(|reply| *reply == bulk(&value)));
    // All together; there was room for the first, and the others were read again.
    assert_eq!(rig.host.server().stats.operations.get() - before, 5 + 4);
}
