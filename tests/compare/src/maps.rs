//! Maps: the same few operations on each map, as its own documentation would do them.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::hash::BuildHasher;
use std::path::Path;
use std::sync::Mutex;

use tests::bench::engine::{Batch, Engine};
use tests::bench::protocol::{KEY_LEN, Kind, write_key};

type Key = [u8; KEY_LEN];
/// Values of any length have an allocation of their own; keys, of 16 bytes here, lie in the table: more than a server could do.
type Value = Box<[u8]>;

const VALUE_LEN: usize = 32;
/// Operations between two looks at the clock.
const SOME: usize = 64;

/// A map under measurement.
pub trait Map: Send + Sync {
    /// Sets keys 0 to `keys`.
    fn fill(&self, keys: u64) {
        let mut number = 0;
        while number < keys {
            number += self.some(Kind::Set, &mut {
                let mut next = number;
                move || {
                    next += 1;
                    (next - 1).min(keys - 1)
                }
            }) as u64;
        }
    }

    /// Carries out some operations on keys of the numbers that `draw` gives; how many.
    fn some(&self, kind: Kind, draw: &mut dyn FnMut() -> u64) -> usize;
}

/// Name, how it is made, and whether threads can share it.
pub type Known = (&'static str, fn(&Path) -> Box<dyn Map>, bool);

/// All of them.
pub const MAPS: [Known; 8] = [
    ("kvstore, batches of 64", |engine| Box::new(Ours::new(engine, 64)), true),
    ("kvstore, batches of 16", |engine| Box::new(Ours::new(engine, 16)), true),
    ("kvstore, batches of 1", |engine| Box::new(Ours::new(engine, 1)), true),
    ("hashbrown", |_| Box::new(Single::default()), false),
    ("4096 mutexes over hashbrown", |_| Box::new(Sharded::default()), true),
    ("dashmap", |_| Box::new(Keyed(dashmap::DashMap::<Key, Value>::new())), true),
    ("papaya", |_| Box::new(Keyed(papaya::HashMap::<Key, Value>::new())), true),
    ("scc", |_| Box::new(Keyed(scc::HashMap::<Key, Value>::new())), true),
];

/// The memory engine, behind its ABI.
struct Ours {
    engine: Engine,
    size: usize,
}

impl Ours {
    fn new(engine: &Path, size: usize) -> Self {
        Self { engine: Engine::open(engine), size }
    }
}

impl Map for Ours {
    fn some(&self, kind: Kind, draw: &mut dyn FnMut() -> u64) -> usize {
        thread_local! {
            static BATCHES: RefCell<BTreeMap<(bool, usize), Batch>> = const { RefCell::new(BTreeMap::new()) };
        }
        BATCHES.with_borrow_mut(|batches| {
            let batch = batches.entry((kind == Kind::Get, self.size));
            let batch = batch.or_insert_with(|| Batch::new(kind, self.size, VALUE_LEN));
            for _ in 0..SOME / self.size {
                batch.draw(&mut *draw);
                batch.run(&self.engine);
            }
        });
        SOME
    }
}

/// A map that copies values out and takes new ones in.
trait Simple: Send + Sync {
    fn get(&self, key: &Key, out: &mut [u8; VALUE_LEN]) -> bool;
    fn set(&self, key: Key, value: Value);
}

struct Keyed<M>(M);

impl<M: Simple> Map for Keyed<M> {
    fn some(&self, kind: Kind, draw: &mut dyn FnMut() -> u64) -> usize {
        some(&self.0, kind, draw)
    }
}

fn some(map: &dyn Simple, kind: Kind, draw: &mut dyn FnMut() -> u64) -> usize {
    let (mut key, mut out) = ([0; KEY_LEN], [0; VALUE_LEN]);
    for _ in 0..SOME {
        write_key(draw(), &mut key);
        match kind {
            Kind::Get => assert!(map.get(&key, &mut out), "a key is missing"),
            Kind::Set => map.set(key, vec![b'v'; VALUE_LEN].into()),
        }
        std::hint::black_box(&out);
    }
    SOME
}

impl Simple for dashmap::DashMap<Key, Value> {
    fn get(&self, key: &Key, out: &mut [u8; VALUE_LEN]) -> bool {
        dashmap::DashMap::get(self, key).map(|found| out.copy_from_slice(&found)).is_some()
    }

    fn set(&self, key: Key, value: Value) {
        self.insert(key, value);
    }
}

impl Simple for papaya::HashMap<Key, Value> {
    fn get(&self, key: &Key, out: &mut [u8; VALUE_LEN]) -> bool {
        self.pin().get(key).map(|found| out.copy_from_slice(found)).is_some()
    }

    fn set(&self, key: Key, value: Value) {
        self.pin().insert(key, value);
    }
}

impl Simple for scc::HashMap<Key, Value> {
    fn get(&self, key: &Key, out: &mut [u8; VALUE_LEN]) -> bool {
        self.read_sync(key, |_, found| out.copy_from_slice(found)).is_some()
    }

    fn set(&self, key: Key, value: Value) {
        self.upsert_sync(key, value);
    }
}

type Table = hashbrown::HashMap<Key, Value>;

fn get(table: &Table, key: &Key, out: &mut [u8; VALUE_LEN]) -> bool {
    table.get(key).map(|found| out.copy_from_slice(found)).is_some()
}

/// For one thread: the lock is taken once for many operations.
#[derive(Default)]
struct Single(Mutex<Table>);

impl Map for Single {
    fn some(&self, kind: Kind, draw: &mut dyn FnMut() -> u64) -> usize {
        let mut table = self.0.lock().expect("no thread panics");
        let (mut key, mut out) = ([0; KEY_LEN], [0; VALUE_LEN]);
        for _ in 0..SOME {
            write_key(draw(), &mut key);
            match kind {
                Kind::Get => assert!(get(&table, &key, &mut out), "a key is missing"),
                Kind::Set => drop(table.insert(key, vec![b'v'; VALUE_LEN].into())),
            }
            std::hint::black_box(&out);
        }
        SOME
    }
}

const SHARDS: usize = 4096;

/// The obvious way to share a map that cannot be shared.
struct Sharded {
    hasher: hashbrown::DefaultHashBuilder,
    shards: Vec<Mutex<Table>>,
}

impl Default for Sharded {
    fn default() -> Self {
        let hasher = hashbrown::DefaultHashBuilder::default();
        let shard = || Mutex::new(Table::with_hasher(hasher.clone()));
        Self { shards: (0..SHARDS).map(|_| shard()).collect(), hasher }
    }
}

impl Sharded {
    fn shard(&self, key: &Key) -> &Mutex<Table> {
        // Bits from the middle: a table uses those at both ends.
        &self.shards[(self.hasher.hash_one(key) >> 24) as usize % SHARDS]
    }
}

impl Simple for Sharded {
    fn get(&self, key: &Key, out: &mut [u8; VALUE_LEN]) -> bool {
        get(&self.shard(key).lock().expect("no thread panics"), key, out)
    }

    fn set(&self, key: Key, value: Value) {
        self.shard(&key).lock().expect("no thread panics").insert(key, value);
    }
}

impl Map for Sharded {
    fn some(&self, kind: Kind, draw: &mut dyn FnMut() -> u64) -> usize {
        some(self, kind, draw)
    }
}
