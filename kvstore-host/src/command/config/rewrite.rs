//! Rewrite: CONFIG REWRITE: writes what was set into the configuration file, whole or not at all.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;
use toml_edit::{DocumentMut, Item};

use super::parameters::PARAMETERS;
use crate::command::{Error, KeyspaceTask};
use crate::plugin::Keyspace;
use crate::protocol::{Request, Value};
use crate::server::Server;

pub(super) fn rewrite(_: Request<'_>) -> Result<Box<dyn KeyspaceTask>, Error> {
    Ok(Box::new(Rewrite))
}

struct Rewrite;

impl KeyspaceTask for Rewrite {
    /// It waits for the disk.
    fn blocks(&self) -> bool {
        true
    }

    fn run(&self, _: &dyn Keyspace, server: &Server) -> Value {
        let Some(path) = &server.facts.config_file else {
            return Value::error("ERR The server is running without a config file");
        };
        match rewrite_file(Path::new(path), server) {
            Ok(()) => {
                log::info!("CONFIG REWRITE: {path} is rewritten");
                Value::Ok
            }
            Err(error) => {
                log::error!("CONFIG REWRITE: {error}");
                Value::error(format!("ERR Rewriting config file: {error}"))
            }
        }
    }
}

/// Why the file stays as it is.
#[derive(Debug)]
enum RewriteError {
    /// The file, and what cannot be done with it.
    File(PathBuf, &'static str, io::Error),
    /// It is no configuration file any more.
    Parse(PathBuf, toml_edit::TomlError),
}

impl std::fmt::Display for RewriteError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path, what, error) => write!(f, "cannot {what} {}: {error}", path.display()),
            Self::Parse(path, error) => write!(f, "{} is not TOML: {}", path.display(), error.message()),
        }
    }
}

impl std::error::Error for RewriteError {}

fn rewrite_file(path: &Path, server: &Server) -> Result<(), RewriteError> {
    let fail = |what| move |error| RewriteError::File(path.to_owned(), what, error);
    // What a link leads to is written, and the link stays.
    let target = fs::canonicalize(path).map_err(fail("find"))?;
    let text = fs::read_to_string(&target).map_err(fail("read"))?;
    let text = updated(&text, server).map_err(|error| RewriteError::Parse(path.to_owned(), error))?;
    replace(&target, text.as_bytes()).map_err(fail("write"))
}

/// The file's text with the settings as they are. What it says beyond them stays, comments too; a setting that it does not name is
/// added if it is not as it is without being set.
fn updated(text: &str, server: &Server) -> Result<String, toml_edit::TomlError> {
    let mut document: DocumentMut = text.parse()?;
    let defaults = Server::default();
    for parameter in PARAMETERS {
        let Some(key) = parameter.file_key else { continue };
        let value = parameter.file_value(server);
        match document.get_mut(key).and_then(Item::as_value_mut) {
            Some(current) => {
                // Text and comment around it stay.
                let decor = current.decor().clone();
                if !same(current, &value) {
                    *current = value;
                    *current.decor_mut() = decor;
                }
            }
            None if (parameter.get)(server) == (parameter.get)(&defaults) => {}
            None => drop(document.insert(key, Item::Value(value))),
        }
    }
    Ok(document.to_string())
}

/// Whether both say the same, however they are written.
fn same(one: &toml_edit::Value, other: &toml_edit::Value) -> bool {
    (one.as_integer(), one.as_bool(), one.as_str()) == (other.as_integer(), other.as_bool(), other.as_str())
}

/// Replaces a file's bytes: whoever reads it, or finds it after a crash, finds the old ones or the new ones.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let dir = path.parent().ok_or(io::ErrorKind::NotFound)?;
    let mut new = NamedTempFile::new_in(dir)?;
    new.write_all(bytes)?;
    new.as_file().set_permissions(fs::metadata(path)?.permissions())?;
    new.as_file().sync_all()?;
    new.persist(path)?;
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;
    use std::sync::atomic::Ordering;

    use super::{replace, rewrite_file, updated};
    use crate::command::testing::{Rig, expect};
    use crate::server::Server;

    #[test]
    fn without_a_file_as_redis() {
        expect(&[("CONFIG REWRITE", "-ERR The server is running without a config file")]);
    }

    #[test]
    fn comments_and_other_keys_stay() {
        let server = Server::default();
        let text = "# Ours.\nengine = \"/a.so\" # the engine\n\nclients_max = 10_000 # many\nidle_timeout_s = 5\n\n[engine_opt]\nshards = 8\n";
        server.settings.idle_timeout_s.store(5, Ordering::Relaxed);
        assert_eq!(updated(text, &server).unwrap(), text, "it says the same");
        server.settings.clients_max.store(7, Ordering::Relaxed);
        server.settings.slowlog_threshold_us.store(-1, Ordering::Relaxed);
        server.settings.latency_tracking.store(false, Ordering::Relaxed);
        let expected = text
            .replace("10_000", "7")
            .replace("= 5\n", "= 5\nlatency_tracking = false\nslowlog_threshold_us = -1\n");
        assert_eq!(updated(text, &server).unwrap(), expected);
        assert_eq!(updated(&expected, &server).unwrap(), expected, "once more changes nothing");
    }

    #[test]
    fn the_file_is_replaced_with_its_permissions() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("host.toml");
        fs::write(&path, "clients_max = 5\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let link = dir.path().join("link.toml");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        let mut rig = Rig::new();
        rig.server.facts.config_file = Some(link.display().to_string());
        rig.expect(&[("CONFIG SET maxclients 9", "+OK"), ("CONFIG REWRITE", "+OK")]);
        assert_eq!(fs::read_to_string(&path).unwrap(), "clients_max = 9\n");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "nothing is left behind");
    }

    #[test]
    fn what_cannot_be_written_is_told_and_stays() {
        let server = Server::default();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("host.toml");
        let text = rewrite_file(&path, &server).unwrap_err().to_string();
        assert!(text.starts_with("cannot find ") && text.contains("host.toml"), "{text}");
        fs::write(&path, "clients_max = = 5").unwrap();
        let text = rewrite_file(&path, &server).unwrap_err().to_string();
        assert!(text.contains("is not TOML"), "{text}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "clients_max = = 5");
        // Nobody can make a file there.
        assert!(replace(Path::new("/proc/self/status"), b"x").is_err());
    }
}
