//! Tests of what a file is refused for.
