//! Data: the sub-commands that are one request of the same kind, one file each: words of the command line to words of the request.

mod append;
mod dbsize;
mod decr;
mod delete;
mod entry_type;
mod exists;
mod expire;
mod flush;
mod get;
mod incr;
mod keys;
mod mget;
mod mset;
mod persist;
mod ping;
mod set;
mod strlen;
mod ttl;

use super::Failure;
use clap::{Command, Subcommand};
use std::ffi::OsString;
use std::io::Read;
use std::os::unix::ffi::OsStringExt;

/// The words of one request.
pub(crate) type Words = Vec<Vec<u8>>;

#[derive(Debug, Subcommand)]
pub(crate) enum Data {
    /// Print the value of a key
    Get(get::Get),
    /// Set a key to a value, without expiry unless an option gives one
    #[command(visible_alias = "put")]
    Set(set::Set),
    /// Delete keys and print how many there were
    #[command(visible_alias = "del")]
    Delete(delete::Delete),
    /// Print how many of the keys exist
    Exists(exists::Exists),
    /// Print the values of several keys
    Mget(mget::Mget),
    /// Set several keys at once
    Mset(mset::Mset),
    /// Add 1, or a number, to the number at a key and print the sum
    Incr(incr::Incr),
    /// Subtract 1, or a number, from the number at a key and print the difference
    Decr(decr::Decr),
    /// Append to the value of a key and print the new length in bytes
    Append(append::Append),
    /// Print the length of the value of a key in bytes, 0 when absent
    Strlen(strlen::Strlen),
    /// Let a key expire after a time
    Expire(expire::Expire),
    /// Print how long a key lives on: -1 for ever, -2 when absent
    Ttl(ttl::Ttl),
    /// Take the expiry off a key
    Persist(persist::Persist),
    /// Print the type of the entry at a key, `none` when absent
    Type(entry_type::Type),
    /// Print the keys that match a pattern, all in one reply (see `scan` for many keys)
    Keys(keys::Keys),
    /// Print the number of entries
    Dbsize(dbsize::Dbsize),
    /// Delete all entries
    Flush(flush::Flush),
    /// Ask the host for a sign of life
    Ping(ping::Ping),
}

impl Data {
    pub(crate) fn words(self) -> Result<Words, Failure> {
        Ok(match self {
            Self::Get(get) => get.words(),
            Self::Set(set) => set.words()?,
            Self::Delete(delete) => delete.words(),
            Self::Exists(exists) => exists.words(),
            Self::Mget(mget) => mget.words(),
            Self::Mset(mset) => mset.words()?,
            Self::Incr(incr) => incr.words(),
            Self::Decr(decr) => decr.words(),
            Self::Append(append) => append.words()?,
            Self::Strlen(strlen) => strlen.words(),
            Self::Expire(expire) => expire.words(),
            Self::Ttl(ttl) => ttl.words(),
            Self::Persist(persist) => persist.words(),
            Self::Type(entry_type) => entry_type.words(),
            Self::Keys(keys) => keys.words(),
            Self::Dbsize(dbsize) => dbsize.words(),
            Self::Flush(flush) => flush.words(),
            Self::Ping(ping) => ping.words(),
        })
    }
}

/// Whether one of these sub-commands, or its other name, is called so.
pub(crate) fn is_name(name: &str) -> bool {
    Data::augment_subcommands(Command::new("")).find_subcommand(name).is_some()
}

/// A word of the command line as it was given, any bytes.
pub(crate) fn bytes(word: OsString) -> Vec<u8> {
    word.into_vec()
}

fn request<const N: usize>(name: &str, words: impl IntoIterator<Item = OsString>, more: [&str; N]) -> Words {
    let mut request = vec![name.as_bytes().to_vec()];
    request.extend(words.into_iter().map(bytes));
    request.extend(more.map(|word| word.as_bytes().to_vec()));
    request
}

/// A value, which is standard input to its end when it is given as `-`.
fn value(word: OsString) -> Result<Vec<u8>, Failure> {
    if word != "-" {
        return Ok(bytes(word));
    }
    let mut value = Vec::new();
    std::io::stdin().lock().read_to_end(&mut value).map_err(Failure::Input)?;
    Ok(value)
}
