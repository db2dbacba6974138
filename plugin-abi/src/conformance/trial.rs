//! Trial: one open instance with the suite's host, and the calls that the tests are written in.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::flight::{Flight, FlightPtr, Plan};
use super::host::{Host, Services};
use super::request::{Answer, Request, shorten};
use super::{Check, Stop, Subject, ensure};
use crate::Status;
use crate::calls::{CallError, Instance, OpenOptions, State};
use crate::identity::CAPABILITY_NAMES;
use crate::raw::*;

/// Which way an operation goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Path {
    /// Each by its own function.
    Calls,
    /// Each in a batch of one.
    Batches,
}

/// How often a passing collision may come in a row.
const RETRIES_MAX: u32 = 100_000;

/// How many steps the scan of a small store may take.
pub(super) const STEPS_MAX: u32 = 100_000;

/// One open instance.
pub(super) struct Trial<'a> {
    pub(super) subject: &'a Subject<'a>,
    pub(super) host: Arc<Host>,
    pub(super) instance: Instance,
    path: Path,
}

impl<'a> Trial<'a> {
    pub(super) fn open(subject: &'a Subject<'a>, path: Path) -> Result<Self, Stop> {
        let host = Host::new();
        let instance =
            open(subject, &host, &[], None).map_err(|error| Stop::Failed(format!("kv_open: {error}")))?;
        Ok(Self { subject, host, instance, path })
    }

    /// Another instance of the same library.
    pub(super) fn another(&self) -> Result<Trial<'a>, Stop> {
        Self::open(self.subject, self.path)
    }

    /// An instance that takes over this state.
    pub(super) fn adopting(&self, state: &State<'_>) -> Result<Trial<'a>, CallError> {
        let host = Host::new();
        let instance = open(self.subject, &host, &[], Some(state))?;
        Ok(Trial { subject: self.subject, host, instance, path: self.path })
    }

    /// Tries to open an instance with one more option.
    pub(super) fn open_with(&self, option: (&str, &str)) -> Result<Instance, CallError> {
        open(self.subject, &Host::new(), &[option], None)
    }

    /// Closes the instance; the first thing that went wrong is the outcome.
    pub(super) fn end(self, checked: Check) -> Check {
        let closed = self.instance.close().map_err(|error| Stop::Failed(format!("kv_close: {error}")));
        let completed = self.host.check_closed();
        let faults = self.host.check_faults();
        match checked {
            Err(Stop::Failed(text)) => Err(Stop::Failed(text)),
            checked => faults.and(completed).and(closed).and(checked),
        }
    }

    /// Skips the test unless the engine has this capability.
    pub(super) fn needs(&self, bit: u64) -> Check {
        if self.has(bit) {
            return Ok(());
        }
        let name = CAPABILITY_NAMES.iter().find(|(known, _)| *known == bit).map_or("", |(_, name)| name);
        Err(Stop::Skipped(format!("no {name}")))
    }

    pub(super) fn has(&self, bit: u64) -> bool {
        self.subject.identity.has(bit)
    }

    /// Skips the test unless the engine has this symbol.
    pub(super) fn needs_symbol(&self, name: &str) -> Check {
        if self.has_symbol(name) { Ok(()) } else { Err(Stop::Skipped(format!("no {name}"))) }
    }

    pub(super) fn has_symbol(&self, name: &str) -> bool {
        self.instance.has_symbol(name)
    }

    /// Carries an operation out, the trial's way. A passing collision is tried again.
    pub(super) fn ask(&self, request: &Request) -> Result<Answer, Stop> {
        for _ in 0..RETRIES_MAX {
            let answer = match self.path {
                Path::Calls => self.call(request),
                Path::Batches => match self.submit(vec![request.clone()], Plan::default())? {
                    Ok(flight) => self.wait(flight)?.swap_remove(0),
                    Err(refused) => Answer::of_status(refused.status, refused.text),
                },
            };
            request.check_use()?;
            if answer.status != Status::RETRY {
                return Ok(answer);
            }
        }
        Err(Stop::Failed(format!("{}: RETRY {RETRIES_MAX} times in a row", request.describe())))
    }

    /// Carries an operation out by its own function.
    pub(super) fn call(&self, request: &Request) -> Answer {
        let op = request.raw();
        let session = self.instance.session();
        let stored = |(status, version)| Answer { version, ..Answer::of_status(status, String::new()) };
        let plain = |status| Answer::of_status(status, String::new());
        let done = match request.kind {
            KV_OP_SET => session.set(&op).map(stored),
            KV_OP_DELETE => session.delete(&op).map(plain),
            // SAFETY: `Request::raw` sets function and context together.
            KV_OP_UPDATE => unsafe { session.update(&op) }.map(stored),
            _ => {
                let (mut lent, mut entry) = (0, None);
                let done = session.get(&op, |found| {
                    lent += 1;
                    // SAFETY: the engine lends the entry for this call.
                    entry = Some(unsafe { Answer::of_entry(found, request.flags & KV_OP_NO_VALUE == 0) });
                });
                done.map(|status| Answer { status, lent, ..entry.unwrap_or_else(|| plain(status)) })
            }
        };
        done.unwrap_or_else(|error| Answer::of_status(error.status, error.text))
    }

    /// Hands a batch over; the inner error is the engine's refusal.
    pub(super) fn submit(
        &self,
        requests: Vec<Request>,
        plan: Plan,
    ) -> Result<Result<FlightPtr, CallError>, Stop> {
        self.needs_symbol("kv_submit")?;
        let flight = FlightPtr::new(Flight::new(requests, plan, self.host.now_ms()));
        self.host.expect(flight);
        // SAFETY: the flight stays in place until the instance is closed.
        let submitted = unsafe { self.instance.session().submit(flight.batch()) };
        match submitted {
            Ok(()) => Ok(Ok(flight)),
            Err(error) => {
                self.host.refused(flight)?;
                Ok(Err(error))
            }
        }
    }

    /// Waits for a batch, and releases its pins.
    pub(super) fn wait(&self, flight: FlightPtr) -> Result<Vec<Answer>, Stop> {
        let (answers, pinned) = self.host.wait(flight, self.subject.patience_ms)?;
        for request in flight.requests() {
            request.check_use()?;
        }
        if pinned {
            ensure!(self.has_symbol("kv_release"), "a result is PINNED, and there is no kv_release");
            for (index, answer) in answers.iter().enumerate() {
                let index = index as u32;
                // SAFETY: in bounds and completed; a pinned result is valid until the release below.
                let same = unsafe { !flight.is_pinned(index) || flight.answer(index) == *answer };
                ensure!(same, "pinned result {index} changed before kv_release");
            }
            // SAFETY: completed, pinned, and released once: a flight is waited for once.
            unsafe { self.instance.session().release(flight.batch()) };
        }
        Ok(answers)
    }

    /// As `batch_or_full`. Skips the test where there was no room for one of its operations.
    pub(super) fn batch(&self, requests: Vec<Request>, plan: Plan) -> Result<Vec<Answer>, Stop> {
        let answers = self.batch_or_full(requests, plan)?;
        answers.iter().try_for_each(|answer| answer.skips_full(&[Status::OK]))?;
        Ok(answers)
    }

    /// Hands a batch over, tries again where it is refused for a passing reason, and waits for it.
    pub(super) fn batch_or_full(&self, requests: Vec<Request>, plan: Plan) -> Result<Vec<Answer>, Stop> {
        for _ in 0..RETRIES_MAX {
            match self.submit(requests.clone(), plan)? {
                Ok(flight) => return self.wait(flight),
                Err(refused) if refused.status == Status::RETRY => {}
                Err(refused) => return Err(Stop::Failed(format!("kv_submit: {refused}"))),
            }
        }
        Err(Stop::Failed(format!("kv_submit: RETRY {RETRIES_MAX} times in a row")))
    }

    /// Stores an entry and answers its version. Skips the test where the engine is full.
    pub(super) fn put(&self, request: &Request) -> Result<u64, Stop> {
        let answer = self.ask(request)?;
        answer.is(Status::OK, &request.describe())?;
        if !self.has(KV_CAP_VERSIONS) {
            ensure!(answer.version == 0, "version {} without VERSIONS", answer.version);
        }
        Ok(answer.version)
    }

    /// Stores a value.
    pub(super) fn store(&self, key: &[u8], value: &[u8]) -> Result<u64, Stop> {
        self.put(&Request::set(key, value))
    }

    /// Reads an entry; `None` where there is none.
    pub(super) fn read(&self, key: &[u8]) -> Result<Option<Answer>, Stop> {
        let request = Request::get(key);
        let answer = self.ask(&request)?;
        answer.is_one_of(&[Status::OK, Status::NOT_FOUND], &request.describe())?;
        let wanted = u32::from(answer.status == Status::OK);
        ensure!(answer.lent == wanted, "{}: the sink was called {} times", request.describe(), answer.lent);
        Ok((answer.status == Status::OK).then_some(answer))
    }

    /// Fails unless the key has exactly this value (`None`: no entry).
    pub(super) fn finds(&self, key: &[u8], wanted: Option<&[u8]>) -> Check {
        match (self.read(key)?, wanted) {
            (None, None) => Ok(()),
            (Some(found), Some(wanted)) => found.holds(wanted, &format!("GET of {}", shorten(key))),
            (None, Some(_)) => Err(Stop::Failed(format!("GET of {}: the entry is lost", shorten(key)))),
            (Some(_), None) => Err(Stop::Failed(format!("GET of {}: found what is not there", shorten(key)))),
        }
    }

    /// Removes a key and says whether there was one.
    pub(super) fn remove(&self, key: &[u8]) -> Result<bool, Stop> {
        let request = Request::delete(key);
        let answer = self.ask(&request)?;
        answer.is_one_of(&[Status::OK, Status::NOT_FOUND], &request.describe())?;
        Ok(answer.status == Status::OK)
    }

    /// One step of a scan: the entries that came.
    pub(super) fn scan_step(
        &self,
        flags: u32,
        count: u32,
        cursor: &mut Vec<u8>,
    ) -> Result<Vec<Answer>, Stop> {
        let mut found = Vec::new();
        self.instance.session().scan(0, flags, count, cursor, |entry| {
            // SAFETY: the engine lends the entry for this call.
            found.push(unsafe { Answer::of_entry(entry, flags & KV_OP_NO_VALUE == 0) });
        })?;
        Ok(found)
    }

    /// All entries, by a scan from its start to its end.
    pub(super) fn everything(&self, flags: u32, count: u32) -> Result<BTreeMap<Vec<u8>, Answer>, Stop> {
        let (mut all, mut cursor, mut came) = (BTreeMap::new(), Vec::new(), 0_usize);
        // A step may bring nothing, but a scan that makes no progress for so many steps has no end.
        for _ in 0..STEPS_MAX {
            for entry in self.scan_step(flags, count, &mut cursor)? {
                came += 1;
                all.insert(entry.key.clone(), entry);
            }
            if cursor.is_empty() {
                return Ok(all);
            }
        }
        Err(Stop::Failed(format!("a scan did not end in {STEPS_MAX} steps; {came} entries came")))
    }
}

fn open(
    subject: &Subject<'_>,
    host: &Arc<Host>,
    more: &[(&str, &str)],
    state: Option<&State<'_>>,
) -> Result<Instance, CallError> {
    let more = more.iter().map(|(key, value)| (key.to_string(), value.to_string()));
    let options = OpenOptions {
        options: subject.options.iter().cloned().chain(more).collect(),
        scratch_dir: Some((subject.scratch_dir)()),
    };
    let services = Box::new(Services(Arc::clone(host)));
    Instance::open(subject.calls, subject.identity.clone(), services, &options, state)
}
