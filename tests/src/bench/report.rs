//! Report: what was measured of peers, as a Markdown table with notes.

use std::fmt::Write;

use super::peers::{Group, Row, Settings};
use super::process::load_average;

/// The peer to which all others are compared.
pub(super) const YARDSTICK: &str = "redis";

/// The row of a group to which the others are compared.
pub(super) fn yardstick(group: &Group) -> Option<&Row> {
    group.rows.iter().find(|row| row.server.starts_with(YARDSTICK))
}

/// One table of all cases and servers, and notes on what may have disturbed it.
pub fn markdown(settings: &Settings, groups: &[Group]) -> String {
    let mut text = String::from(
        "| case | server | thousands per second | server CPU per operation, µs | share of redis | to reach | system calls per operation |\n\
         |---|---|---|---|---|---|---|\n",
    );
    for group in groups {
        for (place, row) in group.rows.iter().enumerate() {
            let case = if place == 0 { group.case.title() } else { String::new() };
            let per_s = row.spread(|round| Some(round.per_s / 1e3));
            let per_s = per_s.map_or_else(|| "–".to_owned(), |spread| format!("{spread:.0}"));
            let cpu = row.spread(|round| round.cpu_us);
            let cpu = cpu.map_or_else(|| "–".to_owned(), |spread| format!("{spread:.3}"));
            let other = yardstick(group).filter(|other| other.server != row.server);
            let share = other.and_then(|other| row.share_of(other));
            let share = share.map_or_else(|| "–".to_owned(), |spread| spread.to_string());
            let own = row.server == "kvstore";
            let reach = if own { format!("{:.2}", group.case.reach) } else { String::new() };
            let calls = row.system_calls.map_or_else(|| "–".to_owned(), |calls| format!("{calls:.3}"));
            let _ =
                writeln!(text, "| {case} | {} | {per_s} | {cpu} | {share} | {reach} | {calls} |", row.server);
        }
    }
    notes(settings, groups, &mut text);
    text
}

fn notes(settings: &Settings, groups: &[Group], text: &mut String) {
    let rows = || groups.iter().flat_map(|group| &group.rows);
    let rounds = || rows().flat_map(|row| &row.rounds);
    let others = rounds().map(|round| round.others).fold(0.0, f64::max);
    let touched = rounds().filter(|round| round.others > settings.others_max).count();
    let repeated: usize = rows().map(|row| row.repeated).sum();
    let _ = writeln!(
        text,
        "\nMedian (lowest..highest) of {} rounds of {:.1} s in turns, {} connections, {} keys. Other processes used at most {:.0} % of \
         a processor in a round that counts; {repeated} rounds were repeated for that, and {touched} of {} that count were \
         touched still. Load average {:.2}.",
        settings.rounds,
        settings.round_time.as_secs_f64(),
        settings.connections,
        settings.keys,
        others * 100.0,
        rounds().count(),
        load_average(),
    );
    for group in groups {
        let dear = |row: &&Row| {
            let load = row.spread(|round| Some(round.load_us));
            load.zip(row.spread(|round| round.cpu_us)).is_some_and(|(load, cpu)| load.median >= cpu.median)
        };
        let limited: Vec<&str> = group.rows.iter().filter(dear).map(|row| row.server.as_str()).collect();
        if !limited.is_empty() {
            let (case, names) = (group.case.title(), limited.join(", "));
            let _ = writeln!(
                text,
                "{case}: the load took more CPU than {names}; there throughput is the load's, and only CPU per operation counts."
            );
        }
    }
}
