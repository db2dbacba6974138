//! Tests of the state directory: what a restart finds after each step, whatever fails.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::plugin::file::tests::engine;

/// Which steps fail: each bit stands for one.
#[derive(Debug, Default)]
pub(super) struct Faults(AtomicUsize);

impl Faults {
    pub(super) fn reach(&self, step: Step) -> io::Result<()> {
        match self.0.load(Ordering::Relaxed) & 1 << step as usize {
            0 => Ok(()),
            _ => Err(io::Error::new(io::ErrorKind::StorageFull, "the disk is full")),
        }
    }

    fn set(&self, steps: &[Step]) {
        self.0.store(steps.iter().fold(0, |all, step| all | 1 << *step as usize), Ordering::Relaxed);
    }
}

struct Rig {
    root: tempfile::TempDir,
    dir: Option<Arc<StateDir>>,
}

impl Rig {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let dir = Some(StateDir::open(&root.path().join("state")).unwrap());
        Self { root, dir }
    }

    fn dir(&self) -> &Arc<StateDir> {
        self.dir.as_ref().unwrap()
    }

    /// As a host that is started again.
    fn reopen(&mut self) {
        self.dir = None;
        // A child that another test starts right now has the lock's descriptor too, until it has become its program.
        let path = self.root.path().join("state");
        let mut opened = StateDir::open(&path);
        while matches!(&opened, Err(StateError { problem: StateProblem::Locked(_), .. })) {
            std::thread::yield_now();
            opened = StateDir::open(&path);
        }
        self.dir = Some(opened.unwrap());
    }

    fn file(&self, number: u32) -> Arc<EngineFile> {
        let path = engine(self.root.path(), &format!("int number = {number};"), &[]);
        Arc::new(EngineFile::open(&path).unwrap())
    }

    fn next(&self, file: &Arc<EngineFile>, generation: u64) -> NextManifest {
        let options = vec![("generation".to_owned(), generation.to_string())];
        NextManifest::new(self.dir.as_ref(), file, &options, generation, false)
    }

    fn serve(&self, file: &Arc<EngineFile>, generation: u64) {
        let next = self.next(file, generation);
        next.prepare().unwrap();
        next.commit().unwrap();
        next.settle();
    }

    /// The names in it, but for the lock.
    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.dir().path()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.filter(|name| name != LOCK).collect();
        names.sort();
        names
    }

    /// What a restart serves with: generation and digest.
    fn found(&self) -> (u64, Digest) {
        let manifest = self.dir().load().unwrap().unwrap();
        let library = self.dir().library(&manifest).unwrap();
        assert_eq!(manifest.options, [("generation".to_owned(), manifest.generation.to_string())]);
        assert_eq!(library.path(), manifest.source);
        (manifest.generation, *library.digest())
    }
}

#[test]
fn a_restart_finds_what_was_committed_last() {
    let mut rig = Rig::new();
    assert_eq!(rig.dir().load().unwrap(), None);
    let (one, two) = (rig.file(1), rig.file(2));
    rig.serve(&one, 1);
    assert_eq!(rig.found(), (1, *one.digest()));
    rig.serve(&two, 2);
    rig.reopen();
    assert_eq!(rig.found(), (2, *two.digest()));
    assert_eq!(rig.names().len(), 2, "{:?}: the manifest, and one copy", rig.names());
}

#[test]
fn whatever_step_fails_a_restart_finds_the_old_engine_before_the_rename_and_the_new_one_after_it() {
    use Step::*;
    for (step, committed, left) in [
        (WriteLibrary, false, 2),
        (WriteManifest, false, 2),
        (Rename, false, 2),
        (SyncDirectory, true, 3),
        (RemoveOld, true, 3),
    ] {
        let mut rig = Rig::new();
        let (one, two) = (rig.file(1), rig.file(2));
        rig.serve(&one, 1);
        rig.dir().faults.set(&[step]);
        let next = rig.next(&two, 2);
        let done = next.prepare().and_then(|()| next.commit());
        assert_eq!(done.is_ok(), committed, "{step:?}: {done:?}");
        if let Err(text) = done {
            assert!(text.contains(&step.to_string()) && text.contains("the disk is full"), "{text}");
        }
        next.settle();
        drop(next);
        rig.dir().faults.set(&[]);
        let expected = if committed { (2, *two.digest()) } else { (1, *one.digest()) };
        assert_eq!(rig.found(), expected, "{step:?}");
        assert_eq!(rig.names().len(), left, "{step:?}: {:?}", rig.names());
        let told = rig.dir().verdict();
        assert_eq!(told.contains("may not outlive a power failure"), step == SyncDirectory, "{told}");
        // What is left behind goes at the next start.
        rig.reopen();
        assert_eq!(rig.found(), expected, "{step:?}");
        rig.dir().sweep();
        assert_eq!(rig.names().len(), 2, "{step:?}: {:?}", rig.names());
        assert_eq!(rig.found(), expected, "{step:?}");
    }
}

#[test]
fn what_others_keep_in_the_directory_stays() {
    let mut rig = Rig::new();
    rig.serve(&rig.file(1), 1);
    rig.serve(&rig.file(2), 2);
    let others = ["engine.so", "libkvstore.so", "notes.txt", "x.next"];
    let left = ["library-9-left.so", "manifest-left.next"];
    for name in others.into_iter().chain(left) {
        fs::write(rig.dir().path().join(name), "").unwrap();
    }
    rig.reopen();
    rig.found();
    rig.dir().sweep();
    let names = rig.names();
    assert!(others.iter().all(|name| names.iter().any(|found| found == name)), "{names:?}");
    assert_eq!(names.len(), others.len() + 2, "{names:?}: and the manifest, and one copy");
}

#[test]
fn where_data_outlive_the_host_a_directory_that_cannot_be_synced_refuses() {
    let rig = Rig::new();
    let one = rig.file(1);
    rig.serve(&one, 1);
    let two = rig.file(2);
    let next = || NextManifest::new(rig.dir.as_ref(), &two, &Options::new(), 2, true);
    let refused = next();
    refused.prepare().unwrap();
    rig.dir().faults.set(&[Step::SyncDirectory]);
    assert!(refused.commit().unwrap_err().contains("syncing the directory"));
    rig.dir().faults.set(&[]);
    assert_eq!(rig.found(), (1, *one.digest()));
    assert_eq!(rig.dir().verdict(), "generation 1");

    // Where the one before cannot be put back either, it is said.
    let refused = next();
    refused.prepare().unwrap();
    rig.dir().faults.set(&[Step::SyncDirectory, Step::WriteManifest]);
    refused.commit().unwrap_err();
    assert!(rig.dir().verdict().contains("names generation 2, which does not serve"));
}

#[test]
fn what_is_called_off_is_never_committed_and_what_is_committed_never_called_off() {
    let rig = Rig::new();
    let (one, two) = (rig.file(1), rig.file(2));
    rig.serve(&one, 1);
    let early = rig.next(&two, 2);
    assert!(early.call_off());
    assert!(early.prepare().unwrap_err().contains("called off"));
    let late = rig.next(&two, 2);
    late.prepare().unwrap();
    assert!(late.call_off() && late.commit().is_err());
    assert_eq!((rig.found(), rig.names().len()), ((1, *one.digest()), 2));
    let done = rig.next(&two, 2);
    done.prepare().unwrap();
    done.commit().unwrap();
    assert!(!done.call_off());
    assert!(done.commit().is_err(), "once");
    done.settle();
    assert!(!done.call_off());
    assert_eq!(rig.found(), (2, *two.digest()));
    // Without a directory there is nothing that could fail.
    let none = NextManifest::default();
    assert!(none.prepare().is_ok() && none.commit().is_ok() && none.call_off());
}

#[test]
fn the_directory_is_made_for_the_host_alone() {
    let rig = Rig::new();
    assert_eq!(fs::metadata(rig.dir().path()).unwrap().mode() & 0o7777, 0o700);
    rig.serve(&rig.file(1), 1);
    for name in rig.names() {
        let mode = fs::metadata(rig.dir().path().join(&name)).unwrap().mode();
        assert_eq!(mode & 0o7777, 0o600, "{name}");
    }
    let again = StateDir::open(rig.dir().path()).unwrap_err().to_string();
    assert!(again.contains(&format!("in use by another host (process {})", std::process::id())), "{again}");
}

#[test]
fn a_directory_that_others_can_write_to_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("state");
    fs::create_dir(&path).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
    let refused = |path: &Path| StateDir::open(path).unwrap_err().to_string();
    assert!(refused(&path).contains("everybody can write to it (mode 0777)"), "{}", refused(&path));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o1777)).unwrap();
    assert!(refused(&path).contains("everybody can write to it (mode 1777)"), "{}", refused(&path));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
    fs::set_permissions(root.path(), fs::Permissions::from_mode(0o777)).unwrap();
    assert!(refused(&path).contains("everybody can write to its directory"), "{}", refused(&path));
    fs::set_permissions(root.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let file = root.path().join("file");
    fs::write(&file, "").unwrap();
    assert!(refused(&file).contains("is no directory"), "{}", refused(&file));
    assert!(refused(&file.join("below")).contains("cannot be made"));
}

#[test]
fn a_library_that_is_damaged_or_missing_is_told() {
    let rig = Rig::new();
    rig.serve(&rig.file(1), 1);
    let manifest = rig.dir().load().unwrap().unwrap();
    let path = rig.dir().path().join(&manifest.library);
    let mut bytes = fs::read(&path).unwrap();
    let refused = || rig.dir().library(&manifest).unwrap_err().to_string();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&path, &bytes).unwrap();
    assert!(refused().contains("the kept library is damaged: its SHA-256 is"), "{}", refused());
    fs::write(&path, "").unwrap();
    assert!(refused().contains("the kept library is damaged"), "{}", refused());
    fs::remove_file(&path).unwrap();
    assert!(refused().contains("there is no such file") && refused().contains("--ignore-manifest"));
}
