//! The C header is what the Rust definitions say: regenerated, compiled as C and C++, compared field by field.

mod generate;

use std::path::Path;

/// Set by `scripts/header`: write the header instead of comparing.
const WRITE: &str = "KV_HEADER_WRITE";

#[test]
fn the_header_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("include/kvstore.h");
    let wanted = generate::header();
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(&path, &wanted).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    let differs = found.lines().zip(wanted.lines()).position(|(found, wanted)| found != wanted);
    let line = differs.unwrap_or(found.lines().count().min(wanted.lines().count())) + 1;
    assert!(found == wanted, "include/kvstore.h differs from src/raw at line {line}: run scripts/header");
}
