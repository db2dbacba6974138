//! The parser: pipelines of requests, complete and cut in two.

#![allow(clippy::panic, reason = "a measurement stops at the first surprise")]

use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use kvstore_host::protocol::{Limits, Parsed, Parser, Requests};

fn main() {
    divan::main();
}

/// Requests per pipeline.
const PIPELINE: usize = 64;

fn get() -> Vec<u8> {
    (0..PIPELINE)
        .flat_map(|number| format!("*2\r\n$3\r\nGET\r\n$16\r\nkey:{number:012}\r\n").into_bytes())
        .collect()
}

fn set(value_len: usize) -> Vec<u8> {
    let value = "v".repeat(value_len);
    let request = |number| {
        format!("*3\r\n$3\r\nSET\r\n$16\r\nkey:{number:012}\r\n${value_len}\r\n{value}\r\n").into_bytes()
    };
    (0..PIPELINE).flat_map(request).collect()
}

/// Finds all requests in these bytes, of which only `first_len` are there at first.
fn parse(bytes: &[u8], first_len: usize, parser: &mut Parser, limits: &Limits, requests: &mut Requests) {
    requests.clear();
    let (mut start, mut there) = (0, first_len);
    while start < bytes.len() {
        match parser.parse(&bytes[..there], start, limits, requests) {
            Ok(Parsed::Request { consumed } | Parsed::Empty { consumed }) => start += consumed,
            Ok(Parsed::Incomplete { .. }) => there = bytes.len(),
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(requests.len(), PIPELINE);
}

fn measure(bencher: Bencher<'_, '_>, bytes: &[u8], first_len: usize) {
    let (mut parser, limits, mut requests) = (Parser::new(), Limits::default(), Requests::default());
    let bencher = bencher.counter(ItemsCount::new(PIPELINE)).counter(BytesCount::new(bytes.len()));
    bencher.bench_local(|| parse(bytes, first_len, &mut parser, &limits, &mut requests));
}

#[divan::bench]
fn gets(bencher: Bencher<'_, '_>) {
    let bytes = get();
    measure(bencher, &bytes, bytes.len());
}

#[divan::bench(args = [32, 1024])]
fn sets(bencher: Bencher<'_, '_>, value_len: usize) {
    let bytes = set(value_len);
    measure(bencher, &bytes, bytes.len());
}

#[divan::bench]
fn gets_cut_in_two(bencher: Bencher<'_, '_>) {
    let bytes = get();
    measure(bencher, &bytes, bytes.len() / 2 + 7);
}
