//! Expiry: the options EX, PX, EXAT and PXAT, and times in the two units of Redis.

use super::{Context, Error};
use crate::protocol::parse_i64;

/// In what a time is given, and from when it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    /// Seconds from now.
    Seconds,
    /// Milliseconds from now.
    Milliseconds,
    /// Seconds since 1970 UTC.
    UnixSeconds,
    /// Milliseconds since 1970 UTC.
    UnixMilliseconds,
}

impl Unit {
    /// What an option of that name takes.
    pub(super) fn of_option(option: &[u8]) -> Option<Self> {
        let options = [
            (&b"EX"[..], Self::Seconds),
            (b"PX", Self::Milliseconds),
            (b"EXAT", Self::UnixSeconds),
            (b"PXAT", Self::UnixMilliseconds),
        ];
        options.into_iter().find(|(name, _)| option.eq_ignore_ascii_case(name)).map(|(_, unit)| unit)
    }

    /// The time in milliseconds since 1970 UTC; `None` beyond what 64 bits hold.
    pub(super) fn at_ms(self, time: i64, now_ms: i64) -> Option<i64> {
        match self {
            Self::Seconds => time.checked_mul(1000)?.checked_add(now_ms),
            Self::Milliseconds => time.checked_add(now_ms),
            Self::UnixSeconds => time.checked_mul(1000),
            Self::UnixMilliseconds => Some(time),
        }
    }
}

/// When an entry is to expire, by an option of a command that sets one together with a value: only times after 0 will do.
///
/// # Errors
/// Not an integer, not after 0, or beyond what 64 bits hold.
pub(super) fn parse(unit: Unit, time: &[u8], now_ms: i64, command: &str) -> Result<i64, Error> {
    let time = parse_i64(time).ok_or(Error::NOT_AN_INTEGER)?;
    let at_ms = if time > 0 { unit.at_ms(time, now_ms) } else { None };
    at_ms.ok_or_else(|| Error::invalid_expire_time(command))
}

/// What an expiry comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expiry {
    /// There is to be none.
    Never,
    /// What the entry has stays.
    Kept,
    /// It is to expire at this time, in milliseconds since 1970 UTC.
    At(i64),
    /// It is over already: the entry goes.
    Past,
}

impl Expiry {
    /// An expiry at that time, if the engine can carry it.
    ///
    /// # Errors
    /// Names the engine that has no expiry; not where the time is over already, since then none is set.
    pub(super) fn at(at_ms: i64, context: &Context<'_>) -> Result<Self, Error> {
        if at_ms <= context.now_ms {
            return Ok(Self::Past);
        }
        context.require_expiry()?;
        Ok(Self::At(at_ms))
    }
}
