//! Retire: closes the library in the child the way the host would, so that it is known beforehand what becomes of it.
//!
//! Instances are opened and closed on threads that end before the library is closed; a thread that only worked with the
//! instance lives on, as the host's workers do, and ends afterwards.

use std::sync::mpsc;
use std::thread;

use plugin_abi::Identity;
use plugin_abi::calls::{CallError, Calls, Instance, Session};
use plugin_abi::raw::{KV_CAP_SCRATCH, KV_OP_SET, KvBytes, KvOp};

use super::child::{Scratch, Tell, TrialServices};
use super::wire::Line;
use crate::plugin::keys;
use crate::plugin::library::{Library, Verdict};
use crate::plugin::threads::own;

/// Uses an instance on a living thread, closes the library, tells what became of it, and lets that thread end. `keys` were free before the library
/// was loaded.
pub(super) fn run(tell: &Tell, library: Library, identity: &Identity, scratch: &Scratch, keys: usize) {
    let calls = library.calls();
    let (let_go, held) = mpsc::channel::<()>();
    thread::scope(|scope| {
        let (mut worker, mut held_open) = (None, 0);
        if identity.has(KV_CAP_SCRATCH) {
            tell.step("opening it again");
            let opened = scope.spawn(own(|| open(calls, identity, scratch))).join();
            let instance = match opened {
                Ok(Ok(instance)) => instance,
                Ok(Err(error)) => return tell.line(&Line::NotOpened(error.to_string())),
                Err(_) => return,
            };
            let (give_back, taken) = mpsc::channel();
            worker = Some(scope.spawn(own(move || {
                work(&instance.session());
                // The other end is there until the instance has come.
                let _ = give_back.send(instance);
                let _ = held.recv();
            })));
            let Ok(instance) = taken.recv() else { return };
            // An engine's own threads find some for themselves meanwhile.
            let most = keys.saturating_sub(keys::HELD_MAX);
            let free = keys::count_free(most);
            held_open = if free < most { keys - free } else { 0 };
            match scope.spawn(own(move || instance.close())).join() {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return tell.line(&Line::not_closed(&error)),
                Err(_) => return,
            }
        }
        tell.step("unloading (dlclose)");
        let taken = || keys.saturating_sub(keys::count_free(keys::ALL));
        let held = taken().max(held_open);
        let verdict = library.unload();
        if let Verdict::InUse(threads) = verdict {
            return tell.line(&Line::ThreadsLeft(threads));
        }
        tell.line(&Line::Keys { held, kept: taken() });
        tell.line(&Line::Unloaded(verdict.to_string()));
        tell.step("the end of a thread that called it, after the unload");
        drop(let_go);
        // The end of the scope would not wait for the thread's destructors, which are the point.
        let _ = worker.map(thread::ScopedJoinHandle::join);
    });
}

fn open(calls: Calls, identity: &Identity, scratch: &Scratch) -> Result<Instance, CallError> {
    let services = Box::new(TrialServices::default());
    Instance::open(calls, identity.clone(), services, &scratch.options(), None)
}

/// A little of everything that takes no batch. What comes of it was tested before.
fn work(session: &Session<'_>) {
    let op = KvOp { value: KvBytes::new(b"value"), ..KvOp::new(KV_OP_SET, b"key") };
    let _ = session.set(&op);
    let _ = session.get(&op, |_| ());
    let _ = session.scan(0, 0, 10, &mut Vec::new(), |_| ());
    let _ = session.count(0);
    let _ = session.stats(|_| ());
    let _ = session.delete(&op);
}
