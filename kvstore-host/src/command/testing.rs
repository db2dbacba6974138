//! Testing: commands run on a small map in memory, one line in, one line out.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard};

use plugin_abi::calls::CallError;
use plugin_abi::raw::*;
use plugin_abi::sdk::{Decision, Entry, Op};
use plugin_abi::{Identity, Status};

use super::pipeline::plan_checked;
use super::{Context, Error, Handler, Session, table};
use crate::plugin::{Keyspace, Outcomes, Source, Storage, Work};
use crate::protocol::{Encoder, Limits, Parsed, Parser, Protocol, Requests};
use crate::pubsub::{Classes, Kind, Mailbox, Subscriber};
use crate::server::{ClientInfo, Server};

/// Value and expiry.
type Stored = (Vec<u8>, i64);

/// A server with one client and an engine that is a map.
pub(super) struct Rig {
    pub(super) server: Server,
    pub(super) session: Session,
    pub(super) map: Map,
}

/// The engine.
pub(super) struct Map {
    pub(super) generation: u64,
    pub(super) identity: Identity,
    pub(super) entries: Mutex<BTreeMap<Vec<u8>, Stored>>,
    /// Keys that one step of a scan gives at most.
    pub(super) scan_len_max: usize,
    /// What each operation and call fails with, if it is to.
    pub(super) failure: Option<Status>,
}

impl Rig {
    pub(super) fn new() -> Self {
        let server = Server::default();
        let now_ms = server.clock.now_ms();
        let client = ClientInfo {
            addr: "127.0.0.1:5000".to_owned(),
            laddr: "127.0.0.1:8080".to_owned(),
            resp: 2,
            multi: -1,
            since_ms: now_ms,
            active_ms: now_ms,
            ..ClientInfo::default()
        };
        let id = server.clients.add(client);
        let identity = Identity {
            name: "map".to_owned(),
            version: "1.2.3".to_owned(),
            capabilities: KV_CAP_EXPIRY | KV_CAP_THREAD_SAFE,
            key_len_max: u64::MAX,
            value_len_max: u64::MAX,
            batch_len_max: u64::MAX,
            state_format: String::new(),
            state_version: 0,
            state_version_min: 0,
        };
        let map = Map {
            generation: 1,
            identity,
            entries: Mutex::default(),
            scan_len_max: usize::MAX,
            failure: None,
        };
        let session = Session { id, tally: server.tallies.add(), ..Session::default() };
        Self { server, session, map }
    }

    /// The reply to one inline request, line ends as spaces.
    pub(super) fn run(&mut self, line: &str) -> String {
        let mut source = Source { buffer: format!("{line}\r\n").into_bytes(), requests: Requests::new() };
        let parsed = Parser::new().parse(&source.buffer, 0, &Limits::default(), &mut source.requests);
        assert!(matches!(parsed, Ok(Parsed::Request { .. })), "{line:?}: {parsed:?}");
        self.reply(source.into())
    }

    /// The same for arguments of any bytes.
    pub(super) fn run_args(&mut self, args: &[&[u8]]) -> String {
        let mut storage = Storage::default();
        storage.requests.push(args.iter().copied());
        self.reply(storage)
    }

    fn reply(&mut self, storage: Storage) -> String {
        let mut out = Vec::new();
        let context = Context::new(&self.server, &self.map.identity);
        let (server, session, map) = (&self.server, &mut self.session, &self.map);
        let request = storage.requests.get(0, &storage.buffer).unwrap();
        if let Ok(spec) = table::resolve(request)
            && let (Handler::Listen(run), Ok(())) = (spec.handler, spec.check_arity(request))
        {
            run(session, server, request, &mut Encoder::new(&mut out, session.protocol));
            return shown(&out);
        }
        let (mut work, answer) = Work::plan(storage, |plan, storage| {
            plan.tell_new(server.pubsub.classes.tells_new());
            let request = storage.requests.get(0, &storage.buffer).unwrap();
            let spec = table::resolve(request)?;
            spec.check_arity(request)?;
            session.tally.open().add_calls(spec.number.get(), 1, 1_000, true);
            match spec.handler {
                Handler::Data(planner) => {
                    plan_checked(plan, request, planner, &context).map(|(_, reply)| Ok(reply))
                }
                Handler::Session(answer) => answer(session, server, request).map(Err),
                Handler::Keyspace { parse, .. } => parse(request).map(|task| Err(task.run(map, server))),
                Handler::Transaction | Handler::Engine | Handler::Container | Handler::Listen(_) => {
                    panic!("{} is the pipeline's", spec.name)
                }
            }
        });
        let protocol = self.session.protocol;
        let mut encoder = Encoder::new(&mut out, protocol);
        match answer {
            Ok(Ok(reply)) => {
                let outcomes = map.carry_out(&mut work, context.now_ms);
                let answers = outcomes.part(0, work.ops().len());
                work.tell(0..work.ops().len(), &outcomes, &mut |event, key| server.pubsub.tell(event, key));
                match answers.failure() {
                    Some(failed) => crate::protocol::Value::from(Error::from(failed)).write(&mut encoder),
                    None => reply.write(answers, &mut encoder),
                }
            }
            Ok(Err(value)) => value.write(&mut encoder),
            Err(error) => crate::protocol::Value::from(error).write(&mut encoder),
        }
        shown(&out)
    }

    /// What keyspace notifications tell while a request is carried out, as `event=key`.
    pub(super) fn events(&mut self, line: &str) -> String {
        let mut listener = Subscriber::new(Mailbox::default());
        self.server.pubsub.classes.set(Classes::parse(b"EAmn").unwrap());
        self.server.pubsub.subscribe(&mut listener, Kind::Pattern, b"__keyevent@0__:*");
        self.run(line);
        let mut out = Vec::new();
        listener.deliver(usize::MAX, &mut Encoder::new(&mut out, Protocol::Resp2));
        self.server.pubsub.leave(&mut listener);
        self.server.pubsub.classes.set(0);
        let text = shown(&out);
        let event = |message: &str| {
            let words: Vec<&str> = message.split(' ').collect();
            format!("{}={}", words[5].trim_start_matches("__keyevent@0__:"), words[7])
        };
        text.split("*4 ").skip(1).map(event).collect::<Vec<_>>().join(" ")
    }

    /// Runs requests and compares what is told of each.
    #[track_caller]
    pub(super) fn expect_events(&mut self, script: &[(&str, &str)]) {
        for (line, expected) in script {
            assert_eq!(self.events(line), *expected, "{line}");
        }
    }

    /// Runs requests one after the other and compares each reply.
    #[track_caller]
    pub(super) fn expect(&mut self, script: &[(&str, &str)]) {
        for (line, expected) in script {
            assert_eq!(self.run(line), *expected, "{line}");
        }
    }
}

/// Bytes of a reply with its line ends as spaces.
fn shown(out: &[u8]) -> String {
    String::from_utf8_lossy(out).replace("\r\n", " ").trim_end().to_owned()
}

/// Runs requests on an empty server and compares each reply.
#[track_caller]
pub(super) fn expect(script: &[(&str, &str)]) {
    Rig::new().expect(script);
}

impl Map {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Vec<u8>, Stored>> {
        self.entries.lock().unwrap()
    }

    fn check(&self) -> Result<(), CallError> {
        match self.failure {
            None => Ok(()),
            Some(status) => Err(CallError { status, text: String::new() }),
        }
    }

    fn carry_out(&self, work: &mut Work, now_ms: i64) -> Outcomes {
        let mut outcomes = Outcomes::unknown(work.ops().len());
        let mut entries = self.lock();
        entries.retain(|_, (_, expiry_ms)| *expiry_ms == 0 || *expiry_ms > now_ms);
        for (index, raw) in work.ops().iter().enumerate() {
            if let Some(status) = self.failure {
                outcomes.set_status(index, status, "");
                continue;
            }
            // SAFETY: the work owns what its operations point to.
            let op = unsafe { Op::new(raw) };
            op.check(self.identity.capabilities).unwrap();
            match op.kind() {
                KV_OP_GET => match entries.get(op.key()) {
                    Some((value, expiry_ms)) => {
                        let shown = (!op.no_value()).then_some(&value[..]);
                        outcomes.set_entry(index, shown, value.len(), *expiry_ms, 0);
                    }
                    None => outcomes.set_status(index, Status::NOT_FOUND, ""),
                },
                KV_OP_SET => {
                    let Entry { value, expiry_ms, .. } = op.entry();
                    entries.insert(op.key().to_vec(), (value.to_vec(), expiry_ms));
                    outcomes.set_status(index, Status::OK, "");
                }
                KV_OP_DELETE => {
                    let status =
                        if entries.remove(op.key()).is_some() { Status::OK } else { Status::NOT_FOUND };
                    outcomes.set_status(index, status, "");
                }
                _ => {
                    let current = entries.get(op.key()).cloned();
                    let shown = current.as_ref().map(|(value, expiry_ms)| Entry {
                        key: op.key(),
                        value,
                        expiry_ms: *expiry_ms,
                        ..Entry::default()
                    });
                    // Twice: an update must not mind.
                    op.decide(shown.as_ref()).unwrap();
                    let decision = op.decide(shown.as_ref()).unwrap();
                    apply(&mut entries, op.key(), decision);
                    outcomes.set_status(index, Status::OK, "");
                }
            }
        }
        work.take_replies().for_each(|(index, reply)| outcomes.set_reply(index, reply));
        outcomes
    }
}

fn apply(entries: &mut BTreeMap<Vec<u8>, Stored>, key: &[u8], decision: Decision<'_>) {
    match decision {
        Decision::Keep => {}
        Decision::Remove => drop(entries.remove(key)),
        Decision::Replace(Entry { value, expiry_ms, .. }) => {
            entries.insert(key.to_vec(), (value.to_vec(), expiry_ms));
        }
        Decision::SetExpiry(at_ms) => entries.get_mut(key).unwrap().1 = at_ms,
        Decision::Patch { offset, bytes, new_len, .. } => {
            let (value, _) = entries.entry(key.to_vec()).or_default();
            value.resize(new_len, 0);
            value[offset..offset + bytes.len()].copy_from_slice(bytes);
        }
    }
}

impl Keyspace for Map {
    fn generation(&self) -> u64 {
        self.generation
    }

    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn symbols(&self) -> Vec<&'static str> {
        vec!["kv_scan", "kv_stats"]
    }

    /// The cursor is the last key given, and a byte, so that it is never empty before the end.
    fn scan(&self, cursor: &mut Vec<u8>, count: u32, sink: &mut dyn FnMut(&[u8])) -> Result<(), CallError> {
        self.check()?;
        let start = match cursor.split_first() {
            None => Bound::Unbounded,
            Some((_, last)) => Bound::Excluded(last.to_vec()),
        };
        let entries = self.lock();
        let mut rest = entries.range((start, Bound::Unbounded));
        cursor.clear();
        for (key, _) in rest.by_ref().take(self.scan_len_max.min(count as usize)) {
            sink(key);
            *cursor = [b"@", &key[..]].concat();
        }
        if rest.next().is_none() {
            cursor.clear();
        }
        Ok(())
    }

    fn random(&self) -> Result<Option<Vec<u8>>, CallError> {
        self.check().map(|()| self.lock().keys().next().cloned())
    }

    fn count(&self) -> Result<u64, CallError> {
        self.check().map(|()| self.lock().len() as u64)
    }

    fn sync(&self) -> Result<(), CallError> {
        self.check()
    }

    fn clear(&self) -> Result<(), CallError> {
        self.check().map(|()| self.lock().clear())
    }

    fn stats(&self) -> Result<Vec<(String, String)>, CallError> {
        self.check()?;
        let expiring = self.lock().values().filter(|(_, expiry_ms)| *expiry_ms != 0).count();
        Ok(vec![
            ("keys_with_expiry".to_owned(), expiring.to_string()),
            ("odd name:\r\n".to_owned(), "a\r\nb".to_owned()),
        ])
    }
}
