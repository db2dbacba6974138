//! Report: spikes of latency as a picture, and in words.

use std::fmt::Write;
use std::sync::atomic::Ordering;

use crate::server::{Server, Spikes};

/// Spikes that a graph shows: the newest ones.
const COLUMNS_MAX: usize = 80;
/// Lines of a graph's bars.
const ROWS: u64 = 4;

/// A bar for each spike, and below it, from top to bottom, how long ago it was.
pub(super) fn graph(event: &str, spikes: &Spikes, now_s: i64) -> String {
    let shown: Vec<_> = spikes.all.iter().skip(spikes.all.len().saturating_sub(COLUMNS_MAX)).collect();
    let times = || shown.iter().map(|spike| spike.took_ms);
    let (high, low) = (times().max().unwrap_or(0), times().min().unwrap_or(0));
    let mut lines = vec![
        format!("{event} - high {high} ms, low {low} ms (all time high {} ms)", spikes.longest_ms),
        "-".repeat(COLUMNS_MAX),
    ];
    // The lowest is at least a line under its label, the highest reaches the top.
    let height = |took_ms: u64| match high - low {
        0 => 1,
        range => 1 + (took_ms - low) * (ROWS - 1) / range,
    };
    for row in (1..=ROWS).rev() {
        let bar = |took_ms| match (height(took_ms), row) {
            (height, row) if height > row => '|',
            (height, row) if height == row => {
                if row == 1 {
                    '_'
                } else {
                    '#'
                }
            }
            _ => ' ',
        };
        lines.push(times().map(bar).collect::<String>().trim_end().to_owned());
    }
    lines.push(String::new());
    let labels: Vec<Vec<char>> =
        shown.iter().map(|spike| ago(now_s - spike.at_s).chars().collect()).collect();
    for row in 0..labels.iter().map(Vec::len).max().unwrap_or(0) {
        let line: String = labels.iter().map(|label| label.get(row).copied().unwrap_or(' ')).collect();
        lines.push(line.trim_end().to_owned());
    }
    lines.retain(|line| !line.is_empty());
    lines.join("\n") + "\n"
}

/// `5s`, `3m`, `2h` or `1d`.
fn ago(seconds: i64) -> String {
    match seconds.max(0) {
        seconds @ ..60 => format!("{seconds}s"),
        seconds @ ..3_600 => format!("{}m", seconds / 60),
        seconds @ ..86_400 => format!("{}h", seconds / 3_600),
        seconds => format!("{}d", seconds / 86_400),
    }
}

/// What the spikes say, and what to do about them.
pub(super) fn doctor(server: &Server) -> String {
    let threshold_ms = server.settings.latency_threshold_ms.load(Ordering::Relaxed);
    if threshold_ms == 0 {
        return "Latency monitoring is off. \"CONFIG SET latency-monitor-threshold <milliseconds>\" turns it on: \
                from then on it is noted what takes that long, or longer.\n"
            .to_owned();
    }
    let events = server.latency.events();
    if events.is_empty() {
        return format!("Nothing took {threshold_ms} ms or longer since latency monitoring was turned on.\n");
    }
    let mut text = format!("These took {threshold_ms} ms or longer:\n\n");
    for (event, spikes) in &events {
        let count = spikes.all.len() as u64;
        let mean = spikes.all.iter().map(|spike| spike.took_ms).sum::<u64>() / count.max(1);
        let first_s = spikes.all.front().map_or(0, |spike| spike.at_s);
        let last_s = spikes.all.back().map_or(0, |spike| spike.at_s);
        let period_s = (last_s - first_s) / i64::try_from(count.max(2) - 1).unwrap_or(1);
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "- {event}: in {count} different seconds, {mean} ms on average, {} ms at the longest{}.",
            spikes.longest_ms,
            if count > 1 { format!(", one every {period_s} s") } else { String::new() },
        );
    }
    text.push_str("\nWhat can be done:\n\n");
    let has = |event: &str| events.iter().any(|(name, _)| *name == event);
    if has("command") || has("fast-command") {
        let slower_than_us = server.settings.slowlog_threshold_us.load(Ordering::Relaxed);
        text.push_str("- SLOWLOG GET tells which requests took long");
        if slower_than_us < 0 || slower_than_us as u64 > threshold_ms * 1_000 {
            let _ = write!(
                text,
                "; for all of these, set slowlog-log-slower-than to {} (it is {slower_than_us})",
                threshold_ms * 1_000
            );
        }
        text.push_str(
            ".\n- KEYS, a FLUSHALL, or one request on very many keys or bytes keeps the engine busy: SCAN, and requests in \
             smaller portions, do not.\n- INFO engine tells whether the engine itself waits for something.\n",
        );
    }
    if has("fast-command") {
        text.push_str(
            "- A fast command that takes long usually waited for the machine: look whether it swaps, and whether it has \
             fewer cores than there are workers (CONFIG GET io-threads).\n",
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::{ago, doctor, graph};
    use crate::server::{Latency, Server};

    #[test]
    fn a_graph_has_a_bar_for_each_spike_and_says_how_long_ago_it_was() {
        let latency = Latency::default();
        for (at_s, took_ms) in [(0, 10), (100_000 - 7_200, 40), (100_000 - 5, 20)] {
            latency.note("command", at_s, took_ms);
        }
        let (event, spikes) = latency.event(b"command").unwrap();
        let text = graph(event, &spikes, 100_000);
        let rest = text.strip_prefix("command - high 40 ms, low 10 ms (all time high 40 ms)\n").unwrap();
        let (line, bars) = rest.split_once('\n').unwrap();
        assert_eq!(line, "-".repeat(80));
        assert_eq!(bars, " #\n |\n |#\n_||\n125\ndhs\n");
    }

    #[test]
    fn how_long_ago() {
        for (seconds, text) in
            [(-3, "0s"), (59, "59s"), (60, "1m"), (3_599, "59m"), (7_200, "2h"), (86_400, "1d")]
        {
            assert_eq!(ago(seconds), text);
        }
    }

    #[test]
    fn the_doctor_says_what_is_known() {
        let server = Server::default();
        assert!(doctor(&server).contains("monitoring is off"));
        server.settings.latency_threshold_ms.store(5, Ordering::Relaxed);
        assert!(doctor(&server).contains("Nothing took 5 ms"));
        server.latency.note("command", 10, 30);
        server.latency.note("command", 20, 10);
        let text = doctor(&server);
        assert!(text.contains(
            "- command: in 2 different seconds, 20 ms on average, 30 ms at the longest, one every 10 s."
        ));
        assert!(text.contains("set slowlog-log-slower-than to 5000 (it is 10000)"), "{text}");
    }
}
