//! LATENCY: what took long and when, and how long commands take.

mod report;

use super::{Error, Session, Spec, container, table};
use crate::protocol::{Request, Value};
use crate::server::{Figures, Server, Spikes, steps_of_twice};

super::table::commands! { pub(super) static SUBCOMMANDS of "latency" =
    "doctor"    2 NO_KEYS [admin noscript loading stale] [] server "2.8.13" "Return a human readable latency analysis report." "" => Session(doctor);
    "graph"     3 NO_KEYS [admin noscript loading stale] [] server "2.8.13" "Return a latency graph for the event." "event" => Session(graph);
    "histogram" -2 NO_KEYS [admin noscript loading stale] [] server "7.0.0" "Return the cumulative distribution of latencies of a subset of commands or all." "[command [command ...]]" => Session(histogram);
    "history"   3 NO_KEYS [admin noscript loading stale] [] server "2.8.13" "Return timestamp-latency samples for the event." "event" => Session(history);
    "latest"    2 NO_KEYS [admin noscript loading stale] [] server "2.8.13" "Return the latest latency samples for all events." "" => Session(latest);
    "reset"    -2 NO_KEYS [admin noscript loading stale] [] server "2.8.13" "Reset latency data for one or more events." "[event [event ...]]" => Session(reset);
    "help"      2 NO_KEYS [loading stale] [] server "2.8.13" "Show helpful text about the different subcommands." "" => Session(help);
}

fn integer(number: u64) -> Value {
    Value::Integer(i64::try_from(number).unwrap_or(i64::MAX))
}

fn latest(_: &mut Session, server: &Server, _: Request<'_>) -> Result<Value, Error> {
    let one = |(event, spikes): (&str, Spikes)| {
        let last = spikes.all.back()?;
        Some(Value::Array(vec![
            Value::text(event),
            Value::Integer(last.at_s),
            integer(last.took_ms),
            integer(spikes.longest_ms),
        ]))
    };
    Ok(Value::Array(server.latency.events().into_iter().filter_map(one).collect()))
}

fn history(_: &mut Session, server: &Server, request: Request<'_>) -> Result<Value, Error> {
    let found = server.latency.event(request.get(2).unwrap_or_default());
    let spikes = found.map(|(_, spikes)| spikes.all).unwrap_or_default();
    let one =
        |spike: &crate::server::Spike| Value::Array(vec![Value::Integer(spike.at_s), integer(spike.took_ms)]);
    Ok(Value::Array(spikes.iter().map(one).collect()))
}

fn reset(_: &mut Session, server: &Server, request: Request<'_>) -> Result<Value, Error> {
    let count = if request.len() == 2 {
        let events = server.latency.events();
        events.iter().filter(|(event, _)| server.latency.forget(event.as_bytes())).count()
    } else {
        request.iter().skip(2).filter(|event| server.latency.forget(event)).count()
    };
    Ok(Value::Integer(count as i64))
}

fn graph(_: &mut Session, server: &Server, request: Request<'_>) -> Result<Value, Error> {
    let name = request.get(2).unwrap_or_default();
    let Some((event, spikes)) = server.latency.event(name) else {
        let name = String::from_utf8_lossy(name);
        return Err(Error::text(format!("ERR No samples available for event '{name}'")));
    };
    let now_s = server.clock.now_ms().div_euclid(1_000);
    Ok(Value::Verbatim { format: "txt".into(), text: report::graph(event, &spikes, now_s).into_bytes() })
}

fn doctor(_: &mut Session, server: &Server, _: Request<'_>) -> Result<Value, Error> {
    Ok(Value::Verbatim { format: "txt".into(), text: report::doctor(server).into_bytes() })
}

/// The times of the commands that were asked for, or of all: how many calls took so many microseconds or fewer.
fn histogram(_: &mut Session, server: &Server, request: Request<'_>) -> Result<Value, Error> {
    let counted = server.tallies.sum();
    let asked: Vec<&'static Spec> = if request.len() == 2 {
        table::all().collect()
    } else {
        let named = request.iter().skip(2).filter_map(table::find_full);
        // A command stands for its subcommands.
        named.flat_map(|spec| std::iter::once(spec).chain(spec.subcommands)).collect()
    };
    let one = |spec: &Spec| {
        let figures = counted.get(spec.number.get())?;
        Some((Value::text(spec.full_name), distribution(figures)?))
    };
    Ok(Value::Map(asked.into_iter().filter_map(one).collect()))
}

fn distribution(figures: &Figures) -> Option<Value> {
    let times_ns = figures.times_ns.as_ref().filter(|times| !times.is_empty())?;
    let steps = steps_of_twice(times_ns).into_iter().map(|(at_us, calls)| (integer(at_us), integer(calls)));
    let fields = vec![
        (Value::text("calls"), integer(times_ns.len())),
        (Value::text("histogram_usec"), Value::Map(steps.collect())),
    ];
    Some(Value::Map(fields))
}

fn help(_: &mut Session, _: &Server, _: Request<'_>) -> Result<Value, Error> {
    Ok(container::help(
        "latency",
        &[
            "DOCTOR",
            "    Return a human readable latency analysis report.",
            "GRAPH <event>",
            "    Return an ASCII latency graph for the <event> class.",
            "HISTORY <event>",
            "    Return time-latency samples for the <event> class.",
            "LATEST",
            "    Return the latest latency samples for all events.",
            "RESET [<event> ...]",
            "    Reset latency data of one or more <event> classes.",
            "    (default: reset all data for all event classes)",
            "HISTOGRAM [COMMAND ...]",
            "    Return a cumulative distribution of latencies in the format of a histogram for the specified command names.",
            "    If no commands are specified then all histograms are replied.",
        ],
    ))
}

#[cfg(test)]
mod tests {
    use crate::command::table;
    use crate::command::testing::{Rig, expect};

    #[test]
    fn as_redis() {
        expect(&[
            ("LATENCY", "-ERR wrong number of arguments for 'latency' command"),
            ("LATENCY foo", "-ERR unknown subcommand 'foo'. Try LATENCY HELP."),
            ("LATENCY LATEST", "*0"),
            ("LATENCY HISTORY", "-ERR wrong number of arguments for 'latency|history' command"),
            ("LATENCY HISTORY x", "*0"),
            ("LATENCY RESET", ":0"),
            ("LATENCY RESET a b", ":0"),
            ("LATENCY GRAPH command", "-ERR No samples available for event 'command'"),
            ("LATENCY HISTOGRAM nosuch", "*0"),
        ]);
    }

    #[test]
    fn spikes_are_told_and_forgotten() {
        let mut rig = Rig::new();
        for (event, at_s, took_ms) in [("command", 100, 20), ("command", 200, 7), ("fast-command", 150, 3)] {
            rig.server.latency.note(event, at_s, took_ms);
        }
        rig.expect(&[
            ("LATENCY LATEST", "*2 *4 $7 command :200 :7 :20 *4 $12 fast-command :150 :3 :3"),
            ("LATENCY HISTORY command", "*2 *2 :100 :20 *2 :200 :7"),
            ("LATENCY RESET command nosuch", ":1"),
            ("LATENCY LATEST", "*1 *4 $12 fast-command :150 :3 :3"),
            ("LATENCY RESET", ":1"),
            ("LATENCY LATEST", "*0"),
        ]);
    }

    #[test]
    fn a_histogram_is_cumulative_in_steps_of_twice_the_time() {
        let mut rig = Rig::new();
        let number = |name: &[u8]| table::find(name).unwrap().number.get();
        {
            let mut counted = rig.session.tally.open();
            counted.add_calls(number(b"get"), 3, 3_000, true);
            counted.add_calls(number(b"get"), 1, 7_000, true);
            counted.add_calls(number(b"set"), 1, 2_000_000, true);
            counted.add_calls(number(b"del"), 1, 2_000_000, false);
        }
        rig.expect(&[
            ("LATENCY HISTOGRAM get", "*2 $3 get *4 $5 calls :4 $14 histogram_usec *4 :1 :3 :8 :4"),
            ("LATENCY HISTOGRAM del", "*0"),
        ]);
        rig.run("HELLO 3");
        let all = rig.run("LATENCY HISTOGRAM");
        assert!(all.contains("$3 set %2 $5 calls :1 $14 histogram_usec %1 :2113 :1"), "{all}");
        rig.run("CONFIG RESETSTAT");
        assert_eq!(rig.run("LATENCY HISTOGRAM get set"), "%0");
    }
}
