//! `watch`: what happens to some keys, as it happens.

mod events;
mod look;
mod show;

use super::data::bytes;
use super::output::Form;
use super::{Exit, Failure, Options, Output, failure};
use clap::value_parser;
use events::Events;
use kvstore_client::{Client, Error};
use look::{Entry, look};
use show::Change;
use std::ffi::OsString;
use std::time::Duration;

/// Print what happens to keys, as it happens, until Ctrl-C.
///
/// Where the host has keyspace notifications on (`CONFIG SET notify-keyspace-events KA`), each event is printed with what it left;
/// else the keys are looked at again and again, and what has changed is printed. When the host goes away, it is waited for.
#[derive(Debug, clap::Args)]
pub(crate) struct Watch {
    /// The keys
    #[arg(required = true, value_name = "KEY")]
    keys: Vec<OsString>,
    /// Without notifications: time between two looks, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 500, value_parser = value_parser!(u64).range(1..))]
    interval_ms: u64,
}

struct Watcher {
    keys: Vec<Vec<u8>>,
    /// What each key was found to be; empty before the first look.
    entries: Vec<Entry>,
    client: Client,
    output: Output,
    interval: Duration,
}

impl Watch {
    pub(crate) fn run(self, options: &Options) -> Result<Exit, Failure> {
        let mut keys: Vec<Vec<u8>> = self.keys.into_iter().map(bytes).collect();
        keys.sort();
        keys.dedup();
        let mut watcher = Watcher {
            keys,
            entries: Vec::new(),
            client: options.connected_client()?,
            output: Output::session(options),
            interval: Duration::from_millis(self.interval_ms),
        };
        let mut lost = false;
        loop {
            match watcher.follow(options, &mut lost) {
                Failure::Client(error) if is_loss(&error) => {
                    if !std::mem::replace(&mut lost, true) {
                        failure::note(&format!("{error}; trying again"));
                    }
                    std::thread::sleep(watcher.interval);
                }
                failure => return Err(failure),
            }
        }
    }
}

fn is_loss(error: &Error) -> bool {
    !matches!(error, Error::Reply(_) | Error::UnexpectedReply { .. } | Error::Protocol { .. })
}

impl Watcher {
    /// Prints what happens until something fails.
    fn follow(&mut self, options: &Options, lost: &mut bool) -> Failure {
        let outcome = match Events::subscribe(&mut self.client, options, &self.keys) {
            Ok(Some(events)) => self.follow_events(events, lost),
            Ok(None) => self.poll(lost),
            Err(error) => Err(error.into()),
        };
        match outcome {
            Ok(never) => match never {},
            Err(failure) => failure,
        }
    }

    fn follow_events(&mut self, mut events: Events, lost: &mut bool) -> Result<Never, Failure> {
        self.begin(lost, "following keyspace notifications")?;
        loop {
            for (key, names) in events.next()? {
                let Some(at) = self.keys.iter().position(|watched| *watched == key) else { continue };
                let found = look(&mut self.client, std::slice::from_ref(&key))?;
                for after in found {
                    self.print(at, names.join(","), after)?;
                }
            }
            self.output.flush()?;
        }
    }

    fn poll(&mut self, lost: &mut bool) -> Result<Never, Failure> {
        let way = format!("looking every {} ms: the host has no notifications on", self.interval.as_millis());
        self.begin(lost, &way)?;
        loop {
            std::thread::sleep(self.interval);
            self.look_at_all()?;
        }
    }

    /// Prints what the keys are, at first; after a loss, what has changed meanwhile.
    fn begin(&mut self, lost: &mut bool, way: &str) -> Result<(), Failure> {
        if std::mem::take(lost) {
            failure::note(&format!("connected to {} again", self.client.address()));
        } else if self.output.form() == Form::Typed {
            let text = self.output.paint().paint(super::color::Style::Faint, &format!("({way})"));
            self.output.line(&text)?;
        }
        self.look_at_all()
    }

    fn look_at_all(&mut self) -> Result<(), Failure> {
        for (at, after) in look(&mut self.client, &self.keys)?.into_iter().enumerate() {
            match self.entries.get(at) {
                None => self.print(at, "is".to_owned(), after)?,
                Some(before) => {
                    if let Some(event) = after.change_from(before) {
                        self.print(at, event.to_owned(), after)?;
                    }
                }
            }
        }
        self.output.flush()
    }

    fn print(&mut self, at: usize, event: String, after: Entry) -> Result<(), Failure> {
        let before = match self.entries.get_mut(at) {
            Some(entry) => Some(std::mem::replace(entry, after.clone())),
            None => {
                self.entries.push(after.clone());
                None
            }
        };
        let width = self.keys.iter().map(|key| show::name(key).chars().count()).max().unwrap_or(0);
        let Some(key) = self.keys.get(at) else { return Ok(()) };
        Change { key, event: &event, before: before.as_ref(), after: &after }.print(width, &mut self.output)
    }
}

/// Nothing: following ends with a failure only.
enum Never {}
