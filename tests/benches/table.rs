//! The table of the memory engine, through the functions that its library exports: GET and SET of random keys, 16 B + 32 B.

use std::sync::LazyLock;

use divan::Bencher;
use divan::counter::ItemsCount;
use rand::RngExt;
use tests::bench::engine::{Batch, Engine};
use tests::bench::protocol::Kind;
use tests::binaries;

const VALUE_LEN: usize = 32;
const MILLION: u64 = 1_000_000;
static ONE_MILLION: LazyLock<Engine> = LazyLock::new(|| filled(MILLION));
static TEN_MILLION: LazyLock<Engine> = LazyLock::new(|| filled(10 * MILLION));
/// Millions of keys, and operations per batch.
const CASES: [(u64, usize); 6] = [(1, 1), (1, 16), (1, 64), (10, 1), (10, 16), (10, 64)];

fn main() {
    divan::main();
}

fn filled(keys: u64) -> Engine {
    let engine = Engine::open(&binaries::memory_engine());
    engine.fill(keys, VALUE_LEN);
    engine
}

#[divan::bench(args = CASES, threads = [1, 2], min_time = 1)]
fn get(bencher: Bencher<'_, '_>, case: (u64, usize)) {
    measure(bencher, Kind::Get, case);
}

#[divan::bench(args = CASES, threads = [1, 2], min_time = 1)]
fn set(bencher: Bencher<'_, '_>, case: (u64, usize)) {
    measure(bencher, Kind::Set, case);
}

fn measure(bencher: Bencher<'_, '_>, kind: Kind, (millions, size): (u64, usize)) {
    let engine: &Engine = if millions == 1 { &ONE_MILLION } else { &TEN_MILLION };
    let drawn = || {
        let (mut rng, mut batch) = (rand::rng(), Batch::new(kind, size, VALUE_LEN));
        batch.draw(|| rng.random_range(0..millions * MILLION));
        batch
    };
    bencher.counter(ItemsCount::new(size)).with_inputs(drawn).bench_refs(|batch| batch.run(engine));
}
