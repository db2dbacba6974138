//! Model: long runs of random operations, each answer compared with that of a map.

use std::collections::{BTreeMap, BTreeSet};

use super::flight::Plan;
use super::request::{Answer, Move, Request, shorten};
use super::trial::Trial;
use super::{Check, Stop, ensure, suite};
use crate::Status;
use crate::raw::*;

suite! { "model":
    both single_operations_agree: "Thousands of random operations are answered as by a map.";
    once batches_agree: "Random batches are answered as by a map, in the order of the array for each key.";
    once atomic_batches_agree: "Random atomic batches take effect as a whole or not at all, as on a map.";
}

/// Splitmix64: small, and the same on every machine.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `end`.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    fn bytes(&mut self, len_max: u64) -> Vec<u8> {
        let (len, byte) = (self.below(len_max + 1), self.below(256) as u8);
        (0..len).map(|i| byte.wrapping_add(i as u8)).collect()
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    value: Vec<u8>,
    expiry_ms: i64,
    version: u64,
    type_: u32,
    flags: u32,
}

/// What the store should hold.
#[derive(Clone)]
struct Model {
    entries: BTreeMap<Vec<u8>, Entry>,
    now_ms: i64,
    // All versions that were ever given out, to see one that comes again.
    given: BTreeSet<u64>,
    // The newest version of each key, of deleted entries too.
    newest: BTreeMap<Vec<u8>, u64>,
    versions: bool,
}

/// An operation with what its update decides, so that the model can decide alike.
struct Step {
    request: Request,
    decision: Move,
}

impl Model {
    fn new(t: &Trial<'_>) -> Self {
        let (entries, given, newest) = (BTreeMap::new(), BTreeSet::new(), BTreeMap::new());
        Self { entries, now_ms: t.host.now_ms(), given, newest, versions: t.has(KV_CAP_VERSIONS) }
    }

    fn advance(&mut self, now_ms: i64) {
        self.now_ms = now_ms;
        self.entries.retain(|_, entry| entry.expiry_ms == 0 || entry.expiry_ms > now_ms);
    }

    fn expects(&self, request: &Request) -> bool {
        let version = self.entries.get(&request.key).map_or(0, |entry| entry.version);
        request.flags & KV_OP_EXPECT == 0 || version == request.expected_version
    }

    /// Compares one answer, and takes from it what the model cannot know: the version.
    fn follow(&mut self, step: &Step, answer: &Answer) -> Check {
        let request = &step.request;
        let what = request.describe();
        if is_full(request, answer) {
            return Ok(());
        }
        if !self.expects(request) {
            return answer.is(Status::CONFLICT, &what);
        }
        self.carry_out(step, answer)
    }

    /// Follows an operation whose expected version is met.
    fn carry_out(&mut self, step: &Step, answer: &Answer) -> Check {
        let request = &step.request;
        let what = request.describe();
        let current = self.entries.get(&request.key).cloned();
        match request.kind {
            KV_OP_GET => return check_read(request, answer, current.as_ref()),
            KV_OP_DELETE => {
                answer.is(if current.is_some() { Status::OK } else { Status::NOT_FOUND }, &what)?;
                self.entries.remove(&request.key);
                return Ok(());
            }
            KV_OP_UPDATE => check_shown(request, current.as_ref())?,
            _ => {}
        }
        answer.is(Status::OK, &what)?;
        let new = if request.kind == KV_OP_SET {
            let Request { value, expiry_ms, type_, entry_flags, .. } = request.clone();
            Some(Entry { value, expiry_ms, version: 0, type_, flags: entry_flags })
        } else {
            decided(&step.decision, current.clone())
        };
        let kept = request.kind == KV_OP_UPDATE && matches!(step.decision, Move::Keep);
        match new {
            None => {
                ensure!(answer.version == 0, "{what}: version {} of no entry", answer.version);
                self.entries.remove(&request.key);
            }
            Some(mut entry) => {
                entry.version = answer.version;
                if kept {
                    let version = current.map_or(0, |entry| entry.version);
                    ensure!(answer.version == version, "{what}: KEEP told {}, not {version}", answer.version);
                } else if self.versions {
                    let new = answer.version != 0 && self.given.insert(answer.version);
                    ensure!(new, "{what}: version {} was given before", answer.version);
                    let before = self.newest.insert(request.key.clone(), answer.version).unwrap_or(0);
                    ensure!(answer.version > before, "{what}: version {} after {before}", answer.version);
                }
                if entry.expiry_ms != 0 && entry.expiry_ms <= self.now_ms {
                    self.entries.remove(&request.key);
                } else {
                    self.entries.insert(request.key.clone(), entry);
                }
            }
        }
        Ok(())
    }

    fn compare_all(&self, t: &Trial<'_>) -> Check {
        if !t.has_symbol("kv_scan") {
            return Ok(());
        }
        let found: BTreeMap<_, _> =
            t.everything(0, 7)?.into_iter().map(|(key, answer)| (key, entry(&answer))).collect();
        for (key, entry) in &self.entries {
            ensure!(found.get(key) == Some(entry), "in the end, {} is not as it was stored", shorten(key));
        }
        let extra = found.keys().find(|key| !self.entries.contains_key(*key));
        ensure!(extra.is_none(), "in the end, there is {}", shorten(extra.map_or(b"", |key| key)));
        Ok(())
    }
}

/// Whether there was no room for this write, which is a legal answer at any time, and has no effect.
fn is_full(request: &Request, answer: &Answer) -> bool {
    [KV_OP_SET, KV_OP_UPDATE].contains(&request.kind) && answer.status == Status::FULL
}

fn entry(answer: &Answer) -> Entry {
    let Answer { value, expiry_ms, version, type_, flags, .. } = answer.clone();
    Entry { value, expiry_ms, version, type_, flags }
}

/// What is left of an entry after a decision.
fn decided(decision: &Move, current: Option<Entry>) -> Option<Entry> {
    match decision {
        Move::Keep | Move::Unknown => current,
        Move::Remove => None,
        Move::SetExpiry(expiry_ms) => current.map(|entry| Entry { expiry_ms: *expiry_ms, ..entry }),
        Move::Replace { value, expiry_ms, type_, flags } => Some(Entry {
            value: value.clone(),
            expiry_ms: *expiry_ms,
            version: 0,
            type_: *type_,
            flags: *flags,
        }),
        Move::Patch { offset, bytes, new_len, type_, flags } => {
            let absent = Entry { value: Vec::new(), expiry_ms: 0, version: 0, type_: *type_, flags: *flags };
            let mut entry = current.unwrap_or(absent);
            entry.value.resize(*new_len as usize, 0);
            entry.value[*offset as usize..][..bytes.len()].copy_from_slice(bytes);
            Some(entry)
        }
    }
}

fn check_read(request: &Request, answer: &Answer, current: Option<&Entry>) -> Check {
    let what = request.describe();
    let Some(wanted) = current else { return answer.is(Status::NOT_FOUND, &what) };
    answer.is(Status::OK, &what)?;
    let (len, wanted_len) = (answer.value_len, wanted.value.len());
    ensure!(len == wanted_len, "{what}: a value of {len} bytes, wanted {wanted_len}");
    let found = if request.flags & KV_OP_NO_VALUE == 0 {
        entry(answer)
    } else {
        Entry { value: wanted.value.clone(), ..entry(answer) }
    };
    ensure!(found == *wanted, "{what}: found {found:?}, wanted {wanted:?}");
    Ok(())
}

fn check_shown(request: &Request, current: Option<&Entry>) -> Check {
    let shown = request.shown()?.map(|answer| entry(&answer));
    ensure!(shown.as_ref() == current, "{}: was shown {shown:?}, wanted {current:?}", request.describe());
    Ok(())
}

/// Makes random steps that the engine's capabilities allow.
struct Steps<'a> {
    t: &'a Trial<'a>,
    random: Random,
    updates: bool,
    versions: bool,
    expiry: bool,
    types: bool,
    value_len_max: u64,
}

impl<'a> Steps<'a> {
    fn new(t: &'a Trial<'a>, seed: u64) -> Result<Self, Stop> {
        let key_len_max = t.subject.identity.key_len_max;
        if key_len_max < 6 {
            return Err(Stop::Skipped(format!("no key is longer than {key_len_max} bytes")));
        }
        Ok(Self {
            t,
            random: Random(seed),
            updates: t.has_symbol("kv_update"),
            versions: t.has(KV_CAP_VERSIONS),
            expiry: t.has(KV_CAP_EXPIRY),
            types: t.has(KV_CAP_TYPES),
            value_len_max: t.subject.identity.value_len_max.min(300),
        })
    }

    /// Lets some time pass, sometimes.
    fn pass_time(&mut self, model: &mut Model) {
        if self.random.chance(20) {
            self.t.host.advance(self.random.below(10) as i64);
            model.advance(self.t.host.now_ms());
        }
    }

    fn expiry_ms(&mut self) -> i64 {
        match self.random.below(10) {
            _ if !self.expiry => 0,
            0..=5 => 0,
            6 => self.t.host.now_ms() - self.random.below(20) as i64,
            _ => self.t.host.now_ms() + self.random.below(40) as i64,
        }
    }

    fn type_and_flags(&mut self) -> (u32, u32) {
        if self.types && self.random.chance(20) {
            (self.random.below(5) as u32, self.random.below(1 << 32) as u32)
        } else {
            (0, 0)
        }
    }

    fn decision(&mut self) -> Move {
        let (type_, flags) = self.type_and_flags();
        match self.random.below(10) {
            0 | 1 => Move::Keep,
            2 => Move::Remove,
            3 if self.expiry => Move::SetExpiry(self.expiry_ms()),
            4..=6 => {
                let (value, expiry_ms) = (self.random.bytes(self.value_len_max), self.expiry_ms());
                Move::Replace { value, expiry_ms, type_, flags }
            }
            _ => {
                let new_len = self.random.below(self.value_len_max + 1);
                let bytes = self.random.bytes(new_len.min(20));
                let offset = self.random.below(new_len - bytes.len() as u64 + 1);
                Move::Patch { offset, bytes, new_len, type_, flags }
            }
        }
    }

    /// One step on one of a few keys. A version can be expected of a key whose version is known beforehand.
    fn step(&mut self, model: &Model, version_is_known: impl Fn(&[u8]) -> bool) -> Step {
        let key = format!("key:{}", self.random.below(24)).into_bytes();
        let mut decision = Move::Keep;
        let mut request = match self.random.below(10) {
            0..=2 => Request::get(&key).with_flags(if self.random.chance(10) { KV_OP_NO_VALUE } else { 0 }),
            3 | 4 => Request::delete(&key),
            5..=7 if self.updates => {
                decision = self.decision();
                let choice = decision.clone();
                Request::update(&key, move |current| match choice {
                    // There is no expiry of no entry.
                    Move::SetExpiry(_) if current.is_none() => Move::Keep,
                    _ => choice.clone(),
                })
            }
            _ => {
                let (type_, flags) = self.type_and_flags();
                let value = self.random.bytes(self.value_len_max);
                Request::set(&key, &value).expiring(self.expiry_ms()).typed(type_, flags)
            }
        };
        if self.versions && self.random.chance(15) && version_is_known(&key) {
            let version = model.entries.get(&key).map_or(0, |entry| entry.version);
            let wrong = [0, version.wrapping_add(1_000_000), version.saturating_sub(1)];
            let expected =
                if self.random.chance(60) { version } else { wrong[self.random.below(3) as usize] };
            request = request.expecting(expected);
        }
        Step { request, decision }
    }

    /// A batch of steps. Without `atomic` versions are expected only of keys that it has not touched before: what they have then
    /// is not known beforehand.
    fn batch(&mut self, model: &Model, atomic: bool) -> Vec<Step> {
        let len_max = self.t.subject.identity.batch_len_max.min(64);
        let (len, mut touched) = (1 + self.random.below(len_max), BTreeSet::new());
        (0..len)
            .map(|_| {
                let step = self.step(model, |key| atomic || !touched.contains(key));
                touched.insert(step.request.key.clone());
                step
            })
            .collect()
    }
}

fn single_operations_agree(t: &Trial<'_>) -> Check {
    let (mut model, mut steps) = (Model::new(t), Steps::new(t, 1)?);
    for number in 0..4000 {
        steps.pass_time(&mut model);
        let step = steps.step(&model, |_| true);
        let answer = t.ask(&step.request)?;
        model.follow(&step, &answer).map_err(|stop| at(number, stop))?;
    }
    model.compare_all(t)
}

fn batches_agree(t: &Trial<'_>) -> Check {
    t.needs_symbol("kv_submit")?;
    let (mut model, mut steps) = (Model::new(t), Steps::new(t, 2)?);
    for number in 0..300 {
        steps.pass_time(&mut model);
        let batch = steps.batch(&model, false);
        let requests = batch.iter().map(|step| step.request.clone()).collect();
        let answers = t.batch_or_full(requests, Plan::default())?;
        for (step, answer) in batch.iter().zip(&answers) {
            model.follow(step, answer).map_err(|stop| at(number, stop))?;
        }
    }
    model.compare_all(t)
}

fn atomic_batches_agree(t: &Trial<'_>) -> Check {
    t.needs(KV_CAP_ATOMIC)?;
    let (mut model, mut steps) = (Model::new(t), Steps::new(t, 3)?);
    for number in 0..400 {
        steps.pass_time(&mut model);
        let mut batch = steps.batch(&model, true);
        batch.truncate(6);
        let requests = batch.iter().map(|step| step.request.clone()).collect();
        let answers = t.batch_or_full(requests, Plan { flags: KV_BATCH_ATOMIC, ..Plan::default() })?;
        // Versions are compared with what was there before the batch.
        let unmet: Vec<_> = batch.iter().map(|step| !model.expects(&step.request)).collect();
        let full = batch.iter().zip(&answers).any(|(step, answer)| is_full(&step.request, answer));
        let met = !full && !unmet.contains(&true);
        for (index, (step, answer)) in batch.iter().zip(&answers).enumerate() {
            if met {
                model.carry_out(step, answer).map_err(|stop| at(number, stop))?;
                continue;
            }
            if is_full(&step.request, answer) {
                continue;
            }
            let what = format!("operation {index}, {}, of an atomic batch", step.request.describe());
            let wanted = [if unmet[index] { Status::CONFLICT } else { Status::ABORTED }, Status::ABORTED];
            answer.is_one_of(&wanted, &what).map_err(|stop| at(number, stop))?;
        }
        let conflict = answers.iter().any(|answer| answer.status == Status::CONFLICT);
        ensure!(met || full || conflict, "batch {number}: aborted, and no operation says why");
    }
    model.compare_all(t)
}

fn at(number: usize, stop: Stop) -> Stop {
    match stop {
        Stop::Failed(text) => Stop::Failed(format!("step {number}: {text}")),
        skipped @ Stop::Skipped(_) => skipped,
    }
}
