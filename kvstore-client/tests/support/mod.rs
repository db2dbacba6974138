//! A small server for tests: answers the everyday commands on TCP or a Unix socket, and misbehaves where a test says so.

#![allow(dead_code, reason = "each test file uses its own part of it")]

mod glob;
mod store;

use kvstore_client::{Decoder, Value};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use store::Session;
pub(crate) use store::Store;

pub(crate) type Words = Vec<Vec<u8>>;

/// What the server does with a request.
pub(crate) enum Action {
    /// What a good server does.
    Answer,
    /// Sends these bytes instead of carrying the request out.
    Say(&'static str),
    /// Hangs up without carrying it out.
    HangUp,
    /// Carries it out and hangs up without an answer.
    CarryOutAndHangUp,
    /// Answers and hangs up.
    AnswerAndHangUp,
    /// Never answers.
    Ignore,
}

type Behaviour = dyn Fn(&[Vec<u8>]) -> Action + Send + Sync;

/// A server that runs for as long as the test process.
pub(crate) struct Server {
    pub(crate) port: u16,
    pub(crate) store: Arc<Mutex<Store>>,
    /// All requests in the order of their arrival, without `HELLO`.
    pub(crate) requests: Arc<Mutex<Vec<Words>>>,
    /// Connections that the server has closed by itself.
    hang_ups: Arc<AtomicUsize>,
}

trait Stream: Read + Write + Send {}
impl<S: Read + Write + Send> Stream for S {}

impl Server {
    pub(crate) fn start() -> Self {
        Self::start_with(|_| Action::Answer)
    }

    /// Starts a server that asks `behaviour` what to do with each request.
    pub(crate) fn start_with(behaviour: impl Fn(&[Vec<u8>]) -> Action + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = Self { port, store: Arc::default(), requests: Arc::default(), hang_ups: Arc::default() };
        let accept = move || listener.accept().ok().map(|(stream, _)| Box::new(stream) as Box<dyn Stream>);
        server.serve(accept, Arc::new(behaviour));
        server
    }

    pub(crate) fn start_unix(path: &Path) -> Self {
        let listener = UnixListener::bind(path).unwrap();
        let server =
            Self { port: 0, store: Arc::default(), requests: Arc::default(), hang_ups: Arc::default() };
        let accept = move || listener.accept().ok().map(|(stream, _)| Box::new(stream) as Box<dyn Stream>);
        server.serve(accept, Arc::new(|_: &[Vec<u8>]| Action::Answer));
        server
    }

    pub(crate) fn address(&self) -> kvstore_client::Address {
        kvstore_client::Address::tcp("127.0.0.1", self.port)
    }

    /// The requests so far, as texts.
    pub(crate) fn requests(&self) -> Vec<String> {
        let requests = self.requests.lock().unwrap();
        requests.iter().map(|words| String::from_utf8_lossy(&words.join(&b' ')).into_owned()).collect()
    }

    /// Waits until the server has closed a connection by itself.
    pub(crate) fn wait_for_hang_up(&self) {
        while self.hang_ups.load(Ordering::Acquire) == 0 {
            thread::yield_now();
        }
    }

    fn serve(
        &self,
        accept: impl Fn() -> Option<Box<dyn Stream>> + Send + 'static,
        behaviour: Arc<Behaviour>,
    ) {
        let (store, requests) = (Arc::clone(&self.store), Arc::clone(&self.requests));
        let hang_ups = Arc::clone(&self.hang_ups);
        thread::spawn(move || {
            while let Some(stream) = accept() {
                let (store, requests) = (Arc::clone(&store), Arc::clone(&requests));
                let (behaviour, hang_ups) = (Arc::clone(&behaviour), Arc::clone(&hang_ups));
                thread::spawn(move || {
                    connection(stream, &store, &requests, &*behaviour);
                    hang_ups.fetch_add(1, Ordering::Release);
                });
            }
        });
    }
}

/// Whether the first word of a request is `name`.
pub(crate) fn is(words: &[Vec<u8>], name: &str) -> bool {
    words.first().is_some_and(|word| word.eq_ignore_ascii_case(name.as_bytes()))
}

/// Reads, answers, and reads on only when the answers are written: so a client that does not read while it writes gets stuck.
fn connection(
    mut stream: Box<dyn Stream>,
    store: &Mutex<Store>,
    requests: &Mutex<Vec<Words>>,
    behaviour: &Behaviour,
) {
    let mut session = Session::default();
    let mut decoder = Decoder::default();
    let mut inline = Vec::new();
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(len @ 1..) = stream.read(&mut buffer) {
        let mut batch = Vec::new();
        if inline.is_empty() && (buffer[0] == b'*' || !decoder.is_between_values()) {
            decoder.feed(&buffer[..len]);
            while let Ok(Some(value)) = decoder.next_value() {
                let words = value.into_elements().unwrap();
                batch.push(words.into_iter().map(|word| word.into_bytes().unwrap()).collect::<Words>());
            }
        } else {
            inline.extend_from_slice(&buffer[..len]);
            while let Some(end) = inline.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = inline.drain(..=end).collect();
                batch.push(store::inline_words(&line));
            }
        }
        let mut answers = Vec::new();
        let mut hang_up = false;
        for words in batch {
            let action = behaviour(&words);
            if !is(&words, "HELLO") {
                requests.lock().unwrap().push(words.clone());
            }
            let answer = |session: &mut Session| {
                let mut bytes = Vec::new();
                session.answer(&words, &mut store.lock().unwrap(), &mut bytes);
                bytes
            };
            match action {
                Action::Answer => answers.extend(answer(&mut session)),
                Action::Say(text) => answers.extend_from_slice(text.as_bytes()),
                Action::Ignore => {}
                Action::AnswerAndHangUp => {
                    answers.extend(answer(&mut session));
                    hang_up = true;
                }
                Action::CarryOutAndHangUp => {
                    answer(&mut session);
                    hang_up = true;
                }
                Action::HangUp => hang_up = true,
            }
            if hang_up {
                break;
            }
        }
        if stream.write_all(&answers).is_err() || hang_up {
            return;
        }
    }
}

/// The text of a value that must be a string.
pub(crate) fn text(value: Value) -> String {
    String::from_utf8(value.into_bytes().unwrap()).unwrap()
}
