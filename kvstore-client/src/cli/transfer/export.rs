//! `export`: all strings of the store, a JSON line each, with their expiries.

use super::super::data::bytes;
use super::super::format::{json_string, quoted, visible};
use super::super::{Exit, Failure, Options, interrupt};
use super::destination::Destination;
use super::entry::Entry;
use super::{BATCH_LEN, counted, print_line};
use crate::cli::progress::{Progress, Unit};
use kvstore_client::{Client, Error, Pipeline, ReplyError, ScanFilter, Value};
use serde_json::json;
use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::Instant;

/// Write all entries as JSON lines, with their expiries.
///
/// A line is `{"key": …, "value": …, "expiry_ms": …}`, as docs/export.md describes. The host goes on serving: what changes meanwhile is
/// written as it was before or as it is after, a value always with its own expiry, and can come twice. Keys that hold no string are
/// left out, named on standard error, and let the exit code be 4. A file is written beside its place and takes it when it is complete.
#[derive(Debug, clap::Args)]
pub(crate) struct Export {
    /// Only keys that match this glob pattern
    #[arg(long = "match", value_name = "PATTERN")]
    pattern: Option<OsString>,
    /// Ask for strings only: keys of other types are neither named nor counted
    #[arg(long)]
    strings_only: bool,
    /// How many keys to ask for together
    #[arg(long, value_name = "N", default_value_t = 512, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pipeline: u32,
    /// File to write; standard output when missing or `-`
    file: Option<PathBuf>,
}

struct Writer {
    out: Destination,
    /// Where that is, unless it is standard output.
    path: Option<PathBuf>,
    progress: Progress,
    entries: u64,
    /// Bytes of keys and values.
    bytes: u64,
    /// Keys of other types.
    left_out: u64,
    json: bool,
}

impl Export {
    pub(crate) fn run(self, options: &Options) -> Result<Exit, Failure> {
        let start = Instant::now();
        let interrupted = interrupt::flag();
        let mut own = options.for_library();
        own.interrupt = Some(interrupt::of_waits().map_err(Failure::Input)?);
        let mut client = Client::new(options.address(), own);
        client.run(&Pipeline::new())?;
        let path = self.file.filter(|path| path.as_os_str() != "-");
        let out = match &path {
            None => Destination::stdout(),
            Some(file) => Destination::at(file).map_err(|error| failure(path.as_ref(), error))?,
        };
        // Only for the bar: a host that does not tell it can be exported all the same.
        let total = if self.pattern.is_none() { client.count().ok() } else { None };
        let own_lines = path.is_none() && io::stdout().is_terminal();
        let progress = Progress::new(Unit::Entries, total, own_lines);
        let json = options.json;
        let mut writer = Writer { out, path, progress, entries: 0, bytes: 0, left_out: 0, json };
        let kind = self.strings_only.then(|| b"string".to_vec());
        let filter = ScanFilter { pattern: self.pattern.map(bytes), count: Some(self.pipeline.into()), kind };
        let mut scan = client.scan(filter);
        loop {
            let keys = scan.by_ref().take(self.pipeline as usize).collect::<Result<Vec<_>, _>>()?;
            if keys.is_empty() {
                break;
            }
            writer.keys(scan.client(), keys)?;
            if interrupted.load(Ordering::Relaxed) {
                return Err(Failure::Interrupted);
            }
        }
        writer.finish(start)
    }
}

impl Writer {
    /// Writes the entries of these keys, in portions that bound what has to be held at a time.
    fn keys(&mut self, client: &mut Client, keys: Vec<Vec<u8>>) -> Result<(), Failure> {
        let count = keys.len() as u64;
        let mut others = Vec::new();
        let mut portion = Vec::new();
        let mut portion_len = 0_usize;
        let lens = ask(client, "STRLEN", &keys)?;
        for (key, len) in keys.into_iter().zip(lens) {
            let Some(len) = string_or_other(len)? else {
                others.push(key);
                continue;
            };
            let len = usize::try_from(len.as_integer().unwrap_or(0)).unwrap_or(usize::MAX);
            if portion_len.saturating_add(len) > BATCH_LEN {
                self.strings(client, std::mem::take(&mut portion), &mut others)?;
                portion_len = 0;
            }
            portion_len = portion_len.saturating_add(len);
            portion.push(key);
        }
        self.strings(client, portion, &mut others)?;
        self.others(client, &others)?;
        self.progress.advance(count);
        Ok(())
    }

    /// Writes these entries. Where the expiry before the value is another than the one after it, the entry was changed in between: it
    /// is read again, so that no value comes with the expiry of another.
    fn strings(
        &mut self,
        client: &mut Client,
        mut keys: Vec<Vec<u8>>,
        others: &mut Vec<Vec<u8>>,
    ) -> Result<(), Failure> {
        while !keys.is_empty() {
            let mut pipeline = Pipeline::new();
            for key in &keys {
                pipeline
                    .add(&[b"PEXPIRETIME", &key[..]])
                    .add(&[b"GET", &key[..]])
                    .add(&[b"PEXPIRETIME", &key[..]]);
            }
            let mut replies = client.run(pipeline.repeatable())?.into_iter();
            let mut next = || replies.next().unwrap_or(Err(Error::Closed));
            let mut again = Vec::new();
            for key in keys {
                let (before, value, after) = (next()?, next(), next()?);
                let Some(value) = string_or_other(value)? else {
                    others.push(key);
                    continue;
                };
                let expected =
                    Error::UnexpectedReply { expected: "an expiry, a string or nil, and an expiry" };
                match (before, value, after) {
                    (_, Value::Nil, _) => {}
                    (Value::Integer(before @ -1..), value, Value::Integer(after)) if before == after => {
                        let value = value.into_bytes().ok_or(expected)?;
                        let expiry_ms = (before > 0).then_some(before);
                        self.entry(&Entry { key, value, expiry_ms })?;
                    }
                    (Value::Integer(_), _, Value::Integer(_)) => again.push(key),
                    _ => return Err(expected.into()),
                }
            }
            keys = again;
        }
        Ok(())
    }

    fn entry(&mut self, entry: &Entry) -> Result<(), Failure> {
        entry.write(&mut self.out).map_err(|error| failure(self.path.as_ref(), error))?;
        self.entries += 1;
        self.bytes += (entry.key.len() + entry.value.len()) as u64;
        Ok(())
    }

    /// Names keys that hold something else.
    fn others(&mut self, client: &mut Client, keys: &[Vec<u8>]) -> Result<(), Failure> {
        for (key, kind) in keys.iter().zip(ask(client, "TYPE", keys)?) {
            let kind = kind?.into_bytes().unwrap_or_default();
            self.left_out += 1;
            self.progress.note(&if self.json {
                json!({"left_out": json_string(key), "type": json_string(&kind)}).to_string()
            } else {
                format!("left out: {} is a {}", quoted(key), visible(&kind))
            });
        }
        Ok(())
    }

    fn finish(self, start: Instant) -> Result<Exit, Failure> {
        let Self { out, path, progress, entries, bytes, left_out, json } = self;
        out.finish().map_err(|error| failure(path.as_ref(), error))?;
        let seconds = start.elapsed().as_secs_f64();
        let summary = if json {
            json!({"entries": entries, "bytes": bytes, "left_out": left_out, "seconds": seconds}).to_string()
        } else {
            let left_out = match left_out {
                0 => String::new(),
                1 => ", 1 key that holds no string left out".to_owned(),
                many => format!(", {many} keys that hold no strings left out"),
            };
            format!("{} ({bytes} bytes) exported in {seconds:.1} s{left_out}", counted(entries))
        };
        if path.is_some() {
            drop(progress);
            print_line(&summary)?;
        } else {
            progress.note(&summary);
        }
        Ok(if left_out == 0 { Exit::Done } else { Exit::ErrorReply })
    }
}

/// Standard output fails in its own way, as its reader may have seen enough.
fn failure(path: Option<&PathBuf>, error: io::Error) -> Failure {
    match path {
        Some(path) => Failure::File { path: path.clone(), error },
        None => Failure::Output(error),
    }
}

/// Asks the same about each key.
fn ask(client: &mut Client, name: &str, keys: &[Vec<u8>]) -> Result<Vec<Result<Value, Error>>, Error> {
    let mut pipeline = Pipeline::new();
    for key in keys {
        pipeline.add(&[name.as_bytes(), key]);
    }
    client.run(pipeline.repeatable())
}

/// The reply about a string; `None` where the key holds something else.
fn string_or_other(reply: Result<Value, Error>) -> Result<Option<Value>, Error> {
    match reply {
        Err(Error::Reply(ReplyError { code, .. })) if code == "WRONGTYPE" => Ok(None),
        reply => reply.map(Some),
    }
}
