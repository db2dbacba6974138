//! Pipeline: whole batches through the host within this program, from parsed requests to encoded replies, without sockets.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use kvstore_host::command::Session;
use kvstore_host::command::pipeline::{Pipeline, Step};
use kvstore_host::embedded::load;
use kvstore_host::plugin::holding::Hold;
use kvstore_host::plugin::live::{Execution, Live};
use kvstore_host::plugin::{Home, Landed, Source, Storage, Taker};
use kvstore_host::protocol::{Limits, Parsed, Parser, Requests};
use kvstore_host::server::Server;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use super::protocol::{KEY_LEN, Kind, Protocol, write_key};

const VALUE_LEN: usize = 32;
/// Different pipelines that a client sends in turn: with 64 requests each, some hundred thousand keys.
const PIPELINES: usize = 4096;

/// A host with the memory engine and all that its workers share, but no worker.
pub struct Host {
    live: Live,
    server: Arc<Server>,
    home: Arc<dyn Home>,
    keys: u64,
}

struct Nobody;

impl Home for Nobody {
    fn landed(&self, _: u64, _: Landed) {
        unreachable!("the memory engine completes before kv_submit returns")
    }
}

impl Host {
    /// Opens an engine of this workspace that completes at once, and sets so many keys.
    ///
    /// # Panics
    /// The engine does not load or open.
    pub fn start(engine: &Path, keys: u64) -> Self {
        let server = Arc::new(Server::default());
        // SAFETY: an engine of this workspace.
        let candidate = unsafe { load(engine) }.expect("the engine loads");
        let live =
            Live::open(candidate, 1, &server, None).map_err(|failed| failed.0).expect("the engine opens");
        let host = Self { live, server, home: Arc::new(Nobody), keys };
        let mut client = Client::bare(&host, Kind::Set);
        let mut number = 0;
        while number < keys {
            let storage = requests(Kind::Set, 64.min((keys - number) as usize), || {
                number += 1;
                number - 1
            });
            client.storages = vec![storage];
            client.serve(&host);
        }
        host
    }
}

/// A client of such a host, with the requests that it sends again and again.
pub struct Client {
    kind: Kind,
    session: Session,
    pipeline: Pipeline,
    storages: Vec<Storage>,
    next: usize,
    replies: Vec<u8>,
}

impl Client {
    /// One that sends pipelines of so many requests for keys that are there.
    pub fn new(host: &Host, kind: Kind, pipeline: usize, seed: u64) -> Self {
        let mut rng = SmallRng::seed_from_u64(seed);
        let mut client = Self::bare(host, kind);
        let storage = |_| requests(kind, pipeline, || rng.random_range(0..host.keys));
        client.storages = (0..PIPELINES).map(storage).collect();
        client
    }

    fn bare(host: &Host, kind: Kind) -> Self {
        let session = Session { tally: host.server.tallies.add(), ..Session::default() };
        let (storages, replies) = (Vec::new(), Vec::new());
        Self { kind, session, pipeline: Pipeline::default(), storages, next: 0, replies }
    }

    /// Has the next pipeline carried out; how many requests were in it.
    ///
    /// # Panics
    /// They are not answered as they have to be.
    pub fn serve(&mut self, host: &Host) -> usize {
        let place = self.next % self.storages.len();
        self.next += 1;
        let storage = std::mem::take(&mut self.storages[place]);
        let count = storage.requests.len();
        self.pipeline.give(storage);
        self.replies.clear();
        while !self.pipeline.is_empty() {
            let Self { pipeline, session, replies, .. } = self;
            match pipeline.step(session, &host.server, &host.live, Hold::No, replies) {
                Step::Work(work, mut pending) => {
                    let mut replier = pending.replier(work.room(), session, &host.server, replies);
                    let taker = replier.as_mut().map(|replier| replier as &mut dyn Taker);
                    let Execution::Done(work, outcomes) = host.live.execute(work, (&host.home, 0), taker)
                    else {
                        panic!("the memory engine completes at once");
                    };
                    let time_ns = pipeline.time_ns(&host.server);
                    pipeline.finish(pending, work, &outcomes, time_ns, session, &host.server, replies);
                }
                Step::Idle => {}
                _ => panic!("GET and SET are work"),
            }
        }
        let reply_len = Protocol::Resp.shape(self.kind, VALUE_LEN).reply_len;
        assert_eq!(self.replies.len(), count * reply_len, "{}", String::from_utf8_lossy(&self.replies));
        self.storages[place] = self.pipeline.reclaim();
        count
    }
}

/// Parsed requests for keys of these numbers.
fn requests(kind: Kind, count: usize, mut number: impl FnMut() -> u64) -> Storage {
    let shape = Protocol::Resp.shape(kind, VALUE_LEN);
    let mut buffer = shape.request.repeat(count);
    for request in buffer.chunks_exact_mut(shape.request.len()) {
        write_key(number(), &mut request[shape.key_at..][..KEY_LEN]);
    }
    let (mut parser, mut requests, limits) = (Parser::new(), Requests::default(), Limits::default());
    let mut start = 0;
    while start < buffer.len() {
        match parser.parse(&buffer, start, &limits, &mut requests) {
            Ok(Parsed::Request { consumed }) => start += consumed,
            other => panic!("{other:?} is no request"),
        }
    }
    Source { buffer, requests }.into()
}

/// Operations per second of so many threads, each with a client of its own, kept busy for this time.
pub fn rate(host: &Host, kind: Kind, threads: usize, time: Duration) -> f64 {
    let stop = AtomicBool::new(false);
    let begin = std::sync::Barrier::new(threads + 1);
    std::thread::scope(|scope| {
        let clients = (0..threads).map(|thread| {
            let (stop, begin) = (&stop, &begin);
            scope.spawn(move || {
                let mut client = Client::new(host, kind, 64, thread as u64);
                begin.wait();
                let (since, mut served) = (Instant::now(), 0);
                while !stop.load(Ordering::Relaxed) {
                    served += client.serve(host);
                }
                served as f64 / since.elapsed().as_secs_f64()
            })
        });
        let clients: Vec<_> = clients.collect();
        begin.wait();
        let since = Instant::now();
        while since.elapsed() < time {
            std::thread::park_timeout(time - since.elapsed());
        }
        stop.store(true, Ordering::Relaxed);
        clients.into_iter().map(|client| client.join().expect("a client")).sum()
    })
}
