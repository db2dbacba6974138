//! The program against a small server: what it prints, where, and how it ends.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test may stop at the first surprise, in its helpers too"
)]

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Output, Stdio};
use support::{Action, Server, is};

fn program(server: &Server) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kvstore-client"));
    command.env_clear().env("KV_PORT", server.port.to_string());
    command
}

/// What a run gave: standard output, standard error, exit code.
#[derive(Debug, PartialEq, Eq)]
struct Ran(String, String, i32);

fn ran(output: Output) -> Ran {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran(text(output.stdout), text(output.stderr), output.status.code().unwrap())
}

fn run(server: &Server, words: &str) -> Ran {
    ran(program(server).args(words.split(' ')).stdin(Stdio::null()).output().unwrap())
}

fn done(out: &str, code: i32) -> Ran {
    Ran(out.to_owned(), String::new(), code)
}

fn spawn(command: &mut Command) -> Child {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Runs a command with this standard input.
fn feed(command: &mut Command, input: &[u8]) -> Output {
    let mut child = spawn(command);
    let mut stdin = child.stdin.take().unwrap();
    std::thread::scope(|scope| {
        // The program may end before it has read everything.
        scope.spawn(move || stdin.write_all(input));
        child.wait_with_output().unwrap()
    })
}

fn session(server: &Server, input: &str) -> Ran {
    ran(feed(&mut program(server), input.as_bytes()))
}

#[test]
fn commands_print_plain_lines_and_exit_with_what_was_found() {
    let server = Server::start();
    for (words, out, code) in [
        ("get k", "\n", 1),
        ("set k v", "OK\n", 0),
        ("get k", "v\n", 0),
        ("SET k w", "OK\n", 0),
        ("put k w NX", "\n", 1),
        ("exists k none", "1\n", 0),
        ("exists none", "0\n", 1),
        ("mset a 1 b 2", "OK\n", 0),
        ("mget a none b", "1\n\n2\n", 0),
        ("mget none", "\n", 1),
        ("incr a", "2\n", 0),
        ("incr a -5", "-3\n", 0),
        ("decr a", "-4\n", 0),
        ("decr a 6", "-10\n", 0),
        ("append k xyz", "4\n", 0),
        ("strlen k", "4\n", 0),
        ("ttl none", "-2\n", 1),
        ("ttl k", "-1\n", 0),
        ("expire k 100", "1\n", 0),
        ("ttl k", "100\n", 0),
        ("persist k", "1\n", 0),
        ("persist k", "0\n", 1),
        ("expire none 5", "0\n", 1),
        ("type k", "string\n", 0),
        ("type none", "none\n", 1),
        ("keys [ab]", "a\nb\n", 0),
        ("keys none*", "", 0),
        ("scan", "a\nb\nk\n", 0),
        ("scan --match a*", "a\n", 0),
        ("scan 0", "0\na\nb\nk\n", 0),
        ("dbsize", "3\n", 0),
        ("delete a b none", "2\n", 0),
        ("delete a", "0\n", 1),
        ("ping", "PONG\n", 0),
        ("ping hello", "hello\n", 0),
        ("info", "# Server\nname:fake\n", 0),
        ("echo hello", "hello\n", 0),
        ("raw ping --json", "--json\n", 0),
        ("flush", "OK\n", 0),
        ("dbsize", "0\n", 0),
    ] {
        assert_eq!(run(&server, words), done(out, code), "{words}");
    }
}

#[test]
fn engine_commands_are_sent_as_the_host_expects_them() {
    let server = Server::start();
    for (words, sent) in [
        ("engine info", "ENGINE INFO"),
        ("engine history", "ENGINE HISTORY"),
        ("engine rollback", "ENGINE ROLLBACK"),
        ("engine help", "ENGINE HELP"),
        ("engine reload", "ENGINE RELOAD"),
        ("engine reload no-such-file.so", "ENGINE RELOAD no-such-file.so"),
        ("engine reload /x.so --opt a=1 --opt b=x=y", "ENGINE RELOAD /x.so OPTS a=1 b=x=y"),
    ] {
        assert_eq!(run(&server, words), done(&format!("{sent}\n"), 0), "{words}");
    }
    assert_eq!(run(&server, "engine reload x.so --opt a").2, 2);
}

#[test]
fn a_path_that_exists_here_is_sent_as_an_absolute_one() {
    let server = Server::start();
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("engine.so"), "").unwrap();
    let output =
        program(&server).args(["engine", "reload", "engine.so"]).current_dir(&directory).output().unwrap();
    let sent = ran(output).0;
    assert!(sent.starts_with("ENGINE RELOAD /") && sent.ends_with("/engine.so\n"), "{sent}");
}

#[test]
fn error_replies_go_to_standard_error_and_exit_with_4() {
    let server = Server::start();
    run(&server, "set k x");
    let error = "(error) ERR value is not an integer or out of range\n".to_owned();
    assert_eq!(run(&server, "incr k"), Ran(String::new(), error, 4));
    let document = "{\"error\":{\"code\":\"ERR\",\"message\":\"value is not an integer or out of range\"}}\n";
    let Ran(out, _, code) = run(&server, "--json incr k");
    assert_eq!((out.as_str(), code), (document, 4));
}

#[test]
fn misuse_exits_with_2_and_a_host_that_is_not_there_with_3() {
    let server = Server::start();
    for words in ["get", "set k", "--port 99999 ping", "bench --rate -1", "mset a 1 b", "expire k soon"] {
        let Ran(out, err, code) = run(&server, words);
        assert_eq!((out.as_str(), code), ("", 2), "{words}");
        assert!(err.starts_with("error: "), "{words}: {err}");
    }
    assert_eq!(server.requests(), Vec::<String>::new());
    let Ran(out, err, code) = run(&server, "--unix /no/such/socket ping");
    assert_eq!((out.as_str(), code), ("", 3));
    assert!(err.starts_with("kvstore-client: cannot connect to unix:/no/such/socket: "), "{err}");
    assert_eq!(run(&server, "--help").2, 0);
    assert_eq!(run(&server, "--version").2, 0);
}

#[test]
fn the_address_comes_from_options_before_the_environment() {
    let (server, other) = (Server::start(), Server::start());
    let mut command = program(&server);
    command.env("KV_HOST", "no-such-host.invalid").args([
        "--host",
        "127.0.0.1",
        "--port",
        &other.port.to_string(),
        "ping",
    ]);
    assert_eq!(ran(command.output().unwrap()), done("PONG\n", 0));
    assert_eq!((server.requests().len(), other.requests().len()), (0, 1));
    let mut command = program(&server);
    command.env("KV_HOST", "localhost").arg("ping");
    assert_eq!(ran(command.output().unwrap()), done("PONG\n", 0));
}

#[test]
fn a_unix_socket_is_preferred_to_host_and_port() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let (server, unix) = (Server::start(), Server::start_unix(&path));
    let output = program(&server).arg("--unix").arg(&path).arg("ping").output().unwrap();
    assert_eq!(ran(output), done("PONG\n", 0));
    assert_eq!((server.requests().len(), unix.requests().len()), (0, 1));
}

#[test]
fn values_of_any_bytes_come_from_standard_input_and_go_out_as_they_are() {
    let server = Server::start();
    let value: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    let output = feed(program(&server).args(["set", "k", "-"]), &value);
    assert_eq!(ran(output), done("OK\n", 0));
    let output = program(&server).args(["--raw", "get", "k"]).output().unwrap();
    assert!(output.stdout == value && output.status.success());
    let output = feed(program(&server).args(["append", "k", "-"]), b"x\n");
    assert_eq!(ran(output), done("100002\n", 0));
    assert_eq!(run(&server, "raw set k -"), done("OK\n", 0));
    assert_eq!(run(&server, "--raw get k"), done("-", 0));
}

#[test]
fn json_gives_one_document_per_reply() {
    let server = Server::start();
    server.store.lock().unwrap().put(b"bin", vec![0xff], None);
    for (words, out, code) in [
        ("--json set k é", "\"OK\"\n", 0),
        ("--json get k", "\"é\"\n", 0),
        ("get bin --json", "{\"base64\":\"/w==\"}\n", 0),
        ("--json get none", "null\n", 1),
        ("--json mget k none", "[\"é\",null]\n", 0),
        ("--json dbsize", "2\n", 0),
        ("--json info", "{\"server\":{\"name\":\"fake\"}}\n", 0),
        ("--json scan", "\"bin\"\n\"k\"\n", 0),
    ] {
        assert_eq!(run(&server, words), done(out, code), "{words}");
    }
}

#[test]
fn a_failed_connection_is_a_document_as_an_error_reply_is() {
    let server = Server::start_with(|words| match words.first() {
        Some(word) if word == b"GET" => Action::HangUp,
        Some(word) if word == b"SCAN" => Action::Say("-ERR no scan\r\n"),
        _ => Action::Answer,
    });
    let hung_up = "whether the request was carried out is unknown: the host closed the connection";
    for (words, code, message, exit) in [
        ("--json raw GET k", "", hung_up, 3),
        ("--json scan", "ERR", "no scan", 4),
        ("get k", "", hung_up, 3),
    ] {
        let Ran(out, err, found) = run(&server, words);
        let document = format!("{{\"error\":{{\"code\":\"{code}\",\"message\":\"{message}\"}}}}\n");
        let expected = if words.starts_with("--json") { document.as_str() } else { "" };
        assert_eq!((out.as_str(), found), (expected, exit), "{words}");
        assert!(err.contains(message), "{words}: {err}");
    }
    // The standard output of an export has entries only.
    assert_eq!(run(&server, "--json export").0, "");
}

#[test]
fn a_session_in_a_pipe_reads_and_prints_plain_lines() {
    let server = Server::start();
    let input =
        "set k \"a\\x00b\"\r\n\n  get   k\nget none\nkeys none*\nmget k none\nset 'x y' ''\nget 'x y'";
    let out = "OK\na\0b\n(nil)\n(empty array)\na\0b\n(nil)\nOK\n\n";
    assert_eq!(session(&server, input), done(out, 0));
}

#[test]
fn errors_in_a_session_are_lines_among_the_others_and_the_exit_code_tells_of_them() {
    let server = Server::start();
    let out = "OK\n(error) ERR value is not an integer or out of range\n(error) ERR unbalanced quotes in request\nPONG\n";
    assert_eq!(session(&server, "set k x\nincr k\nget \"k\nping\n"), done(out, 4));
    let Ran(out, _, code) = ran(feed(program(&server).arg("--json"), b"incr k\nget k\n"));
    assert!(out.starts_with("{\"error\":") && out.ends_with("\n\"x\"\n"), "{out}");
    assert_eq!(code, 4);
}

#[test]
fn a_session_ends_with_exit_and_leaves_the_rest() {
    let server = Server::start();
    assert_eq!(session(&server, "ping\nEXIT\nflushall\n"), done("PONG\n", 0));
    assert_eq!(session(&server, "ping\nquit"), done("PONG\n", 0));
    assert_eq!(session(&server, ""), done("", 0));
    assert_eq!(server.requests(), ["ping", "ping"]);
}

#[test]
fn whoever_waits_for_a_reply_before_the_next_line_gets_it() {
    let server = Server::start();
    let mut child = spawn(&mut program(&server));
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    for number in 1..=3 {
        let mut line = String::new();
        stdin.write_all(b"in").unwrap();
        stdin.write_all(b"cr n\n").unwrap();
        stdout.read_line(&mut line).unwrap();
        assert_eq!(line, format!("{number}\n"));
    }
    drop(stdin);
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_long_session_sends_its_lines_together_and_keeps_their_order() {
    let server = Server::start();
    let input: String = (0..20_000).map(|n| format!("echo {n}\n")).collect();
    let expected: String = (0..20_000).map(|n| format!("{n}\n")).collect();
    assert_eq!(session(&server, &input), done(&expected, 0));
}

#[test]
fn a_session_whose_host_hangs_up_prints_what_it_got_and_exits_with_3() {
    let server = Server::start_with(|words| if is(words, "BOOM") { Action::HangUp } else { Action::Answer });
    let Ran(out, err, code) = session(&server, "echo 1\necho 2\nboom\necho 3\n");
    assert_eq!((out.as_str(), code), ("1\n2\n", 3));
    assert!(err.contains("outcome") || err.contains("unknown"), "{err}");
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let server = Server::start();
    for number in 0..100_000 {
        server.store.lock().unwrap().put(format!("{number:020}").as_bytes(), vec![], None);
    }
    for words in ["keys", "scan"] {
        let mut child = spawn(program(&server).arg(words));
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        stdout.read_line(&mut line).unwrap();
        drop(stdout);
        assert_eq!(line, "00000000000000000000\n");
        let mut err = String::new();
        child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
        assert_eq!((err.as_str(), child.wait().unwrap().code()), ("", Some(0)), "{words}");
    }
}

#[test]
fn silence_ends_in_a_timeout() {
    let server = Server::start_with(|words| if is(words, "GET") { Action::Ignore } else { Action::Answer });
    let Ran(out, err, code) = run(&server, "--reply-timeout-ms 20 get k");
    assert_eq!((out.as_str(), code), ("", 3));
    assert!(err.contains("silent for 20 ms"), "{err}");
}

/// What the small server does not know is what its engine lacks, so that the self-test finds it no worse than small.
fn small(words: &[Vec<u8>]) -> Action {
    let unknown =
        ["MSETNX", "SETRANGE", "SETBIT", "GETDEL", "IFEQ", "INCRBYFLOAT", "RENAME", "COPY", "SUBSCRIBE"];
    let is_unknown = |word: &Vec<u8>| unknown.iter().any(|name| word == name.as_bytes());
    let lack = "-ERR engine 'small' cannot carry this out: it lacks MOST\r\n";
    if words.iter().any(is_unknown) { Action::Say(lack) } else { Action::Answer }
}

#[test]
fn the_self_test_names_what_it_tried_and_leaves_nothing() {
    let server = Server::start_with(small);
    server.store.lock().unwrap().put(b"mine", b"1".to_vec(), None);
    let Ran(out, err, code) = run(&server, "test");
    assert_eq!((err.as_str(), code), ("", 0), "{out}");
    assert!(out.lines().filter(|line| line.starts_with("ok  ")).count() > 30, "{out}");
    assert!(out.ends_with(" ok, 0 FAILED, 10 unsupported\n"), "{out}");
    assert_eq!(server.store.lock().unwrap().len(), 1);
    let Ran(out, _, code) = run(&server, "--json test");
    assert!(out.ends_with(",\"unsupported\":10}\n") && out.contains("\"failed\":0"), "{out}");
    assert_eq!(code, 0);
}

#[test]
fn the_self_test_finds_a_host_that_answers_wrongly_and_cleans_up_all_the_same() {
    let server =
        Server::start_with(|words| if is(words, "APPEND") { Action::Say(":7\r\n") } else { small(words) });
    let Ran(out, _, code) = run(&server, "test");
    assert_eq!(code, 4);
    assert!(out.contains("FAILED      appends and tells the length: APPEND kvstore-test:"), "{out}");
    assert!(out.contains("expected Integer(2), got Integer(7)"), "{out}");
    assert!(out.contains(" 1 FAILED"), "{out}");
    assert_eq!(server.store.lock().unwrap().len(), 0);
}

#[test]
fn the_self_test_cleans_up_after_a_lost_connection() {
    let server = Server::start_with(|words| if is(words, "EXEC") { Action::HangUp } else { small(words) });
    let Ran(out, _, code) = run(&server, "test");
    assert_eq!(code, 4);
    assert!(out.contains("FAILED      carries out MULTI … EXEC as one: "), "{out}");
    assert!(out.contains("ok          cleans up"), "{out}");
    assert_eq!(server.store.lock().unwrap().len(), 0);
}

#[test]
fn the_self_test_tells_what_an_engine_lacks_from_what_is_wrong() {
    let server = Server::start_with(|words| {
        let expiring =
            words.iter().any(|word| matches!(word.as_slice(), b"EX" | b"PX" | b"TTL" | b"KEEPTTL"));
        let lack = "-ERR engine 'plain' cannot carry this out: it lacks EXPIRY\r\n";
        if expiring { Action::Say(lack) } else { small(words) }
    });
    let Ran(out, _, code) = run(&server, "test");
    assert_eq!(code, 0, "{out}");
    assert!(out.contains("unsupported lets entries expire: engine 'plain' cannot"), "{out}");
    assert!(out.ends_with(" 0 FAILED, 14 unsupported\n"), "{out}");
}
