//! Conformance: the rules of the contract as small tests, run on any engine through its resolved symbols.
//!
//! The suite does no I/O and starts no thread: whoever runs it gives it empty directories and a way to run closures side by side.
//! It believes the engine nothing but its identity; an engine that crashes or hangs takes the caller along, so the caller
//! is best a process made for it.

mod atomic;
mod basics;
mod batch;
mod capabilities;
mod expiry;
mod flight;
mod handoff;
mod host;
mod model;
mod parallel;
mod random;
mod request;
mod scan;
mod trial;
mod update;
mod versions;

use core::fmt;

pub use capabilities::{Capability, CapabilityKind, capabilities};

use crate::Identity;
use crate::calls::{CallError, Calls};
use trial::{Path, Trial};

/// Runs all of the closures at the same time, and returns when all have ended.
pub type Parallel<'a> = &'a (dyn Fn(&[&(dyn Fn() + Sync)]) + Sync);

/// The engine under test, and what the suite needs from whoever runs it.
pub struct Subject<'a> {
    /// The functions of the library.
    pub calls: Calls,
    /// What the library says it is.
    pub identity: Identity,
    /// Options that every instance is opened with.
    pub options: Vec<(String, String)>,
    /// Makes an empty directory and answers its path, once for each instance.
    pub scratch_dir: &'a (dyn Fn() -> String + Sync),
    /// Runs closures side by side.
    pub parallel: Parallel<'a>,
    /// How long a batch may take until it is taken for lost, in milliseconds. [`PATIENCE_MS`] does for engines on this
    /// machine.
    pub patience_ms: u64,
}

/// How long to wait for a completion before the test fails: much longer than any machine is busy.
pub const PATIENCE_MS: u64 = 30_000;

impl fmt::Debug for Subject<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subject").field("identity", &self.identity).finish_non_exhaustive()
    }
}

/// What came of a test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The engine keeps the rule.
    Passed,
    /// It does not: what was found, and what was wanted.
    Failed(String),
    /// The rule does not concern this engine: which capability it lacks.
    Skipped(String),
}

/// One test that was run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// Which part of the contract it is about.
    pub group: &'static str,
    /// The test's name.
    pub name: &'static str,
    /// The rule that it holds, in a sentence.
    pub rule: &'static str,
    /// What came of it.
    pub outcome: Outcome,
}

/// One test of the suite.
#[derive(Clone, Copy, Debug)]
pub struct Test {
    /// Which part of the contract it is about.
    pub group: &'static str,
    /// The test's name.
    pub name: &'static str,
    /// The rule that it holds, in a sentence.
    pub rule: &'static str,
    ways: Ways,
    run: fn(&Trial<'_>) -> Check,
}

/// Whether a test looks the same through single calls and through batches, and is run both ways.
#[derive(Clone, Copy, Debug)]
enum Ways {
    Both,
    Once,
}

/// Why a test ended early.
#[derive(Debug)]
enum Stop {
    Failed(String),
    Skipped(String),
}

type Check = Result<(), Stop>;

impl From<CallError> for Stop {
    fn from(error: CallError) -> Self {
        Self::Failed(error.to_string())
    }
}

/// Fails the test at hand unless a condition holds.
macro_rules! ensure {
    ($cond:expr, $($text:tt)+) => {
        if !$cond {
            return Err($crate::conformance::Stop::Failed(format!($($text)+)));
        }
    };
}

/// Lists the tests of a file, each with its rule; `both` are run through single calls and through batches.
macro_rules! suite {
    ($group:literal: $($ways:ident $name:ident: $rule:literal;)*) => {
        pub(super) const TESTS: &[$crate::conformance::Test] = &[$(
            $crate::conformance::Test {
                group: $group,
                name: stringify!($name),
                rule: $rule,
                ways: suite!(@$ways),
                run: $name,
            }
        ),*];
    };
    (@both) => { $crate::conformance::Ways::Both };
    (@once) => { $crate::conformance::Ways::Once };
}
use {ensure, suite};

/// All tests of the suite, in the order in which they build on each other.
pub fn tests() -> impl Iterator<Item = &'static Test> {
    let groups = [
        basics::TESTS,
        expiry::TESTS,
        versions::TESTS,
        update::TESTS,
        batch::TESTS,
        atomic::TESTS,
        scan::TESTS,
        random::TESTS,
        handoff::TESTS,
        model::TESTS,
        parallel::TESTS,
    ];
    groups.into_iter().flatten()
}

/// Runs the whole suite. Whoever wants to know which test a crash was in runs them one by one.
pub fn run(subject: &Subject<'_>) -> Vec<Case> {
    tests().map(|test| test.run(subject)).collect()
}

impl Test {
    /// Runs this test, on instances of its own.
    pub fn run(&self, subject: &Subject<'_>) -> Case {
        let outcome = match self.checked(subject) {
            Ok(()) => Outcome::Passed,
            Err(Stop::Failed(text)) => Outcome::Failed(text),
            Err(Stop::Skipped(text)) => Outcome::Skipped(text),
        };
        Case { group: self.group, name: self.name, rule: self.rule, outcome }
    }

    fn checked(&self, subject: &Subject<'_>) -> Check {
        if !subject.identity.has(crate::raw::KV_CAP_SCRATCH) {
            return Err(Stop::Skipped(
                "without SCRATCH the engine would touch its real resources".to_owned(),
            ));
        }
        self.on_path(subject, Path::Calls)?;
        let again =
            matches!(self.ways, Ways::Both) && subject.calls.optional_symbols().contains(&"kv_submit");
        if !again {
            return Ok(());
        }
        self.on_path(subject, Path::Batches).map_err(|stop| match stop {
            Stop::Failed(text) => Stop::Failed(format!("through kv_submit: {text}")),
            skipped @ Stop::Skipped(_) => skipped,
        })
    }

    fn on_path(&self, subject: &Subject<'_>, path: Path) -> Check {
        let trial = Trial::open(subject, path)?;
        let checked = (self.run)(&trial);
        trial.end(checked)
    }
}
