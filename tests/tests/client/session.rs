//! The client's session on a terminal, as a person sees it: keys, history, completion, hints, colours, and how it ends.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use tests::binaries;
use tests::engines::Engine;
use tests::host::{Host, Options};
use tests::terminal::Terminal;
use tests::wait::wait_until;
use vt100::Color;

const SIZE: (u16, u16) = (24, 160);

fn command(port: u16, dir: &Path) -> Command {
    let mut command = Command::new(binaries::client());
    command.env_clear().env("TERM", "xterm-256color").env("KV_PORT", port.to_string());
    command.env("XDG_STATE_HOME", dir).current_dir(dir);
    command
}

/// Another session with the same host.
fn again(host: &Host) -> (Terminal, String) {
    open(&mut command(host.port(), host.dir()), host.port())
}

fn open(command: &mut Command, port: u16) -> (Terminal, String) {
    let terminal = Terminal::start(command, SIZE);
    let prompt = format!("127.0.0.1:{port}>");
    terminal.expect_line(&prompt);
    (terminal, prompt)
}

/// A host, and a session that waits at its prompt.
fn session() -> (Host, Terminal, String) {
    let host = Host::start(Engine::Memory);
    let (terminal, prompt) = again(&host);
    (host, terminal, prompt)
}

/// Enters these lines, each at the prompt: what is typed ahead of it the terminal itself would show, too. Answers at the next prompt.
fn enter_all(terminal: &mut Terminal, prompt: &str, lines: &[&str]) {
    for (at, line) in lines.iter().enumerate() {
        terminal.enter(line);
        let done = |screen: &str| screen.matches(prompt).count() == at + 2;
        terminal.wait_until("the next prompt", done);
    }
}

/// How the first place of this text on the screen looks: its colour, and whether it is faint.
fn look(terminal: &Terminal, text: &str) -> (Color, bool) {
    let screen = terminal.screen();
    let mut rows = (0..).zip(screen.rows(0, SIZE.1));
    let (row, column) = rows.find_map(|(row, line)| Some((row, line.find(text)?))).unwrap();
    let cell = screen.cell(row, u16::try_from(column).unwrap()).unwrap();
    (cell.fgcolor(), cell.dim())
}

/// A server that answers the first word of each request with what this says, and its connections.
fn fake(answer: impl Fn(&str) -> &'static str + Copy + Send + 'static) -> (u16, Arc<Mutex<Vec<TcpStream>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let streams = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&streams);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            kept.lock().unwrap().push(stream.try_clone().unwrap());
            std::thread::spawn(move || {
                let mut buffer = [0; 4_096];
                while let Ok(len @ 1..) = stream.read(&mut buffer) {
                    let request = String::from_utf8_lossy(&buffer[..len]).into_owned();
                    let reply = answer(request.lines().nth(2).unwrap());
                    if stream.write_all(reply.as_bytes()).is_err() {
                        break;
                    }
                }
            });
        }
    });
    (port, streams)
}

#[test]
fn a_line_is_edited_with_the_usual_keys() {
    let (_host, mut terminal, prompt) = session();
    // To the start, and to the end.
    terminal.type_in("et place home\x01s\x05less");
    terminal.expect(&format!("{prompt} set place homeless [NX|XX"));
    // A word is cut, and put back behind another.
    terminal.type_in("\x17");
    terminal.wait_until("the cut word", |screen| !screen.contains("homeless"));
    terminal.type_in("a-\x19");
    terminal.expect("set place a-homeless");
    // Back by three characters, one deleted to the left, two to the right.
    terminal.type_in("\x1b[D\x1b[D\x1b[D\x7f\x1b[3~\x1b[3~");
    terminal.expect("set place a-homes");
    terminal.type_in("\r");
    terminal.expect_line(&prompt);
    terminal.enter("get place");
    terminal.expect("\"a-homes\"");
}

#[test]
fn the_history_outlives_the_session_and_has_no_secrets() {
    let (host, mut terminal, prompt) = session();
    let lines =
        ["set colour blue", "auth s3cret", "config set requirepass s3cret", " get unseen", "get colour"];
    enter_all(&mut terminal, &prompt, &lines);
    terminal.type_in("\x04");
    assert!(terminal.wait().success());
    let dir = host.path("kvstore");
    let kept = std::fs::read_to_string(dir.join("client-history")).unwrap();
    assert_eq!(kept, "#V2\nset colour blue\nget colour\n");
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&dir), mode(&dir.join("client-history"))), (0o700, 0o600));

    let (mut terminal, prompt) = again(&host);
    terminal.type_in("\x1b[A");
    terminal.expect_line(&format!("{prompt} get colour"));
    terminal.type_in("\x1b[A");
    terminal.wait_until("the line before", |screen| screen.contains("set colour blue"));
    terminal.type_in("\x1b[B\x1b[B\x12blue");
    terminal.expect("(reverse-i-search)`blue': set colour blue");
    terminal.type_in("\r");
    terminal.expect("OK");
}

#[test]
fn tab_completes_commands_subcommands_options_and_libraries() {
    let (host, mut terminal, prompt) = session();
    std::fs::create_dir(host.path("new builds")).unwrap();
    for name in ["libnew.so", "notes.txt"] {
        std::fs::write(host.path("new builds").join(name), "").unwrap();
    }
    for (typed, line) in [
        ("expiret\t", "expiretime"),
        ("EXPIRET\t", "EXPIRETIME"),
        ("engine rel\t", "engine reload"),
        ("set k v nx g\t", "set k v nx get"),
        ("help getr\t", "help getrange"),
        ("help engine rel\t", "help engine reload"),
        ("ENGINE RELOAD new\t", "ENGINE RELOAD \"new builds/"),
        ("ENGINE RELOAD new\t\t", "ENGINE RELOAD \"new builds/libnew.so\""),
    ] {
        terminal.type_in(typed);
        let whole = format!("{prompt} {line}");
        terminal.wait_until(&whole, |screen| {
            screen.lines().any(|row| row == whole || row.starts_with(&format!("{whole} ")))
        });
        terminal.type_in("\x03");
        terminal.expect_line(&prompt);
    }
    // What is ambiguous is listed, below the line.
    terminal.type_in("getr\x7f\t");
    terminal.wait_until("the list", |screen| {
        ["getdel", "getex", "getrange"].iter().all(|name| screen.contains(name))
    });
    terminal.type_in("d\t\r");
    terminal.expect("wrong number of arguments for 'getdel' command");
}

#[test]
fn hints_tell_what_can_follow_and_are_taken_by_the_right_arrow_alone() {
    let (_host, mut terminal, prompt) = session();
    terminal.type_in("expire k 10 ");
    terminal.expect_line(&format!("{prompt} expire k 10 [NX|XX|GT|LT]"));
    assert_eq!(look(&terminal, "[NX|XX"), (Color::Default, true));
    terminal.type_in("nx");
    terminal.expect_line(&format!("{prompt} expire k 10 nx"));
    terminal.type_in("\x15expiret");
    terminal.expect_line(&format!("{prompt} expiretime key"));
    assert_eq!(look(&terminal, "ime key"), (Color::Default, true));
    terminal.type_in("\x1b[C k\r");
    terminal.expect("(integer) -2");
    // A hint is not sent.
    terminal.enter("expiretime");
    terminal.expect("wrong number of arguments for 'expiretime' command");
}

#[test]
fn replies_have_colours_unless_nobody_wants_them() {
    let (host, mut terminal, prompt) = session();
    enter_all(&mut terminal, &prompt, &["set k text", "get k", "strlen k", "nonsense"]);
    assert!(terminal.text().contains("(error) ERR unknown command"));
    assert_eq!(look(&terminal, "\"text\""), (Color::Idx(2), false));
    assert_eq!(look(&terminal, "(integer) 4"), (Color::Default, true));
    assert_eq!(look(&terminal, "(error)"), (Color::Idx(1), false));
    assert_eq!(look(&terminal, "get k").0, Color::Idx(4));
    for (name, value, args) in [("NO_COLOR", "1", &[][..]), ("COLORTERM", "truecolor", &["--color", "never"])]
    {
        let mut plain = command(host.port(), host.dir());
        let (mut terminal, prompt) = open(plain.env(name, value).args(args), host.port());
        enter_all(&mut terminal, &prompt, &["get k"]);
        assert_eq!(look(&terminal, "\"text\""), (Color::Default, false));
        assert_eq!(look(&terminal, "get k").0, Color::Default);
        // A hint could not be told from the line if it were not faint.
        terminal.type_in("get ");
        terminal.expect_line(&format!("{prompt} get key"));
        assert_eq!(look(&terminal, "key"), (Color::Default, true));
    }
}

#[test]
fn what_is_pasted_is_taken_line_by_line() {
    let (_host, mut terminal, prompt) = session();
    terminal.type_in("\x1b[200~set a 1\nincrby a 41\nget a\x1b[201~\r");
    terminal.expect("\"42\"");
    terminal.expect_line(&prompt);
}

#[test]
fn the_prompt_shows_a_transaction() {
    let (_host, mut terminal, prompt) = session();
    let inside = prompt.replace('>', "(tx)>");
    terminal.enter("multi");
    terminal.expect_line(&inside);
    terminal.enter("set a 1");
    terminal.expect("QUEUED");
    terminal.enter("exec");
    terminal.expect("1) OK");
    terminal.expect_line(&prompt);
}

#[test]
fn help_is_what_the_host_says() {
    let (_host, mut terminal, _) = session();
    terminal.enter("help engine reload");
    terminal.expect("summary: Replace the live engine, with its data");
    terminal.enter("help nonsense");
    terminal.expect("The host says nothing about nonsense.");
    terminal.enter("help @transactions");
    terminal.expect("DISCARD  ");
    terminal.enter("clear");
    terminal.wait_until("an empty screen", |screen| !screen.contains("DISCARD"));
    terminal.enter("help");
    terminal.expect("Groups: @");
}

#[test]
fn a_line_longer_than_the_window_survives_a_change_of_its_size() {
    let (_host, mut terminal, prompt) = session();
    let value = "0123456789".repeat(20);
    terminal.type_in(&format!("set long {value}"));
    terminal.wait_until("a line in two rows", |screen| {
        screen.lines().last().is_some_and(|row| !row.contains('>'))
    });
    terminal.resize((24, 240));
    // The terminal does not flow its rows anew: the line is drawn again with the next key.
    terminal.type_in("!");
    terminal.expect(&format!("{prompt} set long {value}!"));
    terminal.type_in("\r");
    terminal.expect("OK");
    terminal.enter("get long");
    terminal.expect(&format!("\"{value}!\""));
}

#[test]
fn ctrl_c_drops_the_line_and_ctrl_d_ends() {
    let (_host, mut terminal, prompt) = session();
    terminal.type_in("flushall");
    terminal.expect_line(&format!("{prompt} flushall [ASYNC|SYNC]"));
    terminal.type_in("\x03");
    terminal.expect_line(&prompt);
    terminal.type_in("\x03");
    terminal.expect("Ctrl-D or exit ends the session.");
    terminal.expect_line(&prompt);
    terminal.type_in("pinx\x7f\x04g");
    terminal.expect_line(&format!("{prompt} ping [message]"));
    terminal.type_in("\r");
    terminal.expect("PONG");
    terminal.expect_line(&prompt);
    terminal.type_in("\x04");
    assert!(terminal.wait().success());
}

#[test]
fn a_host_that_goes_away_and_comes_back_is_connected_to_again() {
    let host = Host::start(Engine::Memory);
    // A port that was given back could be somebody else's by then.
    let (dir, socket) = (host.shared_dir(), host.path("host.sock"));
    let mut terminal = Terminal::start(command(host.port(), host.dir()).arg("--unix").arg(&socket), SIZE);
    let address = format!("unix:{}", socket.display());
    let prompt = format!("{address}>");
    terminal.expect_line(&prompt);
    terminal.enter("multi");
    terminal.expect_line(&prompt.replace('>', "(tx)>"));
    terminal.type_in("get half");
    host.stop();
    // Said at once, above the line.
    terminal.expect("the host closed the connection; the next request connects again)");
    terminal.expect("get half");
    terminal.type_in("way\r");
    terminal.expect("nothing of it was carried out");
    terminal.enter("ping");
    terminal.expect("(error) cannot connect to unix:");
    terminal.expect_line(&prompt.replace('>', "(not connected)>"));
    let host = Host::start_library(&dir, &Engine::Memory.library(dir.path()), &Options::default());
    terminal.enter("ping");
    terminal.expect(&format!("(connected to {address} again)\nPONG\n{prompt}"));
    drop(host);
}

#[test]
fn a_server_without_help_is_served_and_a_wait_for_it_is_broken_off_by_ctrl_c() {
    static HANGS: AtomicBool = AtomicBool::new(false);
    let (port, _) = fake(|request| match request {
        "PING" => "+PONG\r\n",
        "hang" => {
            HANGS.store(true, Ordering::Relaxed);
            ""
        }
        _ => "-ERR unknown command\r\n",
    });
    let dir = tempfile::tempdir().unwrap();
    let (mut terminal, prompt) = open(&mut command(port, dir.path()), port);
    terminal.type_in("get ");
    terminal.expect_line(&format!("{prompt} get"));
    terminal.type_in("k\r");
    terminal.expect("(error) ERR unknown command");
    terminal.expect_line(&prompt);
    terminal.enter("hang");
    wait_until("the request that hangs", || HANGS.load(Ordering::Relaxed));
    terminal.type_in("\x03");
    terminal.expect("the wait for the reply was broken off");
    terminal.expect_line(&prompt.replace('>', "(not connected)>"));
    terminal.enter("PING");
    terminal.expect("PONG");
}

#[test]
fn messages_stream_until_ctrl_c_and_later_ones_come_above_the_line() {
    const MESSAGE: &str = ">3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n";
    let (port, streams) = fake(|request| match request {
        "HELLO" => "%1\r\n$5\r\nproto\r\n:3\r\n",
        "subscribe" => ">3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n",
        "SUBSCRIBE" => ">3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n",
        "unsubscribe" => ">3\r\n$11\r\nunsubscribe\r\n$4\r\nnews\r\n:0\r\n",
        "get" => "$5\r\nvalue\r\n",
        _ => "-ERR unknown command\r\n",
    });
    let say = |text: &str| {
        let message = format!("{MESSAGE}${}\r\n{text}\r\n", text.len());
        streams.lock().unwrap().last_mut().unwrap().write_all(message.as_bytes()).unwrap();
    };
    let dir = tempfile::tempdir().unwrap();
    let (mut terminal, prompt) = open(&mut command(port, dir.path()), port);
    let subscribed = prompt.replace('>', "(subscribed)>");
    terminal.enter("subscribe news");
    terminal.expect("3> (integer) 1");
    say("first");
    terminal.expect("3> \"first\"");
    terminal.wait_until_signals();
    terminal.type_in("\x03");
    terminal.expect_line(&subscribed);
    terminal.type_in("get");
    terminal.expect_line(&format!("{subscribed} get"));
    say("second");
    terminal.wait_until("a message above the line", |screen| {
        screen.contains("3> \"second\"") && screen.ends_with(&format!("{subscribed} get"))
    });
    terminal.type_in(" k\r");
    terminal.expect("\"value\"");
    // A connection that is lost while messages stream comes back, with what was subscribed to.
    terminal.enter("subscribe news");
    terminal.wait_until_signals();
    terminal.wait_until("another subscription", |screen| screen.matches("3> (integer) 1").count() == 2);
    streams.lock().unwrap().last().unwrap().shutdown(std::net::Shutdown::Both).unwrap();
    terminal.expect("(error) the host closed the connection");
    terminal.wait_until("a third", |screen| screen.matches("3> (integer) 1").count() == 3);
    say("after the loss");
    terminal.expect("3> \"after the loss\"");
    terminal.type_in("\x03");
    terminal.expect_line(&subscribed);
    terminal.enter("unsubscribe news");
    terminal.expect("3> (integer) 0");
    terminal.expect_line(&prompt);
}

#[test]
fn messages_of_the_host_share_the_session_with_its_requests() {
    let (host, mut terminal, prompt) = session();
    let (mut client, subscribed) = (host.client(), prompt.replace('>', "(subscribed)>"));
    let mut publish = |text: &str| client.call(&["PUBLISH", "news", text]).unwrap();
    terminal.enter("subscribe news");
    terminal.expect("3> (integer) 1");
    publish("while nobody types");
    terminal.expect("3> \"while nobody types\"");
    terminal.wait_until_signals();
    terminal.type_in("\x03");
    terminal.expect_line(&subscribed);
    terminal.type_in("strlen ");
    terminal.expect_line(&format!("{subscribed} strlen key"));
    publish("above the line");
    terminal.wait_until("a message above the line", |screen| {
        screen.contains("3> \"above the line\"") && screen.ends_with(&format!("{subscribed} strlen key"))
    });
    terminal.type_in("k\r");
    terminal.expect("(integer) 0");
    terminal.enter("unsubscribe");
    terminal.expect_line(&prompt);
    // A transaction confirms what it subscribes to within its own reply.
    for line in ["clear", "multi", "subscribe news", "exec"] {
        terminal.enter(line);
    }
    terminal.expect("1) 1> \"subscribe\"");
    terminal.expect_line(&subscribed);
    publish("after EXEC");
    terminal.expect("3> \"after EXEC\"");
    terminal.enter("unsubscribe news");
    terminal.expect_line(&prompt);
    publish("to nobody");
    terminal.enter("reset");
    terminal.expect("RESET");
    assert!(!terminal.text().contains("to nobody"));
}

#[test]
fn a_subscription_in_resp2_has_a_connection_of_its_own_and_ends_with_ctrl_c() {
    let host = Host::start(Engine::Memory);
    let mut client = host.client();
    let (mut resp2, prompt) = open(command(host.port(), host.dir()).args(["--resp", "2"]), host.port());
    let (mut resp3, _) = again(&host);
    resp3.enter("hello 2");
    resp3.expect("standalone");
    for terminal in [&mut resp2, &mut resp3] {
        terminal.enter("psubscribe n*");
        terminal.expect("(integer) 1");
        client.call(&["PUBLISH", "news", "good"]).unwrap();
        terminal.expect("\"good\"");
        terminal.wait_until_signals();
        terminal.type_in("\x03");
        terminal.expect_line(&prompt);
        terminal.enter("ping");
        terminal.expect("PONG");
        wait_until("the subscription has ended", || {
            client.call(&["PUBSUB", "NUMPAT"]).unwrap().as_integer() == Some(0)
        });
    }
}

#[test]
fn monitor_shows_what_others_ask_for_until_ctrl_c() {
    let (host, mut terminal, prompt) = session();
    terminal.enter("monitor");
    terminal.expect("Ctrl-C gives the prompt back");
    terminal.expect("OK");
    host.client().call(&["SET", "colour", "sky blue"]).unwrap();
    terminal.expect("  SET \"colour\" \"sky blue\"");
    terminal.wait_until_signals();
    terminal.type_in("\x03");
    terminal.expect_line(&prompt);
    terminal.enter("get colour");
    terminal.expect("\"sky blue\"\n");
}

#[test]
fn a_new_connection_is_logged_in_and_in_its_database_as_the_lost_one_was() {
    static ASKED: Mutex<Vec<String>> = Mutex::new(Vec::new());
    let (port, streams) = fake(|request| {
        ASKED.lock().unwrap().push(request.to_owned());
        if request == "HELLO" { "%1\r\n$5\r\nproto\r\n:3\r\n" } else { "+OK\r\n" }
    });
    let dir = tempfile::tempdir().unwrap();
    let (mut terminal, prompt) = open(&mut command(port, dir.path()), port);
    terminal.enter("auth secret");
    terminal.enter("select 3");
    let chosen = prompt.replace('>', "[3]>");
    terminal.expect_line(&chosen);
    ASKED.lock().unwrap().clear();
    streams.lock().unwrap().last().unwrap().shutdown(std::net::Shutdown::Both).unwrap();
    terminal.expect("the next request connects again)");
    terminal.enter("ping");
    terminal.expect("again)\nOK");
    terminal.expect_line(&chosen);
    assert_eq!(*ASKED.lock().unwrap(), ["HELLO", "auth", "SELECT", "ping"]);
}
