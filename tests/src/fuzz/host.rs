//! Host: any clients' requests are answered, each once and well-formed, and the same however they are cut; nothing grows without bound.
//!
//! The host is the real one but for the check of the engine, its clock and its listeners: see [`kvstore_host::embedded`].

use std::cell::RefCell;
use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::Ordering;

use kvstore_host::embedded::{Embedded, load};
use kvstore_host::plugin::live::Candidate;
use kvstore_host::server::Server;

use super::memory::measure;
use super::pieces::pieces;
use super::script::{CLIENTS, Script};
use super::transcript::Transcript;
use crate::binaries;

/// Where the clock stands.
const NOW_MS: i64 = 1_700_000_000_000;
/// Longest value in bytes: some hundred of them fit into what a host may hold for a client.
const VALUE_LEN_MAX: usize = 16 << 10;
/// What the host may hold at any moment: values of 16 MiB, after which it puts reads off, the same as replies in a buffer that
/// doubles when it grows, and room beside them.
const HELD_MAX_BYTES: usize = 56 << 20;
/// Longer scripts are not sent byte by byte: each byte takes some system calls.
const BYTE_BY_BYTE_MAX: usize = 256;

thread_local! {
    /// The engine, between two runs.
    static ENGINE: RefCell<Option<Candidate>> = const { RefCell::new(None) };
}

/// The engine's library: the one that the environment names, else the memory engine of this workspace.
fn library() -> PathBuf {
    std::env::var_os("KV_FUZZ_ENGINE").map_or_else(binaries::memory_engine, PathBuf::from)
}

fn engine() -> Candidate {
    let kept = ENGINE.with_borrow_mut(Option::take);
    kept.unwrap_or_else(|| {
        // SAFETY: an engine of this workspace.
        unsafe { load(&library()) }.expect("the engine is built and loads")
    })
}

/// Checks an input.
pub fn check(data: &[u8]) {
    let Ok(script) = Script::new(data) else { return };
    let at_once = run(&script, None);
    let len: usize = script.steps.iter().map(|step| step.bytes.len()).sum();
    let in_pieces = run(&script, Some(if len > BYTE_BY_BYTE_MAX { script.cuts.max(1) } else { script.cuts }));
    let all_live = !at_once.iter().any(Transcript::kills);
    for (client, (at_once, in_pieces)) in at_once.iter().zip(&in_pieces).enumerate() {
        at_once.check(client, all_live);
        at_once.compare(in_pieces, client);
    }
}

/// Plays a script on a new host, each step at once or in pieces.
fn run(script: &Script, cuts: Option<u8>) -> Vec<Transcript> {
    let mut host = Embedded::start(engine(), Server::default()).expect("the host starts");
    let server = host.server();
    server.clock.stop_at_ms(NOW_MS);
    server.settings.value_len_max.store(VALUE_LEN_MAX, Ordering::Relaxed);
    let limits = host.limits();
    let (clients, used) = measure(|| {
        let mut clients: Vec<Client> = (0..CLIENTS).map(|_| Client::new(&mut host)).collect();
        for step in &script.steps {
            match cuts {
                None => serve(&mut host, &mut clients, step.client, &step.bytes),
                Some(seed) => pieces(&step.bytes, seed)
                    .for_each(|piece| serve(&mut host, &mut clients, step.client, piece)),
            }
        }
        for client in 0..CLIENTS {
            // Refused when the host has closed it.
            let _ = clients[client].stream.shutdown(Shutdown::Write);
            serve(&mut host, &mut clients, client, b"");
            assert!(clients[client].closed, "client {client} waits in vain for its connection to end");
        }
        clients
    });
    let received: usize = clients.iter().map(|client| client.received.capacity()).sum();
    assert!(used.peak_bytes <= HELD_MAX_BYTES + received, "the host held {} bytes", used.peak_bytes);
    let engine = host.stop().expect("the engine closes");
    ENGINE.set(Some(engine));
    let sent = |client| {
        let steps = script.steps.iter().filter(move |step| step.client == client);
        steps.flat_map(|step| step.bytes.iter().copied()).collect::<Vec<u8>>()
    };
    let all = clients.into_iter().enumerate();
    all.map(|(index, client)| Transcript::new(&sent(index), &client.received, &limits)).collect()
}

/// Sends bytes of one client, and lets the host serve until it has nothing left to do for any.
fn serve(host: &mut Embedded, clients: &mut [Client], client: usize, bytes: &[u8]) {
    let mut unsent = bytes;
    loop {
        let sent = clients[client].send(unsent);
        unsent = &unsent[sent..];
        host.settle();
        let received: usize = clients.iter_mut().map(Client::receive).sum();
        if sent + received == 0 {
            assert!(unsent.is_empty() || clients[client].closed, "client {client} is read from no more");
            return;
        }
    }
}

struct Client {
    stream: UnixStream,
    received: Vec<u8>,
    /// The host has closed the connection.
    closed: bool,
}

impl Client {
    fn new(host: &mut Embedded) -> Self {
        let stream = host.connect().expect("a descriptor is left");
        stream.set_nonblocking(true).expect("a stream can be set so");
        Self { stream, received: Vec::new(), closed: false }
    }

    /// Sends what the socket takes. Answers how much.
    fn send(&mut self, bytes: &[u8]) -> usize {
        if bytes.is_empty() || self.closed {
            return 0;
        }
        match self.stream.write(bytes) {
            Ok(sent) => sent,
            Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
            Err(error) if error.kind() == ErrorKind::BrokenPipe => 0,
            Err(error) => panic!("a client cannot send: {error}"),
        }
    }

    /// Takes what has come. Answers how much.
    fn receive(&mut self) -> usize {
        let mut scratch = [0; 16 << 10];
        let mut total = 0;
        while !self.closed {
            match self.stream.read(&mut scratch) {
                Ok(0) => self.closed = true,
                Ok(read) => {
                    self.received.extend_from_slice(&scratch[..read]);
                    total += read;
                }
                // The host closed it without having read all that was sent.
                Err(error) if error.kind() == ErrorKind::ConnectionReset => self.closed = true,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => panic!("a client cannot receive: {error}"),
            }
        }
        total
    }
}
