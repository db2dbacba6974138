//! Engine: the trait that an engine in Rust implements.

use std::borrow::Cow;

use super::{Batch, BatchId, Entry, Host, Op};
use crate::Status;

/// Why an engine did not do what it was asked to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// What the caller gets.
    pub status: Status,
    /// What a person gets; may be empty.
    pub text: Cow<'static, str>,
}

impl Error {
    /// A status with a text.
    pub fn new(status: Status, text: impl Into<Cow<'static, str>>) -> Self {
        Self { status, text: text.into() }
    }
}

impl From<Status> for Error {
    fn from(status: Status) -> Self {
        Self { status, text: Cow::Borrowed("") }
    }
}

/// Whether there was an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// There was one.
    Yes,
    /// There was none.
    No,
}

/// How an instance is to be opened.
#[derive(Debug)]
pub struct OpenArgs<'a> {
    /// The host's services.
    pub host: Host,
    /// The options, in the operator's order.
    pub options: Vec<(&'a str, &'a str)>,
    /// A trial: nothing but memory and this empty directory may be used.
    pub scratch_dir: Option<&'a str>,
    /// State to adopt.
    pub state: Option<&'a crate::raw::KvState>,
}

impl OpenArgs<'_> {
    /// Refuses an option that is not among the known ones, or comes twice.
    ///
    /// # Errors
    /// INVALID, with a text that lists the known ones.
    pub fn check_options(&self, known: &[&str]) -> Result<(), Error> {
        for (i, (key, _)) in self.options.iter().enumerate() {
            let invalid = |what| {
                let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                Err(Error::new(Status::INVALID, format!("{what} option '{key}'; known options: {known}")))
            };
            if !known.contains(key) {
                return invalid("unknown");
            }
            if self.options[..i].iter().any(|(earlier, _)| earlier == key) {
                return invalid("repeated");
            }
        }
        Ok(())
    }

    /// The value of an option, parsed.
    ///
    /// # Errors
    /// INVALID, with a text that names the option and says what `wanted` is.
    pub fn option<T: std::str::FromStr>(&self, key: &str, wanted: &str) -> Result<Option<T>, Error> {
        let Some((_, value)) = self.options.iter().find(|(found, _)| *found == key) else { return Ok(None) };
        let invalid = || Error::new(Status::INVALID, format!("option '{key}': '{value}' is not {wanted}"));
        value.parse().map(Some).map_err(|_| invalid())
    }
}

/// Where a scan stands; empty at its start and at its end.
#[derive(Debug)]
pub struct Cursor<'a> {
    pub(super) bytes: &'a mut [u8],
    pub(super) len: &'a mut u32,
}

impl Cursor<'_> {
    /// The bytes that the last step left; empty at the start.
    pub fn get(&self) -> &[u8] {
        &self.bytes[..(*self.len as usize).min(self.bytes.len())]
    }

    /// Leaves bytes for the next step; none ends the scan.
    ///
    /// # Errors
    /// TOO_LARGE beyond `KV_CURSOR_LEN_MAX`.
    pub fn set(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let Some(place) = self.bytes.get_mut(..bytes.len()) else { return Err(Status::TOO_LARGE.into()) };
        place.copy_from_slice(bytes);
        *self.len = bytes.len() as u32;
        Ok(())
    }
}

pub use crate::raw::KvRegion as Region;

/// A storage engine. `include/kvstore.h` says of each function who calls it, from where, and what it may keep; the methods here
/// are the same functions with Rust's types. Those with a default answer UNSUPPORTED, and are exported only when named in
/// [`export_engine!`](crate::export_engine).
pub trait Engine: Sized + Send + Sync + 'static {
    /// What the engine is called; at most 31 bytes.
    const NAME: &'static str;
    /// Version of the engine; `env!("CARGO_PKG_VERSION")`.
    const VERSION: &'static str;
    /// `KV_CAP_*` together.
    const CAPABILITIES: u64;
    /// Longest key in bytes; 0: no limit of its own.
    const KEY_LEN_MAX: u64 = 0;
    /// Longest value in bytes; 0: no limit of its own.
    const VALUE_LEN_MAX: u64 = 0;
    /// Most operations in a batch; 0: no limit of its own.
    const BATCH_LEN_MAX: u64 = 0;
    /// What the layout of the state is called; empty: nobody else can take it over.
    const STATE_FORMAT: &'static str = "";
    /// Version of that layout that this engine writes.
    const STATE_VERSION: u32 = 0;
    /// Oldest version of that layout that this engine takes.
    const STATE_VERSION_MIN: u32 = Self::STATE_VERSION;

    /// Opens an instance.
    ///
    /// # Errors
    /// Why it cannot; then nothing is left behind.
    fn open(args: OpenArgs<'_>) -> Result<Self, Error>;

    /// Closes the instance: threads joined, data safe.
    ///
    /// # Errors
    /// The last of the data could not be made safe.
    fn close(self) -> Result<(), Error> {
        Ok(())
    }

    /// Reads a key and lends its entry.
    ///
    /// # Errors
    /// CONFLICT or a failure.
    fn get(&self, op: &Op<'_>, lend: &mut dyn FnMut(&Entry<'_>)) -> Result<Found, Error>;

    /// Stores an entry and answers its version.
    ///
    /// # Errors
    /// CONFLICT or a failure.
    fn set(&self, op: &Op<'_>) -> Result<u64, Error>;

    /// Removes a key.
    ///
    /// # Errors
    /// CONFLICT or a failure.
    fn delete(&self, op: &Op<'_>) -> Result<Found, Error>;

    /// Carries out what `op.decide` says, and answers the version that the entry has then.
    ///
    /// # Errors
    /// CONFLICT or a failure.
    fn update(&self, op: &Op<'_>) -> Result<u64, Error> {
        let _ = op;
        Err(Status::UNSUPPORTED.into())
    }

    /// Takes a batch, and completes each of its operations, now or later. A batch that is dropped completes what is left with
    /// UNKNOWN, or PANIC while unwinding.
    fn submit(&self, batch: Batch) {
        batch.fail_all(&Status::UNSUPPORTED.into());
    }

    /// Gives up what has not begun of a batch, if it is still there.
    fn cancel(&self, batch: BatchId) {
        let _ = batch;
    }

    /// Lends about `count` entries and moves the cursor.
    ///
    /// # Errors
    /// INVALID for a cursor that is none; else a failure.
    fn scan(
        &self,
        space: u32,
        no_value: bool,
        count: u32,
        cursor: &mut Cursor<'_>,
        lend: &mut dyn FnMut(&Entry<'_>),
    ) -> Result<(), Error> {
        let _ = (space, no_value, count, cursor, lend);
        Err(Status::UNSUPPORTED.into())
    }

    /// Lends one entry, chosen at random, each about as likely as the others.
    ///
    /// # Errors
    /// A failure.
    fn random(&self, space: u32, no_value: bool, lend: &mut dyn FnMut(&Entry<'_>)) -> Result<Found, Error> {
        let _ = (space, no_value, lend);
        Err(Status::UNSUPPORTED.into())
    }

    /// Counts the entries.
    ///
    /// # Errors
    /// A failure.
    fn count(&self, space: u32) -> Result<u64, Error> {
        let _ = space;
        Err(Status::UNSUPPORTED.into())
    }

    /// Tells figures: name, kind (`KV_STAT_*`), number.
    ///
    /// # Errors
    /// A failure.
    fn stats(&self, tell: &mut dyn FnMut(&str, u32, i64)) -> Result<(), Error> {
        let _ = tell;
        Err(Status::UNSUPPORTED.into())
    }

    /// Removes all entries.
    ///
    /// # Errors
    /// A failure.
    fn clear(&self, space: u32) -> Result<(), Error> {
        let _ = space;
        Err(Status::UNSUPPORTED.into())
    }

    /// Makes durable what was acknowledged.
    ///
    /// # Errors
    /// A failure.
    fn sync(&self) -> Result<(), Error> {
        Err(Status::UNSUPPORTED.into())
    }

    /// Raises the sequence of versions to at least `last`, and answers the highest number given or imported so far.
    ///
    /// # Errors
    /// INVALID beyond 2^56.
    fn sequence(&self, last: u64) -> Result<u64, Error> {
        let _ = last;
        Err(Status::UNSUPPORTED.into())
    }

    /// Prepares a handoff of this kind (`KV_HANDOFF_*`).
    ///
    /// # Errors
    /// Why it cannot; the engine works as before.
    fn handoff_prepare(&self, kind: u32) -> Result<(), Error> {
        let _ = kind;
        Err(Status::UNSUPPORTED.into())
    }

    /// The regions and the root bytes of the state. They stay where they are until commit or abort.
    ///
    /// # Errors
    /// INVALID where nothing was prepared.
    fn handoff_give(&self) -> Result<(&[Region], &[u8]), Error> {
        Err(Status::UNSUPPORTED.into())
    }

    /// Whether the state to give is SUSPECT though no call has panicked: a thread of the engine's own may have.
    fn is_suspect(&self) -> bool {
        false
    }

    /// Lets go of the state for good.
    fn handoff_commit(&self) {}

    /// Works on as before the prepare.
    ///
    /// # Errors
    /// After `KV_HANDOFF_REOPEN`: files or locks could not be taken back.
    fn handoff_abort(&self) -> Result<(), Error> {
        Err(Status::UNSUPPORTED.into())
    }
}
