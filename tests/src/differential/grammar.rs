//! Grammar: how requests of each command look, how often they come and how their replies are compared.

use std::sync::LazyLock;

use super::syntax::Node;

/// How the replies of a command are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compared {
    /// Byte by byte.
    Exactly,
    /// Byte by byte, once the elements of the reply are in order: Redis promises none.
    Unordered,
    /// As fields and their values, in any order of the fields.
    Fields,
    /// The cursor byte by byte, the keys in any order.
    Scan,
    /// Kinds and numbers of elements only: what is in them is the server's own, or left to chance.
    Shape,
    /// Whether it is an error, and what kind of reply: it is long, and the server's own.
    Kind,
}

/// One command.
#[derive(Debug)]
pub struct Row {
    /// Its name, in lower case.
    pub name: &'static str,
    /// How often it comes, beside the others.
    pub weight: u32,
    /// How its replies are compared.
    pub compared: Compared,
    /// What its requests consist of, after the name; see [`Node::parse`].
    pub syntax: &'static str,
}

const fn row(name: &'static str, weight: u32, compared: Compared, syntax: &'static str) -> Row {
    Row { name, weight, compared, syntax }
}

use Compared::{Exactly, Fields, Kind, Scan, Shape, Unordered};

/// The commands that are generated. A subcommand stands behind a bar, as COMMAND LIST names it.
pub static GRAMMAR: &[Row] = &[
    row("append", 6, Exactly, "key value"),
    row("bitcount", 6, Exactly, "key [offset offset [BYTE|BIT]]"),
    row("client|getname", 1, Exactly, ""),
    row("client|help", 1, Kind, ""),
    row("client|id", 1, Shape, ""),
    row("client|info", 1, Kind, ""),
    row("client|list", 1, Kind, "[TYPE NORMAL]"),
    row("client|setname", 1, Exactly, "text"),
    row("command", 1, Kind, ""),
    row("command|count", 1, Shape, ""),
    row("command|docs", 1, Kind, "{name}"),
    row("command|getkeys", 3, Exactly, "command"),
    row("command|help", 1, Kind, ""),
    row("command|info", 1, Kind, "{name}"),
    row("command|list", 1, Kind, ""),
    row("config|get", 1, Fields, "{setting}"),
    row("config|help", 1, Kind, ""),
    row("copy", 6, Exactly, "key key [DB db] [REPLACE]"),
    row("dbsize", 4, Exactly, ""),
    row("decr", 4, Exactly, "key"),
    row("decrby", 4, Exactly, "key int"),
    row("del", 4, Exactly, "{key}"),
    row("discard", 3, Exactly, ""),
    row("echo", 2, Exactly, "text"),
    row("exec", 12, Exactly, ""),
    row("exists", 4, Exactly, "{key}"),
    row("expire", 6, Exactly, "key seconds [NX|XX|GT|LT]"),
    row("expireat", 3, Exactly, "key unix-s [NX|XX|GT|LT]"),
    row("expiretime", 4, Exactly, "key"),
    row("flushall", 1, Exactly, "[ASYNC|SYNC]"),
    row("flushdb", 1, Exactly, "[ASYNC|SYNC]"),
    row("get", 14, Exactly, "key"),
    row("getbit", 6, Exactly, "key bit-offset"),
    row("getdel", 3, Exactly, "key"),
    row("getex", 6, Exactly, "key [EX seconds|PX ms|EXAT unix-s|PXAT unix-ms|PERSIST]"),
    row("getrange", 6, Exactly, "key offset offset"),
    row("getset", 4, Exactly, "key value"),
    row("hello", 1, Shape, "[protocol [SETNAME text]]"),
    row("incr", 6, Exactly, "key"),
    row("incrby", 6, Exactly, "key int"),
    row("incrbyfloat", 10, Exactly, "key float"),
    row("info", 1, Shape, "[section]"),
    row("keys", 3, Unordered, "pattern"),
    row("lastsave", 1, Shape, ""),
    row("latency|doctor", 1, Kind, ""),
    row("latency|graph", 1, Kind, "text"),
    row("latency|help", 1, Kind, ""),
    row("latency|histogram", 1, Kind, "[{name}]"),
    row("latency|history", 1, Exactly, "text"),
    row("latency|latest", 1, Kind, ""),
    row("latency|reset", 1, Kind, "[{text}]"),
    row("lcs", 6, Exactly, "key key [LEN] [IDX] [MINMATCHLEN int] [WITHMATCHLEN]"),
    row("memory|doctor", 1, Kind, ""),
    row("memory|help", 1, Kind, ""),
    row("memory|purge", 1, Exactly, ""),
    row("memory|stats", 1, Kind, ""),
    row("memory|usage", 1, Shape, "key [SAMPLES int]"),
    row("mget", 4, Exactly, "{key}"),
    row("mset", 5, Exactly, "{key value}"),
    row("msetnx", 5, Exactly, "{key value}"),
    row("multi", 6, Exactly, ""),
    row("object|encoding", 4, Exactly, "key"),
    row("object|freq", 1, Exactly, "key"),
    row("object|help", 1, Kind, ""),
    row("object|idletime", 1, Shape, "key"),
    row("object|refcount", 1, Shape, "key"),
    row("persist", 4, Exactly, "key"),
    row("pexpire", 4, Exactly, "key ms [NX|XX|GT|LT]"),
    row("pexpireat", 3, Exactly, "key unix-ms [NX|XX|GT|LT]"),
    row("pexpiretime", 4, Exactly, "key"),
    row("ping", 2, Exactly, "[text]"),
    row("psetex", 3, Exactly, "key ms value"),
    row("pttl", 4, Exactly, "key"),
    row("publish", 1, Exactly, "text value"),
    row("pubsub|channels", 1, Exactly, "[pattern]"),
    row("pubsub|help", 1, Kind, ""),
    row("pubsub|numpat", 1, Exactly, ""),
    row("pubsub|numsub", 1, Exactly, "[{text}]"),
    row("pubsub|shardchannels", 1, Exactly, "[pattern]"),
    row("pubsub|shardnumsub", 1, Exactly, "[{text}]"),
    row("quit", 1, Exactly, ""),
    row("randomkey", 2, Shape, ""),
    row("rename", 5, Exactly, "key key"),
    row("renamenx", 5, Exactly, "key key"),
    row("reset", 1, Exactly, ""),
    row("role", 1, Exactly, ""),
    row("scan", 3, Scan, "cursor COUNT all [MATCH pattern] [TYPE type]"),
    row("select", 1, Exactly, "db"),
    row("set", 30, Exactly, "key value [NX|XX] [GET] [EX seconds|PX ms|EXAT unix-s|PXAT unix-ms|KEEPTTL]"),
    row("setbit", 8, Exactly, "key bit-offset bit"),
    row("setex", 3, Exactly, "key seconds value"),
    row("setnx", 4, Exactly, "key value"),
    row("setrange", 6, Exactly, "key offset value"),
    row("slowlog|get", 1, Kind, "[int]"),
    row("slowlog|help", 1, Kind, ""),
    row("slowlog|len", 1, Kind, ""),
    row("slowlog|reset", 1, Exactly, ""),
    row("spublish", 1, Exactly, "text value"),
    row("strlen", 4, Exactly, "key"),
    row("substr", 2, Exactly, "key offset offset"),
    row("time", 1, Exactly, ""),
    row("touch", 3, Exactly, "{key}"),
    row("ttl", 4, Exactly, "key"),
    row("type", 3, Exactly, "key"),
    row("unlink", 3, Exactly, "{key}"),
    row("unwatch", 2, Exactly, ""),
    row("watch", 6, Exactly, "{key}"),
];

const MESSAGES: &str =
    "a connection that subscribes is answered out of step; the tests of publish and subscribe have it";

/// Commands that both servers know and that are not generated, with the reason.
pub static NOT_GENERATED: &[(&str, &str)] = &[
    ("auth", "neither server is given a password"),
    ("bgsave", "Redis would write a file, our host has none to write"),
    ("function", "our host knows FUNCTION FLUSH only, for test rigs that send it"),
    ("module", "our host knows MODULE LIST only, and has none"),
    ("monitor", "what it tells has addresses and times in it, and comes by itself"),
    ("psubscribe", MESSAGES),
    ("punsubscribe", MESSAGES),
    ("save", "Redis would write a file, our host has none to write"),
    ("shutdown", "it ends the server"),
    ("ssubscribe", MESSAGES),
    ("subscribe", MESSAGES),
    ("sunsubscribe", MESSAGES),
    ("unsubscribe", MESSAGES),
    ("wait", "it waits for replicas that neither has, and for ever if it is asked to"),
];

/// The row of the command that this request is for, if it is a known one.
pub fn row_of(request: &[Vec<u8>]) -> Option<&'static Row> {
    let name = String::from_utf8_lossy(request.first()?).to_ascii_lowercase();
    let by_name = |name: &str| GRAMMAR.binary_search_by(|row| row.name.cmp(name)).ok().map(|at| &GRAMMAR[at]);
    let subcommand = request.get(1).map(|word| String::from_utf8_lossy(word).to_ascii_lowercase());
    subcommand.and_then(|word| by_name(&format!("{name}|{word}"))).or_else(|| by_name(&name))
}

/// The syntax of each row, understood.
pub static NODES: LazyLock<Vec<Node>> =
    LazyLock::new(|| GRAMMAR.iter().map(|row| Node::parse(row.syntax)).collect());

#[cfg(test)]
mod tests {
    use super::GRAMMAR;

    #[test]
    fn rows_stand_in_order() {
        assert!(GRAMMAR.is_sorted_by(|one, next| one.name < next.name));
    }
}
