//! `import`: entries from JSON lines into the store.

use super::super::failure::LineFault;
use super::super::{Exit, Failure, Options};
use super::entry::Entry;
use super::lines::{Line, Lines};
use super::{BATCH_LEN, counted, print_line};
use crate::cli::progress::{Progress, Unit};
use clap::ValueEnum;
use kvstore_client::{Client, Error, Pipeline, Value};
use serde_json::json;
use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::path::PathBuf;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Enough for the longest value that a Redis server takes, in either form.
const LINE_LEN_MAX: usize = 1_280 * 1024 * 1024;

/// Set entries from JSON lines, as `export` writes them.
///
/// A line is `{"key": …, "value": …, "expiry_ms": …}`, as docs/export.md describes. Each is checked in full before anything of it is
/// sent; at the first that is wrong, or that the host refuses, the import stops and names it, with all entries before it imported.
/// An entry whose expiry has passed is counted and not sent.
#[derive(Debug, clap::Args)]
pub(crate) struct Import {
    /// What becomes of an entry whose key exists already
    #[arg(long, value_enum, value_name = "WHAT", default_value_t = Existing::Replace)]
    existing: Existing,
    /// Name and count lines that are wrong, and entries that the host refuses, and go on; the exit code tells of them
    #[arg(long)]
    keep_going: bool,
    /// How many entries to send together
    #[arg(long, value_name = "N", default_value_t = 512, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pipeline: u32,
    /// Longest line that is taken, in bytes
    #[arg(long, value_name = "BYTES", default_value_t = LINE_LEN_MAX)]
    line_len_max: usize,
    /// File to read; standard input when missing or `-`
    file: Option<PathBuf>,
}

/// What becomes of an entry whose key exists already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Existing {
    /// The new one takes its place
    Replace,
    /// It stays as it is
    Keep,
}

/// What became of the lines.
#[derive(Debug, Default)]
struct Tally {
    imported: u64,
    /// The key was there and stayed as it was.
    kept: u64,
    /// Not sent, as their time has passed.
    expired: u64,
    /// Not entries.
    wrong: u64,
    /// The host answered with an error.
    refused: u64,
    /// The connection was lost before the host's answer.
    unknown: u64,
}

struct Loader {
    import: Import,
    client: Client,
    progress: Progress,
    json: bool,
    tally: Tally,
    batch: Pipeline,
    batch_len: usize,
    /// The line of each request in the batch.
    numbers: Vec<u64>,
}

impl Import {
    pub(crate) fn run(mut self, options: &Options) -> Result<Exit, Failure> {
        let start = Instant::now();
        let file = self.file.take().filter(|path| path.as_os_str() != "-");
        let (input, total, typed): (Box<dyn Read>, _, _) = match &file {
            None => (Box::new(io::stdin()), None, io::stdin().is_terminal()),
            Some(path) => {
                let opened = File::open(path).and_then(|file| Ok((file.metadata()?, file)));
                let (found, file) = opened.map_err(|error| Failure::File { path: path.clone(), error })?;
                (Box::new(file), found.is_file().then_some(found.len()), false)
            }
        };
        let mut loader = Loader {
            client: options.connected_client()?,
            progress: Progress::new(Unit::Bytes, total, typed),
            json: options.json,
            tally: Tally::default(),
            batch: Pipeline::new(),
            batch_len: 0,
            numbers: Vec::new(),
            import: self,
        };
        let loaded = loader.load(input).map_err(|failure| match (failure, file) {
            (Failure::Input(error), Some(path)) => Failure::File { path, error },
            (failure, _) => failure,
        });
        // What was done until a failure is told as well.
        let tally = loader.summary(start)?;
        loaded?;
        Ok(match tally {
            Tally { wrong: 1.., .. } => Exit::Local,
            Tally { refused: 1.., .. } => Exit::ErrorReply,
            _ => Exit::Done,
        })
    }
}

impl Loader {
    fn load(&mut self, input: impl Read) -> Result<(), Failure> {
        let mut lines = Lines::new(input, self.import.line_len_max);
        loop {
            let (parsed, len) = match lines.next() {
                Ok(Some((line, len))) => (parse(&line, self.import.line_len_max), len),
                Ok(None) => return self.send(),
                // What came before counts, whatever became of the rest.
                Err(error) => return self.send().and(Err(Failure::Input(error))),
            };
            match parsed {
                Ok(None) => {}
                Ok(Some(entry)) => self.add(&entry, lines.number()),
                Err(text) => {
                    self.send()?;
                    self.tally.wrong += 1;
                    self.stop_or_note(lines.number(), LineFault::Wrong(text))?;
                }
            }
            let full = self.batch.len() >= self.import.pipeline as usize || self.batch_len >= BATCH_LEN;
            // Whoever writes a line at a time gets it imported at once.
            if full || lines.is_at_end_of_buffer() {
                self.send()?;
            }
            self.progress.advance(len);
        }
    }

    fn add(&mut self, entry: &Entry, number: u64) {
        if entry.expiry_ms.is_some_and(|expiry_ms| expiry_ms <= now_ms()) {
            self.tally.expired += 1;
            return;
        }
        let expiry_ms = entry.expiry_ms.map(|expiry_ms| expiry_ms.to_string());
        let mut words: Vec<&[u8]> = vec![b"SET", &entry.key, &entry.value];
        if let Some(expiry_ms) = &expiry_ms {
            words.extend([&b"PXAT"[..], expiry_ms.as_bytes()]);
        }
        if self.import.existing == Existing::Keep {
            words.push(b"NX");
        }
        self.batch.add(&words);
        self.batch_len += entry.key.len() + entry.value.len();
        self.numbers.push(number);
    }

    /// Sends what has gathered, and looks at every reply.
    fn send(&mut self) -> Result<(), Failure> {
        let mut batch = std::mem::take(&mut self.batch);
        let numbers = std::mem::take(&mut self.numbers);
        self.batch_len = 0;
        let Some(first) = numbers.first() else { return Ok(()) };
        if self.import.existing == Existing::Replace {
            // Set twice, an entry is the same as set once. With NX the second time would find the first, and count it as another's.
            batch.repeatable();
        }
        let results = self.client.run(&batch).map_err(|error| at(*first, error))?;
        let mut stop = Ok(());
        for (number, result) in numbers.iter().zip(results) {
            match result {
                Ok(Value::Nil) => self.tally.kept += 1,
                Ok(_) => self.tally.imported += 1,
                Err(error @ Error::Reply(_)) => {
                    self.tally.refused += 1;
                    stop = stop.and_then(|()| self.stop_or_note(*number, LineFault::Client(error)));
                }
                Err(error) => {
                    self.tally.unknown += u64::from(error.outcome_is_unknown());
                    stop = stop.and(Err(at(*number, error)));
                }
            }
        }
        stop
    }

    fn stop_or_note(&self, number: u64, fault: LineFault) -> Result<(), Failure> {
        let failure = Failure::Line { number, fault };
        if !self.import.keep_going {
            return Err(failure);
        }
        match failure.text() {
            Some(text) if self.json => {
                self.progress.note(&json!({"line": number, "error": text}).to_string());
            }
            Some(text) => self.progress.note(&text),
            None => {}
        }
        Ok(())
    }

    fn summary(self, start: Instant) -> Result<Tally, Failure> {
        drop(self.progress);
        let seconds = start.elapsed().as_secs_f64();
        let Tally { imported, kept, expired, wrong, refused, unknown } = self.tally;
        let text = if self.json {
            json!({
                "imported": imported, "kept": kept, "expired": expired, "wrong": wrong, "refused": refused,
                "unknown": unknown, "seconds": seconds,
            })
            .to_string()
        } else {
            let mut text = format!("{} imported in {seconds:.1} s", counted(imported));
            for (count, what) in [
                (kept, "kept as they were"),
                (expired, "had expired"),
                (wrong, "wrong"),
                (refused, "refused"),
                (unknown, "with unknown outcome"),
            ] {
                if count > 0 {
                    text.push_str(&format!(", {count} {what}"));
                }
            }
            text
        };
        print_line(&text)?;
        Ok(self.tally)
    }
}

fn at(number: u64, error: Error) -> Failure {
    Failure::Line { number, fault: LineFault::Client(error) }
}

/// The entry of a line; none in an empty one.
fn parse(line: &Line<'_>, len_max: usize) -> Result<Option<Entry>, String> {
    match line {
        Line::TooLong => Err(format!("it is longer than {len_max} bytes (--line-len-max)")),
        Line::Whole(line) if line.trim_ascii().is_empty() => Ok(None),
        Line::Whole(line) => Entry::parse(line).map(Some),
    }
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
