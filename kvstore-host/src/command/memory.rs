//! MEMORY: what a key, and what the whole process, takes of it.

use plugin_abi::Status;

use super::info::process::Usage;
use super::{Answers, Context, Error, KeyspaceTask, ReplyFn, Session, container};
use crate::plugin::{Keyspace, Plan};
use crate::protocol::{Reply, Request, Value, parse_i64};
use crate::server::Server;

super::table::commands! { pub(super) static SUBCOMMANDS of "memory" =
    "doctor"       2 NO_KEYS [] [] server "4.0.0" "Outputs memory problems report" "" => Keyspace { parse: doctor, writes: false };
    "malloc-stats" 2 NO_KEYS [] [] server "4.0.0" "Show allocator internal stats" "" => Session(malloc_stats);
    "purge"        2 NO_KEYS [] [] server "4.0.0" "Ask the allocator to release memory" "" => Session(purge);
    "stats"        2 NO_KEYS [] [] server "4.0.0" "Show memory usage details" "" => Keyspace { parse: stats, writes: false };
    "usage"       -3 OF_SUBCOMMAND(RO) [readonly] [] server "4.0.0" "Estimate the memory usage of a key" "key [SAMPLES count]" => Data(usage);
    "help"         2 NO_KEYS [loading stale] [] server "4.0.0" "Show helpful text about the different subcommands" "" => Session(help);
}

/// What an entry takes beside its key and value in a table in memory, about, in bytes.
const ENTRY_SIZE_BYTES: usize = 80;

/// An estimate that holds for any engine: no engine tells the size of one entry. SAMPLES is for values of many elements, which none is here.
fn usage<'a>(plan: &mut Plan<'a>, request: Request<'a>, _: &Context<'_>) -> Result<ReplyFn, Error> {
    let mut options = request.skip(3).iter();
    while let Some(option) = options.next() {
        let count =
            options.next().filter(|_| option.eq_ignore_ascii_case(b"SAMPLES")).ok_or(Error::SYNTAX)?;
        if parse_i64(count).ok_or(Error::NOT_AN_INTEGER)? < 0 {
            return Err(Error::SYNTAX);
        }
    }
    let key = request.get(2).unwrap_or_default();
    let own_size_bytes = key.len() + ENTRY_SIZE_BYTES;
    plan.get_no_value(key);
    Ok(ReplyFn::new(move |answers: Answers<'_>, reply: &mut dyn Reply| {
        match answers.all().first().filter(|outcome| outcome.status == Status::OK) {
            Some(outcome) => reply.integer(own_size_bytes.saturating_add(outcome.value_len) as i64),
            None => reply.null(),
        }
    }))
}

/// What is known of the memory of all.
struct Figures {
    process: Usage,
    /// How many entries there are.
    keys: u64,
    /// Bytes that they take together, where the engine tells.
    data_bytes: Option<u64>,
}

impl Figures {
    fn now(keyspace: &dyn Keyspace) -> Result<Self, Error> {
        let stats = keyspace.stats()?;
        let told = stats.iter().find(|(name, _)| name == "memory_bytes");
        let data_bytes = told.and_then(|(_, number)| number.parse().ok());
        Ok(Self { process: Usage::now(), keys: keyspace.count()?, data_bytes })
    }
}

/// `part` of `whole`; 0 where there is no whole.
fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

fn stats(_: Request<'_>) -> Result<Box<dyn KeyspaceTask>, Error> {
    Ok(Box::new(Stats))
}

struct Stats;

impl KeyspaceTask for Stats {
    fn run(&self, keyspace: &dyn Keyspace, _: &Server) -> Value {
        Figures::now(keyspace).map_or_else(Value::from, |figures| stats_of(&figures))
    }
}

/// The names are Redis'; what is not known is left out.
fn stats_of(figures: &Figures) -> Value {
    let Usage { anonymous_bytes: used, resident_bytes: resident, resident_peak_bytes: peak, .. } =
        figures.process;
    let mut pairs = Vec::new();
    let integer = |number: u64| Value::Integer(i64::try_from(number).unwrap_or(i64::MAX));
    let mut put = |name: &'static str, value| pairs.push((Value::text(name), value));
    put("peak.allocated", integer(peak));
    put("total.allocated", integer(used));
    put("keys.count", integer(figures.keys));
    if let Some(data) = figures.data_bytes {
        put("overhead.total", integer(used.saturating_sub(data)));
        put("keys.bytes-per-key", integer(data.checked_div(figures.keys).unwrap_or(0)));
        put("dataset.bytes", integer(data));
        put("dataset.percentage", Value::Double(100.0 * ratio(data, used)));
    }
    put("peak.percentage", Value::Double(100.0 * ratio(used, peak)));
    put("fragmentation", Value::Double(ratio(resident, used)));
    put("fragmentation.bytes", integer(resident.saturating_sub(used)));
    Value::Map(pairs)
}

fn doctor(_: Request<'_>) -> Result<Box<dyn KeyspaceTask>, Error> {
    Ok(Box::new(Doctor))
}

struct Doctor;

impl KeyspaceTask for Doctor {
    fn run(&self, keyspace: &dyn Keyspace, _: &Server) -> Value {
        Figures::now(keyspace).map_or_else(Value::from, |figures| Value::Verbatim {
            format: "txt".into(),
            text: report(&figures).into_bytes(),
        })
    }
}

/// Below this there is too little to look at, in bytes.
const LITTLE_BYTES: u64 = 16 << 20;

fn report(figures: &Figures) -> String {
    let Usage {
        anonymous_bytes: used,
        resident_bytes: resident,
        resident_peak_bytes: peak,
        system_bytes,
        ..
    } = figures.process;
    let mebibytes = |bytes: u64| format!("{:.1} MiB", bytes as f64 / (1 << 20) as f64);
    if resident < LITTLE_BYTES {
        return format!("Little memory is in use ({}): there is nothing to report.\n", mebibytes(resident));
    }
    let mut found = Vec::new();
    if peak > resident + resident / 2 {
        found.push(format!(
            "Once {} were in use, now {} are. Whoever watches the peak sees the past.",
            mebibytes(peak),
            mebibytes(resident)
        ));
    }
    if let Some(data) = figures.data_bytes
        && used > LITTLE_BYTES + 2 * data
    {
        found.push(format!(
            "Of {} in use only {} are entries; the rest is buffers of connections, and memory that was given back to the allocator and not by it to the system: MEMORY PURGE asks for that.",
            mebibytes(used),
            mebibytes(data)
        ));
    }
    if system_bytes > 0 && resident > system_bytes / 10 * 9 {
        found.push(format!(
            "{} of the machine's {} are in use by this process alone.",
            mebibytes(resident),
            mebibytes(system_bytes)
        ));
    }
    if found.is_empty() {
        return format!("{} are in use: no problem found.\n", mebibytes(resident));
    }
    found.iter().map(|line| format!("* {line}\n")).collect()
}

/// In the words of a Redis that is built with the same allocator.
fn malloc_stats(_: &mut Session, _: &Server, _: Request<'_>) -> Result<Value, Error> {
    Ok(Value::text("Stats not supported for the current allocator"))
}

fn purge(_: &mut Session, _: &Server, _: Request<'_>) -> Result<Value, Error> {
    #[cfg(target_env = "gnu")]
    // SAFETY: may be called at any time from any thread; memory that is in use stays as it is.
    unsafe {
        libc::malloc_trim(0);
    }
    Ok(Value::Ok)
}

fn help(_: &mut Session, _: &Server, _: Request<'_>) -> Result<Value, Error> {
    Ok(container::help(
        "memory",
        &[
            "DOCTOR",
            "    Return memory problems reports.",
            "MALLOC-STATS",
            "    Return internal statistics report from the memory allocator.",
            "PURGE",
            "    Attempt to purge dirty pages for reclamation by the allocator.",
            "STATS",
            "    Return information about the memory usage of the server.",
            "USAGE <key> [SAMPLES <count>]",
            "    Return an estimate of the memory in bytes used by <key> and its value.",
        ],
    ))
}

#[cfg(test)]
mod tests {
    use super::{Figures, Usage, report, stats_of};
    use crate::command::testing::{Rig, expect};
    use crate::protocol::Value;

    #[test]
    fn usage_as_redis_but_for_the_number() {
        let syntax = "-ERR syntax error";
        expect(&[
            ("MEMORY USAGE none", "$-1"),
            ("SET key value", "+OK"),
            ("MEMORY USAGE key", ":88"),
            ("memory usage key samples 0", ":88"),
            ("MEMORY USAGE key SAMPLES 5 SAMPLES 9223372036854775807", ":88"),
            ("MEMORY USAGE key SAMPLES -1", syntax),
            ("MEMORY USAGE key SAMPLES x", "-ERR value is not an integer or out of range"),
            ("MEMORY USAGE key SAMPLES", syntax),
            ("MEMORY USAGE key foo 1", syntax),
            ("MEMORY USAGE", "-ERR wrong number of arguments for 'memory|usage' command"),
            ("MEMORY PURGE", "+OK"),
            ("MEMORY PURGE x", "-ERR wrong number of arguments for 'memory|purge' command"),
            ("MEMORY MALLOC-STATS", "$45 Stats not supported for the current allocator"),
            ("MEMORY foo", "-ERR unknown subcommand 'foo'. Try MEMORY HELP."),
            ("MEMORY", "-ERR wrong number of arguments for 'memory' command"),
        ]);
    }

    #[test]
    fn figures_are_those_of_the_process_and_the_engine() {
        let mut rig = Rig::new();
        rig.run("MSET a 1 b 2");
        let stats = rig.run("MEMORY STATS");
        assert!(stats.starts_with("*12 $14 peak.allocated :"), "{stats}");
        assert!(stats.contains("$10 keys.count :2 "), "{stats}");
        assert!(rig.run("MEMORY DOCTOR").starts_with('$'));
        assert!(rig.run("MEMORY HELP").starts_with("*13 +MEMORY <subcommand> "));
        let process = Usage {
            anonymous_bytes: 1000,
            resident_bytes: 2000,
            resident_peak_bytes: 4000,
            ..Usage::default()
        };
        let Value::Map(pairs) = stats_of(&Figures { process, keys: 3, data_bytes: Some(250) }) else {
            panic!()
        };
        let has =
            |name: &str, value| assert!(pairs.contains(&(Value::text(name), value)), "{name}: {pairs:?}");
        has("overhead.total", Value::Integer(750));
        has("keys.bytes-per-key", Value::Integer(83));
        has("dataset.percentage", Value::Double(25.0));
        has("peak.percentage", Value::Double(25.0));
        has("fragmentation", Value::Double(2.0));
        stats_of(&Figures { process: Usage::default(), keys: 0, data_bytes: Some(0) });
    }

    #[test]
    fn the_doctor_names_what_he_finds() {
        let figures = |used: u64, resident: u64, peak: u64, data: u64| Figures {
            process: Usage {
                anonymous_bytes: used << 20,
                resident_bytes: resident << 20,
                resident_peak_bytes: peak << 20,
                system_bytes: 1000 << 20,
                ..Usage::default()
            },
            keys: 1,
            data_bytes: Some(data << 20),
        };
        assert!(report(&figures(5, 6, 7, 0)).starts_with("Little memory"));
        assert_eq!(report(&figures(100, 110, 120, 90)), "110.0 MiB are in use: no problem found.\n");
        assert!(report(&figures(100, 110, 300, 90)).starts_with("* Once 300.0 MiB"));
        assert!(
            report(&figures(100, 110, 120, 10))
                .starts_with("* Of 100.0 MiB in use only 10.0 MiB are entries")
        );
        assert!(report(&figures(900, 950, 950, 890)).contains("of the machine's 1000.0 MiB"));
    }
}
