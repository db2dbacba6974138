//! Tests of loading, unloading, and of the look at what became of the library.

use std::sync::Arc;
use std::sync::mpsc;

use super::*;
use crate::plugin::file::tests::engine;
use crate::plugin::file::{EngineFile, PrivateDir};

struct Place {
    dir: tempfile::TempDir,
    private: Arc<PrivateDir>,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let private = PrivateDir::create(Some(dir.path())).unwrap();
        Self { dir, private }
    }

    fn copy(&self, added: &str, flags: &[&str], generation: u64) -> PrivateCopy {
        let file = EngineFile::open(&engine(self.dir.path(), added, flags)).unwrap();
        self.private.copy(&file, generation).unwrap()
    }

    fn load(&self, added: &str, flags: &[&str], generation: u64) -> Result<Library, LoadError> {
        // SAFETY: the library of the test keeps to the ABI, and nothing of it is used after its unload.
        unsafe { Library::load(self.copy(added, flags, generation)) }
    }
}

#[test]
fn a_library_is_loaded_and_goes_again() {
    let place = Place::new();
    for generation in 1..4 {
        let library = place.load("", &[], generation).unwrap();
        let path = library.path().to_owned();
        assert!(!mappings(&path).is_empty() && path.exists());
        assert!(library.layout().is_none());
        assert_eq!(library.unload(), Verdict::Unmapped);
        assert!(mappings(&path).is_empty() && !path.exists());
    }
}

#[test]
fn what_became_of_one_is_seen_through_a_link() {
    let (place, dir) = (Place::new(), tempfile::tempdir().unwrap());
    let link = dir.path().join("link");
    std::os::unix::fs::symlink(place.dir.path(), &link).unwrap();
    let place = Place { private: PrivateDir::create(Some(&link)).unwrap(), ..place };
    let library = place.load("", &["-Wl,-z,nodelete"], 1).unwrap();
    assert!(!mappings(library.path()).is_empty());
    assert!(matches!(library.unload(), Verdict::Pinned(_)));
}

#[test]
fn two_copies_of_the_same_bytes_are_two_libraries() {
    let place = Place::new();
    let (one, two) = (place.load("", &[], 1).unwrap(), place.load("", &[], 2).unwrap());
    assert_ne!(mappings(one.path()), mappings(two.path()));
    assert_eq!((one.unload(), two.unload()), (Verdict::Unmapped, Verdict::Unmapped));
}

#[test]
fn one_that_is_dropped_stays_loaded() {
    let place = Place::new();
    let library = place.load("", &[], 1).unwrap();
    let path = library.path().to_owned();
    drop(library);
    assert!(!mappings(&path).is_empty());
}

#[test]
fn the_loaders_words_name_the_file_that_the_operator_knows() {
    let place = Place::new();
    let added = "int nobody_has_this(void); int use(void) { return nobody_has_this(); }";
    let text = place.load(added, &[], 1).unwrap_err().to_string();
    let known = place.dir.path().join("engine.so").display().to_string();
    assert!(text.contains(&known) && text.contains("undefined symbol: nobody_has_this"), "{text}");
    assert!(!text.contains("kvstore-host-"), "{text}");
}

#[test]
fn one_whose_threads_run_is_not_closed() {
    let place = Place::new();
    // It waits, or is deep in calls of others.
    let runs =
        ["for (;;) pause();", "char deep[100000]; memset(deep, 1, sizeof deep); qsort(deep, 2, 1, compare);"];
    for (generation, run) in (1..).zip(runs) {
        let added = format!(
            "\n#include <pthread.h>\n#include <stdlib.h>\n#include <string.h>\n#include <unistd.h>\n
            int compare(const void *a, const void *b) {{ for (;;) pause(); }}
            static void *run(void *nothing) {{ {run} return nothing; }}
            __attribute__((constructor)) static void start(void) {{
                pthread_t thread;
                if (pthread_create(&thread, NULL, run, NULL) == 0) pthread_setname_np(thread, \"stays\");
            }}"
        );
        let library = place.load(&added, &["-D_GNU_SOURCE"], generation).unwrap();
        let path = library.path().to_owned();
        let verdict = library.unload();
        // Others that run all the time, as tests beside this one may have, are named too.
        let stays = "thread \"stays\" still runs in it".to_owned();
        assert!(matches!(&verdict, Verdict::InUse(threads) if threads.contains(&stays)), "{run}: {verdict}");
        assert!(verdict.to_string().starts_with("pinned(not closed: thread "));
        assert!(!mappings(&path).is_empty());
    }
}

#[test]
fn a_library_that_was_linked_to_stay_is_seen_to_stay() {
    let place = Place::new();
    let verdict = place.load("", &["-Wl,-z,nodelete"], 1).unwrap().unload().to_string();
    assert_eq!(verdict, "pinned(it is linked with -z nodelete (DF_1_NODELETE))");
}

#[test]
fn a_thread_local_destructor_pins_until_its_thread_ends() {
    let place = Place::new();
    let added = "int __cxa_thread_atexit_impl(void (*)(void *), void *, void *);
        extern void *__dso_handle;
        static void end(void *nothing) {}
        __attribute__((constructor)) static void start(void) { __cxa_thread_atexit_impl(end, 0, &__dso_handle); }";
    let copy = place.copy(added, &[], 1);
    let (path, pins) = (copy.path().to_owned(), copy.pins().clone());
    let (let_go, held) = mpsc::channel::<()>();
    let (loaded, taken) = mpsc::channel();
    // What loading it has left on the stack of the host's own thread does not count.
    let thread = threads::spawn("own", move || {
        // SAFETY: as above.
        loaded.send(unsafe { Library::load(copy) }).unwrap();
        held.recv().unwrap_err();
    });
    let thread = thread.unwrap();
    let verdict = taken.recv().unwrap().unwrap().unload().to_string();
    assert_eq!(verdict, "pinned(a thread-local destructor of it is registered on a living thread)");
    drop(let_go);
    thread.join().unwrap();
    assert_eq!(look(&path, &pins), Verdict::Unmapped);
}
