//! A whole batch in one process, from parsed pipeline to encoded reply: all that the host does but for sockets and parsing.

use std::cell::RefCell;
use std::sync::LazyLock;

use divan::Bencher;
use divan::counter::ItemsCount;
use tests::bench::pipeline::{Client, Host};
use tests::bench::protocol::Kind;
use tests::binaries;

static HOST: LazyLock<Host> = LazyLock::new(|| Host::start(&binaries::memory_engine(), 1_000_000));
const PIPELINES: [usize; 3] = [1, 16, 64];

fn main() {
    divan::main();
}

#[divan::bench(args = PIPELINES, threads = [1, 2])]
fn get(bencher: Bencher<'_, '_>, pipeline: usize) {
    measure(bencher, Kind::Get, pipeline);
}

#[divan::bench(args = PIPELINES, threads = [1, 2])]
fn set(bencher: Bencher<'_, '_>, pipeline: usize) {
    measure(bencher, Kind::Set, pipeline);
}

thread_local! {
    /// The thread's client, and what it sends.
    static CLIENT: RefCell<Option<(Kind, usize, Client)>> = const { RefCell::new(None) };
}

fn measure(bencher: Bencher<'_, '_>, kind: Kind, pipeline: usize) {
    let serve = |(): &mut ()| {
        CLIENT.with_borrow_mut(|client| client.as_mut().map_or(0, |(.., client)| client.serve(&HOST)))
    };
    bencher.counter(ItemsCount::new(pipeline)).with_inputs(|| prepare(kind, pipeline)).bench_refs(serve);
}

/// Gives the thread a client that sends this, unless it has one.
fn prepare(kind: Kind, pipeline: usize) {
    CLIENT.with_borrow_mut(|client| {
        if client.as_ref().is_none_or(|(of, size, _)| (*of, *size) != (kind, pipeline)) {
            *client = Some((kind, pipeline, Client::new(&HOST, kind, pipeline, 1)));
        }
    });
}
