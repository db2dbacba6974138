//! The program on a terminal: replies with their types. The session has tests of its own, on a screen, in the tests that cross the rooms.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test may stop at the first surprise, in its helpers too"
)]

mod support;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::fd::OwnedFd;
use std::process::{Child, Command};
use support::Server;

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
fn one_command_on_a_terminal_shows_its_type() {
    let server = Server::start();
    let mut terminal = Terminal::start(&server, &["incr", "n"]);
    terminal.expect("(integer) 1\r\n");
    assert_eq!(terminal.child.wait().unwrap().code(), Some(0));
}
