//! Play: carries a script out on our host and on Redis, and compares each reply, and in the end all that they hold.

#![allow(clippy::expect_used, reason = "a test's helper stops at the first surprise")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use kvstore_client::Address;

use super::clock::Clock;
use super::generate::{CONNECTIONS, Request, START_MS, Step, VALUE_LEN_MAX};
use super::judge::Judge;
use super::pair::Pair;
use super::reply::Reply;
use super::server::{Redis, Wire};
use crate::engines::Engine;
use crate::host::{Host, Options};

/// The first difference that a script showed.
#[derive(Clone, Debug)]
pub struct Difference {
    /// The place of the step at which it showed.
    pub step: usize,
    /// What was asked.
    pub asked: String,
    /// What our host answered.
    pub ours: String,
    /// What Redis answered.
    pub theirs: String,
}

/// Both servers, and the clock that they share.
#[derive(Debug)]
pub struct Servers {
    clock: Clock,
    redis: Redis,
    host: Host,
    socket: PathBuf,
    /// The commands that only Redis has: they are not sent.
    only_theirs: BTreeSet<String>,
    /// Who knows the differences that are meant.
    pub judge: Judge,
}

impl Servers {
    /// Starts our host on this engine, and Redis.
    ///
    /// # Panics
    /// One of them does not start.
    pub fn start(engine: Engine) -> Self {
        let dir = Arc::new(tempfile::tempdir().expect("a temporary directory"));
        let clock = Clock::new(dir.path());
        clock.set_ms(START_MS);
        let redis = Redis::start(dir.path(), &clock);
        let socket = dir.path().join("host.sock");
        let options = Options::args(&["--value-len-max", &VALUE_LEN_MAX.to_string(), "--workers", "2"]);
        let options = Options { env: clock.env(), ..options };
        let host = Host::start_library(&dir, &engine.library(dir.path()), &options);
        assert!(matches!(host.unix(), Address::Unix { .. }));
        let (ours, theirs) = (commands(&mut Wire::connect(&socket)), commands(&mut redis.connect()));
        let only_theirs = theirs.difference(&ours).cloned().collect();
        Self { clock, redis, host, socket, only_theirs, judge: Judge::new(engine) }
    }

    /// What our host has logged.
    pub fn log(&self) -> String {
        self.host.log.text()
    }

    /// A bare connection to our host.
    pub fn connect_ours(&self) -> Wire {
        Wire::connect(&self.socket)
    }

    /// A bare connection to Redis.
    pub fn connect_theirs(&self) -> Wire {
        self.redis.connect()
    }

    fn pair(&self) -> Pair {
        Pair::new(self.connect_ours(), self.connect_theirs())
    }

    fn is_only_theirs(&self, request: &Request) -> bool {
        // The name stands first; for COMMAND GETKEYS, third.
        let names = [request.first(), request.get(2)].into_iter().flatten();
        names
            .into_iter()
            .any(|name| self.only_theirs.contains(&String::from_utf8_lossy(name).to_ascii_lowercase()))
    }

    /// Lets time pass. Both servers remove what has expired when somebody looks, and count it until then: here somebody looks.
    fn move_clock(&mut self, now_ms: &mut i64, admin: &mut Pair) {
        let keys = keys(&mut admin.theirs);
        let expiries = admin.theirs.ask_of_each(b"PEXPIRETIME", &keys);
        let expires_at = |now_ms| expiries.iter().any(|expiry| expiry.number() == Some(now_ms));
        while expires_at(*now_ms) && self.judge.moves_on() {
            *now_ms += 1;
        }
        self.clock.set_ms(*now_ms);
        for wire in [&mut admin.ours, &mut admin.theirs] {
            wire.ask_of_each(b"EXISTS", &keys);
        }
    }

    /// Plays a script from the beginning: both empty, the clock at its start.
    ///
    /// # Errors
    /// The first difference that is not on the list.
    pub fn play(&mut self, script: &[Step]) -> Result<(), Difference> {
        self.clock.set_ms(START_MS);
        let (mut now_ms, mut admin) = (START_MS, self.pair());
        for wire in [&mut admin.ours, &mut admin.theirs] {
            assert!(wire.ask(&[b"FLUSHALL"]).is_status("OK"));
        }
        let mut pairs: Vec<Pair> = (0..CONNECTIONS).map(|_| self.pair()).collect();
        let mut at = 0;
        while let Some(step) = script.get(at) {
            match step {
                Step::Clock(step_ms) => {
                    now_ms += step_ms;
                    self.move_clock(&mut now_ms, &mut admin);
                    at += 1;
                }
                Step::Send { request, .. } if self.is_only_theirs(request) => at += 1,
                Step::Send { connection, .. } => {
                    let pair = &mut pairs[*connection];
                    let known = script[at..].iter().take_while(
                        |step| !matches!(step, Step::Send { request, .. } if self.is_only_theirs(request)),
                    );
                    let len = pair.joined(&script[at..at + known.count()]);
                    pair.send(&mut self.judge, &mut admin.theirs, &script[at..at + len], at)?;
                    if pair.ours.closed {
                        *pair = self.pair();
                    }
                    at += len;
                }
            }
        }
        // What is still watched or queued on these connections does not touch the next script.
        drop(pairs);
        let (ours, theirs) = (state(&mut admin.ours), state(&mut admin.theirs));
        let mut keys = theirs.keys().chain(ours.keys());
        match keys.find(|key| ours.get(*key) != theirs.get(*key)) {
            None => Ok(()),
            Some(key) => {
                let shown = |[kind, expiry, value]: &[Reply; 3]| format!("{kind}, expiry {expiry}, {value}");
                let held = |state: &State| state.get(key).map_or_else(|| "nothing".to_owned(), shown);
                let asked = format!("what is held in the end at {}", key.escape_ascii());
                Err(Difference { step: script.len(), asked, ours: held(&ours), theirs: held(&theirs) })
            }
        }
    }
}

/// What a server holds: by key, its type, when it expires, and its value.
type State = BTreeMap<Vec<u8>, [Reply; 3]>;

fn state(wire: &mut Wire) -> State {
    let keys = keys(wire);
    let [kinds, expiries, values] =
        [b"TYPE".as_slice(), b"PEXPIRETIME", b"GET"].map(|name| wire.ask_of_each(name, &keys));
    let held = kinds.into_iter().zip(expiries).zip(values);
    keys.into_iter().zip(held.map(|((kind, expiry), value)| [kind, expiry, value])).collect()
}

fn keys(wire: &mut Wire) -> Vec<Vec<u8>> {
    let keys = wire.ask(&[b"KEYS", b"*"]);
    keys.children().unwrap_or_default().iter().filter_map(Reply::text).map(<[u8]>::to_vec).collect()
}

/// The commands that a server has, without subcommands.
pub fn commands(wire: &mut Wire) -> BTreeSet<String> {
    let names = wire.ask(&[b"COMMAND", b"LIST"]);
    let names = names.children().unwrap_or_default().iter().filter_map(Reply::text);
    names.map(|name| String::from_utf8_lossy(name).into_owned()).collect()
}
