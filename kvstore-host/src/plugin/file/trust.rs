//! Trust: whether somebody other than root and the host's own user can change an engine's file, or put another in its place.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::process::{getegid, geteuid};

/// Who owns a file or directory, and who may write to it.
#[derive(Clone, Copy)]
struct Rights {
    uid: u32,
    gid: u32,
    mode: u32,
}

/// As which user and group the host runs.
#[derive(Clone, Copy)]
struct Host {
    uid: u32,
    gid: u32,
}

/// What lets others run code in the host through this file, and what to do about it; `None` if nothing does.
///
/// Both are of the opened file, not of its path: `place` is where it lies. Of directories, the one that the file is in counts: what lies in it
/// is as safe from others as its own owner and mode make it.
pub(super) fn exposed(place: &io::Result<PathBuf>, file: &Metadata) -> Option<String> {
    let host = Host { uid: geteuid().as_raw(), gid: getegid().as_raw() };
    if let Some(text) = changeable("its file", rights(file), host) {
        return Some(text);
    }
    exposed_by_parent(place)
}

/// The same of a directory that is to keep what the host relies on.
pub(in crate::plugin) fn exposed_dir(path: &Path, dir: &Metadata) -> Option<String> {
    let host = Host { uid: geteuid().as_raw(), gid: getegid().as_raw() };
    changeable("it", rights(dir), host).or_else(|| exposed_by_parent(&path.canonicalize()))
}

/// What lets others put something else in the place of what lies here, no link to it.
fn exposed_by_parent(place: &io::Result<PathBuf>) -> Option<String> {
    let host = Host { uid: geteuid().as_raw(), gid: getegid().as_raw() };
    let unknown = |error: &io::Error| Some(format!("its directory cannot be looked at: {error}"));
    let dir = match place {
        Ok(place) => place.parent().unwrap_or(place),
        Err(error) => return unknown(error),
    };
    let mut dir_rights = match dir.metadata() {
        Ok(metadata) => rights(&metadata),
        Err(error) => return unknown(&error),
    };
    if dir_rights.mode & 0o1000 != 0 {
        // With the sticky bit, others cannot rename or remove what is not theirs.
        dir_rights.mode &= !0o022;
    }
    changeable(&format!("its directory {}", dir.display()), dir_rights, host)
}

fn rights(metadata: &Metadata) -> Rights {
    Rights { uid: metadata.uid(), gid: metadata.gid(), mode: metadata.mode() & 0o7777 }
}

fn changeable(what: &str, found: Rights, host: Host) -> Option<String> {
    let Rights { uid, gid, mode } = found;
    if ![0, host.uid].contains(&uid) {
        Some(format!(
            "{what} belongs to user {uid}, neither to root nor to the host's user {}; chown it",
            host.uid
        ))
    } else if mode & 0o002 != 0 {
        Some(format!("everybody can write to {what} (mode {mode:04o}); chmod o-w it"))
    } else if mode & 0o020 != 0 && ![0, host.gid].contains(&gid) {
        Some(format!("group {gid}, not the host's own, can write to {what} (mode {mode:04o}); chmod g-w it"))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_root_and_the_hosts_user_may_be_able_to_write() {
        let host = Host { uid: 1000, gid: 100 };
        let found = |uid, gid, mode| changeable("it", Rights { uid, gid, mode }, host);
        for (uid, gid, mode) in
            [(0, 0, 0o755), (1000, 100, 0o700), (1000, 7, 0o755), (1000, 100, 0o775), (0, 0, 0o664)]
        {
            assert_eq!(found(uid, gid, mode), None, "{uid} {gid} {mode:o}");
        }
        for (uid, gid, mode, told) in [
            (1001, 100, 0o400, "it belongs to user 1001, neither to root nor to the host's user 1000"),
            (1000, 100, 0o757, "everybody can write to it (mode 0757)"),
            (0, 0, 0o666, "everybody can write to it (mode 0666)"),
            (1000, 7, 0o775, "group 7, not the host's own, can write to it (mode 0775)"),
        ] {
            let text = found(uid, gid, mode).unwrap();
            assert!(text.starts_with(told), "{text}");
        }
    }
}
