//! `engine`: what the host serves from, and the change to another. While data are migrated, a bar shows how far that is.

use super::data::{Words, bytes};
use super::progress::{Progress, Unit};
use super::{Exit, Failure, Options, Output, request};
use kvstore_client::{Client, Value};
use std::ffi::OsString;
use std::io::IsTerminal;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

/// How often it is asked how far a migration is.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);
/// How long the answer to that may take: what is told in the end does not wait for it.
const FOLLOW_TIMEOUT_MS: u64 = 2_000;

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Engine {
    /// Print which engine serves, and how it came to
    Info,
    /// Load an engine and go over to it, with the data
    Reload(Reload),
    /// Keep an engine beside the live one, with the same data, and compare them; `info` tells what comes of it
    Shadow(Shadow),
    /// Make the shadow the live engine; or end the probation of the live one: it stays
    Promote,
    /// Close the shadow
    Drop,
    /// Call off the reload that is under way
    Cancel,
    /// Go back to the engine before
    Rollback,
    /// Print the engines that have served, how the data came to each, and what became of it
    History,
    /// Print what the host says about these commands
    Help,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Reload {
    /// Library to load; without it, the one that the host is configured with. A path of a file that exists here is sent as an absolute path
    path: Option<OsString>,
    /// Migrate the data, also where the engine could adopt them
    #[arg(long)]
    migrate: bool,
    /// Keep the engine before equal to it for so long (500ms, 30s, 5m): it comes back by itself if requests fail in the new one or take much longer
    #[arg(long, value_name = "TIME")]
    probation: Option<String>,
    #[command(flatten)]
    demands: Demands,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Shadow {
    /// Library to load. A path of a file that exists here is sent as an absolute path
    path: OsString,
    /// How many of 100 reads of clients are repeated on it [default: 1]
    #[arg(long, value_name = "PERCENT")]
    sample: Option<f64>,
    #[command(flatten)]
    demands: Demands,
}

/// What is asked of a library, and given to it.
#[derive(Debug, clap::Args)]
struct Demands {
    /// Refuse the library unless it has this SHA-256, of 64 hexadecimal digits
    #[arg(long, value_name = "HEX", value_parser = digest)]
    sha256: Option<String>,
    /// Option for the engine (repeatable)
    #[arg(long = "opt", value_name = "KEY=VALUE", value_parser = key_and_value)]
    options: Vec<OsString>,
}

impl Demands {
    /// The words for a library, with these among them.
    fn words(self, path: Option<OsString>, between: Words) -> Words {
        let mut words: Words = path.map(|path| absolute(Path::new(&path))).into_iter().collect();
        if let Some(digest) = self.sha256 {
            words.extend([b"SHA256".to_vec(), digest.into_bytes()]);
        }
        words.extend(between);
        if !self.options.is_empty() {
            words.push(b"OPTS".to_vec());
            words.extend(self.options.into_iter().map(bytes));
        }
        words
    }
}

impl Engine {
    pub(crate) fn run(self, options: &Options) -> Result<Exit, Failure> {
        let mut options = options.clone();
        // A reload migrates the data and may take as long as that does; whoever wants a limit gives one.
        options.reply_timeout_ms = options.reply_timeout_ms.or(Some(0));
        if !matches!(self, Self::Reload(_) | Self::Shadow(_) | Self::Rollback)
            || !std::io::stderr().is_terminal()
        {
            return request::run(&options, self.words());
        }
        let follower = Options { reply_timeout_ms: Some(FOLLOW_TIMEOUT_MS), ..options.clone() }.client();
        let (mut client, words) = (options.connected_client()?, self.words());
        let reply = std::thread::scope(|scope| {
            let (end, ended) = mpsc::channel();
            scope.spawn(move || follow(follower, &ended));
            let reply = client.call(&words);
            drop(end);
            reply
        });
        // Whoever shows how far it is has ended, and the bar is gone.
        request::tell(&words, reply?, &mut Output::once(&options))
    }

    pub(super) fn words(self) -> Words {
        let mut words = vec![b"ENGINE".to_vec()];
        match self {
            Self::Info => words.push(b"INFO".to_vec()),
            Self::Promote => words.push(b"PROMOTE".to_vec()),
            Self::Drop => words.push(b"DROP".to_vec()),
            Self::Shadow(shadow) => {
                words.push(b"SHADOW".to_vec());
                let sample = |percent: f64| vec![b"SAMPLE".to_vec(), percent.to_string().into_bytes()];
                let sample = shadow.sample.map(sample).unwrap_or_default();
                words.extend(shadow.demands.words(Some(shadow.path), sample));
            }
            Self::Cancel => words.push(b"CANCEL".to_vec()),
            Self::Rollback => words.push(b"ROLLBACK".to_vec()),
            Self::History => words.push(b"HISTORY".to_vec()),
            Self::Help => words.push(b"HELP".to_vec()),
            Self::Reload(reload) => {
                words.push(b"RELOAD".to_vec());
                let mut between: Words = reload.migrate.then(|| b"MIGRATE".to_vec()).into_iter().collect();
                if let Some(time) = reload.probation {
                    between.extend([b"PROBATION".to_vec(), time.into_bytes()]);
                }
                words.extend(reload.demands.words(reload.path, between));
            }
        }
        words
    }
}

/// Shows how far a migration is until the reload has ended. Where that cannot be asked for, the reply tells enough.
fn follow(mut client: Client, ended: &mpsc::Receiver<()>) {
    let mut shown: Option<Progress> = None;
    while ended.recv_timeout(LOOK_INTERVAL) == Err(mpsc::RecvTimeoutError::Timeout) {
        let Ok(info) = client.call(&["ENGINE", "INFO"]) else { return };
        match migrated(&info) {
            Some((entries, total)) => {
                // The total is told a little after the migration has begun.
                shown = shown.filter(|shown| shown.has_total() == total.is_some());
                match &shown {
                    Some(shown) => shown.set(entries, total),
                    None => shown = Some(Progress::since(Unit::Entries, entries, total)),
                }
            }
            None => shown = None,
        }
    }
}

/// How many entries are migrated, and of how many if that is known; `None` if there is no migration.
fn migrated(info: &Value) -> Option<(u64, Option<u64>)> {
    let find = |wanted: &str| {
        let is = |name: &Value| name.as_bytes() == Some(wanted.as_bytes());
        let value = match info {
            Value::Map(pairs) => pairs.iter().find(|(name, _)| is(name)).map(|(_, value)| value),
            Value::Array(flat) => flat.chunks_exact(2).find(|pair| is(&pair[0])).map(|pair| &pair[1]),
            _ => None,
        };
        value.and_then(Value::as_integer).and_then(|number| u64::try_from(number).ok())
    };
    let (entries, total) = (find("migrate_entries")?, find("migrate_entries_total")?);
    // An engine that does not count its entries has none in all. What is written meanwhile is migrated too.
    Some((entries, (total > 0).then(|| total.max(entries))))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_far_a_migration_is_stands_in_either_form_of_the_reply() {
        let text = |text: &str| Value::Bulk(text.as_bytes().to_vec());
        let pairs = [("migrate_entries", 3), ("other", 4), ("migrate_entries_total", 5)]
            .map(|(name, number)| (text(name), Value::Integer(number)));
        let flat = pairs.clone().into_iter().flat_map(|(name, number)| [name, number]).collect();
        assert_eq!(migrated(&Value::Map(pairs.to_vec())), Some((3, Some(5))));
        assert_eq!(migrated(&Value::Array(flat)), Some((3, Some(5))));
        assert_eq!(migrated(&Value::Map(pairs[..2].to_vec())), None);
        let of = |total| {
            let total = (text("migrate_entries_total"), Value::Integer(total));
            migrated(&Value::Map([&pairs[..1], &[total]].concat()))
        };
        assert_eq!((of(0), of(2)), (Some((3, None)), Some((3, Some(3)))));
        assert_eq!(migrated(&Value::Nil), None);
    }
}
