//! `stat`: one line about the host per interval, from INFO.

use super::color::{Paint, Style};
use super::output::Form;
use super::{Exit, Failure, Options, Output, clock, failure};
use clap::value_parser;
use kvstore_client::{Client, Error};
use serde_json::json;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// So many lines stand below one header.
const LINES_PER_HEADER: u64 = 20;
const HEADER: &str = "      keys    memory  clients  requests/s    hits  engine";

/// Print a line about the host each second: keys, memory, clients, requests per second, hits, engine.
///
/// Requests per second and hits are those since the line before. When the host goes away, it is waited for.
#[derive(Debug, clap::Args)]
pub(crate) struct Stat {
    /// Time between two lines, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 1_000, value_parser = value_parser!(u64).range(1..))]
    interval_ms: u64,
    /// Stop after so many lines [default: never]
    #[arg(long, short = 'n', value_name = "N")]
    count: Option<u64>,
}

/// What INFO told, and when.
struct Sample {
    at: Instant,
    keys: u64,
    memory_bytes: Option<u64>,
    clients: Option<u64>,
    requests: Option<u64>,
    hits: Option<u64>,
    misses: Option<u64>,
    engine: Option<String>,
    generation: Option<u64>,
}

/// What happened between two samples.
#[derive(Default)]
struct Rates {
    requests_per_second: Option<f64>,
    hits_percent: Option<f64>,
}

impl Stat {
    pub(crate) fn run(self, options: &Options) -> Result<Exit, Failure> {
        let mut client = options.connected_client()?;
        let mut output = Output::session(options);
        let interval = Duration::from_millis(self.interval_ms);
        let (mut before, mut printed, mut lost) = (None, 0, false);
        let mut due = Instant::now();
        while self.count.is_none_or(|count| printed < count) {
            match sample(&mut client) {
                Ok(sample) => {
                    if std::mem::take(&mut lost) {
                        failure::note(&format!("connected to {} again", client.address()));
                    }
                    print(&sample, before.as_ref(), printed, &mut output)?;
                    printed += 1;
                    before = Some(sample);
                }
                Err(error) if error.reply().is_some() => return Err(error.into()),
                Err(error) if !std::mem::replace(&mut lost, true) => {
                    failure::note(&format!("{error}; trying again"));
                }
                Err(_) => {}
            }
            if self.count.is_none_or(|count| printed < count) {
                // After a pause of the machine it goes on from there, and makes nothing up for.
                due = (due + interval).max(Instant::now());
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
            }
        }
        Ok(Exit::Done)
    }
}

fn sample(client: &mut Client) -> Result<Sample, Error> {
    let text = client.info(None)?;
    let at = Instant::now();
    let lines = text.lines().filter_map(|line| line.trim().split_once(':'));
    let fields: BTreeMap<&str, &str> = lines.collect();
    let number = |name: &str| fields.get(name).and_then(|value| value.parse().ok());
    let keys = fields.iter().filter(|(name, _)| is_database(name)).filter_map(|(_, value)| keys(value)).sum();
    Ok(Sample {
        at,
        keys,
        memory_bytes: number("used_memory"),
        clients: number("connected_clients"),
        requests: number("total_commands_processed"),
        hits: number("keyspace_hits"),
        misses: number("keyspace_misses"),
        engine: fields.get("engine_name").map(|&name| name.to_owned()),
        generation: number("engine_generation"),
    })
}

fn is_database(name: &str) -> bool {
    name.strip_prefix("db").is_some_and(|number| number.parse::<u32>().is_ok())
}

/// The number of `keys=5,expires=0,…`.
fn keys(value: &str) -> Option<u64> {
    value.split(',').find_map(|part| part.strip_prefix("keys="))?.parse().ok()
}

/// Counters that went back are those of a host that was restarted: they say nothing of the time between.
fn rates(sample: &Sample, before: &Sample) -> Rates {
    let grown = |now: Option<u64>, then: Option<u64>| now?.checked_sub(then?);
    let seconds = sample.at.duration_since(before.at).as_secs_f64();
    let requests = grown(sample.requests, before.requests);
    let (hits, misses) = (grown(sample.hits, before.hits), grown(sample.misses, before.misses));
    let looked_up = hits.zip(misses).map(|(hits, misses)| hits + misses).filter(|count| *count > 0);
    Rates {
        requests_per_second: requests.filter(|_| seconds > 0.0).map(|count| count as f64 / seconds),
        hits_percent: hits.zip(looked_up).map(|(hits, all)| hits as f64 / all as f64 * 100.0),
    }
}

fn print(sample: &Sample, before: Option<&Sample>, line: u64, output: &mut Output) -> Result<(), Failure> {
    let rates = before.map(|before| rates(sample, before)).unwrap_or_default();
    if output.form() == Form::Json {
        let document = json!({
            "time_ms": clock::now_ms(),
            "keys": sample.keys,
            "memory_bytes": sample.memory_bytes,
            "clients": sample.clients,
            "requests": sample.requests,
            "requests_per_second": rates.requests_per_second,
            "hits_percent": rates.hits_percent,
            "engine": sample.engine,
            "generation": sample.generation,
        });
        output.line(&document.to_string())?;
        return output.flush();
    }
    let paint = output.paint();
    if line.is_multiple_of(LINES_PER_HEADER) {
        output.line(&paint.paint(Style::Name, HEADER))?;
    }
    let changed = before.is_some_and(|before| before.generation != sample.generation);
    output.line(&row(sample, &rates, changed, paint))?;
    output.flush()
}

fn row(sample: &Sample, rates: &Rates, engine_changed: bool, paint: Paint) -> String {
    let some = |number: Option<String>| number.unwrap_or_else(|| "-".to_owned());
    let memory = some(sample.memory_bytes.map(bytes));
    let clients = some(sample.clients.map(|clients| clients.to_string()));
    let requests = some(rates.requests_per_second.map(|rate| format!("{rate:.0}")));
    let hits = some(rates.hits_percent.map(|percent| format!("{percent:.1}%")));
    let engine = some(sample.engine.as_ref().map(|name| match sample.generation {
        Some(generation) => format!("{name} (generation {generation})"),
        None => name.clone(),
    }));
    let engine = paint.paint(if engine_changed { Style::Good } else { Style::Plain }, &engine);
    format!("{:>10}{memory:>10}{clients:>9}{requests:>12}{hits:>8}  {engine}", sample.keys)
}

/// A size as people read it: `1.50 MiB`, in units of 1,024.
fn bytes(count: u64) -> String {
    let (mut size, mut unit) = (count as f64, "B");
    for next in ["KiB", "MiB", "GiB", "TiB"] {
        if size < 1_024.0 {
            break;
        }
        (size, unit) = (size / 1_024.0, next);
    }
    if unit == "B" { format!("{count} B") } else { format!("{size:.1} {unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(requests: u64, hits: u64, misses: u64, at: Instant) -> Sample {
        let (requests, hits, misses) = (Some(requests), Some(hits), Some(misses));
        let (memory_bytes, engine) = (Some(3 * 1_024 * 1_024 / 2), Some("memory".to_owned()));
        Sample {
            at,
            keys: 5,
            memory_bytes,
            clients: None,
            requests,
            hits,
            misses,
            engine,
            generation: Some(2),
        }
    }

    #[test]
    fn rates_are_those_since_the_sample_before() {
        let start = Instant::now();
        let (first, second) =
            (sample(100, 10, 10, start), sample(300, 19, 11, start + Duration::from_secs(2)));
        let between = rates(&second, &first);
        assert_eq!((between.requests_per_second, between.hits_percent), (Some(100.0), Some(90.0)));
        let restarted = rates(&first, &second);
        assert_eq!((restarted.requests_per_second, restarted.hits_percent), (None, None));
        assert_eq!(rates(&first, &first).hits_percent, None);
        let row = row(&second, &between, false, Paint::OFF);
        assert_eq!(row, "         5   1.5 MiB        -         100   90.0%  memory (generation 2)");
        assert_eq!(HEADER.rfind("engine"), row.rfind("memory"));
    }
}
