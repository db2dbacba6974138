//! The target `parser`: see `tests::fuzz::parser`.

#![no_main]

#[global_allocator]
static ALLOCATOR: tests::fuzz::memory::Counting = tests::fuzz::memory::Counting;

libfuzzer_sys::fuzz_target!(|data: &[u8]| tests::fuzz::parser::check(data));
