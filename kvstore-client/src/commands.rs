//! Commands: the everyday ones as methods, with types.

use crate::{Client, Error, Value};
use std::time::Duration;

/// How long an entry lives on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeToLive {
    /// There is no such entry.
    Absent,
    /// It has no expiry.
    Forever,
    /// It expires after this time, to the millisecond.
    Left(Duration),
}

/// Reads are sent again after a lost connection; what changes data is not.
///
/// All give the errors of [`Client::call`], and [`Error::UnexpectedReply`] when the reply is of another kind than the command's.
impl Client {
    /// The value of `key`, or `None`.
    ///
    /// # Errors
    /// See above.
    pub fn get(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        optional_bytes(self.call_repeatable(&[b"GET", key])?)
    }

    /// Sets `key` to `value`, without expiry.
    ///
    /// # Errors
    /// See above.
    pub fn set(&mut self, key: &[u8], value: &[u8]) -> Result<(), Error> {
        self.call(&[b"SET", key, value]).map(|_| ())
    }

    /// Sets `key` to `value` for `time`, to the millisecond.
    ///
    /// # Errors
    /// See above.
    pub fn set_for(&mut self, key: &[u8], value: &[u8], time: Duration) -> Result<(), Error> {
        let milliseconds = time.as_millis().to_string();
        self.call(&[b"SET", key, value, b"PX", milliseconds.as_bytes()]).map(|_| ())
    }

    /// Deletes the keys; how many there were.
    ///
    /// # Errors
    /// See above.
    pub fn delete(&mut self, keys: &[&[u8]]) -> Result<u64, Error> {
        count(self.call(&with_name(b"DEL", keys))?)
    }

    /// How many of the keys exist; a key given twice counts twice.
    ///
    /// # Errors
    /// See above.
    pub fn exists(&mut self, keys: &[&[u8]]) -> Result<u64, Error> {
        count(self.call_repeatable(&with_name(b"EXISTS", keys))?)
    }

    /// The values of the keys, in their order.
    ///
    /// # Errors
    /// See above.
    pub fn get_many(&mut self, keys: &[&[u8]]) -> Result<Vec<Option<Vec<u8>>>, Error> {
        let reply = self.call_repeatable(&with_name(b"MGET", keys))?;
        let elements = reply.into_elements().ok_or(Error::UnexpectedReply { expected: "an array" })?;
        elements.into_iter().map(optional_bytes).collect()
    }

    /// Sets all entries at once.
    ///
    /// # Errors
    /// See above.
    pub fn set_many(&mut self, entries: &[(&[u8], &[u8])]) -> Result<(), Error> {
        let words: Vec<&[u8]> = entries.iter().flat_map(|(key, value)| [*key, *value]).collect();
        self.call(&with_name(b"MSET", &words)).map(|_| ())
    }

    /// Adds `by` to the number at `key`, which is 0 when absent; the sum.
    ///
    /// # Errors
    /// See above; a reply error when the value is no number or the sum does not fit in 64 bits.
    pub fn increment(&mut self, key: &[u8], by: i64) -> Result<i64, Error> {
        integer(self.call(&[b"INCRBY", key, by.to_string().as_bytes()])?)
    }

    /// Appends `tail` to the value of `key`, which is empty when absent; the new length in bytes.
    ///
    /// # Errors
    /// See above.
    pub fn append(&mut self, key: &[u8], tail: &[u8]) -> Result<u64, Error> {
        count(self.call(&[b"APPEND", key, tail])?)
    }

    /// Length of the value of `key` in bytes, 0 when absent.
    ///
    /// # Errors
    /// See above.
    pub fn value_len(&mut self, key: &[u8]) -> Result<u64, Error> {
        count(self.call_repeatable(&[b"STRLEN", key])?)
    }

    /// Lets `key` expire after `time`, to the millisecond; whether it exists.
    ///
    /// # Errors
    /// See above.
    pub fn expire(&mut self, key: &[u8], time: Duration) -> Result<bool, Error> {
        let milliseconds = time.as_millis().to_string();
        Ok(integer(self.call(&[b"PEXPIRE", key, milliseconds.as_bytes()])?)? == 1)
    }

    /// Takes the expiry off `key`; whether it had one.
    ///
    /// # Errors
    /// See above.
    pub fn persist(&mut self, key: &[u8]) -> Result<bool, Error> {
        Ok(integer(self.call(&[b"PERSIST", key])?)? == 1)
    }

    /// How long `key` lives on.
    ///
    /// # Errors
    /// See above.
    pub fn time_to_live(&mut self, key: &[u8]) -> Result<TimeToLive, Error> {
        match integer(self.call_repeatable(&[b"PTTL", key])?)? {
            -2 => Ok(TimeToLive::Absent),
            -1 => Ok(TimeToLive::Forever),
            left => Ok(TimeToLive::Left(Duration::from_millis(u64::try_from(left).unwrap_or(0)))),
        }
    }

    /// Number of entries.
    ///
    /// # Errors
    /// See above.
    pub fn count(&mut self) -> Result<u64, Error> {
        count(self.call_repeatable(&["DBSIZE"])?)
    }

    /// Deletes all entries.
    ///
    /// # Errors
    /// See above.
    pub fn flush(&mut self) -> Result<(), Error> {
        self.call(&["FLUSHALL"]).map(|_| ())
    }

    /// Asks the host for a sign of life.
    ///
    /// # Errors
    /// See above.
    pub fn ping(&mut self) -> Result<(), Error> {
        self.call_repeatable(&["PING"]).map(|_| ())
    }

    /// The host's report about itself, of one section or of all.
    ///
    /// # Errors
    /// See above.
    pub fn info(&mut self, section: Option<&str>) -> Result<String, Error> {
        let words: Vec<&str> = ["INFO"].into_iter().chain(section).collect();
        let text = self
            .call_repeatable(&words)?
            .into_bytes()
            .ok_or(Error::UnexpectedReply { expected: "a text" })?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}

fn with_name<'a>(name: &'a [u8], words: &[&'a [u8]]) -> Vec<&'a [u8]> {
    [name].into_iter().chain(words.iter().copied()).collect()
}

fn optional_bytes(value: Value) -> Result<Option<Vec<u8>>, Error> {
    match value {
        Value::Nil => Ok(None),
        value => value.into_bytes().map(Some).ok_or(Error::UnexpectedReply { expected: "a string or nil" }),
    }
}

fn integer(value: Value) -> Result<i64, Error> {
    value.as_integer().ok_or(Error::UnexpectedReply { expected: "an integer" })
}

fn count(value: Value) -> Result<u64, Error> {
    u64::try_from(integer(value)?).map_err(|_| Error::UnexpectedReply { expected: "a count" })
}
