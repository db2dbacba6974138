//! Tests of flights, with batches that are completed in all ways.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::*;
use crate::plugin::Storage;

#[derive(Default)]
struct Table {
    taken: Vec<String>,
    panics: bool,
}

impl Taker for Table {
    fn take(&mut self, op: usize, lent: Lent<'_>) {
        assert!(!self.panics || self.taken.len() < 2, "the third is too much");
        assert_eq!(op, self.taken.len());
        self.taken.push(String::from_utf8_lossy(lent.value().unwrap()).into_owned());
    }
}

#[derive(Default)]
struct Port(Mutex<Vec<(u64, Landed)>>);

impl Home for Port {
    fn landed(&self, ticket: u64, landed: Landed) {
        self.0.lock().unwrap().push((ticket, landed));
    }
}

/// A batch that another thread has, too.
#[derive(Clone, Copy)]
struct Batch(*mut KvBatch);

// SAFETY: the tests' threads take turns.
unsafe impl Send for Batch {}

impl Batch {
    /// Completes operations as an engine does: each has read its own number.
    fn complete(self, ops: Range<u32>) {
        for op in ops.clone() {
            let value = format!("value {op}");
            let result =
                KvResult { status: KV_STATUS_OK, value: KvBytes::new(value.as_bytes()), ..KvResult::EMPTY };
            // SAFETY: not completed yet, or the flight is not over.
            unsafe { *(*self.0).result(op) = result };
            complete(self.0, op, 1);
        }
    }
}

fn reads(count: usize) -> Cargo {
    let (work, ()) = Work::plan(Storage::default(), |plan, _| (0..count).for_each(|_| plan.get(b"key")));
    Cargo::Direct(work)
}

fn run(table: &mut Table, port: &Arc<Port>, submit: impl FnOnce(Batch)) -> Option<Landed> {
    let home = Arc::clone(port) as Arc<dyn Home>;
    fly(reads(6), false, 0, (&home, 7), Some(table), |batch| {
        submit(Batch(batch));
        Ok(())
    })
}

fn read(landed: &Landed) -> Vec<String> {
    let outcomes = &landed.outcomes;
    let value = |op| String::from_utf8_lossy(outcomes.part(op, op + 1).value(0).unwrap_or(b"-")).into_owned();
    (0..outcomes.all().len()).map(value).collect()
}

#[test]
fn what_is_completed_in_order_and_at_once_is_taken_and_the_rest_is_noted() {
    let (mut table, port) = (Table::default(), Arc::default());
    let landed = run(&mut table, &port, |batch| batch.complete(0..6)).unwrap();
    assert_eq!((table.taken.len(), read(&landed).len()), (6, 0));
    // Out of order from the third on, one of them twice, the last by another thread and after the call.
    let (mut table, mut given) = (Table::default(), None);
    let landed = run(&mut table, &port, |batch| {
        batch.complete(0..2);
        batch.complete(1..2);
        batch.complete(3..4);
        std::thread::scope(|scope| scope.spawn(move || { batch }.complete(2..3)).join().unwrap());
        batch.complete(4..5);
        given = Some(batch);
    });
    assert!(landed.is_none() && table.taken == ["value 0", "value 1"]);
    let batch = given.unwrap();
    std::thread::spawn(move || { batch }.complete(5..6)).join().unwrap();
    let (ticket, landed) = port.0.lock().unwrap().pop().unwrap();
    // Of the second completion of an operation that was taken nobody reads.
    assert_eq!(
        (ticket, &read(&landed)[2..]),
        (7, &["value 2", "value 3", "value 4", "value 5"].map(String::from)[..])
    );
}

#[test]
fn works_that_fly_together_are_refused_only_where_nothing_of_them_was_completed() {
    let home = Arc::<Port>::default() as Arc<dyn Home>;
    for completed in [0, 1, 3] {
        for taker in [None, Some(&mut Table::default() as &mut dyn Taker)] {
            let works = (0..3).map(|ticket| {
                let (work, ()) = Work::plan(Storage::default(), |plan, _| plan.get(b"key"));
                (ticket + 20, work)
            });
            let cargo = Cargo::Joint(Joint::new(works.collect()));
            let taken = if taker.is_some() { completed } else { 0 };
            let landed = fly(cargo, false, 0, (&home, 20), taker, |batch| {
                Batch(batch).complete(0..completed as u32);
                Err(CallError { status: Status::RETRY, text: "later".to_owned() })
            });
            let Execution::Joined(joined) = landed.unwrap().abandon() else { panic!("they fly together") };
            assert_eq!(joined.refused, completed == 0);
            for (op, (ticket, work, outcomes)) in joined.enumerate() {
                assert_eq!((ticket, work.ops().len()), (op as u64 + 20, 1));
                match outcomes.all() {
                    [] => assert!(op < taken && taken == 3),
                    [outcome] if op < taken => assert_eq!(outcome.status, Status::UNKNOWN),
                    [outcome] => assert_eq!(outcome.status, Status::RETRY),
                    _ => panic!("it is one operation"),
                }
            }
        }
    }
}

#[test]
fn the_memory_of_a_flight_is_used_again_unless_something_in_it_is_pinned() {
    let home = Arc::<Port>::default() as Arc<dyn Home>;
    let mut storage = Storage::default();
    let mut flights = Vec::new();
    for (count, pinned) in [(6, false), (2, false), (9, true), (3, false), (4, false)] {
        let (work, ()) = Work::plan(storage, |plan, _| (0..count).for_each(|_| plan.get(b"key")));
        let landed = fly(Cargo::Direct(work), false, 0, (&home, 7), None, |batch| {
            // SAFETY: not completed yet.
            let results = (0..count as u32).map(|op| unsafe { &mut *(*batch).result(op) });
            results.for_each(|result| {
                assert_eq!(
                    (result.status, result.flags),
                    (KV_STATUS_UNKNOWN, 0),
                    "nothing of an earlier one"
                );
                result.flags = if pinned { KV_RESULT_PINNED } else { 0 };
                result.status = KV_STATUS_OK;
            });
            complete(batch, 0, count as u32);
            Ok(())
        });
        let Landed { cargo, outcomes, pinned, .. } = landed.unwrap();
        assert!(outcomes.all().len() == count && outcomes.all().iter().all(|one| one.status == Status::OK));
        let Cargo::Direct(mut work) = cargo else { panic!("it is as it was") };
        let kept = work.take_flight().unwrap();
        flights.push((Arc::as_ptr(&kept), pinned));
        work.keep_flight(kept);
        storage = work.into_storage();
    }
    let addresses: Vec<_> = flights.iter().map(|(address, _)| *address).collect();
    assert!(addresses[0] == addresses[1] && addresses[1] == addresses[2]);
    assert!(addresses[2] != addresses[3] && addresses[3] == addresses[4], "the pinned one is still there");
}

#[test]
fn a_panic_of_who_takes_waits_until_the_engine_has_returned() {
    let (mut table, port) = (Table { panics: true, ..Table::default() }, Arc::default());
    let mut returned = false;
    let unwound = catch_unwind(AssertUnwindSafe(|| {
        run(&mut table, &port, |batch| {
            // As in `HostServices`, which lets nothing through.
            let _ = catch_unwind(AssertUnwindSafe(|| batch.complete(0..6)));
            batch.complete(3..6);
            returned = true;
        })
    }));
    assert!(unwound.is_err() && returned);
    assert_eq!(table.taken, ["value 0", "value 1"]);
    // And this thread takes again.
    let mut table = Table::default();
    assert!(run(&mut table, &port, |batch| batch.complete(0..6)).is_some());
    assert_eq!(table.taken.len(), 6);
}
