//! The target `glob`: see `tests::fuzz::glob`.

#![no_main]

#[global_allocator]
static ALLOCATOR: tests::fuzz::memory::Counting = tests::fuzz::memory::Counting;

libfuzzer_sys::fuzz_target!(|data: &[u8]| tests::fuzz::glob::check(data));
