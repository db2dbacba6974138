//! Work: the engine operations of a pipeline, together with the bytes that they point into.

use std::ffi::c_void;
use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut, Range};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use plugin_abi::Status;
use plugin_abi::raw::*;
use plugin_abi::sdk::{Decision, Entry};

use super::Outcomes;
use super::flight::Flight;
use super::outcome::{LEFT_OUT, LEFT_OUT_FROM, Room};
use crate::protocol::{Requests, Value};
use crate::pubsub::Event;

/// The logic of a command that changes an entry depending on what it is.
///
/// It may run more than once for one operation, on different threads one after the other; only the last run counts. So it depends
/// on nothing but itself and `current`, and what it writes to itself is scratch. In atomic work updates run in the order of their
/// operations, and when one runs again so do all behind it: there a later one may depend on what an earlier one has noted.
pub trait Update: Send {
    /// What is to become of the entry (none: it is absent or expired), and what the client is told if that happens.
    fn decide(&mut self, current: Option<&Entry<'_>>) -> (Decision<'_>, Value);

    /// What keyspace notifications tell when it has stored a value.
    fn stored(&self) -> &'static [Event] {
        &[Event::SET]
    }

    /// What they tell when it has removed the entry.
    fn removed(&self) -> &'static [Event] {
        &[Event::DEL]
    }

    /// Whether the client asked for the value as well, so that a missing key is told as missed.
    fn reads(&self) -> bool {
        false
    }

    /// Bytes of the value that it was given to store as it is; 0 where it makes one of what is there, and looks at its length itself.
    fn value_len(&self) -> usize {
        0
    }
}

/// What became of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    None,
    Stored,
    Removed,
    Expires,
    Persists,
}

impl Change {
    fn of(decision: &Decision<'_>, was_there: bool) -> Self {
        match decision {
            Decision::Replace(_) | Decision::Patch { .. } => Self::Stored,
            Decision::Remove if was_there => Self::Removed,
            Decision::SetExpiry(0) if was_there => Self::Persists,
            Decision::SetExpiry(_) if was_there => Self::Expires,
            _ => Self::None,
        }
    }
}

/// An update under way: the function's context, at an address that does not change.
pub(super) struct UpdateSlot {
    update: Box<dyn Update>,
    pub(super) reply: Value,
    /// Whether there was an entry when it last ran, and what became of it.
    last: (bool, Change),
    /// Bytes that the values in the replies of its work may still have.
    room: Arc<AtomicUsize>,
}

fn value_len(reply: &Value) -> usize {
    if let Value::Bulk(value) = reply { value.len() } else { 0 }
}

impl UpdateSlot {
    /// Runs the update and keeps its reply. A panic in it must not unwind into an engine or end a worker: it leaves the entry alone and
    /// tells the client.
    pub(super) fn decide(&mut self, current: Option<&Entry<'_>>) -> Decision<'_> {
        let (update, kept, last) = (&mut self.update, &mut self.reply, &mut self.last);
        *last = (current.is_some(), Change::None);
        let room = &self.room;
        room.fetch_add(value_len(kept), Ordering::Relaxed);
        *kept = Value::Null;
        let run = std::panic::AssertUnwindSafe(move || {
            // Moved in, so that what it answers may borrow from it.
            let update = update;
            update.decide(current)
        });
        match std::panic::catch_unwind(run) {
            Ok((decision, reply)) => {
                let left = |room: usize| room.checked_sub(value_len(&reply));
                let fits = room.fetch_update(Ordering::Relaxed, Ordering::Relaxed, left).is_ok();
                *kept = if fits { reply } else { Value::error(LEFT_OUT) };
                last.1 = Change::of(&decision, last.0);
                decision
            }
            Err(_) => {
                *kept = Value::error("ERR internal error: the command failed, and changed nothing");
                Decision::Keep
            }
        }
    }
}

impl UpdateSlot {
    fn tell(&self, sink: &mut dyn FnMut(Event)) {
        let (was_there, change) = self.last;
        if self.update.reads() && !was_there {
            sink(Event::KEYMISS);
        }
        if change == Change::Stored && !was_there {
            sink(Event::NEW);
        }
        let events: &[Event] = match change {
            Change::None => &[],
            Change::Stored => self.update.stored(),
            Change::Removed => self.update.removed(),
            Change::Expires => &[Event::EXPIRE],
            Change::Persists => &[Event::PERSIST],
        };
        events.iter().for_each(|event| sink(*event));
    }
}

/// Stores a value, whatever was there.
struct Store<'a> {
    value: &'a [u8],
    expiry_ms: i64,
}

impl Update for Store<'_> {
    fn decide(&mut self, _: Option<&Entry<'_>>) -> (Decision<'_>, Value) {
        let Self { value, expiry_ms } = *self;
        (Decision::Replace(Entry { value, expiry_ms, ..Entry::default() }), Value::Ok)
    }

    fn stored(&self) -> &'static [Event] {
        if self.expiry_ms == 0 { &[Event::SET] } else { &[Event::SET, Event::EXPIRE] }
    }

    fn value_len(&self) -> usize {
        self.value.len()
    }
}

/// The update function of every operation that the host makes.
unsafe extern "C" fn decide(ctx: *mut c_void, current: *const KvEntry, decision: *mut KvDecision) {
    // SAFETY: `ctx` is the slot of this operation's work, which the engine uses from one thread at a time; entry and
    // decision are lent for this call.
    let (slot, current, decision) =
        unsafe { (&mut *ctx.cast::<UpdateSlot>(), current.as_ref(), &mut *decision) };
    // SAFETY: the engine lends key and value for this call.
    let current = current.map(|entry| unsafe { Entry::from_raw(entry) });
    match slot.decide(current.as_ref()) {
        Decision::Keep => decision.action = KV_DECISION_KEEP,
        Decision::Remove => decision.action = KV_DECISION_REMOVE,
        Decision::SetExpiry(expiry_ms) => {
            (decision.action, decision.expiry_ms) = (KV_DECISION_SET_EXPIRY, expiry_ms);
        }
        Decision::Replace(entry) => {
            decision.action = KV_DECISION_REPLACE;
            decision.value = KvBytes::new(entry.value);
            decision.expiry_ms = entry.expiry_ms;
            (decision.type_, decision.flags) = (entry.type_, entry.flags);
        }
        Decision::Patch { offset, bytes, new_len, type_, flags } => {
            decision.action = KV_DECISION_PATCH;
            decision.value = KvBytes::new(bytes);
            (decision.offset, decision.new_len) = (offset as u64, new_len as u64);
            (decision.type_, decision.flags) = (type_, flags);
        }
    }
}

/// What a work's operations point into. Neither part changes while there are operations.
#[derive(Debug, Default)]
pub struct Source {
    /// Bytes as they were read from the connection.
    pub buffer: Vec<u8>,
    /// The requests found in them.
    pub requests: Requests,
}

impl Source {
    const EMPTY: Self = Self { buffer: Vec::new(), requests: Requests::new() };
}

/// A source, and memory that is used again for the work that is made of it. The default has neither.
#[derive(Default)]
pub struct Storage(Option<Box<Parts>>);

// SAFETY: it has no operations.
unsafe impl Send for Storage {}

impl From<Source> for Storage {
    fn from(source: Source) -> Self {
        Self(Some(Box::new(Parts { source, ..Parts::default() })))
    }
}

impl Deref for Storage {
    type Target = Source;

    fn deref(&self) -> &Source {
        static NONE: Source = Source::EMPTY;
        self.0.as_ref().map_or(&NONE, |parts| &parts.source)
    }
}

impl DerefMut for Storage {
    fn deref_mut(&mut self) -> &mut Source {
        &mut self.0.get_or_insert_default().source
    }
}

impl fmt::Debug for Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

#[derive(Default)]
struct Parts {
    // What is planned points into the source, so it stands before it and is dropped first.
    planned: Planned,
    source: Source,
    flight: Option<Arc<Flight>>,
}

/// Operations, and what is known of them.
#[derive(Default)]
struct Planned {
    ops: Vec<KvOp>,
    updates: Vec<(usize, Box<UpdateSlot>)>,
    atomic: bool,
    writes: bool,
    first_request: usize,
    now_ms: Option<i64>,
}

/// Operations to be carried out, owning everything that they point to. It is passed on often, so it is one word.
pub struct Work(Box<Parts>);

// SAFETY: the pointers in the operations lead into the work's own heap memory, which moves along with it unchanged.
unsafe impl Send for Work {}

impl Work {
    /// Makes work of operations that `plan` adds; the requests in `storage` are what it has to read. The plan's result is handed through.
    pub fn plan<T>(storage: Storage, plan: impl for<'a> FnOnce(&mut Plan<'a>, &'a Source) -> T) -> (Self, T) {
        let mut parts = storage.0.unwrap_or_default();
        let mut building = Plan {
            planned: std::mem::take(&mut parts.planned),
            longest: (0, 0),
            tell_new: false,
            room: None,
            _storage: PhantomData,
        };
        building.planned.ops.reserve(parts.source.requests.len().min(OPS_ROOM));
        let planned = plan(&mut building, &parts.source);
        parts.planned = building.planned;
        (Self(parts), planned)
    }

    /// The operations, in order.
    pub fn ops(&self) -> &[KvOp] {
        &self.0.planned.ops
    }

    /// Whether all take effect or none.
    pub fn atomic(&self) -> bool {
        self.0.planned.atomic
    }

    /// The time at which it was planned, if that was told; in milliseconds since 1970 UTC.
    pub(super) fn now_ms(&self) -> Option<i64> {
        self.0.planned.now_ms
    }

    /// Whether any operation can change an entry.
    pub fn writes(&self) -> bool {
        self.0.planned.writes
    }

    /// How much there is room for of the values that it reads.
    pub fn room(&self) -> Room {
        Room::deferrable_from(if self.0.planned.atomic || self.0.planned.first_request == 0 {
            usize::MAX
        } else {
            self.0.planned.first_request
        })
    }

    /// Whether there is an update among the operations.
    pub fn has_updates(&self) -> bool {
        !self.0.planned.updates.is_empty()
    }

    /// The update of an operation, if it is one.
    pub(super) fn update(&mut self, op: usize) -> Option<&mut UpdateSlot> {
        let found = self.0.planned.updates.binary_search_by_key(&op, |(index, _)| *index).ok()?;
        self.0.planned.updates.get_mut(found).map(|(_, slot)| slot.as_mut())
    }

    /// The replies that the updates decided on last, by operation. Called once, when the work is done.
    pub(crate) fn take_replies(&mut self) -> impl Iterator<Item = (usize, Value)> + '_ {
        self.0
            .planned
            .updates
            .iter_mut()
            .map(|(op, slot)| (*op, std::mem::replace(&mut slot.reply, Value::Null)))
    }

    /// Tells what came of some operations, in their order, as keyspace notifications have it.
    pub fn tell(&self, ops: Range<usize>, outcomes: &Outcomes, sink: &mut dyn FnMut(Event, &[u8])) {
        let all = outcomes.part(ops.start, ops.end).all();
        for (op, outcome) in self.0.planned.ops.iter().skip(ops.start).zip(all) {
            // SAFETY: an operation of this work, which is done.
            unsafe { tell(op, outcome.status, sink) }
        }
    }

    /// The requests and their bytes, for the replies that quote them.
    pub fn source(&self) -> &Source {
        &self.0.source
    }

    /// Ends the work and gives its storage back.
    pub fn into_storage(self) -> Storage {
        let mut parts = self.0;
        let Planned { mut ops, mut updates, .. } = std::mem::take(&mut parts.planned);
        updates.clear();
        updates.shrink_to(OPS_ROOM);
        ops.clear();
        ops.shrink_to(OPS_KEPT_MAX);
        parts.planned = Planned { ops, updates, ..Planned::default() };
        Storage(Some(parts))
    }

    /// The memory of an earlier flight, if it has one.
    pub(super) fn take_flight(&mut self) -> Option<Arc<Flight>> {
        self.0.flight.take()
    }

    /// Keeps the memory of its flight for the next one.
    pub(super) fn keep_flight(&mut self, flight: Arc<Flight>) {
        self.0.flight = Some(flight);
    }
}

/// The update of an operation, if it is one.
///
/// # Safety
/// An operation of a [`Work`], or one without an update; nobody uses the update meanwhile.
unsafe fn slot_of<'a>(op: &KvOp) -> Option<&'a mut UpdateSlot> {
    // SAFETY: `Plan::update` sets the context to the slot, which lives as long as the work.
    (op.kind == KV_OP_UPDATE).then(|| unsafe { op.update_ctx.cast::<UpdateSlot>().as_mut() })?
}

/// The reply that the update of an operation decided on last, if it is one.
///
/// # Safety
/// An operation of a [`Work`] that is completed, or one without an update.
pub(super) unsafe fn take_reply(op: &KvOp) -> Option<Value> {
    // SAFETY: completed, says the caller, so the engine does not use it any more.
    unsafe { slot_of(op) }.map(|slot| std::mem::replace(&mut slot.reply, Value::Null))
}

/// Tells what came of an operation, as keyspace notifications have it.
///
/// # Safety
/// As for [`take_reply`].
pub(super) unsafe fn tell(op: &KvOp, status: Status, sink: &mut dyn FnMut(Event, &[u8])) {
    // SAFETY: the operation points into its work.
    let key = unsafe { op.key.as_slice() };
    let mut tell = |event| sink(event, key);
    match (op.kind, status) {
        (KV_OP_GET, Status::NOT_FOUND) => tell(Event::KEYMISS),
        (KV_OP_SET, Status::OK) => {
            tell(Event::SET);
            if op.expiry_ms != 0 {
                tell(Event::EXPIRE);
            }
        }
        (KV_OP_DELETE, Status::OK) => tell(Event::DEL),
        (KV_OP_UPDATE, Status::OK) => {
            // SAFETY: as above.
            if let Some(slot) = unsafe { slot_of(op) } {
                slot.tell(&mut tell);
            }
        }
        _ => {}
    }
}

/// Operations for which there is room from the start, as far as there are so many requests.
const OPS_ROOM: usize = 64;
/// Operations for which memory is kept for the next work.
pub(super) const OPS_KEPT_MAX: usize = 1024;

/// Takes the operations of commands, whose bytes live as long as the storage: `'a`, which stands for itself only.
pub struct Plan<'a> {
    planned: Planned,
    // Bytes of the longest key and the longest value of the request that is planned.
    longest: (usize, usize),
    tell_new: bool,
    // What its updates share.
    room: Option<Arc<AtomicUsize>>,
    // Invariant: a shorter-lived slice must not pass for one of the storage.
    _storage: PhantomData<fn(&'a ()) -> &'a ()>,
}

impl<'a> Plan<'a> {
    fn add(&mut self, kind: u32, key: &'a [u8]) -> &mut KvOp {
        self.longest.0 = self.longest.0.max(key.len());
        self.planned.ops.push(KvOp::new(kind, key));
        let last = self.planned.ops.len() - 1;
        &mut self.planned.ops[last]
    }

    /// Adds a read of an entry.
    pub fn get(&mut self, key: &'a [u8]) {
        self.add(KV_OP_GET, key);
    }

    /// Adds a read of all but an entry's value; its length comes along.
    pub fn get_no_value(&mut self, key: &'a [u8]) {
        self.add(KV_OP_GET, key).flags = KV_OP_NO_VALUE;
    }

    /// Adds a check that an entry has this version (0: that there is none). Only for engines with versions, in atomic work.
    pub fn expect(&mut self, key: &'a [u8], version: u64) {
        let op = self.add(KV_OP_GET, key);
        (op.flags, op.expected_version) = (KV_OP_NO_VALUE | KV_OP_EXPECT, version);
    }

    /// Adds a write over whatever there is; `expiry_ms` in milliseconds since 1970 UTC, 0 is never.
    pub fn set(&mut self, key: &'a [u8], value: &'a [u8], expiry_ms: i64) {
        if self.tell_new {
            return self.update(key, Store { value, expiry_ms });
        }
        self.planned.writes = true;
        self.longest.1 = self.longest.1.max(value.len());
        let op = self.add(KV_OP_SET, key);
        (op.value, op.expiry_ms) = (KvBytes::new(value), expiry_ms);
    }

    /// Adds a write of an entry that comes from another engine, with its type and flags, and its version where both engines have them.
    pub(super) fn import(
        &mut self,
        key: &'a [u8],
        value: &'a [u8],
        expiry_ms: i64,
        (type_, entry_flags): (u32, u32),
        version: Option<u64>,
    ) {
        self.set(key, value, expiry_ms);
        if let Some(op) = self.planned.ops.last_mut() {
            (op.type_, op.entry_flags) = (type_, entry_flags);
            (op.flags, op.version) = version.map_or((0, 0), |version| (KV_OP_IMPORT, version));
        }
    }

    /// Adds a removal.
    pub fn delete(&mut self, key: &'a [u8]) {
        self.planned.writes = true;
        self.add(KV_OP_DELETE, key);
    }

    /// Adds an update.
    pub fn update(&mut self, key: &'a [u8], update: impl Update + 'a) {
        self.planned.writes = true;
        self.longest.1 = self.longest.1.max(update.value_len());
        let update: Box<dyn Update + 'a> = Box::new(update);
        // SAFETY: only the lifetime changes. What the update borrows lives as long as the storage, which the work
        // keeps until the update is gone; `'a` is invariant, so nothing shorter-lived can be in it.
        let update = unsafe { std::mem::transmute::<Box<dyn Update + 'a>, Box<dyn Update>>(update) };
        let room = self.room.get_or_insert_with(|| Arc::new(AtomicUsize::new(LEFT_OUT_FROM)));
        let room = Arc::clone(room);
        let mut slot = Box::new(UpdateSlot { update, reply: Value::Null, last: (false, Change::None), room });
        let update_ctx = (&raw mut *slot).cast();
        self.planned.updates.push((self.planned.ops.len(), slot));
        let op = self.add(KV_OP_UPDATE, key);
        (op.update, op.update_ctx) = (Some(decide as KvUpdateFn), update_ctx);
    }

    /// Has it noticed whether a key is new when it is written, which costs a look at what was there.
    pub fn tell_new(&mut self, tell_new: bool) {
        self.tell_new = tell_new;
    }

    /// It is this time now, in milliseconds since 1970 UTC: what is carried out at once is carried out at the time at which it was planned.
    pub fn at(&mut self, now_ms: i64) {
        self.planned.now_ms = Some(now_ms);
    }

    /// Makes all operations of this work take effect together or not at all.
    pub fn set_atomic(&mut self) {
        self.planned.atomic = true;
    }

    /// Length of the longest key and the longest value among the operations of the request that began last.
    pub fn longest(&self) -> (usize, usize) {
        self.longest
    }

    /// A request begins here.
    pub fn begin_request(&mut self) {
        self.longest = (0, 0);
    }

    /// A request ends here, of a command that can change an entry or not. Reads behind the first one, and behind the last write, may be put off when replies
    /// become too large.
    pub fn end_request(&mut self, writes: bool) {
        debug_assert!(writes || self.planned.ops.last().is_none_or(|op| op.kind == KV_OP_GET));
        if self.planned.first_request == 0 || writes {
            self.planned.first_request = self.planned.ops.len();
        }
    }

    /// Whether a read may be put off, and all that comes behind it with it: so nothing may come but reads.
    pub fn may_defer(&self) -> bool {
        self.planned.first_request != 0 && self.planned.ops.len() > self.planned.first_request
    }

    /// How many operations there are so far.
    pub fn len(&self) -> usize {
        self.planned.ops.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.planned.ops.is_empty()
    }

    /// Takes back the operations from `len` on: a request turned out to be wrong after some were added.
    pub fn truncate(&mut self, len: usize) {
        if len >= self.planned.ops.len() {
            return;
        }
        self.planned.ops.truncate(len);
        self.planned.updates.retain(|(op, _)| *op < len);
        self.planned.writes = self.planned.ops.iter().any(|op| op.kind != KV_OP_GET);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Read;

    impl Update for Read {
        fn decide(&mut self, current: Option<&Entry<'_>>) -> (Decision<'_>, Value) {
            (Decision::Remove, Value::Bulk(current.map_or(Vec::new(), |entry| entry.value.to_vec())))
        }
    }

    #[test]
    fn a_reply_that_is_too_much_for_one_work_is_left_out_and_what_it_is_of_is_done() {
        let room = Arc::new(AtomicUsize::new(10));
        let slot = || UpdateSlot {
            update: Box::new(Read),
            reply: Value::Null,
            last: (false, Change::None),
            room: Arc::clone(&room),
        };
        let entry = |value| Entry { value, ..Entry::default() };
        let (mut one, mut other) = (slot(), slot());
        // Run again, it takes the room that it had.
        for _ in 0..3 {
            one.decide(Some(&entry(b"123456")));
            assert_eq!(one.reply, Value::Bulk(b"123456".to_vec()));
        }
        assert!(matches!(other.decide(Some(&entry(b"12345"))), Decision::Remove));
        assert_eq!(other.reply, Value::error(LEFT_OUT));
        other.decide(Some(&entry(b"1234")));
        assert_eq!(other.reply, Value::Bulk(b"1234".to_vec()));
    }
}
