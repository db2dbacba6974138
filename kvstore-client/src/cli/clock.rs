//! Clock: the time of day as people read it, and as programs do.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970 in UTC.
pub(crate) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// The time of day where this machine is, to the millisecond.
pub(crate) fn time_of_day(unix_ms: i64) -> String {
    match Timestamp::from_millisecond(unix_ms) {
        Ok(timestamp) => timestamp.to_zoned(TimeZone::system()).strftime("%H:%M:%S%.3f").to_string(),
        Err(_) => unix_ms.to_string(),
    }
}
