//! History: where the lines of past sessions are kept, and which lines never are.

use super::super::line::split;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

/// So many lines are kept.
pub(super) const LINES_MAX: usize = 1_000;

/// The file, in the user's directory for state, which is made if need be and is for the user alone. `None` when there is no such place.
pub(super) fn path() -> Option<PathBuf> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")))?;
    let dir = state.join("kvstore");
    match DirBuilder::new().recursive(true).mode(0o700).create(&dir) {
        Ok(()) => Some(dir.join("client-history")),
        Err(error) => {
            log::warn!("the history is not kept: {}: {error}", dir.display());
            None
        }
    }
}

/// Whether a line has a password in it, or could have: such a line is not remembered, not even for the session.
pub(super) fn is_secret(line: &str) -> bool {
    let words = split(line.as_bytes()).map(|words| {
        words.into_iter().map(|word| String::from_utf8_lossy(&word).to_lowercase()).collect::<Vec<_>>()
    });
    // A line with a quote too few is one that is about to be typed again.
    let words = words.unwrap_or_else(|_| {
        line.to_lowercase().replace(['"', '\''], "").split_whitespace().map(str::to_owned).collect()
    });
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["auth", ..] => true,
        ["hello" | "migrate", options @ ..] => options.iter().any(|word| matches!(*word, "auth" | "auth2")),
        ["acl", "setuser", ..] => true,
        ["config", "set", pairs @ ..] => pairs.iter().any(|name| {
            ["requirepass", "masterauth", "masteruser"].contains(name)
                || name.contains("pass")
                || name.contains("secret")
        }),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_with_passwords_are_known() {
        for line in [
            "auth hunter2",
            "  AUTH user hunter2",
            "\"auth\" x",
            "auth \"hunter2",
            "hello 3 auth user pw",
            "HELLO 3 SETNAME x AUTH user pw",
            "config set requirepass pw",
            "CONFIG SET maxmemory 1 RequirePass pw",
            "config set tls-key-file-pass pw",
            "acl setuser joe on >pw",
            "migrate h 1 k 0 1 AUTH pw",
        ] {
            assert!(is_secret(line), "{line}");
        }
        for line in
            ["", "get auth", "hello 3", "config get requirepass", "acl list", "set k auth", "help auth"]
        {
            assert!(!is_secret(line), "{line}");
        }
    }
}
