//! Parameters: each setting by its name, what it is, and how it can change while the server runs.

use std::sync::atomic::Ordering;

use crate::command::Error;
use crate::pubsub::{Classes, OutputLimits};
use crate::server::Server;

/// A parameter.
pub(super) struct Parameter {
    pub(super) name: &'static str,
    /// Its key in the configuration file, for one that can change.
    pub(super) file_key: Option<&'static str>,
    pub(super) get: fn(&Server) -> String,
    kind: Kind,
}

enum Kind {
    /// Does not change while the server runs.
    Fixed,
    /// An option of the engine, which gets it when it is opened.
    Engine,
    /// A number from the first to the second.
    Number(i64, i64, fn(&Server, i64)),
    /// A number of bytes from the first to the second, where units of memory are taken: `1mb`.
    Bytes(u64, u64, fn(&Server, u64)),
    /// `yes` or `no`.
    Flag(fn(&Server, bool)),
    /// A text, of which the function makes the change, or says what is wrong with it.
    Text(fn(&[u8]) -> Result<Change, &'static str>),
}

/// A change that was found to be possible.
pub(super) type Change = Box<dyn FnOnce(&Server)>;

const fn fixed(name: &'static str, get: fn(&Server) -> String) -> Parameter {
    Parameter { name, file_key: None, get, kind: Kind::Fixed }
}

/// A parameter that is a field of the settings; its key in the file is the field's name.
macro_rules! setting {
    ($name:literal, $field:ident, $kind:ident($min:expr, $max:expr)) => {
        Parameter {
            name: $name,
            file_key: Some(stringify!($field)),
            get: |server| server.settings.$field.load(Ordering::Relaxed).to_string(),
            kind: Kind::$kind($min, $max, |server, number| {
                server.settings.$field.store(number as _, Ordering::Relaxed);
            }),
        }
    };
    ($name:literal, $field:ident, Flag) => {
        Parameter {
            name: $name,
            file_key: Some(stringify!($field)),
            get: |server| yes_or_no(server.settings.$field.load(Ordering::Relaxed)),
            kind: Kind::Flag(|server, yes| server.settings.$field.store(yes, Ordering::Relaxed)),
        }
    };
}

const _: () = assert!(usize::BITS == u64::BITS, "a setting of either type holds the other's numbers");

/// Values and keys of more bytes than this cannot be told in a reply's length.
const LEN_MAX: u64 = i64::MAX as u64;
const TIMEOUT_MAX: i64 = i32::MAX as i64;

fn yes_or_no(yes: bool) -> String {
    if yes { "yes" } else { "no" }.to_owned()
}

fn no(_: &Server) -> String {
    yes_or_no(false)
}

/// All parameters, by name. What Redis has and this server does not is told as it is: off.
pub(super) static PARAMETERS: &[Parameter] = &[
    fixed("appendonly", no),
    fixed("bind", |server| server.facts.bind.clone()),
    Parameter {
        name: "client-output-buffer-limit",
        file_key: Some("client_output_buffer_limit"),
        get: |server| server.settings.output_limits.to_string(),
        kind: Kind::Text(output_limits),
    },
    fixed("cluster-enabled", no),
    fixed("databases", |_| "1".to_owned()),
    setting!("drain-timeout-ms", drain_timeout_ms, Number(0, TIMEOUT_MAX)),
    fixed("enable-debug-command", no),
    fixed("enable-module-command", no),
    fixed("io-threads", |server| server.facts.workers.max(1).to_string()),
    setting!("key-len-max", key_len_max, Bytes(1, LEN_MAX)),
    setting!("latency-monitor-threshold", latency_threshold_ms, Number(0, i64::MAX)),
    setting!("latency-tracking", latency_tracking, Flag),
    fixed("latency-tracking-info-percentiles", |_| "50 99 99.9".to_owned()),
    setting!("maxclients", clients_max, Number(1, u32::MAX as i64)),
    Parameter {
        name: "maxmemory",
        file_key: None,
        get: |server| memory_limit_bytes(server).to_string(),
        kind: Kind::Engine,
    },
    Parameter { name: "maxmemory-policy", file_key: None, get: memory_policy, kind: Kind::Engine },
    Parameter {
        name: "notify-keyspace-events",
        file_key: Some("notify_keyspace_events"),
        get: |server| server.pubsub.classes.letters(),
        kind: Kind::Text(keyspace_events),
    },
    setting!("output-stall-timeout-ms", output_stall_timeout_ms, Number(0, TIMEOUT_MAX)),
    fixed("port", |server| server.facts.tcp_port.to_string()),
    setting!("probation-errors-max", probation_errors_max, Number(0, i64::MAX)),
    setting!("probation-latency-floor-us", probation_latency_floor_us, Number(0, i64::MAX)),
    setting!("probation-latency-percent", probation_latency_percent, Number(0, u32::MAX as i64)),
    setting!("proto-max-bulk-len", value_len_max, Bytes(1, LEN_MAX)),
    fixed("requirepass", |_| String::new()),
    fixed("save", |_| String::new()),
    setting!("slowlog-log-slower-than", slowlog_threshold_us, Number(-1, i64::MAX)),
    setting!("slowlog-max-len", slowlog_len_max, Number(0, i64::MAX)),
    setting!("timeout", idle_timeout_s, Number(0, TIMEOUT_MAX)),
    fixed("unixsocket", |server| server.facts.unix_socket.clone().unwrap_or_default()),
    fixed("unixsocketperm", |server| match server.facts.unix_socket {
        Some(_) => format!("{:o}", server.facts.unix_mode),
        None => "0".to_owned(),
    }),
];

impl Parameter {
    /// The parameter of that name, in any case.
    pub(super) fn find(name: &[u8]) -> Option<&'static Self> {
        PARAMETERS.iter().find(|one| one.name.as_bytes().eq_ignore_ascii_case(name))
    }

    /// The change to that value.
    ///
    /// # Errors
    /// It cannot be, in Redis' words.
    pub(super) fn parse(&self, server: &Server, value: &[u8]) -> Result<Change, Error> {
        match self.kind {
            // Tools write what is there already; that is no change.
            Kind::Fixed if (self.get)(server).as_bytes().eq_ignore_ascii_case(value) => Ok(Box::new(|_| {})),
            Kind::Fixed => Err(self.refuse("can't set immutable config")),
            Kind::Engine => {
                let now = (self.get)(server);
                let same = match parse_bytes(value) {
                    Some(bytes) => now == bytes.to_string(),
                    None => now.as_bytes().eq_ignore_ascii_case(value),
                };
                if same { Ok(Box::new(|_| {})) } else { Err(self.refuse_engine_option()) }
            }
            Kind::Number(min, max, apply) => {
                let number = crate::protocol::parse_i64(value)
                    .ok_or_else(|| self.refuse("argument couldn't be parsed into an integer"))?;
                if !(min..=max).contains(&number) {
                    return Err(self.out_of_bounds(min, max));
                }
                Ok(Box::new(move |server| apply(server, number)))
            }
            Kind::Bytes(min, max, apply) => {
                let bytes =
                    parse_bytes(value).ok_or_else(|| self.refuse("argument must be a memory value"))?;
                if !(min..=max).contains(&bytes) {
                    return Err(self.out_of_bounds(min, max));
                }
                Ok(Box::new(move |server| apply(server, bytes)))
            }
            Kind::Flag(apply) => match value.to_ascii_lowercase().as_slice() {
                b"yes" => Ok(Box::new(move |server| apply(server, true))),
                b"no" => Ok(Box::new(move |server| apply(server, false))),
                _ => Err(self.refuse("argument must be 'yes' or 'no'")),
            },
            Kind::Text(parse) => parse(value).map_err(|reason| self.refuse(reason)),
        }
    }

    /// Its value now, as the configuration file has it.
    pub(super) fn file_value(&self, server: &Server) -> toml_edit::Value {
        let text = (self.get)(server);
        match self.kind {
            Kind::Flag(_) => (text == "yes").into(),
            Kind::Text(_) => text.into(),
            _ => text.parse::<i64>().map_or_else(|_| text.into(), toml_edit::Value::from),
        }
    }

    /// The refusal of a change.
    pub(super) fn refuse(&self, reason: &str) -> Error {
        Error::text(format!(
            "ERR CONFIG SET failed (possibly related to argument '{}') - {reason}",
            self.name
        ))
    }

    fn refuse_engine_option(&self) -> Error {
        self.refuse(&format!(
            "the engine gets it when it is opened: ENGINE RELOAD OPTS {}=..., with all other options, opens it anew and keeps the data",
            self.name
        ))
    }

    fn out_of_bounds(&self, min: impl std::fmt::Display, max: impl std::fmt::Display) -> Error {
        self.refuse(&format!("argument must be between {min} and {max} inclusive"))
    }
}

/// How many bytes the entries may take; 0: as many as there are. An engine refuses options that it does not know, so what it was given holds.
pub(in crate::command) fn memory_limit_bytes(server: &Server) -> u64 {
    let option = server.engine_options.get("maxmemory");
    option.and_then(|text| parse_bytes(text.as_bytes())).unwrap_or(0)
}

/// Which entries go when they take more.
pub(in crate::command) fn memory_policy(server: &Server) -> String {
    server.engine_options.get("maxmemory-policy").unwrap_or_else(|| "noeviction".to_owned())
}

/// Limits by class: `normal 1gb 0 0 pubsub 32mb 8mb 60`. A class that is not named keeps its limit.
fn output_limits(text: &[u8]) -> Result<Change, &'static str> {
    let words = text.split(|byte| *byte == b' ').filter(|word| !word.is_empty());
    let words: Vec<Vec<u8>> = words.map(<[u8]>::to_vec).collect();
    if !words.len().is_multiple_of(4) {
        return Err("Wrong number of arguments in buffer limit configuration.");
    }
    let mut limits = Vec::new();
    for class in words.chunks_exact(4) {
        let [name, hard, soft, seconds] = class else { continue };
        if OutputLimits::default().class(name).is_none() {
            return Err("Invalid client class specified in buffer limit configuration.");
        }
        let seconds = crate::protocol::parse_i64(seconds).and_then(|seconds| u64::try_from(seconds).ok());
        let (Some(hard), Some(soft), Some(seconds)) = (parse_bytes(hard), parse_bytes(soft), seconds) else {
            return Err("Error in hard, soft or soft_seconds setting in buffer limit configuration.");
        };
        limits.push((name.clone(), [hard, soft, seconds]));
    }
    Ok(Box::new(move |server| {
        for (name, limit) in limits {
            if let Some(class) = server.settings.output_limits.class(&name) {
                class.set(limit);
            }
        }
    }))
}

/// Classes of events by their letters.
fn keyspace_events(text: &[u8]) -> Result<Change, &'static str> {
    let classes = Classes::parse(text).ok_or("Invalid event class character. Use 'Ag$lshzxeKEtmdn'.")?;
    Ok(Box::new(move |server| server.pubsub.classes.set(classes)))
}

/// A number of bytes: digits and a unit of 1000s (`k`, `m`, `g`) or of 1024s (`kb`, `mb`, `gb`).
fn parse_bytes(text: &[u8]) -> Option<u64> {
    let digits_len = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(digits_len);
    let units: [(&[u8], u64); 8] = [
        (b"", 1),
        (b"b", 1),
        (b"k", 1000),
        (b"kb", 1 << 10),
        (b"m", 1_000_000),
        (b"mb", 1 << 20),
        (b"g", 1_000_000_000),
        (b"gb", 1 << 30),
    ];
    let (_, factor) = units.into_iter().find(|(name, _)| unit.eq_ignore_ascii_case(name))?;
    std::str::from_utf8(digits).ok()?.parse::<u64>().ok()?.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::{PARAMETERS, parse_bytes};

    #[test]
    fn parameters_stand_in_order() {
        assert!(PARAMETERS.is_sorted_by(|one, next| one.name < next.name));
    }

    #[test]
    fn units_of_memory() {
        for (text, bytes) in [
            ("0", Some(0)),
            ("7b", Some(7)),
            ("2K", Some(2000)),
            ("2kb", Some(2048)),
            ("3m", Some(3_000_000)),
            ("3MB", Some(3 << 20)),
            ("1g", Some(1_000_000_000)),
            ("1gb", Some(1 << 30)),
            ("", None),
            ("mb", None),
            ("1tb", None),
            ("-1", None),
            ("1.5mb", None),
            ("18446744073709551615gb", None),
            ("18446744073709551616", None),
        ] {
            assert_eq!(parse_bytes(text.as_bytes()), bytes, "{text:?}");
        }
    }
}
