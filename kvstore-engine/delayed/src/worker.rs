//! Worker: the engine's thread: a timeline of what is to happen when, and the store to which it happens.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use plugin_abi::Status;
use plugin_abi::raw::KV_OP_UPDATE;
use plugin_abi::sdk::{Batch, BatchId, Error, Host, Op};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::flight::Flight;
use crate::options::Options;
use crate::queue::{Queue, Request};
use crate::store::{Done, OwnedOp, Store};
use crate::{CAPABILITIES, KEY_LEN_MAX};

/// Between two looks at a gate.
const GATE_PAUSE: Duration = Duration::from_millis(1);

/// Something that is to happen.
enum Event {
    /// An operation takes effect.
    Begin { flight: u64, index: usize },
    /// An atomic batch does.
    BeginAll { flight: u64 },
    /// An operation that took effect is completed.
    Complete { flight: u64, index: usize },
    /// The deadline of a batch.
    Deadline { flight: u64 },
    /// A call whose caller waits.
    Call(Box<dyn FnOnce(&mut Core) + Send>),
}

/// What operations and calls work on.
pub(crate) struct Core {
    pub(crate) host: Host,
    pub(crate) store: Store,
    options: Options,
    rng: StdRng,
    operations_total: u64,
    errors_total: u64,
}

impl Core {
    /// Operations so far, and how many of them were made to fail.
    pub(crate) fn totals(&self) -> (u64, u64) {
        (self.operations_total, self.errors_total)
    }

    /// Runs something as one operation that may be made to fail.
    ///
    /// # Errors
    /// Its own, or the one that was ordered.
    pub(crate) fn faulty<T>(&mut self, run: impl FnOnce(&mut Self) -> Result<T, Error>) -> Result<T, Error> {
        self.operations_total += 1;
        if let Some(wait) = self.options.wait_at.as_ref().filter(|wait| wait.number == self.operations_total)
        {
            while wait.gate.exists() {
                // Where it cannot be made, nobody learns of it.
                let _ = std::fs::File::create(&wait.inside);
                std::thread::sleep(GATE_PAUSE);
            }
        }
        let fails = self.operations_total == self.options.fail_at
            || self.options.error_rate > 0.0 && self.rng.random_bool(self.options.error_rate);
        if !fails {
            return run(self);
        }
        self.errors_total += 1;
        if self.options.error_is_vague() && self.rng.random() {
            // "Unknown" is only a test of the host if it sometimes happened all the same.
            let _ = run(self);
        }
        Err(Error::new(self.options.error, "an error that was ordered by an option"))
    }
}

/// Refuses what this engine cannot carry out.
///
/// # Errors
/// INVALID, UNSUPPORTED, TOO_LARGE.
pub(crate) fn check(op: &Op<'_>) -> Result<(), Error> {
    op.check(CAPABILITIES)?;
    if op.kind() == KV_OP_UPDATE {
        return Err(Error::new(Status::UNSUPPORTED, "this engine has no updates"));
    }
    if op.key().len() as u64 > KEY_LEN_MAX {
        return Err(Error::new(Status::TOO_LARGE, "the key is longer than 65536 bytes"));
    }
    Ok(())
}

/// The thread's state.
pub(crate) struct Worker {
    core: Core,
    timeline: BTreeMap<(Instant, u64), Event>,
    flights: HashMap<u64, Flight>,
    // Numbers events and flights; an event of a batch that has landed finds no flight of its number.
    next: u64,
}

impl Worker {
    pub(crate) fn new(host: Host, options: Options) -> Self {
        let rng = StdRng::seed_from_u64(options.seed);
        let core = Core { host, store: Store::default(), options, rng, operations_total: 0, errors_total: 0 };
        Self { core, timeline: BTreeMap::new(), flights: HashMap::new(), next: 0 }
    }

    /// Works until the queue is closed, then completes what is left.
    pub(crate) fn run(mut self, queue: &Queue) {
        loop {
            let due = self.timeline.keys().next().map(|(at, _)| *at);
            let (requests, closing) = queue.take(due);
            for request in requests {
                self.accept(request);
            }
            while let Some(event) =
                self.timeline.first_entry().filter(|event| event.key().0 <= Instant::now())
            {
                let event = event.remove();
                self.happen(event);
            }
            if closing {
                break;
            }
            let now_ms = self.core.host.now_ms();
            self.core.store.expire(now_ms, &self.core.host);
        }
        for (_, flight) in self.flights.drain() {
            flight.land();
        }
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn at(&mut self, at: Instant, event: Event) {
        let number = self.number();
        self.timeline.insert((at, number), event);
    }

    /// When something takes effect, and when that is told.
    fn draw(&mut self, now: Instant) -> (Instant, Instant) {
        let delay_us = self.core.rng.random_range(self.core.options.delay_us.clone());
        let effect_us = self.core.rng.random_range(0..=delay_us);
        (now + Duration::from_micros(effect_us), now + Duration::from_micros(delay_us))
    }

    fn accept(&mut self, request: Request) {
        let now = Instant::now();
        match request {
            Request::Batch(batch) => self.accept_batch(batch, now),
            Request::Prompt(batch, promise) => {
                self.carry_out(batch);
                promise.keep(Ok(()));
            }
            Request::Cancel(id) => self.cancel(id),
            Request::Call(call) => {
                let (_, at) = self.draw(now);
                self.at(at, Event::Call(call));
            }
            Request::Look(call) => call(&mut self.core),
        }
    }

    /// Carries a batch out at once.
    fn carry_out(&mut self, batch: Batch) {
        let (flight, count, atomic) = (self.number(), batch.len(), batch.atomic());
        self.flights.insert(flight, Flight::new(batch));
        if atomic {
            self.begin_all(flight);
        } else {
            (0..count).for_each(|index| self.begin(flight, index));
        }
        (0..count).for_each(|index| self.happen(Event::Complete { flight, index }));
    }

    fn accept_batch(&mut self, batch: Batch, now: Instant) {
        if batch.is_empty() {
            return;
        }
        let flight = self.number();
        if batch.deadline_ns() != 0 {
            let left_ns = batch.deadline_ns().saturating_sub(self.core.host.monotonic_ns());
            self.at(now + Duration::from_nanos(left_ns), Event::Deadline { flight });
        }
        let (mut effect, _) = self.draw(now);
        if batch.atomic() {
            self.at(effect, Event::BeginAll { flight });
        }
        let mut last_effects: HashMap<&[u8], Instant> = HashMap::new();
        for index in 0..batch.len() {
            let (own_effect, mut told) = self.draw(now);
            if !batch.atomic() {
                // Operations on the same key take effect in the order of the array. At the same time, the one noted first goes first.
                let last = last_effects.entry(batch.op(index).key()).or_insert(own_effect);
                effect = own_effect.max(*last);
                *last = effect;
                self.at(effect, Event::Begin { flight, index });
            }
            told = told.max(effect);
            self.at(told, Event::Complete { flight, index });
        }
        drop(last_effects);
        self.flights.insert(flight, Flight::new(batch));
    }

    fn cancel(&mut self, id: BatchId) {
        let found = self.flights.iter().find(|(_, flight)| flight.id() == id).map(|(number, _)| *number);
        if let Some(number) = found {
            self.give_up(number, Status::CANCELLED);
        }
    }

    fn give_up(&mut self, number: u64, status: Status) {
        if let Some(flight) = self.flights.get_mut(&number) {
            flight.give_up(status);
            if flight.landed() {
                self.flights.remove(&number);
            }
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Begin { flight, index } => self.begin(flight, index),
            Event::BeginAll { flight } => self.begin_all(flight),
            Event::Complete { flight: number, index } => {
                let wide = self.core.rng.random();
                if let Some(flight) = self.flights.get_mut(&number) {
                    flight.complete(index, wide);
                    if flight.landed() {
                        self.flights.remove(&number);
                    }
                }
            }
            Event::Deadline { flight } => self.give_up(flight, Status::TIMEOUT),
            Event::Call(call) => call(&mut self.core),
        }
    }

    fn begin(&mut self, number: u64, index: usize) {
        let Some(flight) = self.flights.get_mut(&number) else { return };
        if !flight.waits(index) {
            return;
        }
        let (now_ms, op) = (flight.batch().now_ms(), flight.batch().op(index));
        let what = check(&op).and_then(|()| {
            let op = OwnedOp::from(&op);
            self.core.faulty(|core| core.store.run(&op, now_ms, &core.host))
        });
        flight.done(index, what);
    }

    fn begin_all(&mut self, number: u64) {
        let Some(flight) = self.flights.get_mut(&number) else { return };
        if !flight.waits(0) {
            return;
        }
        let (count, now_ms) = (flight.batch().len(), flight.batch().now_ms());
        match run_all(&mut self.core, flight.batch(), now_ms) {
            Ok(all) => {
                for (index, done) in all.into_iter().enumerate() {
                    flight.done(index, Ok(done));
                }
            }
            Err((failed, error)) => {
                // Where nobody knows whether the batch took effect, that is true of each of its operations.
                let vague = error.status.effect() == plugin_abi::Effect::Unknown;
                let others = if vague { error.clone() } else { Status::ABORTED.into() };
                for index in 0..count {
                    flight.done(index, Err(if index == failed { error.clone() } else { others.clone() }));
                }
            }
        }
    }
}

fn run_all(core: &mut Core, batch: &Batch, now_ms: i64) -> Result<Vec<Done>, (usize, Error)> {
    let ops = (0..batch.len()).map(|index| batch.op(index));
    for (index, op) in ops.clone().enumerate() {
        check(&op).map_err(|error| (index, error))?;
    }
    let ops: Vec<OwnedOp> = ops.map(|op| OwnedOp::from(&op)).collect();
    let mut failed = 0;
    let run = |core: &mut Core| {
        core.store.run_all(&ops, now_ms, &core.host).map_err(|(index, error)| {
            failed = index;
            error
        })
    };
    core.faulty(run).map_err(|error| (failed, error))
}
