//! Commands: what INFO tells of each command: calls, times and errors.

use std::fmt::Write;

use super::{Lines, Source};
use crate::command::{Spec, table};
use crate::server::Figures;

/// The quantiles that INFO tells of a command's times, as Redis does unless told otherwise.
const QUANTILES: [(&str, f64); 3] = [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999)];

/// The figures of the commands that have some, by name.
fn each(source: &Source<'_>, mut tell: impl FnMut(&'static Spec, &Figures)) {
    for spec in table::all() {
        if let Some(figures) = source.counted.get(spec.number.get()) {
            tell(spec, figures);
        }
    }
}

/// A request's time is an equal share of its batch's: sums are exact.
pub(super) fn commandstats(lines: &mut Lines, source: &Source<'_>) {
    each(source, |spec, figures| {
        let Figures { calls, time_ns, rejected, failed, .. } = figures;
        if calls + rejected + failed > 0 {
            let time_us = *time_ns as f64 / 1_000.0;
            let per_call = if *calls > 0 { time_us / *calls as f64 } else { 0.0 };
            lines.put(
                &format!("cmdstat_{}", spec.full_name),
                format_args!(
                    "calls={calls},usec={time_us:.0},usec_per_call={per_call:.2},rejected_calls={rejected},failed_calls={failed}"
                ),
            );
        }
    });
}

pub(super) fn errorstats(lines: &mut Lines, source: &Source<'_>) {
    for (code, count) in source.server.error_codes.list() {
        lines.put(&format!("errorstat_{}", super::line(&code)), format_args!("count={count}"));
    }
}

pub(super) fn latencystats(lines: &mut Lines, source: &Source<'_>) {
    each(source, |spec, figures| {
        let Some(times_ns) = &figures.times_ns else { return };
        let mut text = String::new();
        for (name, quantile) in QUANTILES {
            let comma = if text.is_empty() { "" } else { "," };
            // Writing to a string cannot fail.
            let _ =
                write!(text, "{comma}{name}={:.3}", times_ns.value_at_quantile(quantile) as f64 / 1_000.0);
        }
        lines.put(&format!("latency_percentiles_usec_{}", spec.full_name), text);
    });
}
