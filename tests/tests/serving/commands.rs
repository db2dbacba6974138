//! Commands: each one that the host lists, through the client library, on every engine, both transports and both protocols.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::collections::BTreeSet;

use kvstore_client::{Client, Connection, Error, Protocol, TimeToLive};
use tests::engines::Engine;
use tests::host::{Host, Options};
use tests::on_each_engine;
use tests::show::{ask, outcome, show};

on_each_engine!(every_command, limits);

/// A client that notes which commands it was asked for.
struct Asker {
    client: Client,
    asked: BTreeSet<String>,
}

impl Asker {
    fn new(client: Client) -> Self {
        Self { client, asked: BTreeSet::new() }
    }

    fn ask(&mut self, line: &str) -> String {
        self.asked.extend(line.split_whitespace().next().map(str::to_lowercase));
        ask(&mut self.client, line)
    }

    /// Asks one after the other; each has to be answered as the second text says.
    fn expect(&mut self, cases: &[(&str, &str)]) {
        for (line, expected) in cases {
            assert_eq!(self.ask(line), *expected, "{line}");
        }
    }
}

fn every_command(engine: Engine) {
    let host = Host::start(engine);
    let mut asked = BTreeSet::new();
    for address in [host.tcp(), host.unix()] {
        for protocol in [Protocol::Resp2, Protocol::Resp3] {
            let mut asker = Asker::new(host.client_over(address.clone(), protocol));
            strings(&mut asker);
            keyspace(&mut asker);
            if engine.expires() {
                expiry(&mut asker)
            } else {
                no_expiry(&mut asker)
            }
            connection(&mut asker, protocol);
            server(&mut asker, engine);
            transaction(&mut asker);
            binary(&mut asker.client);
            asked.append(&mut asker.asked);
            listening(host.connection_to(&address), protocol, &mut asked);
            // What is left asks for the end of the connection.
            for end in ["QUIT", "EXIT"] {
                let mut connection = host.connection_to(&address);
                connection.send(format!("{end}\r\n").as_bytes()).unwrap();
                assert_eq!(show(&connection.receive().unwrap()), "OK");
                assert!(matches!(connection.receive(), Err(Error::Closed)), "{end}");
                asked.insert(end.to_lowercase());
            }
        }
    }
    asked.insert("shutdown".to_owned());
    let listed = host.client().call(&["COMMAND", "LIST"]).unwrap().into_elements().unwrap();
    let listed: BTreeSet<String> =
        listed.iter().map(|name| String::from_utf8_lossy(name.as_bytes().unwrap()).into_owned()).collect();
    assert_eq!(listed.difference(&asked).collect::<Vec<_>>(), Vec::<&String>::new(), "not tested here");
    shut_down(host);
}

/// As with SIGTERM, what was sent before is answered, and the host ends in order.
fn shut_down(mut host: Host) {
    let mut connection = host.connection();
    connection.send(b"PING\r\nSHUTDOWN SAVE\r\nMULTI\r\nSHUTDOWN\r\nEXEC\r\nSHUTDOWN NOSAVE\r\n").unwrap();
    for reply in [
        "PONG",
        "!ERR Errors trying to SHUTDOWN. Check logs.",
        "OK",
        "!ERR Command not allowed inside a transaction",
        "!EXECABORT Transaction discarded because of previous errors.",
    ] {
        assert_eq!(show(&connection.receive().unwrap()), reply);
    }
    assert!(matches!(connection.receive(), Err(Error::Closed | Error::Io { .. })));
    assert!(host.wait().success());
}

fn strings(asker: &mut Asker) {
    asker.expect(&[
        ("FLUSHALL", "OK"),
        ("GET a", "nil"),
        ("SET a 1", "OK"),
        ("GET a", "\"1\""),
        ("SET a 2 NX", "nil"),
        ("SET b 2 XX", "nil"),
        ("SET a 2 XX GET", "\"1\""),
        ("SETNX a 3", "0"),
        ("SETNX b 3", "1"),
        ("GETSET b 4", "\"3\""),
        ("MGET a b c", "[\"2\" \"4\" nil]"),
        ("MSET a x b y c z", "OK"),
        ("MGET a b c a", "[\"x\" \"y\" \"z\" \"x\"]"),
        ("GETDEL c", "\"z\""),
        ("GETDEL c", "nil"),
        ("GETEX a", "\"x\""),
        ("APPEND a yz", "3"),
        ("APPEND new tail", "4"),
        ("STRLEN a", "3"),
        ("STRLEN none", "0"),
        ("GETRANGE a 1 -1", "\"yz\""),
        ("SUBSTR a 0 1", "\"xy\""),
        ("SETRANGE a 5 !", "6"),
        ("GET a", "\"xyz\\x00\\x00!\""),
        ("INCR n", "1"),
        ("INCRBY n 41", "42"),
        ("DECR n", "41"),
        ("DECRBY n 50", "-9"),
        ("GET n", "\"-9\""),
        ("INCR a", "!ERR value is not an integer or out of range"),
        ("SET n 9223372036854775807", "OK"),
        ("INCR n", "!ERR increment or decrement would overflow"),
        ("GET n", "\"9223372036854775807\""),
        ("INCRBYFLOAT float 10.5", "\"10.5\""),
        ("INCRBYFLOAT float 5.0e3", "\"5010.5\""),
        ("INCRBYFLOAT float 0.1", "\"5010.60000000000000009\""),
        ("INCRBYFLOAT float inf", "!ERR increment would produce NaN or Infinity"),
        ("INCRBYFLOAT a 1", "!ERR value is not a valid float"),
        ("MSET one ohmytext other mynewtext", "OK"),
        ("LCS one other", "\"mytext\""),
        ("LCS one other LEN", "6"),
        ("LCS one none LEN IDX", "!ERR If you want both the length and indexes, please just use IDX."),
        ("MSETNX m1 1 m2 2 m1 3", "1"),
        ("MSETNX m3 1 m2 2", "0"),
        ("MGET m1 m2 m3", "[\"3\" \"2\" nil]"),
        ("SETBIT bits 9 1", "0"),
        ("SETBIT bits 9 1", "1"),
        ("SETBIT bits 4294967296 1", "!ERR bit offset is not an integer or out of range"),
        ("GETBIT bits 9", "1"),
        ("GETBIT bits 4000", "0"),
        ("BITCOUNT bits", "1"),
        ("BITCOUNT bits 9 -1 BIT", "1"),
        ("SET lock mine", "OK"),
        ("SET lock theirs IFEQ other", "nil"),
        ("SET lock theirs IFEQ mine GET", "\"mine\""),
        ("DELIFEQ lock mine", "0"),
        ("DELIFEQ lock theirs", "1"),
        ("SET a", "!ERR wrong number of arguments for 'set' command"),
        ("SET a b NX XX", "!ERR syntax error"),
        ("NOSUCH x", "!ERR unknown command 'NOSUCH', with args beginning with: 'x' "),
    ]);
}

fn keyspace(asker: &mut Asker) {
    asker.expect(&[
        ("FLUSHDB", "OK"),
        ("DBSIZE", "0"),
        ("RANDOMKEY", "nil"),
        ("MSET key:1 a key:2 b other c", "OK"),
        ("DBSIZE", "3"),
        ("EXISTS key:1 key:1 none", "2"),
        ("TOUCH key:1 none", "1"),
        ("TYPE key:1", "string"),
        ("TYPE none", "none"),
        ("KEYS o*", "[\"other\"]"),
        ("OBJECT ENCODING other", "\"embstr\""),
        ("OBJECT REFCOUNT other", "1"),
        ("OBJECT FREQ none", "nil"),
        ("MEMORY USAGE other SAMPLES 5", "86"),
        ("MEMORY USAGE none", "nil"),
        ("MEMORY PURGE", "OK"),
        ("DEL key:1 none", "1"),
        ("KEYS key:?", "[\"key:2\"]"),
        ("UNLINK key:2 key:2", "1"),
        ("RANDOMKEY", "\"other\""),
        ("RENAME none x", "!ERR no such key"),
        ("RENAME other moved", "OK"),
        ("COPY moved other", "1"),
        ("COPY moved other", "0"),
        ("RENAMENX moved other", "0"),
        ("DEL other", "1"),
        ("RENAMENX moved other", "1"),
        ("COPY other other", "!ERR source and destination objects are the same"),
        ("SCAN 0 COUNT 100", "[\"0\" [\"other\"]]"),
        ("SCAN 0 MATCH x* COUNT 100", "[\"0\" []]"),
        ("SCAN x", "!ERR invalid cursor"),
        ("FLUSHALL", "OK"),
        ("SCAN 0", "[\"0\" []]"),
    ]);
    for index in 0..300 {
        asker.client.set(format!("many:{index}").as_bytes(), b"v").unwrap();
    }
    let found: BTreeSet<Vec<u8>> = asker.client.scan(Default::default()).map(Result::unwrap).collect();
    assert_eq!(found.len(), 300);
    asker.expect(&[("DBSIZE", "300"), ("FLUSHALL", "OK")]);
}

impl Asker {
    fn is_in(&mut self, line: &str, range: std::ops::RangeInclusive<i64>) {
        let number: i64 = self.ask(line).parse().unwrap();
        assert!(range.contains(&number), "{line}: {number}");
    }
}

fn expiry(asker: &mut Asker) {
    asker.expect(&[
        ("SET a 1 EX 100", "OK"),
        ("PERSIST a", "1"),
        ("PERSIST a", "0"),
        ("TTL a", "-1"),
        ("PTTL none", "-2"),
        ("EXPIRE a 100", "1"),
        ("EXPIRE a 50 GT", "0"),
        ("EXPIRE none 100", "0"),
        ("SET a 2 KEEPTTL", "OK"),
        // The expiry goes along.
        ("RENAME a moved", "OK"),
        ("COPY moved a", "1"),
        ("PERSIST moved", "1"),
        ("RENAMENX a moved", "0"),
    ]);
    asker.is_in("TTL a", 1..=100);
    asker.is_in("PTTL a", 1..=100_000);
    asker.expect(&[
        ("EXPIREAT a 4102444800", "1"),
        ("EXPIRETIME a", "4102444800"),
        ("PEXPIREAT a 4102444800123", "1"),
        ("PEXPIRETIME a", "4102444800123"),
        ("PEXPIRE a 100000", "1"),
        ("GETEX a PERSIST", "\"2\""),
        ("TTL a", "-1"),
        ("GETEX a EX 100", "\"2\""),
        ("SETEX b 100 v", "OK"),
        ("PSETEX c 100000 v", "OK"),
        ("SET a 3", "OK"),
        ("TTL a", "-1"),
        ("SET a 1 EX 0", "!ERR invalid expire time in 'set' command"),
        ("EXPIRE b -1", "1"),
        ("EXISTS b", "0"),
        ("SET soon x PX 1", "OK"),
    ]);
    tests::wait::wait_until("the expiry", || asker.ask("GET soon") == "nil");
    asker.expect(&[("TTL soon", "-2"), ("DEL soon", "0")]);
    assert_eq!(asker.client.time_to_live(b"a").unwrap(), TimeToLive::Forever);
}

/// The error names the engine and what it lacks; what needs no expiry works.
fn no_expiry(asker: &mut Asker) {
    let refused = "!ERR engine 'c-example' cannot carry this out: it lacks EXPIRY";
    asker.expect(&[("SET a 1", "OK")]);
    for line in [
        "SET a 2 EX 100",
        "SET a 2 PX 100",
        "SET a 2 EXAT 4102444800",
        "SETEX a 100 2",
        "PSETEX a 100 2",
        "EXPIRE a 100",
        "PEXPIRE a 100",
        "EXPIREAT a 4102444800",
        "PEXPIREAT a 4102444800000",
        "GETEX a EX 100",
    ] {
        assert_eq!(asker.ask(line), refused, "{line}");
    }
    asker.expect(&[
        ("GET a", "\"1\""),
        ("TTL a", "-1"),
        ("PTTL none", "-2"),
        ("EXPIRETIME a", "-1"),
        ("PEXPIRETIME a", "-1"),
        ("PERSIST a", "0"),
        ("SET a 2 KEEPTTL", "OK"),
        ("GETEX a PERSIST", "\"2\""),
        // A time that has passed deletes, which any engine can.
        ("EXPIRE a -1", "1"),
        ("GET a", "nil"),
    ]);
}

fn connection(asker: &mut Asker, protocol: Protocol) {
    asker.expect(&[
        ("PING", "PONG"),
        ("PING hello", "\"hello\""),
        ("ECHO hello", "\"hello\""),
        ("SELECT 0", "OK"),
        ("SELECT 1", "!ERR DB index is out of range"),
        ("CLIENT SETNAME tester", "OK"),
        ("CLIENT GETNAME", "\"tester\""),
        ("HELLO 4", "!NOPROTO unsupported protocol version"),
    ]);
    assert!(asker.ask("AUTH x").starts_with("!ERR AUTH <password> called without any password"));
    let resp = if protocol == Protocol::Resp2 { "resp=2" } else { "resp=3" };
    let own = asker.ask("CLIENT INFO");
    assert!(own.contains(" name=tester ") && own.contains(resp), "{own}");
    let hello = asker.ask("HELLO");
    // A map, or in RESP2 the same as a flat array.
    let sign = if protocol == Protocol::Resp2 { '[' } else { '{' };
    assert!(hello.starts_with(sign) && hello.contains("kvstore"), "{hello}");
    asker.expect(&[("RESET", "RESET"), ("CLIENT GETNAME", "nil")]);
    // RESET falls back to RESP2; so on with what was negotiated.
    let version = if protocol == Protocol::Resp2 { "HELLO 2" } else { "HELLO 3" };
    assert!(asker.ask(version).starts_with(sign));
}

fn server(asker: &mut Asker, engine: Engine) {
    let info = asker.ask("INFO");
    assert!(info.contains(&format!("engine_name:{}", engine.name())), "{info}");
    let count: usize = asker.ask("COMMAND COUNT").parse().unwrap();
    assert!(count > 50, "{count} commands");
    assert!(asker.ask("COMMAND INFO get").contains("\"get\" 2"));
    asker.expect(&[
        ("CONFIG SET maxclients 5000", "OK"),
        ("CONFIG SET maxclients nonsense", "!ERR CONFIG SET failed (possibly related to argument 'maxclients') - argument couldn't be parsed into an integer"),
        ("CONFIG SET maxclients 10000", "OK"),
    ]);
    assert!(asker.ask("CONFIG GET maxclients").contains("\"10000\""));
    let lacks = format!("!ERR engine '{}' cannot carry this out: it lacks DURABLE", engine.name());
    asker.expect(&[
        ("SLOWLOG RESET", "OK"),
        ("SLOWLOG GET 0", "[]"),
        ("LATENCY LATEST", "[]"),
        ("LATENCY RESET", "0"),
        ("MODULE LIST", "[]"),
        ("FUNCTION FLUSH", "OK"),
        ("ROLE", "[\"master\" 0 []]"),
        ("WAIT 0 0", "0"),
        ("SAVE", &lacks),
        ("BGSAVE", &lacks),
        ("CONFIG REWRITE", "!ERR The server is running without a config file"),
    ]);
    assert!(asker.ask("LASTSAVE").parse::<u64>().unwrap() > 1_700_000_000);
    let time = asker.client.call(&["TIME"]).unwrap().into_elements().unwrap();
    assert_eq!(time.len(), 2);
    asker.asked.insert("time".to_owned());
    for (line, part) in [
        ("SLOWLOG HELP", "RESET"),
        ("LATENCY HELP", "HISTOGRAM"),
        ("MEMORY STATS", "peak.allocated"),
        ("OBJECT HELP", "ENCODING"),
        ("ENGINE INFO", engine.name()),
        ("ENGINE HISTORY", "start"),
        ("ENGINE HELP", "ROLLBACK"),
        ("ENGINE ROLLBACK", "!ERR there is no engine before this one"),
        ("ENGINE NOSUCH", "!ERR unknown subcommand 'NOSUCH'. Try ENGINE HELP."),
    ] {
        let reply = asker.ask(line);
        assert!(reply.contains(part), "{line}: {reply}");
    }
}

fn transaction(asker: &mut Asker) {
    asker.expect(&[
        ("FLUSHALL", "OK"),
        ("MULTI", "OK"),
        ("SET a 1", "QUEUED"),
        ("INCR a", "QUEUED"),
        ("PING", "QUEUED"),
        ("GET none", "QUEUED"),
        ("EXEC", "[OK 2 PONG nil]"),
        // What one command of a transaction writes is what the next one finds.
        ("MULTI", "OK"),
        ("RENAME a b", "QUEUED"),
        ("APPEND b x", "QUEUED"),
        ("COPY b c", "QUEUED"),
        ("RENAME c a", "QUEUED"),
        ("RENAME c a", "QUEUED"),
        ("MSETNX d 1 b 2", "QUEUED"),
        ("DEL b", "QUEUED"),
        ("MSETNX b 1 d 2 b 3", "QUEUED"),
        ("RENAMENX b d", "QUEUED"),
        ("MGET a b c d", "QUEUED"),
        ("MSET a 2", "QUEUED"),
        ("EXEC", "[OK 2 1 OK !ERR no such key 0 1 1 0 [\"2x\" \"3\" nil \"2\"] OK]"),
        ("DEL b d", "2"),
        ("MULTI", "OK"),
        ("SET a 9", "QUEUED"),
        ("DISCARD", "OK"),
        ("GET a", "\"2\""),
        ("WATCH a", "OK"),
        ("UNWATCH", "OK"),
        ("EXEC", "!ERR EXEC without MULTI"),
        ("DISCARD", "!ERR DISCARD without MULTI"),
    ]);
}

/// What makes a connection one that is sent more than replies.
fn listening(mut connection: Connection, protocol: Protocol, asked: &mut BTreeSet<String>) {
    let mut ask = |line: &str| {
        asked.extend(line.split_whitespace().next().map(str::to_lowercase));
        connection.send(format!("{line}\r\n").as_bytes()).unwrap();
        show(&connection.receive().unwrap())
    };
    let (open, close, hello) =
        if protocol == Protocol::Resp2 { ('[', ']', "HELLO 2") } else { ('<', '>', "HELLO 3") };
    ask(hello);
    for (line, expected) in [("PUBLISH none x", "0"), ("SPUBLISH none x", "0"), ("PUBSUB NUMPAT", "0")] {
        assert_eq!(ask(line), expected, "{line}");
    }
    for (line, reply) in [
        ("SUBSCRIBE a", "\"subscribe\" \"a\" 1"),
        ("PSUBSCRIBE b*", "\"psubscribe\" \"b*\" 2"),
        ("SSUBSCRIBE c", "\"ssubscribe\" \"c\" 1"),
        ("SUNSUBSCRIBE", "\"sunsubscribe\" \"c\" 0"),
        ("PUNSUBSCRIBE", "\"punsubscribe\" \"b*\" 1"),
        ("UNSUBSCRIBE", "\"unsubscribe\" \"a\" 0"),
    ] {
        assert_eq!(ask(line), format!("{open}{reply}{close}"), "{line}");
    }
    assert_eq!(ask("MONITOR"), "OK");
    assert_eq!(ask("GET k"), "!ERR Replica can't interact with the keyspace");
    assert_eq!(ask("RESET"), "RESET");
}

/// Keys and values of any bytes, and empty ones.
fn binary(client: &mut Client) {
    let all: Vec<u8> = (0..=255).collect();
    client.set(&all, &all).unwrap();
    client.set(b"", b"").unwrap();
    client.append(&all, b"\r\n$-1\r\n").unwrap();
    assert_eq!(client.get(&all).unwrap().unwrap(), [&all[..], b"\r\n$-1\r\n"].concat());
    assert_eq!(client.get(b"").unwrap().as_deref(), Some(&b""[..]));
    assert_eq!(client.count().unwrap(), 3);
    let found: BTreeSet<Vec<u8>> = client.scan(Default::default()).map(Result::unwrap).collect();
    assert!(found.contains(&all) && found.contains(&b""[..]));
    assert_eq!(client.delete(&[&all, b""]).unwrap(), 2);
}

fn limits(engine: Engine) {
    let host = Host::start_with(engine, &Options::args(&["--value-len-max", "100000"]));
    let mut client = host.client();
    let longest = vec![b'k'; 64 * 1024];
    client.set(&longest, b"v").unwrap();
    assert_eq!(client.get(&longest).unwrap().as_deref(), Some(&b"v"[..]));
    let longer = vec![b'k'; 64 * 1024 + 1];
    for words in
        [&[&b"SET"[..], &longer, b"v"][..], &[b"GET", &longer], &[b"MSET", b"a", b"b", &longer, b"v"]]
    {
        let reply = outcome(client.call(words));
        assert_eq!(reply, "!ERR key of 65537 bytes is longer than 65536 bytes");
    }
    assert_eq!(client.get(b"a").unwrap(), None, "a refused MSET sets nothing");

    client.set(b"v", &vec![b'v'; 100_000]).unwrap();
    let reply = outcome(client.call(&[&b"APPEND"[..], b"v", b"x"]));
    assert_eq!(reply, "!ERR string exceeds maximum allowed size (proto-max-bulk-len)");
    assert_eq!(client.value_len(b"v").unwrap(), 100_000);

    // A longer argument than any may be cannot be skipped: the connection is told why, and closed. The limit can be set.
    let reply = outcome(client.call(&[&b"SET"[..], b"v", &vec![b'v'; 100_001]]));
    assert_eq!(reply, "!ERR Protocol error: invalid bulk length");
    host.wait_for_log(&["Protocol error: invalid bulk length"]);
    let mut client = host.client();
    assert_eq!(ask(&mut client, "CONFIG SET proto-max-bulk-len 200000"), "OK");
    client.set(b"v", &vec![b'v'; 100_001]).unwrap();
    assert_eq!(client.append(b"v", b"x").unwrap(), 100_002);
}
