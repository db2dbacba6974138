//! Child: the side of a check that loads the engine, and may die of it.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use plugin_abi::Identity;
use plugin_abi::calls::{Calls, Event, HostServices, Instance, OpenOptions};
use plugin_abi::conformance::{self, Outcome, PATIENCE_MS, Subject, Test};
use plugin_abi::raw::{KV_CAP_SCRATCH, KvBatch};

use super::sample::Sample;
use super::wire::{Line, Request};
use super::{Depth, crash, import, limits, retire};
use crate::plugin::file::EngineFile;
use crate::plugin::keys;
use crate::plugin::library::Library;
use crate::server::Clock;

/// Groups of the suite that a short run leaves out: they go over the same rules again, at random or from several threads.
const LONG_GROUPS: [&str; 2] = ["model", "parallel"];

/// Where the child tells what it does. Lines that cannot be written are lost with the parent, and with it the child.
pub(super) struct Tell(Mutex<File>);

impl Tell {
    pub(super) fn line(&self, line: &Line) {
        let Ok(mut text) = serde_json::to_vec(line) else { return };
        text.push(b'\n');
        let _ = self.0.lock().unwrap_or_else(PoisonError::into_inner).write_all(&text);
    }

    pub(super) fn step(&self, step: impl Into<String>) {
        self.line(&Line::Step(step.into()));
    }
}

/// Runs a check as the child that [`super::check`] starts: `request` is its argument. The program does nothing before it calls this:
/// no file is open but the standard ones, and no other thread runs.
pub fn run_child(request: &str) -> ExitCode {
    let request: Request = match serde_json::from_str(request) {
        Ok(request) => request,
        Err(error) => return give_up(format!("this command is only for the host itself: {error}")),
    };
    let report = match limits::enter(&request) {
        Ok(report) => report,
        Err(error) => return give_up(format!("the limits of a check cannot be set: {error}")),
    };
    let sample = match take_stdin() {
        Ok(sample) => sample,
        Err(error) => return give_up(format!("the sample of the live data cannot be read: {error}")),
    };
    crash::tell(report.as_fd());
    let tell = Tell(Mutex::new(report));
    let (identity, pins) = match EngineFile::inspect_copy(&request.copy) {
        Ok(facts) => facts,
        Err(error) => return give_up(error.to_string()),
    };
    let keys = count_keys();
    tell.step("loading (dlopen runs its constructors)");
    // SAFETY: this process is there to die of what the library does; the copy outlives it, and nothing is called after the
    // unload.
    let library = match unsafe { Library::load_path(&request.copy, pins) } {
        Ok(library) => library,
        Err(error) => {
            tell.line(&Line::NotLoaded(error.to_string()));
            return ExitCode::SUCCESS;
        }
    };
    let trial = Trial {
        tell: &tell,
        calls: library.calls(),
        identity: &identity,
        scratch: Scratch::new(&request.scratch),
        step_timeout_ms: request.limits.step_timeout_ms,
        sample,
    };
    if trial.compare_layout(&library) && (!trial.identity.has(KV_CAP_SCRATCH) || trial.run(request.depth)) {
        tell.line(&Line::Done);
        retire::run(&tell, library, trial.identity, &trial.scratch, keys);
        tell.line(&Line::End);
    }
    ExitCode::SUCCESS
}

/// The sample that is on the standard input, from which nothing can be read afterwards.
fn take_stdin() -> io::Result<Sample> {
    let sample = Sample::read(&mut io::stdin().lock())?;
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    Ok(sample)
}

/// How many thread-specific keys are free before the engine is there, once this program has taken what it needs for its threads.
fn count_keys() -> usize {
    let _ = thread::spawn(|| thread::current().id()).join();
    keys::count_free(keys::ALL)
}

fn give_up(text: String) -> ExitCode {
    eprintln!("{text}");
    ExitCode::FAILURE
}

/// Makes the directories that instances are opened with.
pub(super) struct Scratch {
    base: PathBuf,
    count: AtomicU64,
}

impl Scratch {
    fn new(base: &Path) -> Self {
        Self { base: base.to_owned(), count: AtomicU64::new(0) }
    }

    /// An empty directory that was not used before. One that cannot be made is told by the engine that does not find it.
    pub(super) fn next(&self) -> String {
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        let path = self.base.join(number.to_string());
        if let Err(error) = std::fs::create_dir(&path) {
            eprintln!("{}: {error}", path.display());
        }
        path.to_string_lossy().into_owned()
    }

    /// Options to open an instance with, as a trial.
    pub(super) fn options(&self) -> OpenOptions {
        OpenOptions { options: Vec::new(), scratch_dir: Some(self.next()) }
    }
}

struct Trial<'a> {
    tell: &'a Tell,
    calls: Calls,
    identity: &'a Identity,
    scratch: Scratch,
    step_timeout_ms: u64,
    sample: Sample,
}

impl Trial<'_> {
    /// Whether the layouts agree, or there is none to compare.
    fn compare_layout(&self, library: &Library) -> bool {
        let Some(layout) = library.layout() else {
            self.tell.line(&Line::Layout { compared: false });
            return true;
        };
        self.tell.step("comparing type layouts (kv_rust_layout)");
        match layout.compare() {
            Ok(()) => self.tell.line(&Line::Layout { compared: true }),
            Err(text) => {
                self.tell.line(&Line::LayoutDiffers(text));
                return false;
            }
        }
        true
    }

    /// Opens and closes an instance, and runs the suite. Whether it got to the end; failed tests are no reason to stop.
    fn run(&self, depth: Depth) -> bool {
        let threads = thread_ids();
        self.tell.step("kv_open");
        let services = Box::new(TrialServices::default());
        let opened =
            Instance::open(self.calls, self.identity.clone(), services, &self.scratch.options(), None);
        let instance = match opened {
            Ok(instance) => instance,
            Err(error) => {
                self.tell.line(&Line::NotOpened(error.to_string()));
                return false;
            }
        };
        self.tell.step("kv_close");
        if let Err(error) = instance.close() {
            self.tell.line(&Line::not_closed(&error));
        }
        if !self.threads_ended(&threads) {
            return false;
        }
        // What is wrong by itself needs no live data to show it.
        let passed = self.run_tests(depth);
        (!passed || self.import()) && self.threads_ended(&threads)
    }

    /// Runs the suite; answers whether all passed that concern the engine.
    fn run_tests(&self, depth: Depth) -> bool {
        let subject = Subject {
            calls: self.calls,
            identity: self.identity.clone(),
            options: Vec::new(),
            scratch_dir: &|| self.scratch.next(),
            parallel: &|closures| {
                thread::scope(|scope| {
                    let threads: Vec<_> = closures.iter().map(|closure| scope.spawn(closure)).collect();
                    // The end of the scope would not wait for the threads' destructors.
                    for thread in threads {
                        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                    }
                });
            },
            // What never completes is ended by the parent's limit, which knows how busy the machine is.
            patience_ms: PATIENCE_MS,
        };
        let wanted = |test: &&Test| depth == Depth::Full || !LONG_GROUPS.contains(&test.group);
        let mut passed = true;
        for test in conformance::tests().filter(wanted) {
            self.tell.step(format!("conformance test {}/{}", test.group, test.name));
            let case = test.run(&subject);
            let (group, name) = (case.group.to_owned(), case.name.to_owned());
            passed &= !matches!(case.outcome, Outcome::Failed(_));
            self.tell.line(&Line::Case { group, name, result: case.outcome.into() });
        }
        passed
    }

    /// Whether the sample of the live data came out as it went in, or there is none.
    fn import(&self) -> bool {
        let entries = self.sample.entries.len();
        if entries == 0 {
            return true;
        }
        self.tell.step("the import of a sample of the live data");
        let imported = import::run(self.calls, self.identity, &self.scratch, &self.sample);
        match &imported {
            Ok(imported) => self.tell.line(&Line::Sample { imported: *imported, entries }),
            Err(text) => self.tell.line(&Line::SampleDiffers(text.clone())),
        }
        imported.is_ok()
    }

    /// Whether no other threads run than before; tells which do. The kernel wakes who joins a thread a little before it is gone.
    fn threads_ended(&self, before: &[String]) -> bool {
        let deadline = Instant::now() + Duration::from_millis(self.step_timeout_ms / 2);
        loop {
            let left: Vec<_> = thread_ids().into_iter().filter(|id| !before.contains(id)).collect();
            if left.is_empty() {
                return true;
            }
            if Instant::now() >= deadline {
                self.tell.line(&Line::ThreadsLeft(left.iter().map(|id| thread_name(id)).collect()));
                return false;
            }
            thread::sleep(Duration::from_millis(1));
        }
    }
}

fn thread_ids() -> Vec<String> {
    let Ok(entries) = std::fs::read_dir("/proc/self/task") else { return Vec::new() };
    entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

fn thread_name(id: &str) -> String {
    let name = std::fs::read_to_string(format!("/proc/self/task/{id}/comm")).unwrap_or_default();
    format!("thread \"{}\"", name.trim())
}

/// The services for an instance that is opened outside of the suite.
#[derive(Default)]
pub(super) struct TrialServices {
    clock: Clock,
    // The time for expiry, where it stands still.
    now_ms: Option<i64>,
}

impl TrialServices {
    /// Services whose time for expiry stands still.
    pub(super) fn at(now_ms: i64) -> Self {
        Self { now_ms: Some(now_ms), ..Self::default() }
    }
}

impl HostServices for TrialServices {
    fn log(&self, _level: u32, text: &str) {
        eprintln!("{text}");
    }

    fn now_ms(&self) -> i64 {
        self.now_ms.unwrap_or_else(|| self.clock.now_ms())
    }

    fn monotonic_ns(&self) -> u64 {
        self.clock.monotonic_ns()
    }

    fn complete(&self, _batch: *mut KvBatch, _first: u32, _count: u32) {
        eprintln!("a completion came without a batch");
    }

    fn event(&self, _event: Event<'_>) {}

    fn metric(&self, _name: &str, _kind: u32, _number: i64) {}
}
