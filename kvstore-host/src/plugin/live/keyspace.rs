//! Keyspace: what is asked of all of a generation at once, by calls other than batches.

use plugin_abi::Identity;
use plugin_abi::calls::{CallError, Instance, Session};
use plugin_abi::raw::*;

use super::{Driver, Live};
use crate::plugin::outcome::panicked;
use crate::plugin::{Keyspace, choice};

impl Live {
    /// Calls the engine, if it is there, for anything but a batch.
    fn call<T>(&self, call: impl FnOnce(&Instance) -> Result<T, CallError>) -> Result<T, CallError> {
        let called = call(self.instance().ok_or_else(|| self.unavailable())?);
        if called.as_ref().is_err_and(|error| panicked(error.status)) {
            self.note_panic();
        }
        called
    }
}

impl Keyspace for Live {
    fn generation(&self) -> u64 {
        self.generation
    }

    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn symbols(&self) -> Vec<&'static str> {
        self.symbols.clone()
    }

    fn scan(&self, cursor: &mut Vec<u8>, count: u32, sink: &mut dyn FnMut(&[u8])) -> Result<(), CallError> {
        self.call(|instance| {
            instance.session().scan(0, KV_OP_NO_VALUE, count, cursor, |entry| {
                // SAFETY: the engine lends the key for this call.
                sink(unsafe { entry.key.as_slice() });
            })
        })
    }

    fn count(&self) -> Result<u64, CallError> {
        self.call(|instance| {
            let session = instance.session();
            if instance.has_symbol("kv_count") {
                return session.count(0);
            }
            let (mut count, mut cursor) = (0, Vec::new());
            loop {
                session.scan(0, KV_OP_NO_VALUE, 1000, &mut cursor, |_| count += 1)?;
                if cursor.is_empty() {
                    return Ok(count);
                }
            }
        })
    }

    fn random(&self) -> Result<Option<Vec<u8>>, CallError> {
        self.call(|instance| {
            if !instance.has_symbol("kv_random") {
                return choice::of_scan(&mut |cursor, sink| self.scan(cursor, choice::STEP, sink));
            }
            let mut chosen = None;
            instance.session().random(0, KV_OP_NO_VALUE, |entry| {
                // SAFETY: the engine lends the key for this call.
                chosen = Some(unsafe { entry.key.as_slice() }.to_vec());
            })?;
            Ok(chosen)
        })
    }

    fn sync(&self) -> Result<(), CallError> {
        self.call(|instance| instance.session().sync())
    }

    fn clear(&self) -> Result<(), CallError> {
        let cleared = self.call(|instance| {
            // The engine's own lock before the stripes, here and wherever both are taken.
            let session = instance.session();
            let clear = || {
                if instance.has_symbol("kv_clear") { session.clear(0) } else { delete_all(&session) }
            };
            match &self.driver {
                Driver::Locked(stripes) => stripes.exclusively(clear),
                _ => clear(),
            }
        });
        match &cleared {
            Ok(()) => self.changes.note_clear(),
            Err(error) if panicked(error.status) => {}
            Err(_) => self.changes.note_unknown(),
        }
        cleared
    }

    fn stats(&self) -> Result<Vec<(String, String)>, CallError> {
        self.call(|instance| {
            let mut all = Vec::new();
            if instance.has_symbol("kv_stats") {
                instance.session().stats(|stat| {
                    // SAFETY: the engine lends name and text for this call.
                    let (name, text) = unsafe { (stat.name.as_slice(), stat.text.as_slice()) };
                    let lossy = |bytes| String::from_utf8_lossy(bytes).into_owned();
                    let value = if stat.kind == KV_STAT_TEXT { lossy(text) } else { stat.number.to_string() };
                    all.push((lossy(name), value));
                })?;
            }
            Ok(all)
        })
    }
}

/// Empties an engine that has no `kv_clear`, nobody else calling it meanwhile.
fn delete_all(session: &Session<'_>) -> Result<(), CallError> {
    loop {
        let (mut keys, mut cursor) = (Vec::new(), Vec::new());
        loop {
            session.scan(0, KV_OP_NO_VALUE, 1000, &mut cursor, |entry| {
                // SAFETY: the engine lends the key for this call.
                keys.push(unsafe { entry.key.as_slice() }.to_vec());
            })?;
            if cursor.is_empty() {
                break;
            }
        }
        if keys.is_empty() {
            return Ok(());
        }
        for key in &keys {
            session.delete(&KvOp::new(KV_OP_DELETE, key))?;
        }
    }
}
