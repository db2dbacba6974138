//! Killed: at each moment of a reload, on each way that one can take, the host ends itself; a restart serves with the engine that the manifest names,
//! and with all that this one has acknowledged.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use kvstore_client::{Client, Error, Pipeline};
use plugin_abi::raw::KV_CAP_SCRATCH;
use tempfile::TempDir;
use tests::binaries;
use tests::engines::changed;
use tests::host::{Host, Options, fields};
use tests::show::show;
use tests::variant::variant;
use tests::wait::wait_for;
use tests::zoo;

use super::probation::{boom, that_booms};

/// A way from engine to engine.
struct Way {
    name: &'static str,
    /// The libraries of all generations that come to serve, from the first on.
    engines: &'static [&'static str],
    /// The options of the first one.
    options: &'static [&'static str],
    config: &'static str,
    /// How many clients write meanwhile.
    writers: usize,
    /// The first and the last of the moments at which the host is killed: what comes before and after is as on other ways.
    moments: (&'static str, &'static str),
    walk: fn(&mut Walk) -> Result<(), Gone>,
}

const PLAIN: Way = Way {
    name: "",
    engines: &[],
    options: &[],
    config: "probation_latency_percent = 0\n",
    writers: 2,
    moments: ("Idle Requested 1", "Accept: done 1"),
    walk: |_| Ok(()),
};
const ON_A_FILE: Way = Way { options: &["path={dir}/a"], ..PLAIN };

const WAYS: [Way; 15] = [
    Way {
        name: "migrate",
        engines: &["file-a", "file-b"],
        walk: |walk| walk.done("ENGINE RELOAD {lib}/file-b.so MIGRATE OPTS path={dir}/b"),
        ..ON_A_FILE
    },
    Way {
        name: "reopen",
        engines: &["file-a", "file-b"],
        moments: ("Ready Succeeded 1", "Accept: done 1"),
        walk: |walk| walk.done("ENGINE RELOAD {lib}/file-b.so"),
        ..ON_A_FILE
    },
    Way {
        name: "adopt",
        engines: &["memory-a", "memory-b"],
        walk: |walk| walk.done("ENGINE RELOAD {lib}/memory-b.so"),
        ..PLAIN
    },
    Way {
        name: "rollback",
        engines: &["memory-a", "file-b", "memory-a"],
        moments: ("Migrate CaughtUp 2", "Release: done 4"),
        walk: |walk| {
            walk.done("ENGINE RELOAD {lib}/file-b.so OPTS path={dir}/b")?;
            walk.done("ENGINE ROLLBACK")
        },
        ..PLAIN
    },
    Way {
        name: "probation, and back",
        engines: &["file-a", "file-b", "file-a"],
        moments: ("Finish OnProbation 1", "Accept: done 1"),
        walk: |walk| {
            walk.done("ENGINE RELOAD {lib}/file-b.so PROBATION 10m OPTS path={dir}/b")?;
            walk.done("ENGINE ROLLBACK")
        },
        ..ON_A_FILE
    },
    Way {
        name: "probation, and back by itself",
        engines: &["file-a", "fails", "file-a"],
        writers: 0,
        moments: ("Probation Regressed 1", "Release: done 3"),
        walk: |walk| {
            walk.done("ENGINE RELOAD {lib}/fails.so PROBATION 10m OPTS")?;
            walk.done("CONFIG SET probation-errors-max 0")?;
            walk.close_gate();
            while !walk.ask("GET key:0")?.starts_with('!') {}
            walk.open_gate();
            walk.until_idle()
        },
        ..ON_A_FILE
    },
    Way {
        name: "probation, and back from an engine that panicked",
        engines: &["file-a", "panics", "file-a"],
        writers: 0,
        moments: ("Probation Unreadable 1", "Release: done 3"),
        walk: |walk| {
            walk.done("ENGINE RELOAD {lib}/panics.so PROBATION 10m OPTS")?;
            while !walk.ask("GET key:0")?.starts_with('!') {}
            walk.until("a write that is taken", |walk| Ok(walk.ask("SET key:0 0")? == "OK"))?;
            walk.until_idle()
        },
        ..ON_A_FILE
    },
    Way {
        name: "probation, and back without what is lacking",
        engines: &["file-a", "boom", "file-a"],
        writers: 0,
        moments: ("Probation Unreadable 1", "Release: done 4"),
        walk: |walk| {
            walk.done("ENGINE RELOAD {lib}/boom.so PROBATION 10m OPTS")?;
            boom(&mut walk.admin)?;
            walk.until("what is lacking", |walk| Ok(walk.info("reload_phase")? == "lacking"))?;
            walk.done("ENGINE ROLLBACK")
        },
        ..ON_A_FILE
    },
    Way {
        name: "probation, and on",
        engines: &["memory-a", "file-b"],
        moments: ("Probation Passed 1", "Drain Succeeded 1"),
        walk: |walk| {
            walk.done("ENGINE RELOAD {lib}/file-b.so PROBATION 10m OPTS path={dir}/b")?;
            walk.done("ENGINE PROMOTE")
        },
        ..PLAIN
    },
    Way {
        name: "shadow, promoted",
        engines: &["memory-a", "file-b"],
        moments: ("Migrate InStep 1", "Finish: done 1"),
        walk: |walk| {
            walk.done("ENGINE SHADOW {lib}/file-b.so OPTS path={dir}/b")?;
            walk.done("ENGINE PROMOTE")
        },
        ..PLAIN
    },
    Way {
        name: "shadow, dropped",
        engines: &["file-a"],
        moments: ("Shadow Cancelled 1", "Refuse: done 1"),
        walk: |walk| {
            walk.done("ENGINE SHADOW {lib}/file-b.so OPTS path={dir}/b")?;
            walk.done("ENGINE DROP")
        },
        ..ON_A_FILE
    },
    // Something hangs, as long as there is a gate.
    Way {
        name: "a handoff that hangs",
        engines: &["adopts-a"],
        options: &["fail=give:hang", "gate={dir}/gate"],
        moments: ("Adopt TimedOut 1", "DropCandidate: done 1"),
        walk: |walk| {
            walk.close_gate();
            walk.done("CONFIG SET drain-timeout-ms 2000")?;
            let reply = walk.ask("ENGINE RELOAD {lib}/adopts-b.so OPTS")?;
            assert!(reply.contains("kv_handoff_give has not succeeded"), "{reply}");
            walk.open_gate();
            walk.until_idle()
        },
        ..PLAIN
    },
    Way {
        name: "a shadow that hangs",
        engines: &["memory-a"],
        moments: ("Shadow TimedOut 1", "Refuse: done 1"),
        walk: |walk| {
            walk.done("ENGINE SHADOW {lib}/set-waits.so OPTS")?;
            walk.done("CONFIG SET drain-timeout-ms 1000")?;
            walk.close_gate();
            walk.until_idle()
        },
        ..PLAIN
    },
    Way {
        name: "an engine before that hangs while it is fed",
        engines: &["set-waits", "memory-a"],
        moments: ("Cease TimedOut 1", "Accept: done 1"),
        walk: |walk| {
            walk.done("ENGINE RELOAD {lib}/memory-a.so PROBATION 10m")?;
            walk.done("CONFIG SET drain-timeout-ms 1000")?;
            walk.close_gate();
            walk.until("what is not copied", |walk| Ok(walk.info("probation_lag_keys")?.len() > 1))?;
            walk.done("ENGINE PROMOTE")
        },
        ..PLAIN
    },
    Way {
        name: "an engine before that hangs when it is closed",
        engines: &["close-waits", "memory-a"],
        config: "open_timeout_ms = 3000\n",
        moments: ("Retire TimedOut 1", "Accept: done 1"),
        walk: |walk| {
            walk.close_gate();
            walk.done("ENGINE RELOAD {lib}/memory-a.so")
        },
        ..PLAIN
    },
];

/// The host was killed.
struct Gone;

impl From<Error> for Gone {
    fn from(_: Error) -> Self {
        Self
    }
}

/// The libraries of all ways. They lack SCRATCH, so that no check opens them, and what else makes a start take longer.
fn libraries() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let waits = |name: &str, words: &str| {
        let gate = "while (getenv(\"KV_GATE\") && access(getenv(\"KV_GATE\"), F_OK) == 0) usleep(1000);";
        changed(name, words, &format!("{words} {gate}"), dir.path())
    };
    let gets = "kv_status status = check(op, KV_OP_NO_VALUE, error);";
    let fails =
        "if (getenv(\"KV_GATE\") && access(getenv(\"KV_GATE\"), F_OK) == 0) return KV_STATUS_UNAVAILABLE;";
    let fails = changed("failing", gets, &format!("{fails} {gets}"), dir.path());
    let sets = "kv_status kv_set(kv_engine *engine, const kv_op *op, uint64_t *version, kv_error *error) {";
    let closes = "kv_status kv_close(kv_engine *engine, kv_error *error) {";
    let (file, adopts) = (binaries::example("accepted_one_file"), binaries::example("accepted_adopts"));
    for (name, library, version) in [
        ("file-a", file.clone(), b'1'),
        ("file-b", file, b'2'),
        ("memory-a", binaries::memory_engine_other_build(), b'1'),
        ("memory-b", binaries::memory_engine_other_build(), b'2'),
        ("adopts-a", adopts.clone(), b'1'),
        ("adopts-b", adopts, b'2'),
        ("panics", zoo::faulty("panics 600", &dir.path().join("faulty.so")), b'1'),
        ("boom", that_booms(dir.path()), b'1'),
        ("fails", fails, b'1'),
        ("set-waits", waits("sets", sets), b'1'),
        ("close-waits", waits("closes", closes), b'1'),
    ] {
        let library = variant(&library, &dir.path().join(format!("{name}.so")), |it| {
            it.capabilities &= !KV_CAP_SCRATCH;
            it.version[0] = version;
        });
        assert!(Command::new("strip").arg(library).status().unwrap().success());
    }
    dir
}

/// A host on a way, in a directory of its own.
struct Walk<'a> {
    libraries: &'a Path,
    dir: Arc<TempDir>,
    options: Options,
    admin: Client,
}

impl Walk<'_> {
    fn ask(&mut self, line: &str) -> Result<String, Gone> {
        let line = placed(line, self.libraries, &self.dir);
        match self.admin.call(&line.split_whitespace().collect::<Vec<_>>()) {
            Ok(value) => Ok(show(&value)),
            Err(Error::Reply(error)) => Ok(format!("!{error}")),
            Err(error) => Err(error.into()),
        }
    }

    fn done(&mut self, line: &str) -> Result<(), Gone> {
        let reply = self.ask(line)?;
        assert!(!reply.starts_with('!'), "{line}: {reply}");
        Ok(())
    }

    fn until(
        &mut self,
        what: &str,
        mut holds: impl FnMut(&mut Self) -> Result<bool, Gone>,
    ) -> Result<(), Gone> {
        wait_for(what, || match holds(self) {
            Ok(false) => None,
            Ok(true) => Some(Ok(())),
            Err(gone) => Some(Err(gone)),
        })
    }

    fn until_idle(&mut self) -> Result<(), Gone> {
        self.until("the end of the reload", |walk| Ok(walk.info("reload_phase")? == "idle"))
    }

    fn info(&mut self, name: &str) -> Result<String, Gone> {
        Ok(fields(self.admin.call(&["ENGINE", "INFO"])?)[name].clone())
    }

    fn close_gate(&self) {
        fs::write(self.dir.path().join("gate"), "").unwrap();
    }

    fn open_gate(&self) {
        // Where there is one.
        let _ = fs::remove_file(self.dir.path().join("gate"));
    }
}

fn placed(text: &str, libraries: &Path, dir: &TempDir) -> String {
    let [libraries, dir] = [libraries, dir.path()].map(|path| path.display().to_string());
    text.replace("{lib}", &libraries).replace("{dir}", &dir)
}

const ENTRIES: usize = 200;

/// What a client has written under a key: the last number that was acknowledged, and the last one that was tried.
type Written = BTreeMap<String, (u64, u64)>;

/// Counts up, in keys of its own, until the host is gone.
fn write(number: usize, mut client: Client) -> Written {
    let mut all = Written::new();
    for count in 1.. {
        let key = format!("writer:{number}:{}", count % 16);
        let written = all.entry(key.clone()).or_default();
        written.1 = count;
        match client.set(key.as_bytes(), count.to_string().as_bytes()) {
            Ok(()) => written.0 = count,
            // It may be there or not.
            Err(Error::Reply(_)) => {}
            Err(_) => break,
        }
        // The check of an engine runs at the lowest priority.
        thread::park_timeout(Duration::from_millis(3));
    }
    all
}

/// What became of a host that has walked a way.
struct Walked {
    dir: Arc<TempDir>,
    options: Options,
    /// What it came to, in this order; with the moments at its start.
    moments: Vec<String>,
    written: Written,
}

impl Way {
    /// Walks it, to the end of the host: by itself at a moment, or in order.
    fn walk(&self, libraries: &Path, kill_at: Option<&str>) -> Walked {
        // Where there is one in memory: there is much to sync, and a kill does not ask for it.
        let dir = Arc::new(tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap());
        let engine = self.engines.first().unwrap();
        let args =
            ["--listen=127.0.0.1:0", "--state-dir={dir}/state", &format!("--engine={{lib}}/{engine}.so")];
        let options = self.options.iter().map(|option| format!("--engine-opt={option}"));
        let args = args.map(str::to_owned).into_iter().chain(options);
        let args = args.map(|arg| placed(&arg, libraries, &dir)).collect();
        let env = [("KV_GATE", "{dir}/gate"), ("RUST_LOG", "info,kvstore_host::fail_point=debug")];
        let env = env.map(|(name, value)| (name.to_owned(), placed(value, libraries, &dir))).to_vec();
        let options = Options { args, env, ..Options::config(self.config) };
        let mut killed = options.clone();
        killed.env.extend(kill_at.map(|moment| ("KV_KILL_AT".to_owned(), moment.to_owned())));

        let mut host = Host::start_in(Arc::clone(&dir), &killed);
        let mut admin = host.client();
        let mut pipeline = Pipeline::new();
        for number in 0..ENTRIES {
            pipeline.add(&["SET", &format!("key:{number}"), &number.to_string()]);
        }
        assert!(admin.run(&pipeline).unwrap().iter().all(Result::is_ok));
        let writers = (0..self.writers).map(|number| {
            let client = host.client();
            thread::spawn(move || write(number, client))
        });
        let writers: Vec<_> = writers.collect();
        let mut walk = Walk { libraries, dir, options, admin };
        let walked = (self.walk)(&mut walk);
        walk.open_gate();
        if walked.is_ok() {
            // What it is to be killed at may come in the end of it only.
            host.signal(libc::SIGTERM);
        }
        let status = host.wait();
        let ended = status.signal() == kill_at.map(|_| libc::SIGKILL);
        assert!(ended, "'{}', killed at {kill_at:?}: {status}:\n{}", self.name, host.log.text());
        let marked =
            |line: &str| line.split_once(" kvstore_host::fail_point] ").map(|(_, name)| name.to_owned());
        let moments = host.log.text().lines().filter_map(marked).collect();
        let written = writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect();
        Walked { dir: walk.dir, options: walk.options, moments, written }
    }

    /// The moments at which it is to be killed, each with how many times it has come by then since the start.
    fn moments(&self, walked: &Walked) -> Vec<String> {
        let mut times = BTreeMap::<&str, usize>::new();
        let counted = walked.moments.iter().map(|name| {
            let times = times.entry(name).or_default();
            *times += 1;
            format!("{name} {times}")
        });
        let all: Vec<String> = counted.collect();
        let [first, last] = [self.moments.0, self.moments.1].map(|moment| {
            let place = all.iter().position(|one| one == moment);
            place.unwrap_or_else(|| panic!("'{}' does not come to '{moment}': {all:?}", self.name))
        });
        all[first..=last].to_vec()
    }

    fn is_killed_at(&self, moment: &str, libraries: &Path) {
        let _told = Told(format!("on the way '{}', killed at '{moment}'", self.name));
        let Walked { dir, options, moments, written } = self.walk(libraries, Some(moment));
        // Each manifest that is put in its place names the next generation, the first one at the start. What was made the live engine is named.
        let count = |wanted: &str| moments.iter().filter(|moment| *moment == wanted).count();
        let most = count(PUT) - usize::from(moment.starts_with(PUT) && !moment.contains("done"));
        let published = ["Publish: done", "PublishOld: done", "published"].map(count).iter().sum::<usize>();
        let least = count(&format!("{PUT}: done")).max(1 + published);
        let manifest = fs::read_to_string(dir.path().join("state/manifest")).unwrap();
        let line = manifest.lines().find_map(|line| line.strip_prefix("generation = ")).unwrap();
        let named: usize = line.parse().unwrap();
        assert!((least..=most).contains(&named), "{named} of {least} to {most}");

        let host = Host::start_in(dir, &options);
        let info = host.engine_info();
        let library = libraries.join(self.engines[named - 1]).with_extension("so");
        assert_eq!((&*info["generation"], &*info["path"]), (line, library.to_str().unwrap()));
        assert!(manifest.contains(&info["digest"]) && info["manifest"] == format!("generation {named}"));
        let kept = fs::read_dir(host.path("state")).unwrap().map(|entry| entry.unwrap().path());
        assert_eq!(kept.filter(|path| path.extension().is_some_and(|end| end == "so")).count(), 1);
        let mut client = host.client();
        if info["engine"] == "one-file" {
            for number in 0..ENTRIES {
                let value = client.get(format!("key:{number}").as_bytes()).unwrap();
                assert_eq!(value, Some(number.to_string().into_bytes()), "key:{number}");
            }
            for (key, (acknowledged, tried)) in written {
                let value = client.get(key.as_bytes()).unwrap();
                let value = value.map_or(0, |value| String::from_utf8(value).unwrap().parse().unwrap());
                let right = (acknowledged..=tried).contains(&value);
                assert!(right, "{key}: {value} of {acknowledged} to {tried}");
            }
        }
        client.set(b"after", b"it").unwrap();
        assert_eq!(client.get(b"after").unwrap().as_deref(), Some(&b"it"[..]));
        host.kill();
    }
}

/// What a host says when it puts a manifest in its place.
const PUT: &str = "putting the next manifest in its place";

/// Says where a test has failed.
struct Told(String);

impl Drop for Told {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("{}", self.0);
        }
    }
}

/// Does this with each, some at the same time: on the way a host often waits.
fn each<'a, T: Sync, R: Send>(all: &'a [T], run: impl Fn(&'a T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let some = || std::iter::from_fn(|| Some(run(all.get(next.fetch_add(1, Ordering::Relaxed))?))).collect();
    thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(some)).collect();
        threads.into_iter().flat_map(|thread| -> Vec<R> { thread.join().unwrap() }).collect()
    })
}

/// The actions of the state machine, from its source: none is forgotten that way.
fn actions() -> Vec<String> {
    let source = fs::read_to_string(binaries::root().join("kvstore-host/src/plugin/reload.rs")).unwrap();
    let (_, all) = source.split_once("pub enum Action {").unwrap();
    let (all, _) = all.split_once("\n}").unwrap();
    all.lines().filter_map(|line| line.trim().strip_suffix(',')).map(str::to_owned).collect()
}

#[test]
fn killed_at_each_moment_of_each_way_it_serves_with_the_right_engine_and_the_right_data() {
    let dir = libraries();
    let all = each(&WAYS, |way| {
        let moments = way.moments(&way.walk(dir.path(), None));
        moments.into_iter().map(move |moment| (way, moment))
    });
    let all: Vec<(&Way, String)> = all.into_iter().flatten().collect();
    let done = all.iter().filter_map(|(_, moment)| moment.split_once(": done"));
    let done: BTreeSet<&str> = done.map(|(name, _)| name).collect();
    let missing: Vec<_> = actions().into_iter().filter(|action| !done.contains(&**action)).collect();
    assert!(missing.is_empty(), "no way is killed at {missing:?}");
    each(&all, |(way, moment)| way.is_killed_at(moment, dir.path()));
}
