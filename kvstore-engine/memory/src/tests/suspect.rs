//! A state for which its giver cannot vouch is adopted if it is whole, and else refused.

use std::collections::BTreeMap;

use engine_testing::{Change, Store, TestOp};
use plugin_abi::Status;
use plugin_abi::raw::KV_HANDOFF_ADOPT;
use plugin_abi::sdk::Region;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::{engine, open, wait_until};
use crate::limit::{Limit, Policy};
use crate::pages::PAGE;
use crate::state::{Root, ShardState};
use crate::table::Table;

/// A store with all that there can be in a state: gaps, long cells, a huge one, expiries, types, shards without entries.
fn full() -> Store {
    let store = open(&[("shards", "8")]);
    let mut rng = StdRng::seed_from_u64(5);
    for n in 0..3000_i64 {
        let key = format!("{}", rng.random_range(0..900));
        let len = [10, 100, 300, 9_000][rng.random_range(0..100_usize) / 30];
        let expiry_ms = if n % 3 == 0 { 2_000_000 + n } else { 0 };
        let op = TestOp { type_: (n % 2) as u32, ..TestOp::set(&key, vec![b'v'; len]).expiring(expiry_ms) };
        store.one(match n % 5 {
            0 => TestOp::delete(&key),
            1 => TestOp::update(&key, Change::Append(vec![b'a'; 30])),
            2 => TestOp::update(&key, Change::SetExpiry(expiry_ms)),
            _ => op,
        });
    }
    store.one(TestOp::set("huge", vec![b'h'; 33 << 20]));
    store
}

/// What the store gives, until it is aborted.
fn given(store: &Store) -> (Vec<Region>, *mut u8) {
    let session = store.instance().session();
    session.handoff_prepare(KV_HANDOFF_ADOPT).unwrap();
    let regions = session.handoff_give().unwrap().regions().unwrap();
    let root = regions[0].base.cast::<u8>().wrapping_add(PAGE);
    (regions, root)
}

fn adopt(regions: &[Region]) -> Result<Table, Status> {
    // The root is the first span of the first region.
    let root = (PAGE as u64 / 4).to_le_bytes();
    // SAFETY: mapped, and halted, as long as the store does not go on.
    unsafe { Table::adopt(regions, &root, Limit::new(0, Policy::NoEviction), true) }
        .map_err(|error| error.status)
}

fn entries(table: &Table) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut entries = BTreeMap::new();
    for number in 0..table.shards() {
        for (_, cell) in table.lock(number).entries_from(0) {
            entries.insert(cell.key().to_vec(), cell.entry().value.to_vec());
        }
    }
    entries
}

#[test]
fn a_whole_state_is_adopted_with_all_its_entries() {
    let store = full();
    // Longer than a region of many spans, and another one behind it.
    store.one(TestOp::set("longer", vec![b'l'; 65 << 20]));
    store.one(TestOp::set("long", vec![b'l'; 33 << 20]));
    let before: BTreeMap<Vec<u8>, Vec<u8>> = store.scan(100).into_iter().collect();
    let (regions, _) = given(&store);
    assert!(regions.len() > 2 && before.len() > 400);
    assert!(entries(&adopt(&regions).unwrap()) == before);
    store.instance().session().handoff_abort().unwrap();
    // One without entries, too.
    store.instance().session().clear(0).unwrap();
    assert!(entries(&adopt(&given(&store).0).unwrap()).is_empty());
    store.instance().session().handoff_abort().unwrap();
}

#[test]
fn what_a_giver_that_panicked_leaves_is_checked_by_the_taker() {
    let store = full();
    let (_, root) = given(&store);
    // SAFETY: the record of the first shard, behind the root; the engine is halted here, and its thread has ended below.
    let shard = unsafe { &mut *root.add(size_of::<Root>()).cast::<ShardState>() };
    let heap_len = std::mem::replace(&mut shard.heap_len, 1 << 20);
    store.instance().session().handoff_abort().unwrap();
    store.host.set_now_ms(3_000_000);
    wait_until(|| store.host.log().contains("own thread panicked"));

    let session = store.instance().session();
    session.handoff_prepare(KV_HANDOFF_ADOPT).unwrap();
    let refused = Store::adopt(engine(), &session.handoff_give().unwrap()).unwrap_err();
    assert_eq!(refused.status, Status::CORRUPT);
    assert!(refused.text.contains("a heap is longer than its span"), "{}", refused.text);
    shard.heap_len = heap_len;
    let taker = Store::adopt(engine(), &session.handoff_give().unwrap()).unwrap();
    session.handoff_commit();
    taker.instance().session().handoff_commit();
    drop(session);
    store.close();
    assert_eq!(taker.one(TestOp::get("huge")).value.len(), 33 << 20);
    taker.host.set_now_ms(3_000_000);
    wait_until(|| taker.stat("keys_with_expiry") == 0);
    assert!(taker.stat("keys") > 100);
}

#[test]
fn each_damage_is_found() {
    type Damage = fn(&mut ShardState);
    let damages: [(&str, Damage); 14] = [
        ("entries", |it| it.len += 1),
        ("bytes", |it| it.live_bytes -= 4),
        ("written", |it| it.written_bytes += 4),
        ("shared", |it| it.shared_live_bytes += 4),
        ("expiring", |it| it.expiring -= 1),
        ("index", |it| it.index = it.chunks),
        ("index pages", |it| it.index_pages += 1),
        ("open", |it| it.open = it.open.plus(4)),
        ("chunks", |it| it.chunks = it.heap),
        ("victim", |it| (it.victim, it.victim_at) = (it.open, 33)),
        ("heap", |it| it.heap = it.index),
        ("heap length", |it| it.heap_len = 1 << 20),
        ("no heap", |it| it.heap_len = 0),
        ("nothing", |it| (it.len, it.index_pages) = (0, 0)),
    ];
    let store = full();
    let (regions, root) = given(&store);
    // SAFETY: the record of the first shard, behind the root; the engine is halted.
    let shard = unsafe { &mut *root.add(size_of::<Root>()).cast::<ShardState>() };
    for (name, damage) in damages {
        // SAFETY: plain numbers.
        let copy = unsafe { core::ptr::read(shard) };
        damage(shard);
        assert_eq!(adopt(&regions).err(), Some(Status::CORRUPT), "{name}");
        *shard = copy;
    }
    assert!(adopt(&regions).is_ok());
    store.instance().session().handoff_abort().unwrap();
}

#[test]
fn no_damage_harms_who_looks_for_it() {
    let store = full();
    let (regions, _) = given(&store);
    let mut rng = StdRng::seed_from_u64(9);
    let mut refused = 0;
    for _ in 0..500 {
        let region = &regions[rng.random_range(0..regions.len())];
        // Mostly where there is something.
        let page =
            if rng.random_range(0..3) == 0 { 0 } else { rng.random_range(0..60.min(region.len / PAGE)) };
        let offset = page * PAGE + rng.random_range(0..PAGE / 8) * 8;
        // SAFETY: within the region, and the engine is halted.
        let word = unsafe { &mut *region.base.cast::<u8>().add(offset).cast::<u64>() };
        let before = *word;
        *word = match rng.random_range(0..3) {
            0 => before ^ 1 << rng.random_range(0..64),
            1 => rng.random(),
            _ => before.wrapping_add(rng.random_range(0..9)).wrapping_sub(4),
        };
        refused += usize::from(adopt(&regions).is_err());
        *word = before;
    }
    assert!(refused > 70, "{refused}");
    assert!(adopt(&regions).is_ok());
    store.instance().session().handoff_abort().unwrap();
}
