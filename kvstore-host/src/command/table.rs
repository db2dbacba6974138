//! Table: every command, its arity, flags, keys and summary. Nothing else says these.

use super::{Error, Spec};
use super::{
    append, bit, client, config, connection, copy, dbsize, del, delifeq, engine, expire, get, getex, hello,
    incr, incrbyfloat, info, introspect, keys, latency, lcs, memory, mget, module, monitor, mset, msetnx,
    object, persist, publish, pubsub, randomkey, range, rename, replication, save, scan, set, shutdown,
    slowlog, subscribe, ttl,
};
use crate::protocol::Request;

/// Makes a table of one row per command: name, arity, keys (with how they are used, where that does not follow from the flags),
/// flags, categories, group, since, summary, syntax, handler and, for a
/// command that has them, its subcommands. A table `of` a command is of its subcommands.
macro_rules! commands {
    ($vis:vis static $table:ident = $($rows:tt)*) => {
        $crate::command::table::commands! { @rows "" "" $vis static $table = $($rows)* }
    };
    ($vis:vis static $table:ident of $command:literal = $($rows:tt)*) => {
        $crate::command::table::commands! { @rows $command "|" $vis static $table = $($rows)* }
    };
    (@rows $command:literal $bar:literal $vis:vis static $table:ident = $(
        $name:literal $arity:literal $keys:ident $(($($($access:ident)+),+))? [$($flag:ident)*] [$($category:ident)*] $group:ident $since:literal
        $summary:literal $syntax:literal => $handler:ident $(($plan:expr))? $({$($parts:tt)*})? $(, $subcommands:expr)?;
    )*) => {
        /// Commands by name.
        $vis static $table: &[$crate::command::Spec] = &[$($crate::command::Spec {
            name: $name,
            full_name: concat!($command, $bar, $name),
            arity: $arity,
            keys: $crate::command::Keys::$keys,
            access: &[$($(&[$(stringify!($access)),+]),+)?],
            flags: &[$(stringify!($flag)),*],
            writes: false $(|| $crate::command::table::is_write(stringify!($flag)))*,
            categories: &[$(stringify!($category)),*],
            group: stringify!($group),
            since: $since,
            summary: $summary,
            syntax: $syntax,
            handler: $crate::command::Handler::$handler $(($plan))? $({$($parts)*})?,
            subcommands: $crate::command::table::commands!(@or_none $($subcommands)?),
            number: {
                static NUMBER: $crate::command::Number = $crate::command::Number::new();
                &NUMBER
            },
        }),*];
    };
    (@or_none) => { &[] };
    (@or_none $subcommands:expr) => { $subcommands };
}
pub(super) use commands;

commands! { pub static COMMANDS =
    "append"       3 ONE(RW insert) [write denyoom fast]     [string]     string "2.0.0" "Append a value to a key" "key value" => Data(append::append);
    "auth"        -2 NO_KEYS [noscript loading stale fast no_auth allow_busy] [connection] connection "1.0.0" "Authenticate to the server" "[username] password" => Session(connection::auth);
    "bgsave"      -1 NO_KEYS [admin noscript no_async_loading] [] server "1.0.0" "Asynchronously save the dataset to disk" "[SCHEDULE]" => Keyspace { parse: save::bgsave, writes: false };
    "bitcount"    -2 ONE     [readonly]               [bitmap]     bitmap "2.6.0" "Count set bits in a string" "key [start end [BYTE|BIT]]" => Data(bit::bitcount);
    "client"      -2 NO_KEYS []                       []           connection "2.4.0" "A container for client connection commands" "" => Container, client::SUBCOMMANDS;
    "command"     -1 NO_KEYS [loading stale]          [connection] server "2.8.13" "Get array of Redis command details" "" => Session(introspect::command), introspect::SUBCOMMANDS;
    "config"      -2 NO_KEYS []                       []           server "2.0.0" "A container for server configuration commands" "" => Container, config::SUBCOMMANDS;
    "copy"        -3 TWO(RO access, OW update) [write denyoom]          [keyspace]   generic "6.2.0" "Copy a key" "source destination [DB destination-db] [REPLACE]" => Data(copy::copy);
    "dbsize"       1 NO_KEYS [readonly fast]          [keyspace]   server "1.0.0" "Return the number of keys in the selected database" "" => Keyspace { parse: dbsize::dbsize, writes: false };
    "decr"         2 ONE     [write denyoom fast]     [string]     string "1.0.0" "Decrement the integer value of a key by one" "key" => Data(incr::decr);
    "decrby"       3 ONE     [write denyoom fast]     [string]     string "1.0.0" "Decrement the integer value of a key by the given number" "key decrement" => Data(incr::decrby);
    "del"         -2 ALL(RM delete) [write]                  [keyspace]   generic "1.0.0" "Delete a key" "key [key ...]" => Data(del::del);
    "delifeq"      3 ONE(RW access delete) [write fast]             [keyspace]   string "0.1.0" "Delete a key, only if this is its value" "key value" => Data(delifeq::delifeq);
    "discard"      1 NO_KEYS [noscript loading stale fast allow_busy] [transaction] transactions "2.0.0" "Discard all commands issued after MULTI" "" => Transaction;
    "echo"         2 NO_KEYS [loading stale fast]     [connection] connection "1.0.0" "Echo the given string" "message" => Session(connection::echo);
    "engine"      -2 NO_KEYS [admin noscript]         []           server "0.1.0" "A container for commands about the storage engine" "" => Container, engine::SUBCOMMANDS;
    "exec"         1 NO_KEYS [noscript loading stale skip_slowlog] [transaction] transactions "1.2.0" "Execute all commands issued after MULTI" "" => Transaction;
    "exists"      -2 ALL(RO) [readonly fast]          [keyspace]   generic "1.0.0" "Determine if a key exists" "key [key ...]" => Data(del::exists);
    "exit"        -1 NO_KEYS [noscript loading stale fast no_auth allow_busy] [connection] connection "0.1.0" "Close the connection, as QUIT does" "" => Session(connection::quit);
    "expire"      -3 ONE(RW update) [write fast]             [keyspace]   generic "1.0.0" "Set a key's time to live in seconds" "key seconds [NX|XX|GT|LT]" => Data(expire::expire);
    "expireat"    -3 ONE(RW update) [write fast]             [keyspace]   generic "1.2.0" "Set the expiration for a key as a UNIX timestamp" "key unix-time-seconds [NX|XX|GT|LT]" => Data(expire::expireat);
    "expiretime"   2 ONE     [readonly fast]          [keyspace]   generic "7.0.0" "Get the expiration Unix timestamp for a key" "key" => Data(ttl::expiretime);
    "flushall"    -1 NO_KEYS [write]                  [keyspace dangerous] server "1.0.0" "Remove all keys from all databases" "[ASYNC|SYNC]" => Keyspace { parse: dbsize::flush, writes: true };
    "flushdb"     -1 NO_KEYS [write]                  [keyspace dangerous] server "1.0.0" "Remove all keys from the current database" "[ASYNC|SYNC]" => Keyspace { parse: dbsize::flush, writes: true };
    "function"    -2 NO_KEYS []                       []           scripting "7.0.0" "A container for function commands" "" => Container, module::FUNCTION_SUBCOMMANDS;
    "get"          2 ONE     [readonly fast]          [string]     string "1.0.0" "Get the value of a key" "key" => Data(get::get);
    "getbit"       3 ONE     [readonly fast]          [bitmap]     bitmap "2.2.0" "Returns the bit value at offset in the string value stored at key" "key offset" => Data(bit::getbit);
    "getdel"       2 ONE(RW access delete) [write fast]             [string]     string "6.2.0" "Get the value of a key and delete the key" "key" => Data(get::getdel);
    "getex"       -2 ONE     [write fast]             [string]     string "6.2.0" "Get the value of a key and optionally set its expiration" "key [EX seconds|PX milliseconds|EXAT unix-time-seconds|PXAT unix-time-milliseconds|PERSIST]" => Data(getex::getex);
    "getrange"     4 ONE     [readonly]               [string]     string "2.4.0" "Get a substring of the string stored at a key" "key start end" => Data(range::getrange);
    "getset"       3 ONE     [write denyoom fast]     [string]     string "1.0.0" "Set the string value of a key and return its old value" "key value" => Data(set::getset);
    "hello"       -1 NO_KEYS [noscript loading stale fast no_auth allow_busy] [connection] connection "6.0.0" "Handshake with Redis" "[protover [AUTH username password] [SETNAME clientname]]" => Session(hello::hello);
    "incr"         2 ONE     [write denyoom fast]     [string]     string "1.0.0" "Increment the integer value of a key by one" "key" => Data(incr::incr);
    "incrby"       3 ONE     [write denyoom fast]     [string]     string "1.0.0" "Increment the integer value of a key by the given amount" "key increment" => Data(incr::incrby);
    "incrbyfloat"  3 ONE     [write denyoom fast]     [string]     string "2.6.0" "Increment the float value of a key by the given amount" "key increment" => Data(incrbyfloat::incrbyfloat);
    "info"        -1 NO_KEYS [loading stale]          [dangerous]  server "1.0.0" "Get information and statistics about the server" "[section [section ...]]" => Keyspace { parse: info::info, writes: false };
    "keys"         2 NO_KEYS [readonly]               [keyspace dangerous] generic "1.0.0" "Find all keys matching the given pattern" "pattern" => Keyspace { parse: keys::keys, writes: false };
    "lastsave"     1 NO_KEYS [loading stale fast]     [admin dangerous] server "1.0.0" "Get the UNIX time stamp of the last successful save to disk" "" => Session(save::lastsave);
    "latency"     -2 NO_KEYS []                       []           server "2.8.13" "A container for latency diagnostics commands" "" => Container, latency::SUBCOMMANDS;
    "lcs"         -3 TWO     [readonly]               [string]     string "7.0.0" "Find longest common substring" "key1 key2 [LEN] [IDX] [MINMATCHLEN len] [WITHMATCHLEN]" => Data(lcs::lcs);
    "memory"      -2 NO_KEYS []                       []           server "4.0.0" "A container for memory diagnostics commands" "" => Container, memory::SUBCOMMANDS;
    "mget"        -2 ALL     [readonly fast]          [string]     string "1.0.0" "Get the values of all the given keys" "key [key ...]" => Data(mget::mget);
    "module"      -2 NO_KEYS []                       []           server "4.0.0" "A container for module commands" "" => Container, module::MODULE_SUBCOMMANDS;
    "monitor"      1 NO_KEYS [admin noscript loading stale] [] server "1.0.0" "Listen for all requests received by the server in real time" "" => Listen(monitor::monitor);
    "mset"        -3 PAIRS(OW update) [write denyoom]          [string]     string "1.0.1" "Set multiple keys to multiple values" "key value [key value ...]" => Data(mset::mset);
    "msetnx"      -3 PAIRS(OW insert) [write denyoom]          [string]     string "1.0.1" "Set multiple keys to multiple values, only if none of the keys exist" "key value [key value ...]" => Data(msetnx::msetnx);
    "multi"        1 NO_KEYS [noscript loading stale fast allow_busy] [transaction] transactions "1.2.0" "Mark the start of a transaction block" "" => Transaction;
    "object"      -2 NO_KEYS []                       []           generic "2.2.3" "A container for object introspection commands" "" => Container, object::SUBCOMMANDS;
    "persist"      2 ONE(RW update) [write fast]             [keyspace]   generic "2.2.0" "Remove the expiration from a key" "key" => Data(persist::persist);
    "pexpire"     -3 ONE(RW update) [write fast]             [keyspace]   generic "2.6.0" "Set a key's time to live in milliseconds" "key milliseconds [NX|XX|GT|LT]" => Data(expire::pexpire);
    "pexpireat"   -3 ONE(RW update) [write fast]             [keyspace]   generic "2.6.0" "Set the expiration for a key as a UNIX timestamp specified in milliseconds" "key unix-time-milliseconds [NX|XX|GT|LT]" => Data(expire::pexpireat);
    "pexpiretime"  2 ONE     [readonly fast]          [keyspace]   generic "7.0.0" "Get the expiration Unix timestamp for a key in milliseconds" "key" => Data(ttl::pexpiretime);
    "ping"        -1 NO_KEYS [fast]                   [connection] connection "1.0.0" "Ping the server" "[message]" => Session(connection::ping);
    "psetex"       4 ONE(OW update) [write denyoom]          [string]     string "2.6.0" "Set the value and expiration in milliseconds of a key" "key milliseconds value" => Data(set::psetex);
    "psubscribe"  -2 NO_KEYS [pubsub noscript loading stale] [pubsub] pubsub "2.0.0" "Listen for messages published to channels matching the given patterns" "pattern [pattern ...]" => Listen(subscribe::psubscribe);
    "pttl"         2 ONE     [readonly fast]          [keyspace]   generic "2.6.0" "Get the time to live for a key in milliseconds" "key" => Data(ttl::pttl);
    "publish"      3 NO_KEYS [pubsub loading stale fast] [pubsub] pubsub "2.0.0" "Post a message to a channel" "channel message" => Session(publish::publish);
    "pubsub"      -2 NO_KEYS []                       []           pubsub "2.8.0" "A container for Pub/Sub commands" "" => Container, pubsub::SUBCOMMANDS;
    "punsubscribe" -1 NO_KEYS [pubsub noscript loading stale] [pubsub] pubsub "2.0.0" "Stop listening for messages posted to channels matching the given patterns" "[pattern [pattern ...]]" => Listen(subscribe::punsubscribe);
    "quit"        -1 NO_KEYS [noscript loading stale fast no_auth allow_busy] [connection] connection "1.0.0" "Close the connection" "" => Session(connection::quit);
    "randomkey"    1 NO_KEYS [readonly]               [keyspace]   generic "1.0.0" "Return a random key from the keyspace" "" => Keyspace { parse: randomkey::randomkey, writes: false };
    "rename"       3 TWO(RW access delete, OW update) [write]                  [keyspace]   generic "1.0.0" "Rename a key" "key newkey" => Data(rename::rename);
    "renamenx"     3 TWO(RW access delete, OW insert) [write fast]             [keyspace]   generic "1.0.0" "Rename a key, only if the new key does not exist" "key newkey" => Data(rename::renamenx);
    "reset"        1 NO_KEYS [noscript loading stale fast no_auth allow_busy] [connection] connection "6.2.0" "Reset the connection" "" => Session(connection::reset);
    "role"         1 NO_KEYS [noscript loading stale fast] [admin dangerous] server "2.8.12" "Return the role of the instance in the context of replication" "" => Session(replication::role);
    "save"         1 NO_KEYS [admin noscript no_async_loading no_multi] [] server "1.0.0" "Synchronously save the dataset to disk" "" => Keyspace { parse: save::save, writes: false };
    "scan"        -2 NO_KEYS [readonly]               [keyspace]   generic "2.8.0" "Incrementally iterate the keys space" "cursor [MATCH pattern] [COUNT count] [TYPE type]" => Keyspace { parse: scan::scan, writes: false };
    "select"       2 NO_KEYS [loading stale fast]     [connection] connection "1.0.0" "Change the selected database for the current connection" "index" => Session(connection::select);
    "set"         -3 ONE(RW access update variable_flags) [write denyoom]          [string]     string "1.0.0" "Set the string value of a key" "key value [NX|XX|IFEQ comparison-value] [GET] [EX seconds|PX milliseconds|EXAT unix-time-seconds|PXAT unix-time-milliseconds|KEEPTTL]" => Data(set::set);
    "setbit"       4 ONE     [write denyoom]          [bitmap]     bitmap "2.2.0" "Sets or clears the bit at offset in the string value stored at key" "key offset value" => Data(bit::setbit);
    "setex"        4 ONE(OW update) [write denyoom]          [string]     string "2.0.0" "Set the value and expiration of a key" "key seconds value" => Data(set::setex);
    "setnx"        3 ONE(OW insert) [write denyoom fast]     [string]     string "1.0.0" "Set the value of a key, only if the key does not exist" "key value" => Data(set::setnx);
    "setrange"     4 ONE(RW update) [write denyoom]          [string]     string "2.2.0" "Overwrite part of a string at key starting at the specified offset" "key offset value" => Data(range::setrange);
    "shutdown"    -1 NO_KEYS [admin noscript loading stale no_multi allow_busy] [] server "1.0.0" "Synchronously save the dataset to disk and then shut down the server" "[NOSAVE|SAVE] [NOW] [FORCE] [ABORT]" => Keyspace { parse: shutdown::shutdown, writes: false };
    "slowlog"     -2 NO_KEYS []                       []           server "2.2.12" "A container for slow log commands" "" => Container, slowlog::SUBCOMMANDS;
    "spublish"     3 NO_KEYS [pubsub loading stale fast] [pubsub] pubsub "7.0.0" "Post a message to a shard channel" "shardchannel message" => Session(publish::spublish);
    "ssubscribe"  -2 NO_KEYS [pubsub noscript loading stale] [pubsub] pubsub "7.0.0" "Listen for messages published to the given shard channels" "shardchannel [shardchannel ...]" => Listen(subscribe::ssubscribe);
    "strlen"       2 ONE(RO) [readonly fast]          [string]     string "2.2.0" "Get the length of the value stored in a key" "key" => Data(get::strlen);
    "subscribe"   -2 NO_KEYS [pubsub noscript loading stale] [pubsub] pubsub "2.0.0" "Listen for messages published to the given channels" "channel [channel ...]" => Listen(subscribe::subscribe);
    "substr"       4 ONE     [readonly]               [string]     string "1.0.0" "Get a substring of the string stored at a key" "key start end" => Data(range::getrange);
    "sunsubscribe" -1 NO_KEYS [pubsub noscript loading stale] [pubsub] pubsub "7.0.0" "Stop listening for messages posted to the given shard channels" "[shardchannel [shardchannel ...]]" => Listen(subscribe::sunsubscribe);
    "time"         1 NO_KEYS [loading stale fast]     []           server "2.6.0" "Return the current server time" "" => Session(connection::time);
    "touch"       -2 ALL(RO) [readonly fast]          [keyspace]   generic "3.2.1" "Alters the last access time of a key(s). Returns the number of existing keys specified." "key [key ...]" => Data(del::exists);
    "ttl"          2 ONE     [readonly fast]          [keyspace]   generic "1.0.0" "Get the time to live for a key in seconds" "key" => Data(ttl::ttl);
    "type"         2 ONE(RO) [readonly fast]          [keyspace]   generic "1.0.0" "Determine the type stored at key" "key" => Data(del::type_);
    "unlink"      -2 ALL(RM delete) [write fast]             [keyspace]   generic "4.0.0" "Delete a key asynchronously in another thread. Otherwise it is just as DEL, but non blocking." "key [key ...]" => Data(del::del);
    "unsubscribe" -1 NO_KEYS [pubsub noscript loading stale] [pubsub] pubsub "2.0.0" "Stop listening for messages posted to the given channels" "[channel [channel ...]]" => Listen(subscribe::unsubscribe);
    "unwatch"      1 NO_KEYS [noscript loading stale fast allow_busy] [transaction] transactions "2.2.0" "Forget about all watched keys" "" => Transaction;
    "wait"         3 NO_KEYS [noscript]               [connection] generic "3.0.0" "Wait for the synchronous replication of all the write commands sent in the context of the current connection" "numreplicas timeout" => Session(replication::wait);
    "watch"       -2 ALL(RO) [noscript loading stale fast allow_busy] [transaction] transactions "2.2.0" "Watch the given keys to determine execution of the MULTI/EXEC block" "key [key ...]" => Transaction;
}

/// Whether this is the flag of commands that can change an entry.
pub(super) const fn is_write(flag: &str) -> bool {
    matches!(flag.as_bytes(), b"write")
}

/// A number that no two names of the same length have, up to eight letters and whatever their case.
#[inline]
pub const fn word(name: &[u8]) -> u64 {
    let word = match *name {
        [] => 0,
        [a] => a as u64,
        [a, b] => u64::from_le_bytes([a, b, 0, 0, 0, 0, 0, 0]),
        [a, b, c] => u64::from_le_bytes([a, b, c, 0, 0, 0, 0, 0]),
        // The first four and the last four, some of them twice.
        [a, b, c, d, ..] => {
            let [.., w, x, y, z] = *name else { return 0 };
            u64::from_le_bytes([a, b, c, d, w, x, y, z])
        }
    };
    // Makes a small letter of what is a letter, and of nothing else.
    word | 0x2020_2020_2020_2020
}

/// Where a name is looked for first.
const fn first_place(word: u64) -> usize {
    (word.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as usize
}

/// The commands by their names, each at its first place or at the next that is free. Most places are free, so most names stand at their first.
static PLACES: [(u64, Option<&Spec>); 256] = places();

const fn places() -> [(u64, Option<&'static Spec>); 256] {
    let mut places = [(0, None); 256];
    assert!(COMMANDS.len() < places.len() / 2);
    let mut row = 0;
    while row < COMMANDS.len() {
        let word = word(COMMANDS[row].name.as_bytes());
        let mut place = first_place(word);
        while places[place].1.is_some() {
            place = (place + 1) % places.len();
        }
        places[place] = (word, Some(&COMMANDS[row]));
        row += 1;
    }
    places
}

/// The command of that name, in any case.
#[inline]
pub fn find(name: &[u8]) -> Option<&'static Spec> {
    let word = word(name);
    let mut place = first_place(word);
    loop {
        let (known, spec) = PLACES.get(place)?;
        let spec = (*spec)?;
        if *known == word && has_name(spec, name) {
            return Some(spec);
        }
        place = (place + 1) % PLACES.len();
    }
}

/// Whether this is the command's name, if its [word](word()) is that of the name.
#[inline(always)]
pub fn has_name(spec: &Spec, name: &[u8]) -> bool {
    spec.name.len() == name.len() && (name.len() <= 8 || spec.name.as_bytes().eq_ignore_ascii_case(name))
}

/// The command of that name; a subcommand's is behind its command's and a bar.
pub fn find_full(name: &[u8]) -> Option<&'static Spec> {
    let mut parts = name.splitn(2, |&byte| byte == b'|');
    let command = find(parts.next()?)?;
    match parts.next() {
        None => Some(command),
        Some(subcommand) => command.subcommand(subcommand),
    }
}

/// The command that a request is of, or the subcommand.
///
/// # Errors
/// There is no such one, in Redis' words.
#[inline]
pub fn resolve(request: Request<'_>) -> Result<&'static Spec, Error> {
    match find(request.name()) {
        Some(command) if command.subcommands.is_empty() => Ok(command),
        command => resolve_rare(command, request),
    }
}

/// The same where the command has subcommands, or there is none.
#[cold]
fn resolve_rare(command: Option<&'static Spec>, request: Request<'_>) -> Result<&'static Spec, Error> {
    let command = command.ok_or_else(|| super::error::unknown(request))?;
    match request.get(1) {
        None => Ok(command),
        Some(name) => command.subcommand(name).ok_or_else(|| Error::unknown_subcommand(command.name, name)),
    }
}

/// All commands, and behind each its subcommands.
pub fn all() -> impl Iterator<Item = &'static Spec> {
    COMMANDS.iter().flat_map(|spec| std::iter::once(spec).chain(spec.subcommands))
}

#[cfg(test)]
mod tests {
    use super::{COMMANDS, all, find};
    use crate::command::testing::{Rig, expect};
    use crate::command::{Keys, Spec};
    use crate::protocol::Requests;

    #[test]
    fn rows_stand_in_order_and_each_is_found_in_any_case() {
        assert!(COMMANDS.is_sorted_by(|one, next| one.name < next.name));
        for spec in COMMANDS {
            for name in [spec.name.to_owned(), spec.name.to_uppercase()] {
                assert!(std::ptr::eq(find(name.as_bytes()).unwrap(), spec), "{name}");
            }
        }
        for name in ["", "g", "gett", "ge", "{", "`", "@", "[", "zzz", "\u{e9}", "\0", "get "] {
            assert!(find(name.as_bytes()).is_none(), "{name:?}");
        }
    }

    #[test]
    fn what_a_row_says_holds_together() {
        for Spec { name, arity, flags, keys, summary, .. } in all() {
            assert_eq!(*name, name.to_lowercase());
            assert!(*arity != 0 && !summary.is_empty(), "{name}");
            assert!(!(flags.contains(&"write") && flags.contains(&"readonly")), "{name}");
            assert!(
                *keys == Keys::NO_KEYS || arity.unsigned_abs() >= 2,
                "{name}: its keys are among its arguments"
            );
        }
    }

    #[test]
    fn keys_are_found_in_requests() {
        let keys = |args: &[&str]| {
            let mut requests = Requests::new();
            requests.push(args.iter().map(|arg| arg.as_bytes()));
            let request = requests.get(0, b"").unwrap();
            let found = find(args[0].as_bytes()).unwrap().keys_of(request);
            found.map(|key| String::from_utf8_lossy(key).into_owned()).collect::<Vec<_>>().join(",")
        };
        assert_eq!(keys(&["GET", "a"]), "a");
        assert_eq!(keys(&["SET", "a", "b"]), "a");
        assert_eq!(keys(&["DEL", "a", "b", "c"]), "a,b,c");
        assert_eq!(keys(&["MSET", "a", "1", "b", "2"]), "a,b");
        assert_eq!(keys(&["PING", "a"]), "");
        assert_eq!(keys(&["SCAN", "0"]), "");
        assert_eq!(keys(&["GET"]), "", "short of its arguments");
    }

    #[test]
    fn unknown_commands_as_redis() {
        let long = "b".repeat(200);
        let quoted = |len| "b".repeat(len);
        expect(&[
            ("foo", "-ERR unknown command 'foo', with args beginning with:"),
            ("FOO bar \"\" 'a b'", "-ERR unknown command 'FOO', with args beginning with: 'bar' '' 'a b'"),
            ("foo \"a\\x00b\" c", "-ERR unknown command 'foo', with args beginning with: 'a' 'c'"),
        ]);
        let mut rig = Rig::new();
        rig.expect(&[
            (
                &format!("foo a {long} c"),
                &format!("-ERR unknown command 'foo', with args beginning with: 'a' '{}'", quoted(124)),
            ),
            (
                &format!("{long} c"),
                &format!("-ERR unknown command '{}', with args beginning with: 'c'", quoted(128)),
            ),
            (
                &format!("CLIENT {long}"),
                &format!("-ERR unknown subcommand '{}'. Try CLIENT HELP.", quoted(128)),
            ),
        ]);
    }

    #[test]
    fn each_command_has_a_number_and_keeps_it() {
        let numbers: Vec<usize> = all().map(|spec| spec.number.get()).collect();
        let different: std::collections::BTreeSet<&usize> = numbers.iter().collect();
        assert_eq!((different.len(), all().count()), (numbers.len(), numbers.len()));
        assert!(all().map(|spec| spec.number.get()).eq(numbers.iter().copied()));
    }
}
