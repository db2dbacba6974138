//! Pubsub: messages, keyspace notifications and MONITOR, over real connections that several workers serve.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::collections::BTreeSet;

use kvstore_client::{Connection, Error, Protocol};
use tests::engines::Engine;
use tests::host::{Host, Options};
use tests::on_each_engine;
use tests::show::show;
use tests::wait::wait_until;

on_each_engine!(keyspace_notifications);

/// A connection that is spoken to in lines.
struct Peer(Connection);

impl Peer {
    fn new(host: &Host, protocol: Protocol) -> Self {
        let mut peer = Self(host.connection());
        peer.ask(if protocol == Protocol::Resp2 { "HELLO 2" } else { "HELLO 3" });
        peer
    }

    fn next(&mut self) -> String {
        show(&self.0.receive().unwrap())
    }

    fn send(&mut self, line: &str) {
        self.0.send(format!("{line}\r\n").as_bytes()).unwrap();
    }

    fn ask(&mut self, line: &str) -> String {
        self.send(line);
        self.next()
    }

    #[track_caller]
    fn expect(&mut self, cases: &[(&str, &str)]) {
        for (line, expected) in cases {
            assert_eq!(self.ask(line), *expected, "{line}");
        }
    }
}

fn several_workers() -> Host {
    Host::start_with(Engine::Memory, &Options::args(&["--workers", "4"]))
}

#[test]
fn messages_of_a_publisher_keep_their_order_across_workers() {
    let host = several_workers();
    let protocols = [Protocol::Resp2, Protocol::Resp3].into_iter().cycle().take(8);
    let mut subscribers: Vec<Peer> = protocols.map(|protocol| Peer::new(&host, protocol)).collect();
    for (place, peer) in subscribers.iter_mut().enumerate() {
        let line = if place % 4 < 2 { "SUBSCRIBE news" } else { "PSUBSCRIBE n*s" };
        assert!(peer.ask(line).contains("subscribe"));
    }
    let publish = |publisher: usize| {
        let mut peer = Peer::new(&host, Protocol::Resp3);
        let lines: String = (0..200).map(|number| format!("PUBLISH news {publisher}:{number}\r\n")).collect();
        peer.0.send(lines.as_bytes()).unwrap();
        (0..200).for_each(|_| assert_eq!(peer.next(), "8", "receivers"));
    };
    std::thread::scope(|scope| (0..3).for_each(|publisher| _ = scope.spawn(move || publish(publisher))));
    let mut orders = BTreeSet::new();
    for peer in &mut subscribers {
        let payload = |message: String| message.rsplit('"').nth(1).unwrap().to_owned();
        let all: Vec<String> = (0..600).map(|_| payload(peer.next())).collect();
        for publisher in 0..3 {
            let from = format!("{publisher}:");
            let own = all.iter().filter(|text| text.starts_with(&from));
            assert!(own.eq((0..200).map(|number| format!("{from}{number}")).collect::<Vec<_>>().iter()));
        }
        orders.insert(all);
    }
    assert_eq!(orders.len(), 1, "all see one order");
    assert_eq!((host.info_number("pubsub_channels"), host.info_number("pubsub_patterns")), (1, 1));
    // They hang up without a word.
    drop(subscribers);
    let mut peer = Peer::new(&host, Protocol::Resp3);
    wait_until("the end of all subscriptions", || peer.ask("PUBLISH news x") == "0");
    peer.expect(&[("PUBSUB CHANNELS", "[]"), ("PUBSUB NUMPAT", "0"), ("PUBSUB NUMSUB news", "[\"news\" 0]")]);
}

#[test]
fn in_resp2_a_subscriber_may_only_change_what_it_listens_to() {
    let host = several_workers();
    let mut peer = Peer::new(&host, Protocol::Resp2);
    let only = |name| {
        format!(
            "!ERR Can't execute '{name}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this \
             context"
        )
    };
    peer.expect(&[
        ("SUBSCRIBE a", "[\"subscribe\" \"a\" 1]"),
        ("PING", "[\"pong\" \"\"]"),
        ("PING x", "[\"pong\" \"x\"]"),
        ("GET k", &only("get")),
        ("CLIENT ID", &only("client|id")),
        ("HELLO 3", &only("hello")),
        ("NOSUCH", "!ERR unknown command 'NOSUCH', with args beginning with: "),
        ("GET", "!ERR wrong number of arguments for 'get' command"),
    ]);
    assert!(
        peer.ask("EXEC").starts_with("!EXECABORT Transaction discarded because of: Can't execute 'exec'")
    );
    peer.expect(&[
        ("UNSUBSCRIBE", "[\"unsubscribe\" \"a\" 0]"),
        ("GET k", "nil"),
        ("SSUBSCRIBE s", "[\"ssubscribe\" \"s\" 1]"),
        ("RESET", "RESET"),
        ("GET k", "nil"),
    ]);
    // In RESP3 messages and replies cannot be mistaken for each other.
    peer.ask("HELLO 3");
    peer.expect(&[("SUBSCRIBE a", "<\"subscribe\" \"a\" 1>"), ("SET k v", "OK"), ("GET k", "\"v\"")]);
    let mut got = [peer.ask("PUBLISH a x"), peer.next()];
    got.sort();
    assert_eq!(got, ["1", "<\"message\" \"a\" \"x\">"]);
    assert!(peer.ask("CLIENT INFO").contains(" flags=P db=0 sub=1 psub=0 ssub=0 "));
}

#[test]
fn a_transaction_publishes_when_it_is_carried_out_and_not_before() {
    let host = several_workers();
    let (mut peer, mut other) = (Peer::new(&host, Protocol::Resp2), Peer::new(&host, Protocol::Resp2));
    other.ask("SUBSCRIBE a");
    peer.expect(&[
        ("WATCH k", "OK"),
        ("SET k changed", "OK"),
        ("MULTI", "OK"),
        ("PUBLISH a lost", "QUEUED"),
        ("EXEC", "nil"),
        ("MULTI", "OK"),
        ("PUBLISH a discarded", "QUEUED"),
        ("DISCARD", "OK"),
        ("MULTI", "OK"),
        ("SET k v", "QUEUED"),
        ("PUBLISH a sent", "QUEUED"),
        ("GET k", "QUEUED"),
        ("SUBSCRIBE own", "QUEUED"),
        ("MONITOR", "QUEUED"),
        (
            "EXEC",
            "[OK 1 \"v\" [\"subscribe\" \"own\" 1] !ERR MONITOR isn't allowed for DENY BLOCKING client]",
        ),
    ]);
    assert_eq!(other.next(), "[\"message\" \"a\" \"sent\"]");
    assert_eq!(peer.ask("UNSUBSCRIBE"), "[\"unsubscribe\" \"own\" 0]");
    // What stands before a message in a pipeline has happened when it arrives.
    peer.send("SET k later\r\nPUBLISH a look\r\nSET k last");
    assert_eq!(other.next(), "[\"message\" \"a\" \"look\"]");
    let seen = Peer::new(&host, Protocol::Resp2).ask("GET k");
    assert!(["\"later\"", "\"last\""].contains(&&*seen), "{seen}");
}

#[test]
fn a_subscriber_that_never_reads_is_closed_and_holds_nobody_up() {
    let host = several_workers();
    let mut peer = Peer::new(&host, Protocol::Resp3);
    let told = "{\"client-output-buffer-limit\": \"normal 1073741824 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60\"}";
    assert_eq!(peer.ask("CONFIG GET client-output-buffer-limit"), told);
    assert_eq!(peer.ask("CONFIG SET client-output-buffer-limit \"pubsub 4mb 0 0\""), "OK");
    let (mut deaf, mut reader) = (Peer::new(&host, Protocol::Resp2), Peer::new(&host, Protocol::Resp2));
    let mut monitor = Peer::new(&host, Protocol::Resp2);
    deaf.ask("SUBSCRIBE a");
    reader.ask("PSUBSCRIBE a*");
    monitor.ask("MONITOR");
    let before = host.resident_bytes();
    let payload = "x".repeat(256 << 10);
    let mut request = Vec::new();
    kvstore_client::encode_command(&["PUBLISH", "a", &payload], &mut request);
    let mut most = 0;
    for _ in 0..200 {
        peer.0.send(&request).unwrap();
        assert!(["1", "2"].contains(&&*peer.next()));
        assert!(reader.next().ends_with(&format!("{payload}\"]")));
        most = most.max(host.resident_bytes());
    }
    host.wait_for_log(&["closed:", "client-output-buffer-limit allows 4194304"]);
    wait_until("the end of the deaf ones", || {
        peer.ask("PUBSUB NUMSUB a") == "[\"a\" 0]" && !peer.ask("CLIENT LIST").contains("flags=O")
    });
    // Of the 50 MiB that were published to each, and more to the monitor, no more than the limit waited for either.
    let grown = most.saturating_sub(before);
    assert!(grown < 40 << 20, "{grown} bytes more");
    for gone in [&mut deaf.0, &mut monitor.0] {
        // Past the decoder, to which a line of MONITOR is too long.
        let mut buffer = vec![0; 64 << 10];
        let end =
            std::iter::repeat_with(|| gone.receive_raw(&mut buffer)).find(|read| !matches!(read, Ok(1..)));
        assert!(matches!(end, Some(Ok(0) | Err(Error::Closed))), "{end:?}");
    }
}

#[test]
fn a_reply_beyond_the_output_limit_closes_its_client_only() {
    let host = several_workers();
    let (mut peer, mut other) = (Peer::new(&host, Protocol::Resp3), Peer::new(&host, Protocol::Resp3));
    assert_eq!(other.ask("CONFIG SET client-output-buffer-limit \"normal 16mb 0 0\""), "OK");
    let mut request = Vec::new();
    kvstore_client::encode_command(&["SET", "k", &"v".repeat(1 << 20)], &mut request);
    other.0.send(&request).unwrap();
    assert_eq!(other.next(), "OK");
    peer.send(&format!("MGET{}", " k".repeat(64)));
    host.wait_for_log(&["closed:", "client-output-buffer-limit allows 16777216"]);
    assert!(peer.0.receive().is_err());
    assert_eq!(other.ask("STRLEN k"), "1048576");
}

fn keyspace_notifications(engine: Engine) {
    let host = Host::start_with(engine, &Options::args(&["--workers", "2"]));
    let (mut peer, mut listener) = (Peer::new(&host, Protocol::Resp3), Peer::new(&host, Protocol::Resp3));
    listener.ask("PSUBSCRIBE __key*@0__:*");
    peer.expect(&[("SET silent v", "OK"), ("CONFIG SET notify-keyspace-events KEA", "OK")]);
    let mut told = |event: &str, key: &str| {
        let pattern = "\"pmessage\" \"__key*@0__:*\"";
        assert_eq!(listener.next(), format!("<{pattern} \"__keyspace@0__:{key}\" \"{event}\">"));
        assert_eq!(listener.next(), format!("<{pattern} \"__keyevent@0__:{event}\" \"{key}\">"));
    };
    for (line, events) in [
        ("SET a 1", "set a"),
        ("SET a 1 NX", ""),
        ("INCRBY a 5", "incrby a"),
        ("APPEND a x", "append a"),
        ("INCR a", ""),
        ("SETRANGE a 1 y", "setrange a"),
        ("SETBIT a 0 1", "setbit a"),
        ("MSET a 1 b 2", "set a set b"),
        ("INCRBYFLOAT b 1", "incrbyfloat b"),
        ("RENAME b c", "rename_from b rename_to c"),
        ("COPY c d", "copy_to d"),
        ("GETSET d x", "set d"),
        ("DEL a none c", "del a del c"),
        ("GET none", ""),
        ("GETDEL d", "del d"),
        ("GETDEL d", ""),
    ] {
        let reply = peer.ask(line);
        let words: Vec<&str> = events.split_whitespace().collect();
        words.chunks(2).for_each(|event| told(event[0], event[1]));
        assert!(!reply.is_empty());
    }
    peer.send("MULTI\r\nSET a 1\r\nDEL a\r\nSET b 2\r\nEXEC");
    (0..5).for_each(|_| drop(peer.next()));
    [("set", "a"), ("del", "a"), ("set", "b")].into_iter().for_each(|(event, key)| told(event, key));
    if engine.expires() {
        peer.expect(&[("SET e v EX 100", "OK"), ("PERSIST e", "1"), ("PEXPIRE e 500", "1")]);
        let events = [("set", "e"), ("expire", "e"), ("persist", "e"), ("expire", "e")];
        events.into_iter().for_each(|(event, key)| told(event, key));
        wait_until("the expiry", || peer.ask("GET e") == "nil");
        told("expired", "e");
    }
    peer.expect(&[("CONFIG SET notify-keyspace-events \"\"", "OK"), ("SET b 3", "OK")]);
    assert_eq!(listener.ask("PING"), "PONG", "nothing more was told");
}

#[test]
fn monitors_are_shown_all_commands_but_those_of_administrators() {
    let host = several_workers();
    let (mut peer, mut unix) = (Peer::new(&host, Protocol::Resp3), Peer(host.connection_to(&host.unix())));
    let info = peer.ask("CLIENT INFO");
    let addr = info.split_whitespace().find_map(|field| field.strip_prefix("addr=")).unwrap().to_owned();
    let mut monitor = Peer::new(&host, Protocol::Resp2);
    assert_eq!(monitor.ask("MONITOR"), "OK");
    let mut shown = |from: &str, command: &str| {
        let line = monitor.next();
        let (time, rest) = line.split_once(' ').unwrap();
        let (seconds, microseconds) = time.split_once('.').unwrap();
        assert!(seconds.parse::<u64>().unwrap() > 1_600_000_000 && microseconds.len() == 6, "{line}");
        assert_eq!(rest, format!("[0 {from}] {command}"));
    };
    for (line, command) in [
        ("set k \"a b\\x00\"", "\"set\" \"k\" \"a b\\x00\""),
        ("AUTH secret", "\"AUTH\" \"(redacted)\""),
        (
            "HELLO 3 AUTH default secret SETNAME me",
            "\"HELLO\" \"3\" \"AUTH\" \"(redacted)\" \"(redacted)\" \"SETNAME\" \"me\"",
        ),
        ("INCR k", "\"INCR\" \"k\""),
        ("KEYS *", "\"KEYS\" \"*\""),
        ("CLIENT ID", "\"CLIENT\" \"ID\""),
        ("WATCH k", "\"WATCH\" \"k\""),
        ("SUBSCRIBE a", "\"SUBSCRIBE\" \"a\""),
        ("EXEC", "\"EXEC\""),
        ("MULTI", "\"MULTI\""),
    ] {
        peer.ask(line);
        shown(&addr, command);
    }
    // Neither what is queued, nor what is refused, nor what administrators do.
    for line in ["GET k", "GET", "NOSUCH", "CONFIG GET save"] {
        peer.ask(line);
    }
    peer.ask("DISCARD");
    shown(&addr, "\"DISCARD\"");
    peer.send("MULTI\r\nGET k\r\nexec");
    ["\"MULTI\"", "\"GET\" \"k\"", "\"exec\""].into_iter().for_each(|command| shown(&addr, command));
    unix.ask("PING");
    shown(&format!("unix:{}", host.path("host.sock").display()), "\"PING\"");
    monitor.expect(&[("GET k", "!ERR Replica can't interact with the keyspace"), ("RESET", "RESET")]);
    peer.ask("CLIENT ID");
    assert_eq!(monitor.ask("GET none"), "nil");
}
