//! Pinned: an engine that leaves destructors on the threads that call it is unmapped all the same, when it is retired: those threads end.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use tests::engines::Engine;
use tests::host::{Host, Options, fields};
use tests::show::ask;
use tests::wait::wait_until;
use tests::zoo;

use super::probation::Stop;

/// How often it comes and goes.
const ROUNDS: usize = 2;

/// Threads of the host, and mappings of its copies of libraries.
fn size(host: &Host) -> (usize, usize) {
    let maps = fs::read_to_string(format!("/proc/{}/maps", host.pid())).unwrap();
    let tasks = fs::read_dir(format!("/proc/{}/task", host.pid())).unwrap().count();
    (tasks, maps.lines().filter(|line| line.contains("kvstore-host-")).count())
}

#[test]
fn a_library_that_threads_pin_goes_with_them_and_clients_notice_nothing() {
    let host = Host::start_with(Engine::Memory, &Options::config("workers = 3\n"));
    let pinned = zoo::accepted("pinned", host.dir());
    // Its calls are made from the pool.
    let dir = tempfile::tempdir().unwrap();
    let blocks = zoo::accepted_with("pinned", dir.path(), &["-DBLOCKS"]);
    let libraries = [pinned, blocks, Engine::Memory.library(host.dir())];
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let stopping = Stop(&stop);
        let run = |number: u32| {
            let (mut client, stop) = (host.client(), &stop);
            scope.spawn(move || {
                let mut count = 0;
                while !stop.load(Ordering::Relaxed) {
                    count += 1;
                    assert_eq!(ask(&mut client, &format!("INCR count:{number}")), count.to_string());
                    thread::yield_now();
                }
                assert!(count > 10);
            });
        };
        (0..6).for_each(run);
        let (mut admin, before) = (host.client(), size(&host));
        for _ in 0..ROUNDS {
            for library in &libraries {
                let reply = fields(admin.call(&["ENGINE", "RELOAD", library.to_str().unwrap()]).unwrap());
                assert_eq!(reply["previous_library"], "unmapped", "{reply:?}");
            }
            // The thread of the last step ends a moment after it has told.
            wait_until("as many threads and mappings as before", || size(&host) == before);
        }
        drop(stopping);
    });
    assert!(host.stop().contains("all workers moved on to other threads: unmapped"));
}
