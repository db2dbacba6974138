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
