//! Clients: programs and libraries that were written for Redis, each against a real host on each engine.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use redis::{Commands, ProtocolVersion};
use tests::binaries;
use tests::engines::Engine;
use tests::free_port;
use tests::host::Host;
use tests::on_each_engine;
use tests::show::{ask, expect};

on_each_engine!(
    redis_cli,
    redis_cli_surveys,
    redis_benchmark,
    redis_py,
    node_js,
    redis_rs,
    prometheus_exporter
);

/// Runs a program with this input. It has to succeed; answers what it prints.
fn run(command: &mut Command, input: &[u8]) -> String {
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child =
        command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}; see scripts/setup --tests"));
    let mut stdin = child.stdin.take().unwrap();
    let output = std::thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(input));
        child.wait_with_output().unwrap()
    });
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && errors.is_empty(), "{command:?}: {}\n{text}\n{errors}", output.status);
    text
}

fn redis_cli(engine: Engine) {
    let host = Host::start(engine);
    let port = host.port().to_string();
    let cli = |args: &[&str], input: &str| {
        run(Command::new("redis-cli").args(["-p", &port]).args(args), input.as_bytes())
    };
    assert_eq!(cli(&["SET", "greeting", "hello, whole world"], ""), "OK\n");
    assert_eq!(cli(&["GET", "greeting"], ""), "hello, whole world\n");
    assert_eq!(cli(&["--no-raw", "GET", "none"], ""), "(nil)\n");
    let refused = "(error) ERR value is not an integer or out of range\n";
    assert_eq!(cli(&["--no-raw", "INCR", "greeting"], ""), refused);
    assert_eq!(cli(&["-3", "--no-raw", "HELLO"], "").matches("\"proto\" => (integer) 3").count(), 1);
    assert!(cli(&["-3", "INFO", "engine"], "").contains(engine.name()));
    assert_eq!(cli(&["-x", "SET", "stdin"], "from a pipe"), "OK\n");
    let socket = host.path("host.sock").display().to_string();
    assert_eq!(run(Command::new("redis-cli").args(["-s", &socket, "GET", "stdin"]), b""), "from a pipe\n");

    // A script, line by line, as a session in a terminal would send it.
    let script = "SET n 5\nINCR n\nMULTI\nINCR n\nEXEC\nSET \"a key\" \"\\x41\\n\"\nGET 'a key'\nPING\n";
    let replies = cli(&[], script);
    let words: Vec<&str> = replies.split_whitespace().collect();
    assert_eq!(words, ["OK", "6", "OK", "QUEUED", "7", "OK", "A", "PONG"], "{replies}");

    // Requests as they go over the wire, and inline lines, without waiting for replies.
    let mut requests = Vec::new();
    for number in 0..2_000 {
        kvstore_client::encode_command(&["SET", &format!("piped:{number}"), "v"], &mut requests);
    }
    let piped = run(Command::new("redis-cli").args(["-p", &port, "--pipe"]), &requests);
    assert!(piped.contains("errors: 0, replies: 2000"), "{piped}");
    let lines: String = (0..500).map(|number| format!("SET inline:{number} v\r\n")).collect();
    let piped = cli(&["--pipe"], &lines);
    assert!(piped.contains("errors: 0, replies: 500"), "{piped}");

    let scanned = cli(&["--scan", "--pattern", "piped:*"], "");
    let keys: std::collections::BTreeSet<&str> = scanned.lines().collect();
    assert_eq!(keys.len(), 2_000);
    let big = cli(&["--bigkeys"], "");
    assert!(big.contains("Biggest string found '\"greeting\"' has 18 bytes"), "{big}");
    let latency = cli(&["-r", "3", "PING"], "");
    assert_eq!(latency, "PONG\nPONG\nPONG\n");
    assert_eq!(cli(&["DBSIZE"], "").trim(), host.client().count().unwrap().to_string());
}

/// What redis-cli says of a server as a whole.
fn redis_cli_surveys(engine: Engine) {
    let host = Host::start(engine);
    let mut client = host.client();
    client.set(b"greeting", b"hello, whole world").unwrap();
    client.set(b"large", &[b'x'; 100_000]).unwrap();
    let port = host.port().to_string();
    let cli = |args: &[&str]| run(Command::new("redis-cli").args(["-p", &port]).args(args), b"");
    let big = cli(&["--bigkeys"]);
    assert!(big.contains("Biggest string found '\"large\"' has 100000 bytes"), "{big}");
    let memory = cli(&["--memkeys"]);
    assert!(memory.contains("Biggest string found '\"large\"' has 100"), "{memory}");
    let json: serde_json::Value =
        serde_json::from_str(&cli(&["-3", "--json", "MGET", "greeting", "none"])).unwrap();
    assert_eq!(json, serde_json::json!(["hello, whole world", null]));
    let json: serde_json::Value = serde_json::from_str(&cli(&["-3", "--json", "HELLO"])).unwrap();
    assert_eq!((&json["proto"], &json["role"]), (&serde_json::json!(3), &serde_json::json!("master")));

    // It goes on until it is ended: a heading and a line are one round.
    let mut stat = Command::new("redis-cli");
    let mut stat = stat.args(["-p", &port, "--stat"]).stdout(Stdio::piped()).spawn().unwrap();
    let lines: Vec<String> =
        BufReader::new(stat.stdout.take().unwrap()).lines().map_while(Result::ok).take(3).collect();
    stat.kill().unwrap();
    stat.wait().unwrap();
    assert!(lines[1].starts_with("keys "), "{lines:?}");
    assert_eq!(lines[2].split_whitespace().next(), Some("2"), "{lines:?}");
}

fn redis_benchmark(engine: Engine) {
    let host = Host::start(engine);
    // The late engine does some hundred thousand operations a second at most.
    let requests = if engine == Engine::Delayed { "4000" } else { "20000" };
    for transport in [
        vec!["-p".to_owned(), host.port().to_string()],
        vec!["-s".to_owned(), host.path("host.sock").display().to_string()],
    ] {
        let mut command = Command::new("redis-benchmark");
        command.args(transport).args([
            "-t",
            "ping,set,get,incr,mset",
            "-P",
            "16",
            "-n",
            requests,
            "-r",
            "1000",
            "--csv",
        ]);
        let report = run(&mut command, b"");
        assert!(!report.to_lowercase().contains("err"), "{report}");
        let tests: Vec<&str> = report.lines().skip(1).filter_map(|line| line.split(',').next()).collect();
        let expected =
            ["\"PING_INLINE\"", "\"PING_MBULK\"", "\"SET\"", "\"GET\"", "\"INCR\"", "\"MSET (10 keys)\""];
        assert_eq!(tests, expected, "{report}");
    }
}

/// Where `scripts/setup --tests` puts the environments of Python.
fn python(version: &str) -> PathBuf {
    let venvs =
        std::env::var_os("KV_VENVS").map_or_else(|| binaries::root().join("target/venvs"), PathBuf::from);
    let python = venvs.join(version).join("bin/python");
    assert!(python.exists(), "{} is missing: run scripts/setup --tests", python.display());
    python
}

fn redis_py(engine: Engine) {
    let host = Host::start(engine);
    let script = binaries::root().join("tests/python/check.py");
    for version in ["redis8", "redis5"] {
        let mut command = Command::new(python(version));
        command.arg(&script).arg(host.port().to_string()).arg(host.path("host.sock"));
        let said = run(command.arg(engine.expires().to_string()).arg(engine.library(host.dir())), b"");
        assert!(
            said.starts_with(&format!("redis-py {}.", &version[5..])) && said.ends_with(": ok\n"),
            "{said}"
        );
    }
}

fn node_js(engine: Engine) {
    let modules =
        std::env::var_os("KV_NODE").map_or_else(|| binaries::root().join("target/node"), PathBuf::from);
    let modules = modules.join("node_modules");
    assert!(modules.exists(), "{} is missing: run scripts/setup --tests", modules.display());
    let host = Host::start(engine);
    for (script, name) in [("node_redis", "node-redis 6."), ("ioredis", "ioredis 6.")] {
        let mut command = Command::new("node");
        command.env("NODE_PATH", &modules).arg(binaries::root().join(format!("tests/node/{script}.js")));
        command.arg(host.port().to_string()).arg(host.path("host.sock")).arg(engine.library(host.dir()));
        let said = run(&mut command, b"");
        assert!(said.starts_with(name) && said.ends_with(": ok\n"), "{said}");
    }
}

/// Reads what the exporter makes of a host: all that it asks for has to be answered, and without an error.
fn prometheus_exporter(engine: Engine) {
    let unpacked = std::env::var_os("KV_EXPORTER")
        .map_or_else(|| binaries::root().join("target/exporter"), PathBuf::from)
        .join("usr/bin/prometheus-redis-exporter");
    let program = if unpacked.exists() { unpacked } else { PathBuf::from("prometheus-redis-exporter") };
    let host = Host::start(engine);
    expect(&mut host.client(), &[("SET a 1", "OK"), ("GET a", "\"1\""), ("GET none", "nil")]);
    for target in
        [format!("redis://127.0.0.1:{}", host.port()), format!("unix://{}", host.path("host.sock").display())]
    {
        let command = |port| {
            let mut command = Command::new(&program);
            command.args(["--debug", "--web.listen-address", &format!("127.0.0.1:{port}")]);
            command.args(["--redis.addr", &target]).stdout(Stdio::null()).stderr(Stdio::piped());
            command
        };
        let what = format!("{} (see scripts/setup --tests)", program.display());
        let (mut exporter, _, metrics) = free_port::start(&what, command, |port| {
            let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
            stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").ok()?;
            let mut text = String::new();
            stream.read_to_string(&mut text).ok().map(|_| text)
        });
        exporter.kill().unwrap();
        let log = exporter.wait_with_output().unwrap().stderr;
        let log = String::from_utf8_lossy(&log);
        for metric in
            ["redis_up 1", "redis_db_keys{db=\"db0\"} 1", "redis_slowlog_length", "redis_keyspace_hits_total"]
        {
            assert!(metrics.lines().any(|line| line.starts_with(metric)), "no {metric} in\n{metrics}");
        }
        for asked in ["CONFIG [GET *]", "INFO [ALL]", "LATENCY [LATEST]", "SLOWLOG [LEN]", "SLOWLOG [GET 1]"]
        {
            assert!(log.contains(asked), "{asked} was not asked for:\n{log}");
        }
        let wrong: Vec<&str> = log
            .lines()
            .filter(|line| line.contains("level=error") || line.contains("c.Do() - err: "))
            .collect();
        assert!(wrong.is_empty(), "{wrong:#?}");
    }
}

fn redis_rs(engine: Engine) {
    let host = Host::start(engine);
    let urls = [
        format!("redis://127.0.0.1:{}/", host.port()),
        format!("redis+unix://{}", host.path("host.sock").display()),
    ];
    for (url, version) in
        urls.iter().flat_map(|url| [(url, ProtocolVersion::RESP2), (url, ProtocolVersion::RESP3)])
    {
        let info = redis::IntoConnectionInfo::into_connection_info(url.as_str()).unwrap();
        let settings = info.redis_settings().clone().set_protocol(version);
        let client = redis::Client::open(info.set_redis_settings(settings)).unwrap();
        let mut connection = client.get_connection().unwrap();
        let () = connection.set("a", 41).unwrap();
        assert_eq!(connection.incr::<_, _, i64>("a", 1).unwrap(), 42);
        assert_eq!(connection.get::<_, Option<String>>("none").unwrap(), None);
        let bytes: Vec<u8> = (0..=255).collect();
        let () = connection.set(&bytes, &bytes).unwrap();
        assert_eq!(connection.get::<_, Vec<u8>>(&bytes).unwrap(), bytes);

        let mut pipeline = redis::pipe();
        for number in 0..100 {
            pipeline.set(format!("key:{number}"), number).ignore().get(format!("key:{number}"));
        }
        let numbers: Vec<i64> = pipeline.query(&mut connection).unwrap();
        assert_eq!(numbers, (0..100).collect::<Vec<_>>());
        let both: (i64, i64) =
            redis::pipe().atomic().incr("a", 1).incr("a", 1).query(&mut connection).unwrap();
        assert_eq!(both, (43, 44));
        let sum: (i64,) = redis::transaction(&mut connection, &["a"], |connection, pipeline| {
            let now: i64 = connection.get("a")?;
            pipeline.set("a", now + 6).ignore().get("a").query(connection)
        })
        .unwrap();
        assert_eq!(sum, (50,));
        let keys: Vec<String> = connection.scan_match("key:*").unwrap().map(Result::unwrap).collect();
        assert_eq!(keys.iter().collect::<std::collections::BTreeSet<_>>().len(), 100);
        let refused = redis::cmd("NOSUCH").query::<()>(&mut connection).unwrap_err();
        assert!(refused.to_string().contains("unknown command"), "{refused}");

        // Somebody else writes between WATCH and EXEC.
        let () = redis::cmd("WATCH").arg("a").query(&mut connection).unwrap();
        expect(&mut host.client(), &[("SET a 7", "OK")]);
        let lost: Option<(i64,)> = redis::pipe().atomic().incr("a", 1).query(&mut connection).unwrap();
        assert_eq!(lost, None);

        let mut listening = client.get_connection().unwrap();
        let mut subscriber = listening.as_pubsub();
        subscriber.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
        subscriber.subscribe("news").unwrap();
        subscriber.psubscribe("n?w*").unwrap();
        assert_eq!(connection.publish::<_, _, i64>("news", &bytes).unwrap(), 2);
        let mut patterns = Vec::new();
        for _ in 0..2 {
            let message = subscriber.get_message().unwrap();
            assert_eq!((message.get_channel_name(), message.get_payload_bytes()), ("news", &bytes[..]));
            patterns.push(message.get_pattern::<Option<String>>().unwrap());
        }
        patterns.sort();
        assert_eq!(patterns, [None, Some("n?w*".to_owned())]);

        // The connection goes on while the engine is exchanged.
        let done = AtomicBool::new(false);
        let id: i64 = redis::cmd("CLIENT").arg("ID").query(&mut connection).unwrap();
        std::thread::scope(|scope| {
            let load = scope.spawn(|| {
                let mut sent = 0;
                while !done.load(Ordering::Relaxed) || sent < 100 {
                    sent += 1;
                    assert_eq!(connection.incr::<_, _, i64>("count", 1).unwrap(), sent);
                }
            });
            let library = engine.library(host.dir()).display().to_string();
            let reloaded = ask(&mut host.client(), &format!("ENGINE RELOAD {library}"));
            done.store(true, Ordering::Relaxed);
            assert!(!reloaded.starts_with('!'), "{reloaded}");
            load.join().unwrap();
        });
        assert_eq!(redis::cmd("CLIENT").arg("ID").query::<i64>(&mut connection).unwrap(), id);
        assert_eq!(connection.publish::<_, _, i64>("news", "after").unwrap(), 2);
        assert_eq!(subscriber.get_message().unwrap().get_payload::<String>().unwrap(), "after");
        expect(&mut host.client(), &[("FLUSHALL", "OK")]);
    }
}
