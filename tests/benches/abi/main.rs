//! The ABI call: an engine that does nothing, called as the Rust code that it is, and through the library that was made of it.

use std::hint::black_box;
use std::sync::LazyLock;

use divan::Bencher;
use divan::counter::ItemsCount;
use plugin_abi::sdk::{Engine as _, Op};
use tests::bench::engine::{Batch, Engine};
use tests::bench::protocol::Kind;
use tests::binaries;

mod constant;

static LOADED: LazyLock<Engine> = LazyLock::new(|| Engine::open(&binaries::example("bench_constant")));
const SIZES: [usize; 3] = [1, 16, 64];

fn main() {
    LazyLock::force(&LOADED);
    divan::main();
}

fn batch(size: usize) -> Batch {
    let mut batch = Batch::new(Kind::Get, size, constant::VALUE.len());
    let mut number = 0;
    batch.draw(|| {
        number += 1;
        number
    });
    batch
}

/// The trait's function for each operation, with nothing between.
#[divan::bench(args = SIZES)]
fn direct(bencher: Bencher<'_, '_>, size: usize) {
    let batch = batch(size);
    let mut bytes = Vec::new();
    bencher.counter(ItemsCount::new(size)).bench_local(|| {
        bytes.clear();
        for raw in batch.ops() {
            // SAFETY: an operation whose key lives in the batch.
            let op = unsafe { Op::new(black_box(raw)) };
            let found = constant::Constant.get(&op, &mut |entry| bytes.extend_from_slice(entry.value));
            black_box(found.is_ok());
        }
        bytes.len()
    });
}

/// `kv_get` of the library for each operation.
#[divan::bench(args = SIZES)]
fn library_per_call(bencher: Bencher<'_, '_>, size: usize) {
    let batch = batch(size);
    let mut bytes = Vec::new();
    bencher.counter(ItemsCount::new(size)).bench_local(|| {
        bytes.clear();
        batch.ops().iter().for_each(|op| LOADED.get(black_box(op), &mut bytes));
        bytes.len()
    });
}

/// `kv_submit` of the library for all of them together.
#[divan::bench(args = SIZES)]
fn library_per_batch(bencher: Bencher<'_, '_>, size: usize) {
    let mut batch = batch(size);
    bencher.counter(ItemsCount::new(size)).bench_local(|| batch.run(&LOADED));
}
