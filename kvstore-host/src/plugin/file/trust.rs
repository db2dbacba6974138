//! Trust: whether somebody other than root and the host's own user can change an engine's file, or put another in its place.
//!
//! A group may be able to where it has no other members, as on systems that give each user a group: there files are made so that the group can write. Who is in a
//! group is what `/etc/passwd` and `/etc/group` say (`passwd(5)`, `group(5)`); of a group that they do not know, or whose members they do not know, nobody can tell. Where there is an
//! access control list, what the group may do is what anybody in the list may do at most (`acl(5)`).

use std::fs::{File, Metadata, read_to_string};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{fgetxattr_query, getxattr_query};
use rustix::process::geteuid;

/// Who owns a file or directory, and who may write to it.
#[derive(Clone, Copy)]
pub(super) struct Rights {
    uid: u32,
    gid: u32,
    mode: u32,
    /// It has an access control list.
    listed: bool,
}

/// Under this name the kernel keeps an access control list.
const ACL: &str = "system.posix_acl_access";

impl Rights {
    /// Those of an open file.
    pub(super) fn of_file(metadata: &Metadata, file: &File) -> Self {
        Self::of(metadata, fgetxattr_query(file, ACL))
    }

    fn of_path(metadata: &Metadata, path: &Path) -> Self {
        Self::of(metadata, getxattr_query(path, ACL))
    }

    /// Those of what has, or has not, such a list: its length was asked for.
    fn of(metadata: &Metadata, acl: rustix::io::Result<usize>) -> Self {
        let (uid, gid, mode) = (metadata.uid(), metadata.gid(), metadata.mode() & 0o7777);
        Self { uid, gid, mode, listed: acl.is_ok_and(|len| len > 0) }
    }
}

/// As which user the host runs, and what the system says of users and groups.
struct Host {
    uid: u32,
    passwd: String,
    group: String,
}

impl Host {
    /// This one. What cannot be read says nothing.
    fn this() -> Self {
        let read = |path| read_to_string(path).unwrap_or_default();
        Self { uid: geteuid().as_raw(), passwd: read("/etc/passwd"), group: read("/etc/group") }
    }

    /// Whether nobody but root and the host's user is in a group.
    fn is_alone_in(&self, gid: u32) -> bool {
        let (users, groups) = (rows(&self.passwd), rows(&self.group));
        let number = |row: &[&str], field: usize| row.get(field)?.parse::<u32>().ok();
        let is_own = |user: &Vec<&str>| number(user, 2).is_some_and(|uid| [0, self.uid].contains(&uid));
        let found: Vec<_> = groups.iter().filter(|group| number(group, 2) == Some(gid)).collect();
        let members = found.iter().filter_map(|group| group.get(3)).flat_map(|names| names.split(','));
        let named = members.filter(|name| !name.is_empty());
        let named = named.map(|name| users.iter().find(|user| user.first() == Some(&name)));
        let all: Vec<_> =
            users.iter().filter(|user| number(user, 3) == Some(gid)).map(Some).chain(named).collect();
        // One that has nobody at all has its members from elsewhere.
        !found.is_empty() && !all.is_empty() && all.into_iter().all(|user| user.is_some_and(is_own))
    }
}

/// The fields of each line.
fn rows(text: &str) -> Vec<Vec<&str>> {
    text.lines().map(|line| line.split(':').collect()).collect()
}

/// What lets others run code in the host through this file, and what to do about it; `None` if nothing does.
///
/// Both are of the opened file, not of its path: `place` is where it lies. Of directories, the one that the file is in counts: what lies in it
/// is as safe from others as its own owner and mode make it.
pub(super) fn exposed(place: &io::Result<PathBuf>, file: Rights) -> Option<String> {
    let host = Host::this();
    changeable("its file", file, &host).or_else(|| exposed_by_parent(place, &host))
}

/// The same of a directory that is to keep what the host relies on.
pub(in crate::plugin) fn exposed_dir(path: &Path, dir: &Metadata) -> Option<String> {
    let host = Host::this();
    changeable("it", Rights::of_path(dir, path), &host)
        .or_else(|| exposed_by_parent(&path.canonicalize(), &host))
}

/// What lets others put something else in the place of what lies here, no link to it.
fn exposed_by_parent(place: &io::Result<PathBuf>, host: &Host) -> Option<String> {
    let unknown = |error: &io::Error| Some(format!("its directory cannot be looked at: {error}"));
    let dir = match place {
        Ok(place) => place.parent().unwrap_or(place),
        Err(error) => return unknown(error),
    };
    let mut dir_rights = match dir.metadata() {
        Ok(metadata) => Rights::of_path(&metadata, dir),
        Err(error) => return unknown(&error),
    };
    if dir_rights.mode & 0o1000 != 0 {
        // With the sticky bit, others cannot rename or remove what is not theirs.
        dir_rights.mode &= !0o022;
    }
    changeable(&format!("its directory {}", dir.display()), dir_rights, host)
}

fn changeable(what: &str, found: Rights, host: &Host) -> Option<String> {
    let Rights { uid, gid, mode, listed } = found;
    if ![0, host.uid].contains(&uid) {
        Some(format!(
            "{what} belongs to user {uid}, neither to root nor to the host's user {}; chown it",
            host.uid
        ))
    } else if mode & 0o002 != 0 {
        Some(format!("everybody can write to {what} (mode {mode:04o}); chmod o-w it"))
    } else if mode & 0o020 != 0 && listed {
        Some(format!(
            "an access control list may let others write to {what} (mode {mode:04o}); setfacl -b it, or chmod g-w it"
        ))
    } else if mode & 0o020 != 0 && !host.is_alone_in(gid) {
        Some(format!(
            "group {gid}, in which the host's user is not known to be alone, can write to {what} (mode {mode:04o}); chmod g-w it"
        ))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_root_and_the_hosts_user_may_be_able_to_write() {
        let passwd =
            "root:x:0:0::/root:/bin/sh\nown:x:1000:100::/:\nother:x:1001:101::/:\nthird:x:1002:102::/:\n";
        let group = "root:x:0:\nown:x:100:\nother:x:101:\nthird:x:102:own\nstaff:x:7:own,other\nadm:x:8:root,own\nlost:x:9:gone\nelsewhere:x:10:\n";
        let host = Host { uid: 1000, passwd: passwd.to_owned(), group: group.to_owned() };
        let found = |uid, gid, mode| changeable("it", Rights { uid, gid, mode, listed: false }, &host);
        for (uid, gid, mode) in [
            (0, 0, 0o755),
            (1000, 100, 0o700),
            (1000, 7, 0o755),
            (1000, 100, 0o775),
            (0, 0, 0o664),
            (1000, 8, 0o775),
        ] {
            assert_eq!(found(uid, gid, mode), None, "{uid} {gid} {mode:o}");
        }
        for (uid, gid, mode, told) in [
            (1001, 100, 0o400, "it belongs to user 1001, neither to root nor to the host's user 1000"),
            (1000, 100, 0o757, "everybody can write to it (mode 0757)"),
            (0, 0, 0o666, "everybody can write to it (mode 0666)"),
            (
                1000,
                7,
                0o775,
                "group 7, in which the host's user is not known to be alone, can write to it (mode 0775)",
            ),
            // Another user's own, one with a member that nobody knows, and one that nobody knows.
            (1000, 102, 0o775, "group 102, in which the host's user is not known to be alone"),
            (1000, 9, 0o775, "group 9, in which the host's user is not known to be alone"),
            (1000, 99, 0o775, "group 99, in which the host's user is not known to be alone"),
            (1000, 10, 0o775, "group 10, in which the host's user is not known to be alone"),
        ] {
            let text = found(uid, gid, mode).unwrap();
            assert!(text.starts_with(told), "{text}");
        }
        let listed = |mode| changeable("it", Rights { uid: 1000, gid: 100, mode, listed: true }, &host);
        assert_eq!(listed(0o755), None);
        assert!(listed(0o775).is_some_and(|text| text.starts_with("an access control list may let others")));
    }

    #[test]
    fn an_access_control_list_is_seen() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let metadata = file.as_file().metadata().unwrap();
        let listed = || {
            [Rights::of_file(&metadata, file.as_file()), Rights::of_path(&metadata, file.path())]
                .map(|rights| rights.listed)
        };
        assert_eq!(listed(), [false; 2]);
        // Version 2; the owner, user 65534, the group, the mask and all others, each with what they may and who it is (acl(5), linux/posix_acl_xattr.h).
        let entries: [(u16, u16, u32); 5] =
            [(1, 6, u32::MAX), (2, 6, 65534), (4, 4, u32::MAX), (16, 6, u32::MAX), (32, 4, u32::MAX)];
        let mut acl = 2u32.to_le_bytes().to_vec();
        for (tag, may, who) in entries {
            acl.extend(tag.to_le_bytes().into_iter().chain(may.to_le_bytes()).chain(who.to_le_bytes()));
        }
        match rustix::fs::fsetxattr(file.as_file(), ACL, &acl, rustix::fs::XattrFlags::empty()) {
            Ok(()) => assert_eq!(listed(), [true; 2]),
            Err(error) => println!("no access control lists here: {error}"),
        }
    }
}
