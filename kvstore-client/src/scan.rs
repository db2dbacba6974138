//! Scan: all keys of the store, portion by portion, as an iterator.

use crate::{Client, Error, Value};
use std::collections::VecDeque;

/// Which keys to give.
#[derive(Debug, Clone, Default)]
pub struct ScanFilter {
    /// Only keys that match this glob pattern.
    pub pattern: Option<Vec<u8>>,
    /// How many keys the host should look at per request; its own choice when `None`.
    pub count: Option<u64>,
    /// Only entries of this type.
    pub kind: Option<Vec<u8>>,
}

/// Iterates over keys. A key that exists all the time comes at least once, others may or may not come.
#[derive(Debug)]
pub struct Scan<'a> {
    client: &'a mut Client,
    filter: ScanFilter,
    /// Where the next portion begins; `None` after the last.
    cursor: Option<Vec<u8>>,
    keys: VecDeque<Vec<u8>>,
}

impl Client {
    /// All keys that pass `filter`. An error ends the iteration.
    pub fn scan(&mut self, filter: ScanFilter) -> Scan<'_> {
        Scan { client: self, filter, cursor: Some(b"0".to_vec()), keys: VecDeque::new() }
    }
}

impl Scan<'_> {
    /// The client, for requests between two portions.
    pub fn client(&mut self) -> &mut Client {
        self.client
    }

    fn fetch(&mut self, cursor: &[u8]) -> Result<(), Error> {
        let count = self.filter.count.map(|count| count.to_string());
        let mut words: Vec<&[u8]> = vec![b"SCAN", cursor];
        if let Some(pattern) = &self.filter.pattern {
            words.extend([&b"MATCH"[..], pattern]);
        }
        if let Some(count) = &count {
            words.extend([&b"COUNT"[..], count.as_bytes()]);
        }
        if let Some(kind) = &self.filter.kind {
            words.extend([&b"TYPE"[..], kind]);
        }
        let error = Error::UnexpectedReply { expected: "a cursor and an array of keys" };
        let reply = self.client.call_repeatable(&words)?;
        let Some(Ok([cursor, keys])) = reply.into_elements().map(<[Value; 2]>::try_from) else {
            return Err(error);
        };
        let cursor = cursor.into_bytes().ok_or(error.clone())?;
        for key in keys.into_elements().ok_or(error.clone())? {
            self.keys.push_back(key.into_bytes().ok_or(error.clone())?);
        }
        self.cursor = (cursor != b"0").then_some(cursor);
        Ok(())
    }
}

impl Iterator for Scan<'_> {
    type Item = Result<Vec<u8>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(key) = self.keys.pop_front() {
                return Some(Ok(key));
            }
            let cursor = self.cursor.take()?;
            if let Err(error) = self.fetch(&cursor) {
                self.keys.clear();
                return Some(Err(error));
            }
        }
    }
}
