//! Free port: for a program that has to be told on which it listens. Another process may take it first, so what answers there is looked at.

#![allow(clippy::expect_used, clippy::panic, reason = "a test's helper stops at the first surprise")]

use std::net::TcpListener;
use std::process::{Child, Command};

use crate::bench::process::listener;
use crate::wait::wait_for;

/// How often another port is tried.
const TRIES: usize = 10;

/// Starts a program on a port of 127.0.0.1 that was free a moment before, and waits until it answers there. `what` names the program.
///
/// # Panics
/// It cannot be started, or ends each time.
pub fn start<T>(
    what: &str,
    mut command: impl FnMut(u16) -> Command,
    mut answer: impl FnMut(u16) -> Option<T>,
) -> (Child, u16, T) {
    let mut last = String::new();
    for _ in 0..TRIES {
        let free = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
        let port = free.expect("a free port").port();
        let mut command = command(port);
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{what}: {error}"));
        let found = wait_for(format!("{what} on port {port}"), || {
            let ended = child.try_wait().expect("its status").is_some();
            // Whose it is does not show for a process of another user.
            let taken = listener(port).is_some_and(|pid| pid != child.id());
            if ended || taken { Some(None) } else { answer(port).map(Some) }
        });
        if let Some(found) = found {
            return (child, port, found);
        }
        let _ = child.kill();
        let output = child.wait_with_output().expect("its end");
        last = format!("{command:?}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    panic!("{what} does not start: {last}");
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::process::Stdio;

    use super::*;

    #[test]
    fn a_program_that_ends_and_a_port_that_another_took_are_tried_again() {
        let (tries, mut other) = (Cell::new(0), None);
        let command = |port| {
            tries.set(tries.get() + 1);
            if tries.get() == 2 {
                other = TcpListener::bind(("127.0.0.1", port)).ok();
            }
            let mut command = Command::new("sleep");
            command.arg(if tries.get() == 1 { "not a time" } else { "1000" }).stderr(Stdio::null());
            command
        };
        let (mut child, port, found) =
            start("a program", command, |_| (tries.get() > 1).then(|| tries.get()));
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(found, 3);
        assert_ne!(other.unwrap().local_addr().unwrap().port(), port);
    }
}
