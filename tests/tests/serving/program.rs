//! The host's program: how it starts, what it says when it cannot, and how it ends.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::sync::Arc;

use kvstore_client::{Value, encode_command};
use tests::binaries;
use tests::engines::Engine;
use tests::host::{Host, Options};
use tests::on_each_engine;
use tests::show::{ask, show};

on_each_engine!(
    the_start_line_says_what_serves_where,
    an_unknown_option_is_refused_with_the_known_ones,
    what_was_received_is_finished_before_the_end,
);

fn the_start_line_says_what_serves_where(engine: Engine) {
    let host = Host::start_with(engine, &Options::args(&["--listen", "127.0.0.1:0", "--workers", "3"]));
    let line = host.wait_for_log(&["listening on "]);
    let start = format!("engine {} 0.1.0, generation 1, ", engine.name());
    assert!(line.contains(&start) && line.contains(" conformance tests passed, 0 failed"), "{line}");
    let (_, addresses) = line.split_once("listening on ").unwrap();
    let addresses: Vec<_> = addresses.split(", ").map(|address| address.parse().unwrap()).collect();
    assert_eq!(addresses.len(), 3, "{line}");
    for address in addresses {
        assert_eq!(show(&host.connection_to(&address).exchange(b"PING\r\n", 1).replies[0]), "PONG");
    }
    assert_eq!(host.info_number("workers"), 3);
    let mode = std::fs::metadata(host.path("host.sock")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "only for its own user, unless told otherwise");
    let socket = host.path("host.sock");
    let dir = host.shared_dir();
    let log = host.stop();
    assert!(
        log.contains("SIGTERM: stopping") && log.contains("engine closed, its library is unmapped"),
        "{log}"
    );
    assert!(!socket.exists(), "the socket's file goes with the host");
    drop(dir);
}

fn an_unknown_option_is_refused_with_the_known_ones(engine: Engine) {
    let dir = tempfile::tempdir().unwrap();
    let library = engine.library(dir.path());
    let known = match engine {
        Engine::Memory => "known options: shards",
        Engine::CExample => "known options: none",
        Engine::Delayed => "known options: delay_us, seed, error_rate, error, fail_at",
    };
    let said = refusal(&["--engine", library.to_str().unwrap(), "--engine-opt", "nope=1"], 1);
    assert!(said.contains("unknown option") && said.contains(known), "{said}");
}

fn what_was_received_is_finished_before_the_end(engine: Engine) {
    const REQUESTS: usize = 500;
    for signal in [libc::SIGTERM, libc::SIGINT] {
        let mut host = Host::start(engine);
        let mut connection = host.connection();
        let mut requests = Vec::new();
        for _ in 0..REQUESTS {
            encode_command(&["INCR", "n"], &mut requests);
        }
        // In the host's socket before the signal is sent, so it was received.
        connection.send(&requests).unwrap();
        host.signal(signal);
        let replies: Vec<Value> = (0..REQUESTS).map(|_| connection.receive().unwrap()).collect();
        assert_eq!(replies.last(), Some(&Value::Integer(REQUESTS as i64)));
        assert!(connection.receive().is_err(), "then it hangs up");
        let status = host.wait();
        assert!(status.success(), "{status}: {}", host.log.text());
        let name = if signal == libc::SIGTERM { "SIGTERM" } else { "SIGINT" };
        host.wait_for_log(&[name, "stopping"]);
    }
}

/// Runs a host that has to refuse to start, with this exit code. Answers what it says.
fn refusal(args: &[&str], code: i32) -> String {
    let mut command = Command::new(binaries::host());
    let output =
        command.args(["--listen", "127.0.0.1:0"]).args(args).env_remove("RUST_LOG").output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{args:?}: {text}");
    text
}

#[test]
fn what_is_wrong_at_the_start_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let library = binaries::memory_engine();
    let engine = ["--engine", library.to_str().unwrap()];
    let with = |more: &[&str], code| refusal(&[&engine[..], more].concat(), code);
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let says = |said: String, parts: &[&str]| {
        assert!(parts.iter().all(|part| said.contains(part)), "{parts:?} are not in {said}");
    };
    says(refusal(&[], 1), &["no engine", "--engine PATH"]);
    says(refusal(&["--engine", "/does/not/exist.so"], 1), &["/does/not/exist.so", "there is no such file"]);
    says(with(&["--config", "/does/not/exist.toml"], 1), &["/does/not/exist.toml"]);
    let wrong = write("wrong.toml", "workers = 1\nengin = \"x\"\n");
    says(with(&["--config", &wrong], 1), &["wrong.toml", "unknown field `engin`", "expected one of"]);
    let wrong = write("kind.toml", "workers = \"many\"\n");
    says(with(&["--config", &wrong], 1), &["kind.toml", "invalid type"]);
    says(with(&["--listen", "nowhere"], 1), &["cannot listen on 'nowhere'"]);
    let file = write("file", "no socket");
    says(with(&["--unix", &file], 1), &["cannot listen on", "no socket"]);
    // What clap finds is a matter of usage.
    says(with(&["--unix-mode", "999"], 2), &["'999' is not a mode in octal"]);
    says(with(&["--engine-opt", "novalue"], 2), &["KEY=VALUE"]);
    says(with(&["--workers", "0"], 2), &["--workers"]);
    says(with(&["--nonsense"], 2), &["--nonsense"]);
}

#[test]
fn an_address_in_use_is_refused_and_its_owner_not_disturbed() {
    let host = Host::start(Engine::CExample);
    let library = host.path("libkvstore_c.so").display().to_string();
    let said = refusal(&["--engine", &library, "--listen", &format!("127.0.0.1:{}", host.port())], 1);
    assert!(said.contains("cannot listen on 127.0.0.1:"), "{said}");
    let said = refusal(&["--engine", &library, "--unix", &host.path("host.sock").display().to_string()], 1);
    assert!(said.contains("another server listens on this socket"), "{said}");
    let mut client = host.client_over(host.unix(), kvstore_client::Protocol::Resp3);
    assert_eq!(ask(&mut client, "PING"), "PONG");
}

#[test]
fn addresses_come_from_the_environment_where_no_flag_gives_any() {
    let dir = Arc::new(tempfile::tempdir().unwrap());
    let library = Engine::CExample.library(dir.path()).display().to_string();
    let env = |port: &str| {
        vec![("KV_HOST".to_owned(), "127.0.0.1".to_owned()), ("KV_PORT".to_owned(), port.to_owned())]
    };
    let mut options = Options { env: env("0"), ..Options::args(&["--engine", &library]) };
    let host = Host::start_in(Arc::clone(&dir), &options);
    assert_ne!(host.port(), 8080);
    assert_eq!(ask(&mut host.client(), "PING"), "PONG");
    // The environment wins over the file, and a flag over the environment.
    options.config = Some("listen = [\"127.0.0.1:1\"]\n".to_owned());
    let other = Host::start_in(Arc::clone(&dir), &options);
    assert_ne!(other.port(), 1);
    options.env = env("1");
    options.args.extend(["--listen".to_owned(), "127.0.0.1:0".to_owned()]);
    let last = Host::start_in(dir, &options);
    assert_eq!(ask(&mut last.client(), "PING"), "PONG");
}

#[test]
fn the_socket_has_the_mode_that_was_asked_for() {
    let host = Host::start_with(Engine::CExample, &Options::args(&["--unix-mode", "660"]));
    let mode = std::fs::metadata(host.path("host.sock")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
}

#[test]
fn verbose_says_more_and_rust_log_decides() {
    let with = |name: &str, value: &str| {
        let env = vec![(name.to_owned(), value.to_owned())];
        let host = Host::start_with(Engine::CExample, &Options { env, ..Options::default() });
        drop(host.client());
        host
    };
    with("KV_VERBOSE", "1").wait_for_log(&["DEBUG", "closed"]);
    let quiet = with("RUST_LOG", "info").stop();
    assert!(!quiet.contains("DEBUG") && quiet.contains("INFO"), "{quiet}");
}

#[test]
fn a_second_signal_ends_a_host_that_waits() {
    let mut host = Host::start(Engine::Memory);
    let mut client = host.client();
    client.set(b"big", &vec![b'x'; 4 << 20]).unwrap();
    // A client that takes no replies holds the end up.
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", host.port())).unwrap();
    stream.write_all("GET big\r\n".repeat(50).as_bytes()).unwrap();
    tests::wait::wait_until("the replies", || host.info_number("total_net_output_bytes") > 100_000);
    host.signal(libc::SIGTERM);
    host.wait_for_log(&["SIGTERM: stopping; a second signal exits at once"]);
    host.signal(libc::SIGTERM);
    assert_eq!(host.wait().code(), Some(1), "{}", host.log.text());
    assert!(!host.log.text().contains("engine closed"), "it did not wait: {}", host.log.text());
}

#[test]
fn clients_beyond_the_most_are_told_so() {
    let host = Host::start_with(Engine::Memory, &Options::args(&["--clients-max", "3"]));
    let mut clients: Vec<_> = (0..3).map(|_| host.client()).collect();
    let reply = host.connection().receive().unwrap();
    assert_eq!(show(&reply), "!ERR max number of clients reached");
    assert_eq!(ask(&mut clients[0], "PING"), "PONG");
    drop(clients.pop());
    tests::wait::wait_until("room for another", || {
        let exchange = host.connection().exchange(b"PING\r\n", 1);
        exchange.replies.first().map(show).as_deref() == Some("PONG")
    });
}
