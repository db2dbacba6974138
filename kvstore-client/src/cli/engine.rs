//! `engine`: what the host serves from, and the change to another.

use super::data::{Words, bytes};
use super::{Exit, Failure, Options, request};
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Engine {
    /// Print which engine serves, and how it came to
    Info,
    /// Load an engine and go over to it, with the data
    Reload(Reload),
    /// Go back to the engine before
    Rollback,
    /// Print the engines that the host knows
    List,
    /// Print what the host says about these commands
    Help,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Reload {
    /// Library to load; without it, the one that the host is configured with. A path of a file that exists here is sent as an absolute path
    path: Option<OsString>,
    /// Refuse the library unless it has this SHA-256, of 64 hexadecimal digits
    #[arg(long, value_name = "HEX", value_parser = digest)]
    sha256: Option<String>,
    /// Copy the data, also where the engine could adopt them
    #[arg(long)]
    copy: bool,
    /// Option for the engine (repeatable)
    #[arg(long = "opt", value_name = "KEY=VALUE", value_parser = key_and_value)]
    options: Vec<OsString>,
}

impl Engine {
    pub(crate) fn run(self, options: &Options) -> Result<Exit, Failure> {
        let mut options = options.clone();
        // A reload copies the data and may take as long as that does; whoever wants a limit gives one.
        options.reply_timeout_ms = options.reply_timeout_ms.or(Some(0));
        request::run(&options, self.words())
    }

    pub(super) fn words(self) -> Words {
        let mut words = vec![b"ENGINE".to_vec()];
        match self {
            Self::Info => words.push(b"INFO".to_vec()),
            Self::Rollback => words.push(b"ROLLBACK".to_vec()),
            Self::List => words.push(b"LIST".to_vec()),
            Self::Help => words.push(b"HELP".to_vec()),
            Self::Reload(reload) => {
                words.push(b"RELOAD".to_vec());
                words.extend(reload.path.map(|path| absolute(Path::new(&path))));
                if let Some(digest) = reload.sha256 {
                    words.extend([b"SHA256".to_vec(), digest.into_bytes()]);
                }
                if reload.copy {
                    words.push(b"COPY".to_vec());
                }
                if !reload.options.is_empty() {
                    words.push(b"OPTS".to_vec());
                    words.extend(reload.options.into_iter().map(bytes));
                }
            }
        }
        words
    }
}

/// The host may have been started elsewhere, and takes these commands from this machine only: what a path means here, it shall
/// mean there.
pub(crate) fn absolute(path: &Path) -> Vec<u8> {
    match std::path::absolute(path) {
        Ok(absolute) if path.exists() => absolute.as_os_str().as_bytes().to_vec(),
        _ => path.as_os_str().as_bytes().to_vec(),
    }
}

fn digest(text: &str) -> Result<String, String> {
    if text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(text.to_owned());
    }
    Err("expected 64 hexadecimal digits".to_owned())
}

fn key_and_value(text: &str) -> Result<OsString, String> {
    match text.split_once('=') {
        Some((key, _)) if !key.is_empty() => Ok(text.into()),
        _ => Err("expected KEY=VALUE".to_owned()),
    }
}
