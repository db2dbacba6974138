//! Options: how late and how faulty the engine is to be.

use core::ops::RangeInclusive;
use std::path::PathBuf;

use plugin_abi::sdk::{Error, OpenArgs};
use plugin_abi::{Effect, Status};

/// How late and how faulty the engine is to be.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// From the call to the completion, in microseconds.
    pub(crate) delay_us: RangeInclusive<u64>,
    /// Start of all random numbers.
    pub(crate) seed: u64,
    /// Share of operations that fail, from 0 to 1.
    pub(crate) error_rate: f64,
    /// What they fail with.
    pub(crate) error: Status,
    /// The number, from 1, of one operation that fails whatever the rate; 0 is none.
    pub(crate) fail_at: u64,
    /// So many batches, the first ones, are complete when their submission returns.
    pub(crate) prompt: u64,
    /// The number of one operation that waits, and with it all else, as long as there is a file.
    pub(crate) wait_at: Option<WaitAt>,
}

const KNOWN: [&str; 7] = ["delay_us", "seed", "error_rate", "error", "fail_at", "prompt", "wait_at"];

impl Options {
    /// Reads the options.
    ///
    /// # Errors
    /// INVALID.
    pub(crate) fn read(args: &OpenArgs<'_>) -> Result<Self, Error> {
        args.check_options(&KNOWN)?;
        // A trial makes tens of thousands of calls, one after the other: late is enough for it, long is not needed.
        let default = if args.scratch_dir.is_some() { 0..=1 } else { 0..=300 };
        let DelayUs(delay_us) =
            args.option("delay_us", "MIN..MAX in microseconds")?.unwrap_or(DelayUs(default));
        let rate: Option<f64> = args.option("error_rate", "a number from 0 to 1")?;
        let error_rate = rate.unwrap_or(0.0);
        if !(0.0..=1.0).contains(&error_rate) {
            let text = format!("option 'error_rate': {error_rate} is not a number from 0 to 1");
            return Err(Error::new(Status::INVALID, text));
        }
        let wanted = "the name of a failure, such as UNAVAILABLE, RETRY, UNKNOWN or TIMEOUT";
        let Failure(error) = args.option("error", wanted)?.unwrap_or(Failure(Status::UNAVAILABLE));
        let seed = args.option("seed", "a number from 0")?.unwrap_or(1);
        let fail_at = args.option("fail_at", "a number from 0")?.unwrap_or(0);
        let prompt = args.option("prompt", "a number from 0")?.unwrap_or(0);
        let wait_at = args.option("wait_at", "N:PATH")?;
        Ok(Self { delay_us, seed, error_rate, error, fail_at, prompt, wait_at })
    }

    /// Whether what fails may have had its effect all the same.
    pub(crate) fn error_is_vague(&self) -> bool {
        self.error.effect() == Effect::Unknown
    }
}

struct DelayUs(RangeInclusive<u64>);

impl std::str::FromStr for DelayUs {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (min, max) = text.split_once("..").unwrap_or((text, text));
        let (min, max) = (min.parse().map_err(|_| ())?, max.parse().map_err(|_| ())?);
        if min <= max { Ok(Self(min..=max)) } else { Err(()) }
    }
}

/// At which operation to wait, for the end of which file, and which file says that it does.
#[derive(Clone, Debug)]
pub(crate) struct WaitAt {
    pub(crate) number: u64,
    pub(crate) gate: PathBuf,
    pub(crate) inside: PathBuf,
}

impl std::str::FromStr for WaitAt {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (number, gate) = text.split_once(':').ok_or(())?;
        let inside = format!("{gate}.inside").into();
        Ok(Self { number: number.parse().map_err(|_| ())?, gate: gate.into(), inside })
    }
}

/// A failure that an engine may choose: what a panic leads to is not among them.
struct Failure(Status);

impl std::str::FromStr for Failure {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let chosen = |status: &&Status| {
            status.0 < 0
                && !matches!(**status, Status::PANIC | Status::POISONED)
                && status.name() == Some(text)
        };
        Status::ALL.iter().find(chosen).copied().map(Self).ok_or(())
    }
}
