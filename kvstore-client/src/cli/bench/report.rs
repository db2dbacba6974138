//! Report: what was measured, as text for people or as one JSON document.

use super::tally::Tally;
use super::{Bench, Distribution, Failure, Options, Output};
use crate::cli::output::Form;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Serializer, V2DeflateSerializer};
use serde_json::{Value as Json, json};
use std::time::Instant;

const PERCENTILES: [(&str, f64); 5] =
    [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999), ("p99.99", 0.9999)];

/// Prints the report of a measurement that began at `start`.
pub(super) fn print(
    bench: &Bench,
    options: &Options,
    start: Instant,
    tally: &Tally,
    output: &mut Output,
) -> Result<(), Failure> {
    let elapsed_seconds =
        tally.last_reply.map_or(0.0, |last| last.saturating_duration_since(start).as_secs_f64());
    let throughput = if elapsed_seconds > 0.0 { tally.replies() as f64 / elapsed_seconds } else { 0.0 };
    let figures = Figures { bench, options, tally, elapsed_seconds, throughput };
    if output.form() == Form::Json {
        output.line(&figures.document().to_string())?;
    } else {
        output.bytes(figures.text().as_bytes())?;
    }
    output.flush()
}

struct Figures<'a> {
    bench: &'a Bench,
    options: &'a Options,
    tally: &'a Tally,
    elapsed_seconds: f64,
    throughput: f64,
}

impl Figures<'_> {
    fn document(&self) -> Json {
        let (bench, tally) = (self.bench, self.tally);
        let all = tally.all();
        json!({
            "address": self.options.address().to_string(),
            "loop": self.loop_name(),
            "rate_per_second": bench.rate,
            "connections": bench.connections,
            "threads": bench.threads,
            "pipeline": bench.pipeline,
            "keys": bench.keys,
            "key_len": bench.key_len,
            "value_len": bench.value_len,
            "read_share": bench.read_share,
            "distribution": self.distribution(),
            "seed": bench.seed,
            "elapsed_seconds": self.elapsed_seconds,
            "throughput_per_second": self.throughput,
            "replies": tally.replies(),
            "reads": tally.read_replies,
            "reads_found": tally.found,
            "writes": tally.write_replies,
            "errors": tally.error_count(),
            "errors_by_text": tally.errors,
            "lost": tally.lost,
            "reconnects": tally.reconnects,
            "unfinished": tally.unfinished,
            "latency_us": summary(&all),
            "latency_reads_us": summary(&tally.reads),
            "latency_writes_us": summary(&tally.writes),
            "histogram_us": distribution(&all),
            "hdr_v2_deflate_base64": serialized(&all),
        })
    }

    fn text(&self) -> String {
        let (bench, tally) = (self.bench, self.tally);
        let mut text = format!(
            "{} loop{} on {}: {} connections, {} threads, pipeline {}\n\
             {} keys of {} bytes, {}; values of {} bytes; read share {}; seed {}\n\n",
            self.loop_name(),
            bench.rate.map(|rate| format!(" at {rate} per second")).unwrap_or_default(),
            self.options.address(),
            bench.connections,
            bench.threads.unwrap_or_default(),
            bench.pipeline,
            bench.keys,
            bench.key_len,
            self.distribution(),
            bench.value_len,
            bench.read_share,
            bench.seed.unwrap_or_default(),
        );
        text += &format!(
            "{} replies in {:.3} s: {:.0} per second\n{} reads ({} found), {} writes, {} errors, {} lost, {} unfinished\n",
            tally.replies(),
            self.elapsed_seconds,
            self.throughput,
            tally.read_replies,
            tally.found,
            tally.write_replies,
            tally.error_count(),
            tally.lost,
            tally.unfinished,
        );
        for (error, count) in &tally.errors {
            text += &format!("  {count} x {error}\n");
        }
        let all = tally.all();
        text += &format!("\n{:<10} {:>12} {:>12} {:>12}\n", "latency us", "all", "reads", "writes");
        let histograms = [&all, &tally.reads, &tally.writes];
        for (at, (name, _)) in figures(&all).iter().enumerate() {
            text += &format!("{name:<10}");
            for histogram in histograms {
                let figure = figures(histogram).get(at).and_then(|(_, figure)| *figure);
                text += &figure.map_or_else(|| format!(" {:>12}", "-"), |us| format!(" {us:>12.1}"));
            }
            text.push('\n');
        }
        text += &format!("\n{:>12} {:>12} {:>12}\n", "us", "quantile", "count");
        for step in all.iter_quantiles(1) {
            let us = microseconds(step.value_iterated_to());
            text +=
                &format!("{us:>12.1} {:>12.6} {:>12}\n", step.quantile(), step.count_since_last_iteration());
        }
        text
    }

    fn loop_name(&self) -> &'static str {
        if self.bench.rate.is_some() { "open" } else { "closed" }
    }

    fn distribution(&self) -> String {
        match self.bench.distribution {
            Distribution::Uniform => "uniform".to_owned(),
            Distribution::Zipfian => format!("zipfian {}", self.bench.zipf_exponent),
        }
    }
}

/// The figures of a histogram by name, in microseconds; none of a histogram without values.
fn figures(histogram: &Histogram<u64>) -> Vec<(&'static str, Option<f64>)> {
    let some = |us| (!histogram.is_empty()).then_some(us);
    let mut figures = vec![
        ("min", some(microseconds(histogram.min()))),
        ("mean", some(histogram.mean() / 1e3)),
        ("stdev", some(histogram.stdev() / 1e3)),
    ];
    for (name, quantile) in PERCENTILES {
        figures.push((name, some(microseconds(histogram.value_at_quantile(quantile)))));
    }
    figures.push(("max", some(microseconds(histogram.max()))));
    figures
}

fn summary(histogram: &Histogram<u64>) -> Json {
    figures(histogram).into_iter().map(|(name, figure)| (name.to_owned(), Json::from(figure))).collect()
}

/// Values up to which each next step of the distribution reaches, finer towards the slow end.
fn distribution(histogram: &Histogram<u64>) -> Json {
    histogram
        .iter_quantiles(5)
        .map(|step| {
            json!({
                "us": microseconds(step.value_iterated_to()),
                "quantile": step.quantile(),
                "count": step.count_since_last_iteration(),
            })
        })
        .collect()
}

/// The whole histogram, in nanoseconds, in the form that HdrHistogram tools of all languages read.
fn serialized(histogram: &Histogram<u64>) -> Json {
    let mut bytes = Vec::new();
    match V2DeflateSerializer::new().serialize(histogram, &mut bytes) {
        Ok(_) => Json::from(STANDARD.encode(bytes)),
        Err(error) => {
            log::warn!("the histogram cannot be serialized: {error}");
            Json::Null
        }
    }
}

fn microseconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e3
}
