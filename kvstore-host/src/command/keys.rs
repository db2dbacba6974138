//! KEYS: all keys that match a pattern.

use super::{Error, KeyspaceTask};
use crate::glob::{Case, STEPS_MAX, StepsExhausted, matches_within};
use crate::plugin::Keyspace;
use crate::protocol::{Request, Value};
use crate::server::Server;

/// Keys asked of the engine at a time.
const STEP_KEYS: u32 = 1024;

pub(super) fn keys(request: Request<'_>) -> Result<Box<dyn KeyspaceTask>, Error> {
    Ok(Box::new(Keys { pattern: request.get(1).unwrap_or_default().to_vec() }))
}

struct Keys {
    pattern: Vec<u8>,
}

impl KeyspaceTask for Keys {
    fn run(&self, keyspace: &dyn Keyspace, _: &Server) -> Value {
        let mut matching = Matching::new(&self.pattern);
        let mut keys = Vec::new();
        let mut failure = None;
        let mut cursor = Vec::new();
        loop {
            let step = keyspace.scan(&mut cursor, STEP_KEYS, &mut |key| match matching.take(key) {
                Ok(true) => keys.push(Value::Bulk(key.to_vec())),
                Ok(false) => {}
                Err(error) => failure = Some(error),
            });
            if let Err(error) = step {
                return Error::from(error).into();
            }
            if let Some(error) = failure {
                return error.into();
            }
            if cursor.is_empty() {
                return Value::Array(keys);
            }
        }
    }
}

impl From<StepsExhausted> for Value {
    fn from(error: StepsExhausted) -> Self {
        Error::text(format!("ERR {error}")).into()
    }
}

/// A pattern, and the work that may still be spent on it.
///
/// Each key adds what a harmless pattern needs of it, so that the work grows with the keys and no faster.
pub(super) struct Matching<'a> {
    pattern: &'a [u8],
    steps: u64,
}

impl<'a> Matching<'a> {
    pub(super) fn new(pattern: &'a [u8]) -> Self {
        Self { pattern, steps: STEPS_MAX }
    }

    /// Whether the key matches.
    ///
    /// # Errors
    /// It cannot be told with the work that is left.
    pub(super) fn take(&mut self, key: &[u8]) -> Result<bool, StepsExhausted> {
        // A lone star is every key, also the empty one.
        if self.pattern == b"*" {
            return Ok(true);
        }
        let harmless = 4 * (self.pattern.len() + key.len()) as u64;
        self.steps = self.steps.saturating_add(harmless).min(STEPS_MAX);
        matches_within(&mut self.steps, self.pattern, key, Case::Sensitive)
    }
}

#[cfg(test)]
mod tests {
    use crate::command::testing::{Rig, expect};

    #[test]
    fn as_redis() {
        expect(&[
            ("KEYS *", "*0"),
            ("MSET one 1", "+OK"),
            ("KEYS *", "*1 $3 one"),
            ("KEYS o?e", "*1 $3 one"),
            ("KEYS O*", "*0"),
            ("KEYS x*", "*0"),
            ("KEYS [n-p]ne", "*1 $3 one"),
            ("KEYS \"\"", "*0"),
            ("FLUSHALL", "+OK"),
            ("SET \"\" empty", "+OK"),
            ("KEYS *", "*1 $0"),
            ("KEYS **", "*0"),
            ("KEYS \"\"", "*1 $0"),
            ("KEYS", "-ERR wrong number of arguments for 'keys' command"),
        ]);
    }

    #[test]
    fn the_scan_goes_on_to_the_end() {
        let mut rig = Rig::new();
        rig.map.scan_len_max = 2;
        for number in 0..7 {
            rig.run(&format!("SET k{number} v"));
        }
        rig.expect(&[
            ("KEYS *", "*7 $2 k0 $2 k1 $2 k2 $2 k3 $2 k4 $2 k5 $2 k6"),
            ("KEYS *[35]", "*2 $2 k3 $2 k5"),
        ]);
    }

    #[test]
    fn a_hostile_pattern_is_an_error_and_an_ordinary_one_has_work_for_any_number_of_keys() {
        let mut rig = Rig::new();
        let key = "a".repeat(20_000);
        rig.run_args(&[b"SET", key.as_bytes(), b"v"]);
        let pattern = format!("*{}b", "a".repeat(10_000));
        assert_eq!(
            rig.run_args(&[b"KEYS", pattern.as_bytes()]),
            "-ERR the pattern takes too much work to match"
        );
        assert_eq!(
            rig.run_args(&[b"SCAN", b"0", b"MATCH", pattern.as_bytes()]),
            "-ERR the pattern takes too much work to match"
        );
        rig.run("FLUSHALL");
        {
            let mut entries = rig.map.entries.lock().unwrap();
            entries.extend(
                (0..100_000).map(|number| (format!("user:{number}:name").into_bytes(), (Vec::new(), 0))),
            );
        }
        assert!(rig.run("KEYS user:*9999:nam[e]").starts_with("*10 "));
    }
}
