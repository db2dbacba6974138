//! The program on a terminal: a prompt, replies with their types, and the end by Ctrl-D.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test may stop at the first surprise, in its helpers too"
)]

mod support;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, Command};
use support::{Action, Server, is};

struct Terminal {
    master: File,
    seen: String,
    child: Child,
}

impl Terminal {
    fn start(server: &Server, words: &[&str]) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
        let open = || OwnedFd::from(OpenOptions::new().read(true).write(true).open(&name).unwrap());
        let child = Command::new(env!("CARGO_BIN_EXE_kvstore-client"))
            .env_clear()
            .env("NO_COLOR", "1")
            .env("KV_PORT", server.port.to_string())
            .args(words)
            .stdin(open())
            .stdout(open())
            .spawn()
            .unwrap();
        Self { master: File::from(master), seen: String::new(), child }
    }

    fn type_in(&mut self, text: &str) {
        self.master.write_all(text.as_bytes()).unwrap();
    }

    /// Waits until the terminal shows `text` after what was waited for before.
    fn expect(&mut self, text: &str) {
        let mut buffer = [0; 1_024];
        while !self.seen.contains(text) {
            let len = self.master.read(&mut buffer).unwrap_or(0);
            assert!(len > 0, "the terminal ended with {:?} and without {text:?}", self.seen);
            self.seen.push_str(std::str::from_utf8(&buffer[..len]).unwrap());
        }
        self.seen = self.seen.split_once(text).unwrap().1.to_owned();
    }
}

#[test]
fn a_session_on_a_terminal_prompts_and_shows_types() {
    let server = Server::start_with(|words| if is(words, "BOOM") { Action::HangUp } else { Action::Answer });
    let mut terminal = Terminal::start(&server, &[]);
    let prompt = format!("127.0.0.1:{}> ", server.port);
    terminal.expect(&prompt);
    terminal.type_in("set k \"a\\x00b\"\n");
    terminal.expect(&format!("OK\r\n{prompt}"));
    terminal.type_in("mget k none\n");
    terminal.expect(&format!("1) \"a\\x00b\"\r\n2) (nil)\r\n{prompt}"));
    terminal.type_in("incr k\n");
    terminal.expect(&format!("(error) ERR value is not an integer or out of range\r\n{prompt}"));
    terminal.type_in("multi\n");
    terminal.expect(&format!("OK\r\n127.0.0.1:{}(TX)> ", server.port));
    terminal.type_in("discard\n");
    terminal.expect(&format!("OK\r\n{prompt}"));
    terminal.type_in("boom\n");
    terminal.expect("(error) ");
    terminal.expect(&prompt);
    terminal.type_in("ping\n");
    terminal.expect(&format!("PONG\r\n{prompt}"));
    terminal.type_in("\x04");
    assert_eq!(terminal.child.wait().unwrap().code(), Some(0));
}

#[test]
fn one_command_on_a_terminal_shows_its_type() {
    let server = Server::start();
    let mut terminal = Terminal::start(&server, &["incr", "n"]);
    terminal.expect("(integer) 1\r\n");
    assert_eq!(terminal.child.wait().unwrap().code(), Some(0));
}
