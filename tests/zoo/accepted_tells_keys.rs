//! An engine that writes down each key that it is asked for, a line each, in the file that its option `tell` names.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::sync::{Mutex, PoisonError};

use plugin_abi::Status;
use plugin_abi::raw::{KV_CAP_EXPIRY, KV_CAP_SCRATCH};
use plugin_abi::sdk::{Engine, Entry, Error, Found, Host, Op, OpenArgs};

/// Value and expiry.
type Stored = (Vec<u8>, i64);

struct TellsKeys {
    host: Host,
    tell: Option<File>,
    entries: Mutex<BTreeMap<Vec<u8>, Stored>>,
}

impl TellsKeys {
    /// The entries without those that have expired, once it is told which one is asked for.
    fn asked<T>(
        &self,
        op: &Op<'_>,
        then: impl FnOnce(&mut BTreeMap<Vec<u8>, Stored>) -> T,
    ) -> Result<T, Error> {
        op.check(Self::CAPABILITIES)?;
        if let Some(mut tell) = self.tell.as_ref() {
            let line = format!("{}\n", op.key().escape_ascii());
            tell.write_all(line.as_bytes())
                .map_err(|error| Error::new(Status::UNAVAILABLE, error.to_string()))?;
        }
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let now_ms = self.host.now_ms();
        entries.retain(|_, (_, expiry_ms)| *expiry_ms == 0 || *expiry_ms > now_ms);
        Ok(then(&mut entries))
    }
}

impl Engine for TellsKeys {
    const NAME: &'static str = "tells-keys";
    const VERSION: &'static str = "1.0.0";
    const CAPABILITIES: u64 = KV_CAP_EXPIRY | KV_CAP_SCRATCH;

    fn open(args: OpenArgs<'_>) -> Result<Self, Error> {
        args.check_options(&["tell"])?;
        let path: Option<String> = args.option("tell", "the path of a file")?;
        let open = |path| OpenOptions::new().append(true).create(true).open(path);
        let tell = path.map(open).transpose();
        let tell = tell.map_err(|error| Error::new(Status::INVALID, error.to_string()))?;
        Ok(Self { host: args.host, tell, entries: Mutex::default() })
    }

    fn get(&self, op: &Op<'_>, lend: &mut dyn FnMut(&Entry<'_>)) -> Result<Found, Error> {
        self.asked(op, |entries| match entries.get(op.key()) {
            Some((value, expiry_ms)) => {
                lend(&Entry { key: op.key(), value, expiry_ms: *expiry_ms, ..Entry::default() });
                Found::Yes
            }
            None => Found::No,
        })
    }

    fn set(&self, op: &Op<'_>) -> Result<u64, Error> {
        let Entry { value, expiry_ms, .. } = op.entry();
        self.asked(op, |entries| {
            entries.insert(op.key().to_vec(), (value.to_vec(), expiry_ms));
            0
        })
    }

    fn delete(&self, op: &Op<'_>) -> Result<Found, Error> {
        self.asked(op, |entries| match entries.remove(op.key()) {
            Some(_) => Found::Yes,
            None => Found::No,
        })
    }
}

plugin_abi::export_engine!(TellsKeys {});
