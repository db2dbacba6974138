//! The client's session on a terminal, as a person sees it: keys, completion, hints, colours, and how it ends.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::path::Path;
use std::process::Command;

use tests::binaries;
use tests::engines::Engine;
use tests::host::Host;
use tests::terminal::Terminal;

const SIZE: (u16, u16) = (24, 80);

fn command(port: u16, dir: &Path) -> Command {
    let mut command = Command::new(binaries::client());
    command.env_clear().env("TERM", "xterm-256color").env("KV_PORT", port.to_string());
    command.env("XDG_STATE_HOME", dir).current_dir(dir);
    command
}

/// A host, and a session that waits at its prompt.
fn session() -> (Host, Terminal, String) {
    let host = Host::start(Engine::Memory);
    let terminal = Terminal::start(&mut command(host.port(), host.dir()), SIZE);
    let prompt = format!("127.0.0.1:{}>", host.port());
    terminal.expect_line(&prompt);
    (host, terminal, prompt)
}

#[test]
fn a_line_is_edited_with_the_usual_keys() {
    let (_host, mut terminal, prompt) = session();
    // The start of the line, its end, a word back and deleted, the rest deleted and put back.
    terminal.type_in("lue\x01set co\x05 x\x17blue");
    terminal.expect_line(&format!("{prompt} set colue blue"));
    terminal.type_in("\x1bb\x1b[D\x1b[D\x1b[D\x7f\x1b[3~lour\x1b[C\x1b[C\x0b");
    terminal.wait_until("the cut line", |screen| !screen.contains("blue"));
    terminal.type_in("\x19");
    terminal.wait_until("the rest again", |screen| screen.contains("blue"));
    terminal.type_in("\r");
    terminal.expect("OK");
    terminal.enter("keys *");
    terminal.expect("1) \"");
}
