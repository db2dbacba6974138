//! Clock: the time of day that both servers share, and that stands still until it is moved.

#![allow(clippy::expect_used, reason = "a test's helper stops at the first surprise")]

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::binaries;

/// The shared clock: a file that servers map, and the library that makes them look there.
#[derive(Debug)]
pub struct Clock {
    file: File,
    path: PathBuf,
    library: PathBuf,
}

impl Clock {
    /// Makes a clock in this directory.
    ///
    /// # Panics
    /// The file cannot be made, or there is no C compiler.
    pub fn new(dir: &Path) -> Self {
        let (path, library) = (dir.join("clock"), dir.join("libclock.so"));
        binaries::c_library(&binaries::root().join("tests/src/differential/clock.c"), &library, &[]);
        let file = File::create(&path).expect("the clock's file");
        let clock = Self { file, path, library };
        clock.set_ms(0);
        clock
    }

    /// What a server's environment needs for it to follow this clock.
    pub fn env(&self) -> Vec<(String, String)> {
        vec![
            ("KV_CLOCK".to_owned(), self.path.display().to_string()),
            ("LD_PRELOAD".to_owned(), self.library.display().to_string()),
        ]
    }

    /// Sets the time, in milliseconds since 1970 UTC.
    ///
    /// # Panics
    /// The file cannot be written.
    pub fn set_ms(&self, now_ms: i64) {
        // Eight bytes within one page: a reader of the mapping sees them all or none.
        self.file.write_all_at(&(now_ms * 1000).to_ne_bytes(), 0).expect("the clock's file");
    }
}
